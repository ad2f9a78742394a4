//! `events`

use api_types::EventMessage;

use crate::args::{Action, Arity, Command, FORMAT_ONE, Flag, Parsed};
use crate::cli::{Cli, print};
use crate::connect::stream::JsonStream;
use crate::connect::{Query, Request};
use crate::error::Error;
use crate::format::time::{rfc3339_nano, timestamp_query};
use crate::inspect::shape;
use crate::opts;
use crate::template::{Missing, Template, Value};

pub static COMMAND: Command = Command {
    usage: "[OPTIONS]",
    about: "Get real time events from the engine",
    arity: Arity::None,
    interspersed: true,
    flags: &[&[
        Flag::filter("Show only what matches").short('f'),
        Flag { short: None, ..FORMAT_ONE },
        Flag::string("since", "Show events since a time, or for as long"),
        Flag::string("until", "Stop at a time"),
    ]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let template = match args.non_empty("format") {
        Some("json") => Some(Template::parse("{{json .}}").map_err(Error::InspectTemplate)?),
        Some(source) => Some(Template::parse(source).map_err(Error::InspectTemplate)?),
        None => None,
    };
    let query = Query::new()
        .opt("since", args.non_empty("since").map(timestamp_query))
        .opt("until", args.non_empty("until").map(timestamp_query))
        .non_empty("filters", &opts::filters(&args.all("filter")).to_json());
    let path = "/events";
    let mut events = JsonStream::new(cli.client()?.send(Request::get(path).query(query)).await?, path);
    while let Some(raw) = events.next_value::<Value>().await? {
        print(show(&raw, template.as_ref())?)?;
    }
    Ok(0)
}

fn show(raw: &Value, template: Option<&Template>) -> Result<String, Error> {
    if let Some(template) = template {
        let line =
            template.execute(&shape("", raw.clone()), Missing::Known(field)).map_err(Error::Template)?;
        return Ok(line + "\n");
    }
    let text = serde_json::to_vec(raw).and_then(|bytes| api_types::go::from_slice::<EventMessage>(&bytes));
    let event = text.map_err(|source| Error::Answer { path: "/events".into(), source })?;
    let at = match (event.time_nano, event.time) {
        (0, 0) => String::new(),
        (0, seconds) => rfc3339_nano(seconds * 1_000_000_000) + " ",
        (nanos, _) => rfc3339_nano(nanos) + " ",
    };
    let pairs: Vec<_> = event.actor.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let attributes = if pairs.is_empty() { String::new() } else { format!(" ({})", pairs.join(", ")) };
    Ok(format!("{at}{} {} {}{attributes}\n", event.r#type, event.action, event.actor.id))
}

/// Go names of fields whose JSON names are in lower case, and fields that may be absent.
fn field(name: &str) -> Option<Value> {
    match name {
        "Status" | "ID" | "From" | "Scope" | "status" | "id" | "from" | "scope" => Some(Value::str("")),
        "Attributes" => Some(Value::map(Vec::new())),
        _ => None,
    }
}
