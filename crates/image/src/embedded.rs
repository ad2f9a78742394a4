//! The image inside the engine: `lichen/hello:latest`, for a first container without any registry.
//!
//! It is an archive like any other, made in memory and loaded the way `docker load` loads.

use crate::{
    ContainerConfig, Image, ImageConfig, ImageStore, LoadOptions, Message, Platform, Progress, Pulled,
    Reference, Result,
    chain::digest_of,
    config::{History, RootFs},
    task,
};
use archive::{
    read::Kind,
    write::{Member, TarWriter},
};
use model::Digest;
use std::{io, sync::Arc};

/// Its name, familiar.
pub const NAME: &str = "lichen/hello";

static PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hello"));

/// Always the same, so that the same engine has the same image ID everywhere.
const CREATED: &str = "2026-11-22T00:00:00Z";

impl ImageStore {
    /// Makes sure that `lichen/hello:latest`, the image inside the engine, is there; gives its ID.
    pub async fn ensure_embedded(&self) -> Result<Digest> {
        let name = Reference::parse(NAME)?.or_latest();
        match self.named(&name) {
            Some(image) => Ok(image.id.clone()),
            None => self.pull_embedded(&name, &Progress::none()).await.map(|pulled| pulled.image),
        }
    }

    /// Whether a pull of this reference means the image inside the engine.
    pub fn is_embedded(&self, reference: &Reference) -> bool {
        let latest = reference.clone().or_latest();
        latest.familiar_name() == NAME
            && latest.tag() == Some(crate::reference::DEFAULT_TAG)
            && latest.digest().is_none()
    }

    fn named(&self, name: &Reference) -> Option<Arc<Image>> {
        let catalog = self.catalog();
        catalog.names.get(name).and_then(|id| catalog.images.get(id)).cloned()
    }

    pub(crate) async fn pull_embedded(&self, name: &Reference, progress: &Progress) -> Result<Pulled> {
        let tag = name.tag().unwrap_or_default();
        progress.send(Message::about(tag, format!("Pulling from {}", name.path())));
        let before = self.named(name).map(|image| image.id.clone());
        let (store, options) = (self.clone(), LoadOptions { quiet: true, ..LoadOptions::default() });
        let loaded = task::blocking("load", move || {
            let archive =
                archive().map_err(|source| crate::Error::Stream { operation: "write archive", source })?;
            store.load_blocking(&archive[..], &options, &Progress::none())
        })
        .await?;
        let image = loaded.into_iter().next().map(|loaded| loaded.image);
        let image = image.ok_or(crate::Error::NoSuchImage { familiar: name.familiar() })?;
        let newer = before.as_ref() != Some(&image);
        let pulled = Pulled { reference: name.clone(), digest: image.clone(), image, newer };
        progress.send(Message::status(crate::pull::outcome(&pulled)));
        Ok(pulled)
    }
}

/// The image as docker-archive.
fn archive() -> io::Result<Vec<u8>> {
    let layer = tar(&[("hello", 0o755, PROGRAM)])?;
    let platform = Platform::host();
    let history = History {
        created: Some(CREATED.to_owned()),
        created_by: "lichen: the image inside the engine".to_owned(),
        ..History::default()
    };
    let config = ImageConfig {
        architecture: platform.architecture,
        variant: platform.variant,
        os: platform.os,
        created: Some(CREATED.to_owned()),
        config: ContainerConfig {
            env: vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()],
            cmd: Some(vec!["/hello".to_owned()]),
            working_dir: "/".to_owned(),
            ..ContainerConfig::default()
        },
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids: vec![digest_of(&layer)] },
        history: vec![history],
        ..ImageConfig::default()
    };
    let manifest =
        format!(r#"[{{"Config":"config.json","RepoTags":["{NAME}:latest"],"Layers":["layer.tar"]}}]"#);
    tar(&[
        ("config.json", 0o644, &config.to_bytes()),
        ("layer.tar", 0o644, &layer),
        ("manifest.json", 0o644, manifest.as_bytes()),
    ])
}

fn tar(files: &[(&str, u32, &[u8])]) -> io::Result<Vec<u8>> {
    let mut tar = TarWriter::new(Vec::new());
    for (path, mode, bytes) in files {
        let (path, size) = (path.as_bytes(), bytes.len() as u64);
        let member = Member {
            kind: Kind::File,
            path,
            link: b"",
            mode: *mode,
            uid: 0,
            gid: 0,
            mtime: 0,
            size,
            device: (0, 0),
            xattrs: Vec::new(),
        };
        tar.member(&member)?;
        tar.data(bytes)?;
    }
    tar.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt, process::Command};

    #[test]
    fn the_program_is_small_static_and_greets() {
        assert!(PROGRAM.len() < 16 << 10, "{} bytes", PROGRAM.len());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hello");
        fs::write(&path, PROGRAM).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let output = Command::new(&path).env_clear().output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8(output.stdout).unwrap().starts_with("Hello from Lichen!\n"));
    }
}
