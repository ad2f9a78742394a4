//! A container's root file system as a detached mount.
//!
//! The mount belongs to no mount namespace until somebody attaches it, and goes away with its last descriptor: the
//! shim resolves users in it, the engine copies files out of it, and neither leaves anything behind.

use crate::{
    Error, Result,
    fuse_overlay::FuseOverlay,
    mount::{self, Attributes},
    subtree,
};
use model::{Rootfs, VOLATILE};
use rustix::{io::Errno, mount::FsOpenFlags, mount::MountFlags};
use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

/// Mounts `rootfs` without attaching it anywhere.
///
/// An overlay needs Linux 5.11 in a user namespace. From 6.8 on its layers are given one by one (`lowerdir+`); before,
/// all of them must fit into the one page that mount(2) takes.
pub fn mount_detached(rootfs: &Rootfs) -> Result<OwnedFd> {
    match rootfs {
        Rootfs::Dir { path } => mount::clone_path(path, true),
        Rootfs::FuseOverlay { program, lower, upper, work } => {
            let upper = upper.as_deref().zip(work.as_deref());
            FuseOverlay { program, lower, upper }.mount_detached()
        }
        // The kernel refuses an overlay of one read-only layer ("at least 2 lowerdir are needed").
        Rootfs::Overlay { lower, upper: None, .. } if lower.len() == 1 => read_only(&lower[0]),
        Rootfs::Overlay { lower, upper, work, options } => {
            Overlay { lower, upper: upper.as_deref(), work: work.as_deref(), options }.mount()
        }
    }
}

fn read_only(layer: &Path) -> Result<OwnedFd> {
    let mount = mount::clone_path(layer, false)?;
    mount::set_attributes(&mount, Attributes::RDONLY, Attributes::NONE, false)?;
    Ok(mount)
}

struct Overlay<'a> {
    lower: &'a [PathBuf],
    upper: Option<&'a Path>,
    work: Option<&'a Path>,
    options: &'a [String],
}

impl Overlay<'_> {
    /// An unknown option is EINVAL, at once from Linux 6.5 on and when the superblock is made before that; so are many
    /// other mistakes, of which the newer interface tells more.
    fn mount(&self) -> Result<OwnedFd> {
        if let Some(work) = self.work.filter(|_| self.options.iter().any(|option| option == VOLATILE)) {
            forget_mark(work)?;
        }
        match self.by_descriptor() {
            Err(newer) if newer.errno == Errno::INVAL => match self.by_one_page() {
                Err(older) if older.errno == Errno::INVAL => Err(newer),
                other => other,
            },
            other => other,
        }
    }

    fn attributes(&self) -> Attributes {
        if self.upper.is_some() { Attributes::NONE } else { Attributes::RDONLY }
    }

    /// fsconfig(2), one `lowerdir+` a layer: no page limit, and no quoting of colons.
    fn by_descriptor(&self) -> Result<OwnedFd> {
        let fs = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)
            .map_err(Error::of("fsopen", "overlay"))?;
        mount::set_option(&fs, "overlay", "source", Some("overlay"))?;
        for layer in self.lower {
            mount::set_option(&fs, "overlay", "lowerdir+", Some(&text(layer)?))?;
        }
        if let (Some(upper), Some(work)) = (self.upper, self.work) {
            mount::set_option(&fs, "overlay", "upperdir", Some(&text(upper)?))?;
            mount::set_option(&fs, "overlay", "workdir", Some(&text(work)?))?;
        }
        for option in self.options {
            match option.split_once('=') {
                Some((key, value)) => mount::set_option(&fs, "overlay", key, Some(value))?,
                None => mount::set_option(&fs, "overlay", option, None)?,
            }
        }
        mount::create(&fs, "overlay", self.attributes())
    }

    /// mount(2) in a mount namespace of a thread's own, and a detached copy of that mount. Nobody else sees the mount.
    fn by_one_page(&self) -> Result<OwnedFd> {
        subtree::in_private_mounts("overlay", || self.mount_and_copy())
    }

    fn mount_and_copy(&self) -> Result<OwnedFd> {
        let layers = Layers::open(self)?;
        let data = layers.one_line(self.options)?;
        // As `7`, a layer takes little of the page, and nothing in its path has to be quoted.
        let descriptors = Path::new("/proc/thread-self/fd");
        rustix::process::chdir(descriptors).map_err(Error::of("chdir", descriptors.to_string_lossy()))?;
        let target = self.lower.first().ok_or(Errno::INVAL);
        let target = target.map_err(Error::of("mount", "overlay without layers"))?;
        let flags = if self.upper.is_some() { MountFlags::empty() } else { MountFlags::RDONLY };
        mount::mount_old("overlay", target, flags, &data)?;
        mount::clone_path(target, false)
    }
}

