//! Overlays served by fuse-overlayfs(1), for machines whose kernel mounts none.
//!
//! # Theory of operation
//! ```text
//!   open /dev/fuse ── fsopen, fsconfig fd=…, fsmount ──► detached mount
//!         │
//!         └─ standard input of `fuse-overlayfs -f … /dev/fd/0`
//! ```
//! A mount point of the form `/dev/fd/N` tells libfuse (3.3 and later) that the mount is there already. So no helper
//! with set-user-ID is needed, nothing appears in a mount namespace, and the process lives exactly as long as the mount:
//! when the last reference to the mount is gone the kernel ends the connection and the process reads ENODEV and exits.
//! It is in a process group of its own, and no child of whoever mounted but of the nearest subreaper, or of init: a
//! mount is a descriptor that may be copied, so whoever mounted cannot know when there is something to wait for.
//!
//! # Invariant
//! The process stays in the mount namespace of the thread that mounts. The mount must therefore never be attached in that
//! namespace when the namespace is to end by itself: process, namespace and mount would keep each other alive.

use crate::{Error, Result, mount, mount::Attributes};
use nix::libc;
use rustix::{
    fs::{AtFlags, Mode, OFlags, StatxFlags},
    io::Errno,
    mount::FsOpenFlags,
};
use std::{
    fs::File,
    io::Read,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{ChildStderr, Command, Stdio},
};

/// What one mount is made of; see [`model::Rootfs::FuseOverlay`].
#[derive(Debug, Clone, Copy)]
pub struct FuseOverlay<'a> {
    pub program: &'a Path,
    pub lower: &'a [PathBuf],
    /// The writable layer and its work directory.
    pub upper: Option<(&'a Path, &'a Path)>,
}

impl FuseOverlay<'_> {
    /// Mounts without attaching anywhere, and returns when the process serves.
    ///
    /// # Errors
    /// Of opening /dev/fuse and of mounting (Linux 4.18 in a user namespace); what the program said when it ended.
    pub fn mount_detached(&self) -> Result<OwnedFd> {
        const DEVICE: &str = "/dev/fuse";
        let device = rustix::fs::open(DEVICE, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .map_err(Error::of("open", DEVICE))?;
        let attributes = if self.upper.is_some() { Attributes::NONE } else { Attributes::RDONLY };
        let mount = connect(&device, attributes)?;
        let stderr = self.serve(device)?;
        // Answered by the process, or by the kernel when the process has ended: the device is open nowhere else.
        match rustix::fs::statx(&mount, "", AtFlags::EMPTY_PATH | AtFlags::STATX_FORCE_SYNC, StatxFlags::MODE)
        {
            Ok(_) => Ok(mount),
            Err(errno) => Err(self.failed(stderr, errno)),
        }
    }

    /// Starts the program; what it will say on standard error.
    fn serve(&self, device: OwnedFd) -> Result<Option<ChildStderr>> {
        let directory = self.common_directory();
        let relative = |path: &Path| -> Result<String> {
            let path = path.strip_prefix(&directory).unwrap_or(path);
            let text = path.to_str().filter(|text| !text.contains([':', ',', '\\']));
            text.map(str::to_owned).ok_or(Errno::INVAL).map_err(Error::of("mount", path.to_string_lossy()))
        };
        let lower = self.lower.iter().map(|path| relative(path)).collect::<Result<Vec<_>>>()?;
        let mut options = format!("lowerdir={}", lower.join(":"));
        if let Some((upper, work)) = self.upper {
            options += &format!(",upperdir={},workdir={}", relative(upper)?, relative(work)?);
        }
        let failed = |e: std::io::Error| {
            let errno = Errno::from_io_error(&e).unwrap_or(Errno::IO);
            Error::of("execve", self.program.to_string_lossy())(errno)
        };
        let mut command = Command::new(self.program);
        command
            .args(["-f", "-o", &options, "/dev/fd/0"])
            .current_dir(&directory)
            .stdin(Stdio::from(device))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Signals that a terminal sends to the engine's group are not for it.
            .process_group(0);
        // SAFETY: `orphan` makes only system calls that are async-signal-safe (signal-safety(7)) and allocates nothing.
        unsafe { command.pre_exec(orphan) };
        let mut between = command.spawn().map_err(failed)?;
        // It has ended already: `spawn` returns when the program is executed, by its child.
        between.wait().map_err(failed)?;
        Ok(between.stderr.take())
    }

    /// Relative names are short, and free of what separates layers and options, wherever the data root is.
    fn common_directory(&self) -> PathBuf {
        let own = self.upper.map(|(upper, work)| [upper, work]);
        let paths = || self.lower.iter().map(PathBuf::as_path).chain(own.into_iter().flatten());
        let first = paths().next().and_then(Path::parent).unwrap_or(Path::new("/"));
        let common = first.ancestors().find(|a| paths().all(|p| p.starts_with(a)));
        common.unwrap_or(Path::new("/")).to_owned()
    }

    fn failed(&self, stderr: Option<ChildStderr>, errno: Errno) -> Error {
        let mut said = String::new();
        if let Some(Err(error)) = stderr.map(|stderr| stderr.take(4096).read_to_string(&mut said)) {
            said = error.to_string();
        }
        let said = said.trim().replace('\n', "; ");
        Error::of("mount", format!("{} ended: {said}", self.program.display()))(errno)
    }
}

/// Goes on in a child and ends the caller, so that the program has another parent. A failure to execute the program
/// still gets to where it was started.
fn orphan() -> std::io::Result<()> {
    // SAFETY: the caller is a fresh fork with one thread, and so is its child; both go on with what is safe there,
    // execve and _exit.
    match unsafe { libc::fork() } {
        0 => Ok(()),
        -1 => Err(std::io::Error::last_os_error()),
        // SAFETY: ends the process without running anything that its parent has registered.
        _ => unsafe { libc::_exit(0) },
    }
}

fn connect(device: &OwnedFd, attributes: Attributes) -> Result<OwnedFd> {
    let fs =
        rustix::mount::fsopen("fuse", FsOpenFlags::FSOPEN_CLOEXEC).map_err(Error::of("fsopen", "fuse"))?;
    let device = device.as_raw_fd().to_string();
    let options = [
        ("source", "fuse-overlayfs"),
        ("subtype", "fuse-overlayfs"),
        ("fd", &device),
        ("rootmode", "40000"),
        ("user_id", "0"),
        ("group_id", "0"),
    ];
    for (key, value) in options {
        mount::set_option(&fs, "fuse", key, Some(value))?;
    }
    // All users of the namespace, judged by the kernel (fs/fuse/inode.c; fuse(8)).
    for flag in ["allow_other", "default_permissions"] {
        mount::set_option(&fs, "fuse", flag, None)?;
    }
    mount::create(&fs, "fuse", attributes)
}

/// What `PROGRAM --version` says, or nothing when it cannot be run.
pub fn version(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("fuse-overlayfs: version "))?;
    Some(line.trim().to_owned())
}

/// Opens a file to see whether it can be: the device's permissions differ between distributions.
pub fn device_is_usable() -> std::io::Result<()> {
    File::options().read(true).write(true).open("/dev/fuse").map(drop)
}
