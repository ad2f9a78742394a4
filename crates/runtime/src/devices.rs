//! Device nodes and links in a container's /dev.
//!
//! mknod(2) of a device is refused in every user namespace but the first, so the host's node is bound instead; it keeps
//! the host's owner and mode.

use crate::{
    Error, Failure, Result,
    report::{At, failed},
    root::Root,
};
use oci_spec::runtime::{LinuxDevice, LinuxDeviceType, Spec};
use rustix::{
    fs::{AtFlags, Dev, FileType, Gid, Mode, Uid, major, makedev, minor},
    io::Errno,
};
use std::{
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

/// One validated node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) path: PathBuf,
    kind: FileType,
    number: Dev,
    mode: u32,
    uid: u32,
    gid: u32,
}

/// Devices every container has (OCI runtime-spec, config-linux.md, "Default Devices").
const DEFAULT: &[(&str, u32, u32)] = &[
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// Links every container has (the same page, and runc's /dev/core).
const LINKS: &[(&str, &str)] = &[
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

pub(crate) fn plan(spec: &Spec) -> Result<Vec<Device>> {
    let wanted = spec.linux().as_ref().and_then(|l| l.devices().as_ref());
    let mut devices: Vec<Device> = wanted.into_iter().flatten().map(plan_one).collect::<Result<_>>()?;
    for (path, major, minor) in DEFAULT {
        if !devices.iter().any(|d| d.path == Path::new(path)) {
            let number = makedev(*major, *minor);
            let kind = FileType::CharacterDevice;
            devices.push(Device { path: path.into(), kind, number, mode: 0o666, uid: 0, gid: 0 });
        }
    }
    Ok(devices)
}

fn plan_one(device: &LinuxDevice) -> Result<Device> {
    let kind = match device.typ() {
        LinuxDeviceType::B => FileType::BlockDevice,
        LinuxDeviceType::C | LinuxDeviceType::U => FileType::CharacterDevice,
        LinuxDeviceType::P => FileType::Fifo,
        LinuxDeviceType::A => {
            let reason = format!("{}: \"a\" is no type of node", device.path().display());
            return Err(Error::Spec { field: "linux.devices", reason });
        }
    };
    Ok(Device {
        path: crate::root::clean(device.path()),
        kind,
        number: makedev(device.major() as u32, device.minor() as u32),
        mode: device.file_mode().unwrap_or(0o666) & 0o7777,
        uid: device.uid().unwrap_or(0),
        gid: device.gid().unwrap_or(0),
    })
}

/// Makes every device below `root`, and the links in its /dev.
pub(crate) fn carry_out(devices: &[Device], root: &Root) -> Result<(), Failure> {
    for device in devices {
        make(device, root)?;
    }
    make_links(root)
}

fn make(device: &Device, root: &Root) -> Result<(), Failure> {
    let (step, path) = ("make device", &device.path.display());
    let (parent, name) = root.make_parent(&device.path).at(step, path)?;
    let number = if device.kind == FileType::Fifo { 0 } else { device.number };
    match rustix::fs::mknodat(&parent, &name, device.kind, Mode::from_raw_mode(device.mode), number) {
        Ok(()) => set_owner(device, &parent, &name).at(step, path),
        Err(Errno::EXIST) if is_same(device, &parent, &name) => Ok(()),
        Err(Errno::EXIST | Errno::PERM) if device.kind != FileType::Fifo => bind(device, root),
        Err(errno) => Err(errno).at(step, path),
    }
}

fn set_owner(device: &Device, parent: &OwnedFd, name: &Path) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(device.uid), Gid::from_raw(device.gid));
    rustix::fs::chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    // mknod(2) applied the umask.
    rustix::fs::chmodat(parent, name, Mode::from_raw_mode(device.mode), AtFlags::empty())
}

fn is_same(device: &Device, parent: &OwnedFd, name: &Path) -> bool {
    rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|s| {
        FileType::from_raw_mode(s.st_mode) == device.kind
            && (device.kind == FileType::Fifo || s.st_rdev == device.number)
    })
}

fn bind(device: &Device, root: &Root) -> Result<(), Failure> {
    let (step, path) = ("bind device", &device.path.display());
    let source = host_node(device).at(step, path)?;
    let mount = sys::mount::clone_fd(&source, false).at(step, path)?;
    let target = root.make_file(&device.path).at(step, path)?;
    sys::mount::attach(&mount, &target).at(step, path)
}

