//! `images --tree`: each image with the platforms it has, in docker's columns.

use serde_json::Value;

use crate::args::Parsed;
use crate::cli::{Cli, print};
use crate::connect::{Query, Request};
use crate::error::Error;
use crate::format::text::short_id;
use crate::format::units;

/// The first API whose list of images tells of platforms.
const SINCE: &str = "1.47";

/// One line of the tree; an image's own, or a platform's below it.
#[derive(Debug, PartialEq)]
struct Line {
    name: String,
    /// Further names of an image have no columns of their own.
    columns: Option<Columns>,
}

#[derive(Debug, PartialEq)]
struct Columns {
    id: String,
    disk: i64,
    content: i64,
    in_use: bool,
}

pub async fn run(cli: &Cli, args: &Parsed, filters: &str) -> Result<i32, Error> {
    for flag in ["quiet", "no-trunc", "digests"] {
        if args.bool(flag) {
            return Err(Error::invalid(format!("--{flag} is not yet supported with --tree")));
        }
    }
    if args.given("format") {
        return Err(Error::invalid("--format is not yet supported with --tree"));
    }
    let client = cli.client()?;
    let version = client.api_version().await?;
    if crate::connect::client::newer(SINCE, version) {
        return Err(Error::invalid(format!(
            "--tree requires API version {SINCE}, but the engine's is {version}"
        )));
    }
    let query =
        Query::new().flag("all", args.bool("all")).non_empty("filters", filters).flag("manifests", true);
    let images: Vec<Value> = client.json(Request::get("/images/json").query(query)).await?;
    print(render(&images.iter().map(lines).collect::<Vec<_>>())).map(|()| 0)
}

fn items<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

fn lines(image: &Value) -> Vec<Line> {
    let platforms: Vec<&Value> =
        items(image, "Manifests").filter(|manifest| manifest["Kind"] == "image").collect();
    let size = |manifest: &Value, key: &str| manifest["Size"][key].as_i64().unwrap_or_default();
    let in_use = |manifest: &Value| items(&manifest["ImageData"], "Containers").next().is_some();
    let mut names: Vec<String> =
        items(image, "RepoTags").filter_map(Value::as_str).map(str::to_owned).collect();
    let last = names.pop().unwrap_or_else(|| "<untagged>".to_owned());
    let mut lines: Vec<Line> = names.into_iter().map(|name| Line { name, columns: None }).collect();
    let columns = Columns {
        id: short_id(image["Id"].as_str().unwrap_or_default()).to_owned(),
        disk: image["Size"].as_i64().unwrap_or_default(),
        content: platforms.iter().map(|manifest| size(manifest, "Content")).sum(),
        in_use: platforms.iter().any(|manifest| in_use(manifest)) || image["Containers"].as_i64() > Some(0),
    };
    lines.push(Line { name: last, columns: Some(columns) });
    for (at, manifest) in platforms.iter().enumerate() {
        let branch = if at + 1 == platforms.len() { "└─" } else { "├─" };
        let columns = Columns {
            id: short_id(manifest["ID"].as_str().unwrap_or_default()).to_owned(),
            disk: size(manifest, "Total"),
            content: size(manifest, "Content"),
            in_use: in_use(manifest),
        };
        let name = format!("{branch} {}", platform(&manifest["ImageData"]["Platform"]));
        lines.push(Line { name, columns: Some(columns) });
    }
    lines
}

fn platform(platform: &Value) -> String {
    let parts = ["os", "architecture", "variant"].into_iter().filter_map(|key| platform[key].as_str());
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}

fn render(images: &[Vec<Line>]) -> String {
    let width =
        images.iter().flatten().map(|line| line.name.chars().count()).max().unwrap_or_default().max(5);
    let mut out = format!("{:width$}   {:12}   DISK USAGE   CONTENT SIZE   EXTRA\n", "IMAGE", "ID");
    for (at, lines) in images.iter().enumerate() {
        if at > 0 {
            out.push('\n');
        }
        for Line { name, columns } in lines {
            let line = match columns {
                None => name.clone(),
                Some(Columns { id, disk, content, in_use }) => format!(
                    "{name:width$}   {id:12}   {:>10}   {:>12}   {}",
                    units::human_size_with(*disk as f64, 3),
                    units::human_size_with(*content as f64, 3),
                    if *in_use { "U" } else { "" },
                ),
            };
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn platforms_are_below_their_image() {
        let manifest = |arch: &str, containers: Value| {
            json!({"ID": "sha256:79f2f72df8a0e1c4", "Kind": "image", "Size": {"Content": 1_000, "Total": 3_000},
                "ImageData": {"Platform": {"os": "linux", "architecture": arch}, "Containers": containers}})
        };
        let image = json!({"Id": "sha256:338acd8fb69613437c", "RepoTags": ["a:1", "b:2"], "Size": 6_000, "Containers": -1,
            "Manifests": [manifest("amd64", json!([])), manifest("arm64", json!(["c"])), {"Kind": "attestation"}]});
        let plain = json!({"Id": "sha256:c2f91ff281a7", "RepoTags": [], "Size": 5, "Containers": -1, "Manifests": []});
        let expected = "\
IMAGE            ID             DISK USAGE   CONTENT SIZE   EXTRA
a:1
b:2              338acd8fb696          6kB            2kB   U
├─ linux/amd64   79f2f72df8a0          3kB            1kB
└─ linux/arm64   79f2f72df8a0          3kB            1kB   U

<untagged>       c2f91ff281a7           5B             0B
";
        assert_eq!(render(&[lines(&image), lines(&plain)]), expected);
    }
}
