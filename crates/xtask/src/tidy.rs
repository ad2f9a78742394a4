//! The rules of ARCHITECTURE.md that the compiler does not know.

use crate::run::{output, root};
use anyhow::{Result, bail};
use std::collections::{BTreeMap, BTreeSet};

/// These fork, unshare and join namespaces, or run below what does: no runtime with threads may get in.
const WITHOUT_TOKIO: &[&str] = &[
    "model",
    "sys",
    "shim-proto",
    "logs",
    "archive",
    "snapshot",
    "spec",
    "runtime",
    "rootless",
    "netd",
    "lichen-shim",
];

/// Files may be this long; a declarative table may be longer and says so in its first lines.
const LINES: usize = 460;
const TABLE: &str = "tidy: table";

pub(crate) fn tidy() -> Result<()> {
    let mut faults = Vec::new();
    tokio(&mut faults)?;
    crate_table(&mut faults)?;
    sources(&mut faults)?;
    if faults.is_empty() {
        return Ok(());
    }
    bail!("tidy found {} faults:\n{}", faults.len(), faults.join("\n"))
}

fn tokio(faults: &mut Vec<String>) -> Result<()> {
    for krate in WITHOUT_TOKIO {
        let tree = output("cargo", &["tree", "--package", krate, "--edges", "normal", "--prefix", "none"])?;
        if tree.lines().any(|line| line.starts_with("tokio ")) {
            faults.push(format!(
                "{krate}: tokio is in its dependency tree; cargo tree -p {krate} -i tokio shows how"
            ));
        }
    }
    Ok(())
}

/// ARCHITECTURE.md's table of crates, `| name | holds | may use |`, against the workspace.
fn crate_table(faults: &mut Vec<String>) -> Result<()> {
    let page = std::fs::read_to_string(root().join("ARCHITECTURE.md"))?;
    let documented: BTreeMap<String, BTreeSet<String>> = page.lines().filter_map(table_row).collect();
    let used = workspace()?;
    for (name, uses) in &used {
        let Some(may_use) = documented.get(name) else {
            faults.push(format!("ARCHITECTURE.md: its table of crates lacks {name}"));
            continue;
        };
        for other in uses.difference(may_use) {
            faults.push(format!("{name} uses {other}, which ARCHITECTURE.md's table does not allow"));
        }
        for other in may_use.difference(uses) {
            faults.push(format!("{name} does not use {other}, which ARCHITECTURE.md's table says it may"));
        }
    }
    for name in documented.keys().filter(|name| !used.contains_key(*name)) {
        faults.push(format!("ARCHITECTURE.md: there is no crate {name}"));
    }
    Ok(())
}

fn table_row(line: &str) -> Option<(String, BTreeSet<String>)> {
    let cells: Vec<&str> = line.strip_prefix("| `")?.split('|').map(str::trim).collect();
    let [name, _holds, uses, _] = cells[..] else { return None };
    let uses =
        uses.split(',').map(str::trim).filter(|u| !matches!(*u, "" | "–")).map(str::to_owned).collect();
    Some((name.trim_end_matches('`').to_owned(), uses))
}

/// Each crate of the workspace with those of the workspace that it uses outside its tests.
fn workspace() -> Result<BTreeMap<String, BTreeSet<String>>> {
    let metadata = output("cargo", &["metadata", "--format-version", "1", "--no-deps"])?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let name = |value: &serde_json::Value| value["name"].as_str().unwrap_or_default().to_owned();
    let names: BTreeSet<String> = packages.iter().map(name).collect();
    let uses = |package: &serde_json::Value| {
        let dependencies = package["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
        dependencies.iter().filter(|d| d["kind"].is_null()).map(name).filter(|n| names.contains(n)).collect()
    };
    Ok(packages.iter().map(|package| (name(package), uses(package))).collect())
}

fn sources(faults: &mut Vec<String>) -> Result<()> {
    for file in output("git", &["ls-files", "--cached", "--others", "--exclude-standard", "*.rs"])?.lines() {
        // A file that was removed and not yet committed is still listed.
        let Ok(text) = std::fs::read_to_string(root().join(file)) else { continue };
        let lines = text.lines().count();
        let table = text.lines().take(10).any(|line| line.contains(TABLE));
        if lines > LINES && !table {
            faults.push(format!("{file}: {lines} lines; more than {LINES} want to be two files"));
        }
        let crate_root = file.ends_with("src/lib.rs") || file.ends_with("src/main.rs");
        if crate_root && !file.starts_with("crates/sys/") && !text.contains("#![forbid(unsafe_code)]") {
            faults.push(format!("{file}: lacks #![forbid(unsafe_code)]; only sys may have unsafe code"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_the_crate_table_is_read() {
        let (name, uses) = table_row("| `image` | references, manifests | snapshot, model |").unwrap();
        assert_eq!(name, "image");
        assert!(uses.iter().eq(["model", "snapshot"]));
        assert_eq!(table_row("| `model` | IDs | – |").unwrap().1.len(), 0);
        assert_eq!(table_row("| Crate | holds | may use |"), None);
    }
}
