//! A part of a file system as a mount of its own: `image-subpath` of an image's tree.

use crate::{
    Error, Result, clone,
    mount::{self, Propagation},
    namespaces::{self, Kind, Set},
    resolve,
};
use rustix::io::Errno;
use std::{
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

/// What is at `subpath` of a detached mount, as a detached mount; all of it for an empty path.
///
/// # Errors
/// Those of [`resolve::beneath`]; those of [`part`].
pub fn of(tree: OwnedFd, subpath: &str) -> Result<OwnedFd> {
    if subpath.is_empty() {
        return Ok(tree);
    }
    part(&tree, &resolve::beneath(&tree, subpath)?)
}

/// What was found in a detached mount, as a detached mount.
///
/// # Errors
/// What open_tree(2) fails with, and on older kernels what making a mount namespace does.
pub fn part(tree: &OwnedFd, found: &OwnedFd) -> Result<OwnedFd> {
    match mount::clone_fd(found, true) {
        // A detached mount may be cloned in part since Linux 6.15; before, only what the caller's namespace has.
        Err(e) if e.errno == Errno::INVAL => attached(tree, found),
        cloned => cloned,
    }
}

/// The same where the whole tree is attached for the moment, unseen by anybody.
fn attached(tree: &OwnedFd, found: &OwnedFd) -> Result<OwnedFd> {
    in_private_mounts("subtree", || {
        mount::attach(tree.as_fd(), mount::open_path(Path::new("/"))?)?;
        mount::clone_fd(found, true)
    })
}

/// Runs `work` on a thread with a mount namespace of its own, which goes with the thread whatever happens.
///
/// A mount namespace brings a working directory of the thread's own with it (unshare(2), `CLONE_NEWNS`). Whoever had one
/// thread has one afterwards.
pub(crate) fn in_private_mounts<T: Send>(name: &str, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let alone = clone::is_single_threaded();
    let apart = || {
        namespaces::unshare(Set::of(&[Kind::Mount]))?;
        // What is mounted below a shared mount would appear in the namespace that this one is a copy of.
        mount::set_propagation(mount::open_path(Path::new("/"))?, Propagation::Private, true)?;
        work()
    };
    let done = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, apart);
        let failed = |e| Error::of("clone", "thread")(Errno::from_io_error(&e).unwrap_or(Errno::AGAIN));
        thread.map_err(failed)?.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    // A joined thread may still be counted for a moment, in which its process may not fork.
    while alone && !clone::is_single_threaded() {
        std::thread::yield_now();
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Rootfs;
    use rustix::fs::{Mode, OFlags};
    use std::{
        fs,
        os::unix::fs::symlink,
        path::PathBuf,
        sync::atomic::{AtomicUsize, Ordering},
    };

    static TREES: AtomicUsize = AtomicUsize::new(0);

    /// An overlay of two layers, of which the upper one has links.
    fn tree() -> OwnedFd {
        let number = TREES.fetch_add(1, Ordering::Relaxed).to_string();
        let here = std::env::current_dir().unwrap().join(number);
        let layer = |name: &str| here.join(name);
        fs::create_dir_all(layer("lower/sub")).unwrap();
        fs::create_dir_all(layer("upper/sub")).unwrap();
        fs::write(layer("lower/sub/file"), "lower").unwrap();
        fs::write(layer("upper/sub/other"), "upper").unwrap();
        symlink("sub", layer("upper/good")).unwrap();
        symlink("../..", layer("upper/up")).unwrap();
        symlink("/sub", layer("upper/absolute")).unwrap();
        let lower: Vec<PathBuf> = vec![layer("upper"), layer("lower")];
        let plan = Rootfs::Overlay { lower, upper: None, work: None, options: Vec::new() };
        crate::overlay::mount_detached(&plan).unwrap()
    }

    fn read(mount: &OwnedFd, path: &str) -> String {
        let file = rustix::fs::openat(mount, path, OFlags::RDONLY, Mode::empty()).unwrap();
        std::io::read_to_string(fs::File::from(file)).unwrap()
    }

    #[test]
    fn a_part_is_a_mount_of_its_own() {
        testing::in_userns("subtree::tests::a_part_is_a_mount_of_its_own", || {
            for subpath in ["sub", "good", "sub/../sub"] {
                let part = of(tree(), subpath).unwrap();
                assert_eq!(read(&part, "file"), "lower", "{subpath}");
                assert_eq!(read(&part, "other"), "upper", "{subpath}");
            }
            // As on older kernels.
            let whole = tree();
            let found = resolve::beneath(&whole, "sub").unwrap();
            let part = attached(&whole, &found).unwrap();
            drop((whole, found));
            assert_eq!(read(&part, "file"), "lower");
            let made = rustix::fs::mkdirat(&part, "new", Mode::from_raw_mode(0o755));
            assert_eq!(made, Err(Errno::ROFS));
        });
    }

    #[test]
    fn a_file_can_be_a_mount() {
        testing::in_userns("subtree::tests::a_file_can_be_a_mount", || {
            let part = of(tree(), "good/other").unwrap();
            let target = std::env::current_dir().unwrap().join("target");
            fs::write(&target, "").unwrap();
            let text = in_private_mounts("attach", || {
                mount::attach(&part, mount::open_path(&target)?)?;
                Ok(fs::read_to_string(&target).unwrap())
            });
            assert_eq!(text.unwrap(), "upper");
            assert_eq!(fs::read_to_string(&target).unwrap(), "", "nobody else sees it");
        });
    }

    #[test]
    fn no_link_leads_out_of_the_tree() {
        testing::in_userns("subtree::tests::no_link_leads_out_of_the_tree", || {
            for subpath in ["up", "absolute", "up/etc", "good/../../x"] {
                let errno = of(tree(), subpath).unwrap_err().errno;
                assert!(matches!(errno, Errno::XDEV | Errno::LOOP), "{subpath}: {errno}");
            }
            assert_eq!(of(tree(), "none").unwrap_err().errno, Errno::NOENT);
        });
    }
}
