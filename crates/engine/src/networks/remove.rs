//! `docker network rm`

use crate::{Engine, Error, blocking};
use network::{Error as NetworkError, Network};
use std::{
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

/// How long a container that has just been removed may take to leave its networks.
const SETTLING: Duration = Duration::from_secs(2);

/// Removes a network that no running container is on.
pub async fn remove(engine: &Arc<Engine>, reference: &str) -> Result<(), Error> {
    let (engine, reference) = (engine.clone(), reference.to_owned());
    blocking("remove network", move || {
        let removed = remove_settled(&engine, &reference)?;
        super::publish(&engine, "destroy", &removed, None);
        Ok(())
    })
    .await?
}

/// A container's interfaces go shortly after its removal was answered, several at a time; clients remove the network in
/// the next breath.
fn remove_settled(engine: &Engine, reference: &str) -> Result<Network, NetworkError> {
    let deadline = Instant::now() + SETTLING;
    loop {
        match engine.networks.remove(reference) {
            Err(NetworkError::InUse { .. })
                if Instant::now() < deadline && is_settling(engine, reference) =>
            {
                sleep(Duration::from_millis(5));
            }
            outcome => return outcome,
        }
    }
}

/// Whether nobody is on it whom an inspection would show.
fn is_settling(engine: &Engine, reference: &str) -> bool {
    engine.networks.get(reference).is_ok_and(|network| engine.networks.attached(&network.id).is_empty())
}
