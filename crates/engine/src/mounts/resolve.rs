//! From a request to recorded mounts: collects what was asked for, in Docker's order, and makes the volumes.

use super::{MountError, Reason, clean, parse, parse::Wanted};
use crate::{
    Error,
    container::{Record, Registry, record::Mount, record::MountKind},
    create::Invalid,
};
use api_types::{ContainerConfig, HostConfig};
use model::Id;
use std::{collections::BTreeMap, path::Path};

/// What a container will mount, by destination: volumes of other containers, then binds, then mounts, each replacing
/// an earlier kind at the same place; then anonymous volumes where nothing is yet.
pub(crate) fn collect(
    config: &ContainerConfig,
    host: &HostConfig,
    containers: &Registry,
) -> Result<Vec<Wanted>, Error> {
    let mut wanted = BTreeMap::new();
    for spec in &host.volumes_from {
        let (reference, writable) = parse::volumes_from(spec).map_err(Invalid::Mount)?;
        let missing = |source| Error::OtherContainer { source: Box::new(source) };
        let donor: std::sync::Arc<Record> = containers.find(reference).map_err(missing)?.record();
        for mount in donor.mounts.iter().filter(|m| m.kind != MountKind::Tmpfs) {
            let mount = Mount { rw: mount.rw && writable, ..mount.clone() };
            wanted.insert(mount.destination.clone(), Wanted { mount, ..Wanted::default() });
        }
    }
    for mount in asked(host)? {
        wanted.insert(mount.mount.destination.clone(), mount);
    }
    for path in config.volumes.keys() {
        let destination = clean(path);
        wanted.entry(destination.clone()).or_insert_with(|| anonymous(destination, &host.volume_driver));
    }
    Ok(wanted.into_values().collect())
}

/// `Tmpfs`, `Binds` and `Mounts`, of which no two may have the same destination.
fn asked(host: &HostConfig) -> Result<Vec<Wanted>, Invalid> {
    let mut all: Vec<Wanted> = Vec::new();
    let mut add = |wanted: Wanted| {
        let destination = &wanted.mount.destination;
        if all.iter().any(|m| m.mount.destination == *destination) {
            return Err(MountError::Duplicate { destination: destination.clone() });
        }
        all.push(wanted);
        Ok(())
    };
    for (destination, options) in &host.tmpfs {
        add(Wanted { mount: parse::tmpfs(destination, options)?, ..Wanted::default() })?;
    }
    for spec in &host.binds {
        add(parse::bind(spec, &host.volume_driver)?)?;
    }
    for spec in &host.mounts {
        add(parse::mount(spec)?)?;
    }
    Ok(all)
}

fn anonymous(destination: String, driver: &str) -> Wanted {
    let mount = Mount {
        kind: MountKind::Volume,
        destination,
        driver: driver.to_owned(),
        rw: true,
        anonymous: true,
        ..Mount::default()
    };
    Wanted { mount, copy: true, ..Wanted::default() }
}

/// Names the volumes that were asked for without a name. Their names are recorded before they are made, so that a death
/// in between leaves none that nobody knows.
pub(crate) fn name_volumes(wanted: &mut [Wanted]) {
    for Wanted { mount, volume_labels, .. } in wanted {
        if mount.kind == MountKind::Volume && mount.name.is_empty() {
            mount.name = Id::random().to_string();
            volume_labels.insert(volume::ANONYMOUS_LABEL.to_owned(), String::new());
        }
    }
}

/// Checks the sources of binds, makes or finds the volumes, and keeps them for `holder`. Blocks.
///
/// # Errors
/// Volumes made or held by then stay so: the caller undoes by [`release`] what it recorded, or all of `holder`'s.
pub(crate) fn make(wanted: &mut [Wanted], volumes: &volume::Volumes, holder: &Id) -> Result<(), Error> {
    for Wanted { mount, volume_options, volume_labels, .. } in wanted {
        match mount.kind {
            MountKind::Bind if !mount.create_source && !Path::new(&mount.source).exists() => {
                let reason = Reason::NoSource(mount.source.clone());
                return Err(Invalid::Mount(MountError::Config { kind: "bind".to_owned(), reason }).into());
            }
            MountKind::Volume => {
                let new = volume::NewVolume {
                    name: mount.name.clone(),
                    driver: mount.driver.clone(),
                    labels: volume_labels.clone(),
                    options: volume_options.clone(),
                };
                let volume = volumes.create(new, Some(holder))?;
                mount.source = volumes.mountpoint(&volume.name).display().to_string();
                mount.name = volume.name;
                volume::DRIVER.clone_into(&mut mount.driver);
                // Docker shows the SELinux label it would set, whether or not there is SELinux.
                if mount.mode.is_empty() {
                    "z".clone_into(&mut mount.mode);
                }
            }
            MountKind::Bind | MountKind::Tmpfs | MountKind::Image => {}
        }
    }
    Ok(())
}

/// Lets go of the container's volumes, and removes those that were made for it alone when `remove` is set. A volume
/// that another container uses stays; that is no error. Returns the names of those removed. Blocks.
pub(crate) fn release<'a>(
    mounts: impl IntoIterator<Item = &'a Mount>,
    volumes: &volume::Volumes,
    holder: &Id,
    remove: bool,
) -> (Vec<String>, Vec<Error>) {
    let (mut removed, mut errors) = (Vec::new(), Vec::new());
    for mount in mounts.into_iter().filter(|m| m.kind == MountKind::Volume && !m.name.is_empty()) {
        volumes.release(&mount.name, holder);
        if !(remove && mount.anonymous) {
            continue;
        }
        match volumes.remove(&mount.name) {
            Ok(()) => removed.push(mount.name.clone()),
            Err(volume::Error::InUse { .. } | volume::Error::NotFound { .. }) => {}
            Err(error) => errors.push(error.into()),
        }
    }
    (removed, errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(binds: &[&str]) -> HostConfig {
        HostConfig { binds: binds.iter().map(|b| (*b).to_owned()).collect(), ..HostConfig::default() }
    }

    fn destinations(config: &ContainerConfig, host: &HostConfig) -> Result<Vec<(String, bool)>, String> {
        collect(config, host, &Registry::default())
            .map(|all| all.into_iter().map(|w| (w.mount.destination, w.mount.anonymous)).collect())
            .map_err(|e| e.to_string())
    }

    #[test]
    fn an_image_volume_gives_way_to_a_mount_at_its_place() {
        let config =
            ContainerConfig { volumes: api_types::set(["/data/", "/log"]), ..ContainerConfig::default() };
        assert_eq!(
            destinations(&config, &host(&["cache:/data"])).unwrap(),
            [("/data".to_owned(), false), ("/log".to_owned(), true)]
        );
    }

    #[test]
    fn a_place_is_mounted_once() {
        let config = ContainerConfig::default();
        assert_eq!(
            destinations(&config, &host(&["a:/d", "b:/d/"])).unwrap_err(),
            "Duplicate mount point: /d"
        );
        let mut with_tmpfs = host(&["a:/d"]);
        with_tmpfs.tmpfs.insert("/d".into(), String::new());
        assert_eq!(destinations(&config, &with_tmpfs).unwrap_err(), "Duplicate mount point: /d");
    }
}