/// Removes what the last volatile mount has left. The kernel refuses the next mount because of it, as after a crash files may
/// be incomplete (`ovl_workdir_cleanup_recurse`, EINVAL); who mounts volatile has no use for those.
fn forget_mark(work: &Path) -> Result<()> {
    let mark = work.join("work/incompat");
    match std::fs::remove_dir_all(&mark) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            Err(Error::of("remove", mark.to_string_lossy())(errno))
        }
        _ => Ok(()),
    }
}

/// The directories of an overlay, opened in the namespace in which it is mounted: the kernel takes no layer from a mount
/// of another (`clone_private_mount`, EINVAL).
struct Layers {
    lower: Vec<OwnedFd>,
    upper_and_work: Option<(OwnedFd, OwnedFd)>,
}

impl Layers {
    fn open(overlay: &Overlay<'_>) -> Result<Self> {
        let lower = overlay.lower.iter().map(|l| mount::open_path(l)).collect::<Result<_>>()?;
        let upper_and_work = match (overlay.upper, overlay.work) {
            (Some(upper), Some(work)) => Some((mount::open_path(upper)?, mount::open_path(work)?)),
            _ => None,
        };
        Ok(Self { lower, upper_and_work })
    }

    /// The options of mount(2), with descriptors' numbers for paths.
    fn one_line(&self, options: &[String]) -> Result<String> {
        let numbers: Vec<_> = self.lower.iter().map(|l| l.as_raw_fd().to_string()).collect();
        let mut line = format!("lowerdir={}", numbers.join(":"));
        if let Some((upper, work)) = &self.upper_and_work {
            line += &format!(",upperdir={},workdir={}", upper.as_raw_fd(), work.as_raw_fd());
        }
        for option in options {
            line += &format!(",{option}");
        }
        // mount(2) copies one page and cuts off the rest without a word.
        if line.len() >= rustix::param::page_size() {
            return Err(Error::of("mount", format!("overlay of {} layers", numbers.len()))(Errno::TOOBIG));
        }
        Ok(line)
    }
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or(Errno::ILSEQ).map_err(Error::of("mount", path.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clone,
        namespaces::{self, Kind},
    };

    /// Layers with a file each, below the working directory.
    fn layers(count: usize) -> Vec<PathBuf> {
        let here = std::env::current_dir().unwrap();
        let make = |n: usize| {
            let layer = here.join(format!("layers/with:colon,comma/{n}"));
            std::fs::create_dir_all(&layer).unwrap();
            std::fs::write(layer.join(n.to_string()), "").unwrap();
            layer
        };
        (0..count).map(make).collect()
    }

    fn names(mount: &OwnedFd) -> usize {
        let directory = rustix::fs::openat(mount, ".", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty());
        let entries = rustix::fs::Dir::new(directory.unwrap()).unwrap().map(|e| e.unwrap());
        entries.filter(|e| !e.file_name().to_bytes().starts_with(b".")).count()
    }

    /// With threads around, as in the engine; nothing of it is to be seen by them.
    #[test]
    fn an_overlay_is_the_same_however_it_is_mounted() {
        testing::in_userns("overlay::tests::an_overlay_is_the_same_however_it_is_mounted", || {
            let (lower, here) = (layers(60), std::env::current_dir().unwrap());
            let (upper, work) = (here.join("upper"), here.join("work"));
            std::fs::create_dir(&upper).unwrap();
            std::fs::create_dir(&work).unwrap();
            let options = ["userxattr".to_owned()];
            let overlay =
                Overlay { lower: &lower, upper: Some(&upper), work: Some(&work), options: &options };
            let namespace = namespaces::identity_of(None, Kind::Mount).unwrap();
            for mount in [Overlay::by_descriptor, Overlay::by_one_page] {
                let mount = mount(&overlay).unwrap();
                assert_eq!(names(&mount), 60);
                rustix::fs::mkdirat(&mount, "new", rustix::fs::Mode::from_raw_mode(0o755)).unwrap();
                std::fs::remove_dir(upper.join("new")).unwrap();
            }
            assert_eq!(std::env::current_dir().unwrap(), here);
            assert_eq!(namespaces::identity_of(None, Kind::Mount).unwrap(), namespace);
            let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
            assert!(!mounts.contains("overlay "), "{mounts}");
        });
    }

    #[test]
    fn who_had_one_thread_has_one_afterwards() {
        testing::in_userns("overlay::tests::who_had_one_thread_has_one_afterwards", || {
            crate::testing::single_threaded(|| {
                let lower = layers(2);
                let overlay = Overlay { lower: &lower, upper: None, work: None, options: &[] };
                for _ in 0..50 {
                    drop(overlay.by_one_page().unwrap());
                    assert!(clone::is_single_threaded());
                }
            });
        });
    }

    /// More than any image has: the kernel itself takes 500 (`OVL_MAX_STACK`).
    #[test]
    fn hundreds_of_layers_fit_into_one_page() {
        testing::in_userns("overlay::tests::hundreds_of_layers_fit_into_one_page", || {
            let lower = layers(400);
            let overlay = Overlay { lower: &lower, upper: None, work: None, options: &[] };
            assert_eq!(names(&overlay.by_one_page().unwrap()), 400);
        });
    }

    #[test]
    fn what_neither_way_can_mount_is_told_in_the_kernels_words() {
        testing::in_userns("overlay::tests::what_neither_way_can_mount_is_told_in_the_kernels_words", || {
            let (lower, options) = (layers(2), ["colour=blue".to_owned()]);
            let overlay = Overlay { lower: &lower, upper: None, work: None, options: &options };
            let error = overlay.mount().unwrap_err();
            assert_eq!(error.errno, Errno::INVAL);
            assert!(error.to_string().contains("colour"), "{error}");
        });
    }

    #[test]
    fn one_layer_alone_is_bound_read_only() {
        testing::in_userns("overlay::tests::one_layer_alone_is_bound_read_only", || {
            let plan = Rootfs::Overlay { lower: layers(1), upper: None, work: None, options: Vec::new() };
            let mount = mount_detached(&plan).unwrap();
            assert_eq!(names(&mount), 1);
            let made = rustix::fs::mkdirat(&mount, "new", rustix::fs::Mode::from_raw_mode(0o755));
            assert_eq!(made, Err(Errno::ROFS));
        });
    }

    #[test]
    fn what_is_volatile_can_be_mounted_again() {
        testing::in_userns("overlay::tests::what_is_volatile_can_be_mounted_again", || {
            let place = std::env::current_dir().unwrap();
            let below = |name: &str| {
                std::fs::create_dir(place.join(name)).unwrap();
                place.join(name)
            };
            let (upper, work) = (below("upper"), below("work"));
            let options = vec!["userxattr".to_owned()];
            let durable =
                Rootfs::Overlay { lower: layers(2), upper: Some(upper.clone()), work: Some(work), options };
            for round in 0..3 {
                let mount = mount_detached(&durable.clone().volatile()).unwrap();
                let mode = rustix::fs::Mode::from_raw_mode(0o755);
                rustix::fs::mkdirat(&mount, format!("round{round}"), mode).unwrap();
            }
            assert!(upper.join("round2").exists());
            // The mark is there.
            assert_eq!(mount_detached(&durable).unwrap_err().errno, Errno::INVAL);
        });
    }
}
