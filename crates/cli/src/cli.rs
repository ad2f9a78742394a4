//! What every command shares: global options, configuration, the connection, and output.

use std::cell::OnceCell;
use std::io::{IsTerminal as _, Write as _};

use crate::config::Config;
use crate::connect::{Client, endpoint};
use crate::error::Error;

/// Options before the command.
#[derive(Debug, Default, Clone)]
pub struct Globals {
    pub config_dir: Option<String>,
    pub context: Option<String>,
    pub hosts: Vec<String>,
    pub tls: bool,
    pub tlsverify: Option<bool>,
    pub tlscacert: Option<String>,
    pub tlscert: Option<String>,
    pub tlskey: Option<String>,
    pub debug: bool,
}

pub struct Cli {
    /// The name by which the user called: `docker` or `lichen`.
    pub program: String,
    pub globals: Globals,
    config: OnceCell<Config>,
    client: OnceCell<Client>,
}

impl Cli {
    pub fn new(program: &str, globals: Globals) -> Self {
        Self { program: program.to_owned(), globals, config: OnceCell::new(), client: OnceCell::new() }
    }

    pub fn config(&self) -> Result<&Config, Error> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let config = Config::load(crate::config::directory(self.globals.config_dir.as_deref()))?;
        Ok(self.config.get_or_init(|| config))
    }

    /// The configuration to change and save.
    pub fn config_copy(&self) -> Result<Config, Error> {
        let config = self.config()?;
        Ok(Config { dir: config.dir.clone(), file: config.file.clone() })
    }

    pub fn client(&self) -> Result<&Client, Error> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let config = self.config()?;
        let endpoint = endpoint::resolve(&self.globals, config)?;
        let headers = config.file.http_headers.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        Ok(self.client.get_or_init(|| Client::new(endpoint, headers, &self.program)))
    }

    /// The context in use.
    pub fn context_name(&self) -> Result<String, Error> {
        Ok(endpoint::current_context(&self.globals, self.config()?))
    }

    /// A `--format`, or config.json's default for this kind of list.
    pub fn format(&self, given: Option<&str>, config_key: &str) -> Result<String, Error> {
        match given {
            Some(format) if !format.is_empty() => Ok(format.to_owned()),
            _ => Ok(self.config()?.default_format(config_key)),
        }
    }
}

/// Writes to standard output.
pub fn print(text: impl AsRef<[u8]>) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_ref()).and_then(|()| out.flush()).map_err(Error::io("write stdout"))
}

/// Writes a line to standard output.
pub fn println(text: impl std::fmt::Display) -> Result<(), Error> {
    print(format!("{text}\n"))
}

/// Writes a line to standard error. There is nowhere to report a failure of that.
pub fn complain(text: impl std::fmt::Display) {
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

/// Runs `one` for each name, printing what it returns; failures are printed at the end of all, as docker does.
pub async fn each<F>(names: &[String], mut one: F) -> Result<i32, Error>
where
    F: AsyncFnMut(&str) -> Result<String, Error>,
{
    let mut errors = Vec::new();
    for name in names {
        match one(name).await {
            Ok(line) => println(line)?,
            Err(error) => errors.push(error),
        }
    }
    Error::collect(errors).map(|()| 0)
}

/// Asks before something is destroyed; only `y` is yes. At the end of input: no.
pub fn confirm(question: &str) -> Result<bool, Error> {
    print(format!("{question} [y/N] "))?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(Error::io("read stdin"))?;
    if answer.is_empty() {
        println("")?;
    }
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}

pub fn stdin_is_terminal() -> bool {
    std::io::stdin().is_terminal()
}

pub fn stdout_is_terminal() -> bool {
    std::io::stdout().is_terminal()
}
