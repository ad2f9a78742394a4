//! What is stored of a container.

use super::State;
use api_types::{ContainerConfig, EndpointSettings, Health, HostConfig, Map};
use model::{Digest, Id, Timestamp};
use serde::{Deserialize, Serialize};

/// One container, as it was asked for and as it stands. Stored whole under its ID.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub id: Id,
    /// Without the leading slash that Docker shows.
    pub name: String,
    pub created: Timestamp,
    /// The image's ID; `config.image` has the reference that was asked for. None for a container without an image.
    pub image: Option<Digest>,
    /// Image and request merged.
    #[serde(with = "wire")]
    pub config: ContainerConfig,
    /// As asked for, with defaults filled in.
    #[serde(with = "wire")]
    pub host_config: HostConfig,
    /// Networks to join, by the name asked for, with what was asked of each.
    #[serde(with = "wire")]
    pub networks: Map<EndpointSettings>,
    pub mounts: Vec<Mount>,
    pub state: State,
    /// How many runs have ended: tells a waiter that one ended even when the next has begun meanwhile.
    pub exits: u64,
    /// How often the restart policy has started it again since a client last did.
    pub restart_count: u32,
    /// A client stopped or killed it, so `unless-stopped` leaves it alone.
    pub stopped_by_client: bool,
    #[serde(with = "wire")]
    pub health: Option<Health>,
    /// A verb of several steps is under way; see [`Pending`].
    pub pending: Option<Pending>,
    /// The container is no longer there; what is left is told to those who wait for its removal.
    #[serde(skip)]
    pub gone: bool,
}

/// A verb that has begun and not ended. A new engine that finds one undoes what the verb had done.
///
/// Removal is not here: its state, [`State::Removing`], is what clients see, and a new engine goes on with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pending {
    /// `create`: remove the tree, the directory, the volumes made for it, and the record.
    Creating,
    /// `start`: adopt the run if the shim says that it has begun; otherwise end the shim and release the network.
    Starting,
}

/// Something mounted below the container's root.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mount {
    pub kind: MountKind,
    /// Absolute and clean, in the container.
    pub destination: String,
    /// The host path of a bind or volume; of an image, where its topmost layer is.
    pub source: String,
    /// The volume's name; the image's reference, as asked for.
    pub name: String,
    /// The volume's driver.
    pub driver: String,
    /// The third part of `-v`, as given.
    pub mode: String,
    pub rw: bool,
    /// As mount(8) names them; empty for tmpfs and volumes that were not given one.
    pub propagation: String,
    /// Below the source.
    pub subpath: String,
    /// The volume was made for this container alone, and may go with it.
    pub anonymous: bool,
    /// A missing source is made as a directory (`-v`, `create-mountpoint`).
    pub create_source: bool,
    /// Submounts of the source are left out.
    pub non_recursive: bool,
    /// Submounts stay writable in a read-only mount.
    pub read_only_non_recursive: bool,
    /// Fail rather than leave submounts writable.
    pub read_only_force_recursive: bool,
    /// mount(8) options of a tmpfs.
    pub options: Vec<String>,
    /// The image that is mounted.
    pub image: Option<MountedImage>,
}

/// An image at the time of the container's creation. Its layers stay as long as the container does, whatever becomes of
/// the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountedImage {
    pub id: Digest,
    /// The topmost layer; none of an image without layers.
    pub layer: Option<Digest>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MountKind {
    #[default]
    Bind,
    Volume,
    Tmpfs,
    Image,
}

impl MountKind {
    /// The API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Volume => "volume",
            Self::Tmpfs => "tmpfs",
            Self::Image => "image",
        }
    }
}

/// Wire structures are written with Go's nulls for empty lists, so they are read back by Go's rules.
mod wire {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, de::Error};

    pub(super) fn serialize<T: Serialize, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }

    pub(super) fn deserialize<'de, T: DeserializeOwned, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        api_types::go::from_value(serde_json::Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Record {
    /// Entry point and command: what is executed.
    pub fn command(&self) -> Vec<String> {
        let part = |part: &Option<Vec<String>>| part.clone().unwrap_or_default();
        [part(&self.config.entrypoint), part(&self.config.cmd)].concat()
    }

    /// The volumes it uses, by name.
    pub fn volumes(&self) -> impl Iterator<Item = &Mount> {
        self.mounts.iter().filter(|m| m.kind == MountKind::Volume)
    }

    /// The attributes of its events: its labels, image and name.
    pub fn attributes(&self) -> Map<String> {
        let mut attributes = self.config.labels.clone();
        attributes.insert("image".to_owned(), self.config.image.clone());
        attributes.insert("name".to_owned(), self.name.clone());
        attributes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::testing;

    #[track_caller]
    fn survives(record: &Record) {
        let json = serde_json::to_string(record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&json).unwrap(), *record, "{json}");
    }

    #[test]
    fn empty_and_full_records_survive_the_store() {
        let mut record = testing::record(Id::random(), "web");
        survives(&record);
        record.health = Some(Health { status: "starting".into(), ..Health::default() });
        record.networks.insert("bridge".into(), EndpointSettings::default());
        record.config.cmd = Some(Vec::new());
        record.config.labels.insert("a".into(), "b".into());
        record.host_config.masked_paths = Some(Vec::new());
        record.host_config.binds = vec!["/a:/b".into()];
        record.mounts = vec![Mount { kind: MountKind::Volume, name: "v".into(), ..Mount::default() }];
        record.pending = Some(Pending::Starting);
        survives(&record);
    }
}
