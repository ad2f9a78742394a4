//! What the host is like, read once. Nothing here judges: [`crate::check`] does.

use crate::distribution::Distribution;
use crate::probe::{self, Probe};
use crate::session::{self, Session};
use crate::{Places, cgroup};
use rootless::subid::{self, Range};
use rootless::{AppArmor, Kind, User};
use rustix::fs::{Access, CWD, Mode, OFlags, StatVfsMountFlags};
use std::env;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Everything the checks look at.
#[derive(Debug, Clone)]
pub struct Facts {
    pub user: User,
    pub home: Directory,
    pub runtime_dir: Directory,
    /// This program.
    pub program: PathBuf,
    /// `lichen-shim`, beside it or on PATH.
    pub shim: Option<PathBuf>,
    pub distribution: Distribution,
    /// `uname -r`.
    pub kernel: String,
    pub newuidmap: MapProgram,
    pub newgidmap: MapProgram,
    pub subuid: SubordinateIds,
    pub subgid: SubordinateIds,
    pub sysctls: Sysctls,
    pub apparmor: AppArmor,
    /// The label of this process, where a policy is enforced.
    pub selinux: Option<String>,
    pub user_namespace: Probe,
    pub overlay: Probe,
    pub tun: Device,
    pub fuse: Device,
    /// Whether the program is installed.
    pub fuse_overlayfs: bool,
    pub cgroup: cgroup::Cgroup,
    pub session: Session,
    pub data_root: DataRoot,
    /// Whether the system-wide engine's socket answers to this user.
    pub rootful_socket: bool,
}

/// A directory that an environment variable names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Directory {
    Unset,
    Missing(PathBuf),
    NotWritable(PathBuf),
    /// Somebody else's.
    Foreign(PathBuf),
    Good(PathBuf),
}

/// newuidmap(1) or newgidmap(1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MapProgram {
    Missing,
    /// Neither set-user-ID nor with file capabilities.
    Unprivileged(PathBuf),
    /// Privileged, on a file system mounted `nosuid`, where that counts for nothing.
    NoSuid(PathBuf),
    Good(PathBuf),
}

/// subuid(5) or subgid(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubordinateIds {
    /// Why they could not be read.
    pub error: Option<String>,
    pub ranges: Vec<Range>,
    /// Other users' ranges that overlap ours.
    pub shared: Vec<(String, Range)>,
    /// A free start for a new range.
    pub free: u32,
}

impl SubordinateIds {
    pub fn count(&self) -> u64 {
        self.ranges.iter().map(|r| u64::from(r.count)).sum()
    }
}

/// None where this kernel does not have it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sysctls {
    pub unprivileged_userns_clone: Option<u64>,
    pub max_user_namespaces: Option<u64>,
    pub ip_unprivileged_port_start: Option<u64>,
    /// Both ends included.
    pub ping_group_range: Option<(u64, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    Missing,
    /// It is there, and this user may not open it for reading and writing.
    Forbidden,
    Good,
}

/// Where images, layers and volumes are to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataRoot {
    pub path: PathBuf,
    /// As `docker info` names it.
    pub file_system: String,
    /// Files there cannot be given to subordinate IDs.
    pub remote: bool,
}

/// Smallest range that images need: UIDs of 16 bits.
pub const ENOUGH_IDS: u64 = 65_536;

/// Reads everything. Starts a few short programs, and changes nothing but a scratch directory that it removes.
pub fn gather(places: &Places) -> Facts {
    let user = User::current();
    let program = env::current_exe().unwrap_or_else(|_| PathBuf::from("lichen"));
    let data_root = data_root(&places.data_root);
    Facts {
        home: directory("HOME", None),
        runtime_dir: runtime_dir(&places.runtime, user.uid),
        shim: beside(&program, "lichen-shim").or_else(|| on_path("lichen-shim")),
        distribution: Distribution::read(),
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        newuidmap: map_program("newuidmap"),
        newgidmap: map_program("newgidmap"),
        subuid: subordinate(Kind::Uid, &user),
        subgid: subordinate(Kind::Gid, &user),
        sysctls: sysctls(),
        apparmor: AppArmor::read(),
        selinux: rootless::selinux::enforced(),
        user_namespace: probe::user_namespace(&program),
        overlay: probe::overlay(&program, &existing(&places.data_root)),
        tun: device("/dev/net/tun"),
        fuse: device("/dev/fuse"),
        fuse_overlayfs: on_path("fuse-overlayfs").is_some(),
        cgroup: cgroup::read(user.uid),
        session: session::read(&user),
        data_root,
        rootful_socket: can_write(Path::new("/var/run/docker.sock")),
        program,
        user,
    }
}

/// A program of this name on PATH.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(name)).find(|file| is_program(file))
}

