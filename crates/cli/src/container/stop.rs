//! `stop` and `restart`

use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::{Cli, each};
use crate::connect::{Query, Request};
use crate::error::Error;

static FLAGS: &[Flag] = &[
    Flag::string("signal", "Signal that asks the process to stop").short('s'),
    Flag::int("time", "Seconds to wait before it is killed").hidden(),
    Flag::int("timeout", "Seconds to wait before it is killed").short('t'),
];

pub static STOP: Command = Command {
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Stop one or more running containers",
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[FLAGS],
    action: Action::Run(|cli, args| Box::pin(run(cli, args, "/stop"))),
};

pub static RESTART: Command = Command {
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Restart one or more containers",
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[FLAGS],
    action: Action::Run(|cli, args| Box::pin(run(cli, args, "/restart"))),
};

async fn run(cli: &Cli, args: &Parsed, verb: &str) -> Result<i32, Error> {
    if args.given("time") && args.given("timeout") {
        return Err(Error::invalid("conflicting options: cannot specify both --timeout and --time"));
    }
    let timeout = args.int("timeout").or_else(|| args.int("time"));
    let query = Query::new()
        .non_empty("signal", &args.text("signal"))
        .opt("t", timeout.map(|seconds| seconds.to_string()));
    let client = cli.client()?;
    at_once(&args.args, async |name| {
        client.run(Request::post(super::path(name, verb)).query(query.clone())).await
    })
    .await
}

/// Runs a request for all containers at once, for those that take their time, and prints names in order.
pub async fn at_once<F>(names: &[String], one: F) -> Result<i32, Error>
where
    F: AsyncFn(&str) -> Result<(), Error>,
{
    let results = futures_util::future::join_all(names.iter().map(|name| one(name))).await;
    let mut results = names.iter().zip(results).map(|(name, result)| result.map(|()| name.clone()));
    each(names, async |_| results.next().unwrap_or_else(|| Ok(String::new()))).await
}
