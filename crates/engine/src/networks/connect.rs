//! `docker network connect`, `docker network disconnect`

use super::error::{may_connect, may_disconnect};
use crate::{Engine, Error, blocking, container::Record, etc_files, fault, network_plan};
use api_types::EndpointSettings;
use network::{Error as NetworkError, Network};
use std::sync::Arc;

/// Puts a container on one more network: at once when it runs, at its next start otherwise.
pub async fn connect(
    engine: &Arc<Engine>,
    network: &str,
    container: &str,
    settings: EndpointSettings,
) -> Result<(), Error> {
    let container = engine.containers.find(container)?;
    let _turn = container.lock().await;
    let record = container.record();
    let network = engine.networks.get(network)?;
    may_connect(&record.host_config.network_mode, &network.name)?;
    let running = record.state.run().is_some();
    // A stopped container that has the network already keeps what it has, as in Docker.
    if !running && is_on(engine, &network, container.id()) {
        return Ok(());
    }
    let request = network_plan::endpoint_request(&network.name, &settings)?;
    let (task_engine, id, request_network) = (engine.clone(), container.id().clone(), network.name.clone());
    let task_record = record.clone();
    blocking("connect network", move || {
        let request = network::EndpointRequest { network: request_network, ..request };
        match running {
            true => follow(&task_engine, &task_record, || {
                Ok(task_engine.networks.connect(&id, request).map(drop)?)
            }),
            false => Ok(task_engine.networks.check(&request).map(drop)?),
        }
    })
    .await??;
    fault::point("connect.made");
    container.update(|record| record.networks.insert(network.name.clone(), settings))?;
    super::publish(engine, "connect", &network, Some(container.id()));
    Ok(())
}

/// Takes a container off a network. With `force` a network or container that is not there is no error.
pub async fn disconnect(
    engine: &Arc<Engine>,
    network: &str,
    container: &str,
    force: bool,
) -> Result<(), Error> {
    let found = engine.containers.find(container);
    let container = match found {
        Err(Error::NoSuchContainer { .. }) if force => return Ok(()),
        found => found?,
    };
    let _turn = container.lock().await;
    let record = container.record();
    let network = engine.networks.get(network)?;
    may_disconnect(&record.host_config.network_mode, &network.name)?;
    let users = super::users(engine, &network);
    let Some((_, key)) = users.into_iter().find(|(user, _)| user.id() == container.id()) else {
        let container = record.name.clone();
        return Err(NetworkError::NotConnected { container, network: network.name }.into());
    };
    if record.state.run().is_some() {
        let (engine, id, name) = (engine.clone(), container.id().clone(), network.name.clone());
        let record = record.clone();
        blocking("disconnect network", move || {
            follow(&engine, &record, || match engine.networks.disconnect(&id, &name) {
                // An earlier engine died between taking it off and saying so.
                Err(NetworkError::NotConnected { .. }) => Ok(()),
                other => Ok(other.map(drop)?),
            })
        })
        .await??;
        fault::point("disconnect.made");
    }
    container.update(|record| record.networks.remove(&key))?;
    super::publish(engine, "disconnect", &network, Some(container.id()));
    Ok(())
}

/// Changes a running container's networks, and its files after them. A file that cannot be changed does not undo that.
pub(super) fn follow(
    engine: &Engine,
    record: &Record,
    change: impl FnOnce() -> Result<(), Error>,
) -> Result<(), Error> {
    let endpoints = || engine.networks.sandbox(&record.id).map(|s| s.endpoints).unwrap_or_default();
    let before = endpoints();
    change()?;
    if let Err(error) = etc_files::update(engine, record, &before, &endpoints()) {
        tracing::warn!(%error, container = record.id.short(), "/etc/hosts or /etc/resolv.conf is out of date");
    }
    Ok(())
}

fn is_on(engine: &Engine, network: &Network, container: &model::Id) -> bool {
    super::users(engine, network).iter().any(|(user, _)| user.id() == container)
}
