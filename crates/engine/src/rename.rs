//! `rename`.

use crate::{Engine, Error, blocking, container::names, detached, events::Kind};
use std::sync::Arc;

/// Gives a container another name.
///
/// # Errors
/// [`Error::InvalidName`], [`Error::NameInUse`], [`Error::SameName`].
pub async fn rename(engine: &Arc<Engine>, reference: &str, new: &str) -> Result<(), Error> {
    let container = engine.containers.find(reference)?;
    if new.is_empty() {
        return Err(Error::NoNewName);
    }
    let new = names::parse(new)?.to_owned();
    let engine = engine.clone();
    detached("rename", async move {
        let _verb = container.lock().await;
        let old = container.record().name.clone();
        if old == new {
            return Err(Error::SameName);
        }
        let claim = engine.containers.claim_name(&new, container.id())?;
        if container.record().state.run().is_some() {
            let (engine, id, new) = (engine.clone(), container.id().clone(), new.clone());
            blocking("rename", move || engine.networks.rename(&id, &new)).await??;
        }
        container.update(|record| record.name.clone_from(&new))?;
        claim.keep();
        engine.containers.release_name(&old);
        let mut attributes = container.record().attributes();
        attributes.insert("oldName".to_owned(), format!("/{old}"));
        engine.events.publish(Kind::Container, "rename", container.id().as_str(), attributes);
        Ok(())
    })
    .await
}
