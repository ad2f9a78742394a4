//! `context rm`

use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::{Cli, each};
use crate::config::ConfigError;
use crate::config::contexts::{Contexts, DEFAULT};
use crate::error::Error;

pub static COMMAND: Command = Command {
    usage: "CONTEXT [CONTEXT...]",
    about: "Remove one or more contexts",
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[&[Flag::bool("force", "Remove a context that is in use").short('f')]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let force = args.bool("force");
    let contexts = Contexts::new(&cli.config()?.dir);
    let mut config = cli.config_copy()?;
    each(&args.args, async |name| {
        if name == DEFAULT {
            return Err(Error::invalid("context \"default\" cannot be removed"));
        }
        if config.file.current_context == name {
            if !force {
                return Err(Error::invalid(format!(
                    "context \"{name}\" is in use, set -f flag to force remove"
                )));
            }
            config.file.current_context.clear();
            config.save()?;
        }
        match contexts.remove(name) {
            Err(ConfigError::NoContext { .. }) if force => {}
            Err(ConfigError::NoContext { name, .. }) => {
                return Err(Error::Invalid(format!("context \"{name}\" does not exist")));
            }
            other => other?,
        }
        Ok(name.to_owned())
    })
    .await
}