/// The host's node of the same number: at the same path, or where the kernel says it is.
fn host_node(device: &Device) -> Result<OwnedFd, String> {
    let (major, minor) = (major(device.number), minor(device.number));
    if let Ok(node) = open_node(&device.path, device) {
        return Ok(node);
    }
    let class = if device.kind == FileType::BlockDevice { "block" } else { "char" };
    let name =
        std::fs::read_to_string(format!("/sys/dev/{class}/{major}:{minor}/uevent")).ok().and_then(|uevent| {
            let name = uevent.lines().find_map(|l| l.strip_prefix("DEVNAME="))?;
            Some(Path::new("/dev").join(name))
        });
    let name = name.ok_or_else(|| format!("the host has no {class} device {major}:{minor}"))?;
    open_node(&name, device).map_err(|e| format!("{}: {e}", name.display()))
}

/// The number is compared on what was opened: a name may lead elsewhere by now (CVE-2025-31133).
fn open_node(path: &Path, device: &Device) -> Result<OwnedFd, String> {
    let node = sys::mount::open_path(path).map_err(|e| e.errno.to_string())?;
    let stat = rustix::fs::fstat(&node).map_err(|e| e.to_string())?;
    if FileType::from_raw_mode(stat.st_mode) == device.kind && stat.st_rdev == device.number {
        return Ok(node);
    }
    Err("is another device".to_owned())
}

/// The host's /dev/null, for covering files.
pub(crate) fn host_null() -> Result<OwnedFd, Failure> {
    let (path, major, minor) = DEFAULT[0];
    let null = Device {
        path: path.into(),
        kind: FileType::CharacterDevice,
        number: makedev(major, minor),
        mode: 0o666,
        uid: 0,
        gid: 0,
    };
    open_node(&null.path, &null).at("open", path)
}

fn make_links(root: &Root) -> Result<(), Failure> {
    let dev = root.make_directory(Path::new("/dev")).at("make directory", "/dev")?;
    for (name, target) in LINKS {
        link(dev.as_fd(), name, target)?;
    }
    if Path::new("/proc/kcore").exists() {
        link(dev.as_fd(), "core", "/proc/kcore")?;
    }
    Ok(())
}

/// Whatever the image has at this place stays, except a device node ptmx: terminals come from the container's own
/// devpts, which `pts/ptmx` leads to.
fn link(dev: impl AsFd, name: &str, target: &str) -> Result<(), Failure> {
    let step = "make link in /dev";
    match rustix::fs::symlinkat(target, &dev, name) {
        Err(Errno::EXIST) if name == "ptmx" => {
            rustix::fs::unlinkat(&dev, name, AtFlags::empty()).at(step, name)?;
            rustix::fs::symlinkat(target, &dev, name).at(step, name)
        }
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno).at(step, name),
    }
}

/// Makes a bind of the terminal at /dev/console.
pub(crate) fn attach_console(root: &Root, terminal: &OwnedFd) -> Result<(), Failure> {
    let mount = sys::mount::clone_fd(terminal, false).map_err(failed("clone terminal"))?;
    let target = root.make_file(Path::new("/dev/console")).at("make file", "/dev/console")?;
    sys::mount::attach(&mount, &target).at("attach terminal at", "/dev/console")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_of_the_specification_replaces_the_default_one() {
        let json = r#"{"ociVersion":"1.2.0","linux":{"devices":[
            {"path":"/dev/null","type":"c","major":1,"minor":3,"fileMode":384},
            {"path":"/dev/loop0","type":"b","major":7,"minor":0}]}}"#;
        let devices = plan(&serde_json::from_str(json).unwrap()).unwrap();
        assert_eq!(devices.len(), DEFAULT.len() + 1);
        assert_eq!(devices[0].mode, 0o600);
    }

    #[test]
    fn a_node_of_another_number_is_not_taken() {
        let fake = Device {
            path: "/dev/zero".into(),
            kind: FileType::CharacterDevice,
            number: makedev(1, 3),
            mode: 0,
            uid: 0,
            gid: 0,
        };
        assert!(open_node(&fake.path, &fake).is_err());
        assert!(host_null().is_ok());
    }
}
