//! Podman's own way out of a volume: `/libpod/volumes/{name}/export`, since 5.6.0.
//!
//! Its archive tells who owns each file, which that of Docker's interface does not: there Podman gives all of it to the
//! container's user (libpod's copyToArchive). It says nothing about the volume's own directory: that has the mode as
//! Docker's interface tells it, and the owner as Podman has noted it.

use crate::engines::Engine;
use crate::error::{Error, step};
use api_types::Volume;
use cli::connect::Request;
use cli::connect::client::{Response, segment};
use serde::Deserialize;

/// Of `/libpod/volumes/{name}/json`; 0 is left out there.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Noted {
    #[serde(rename = "UID")]
    uid: u32,
    #[serde(rename = "GID")]
    gid: u32,
}

fn path(volume: &str, what: &str) -> String {
    format!("/libpod/volumes/{}/{what}", segment(volume))
}

/// Whether the engine has it: asked for a volume that cannot be, it says so, while one that does not know the path says
/// `Not Found` and no more.
pub(crate) async fn is_offered(engine: &Engine) -> Result<bool, Error> {
    match engine.client.run(Request::get(path("-", "export"))).await {
        Err(cli::error::Error::Api { status: 404, message }) => Ok(message.contains("no such volume")),
        // It has something to say of the path, so it knows it.
        Err(cli::error::Error::Api { .. }) | Ok(()) => Ok(true),
        Err(error) => Err(step(format!("ask {} how it exports volumes", engine.name))(error)),
    }
}

pub(super) async fn export(engine: &Engine, volume: &Volume) -> Result<Response, Error> {
    let request = Request::get(path(&volume.name, "export"));
    engine.client.send(request).await.map_err(step(format!("read volume {} of {}", volume.name, engine.name)))
}

/// The owner of the volume's own directory.
pub(super) async fn owner(engine: &Engine, volume: &Volume) -> Result<(u32, u32), Error> {
    let noted: Result<Noted, _> = engine.client.json(Request::get(path(&volume.name, "json"))).await;
    let noted = noted.map_err(step(format!("inspect volume {} of {}", volume.name, engine.name)))?;
    Ok((noted.uid, noted.gid))
}
