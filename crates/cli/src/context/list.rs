//! `context ls`

use crate::args::{Action, Arity, Command, FORMAT, Flag, Parsed};
use crate::cli::{Cli, complain, print};
use crate::config::contexts::{Contexts, DEFAULT};
use crate::error::Error;
use crate::format::table::{Column, Format, Layout, any, text};
use crate::format::text::ellipsis;
use crate::template::Value;

pub static COMMAND: Command = Command {
    usage: "[OPTIONS]",
    about: "List contexts",
    arity: Arity::None,
    interspersed: true,
    flags: &[&[FORMAT, Flag::bool("quiet", "Show names only").short('q')]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

const TABLE: &str = r"{{.Name}}{{if .Current}} *{{end}}\t{{.Description}}\t{{.DockerEndpoint}}\t{{.Error}}";

struct Row {
    name: String,
    description: String,
    host: String,
    current: bool,
    error: String,
}

static COLUMNS: &[Column<Row>] = &[
    text("Name", "NAME", |row| row.name.clone()),
    text("Description", "DESCRIPTION", |row| row.description.clone()),
    text("DockerEndpoint", "DOCKER ENDPOINT", |row| row.host.clone()),
    any("Current", "", |row| Value::Bool(row.current)),
    text("Error", "ERROR", |row| ellipsis(&row.error, 45)),
];

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let current = cli.context_name()?;
    let mut rows = vec![Row {
        name: DEFAULT.into(),
        description: super::create::DEFAULT_DESCRIPTION.into(),
        host: super::create::default_endpoint(cli)?.0.host,
        current: current == DEFAULT,
        error: String::new(),
    }];
    for context in Contexts::new(&cli.config()?.dir).list()? {
        rows.push(Row {
            current: current == context.name,
            host: context.docker().host,
            description: context.metadata.description,
            name: context.name,
            error: String::new(),
        });
    }
    if !rows.iter().any(|row| row.current) {
        let error = format!("context \"{current}\": context not found");
        rows.push(Row {
            name: current.clone(),
            description: String::new(),
            host: String::new(),
            current: true,
            error,
        });
    }
    rows.sort_by(|a, b| crate::volume::list::natural(&a.name, &b.name));
    let quiet = args.bool("quiet").then_some("{{.Name}}");
    let format = Format::new(args.get("format").unwrap_or_default(), TABLE, quiet);
    print(format.render(Layout { columns: COLUMNS, go_type: "*formatter.clientContextContext" }, rows)?)?;
    if std::env::var_os("DOCKER_HOST").is_some() && cli.globals.context.is_none() && !args.bool("quiet") {
        complain(
            "Warning: DOCKER_HOST environment variable overrides the active context. To use a context, either set the global --context flag, or unset DOCKER_HOST environment variable.",
        );
    }
    Ok(0)
}
