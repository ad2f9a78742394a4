//! `history`

use api_types::HistoryItem;

use crate::args::{Action, Arity, Command, FORMAT, Flag, Parsed};
use crate::cli::{Cli, print};
use crate::connect::Request;
use crate::connect::client::image_path;
use crate::error::Error;
use crate::format::table::{Column, Format, Layout, text};
use crate::format::text::{ellipsis, short_id};
use crate::format::{time, units};

pub static COMMAND: Command = Command {
    usage: "[OPTIONS] IMAGE",
    about: "Show how an image was made",
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[&[
        FORMAT,
        Flag::bool("human", "Show sizes and dates for people").short('H').default("true"),
        Flag::bool("no-trunc", "Show long values whole"),
        Flag::string("platform", "Platform of an image that has several (os[/arch[/variant]])"),
        Flag::bool("quiet", "Show IDs only").short('q'),
    ]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

const TABLE: &str = r"{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
const EXACT_TABLE: &str = r"{{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";

struct Row {
    item: HistoryItem,
    trunc: bool,
    human: bool,
}

static COLUMNS: &[Column<Row>] = &[
    text(
        "ID",
        "IMAGE",
        |row| if row.trunc { short_id(&row.item.id).to_owned() } else { row.item.id.clone() },
    ),
    text("CreatedSince", "CREATED", |row| match row.item.created {
        created if !row.human => time::rfc3339(created),
        i64::MIN..=0 => "N/A".into(),
        created => format!("{} ago", units::human_duration(time::now() - created)),
    }),
    text("CreatedAt", "CREATED AT", |row| time::rfc3339(row.item.created)),
    text("CreatedBy", "CREATED BY", |row| {
        let command = row.item.created_by.replace('\t', " ");
        if row.trunc { ellipsis(&command, 45) } else { command }
    }),
    text("Size", "SIZE", |row| match row.human {
        true => units::human_size_with(row.item.size as f64, 3),
        false => row.item.size.to_string(),
    }),
    text("Comment", "COMMENT", |row| row.item.comment.clone()),
];

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let human = args.bool_or_true("human");
    let default = if human { TABLE } else { EXACT_TABLE };
    let quiet = args.bool("quiet").then_some("{{.ID}}");
    let format = Format::new(args.get("format").unwrap_or_default(), default, quiet);
    let mut request = Request::get(format!("/images/{}/history", image_path(&args.args[0])));
    if let Some(platform) = args.non_empty("platform") {
        request = request
            .query(crate::connect::Query::new().with("platform", super::push::platform_json(platform)?));
    }
    let items: Vec<HistoryItem> = cli.client()?.json(request).await?;
    let trunc = !args.bool("no-trunc");
    let rows = items.into_iter().map(|item| Row { item, trunc, human }).collect();
    print(format.render(Layout { columns: COLUMNS, go_type: "*image.historyContext" }, rows)?).map(|()| 0)
}
