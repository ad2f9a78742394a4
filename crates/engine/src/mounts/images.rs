//! Mounts of type `image`: another image's tree, read-only.
//!
//! The container's record names the topmost layer, so the tree is the same at every start, also when the image's name
//! has moved on or the image was removed by force; [`crate::images::uses`] keeps the layers. The shim mounts it, as it does
//! the root file system, and nothing is left of the mount when the container ends.

use super::{Wanted, plan::subpath_in};
use crate::{
    Engine, Error,
    container::{
        Record,
        record::{Mount, MountKind, MountedImage},
    },
};
use api_types::HostConfig;
use image::Pin;
use model::Rootfs;
use shim_proto::ImageMount;
use std::{os::fd::OwnedFd, path::PathBuf};

/// Finds the images to mount. The pins keep them until the container's record does.
///
/// # Errors
/// When there is no such image, and when the container could write to it ([`check_writer`]).
pub(crate) fn resolve(engine: &Engine, host: &HostConfig, wanted: &mut [Wanted]) -> Result<Vec<Pin>, Error> {
    let mut pins = Vec::new();
    for Wanted { mount, .. } in wanted.iter_mut().filter(|w| w.mount.kind == MountKind::Image) {
        // Of another container's, by `--volumes-from`, everything is known.
        if let Some(image) = &mount.image {
            let gone = || image::Error::NoSuchImage { familiar: image.id.to_string() };
            pins.push(engine.images.pin_layers(image.layer.as_ref()).ok_or_else(gone)?);
            check_creation(engine, host, mount)?;
            continue;
        }
        let (image, pin) = engine.images.resolve_pinned(&mount.name)?;
        let layer = image.top_layer().cloned();
        mount.image = Some(MountedImage { id: image.id.clone(), layer });
        mount.source = shown_source(engine, mount)?;
        check_creation(engine, host, mount)?;
        pins.push(pin);
    }
    Ok(pins)
}

fn check_creation(engine: &Engine, host: &HostConfig, mount: &Mount) -> Result<(), Error> {
    let may_mount =
        |cap: &String| ["ALL", "SYS_ADMIN"].contains(&cap.to_uppercase().trim_start_matches("CAP_"));
    if !host.privileged && !host.cap_add.iter().any(may_mount) {
        return Ok(());
    }
    let writer = "a mount of type image in a container that may mount (--privileged or SYS_ADMIN)";
    check_writer(engine, mount, writer)
}

/// Before a privileged process comes into a container that was created without privileges.
///
/// # Errors
/// When the process could write to an image ([`check_writer`]).
pub(crate) fn check_exec(engine: &Engine, record: &Record) -> Result<(), Error> {
    let writer = "exec --privileged in a container with a mount of type image";
    record.mounts.iter().try_for_each(|mount| check_writer(engine, mount, writer))
}

/// Refuses a `writer`, which may mount, where that would let it write to the image.
///
/// An overlay without an upper directory cannot be made writable. A directory (btrfs, vfs) is bound read-only, and whoever
/// has CAP_SYS_ADMIN could change that (mount(2), `MS_REMOUNT`), and with it the image of all.
fn check_writer(engine: &Engine, mount: &Mount, writer: &str) -> Result<(), Error> {
    match layer(mount).map(|layer| engine.snapshots.layer_rootfs(layer)).transpose()? {
        Some(Rootfs::Dir { .. }) => {
            let driver = engine.snapshots.name();
            Err(Error::Unsupported { what: format!("{writer}, with the storage driver {driver},") })
        }
        _ => Ok(()),
    }
}

/// Docker shows a directory in which it has the image mounted; here is none, so where the files are.
fn shown_source(engine: &Engine, mount: &Mount) -> Result<String, Error> {
    let Some(layer) = layer(mount) else { return Ok(String::new()) };
    let rootfs = engine.snapshots.layer_rootfs(layer)?;
    Ok(rootfs.topmost().map(|path| path.display().to_string()).unwrap_or_default())
}

fn layer(mount: &Mount) -> Option<&model::Digest> {
    mount.image.as_ref().and_then(|image| image.layer.as_ref())
}

/// What the specification calls the source of the mount; nothing is there.
pub(super) fn source(engine: &Engine, record: &Record, mount: &Mount) -> PathBuf {
    let index = record.mounts.iter().position(|m| m.destination == mount.destination).unwrap_or_default();
    engine.config.data.container(&record.id).join(format!("image-{index}"))
}

/// What the shim has to mount for the container's images. Subpaths are tried out. Blocks.
///
/// # Errors
/// Docker's of a subpath that leads nowhere, or out of the image.
pub(crate) fn plan(engine: &Engine, record: &Record) -> Result<Vec<ImageMount>, Error> {
    let mut planned = Vec::new();
    for mount in record.mounts.iter().filter(|m| m.kind == MountKind::Image) {
        let Some(layer) = layer(mount) else { continue };
        if !mount.subpath.is_empty() {
            drop(open(engine, mount)?);
        }
        planned.push(ImageMount {
            source: source(engine, record, mount),
            rootfs: engine.snapshots.layer_rootfs(layer)?,
            subpath: mount.subpath.clone(),
        });
    }
    Ok(planned)
}

/// Whether the image has no layer, and so nothing to mount.
pub(super) fn is_empty(mount: &Mount) -> bool {
    layer(mount).is_none()
}

/// The tree, or what is below its subpath, as a detached mount; none of an image without layers. Blocks.
pub(crate) fn open(engine: &Engine, mount: &Mount) -> Result<Option<OwnedFd>, Error> {
    let Some(layer) = layer(mount) else { return Ok(None) };
    let rootfs = engine.snapshots.layer_rootfs(layer)?;
    let base = rootfs.topmost().cloned().unwrap_or_default();
    let tree = sys::overlay::mount_detached(&rootfs)?;
    if mount.subpath.is_empty() {
        return Ok(Some(tree));
    }
    let found = subpath_in(&tree, &base, &mount.subpath)?;
    Ok(Some(sys::subtree::part(&tree, &found)?))
}
