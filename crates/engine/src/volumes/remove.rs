//! `docker volume rm`

use crate::{Engine, Error, blocking};
use std::sync::Arc;

/// Removes a volume that no container uses. With `force` one that does not exist is no error.
pub async fn remove(engine: &Arc<Engine>, name: &str, force: bool) -> Result<(), Error> {
    let (engine, name) = (engine.clone(), name.to_owned());
    blocking("remove volume", move || match engine.volumes.remove(&name) {
        Ok(()) => {
            super::publish(&engine, "destroy", &name);
            Ok(())
        }
        Err(volume::Error::NotFound { .. }) if force => Ok(()),
        Err(error) => Err(error.into()),
    })
    .await?
}
