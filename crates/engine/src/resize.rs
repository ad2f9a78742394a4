//! `resize` of a container's or exec session's terminal.

use crate::{Engine, Error, exec};
use model::Id;
use shim_proto::{Target, WindowSize};

/// # Errors
/// [`Error::NotRunning`].
pub async fn resize(engine: &Engine, reference: &str, rows: u16, columns: u16) -> Result<(), Error> {
    let container = engine.containers.find(reference)?;
    if container.record().state.run().is_none() {
        return Err(Error::NotRunning { id: container.id().to_string() });
    }
    container.live.shim()?.resize(Target::Init, WindowSize { rows, columns }).await?;
    let mut attributes = container.record().attributes();
    attributes.insert("height".to_owned(), rows.to_string());
    attributes.insert("width".to_owned(), columns.to_string());
    engine.events.publish(crate::events::Kind::Container, "resize", container.id().as_str(), attributes);
    Ok(())
}

/// # Errors
/// [`Error::NoSuchExec`], [`Error::ExecNotRunning`].
pub async fn resize_exec(engine: &Engine, reference: &str, rows: u16, columns: u16) -> Result<(), Error> {
    let session = engine.execs.find(reference)?;
    if !session.is_running() {
        return Err(Error::ExecNotRunning { id: reference.to_owned() });
    }
    let target = Target::Exec(Id::clone(&session.id));
    let container = exec::container(engine, &session)?;
    Ok(container.live.shim()?.resize(target, WindowSize { rows, columns }).await?)
}
