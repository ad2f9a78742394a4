//! A container's root file system as a detached mount.
//!
//! The mount belongs to no mount namespace until somebody attaches it, and goes away with its last descriptor: the
//! shim resolves users in it, the engine copies files out of it, and neither leaves anything behind.

use crate::{Error, Result, mount, mount::Attributes};
use model::Rootfs;
use rustix::{io::Errno, mount::FsOpenFlags, mount::MountFlags};
use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

/// Mounts `rootfs` without attaching it anywhere.
///
/// An overlay needs Linux 5.11 in a user namespace. From 6.8 on its layers are given one by one (`lowerdir+`);
/// before, all of them must fit into the one page that mount(2) takes, which their common directory prefix is cut off
/// for.
pub fn mount_detached(rootfs: &Rootfs) -> Result<OwnedFd> {
    match rootfs {
        Rootfs::Dir { path } => mount::clone_path(path, true),
        // The kernel refuses an overlay of one read-only layer ("at least 2 lowerdir are needed").
        Rootfs::Overlay { lower, upper: None, .. } if lower.len() == 1 => read_only(&lower[0]),
        Rootfs::Overlay { lower, upper, work, options } => {
            let overlay = Overlay { lower, upper: upper.as_deref(), work: work.as_deref(), options };
            match overlay.by_descriptor() {
                Err(e) if e.errno == Errno::INVAL && !overlay.kernel_takes_single_layers() => {
                    overlay.by_one_page()
                }
                other => other,
            }
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

    /// Asked only after EINVAL, which an unknown option shares with many other mistakes.
    fn kernel_takes_single_layers(&self) -> bool {
        let Ok(fs) = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC) else { return false };
        self.lower
            .first()
            .is_some_and(|l| rustix::mount::fsconfig_set_string(&fs, "lowerdir+", l.as_path()).is_ok())
    }

    /// mount(2) over the topmost lower layer, a detached copy of that mount, and the mount removed again.
    ///
    /// The process's working directory is changed for the duration, so the caller must be single-threaded; layers are
    /// named relative to their common directory to make many of them fit.
    fn by_one_page(&self) -> Result<OwnedFd> {
        if !crate::clone::is_single_threaded() {
            return Err(Error::of("mount", "overlay, from a process with several threads")(Errno::NOSYS));
        }
        let prefix = common_directory(self.lower);
        let data = self.one_line(&prefix)?;
        let target =
            self.lower.first().ok_or(Errno::INVAL).map_err(Error::of("mount", "overlay without layers"))?;
        let before = mount::open_path(Path::new("."))?;
        rustix::process::chdir(&prefix).map_err(Error::of("chdir", prefix.to_string_lossy()))?;
        let flags = if self.upper.is_some() { MountFlags::empty() } else { MountFlags::RDONLY };
        let mounted = mount::mount_old("overlay", target, flags, &data);
        rustix::process::fchdir(&before).map_err(Error::of("fchdir", "previous directory"))?;
        mounted?;
        let detached = mount::clone_path(target, false);
        mount::detach(target)?;
        detached
    }

    fn one_line(&self, prefix: &Path) -> Result<String> {
        let mut layers = Vec::with_capacity(self.lower.len());
        for layer in self.lower {
            layers.push(escape(&text(layer.strip_prefix(prefix).unwrap_or(layer))?));
        }
        let mut line = format!("lowerdir={}", layers.join(":"));
        if let (Some(upper), Some(work)) = (self.upper, self.work) {
            line += &format!(",upperdir={},workdir={}", escape(&text(upper)?), escape(&text(work)?));
        }
        for option in self.options {
            line += &format!(",{option}");
        }
        // mount(2) copies one page and cuts off the rest without a word.
        if line.len() >= rustix::param::page_size() {
            return Err(Error::of("mount", format!("overlay of {} layers", layers.len()))(Errno::TOOBIG));
        }
        Ok(line)
    }
}

/// `:` separates layers and `,` options; a backslash takes both literally (overlayfs.rst, "Multiple lower layers").
fn escape(path: &str) -> String {
    path.replace('\\', "\\\\").replace(':', "\\:").replace(',', "\\,")
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or(Errno::ILSEQ).map_err(Error::of("mount", path.to_string_lossy()))
}

/// The longest directory that all layers are below; never a layer itself.
fn common_directory(layers: &[PathBuf]) -> PathBuf {
    let parents: Vec<&Path> = layers.iter().filter_map(|l| l.parent()).collect();
    let Some((first, rest)) = parents.split_first() else { return PathBuf::from("/") };
    first.ancestors().find(|a| rest.iter().all(|p| p.starts_with(a))).unwrap_or(Path::new("/")).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(texts: &[&str]) -> Vec<PathBuf> {
        texts.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn layers_are_named_from_their_common_directory() {
        let check = |layers: &[&str], expected: &str| {
            assert_eq!(common_directory(&paths(layers)), Path::new(expected))
        };
        check(&["/d/l/a", "/d/l/b"], "/d/l");
        check(&["/d/l/a/diff", "/d/l/b/diff"], "/d/l");
        check(&["/d/l/a"], "/d/l");
        check(&["/x/a", "/y/b"], "/");
        check(&[], "/");
    }

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

    #[test]
    fn an_overlay_is_the_same_however_it_is_mounted() {
        testing::in_userns("overlay::tests::an_overlay_is_the_same_however_it_is_mounted", || {
            crate::testing::single_threaded(|| {
                let (lower, here) = (layers(60), std::env::current_dir().unwrap());
                let (upper, work) = (here.join("upper"), here.join("work"));
                std::fs::create_dir(&upper).unwrap();
                std::fs::create_dir(&work).unwrap();
                let options = ["userxattr".to_owned()];
                let overlay =
                    Overlay { lower: &lower, upper: Some(&upper), work: Some(&work), options: &options };
                for mount in [Overlay::by_descriptor, Overlay::by_one_page] {
                    let mount = mount(&overlay).unwrap();
                    assert_eq!(names(&mount), 60);
                    rustix::fs::mkdirat(&mount, "new", rustix::fs::Mode::from_raw_mode(0o755)).unwrap();
                    std::fs::remove_dir(upper.join("new")).unwrap();
                }
                assert_eq!(std::env::current_dir().unwrap(), here);
                let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
                assert!(!mounts.contains("layers"), "{mounts}");
            });
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
    fn one_line_escapes_what_separates_and_refuses_more_than_a_page() {
        let lower = paths(&["/d/a:b", "/d/c,d"]);
        let overlay = Overlay { lower: &lower, upper: None, work: None, options: &["userxattr".into()] };
        assert_eq!(overlay.one_line(Path::new("/d")).unwrap(), r"lowerdir=a\:b:c\,d,userxattr");
        let many: Vec<PathBuf> = (0..1000).map(|n| format!("/d/layer{n}").into()).collect();
        let overlay = Overlay { lower: &many, upper: None, work: None, options: &[] };
        assert_eq!(overlay.one_line(Path::new("/d")).unwrap_err().errno, Errno::TOOBIG);
    }
}