fn beside(program: &Path, name: &str) -> Option<PathBuf> {
    Some(program.parent()?.join(name)).filter(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

fn can_write(path: &Path) -> bool {
    rustix::fs::access(path, Access::WRITE_OK).is_ok()
}

/// Where nothing is set, the engine takes `usual` if that is there and the user's.
fn runtime_dir(usual: &Path, uid: u32) -> Directory {
    match directory("XDG_RUNTIME_DIR", Some(uid)) {
        Directory::Unset => match look_at(usual.to_owned(), Some(uid)) {
            Directory::Good(path) => Directory::Good(path),
            _ => Directory::Unset,
        },
        set => set,
    }
}

fn directory(variable: &str, owner: Option<u32>) -> Directory {
    let path = env::var_os(variable).filter(|v| !v.is_empty()).map(PathBuf::from);
    path.map_or(Directory::Unset, |path| look_at(path, owner))
}

fn look_at(path: PathBuf, owner: Option<u32>) -> Directory {
    match fs::metadata(&path) {
        Ok(metadata) if !metadata.is_dir() => Directory::Missing(path),
        Ok(metadata) if owner.is_some_and(|uid| uid != metadata.uid()) => Directory::Foreign(path),
        Ok(_) if !can_write(&path) => Directory::NotWritable(path),
        Ok(_) => Directory::Good(path),
        // Somebody forbids to look: it may well be there.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Directory::NotWritable(path),
        Err(_) => Directory::Missing(path),
    }
}

fn map_program(name: &str) -> MapProgram {
    let Some(path) = on_path(name) else { return MapProgram::Missing };
    let set_user_id = fs::metadata(&path).is_ok_and(|m| m.permissions().mode() & 0o4000 != 0);
    // security.capability is how capabilities(7), "File capabilities", are kept.
    let mut room = [0; 64];
    let capable = rustix::fs::getxattr(&path, "security.capability", &mut room[..]).is_ok();
    let nosuid = rustix::fs::statvfs(&path).is_ok_and(|s| s.f_flag.contains(StatVfsMountFlags::NOSUID));
    match (set_user_id || capable, nosuid) {
        (false, _) => MapProgram::Unprivileged(path),
        (true, true) => MapProgram::NoSuid(path),
        (true, false) => MapProgram::Good(path),
    }
}

fn subordinate(kind: Kind, user: &User) -> SubordinateIds {
    let (ranges, error) = match subid::ranges(kind, user) {
        Ok(ranges) => (ranges, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let text = fs::read_to_string(kind.file()).unwrap_or_default();
    SubordinateIds { error, shared: subid::overlaps(kind, user, &ranges), ranges, free: free_start(&text) }
}

/// After the last range of the file, in steps of 65,536 from 100,000, as useradd(8) counts.
fn free_start(text: &str) -> u32 {
    let ends = text.lines().filter_map(|line| {
        let mut fields = line.split(':').skip(1);
        let (start, count): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.trim().parse().ok()?);
        Some(start + count)
    });
    let end = ends.max().unwrap_or(0).max(100_000);
    let steps = (end - 100_000).div_ceil(ENOUGH_IDS);
    u32::try_from(100_000 + steps * ENOUGH_IDS).unwrap_or(100_000)
}

fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn sysctls() -> Sysctls {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ping_group_range").ok().and_then(|text| {
        let mut ends = text.split_whitespace().map(str::parse);
        Some((ends.next()?.ok()?, ends.next()?.ok()?))
    });
    Sysctls {
        unprivileged_userns_clone: number("/proc/sys/kernel/unprivileged_userns_clone"),
        max_user_namespaces: number("/proc/sys/user/max_user_namespaces"),
        ip_unprivileged_port_start: number("/proc/sys/net/ipv4/ip_unprivileged_port_start"),
        ping_group_range: range,
    }
}

fn device(path: &str) -> Device {
    match rustix::fs::access(path, Access::READ_OK | Access::WRITE_OK) {
        Ok(()) => Device::Good,
        Err(_) if Path::new(path).exists() => Device::Forbidden,
        Err(_) => Device::Missing,
    }
}

/// The nearest directory on the way up that exists.
fn existing(path: &Path) -> PathBuf {
    path.ancestors().find(|p| p.is_dir()).unwrap_or(Path::new("/")).to_owned()
}

fn data_root(path: &Path) -> DataRoot {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(CWD, existing(path), flags, Mode::empty()).map_err(std::io::Error::from);
    let fs_type = opened.and_then(|dir| snapshot::fs_type::of(dir.as_fd()));
    match fs_type {
        Ok(fs_type) => DataRoot {
            path: path.to_owned(),
            file_system: fs_type.docker_name(),
            remote: fs_type.is_remote(),
        },
        Err(_) => DataRoot { path: path.to_owned(), file_system: "unknown".to_owned(), remote: false },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_range_starts_after_all_others() {
        assert_eq!(free_start(""), 100_000);
        assert_eq!(free_start("a:100000:65536\n"), 165_536);
        assert_eq!(free_start("a:100000:65536\nb:200000:10\nbroken\nc:x:y\n"), 231_072);
    }

    #[test]
    fn a_directory_is_the_users_or_named_for_what_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let (path, uid) = (dir.path().to_owned(), rustix::process::geteuid().as_raw());
        assert_eq!(look_at(path.clone(), Some(uid)), Directory::Good(path.clone()));
        assert_eq!(look_at(path.clone(), Some(uid + 1)), Directory::Foreign(path.clone()));
        let missing = path.join("none");
        assert_eq!(look_at(missing.clone(), None), Directory::Missing(missing));
    }
}
