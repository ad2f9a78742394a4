//! Options of the driver: `type`, `device`, `o`, as mount(8) would take them, and `size`.

use rustix::mount::MountFlags;
use std::collections::BTreeMap;

/// The texts are Docker's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOption {
    #[error("invalid option: {0:?}")]
    Unknown(String),
    #[error("missing required option: {0:?}")]
    Missing(&'static str),
    /// Needs project quotas, which the kernel gives to the initial user namespace only.
    #[error("quota size requested but no quota support")]
    Quota,
}

/// Docker's table: what must be there when an option is.
const REQUIRED: &[(&str, &[&str])] =
    &[("device", &["type"]), ("type", &["device"]), ("o", &["device", "type"])];

pub(crate) fn validate(options: &BTreeMap<String, String>) -> Result<(), InvalidOption> {
    if let Some(unknown) =
        options.keys().find(|key| !matches!(key.as_str(), "type" | "device" | "o" | "size"))
    {
        return Err(InvalidOption::Unknown(unknown.clone()));
    }
    if options.get("size").is_some_and(|size| size.trim_end_matches(['b', 'B']) != "0") {
        return Err(InvalidOption::Quota);
    }
    for (_, needed) in REQUIRED.iter().filter(|(option, _)| options.contains_key(*option)) {
        if let Some(missing) = needed.iter().find(|needed| !options.contains_key(**needed)) {
            return Err(InvalidOption::Missing(missing));
        }
    }
    Ok(())
}

/// A mount(2) call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountSpec {
    pub fs_type: String,
    pub device: String,
    pub flags: MountFlags,
    /// What is no flag, for the file system itself.
    pub data: String,
}

impl MountSpec {
    /// None when the volume is a plain directory.
    pub(crate) fn of(options: &BTreeMap<String, String>) -> Option<Self> {
        let text = |key: &str| options.get(key).cloned().unwrap_or_default();
        let (fs_type, device) = (text("type"), text("device"));
        if fs_type.is_empty() && device.is_empty() {
            return None;
        }
        let (flags, data) = split_options(&text("o"));
        Some(Self { fs_type, device, flags, data })
    }
}

/// Separates the options that are flags of mount(2) from those of the file system; a later one undoes an earlier one.
fn split_options(options: &str) -> (MountFlags, String) {
    let mut flags = MountFlags::empty();
    let mut data = Vec::new();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match flag(option) {
            Some((flag, true)) => flags |= flag,
            Some((flag, false)) => flags -= flag,
            None => data.push(option),
        }
    }
    (flags, data.join(","))
}

/// The flag, and whether the option sets or clears it (mount(8), "FILESYSTEM-INDEPENDENT MOUNT OPTIONS").
fn flag(option: &str) -> Option<(MountFlags, bool)> {
    Some(match option {
        "defaults" => (MountFlags::empty(), true),
        "ro" => (MountFlags::RDONLY, true),
        "rw" => (MountFlags::RDONLY, false),
        "nosuid" => (MountFlags::NOSUID, true),
        "suid" => (MountFlags::NOSUID, false),
        "nodev" => (MountFlags::NODEV, true),
        "dev" => (MountFlags::NODEV, false),
        "noexec" => (MountFlags::NOEXEC, true),
        "exec" => (MountFlags::NOEXEC, false),
        "sync" => (MountFlags::SYNCHRONOUS, true),
        "async" => (MountFlags::SYNCHRONOUS, false),
        "dirsync" => (MountFlags::DIRSYNC, true),
        "noatime" => (MountFlags::NOATIME, true),
        "atime" => (MountFlags::NOATIME, false),
        "nodiratime" => (MountFlags::NODIRATIME, true),
        "diratime" => (MountFlags::NODIRATIME, false),
        "relatime" => (MountFlags::RELATIME, true),
        "norelatime" => (MountFlags::RELATIME, false),
        "strictatime" => (MountFlags::STRICTATIME, true),
        "bind" => (MountFlags::BIND, true),
        "rbind" => (MountFlags::BIND.union(MountFlags::REC), true),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn options_that_cannot_work_are_named() {
        let check = |pairs: &[_]| validate(&options(pairs));
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&[("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m")]), Ok(()));
        assert_eq!(check(&[("foo", "bar")]), Err(InvalidOption::Unknown("foo".into())));
        assert_eq!(check(&[("type", "tmpfs")]), Err(InvalidOption::Missing("device")));
        assert_eq!(check(&[("device", "/x")]), Err(InvalidOption::Missing("type")));
        assert_eq!(check(&[("o", "bind")]), Err(InvalidOption::Missing("device")));
        assert_eq!(check(&[("size", "10m")]), Err(InvalidOption::Quota));
        assert_eq!(check(&[("size", "0")]), Ok(()));
    }

    #[test]
    fn flags_and_data_part() {
        let spec = MountSpec::of(&options(&[
            ("type", "tmpfs"),
            ("device", "tmpfs"),
            ("o", "noexec,size=1m,ro,rw,uid=5"),
        ]));
        let spec = spec.unwrap();
        assert_eq!((spec.flags, spec.data.as_str()), (MountFlags::NOEXEC, "size=1m,uid=5"));
        assert_eq!(MountSpec::of(&options(&[("size", "0")])), None);
    }
}
