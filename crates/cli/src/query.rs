//! One question to an engine, for programs that are not this client.

use serde_json::Value;

use crate::cli::{Cli, Globals};
use crate::connect::client::Request;

/// What the engine at `host` (`unix://…`, `tcp://…`, `ssh://…`) answers to `GET path`. An error is one line.
pub fn get_json(host: &str, path: &str) -> Result<Value, String> {
    let globals = Globals { hosts: vec![host.to_owned()], ..Globals::default() };
    let cli = Cli::new("lichen", globals);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let answer = runtime.block_on(async { cli.client()?.json(Request::get(path)).await });
    answer.map_err(|error: crate::error::Error| error.to_string())
}
