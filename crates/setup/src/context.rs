//! The command line's context `rootless`, in the store that docker's client shares.

use crate::Result;
use crate::undo::Undo;
use cli::config::contexts::{Context, Contexts, DEFAULT, Endpoint};
use cli::config::{Config, ConfigError, directory};
use cli::say;

pub const NAME: &str = "rootless";

fn contexts() -> Contexts {
    Contexts::new(&directory(None))
}

/// Creates and selects it; one that exists is kept and selected.
pub fn create(host: &str, undo: &mut Undo) -> Result<()> {
    let contexts = contexts();
    match contexts.get(NAME) {
        Ok(context) if context.docker().host == host => {
            say!("[INFO] CLI context \"{NAME}\" already exists");
        }
        Ok(context) => say!(
            "[WARNING] CLI context \"{NAME}\" already exists and leads to {:?}; for this engine: lichen context update {NAME} --docker host={host}",
            context.docker().host
        ),
        Err(ConfigError::NoContext { .. }) => {
            say!("[INFO] Creating CLI context \"{NAME}\"");
            let mut context = Context { name: NAME.to_owned(), ..Context::default() };
            context.metadata.description = "Rootless mode".to_owned();
            let endpoint = Endpoint { host: host.to_owned(), ..Endpoint::default() };
            context.endpoints.insert("docker".to_owned(), endpoint);
            contexts.save(&context)?;
            undo.push(|| Ok(self::contexts().remove(NAME)?));
            say!("Successfully created context \"{NAME}\"");
        }
        Err(error) => return Err(error.into()),
    }
    let before = Config::load(directory(None))?.file.current_context;
    say!("[INFO] Using CLI context \"{NAME}\"");
    if before != NAME {
        select(NAME)?;
        undo.push(move || select(&before));
        say!("Current context is now \"{NAME}\"\n");
    }
    Ok(())
}

/// Selects `default`, if `rootless` was selected, and removes it.
pub fn remove() -> Result<()> {
    if Config::load(directory(None))?.file.current_context == NAME {
        select("")?;
        say!("[INFO] Configured CLI to use the \"{DEFAULT}\" context.");
    }
    match contexts().remove(NAME) {
        Ok(()) => say!("[INFO] Deleted CLI context \"{NAME}\""),
        Err(ConfigError::NoContext { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// An empty name is the default.
fn select(name: &str) -> Result<()> {
    let mut config = Config::load(directory(None))?;
    name.clone_into(&mut config.file.current_context);
    Ok(config.save()?)
}
