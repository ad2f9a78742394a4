//! `volume ls`

use api_types::{Volume, VolumeList};

use crate::args::{Action, Arity, Command, FORMAT, Flag, Parsed};
use crate::cli::{Cli, complain, print};
use crate::connect::{Query, Request};
use crate::error::Error;
use crate::format::table::{Column, Format, Layout, lookup, text};
use crate::format::text::labels;
use crate::format::units::human_size;
use crate::opts;

pub static COMMAND: Command = Command {
    usage: "[OPTIONS]",
    about: "List volumes",
    arity: Arity::None,
    interspersed: true,
    flags: &[&[
        Flag::filter("Show only what matches (e.g. \"dangling=true\")").short('f'),
        FORMAT,
        Flag::bool("quiet", "Show names only").short('q'),
    ]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

pub static LAYOUT: Layout<Volume> = Layout { columns: COLUMNS, go_type: "*formatter.volumeContext" };

static COLUMNS: &[Column<Volume>] = &[
    text("Name", "VOLUME NAME", |volume| volume.name.clone()),
    text("Driver", "DRIVER", |volume| volume.driver.clone()),
    text("Scope", "SCOPE", |volume| volume.scope.clone()),
    text("Mountpoint", "MOUNTPOINT", |volume| volume.mountpoint.clone()),
    text("Labels", "LABELS", |volume| labels(&volume.labels)),
    lookup("Label", |volume, key| volume.labels.get(key).cloned().unwrap_or_default()),
    text("Links", "LINKS", |volume| {
        volume.usage_data.as_ref().map_or_else(|| "N/A".into(), |usage| usage.ref_count.to_string())
    }),
    text("Size", "SIZE", |volume| {
        volume.usage_data.as_ref().map_or_else(|| "N/A".into(), |usage| human_size(usage.size as f64))
    }),
    // Cluster volumes have these; ours never do.
    text("Group", "GROUP", |_| "N/A".into()),
    text("Availability", "AVAILABILITY", |_| "N/A".into()),
    text("Status", "STATUS", |_| "N/A".into()),
];

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let source = cli.format(args.get("format"), "volumesFormat")?;
    let quiet = args.bool("quiet").then_some("{{.Name}}");
    let format = match source.as_str() {
        "raw" => Format::new("name: {{.Name}}\ndriver: {{.Driver}}\n", "", None),
        source => Format::new(source, r"{{.Driver}}\t{{.Name}}", quiet),
    };
    let query = Query::new().non_empty("filters", &opts::filters(&args.all("filter")).to_json());
    let mut list: VolumeList = cli.client()?.json(Request::get("/volumes").query(query)).await?;
    list.volumes.sort_by(|a, b| natural(&a.name, &b.name));
    print(format.render(LAYOUT, list.volumes)?)?;
    list.warnings.iter().for_each(complain);
    Ok(0)
}

/// Runs of digits compare as numbers: `v2` comes before `v10`.
pub fn natural(a: &str, b: &str) -> std::cmp::Ordering {
    let (mut a, mut b) = (a.chars().peekable(), b.chars().peekable());
    loop {
        match (a.peek().copied(), b.peek().copied()) {
            (Some(x), Some(y)) if x.is_ascii_digit() && y.is_ascii_digit() => {
                let number = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| {
                    let mut digits = String::new();
                    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                        digits.push(digit);
                    }
                    digits.trim_start_matches('0').to_owned()
                };
                let (x, y) = (number(&mut a), number(&mut b));
                let order = x.len().cmp(&y.len()).then(x.cmp(&y));
                if order.is_ne() {
                    return order;
                }
            }
            (x, y) if x == y => {
                if x.is_none() {
                    return std::cmp::Ordering::Equal;
                }
                a.next();
                b.next();
            }
            (x, y) => return x.cmp(&y),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::natural;

    #[test]
    fn natural_order() {
        let mut names = ["v10", "v2", "a", "v2b", "v02a"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["a", "v2", "v02a", "v2b", "v10"]);
    }
}
