//! The two sides.

use crate::args::Arguments;
use crate::error::{Error, step};
use crate::volume::podman;
use api_types::{ContainerInspect, ImageSummary, Network, SystemInfo, Version, Volume, VolumeList};
use cli::config::{Config, contexts::Contexts, directory};
use cli::connect::client::segment;
use cli::connect::endpoint::{self, Endpoint};
use cli::connect::{Client, Query, Request, host::Host};
use serde::Deserialize;

pub(crate) struct Engine {
    pub(crate) client: Client,
    /// For people: address and kind.
    pub(crate) name: String,
    pub(crate) is_podman: bool,
    /// It exports volumes as Podman does since 5.6; see [`podman::is_offered`].
    pub(crate) exports: bool,
    pub(crate) info: SystemInfo,
}

pub(crate) struct Engines {
    pub(crate) from: Engine,
    pub(crate) to: Engine,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Listed {
    id: String,
    labels: Option<api_types::Map<String>>,
}

/// Marks containers that this program makes, with the volume's name.
pub(crate) const LABEL: &str = "lichen.migrate.volume";
/// Marks the one of them that says, as long as it is there, that the volume which names it is not complete.
pub(crate) const INCOMPLETE: &str = "lichen.migrate.incomplete";
/// On a volume: the ID of the container that was made to say that. A volume's labels cannot be changed, so that it stays
/// when the container has gone and the volume is complete.
pub(crate) const MARK: &str = "lichen.migrate.mark";

/// A container that this program made.
pub(crate) struct Helper {
    pub(crate) id: String,
    pub(crate) volume: String,
    pub(crate) incomplete: bool,
}

impl Helper {
    /// Whether this says that the volume is not complete. One of its name that somebody else made does not name it.
    pub(crate) fn marks(&self, volume: &Volume) -> bool {
        self.incomplete && self.volume == volume.name && volume.labels.get(MARK) == Some(&self.id)
    }
}

impl Engines {
    pub(crate) async fn connect(arguments: &Arguments) -> Result<Self, Error> {
        let chosen =
            arguments.to.clone().or_else(|| std::env::var("DOCKER_HOST").ok().filter(|h| !h.is_empty()));
        let to = match chosen {
            Some(text) => endpoint(&text)?,
            None => Endpoint { host: endpoint::default_host(), tls: None },
        };
        let mut from = Engine::connect(endpoint(&arguments.from)?).await?;
        from.exports = from.is_podman && podman::is_offered(&from).await?;
        let engines = Self { from, to: Engine::connect(to).await? };
        if !engines.from.info.id.is_empty() && engines.from.info.id == engines.to.info.id {
            return Err(Error::Same(engines.from.name, engines.to.name));
        }
        Ok(engines)
    }
}

/// An address, or the name of a context, which may have keys for TLS.
fn endpoint(text: &str) -> Result<Endpoint, Error> {
    let usage = |error: &dyn std::fmt::Display| Error::Usage(format!("{text}: {error}"));
    if !text.contains("://") {
        let config = Config::load(directory(None)).map_err(|error| usage(&error))?;
        if Contexts::new(&config.dir).get(text).is_ok() {
            return endpoint::of_context(text, &config).map_err(|error| usage(&error));
        }
    }
    let host = Host::parse(text).map_err(|error| usage(&error))?;
    Ok(Endpoint { host, tls: None })
}

impl Engine {
    async fn connect(endpoint: Endpoint) -> Result<Self, Error> {
        let address = endpoint.host.display();
        let client = Client::new(endpoint, Vec::new(), "lichen-migrate");
        let version: Version = client
            .json(Request::get("/version"))
            .await
            .map_err(step(format!("ask {address} for its version")))?;
        let info =
            client.json(Request::get("/info")).await.map_err(step(format!("ask {address} about itself")))?;
        let is_podman = version.components.iter().any(|c| c.name.contains("Podman"));
        let kind = match version.components.first() {
            // Lichen and Docker call themselves so; who they are is the platform, which not every build of Docker tells.
            Some(component) if component.name == "Engine" => {
                let name = version.platform.name.as_str();
                format!(" ({} {})", if name.is_empty() { "Docker Engine" } else { name }, component.version)
            }
            Some(component) => format!(" ({} {})", component.name, component.version),
            None => String::new(),
        };
        Ok(Self { client, name: format!("{address}{kind}"), is_podman, exports: false, info })
    }

    /// Which it is: an address alone does not tell, over ssh least of all.
    pub(crate) fn described(&self) -> String {
        format!("{} on {}, below {}", self.name, self.info.name, self.info.docker_root_dir)
    }

    /// Whether archives of its volumes give all files to one user.
    pub(crate) fn files_lack_owners(&self) -> bool {
        self.is_podman && !self.exports
    }

    pub(crate) async fn images(&self) -> Result<Vec<ImageSummary>, Error> {
        self.client
            .json(Request::get("/images/json"))
            .await
            .map_err(step(format!("list the images of {}", self.name)))
    }

    pub(crate) async fn volumes(&self) -> Result<Vec<Volume>, Error> {
        let list: VolumeList = self
            .client
            .json(Request::get("/volumes"))
            .await
            .map_err(step(format!("list the volumes of {}", self.name)))?;
        Ok(list.volumes)
    }

    pub(crate) async fn networks(&self) -> Result<Vec<Network>, Error> {
        self.client
            .json(Request::get("/networks"))
            .await
            .map_err(step(format!("list the networks of {}", self.name)))
    }

    /// All but those that this program made.
    pub(crate) async fn containers(&self) -> Result<Vec<ContainerInspect>, Error> {
        let mut found = Vec::new();
        for listed in self.listed().await?.into_iter().filter(|c| c.volume().is_none()) {
            found.push(self.inspect(&listed.id).await?);
        }
        Ok(found)
    }

    pub(crate) async fn helpers(&self) -> Result<Vec<Helper>, Error> {
        let listed = self.listed().await?;
        Ok(listed.into_iter().filter_map(Listed::helper).collect())
    }

    async fn listed(&self) -> Result<Vec<Listed>, Error> {
        let request = Request::get("/containers/json").query(Query::new().flag("all", true));
        self.client.json(request).await.map_err(step(format!("list the containers of {}", self.name)))
    }

    pub(crate) async fn inspect(&self, container: &str) -> Result<ContainerInspect, Error> {
        let path = format!("/containers/{}/json", segment(container));
        self.client.json(Request::get(path)).await.map_err(step(format!("inspect container {container}")))
    }

    pub(crate) async fn remove_container(&self, id: &str) -> Result<(), Error> {
        let request = Request::delete(format!("/containers/{}", segment(id)));
        self.client.run(request).await.map_err(step(format!("remove container {id} of {}", self.name)))
    }
}

impl Listed {
    fn volume(&self) -> Option<&str> {
        self.labels.as_ref()?.get(LABEL).map(String::as_str)
    }

    fn helper(self) -> Option<Helper> {
        let volume = self.volume()?.to_owned();
        let incomplete = self.labels.as_ref()?.contains_key(INCOMPLETE);
        Some(Helper { id: self.id, volume, incomplete })
    }
}
