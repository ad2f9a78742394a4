//! `--cap-add` and `--cap-drop`

use std::collections::BTreeSet;

const ALL: &str = "ALL";

/// Capabilities by their full names, each once and sorted.
#[derive(Debug, PartialEq, Eq)]
pub struct Caps {
    pub add: Vec<String>,
    pub drop: Vec<String>,
}

fn full_name(text: &str) -> String {
    let upper = text.trim().to_uppercase();
    match upper.as_str() {
        ALL => upper,
        name if name.starts_with("CAP_") => upper,
        name => format!("CAP_{name}"),
    }
}

/// What is added wins over what is dropped; `ALL` stands for all others.
pub fn resolve(add: &[String], drop: &[String]) -> Caps {
    let set = |names: &[String]| -> BTreeSet<String> {
        let names: BTreeSet<_> = names.iter().map(|name| full_name(name)).collect();
        if names.contains(ALL) { BTreeSet::from([ALL.to_owned()]) } else { names }
    };
    let add = set(add);
    let drop = set(drop).into_iter().filter(|name| !add.contains(name)).collect();
    Caps { add: add.into_iter().collect(), drop }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let caps = resolve(&list(&["net_admin", "CAP_CHOWN", "chown"]), &list(&["chown", "all"]));
        assert_eq!(caps, Caps { add: list(&["CAP_CHOWN", "CAP_NET_ADMIN"]), drop: list(&["ALL"]) });
        assert_eq!(resolve(&[], &list(&["chown"])).drop, ["CAP_CHOWN"]);
        assert_eq!(resolve(&list(&["chown"]), &list(&["CAP_CHOWN"])).drop, [""; 0]);
    }
}
