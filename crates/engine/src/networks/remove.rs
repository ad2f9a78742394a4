//! `docker network rm`

use crate::{Engine, Error, blocking};
use std::sync::Arc;

/// Removes a network that no running container is on.
pub async fn remove(engine: &Arc<Engine>, reference: &str) -> Result<(), Error> {
    let (engine, reference) = (engine.clone(), reference.to_owned());
    blocking("remove network", move || {
        let removed = engine.networks.remove(&reference)?;
        super::publish(&engine, "destroy", &removed, None);
        Ok(())
    })
    .await?
}
