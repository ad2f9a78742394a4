//! `images`

use api_types::{ImageSummary, Map};

use crate::args::{Action, Arity, Command, FORMAT, Flag, Parsed};
use crate::cli::{Cli, print};
use crate::connect::{Query, Request};
use crate::error::Error;
use crate::format::table::{Column, Format, Layout, text};
use crate::format::text::short_id;
use crate::format::{time, units};
use crate::opts;

pub static COMMAND: Command = Command {
    usage: "[OPTIONS] [REPOSITORY[:TAG]]",
    about: "List images",
    arity: Arity::AtMost(1),
    interspersed: true,
    flags: &[&[
        Flag::bool("all", "Show intermediate images, too").short('a'),
        Flag::bool("digests", "Show digests"),
        Flag::filter("Show only what matches").short('f'),
        FORMAT,
        Flag::bool("no-trunc", "Show long values whole"),
        Flag::bool("quiet", "Show IDs only").short('q'),
        Flag::bool("tree", "Show platforms of each image as a tree"),
    ]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

const TABLE: &str = r"{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{if .CreatedSince }}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}";
const DIGEST_TABLE: &str = r"{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{if .CreatedSince }}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}";
const NONE: &str = "<none>";

/// An image under one of its names.
pub struct Row {
    pub image: ImageSummary,
    pub repository: String,
    pub tag: String,
    pub digest: String,
    pub trunc: bool,
}

pub static LAYOUT: Layout<Row> = Layout { columns: COLUMNS, go_type: "*formatter.imageContext" };

fn size_or_unknown(bytes: i64) -> String {
    if bytes < 0 { "N/A".into() } else { units::human_size(bytes as f64) }
}

static COLUMNS: &[Column<Row>] =
    &[
        text("ID", "IMAGE ID", |row| {
            if row.trunc { short_id(&row.image.id).to_owned() } else { row.image.id.clone() }
        }),
        text("Repository", "REPOSITORY", |row| row.repository.clone()),
        text("Tag", "TAG", |row| row.tag.clone()),
        text("Digest", "DIGEST", |row| row.digest.clone()),
        text("CreatedSince", "CREATED", |row| {
            format!("{} ago", units::human_duration(time::now() - row.image.created))
        }),
        text("CreatedAt", "CREATED AT", |row| time::go_string(row.image.created)),
        text("Size", "SIZE", |row| units::human_size_with(row.image.size as f64, 3)),
        text("Containers", "CONTAINERS", |row| match row.image.containers {
            -1 => "N/A".into(),
            count => count.to_string(),
        }),
        text("VirtualSize", "SIZE", |row| units::human_size(row.image.size as f64)),
        text("SharedSize", "SHARED SIZE", |row| size_or_unknown(row.image.shared_size)),
        text("UniqueSize", "UNIQUE SIZE", |row| match row.image.shared_size {
            -1 => "N/A".into(),
            shared => units::human_size((row.image.size - shared) as f64),
        }),
    ];

/// Whether digests are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Digests {
    Hidden,
    /// A template mentions them.
    Mentioned,
    /// `--digests`: images that have no tag are told by theirs, too.
    Shown,
}

/// One row per name.
fn rows(image: ImageSummary, trunc: bool, show: Digests) -> Vec<Row> {
    let row = |repository: &str, tag: &str, digest: &str| Row {
        image: image.clone(),
        repository: repository.into(),
        tag: tag.into(),
        digest: digest.into(),
        trunc,
    };
    let mut tags: Vec<(String, Vec<String>)> = Vec::new();
    for name in image.repo_tags.iter().filter(|name| *name != "<none>:<none>") {
        let Some((repository, tag)) = name.rsplit_once(':') else { continue };
        match tags.iter_mut().find(|(known, _)| known == repository) {
            Some((_, list)) => list.push(tag.into()),
            None => tags.push((repository.into(), vec![tag.into()])),
        }
    }
    let mut digests: Map<Vec<String>> = Map::new();
    for name in image.repo_digests.iter().filter(|name| *name != "<none>@<none>") {
        if let Some((repository, digest)) = name.split_once('@') {
            digests.entry(repository.into()).or_default().push(digest.into());
        }
    }
    if tags.is_empty() && digests.is_empty() {
        return vec![row(NONE, NONE, NONE)];
    }
    let mut out = Vec::new();
    for (repository, list) in &tags {
        let own = digests.remove(repository).filter(|_| show != Digests::Hidden).unwrap_or_default();
        for tag in list {
            match own.as_slice() {
                [] => out.push(row(repository, tag, NONE)),
                own => out.extend(own.iter().map(|digest| row(repository, tag, digest))),
            }
        }
    }
    for (repository, list) in &digests {
        match show == Digests::Shown {
            true => out.extend(list.iter().map(|digest| row(repository, NONE, digest))),
            false => out.push(row(repository, NONE, "")),
        }
    }
    out
}

/// The first name of an image only, as `system df -v` shows it.
pub fn first_row(image: ImageSummary, trunc: bool) -> Row {
    let mut rows = rows(image.clone(), trunc, Digests::Hidden);
    match image.repo_tags.is_empty() {
        true => Row { image, repository: NONE.into(), tag: NONE.into(), digest: NONE.into(), trunc },
        false => rows.swap_remove(0),
    }
}

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let mut filters = opts::filters(&args.all("filter"));
    if let Some(name) = args.args.first() {
        filters.add("reference", name.clone());
    }
    if args.bool("tree") {
        return super::tree::run(cli, args, &filters.to_json()).await;
    }
    let source = cli.format(args.get("format"), "imagesFormat")?;
    let (quiet, digests) = (args.bool("quiet"), args.bool("digests"));
    let default = if digests { DIGEST_TABLE } else { TABLE };
    let format = match source.as_str() {
        "raw" if quiet => Format::new("image_id: {{.ID}}", "", None),
        "raw" => Format::new(
            "repository: {{.Repository}}\ntag: {{.Tag}}\nimage_id: {{.ID}}\ncreated_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n",
            "",
            None,
        ),
        source => Format::new(source, default, quiet.then_some("{{.ID}}")),
    };
    let query = Query::new().flag("all", args.bool("all")).non_empty("filters", &filters.to_json());
    let images: Vec<ImageSummary> = cli.client()?.json(Request::get("/images/json").query(query)).await?;
    let show = match source.contains(".Digest") {
        _ if digests => Digests::Shown,
        true => Digests::Mentioned,
        false => Digests::Hidden,
    };
    let rows = images.into_iter().flat_map(|image| rows(image, !args.bool("no-trunc"), show)).collect();
    print(format.render(LAYOUT, rows)?).map(|()| 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(tags: &[&str], digests: &[&str], show: Digests) -> Vec<(String, String, String)> {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let image =
            ImageSummary { repo_tags: list(tags), repo_digests: list(digests), ..ImageSummary::default() };
        rows(image, true, show).into_iter().map(|r| (r.repository, r.tag, r.digest)).collect()
    }

    #[test]
    fn names_become_rows() {
        let row = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(shown(&[], &[], Digests::Hidden), [row(NONE, NONE, NONE)]);
        assert_eq!(
            shown(&["r:5/a:1", "r:5/a:2"], &["r:5/a@sha256:0"], Digests::Hidden),
            [row("r:5/a", "1", NONE), row("r:5/a", "2", NONE)]
        );
        assert_eq!(shown(&["a:1"], &["a@sha256:0"], Digests::Shown), [row("a", "1", "sha256:0")]);
        assert_eq!(shown(&[], &["a@sha256:0"], Digests::Hidden), [row("a", NONE, "")]);
    }
}
