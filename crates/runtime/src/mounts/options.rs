//! Mount options of the OCI specification ("Linux mount options"): flags, propagation, and what is left for the file
//! system itself.

use crate::{Error, Result};
use sys::mount::{Attributes, Propagation};

/// Options, sorted by who carries them out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Options {
    /// `bind` (false) or `rbind` (true).
    pub(crate) bind: Option<bool>,
    /// For this mount.
    pub(crate) attributes: Change,
    /// For this mount and all below it (`rro` …, mount_setattr(2)).
    pub(crate) recursive: Change,
    /// In the order given, with whether each is recursive.
    pub(crate) propagation: Vec<(Propagation, bool)>,
    /// Podman's and runc's extension: a tmpfs starts with a copy of what it covers.
    pub(crate) copy_up: bool,
    /// For the file system.
    pub(crate) data: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Change {
    pub(crate) set: Attributes,
    pub(crate) clear: Attributes,
}

impl Change {
    fn set(&mut self, attribute: Attributes) {
        // The access time modes exclude each other; the kernel wants all of their bits cleared first.
        let atime = [Attributes::NOATIME, Attributes::STRICTATIME].contains(&attribute);
        let group = if atime { Attributes::ATIME_MASK } else { attribute };
        self.set = self.set.without(group).and(attribute);
        self.clear = if atime { self.clear.and(group) } else { self.clear.without(attribute) };
    }

    fn clear(&mut self, attribute: Attributes) {
        self.set = self.set.without(attribute);
        self.clear = self.clear.and(attribute);
    }

    pub(crate) fn is_empty(self) -> bool {
        self.set.is_empty() && self.clear.is_empty()
    }
}

/// A flag's name, its attribute, and whether the name clears it.
const FLAGS: &[(&str, Attributes, bool)] = &[
    ("ro", Attributes::RDONLY, false),
    ("rw", Attributes::RDONLY, true),
    ("nosuid", Attributes::NOSUID, false),
    ("suid", Attributes::NOSUID, true),
    ("nodev", Attributes::NODEV, false),
    ("dev", Attributes::NODEV, true),
    ("noexec", Attributes::NOEXEC, false),
    ("exec", Attributes::NOEXEC, true),
    ("noatime", Attributes::NOATIME, false),
    // The kernel's default, relatime, has no bit: it is what is left when the mode is cleared.
    ("atime", Attributes::ATIME_MASK, true),
    ("relatime", Attributes::ATIME_MASK, true),
    ("norelatime", Attributes::ATIME_MASK, true),
    ("strictatime", Attributes::STRICTATIME, false),
    ("nostrictatime", Attributes::ATIME_MASK, true),
    ("nodiratime", Attributes::NODIRATIME, false),
    ("diratime", Attributes::NODIRATIME, true),
    ("nosymfollow", Attributes::NOSYMFOLLOW, false),
    ("symfollow", Attributes::NOSYMFOLLOW, true),
];

const PROPAGATIONS: &[(&str, Propagation)] = &[
    ("private", Propagation::Private),
    ("slave", Propagation::Slave),
    ("shared", Propagation::Shared),
    ("unbindable", Propagation::Unbindable),
];

impl Options {
    pub(crate) fn parse(options: &[String]) -> Result<Self> {
        let mut parsed = Self::default();
        for option in options {
            parsed.add(option)?;
        }
        Ok(parsed)
    }

    fn add(&mut self, option: &str) -> Result<()> {
        if let Some((attribute, clears)) = flag(option) {
            change(&mut self.attributes, attribute, clears);
        } else if let Some((attribute, clears)) = option.strip_prefix('r').and_then(flag) {
            change(&mut self.recursive, attribute, clears);
        } else if let Some((propagation, recursive)) = propagation(option) {
            self.propagation.push((propagation, recursive));
        } else {
            match option {
                "bind" => self.bind = Some(self.bind.unwrap_or(false)),
                "rbind" => self.bind = Some(true),
                "defaults" => {}
                "tmpcopyup" => self.copy_up = true,
                "idmap" | "ridmap" => {
                    return Err(unsupported(option, "an unprivileged user cannot map mounts"));
                }
                "remount" => return Err(unsupported(option, "a container's mounts are all new")),
                data => self.data.push(data.to_owned()),
            }
        }
        Ok(())
    }
}

/// The options that are not the file system's own, for `features`.
pub fn mount_options() -> Vec<String> {
    let flags = FLAGS.iter().map(|(name, ..)| *name);
    let names = flags.chain(PROPAGATIONS.iter().map(|(name, _)| *name));
    let both = names.flat_map(|name| [name.to_owned(), format!("r{name}")]);
    let mut all: Vec<String> =
        both.chain(["bind", "rbind", "defaults", "tmpcopyup"].map(str::to_owned)).collect();
    all.sort();
    all
}

fn change(change: &mut Change, attribute: Attributes, clears: bool) {
    if clears { change.clear(attribute) } else { change.set(attribute) }
}

fn flag(name: &str) -> Option<(Attributes, bool)> {
    FLAGS.iter().find(|(n, ..)| *n == name).map(|(_, attribute, clears)| (*attribute, *clears))
}

/// `shared` or `rshared`.
pub(crate) fn propagation(name: &str) -> Option<(Propagation, bool)> {
    let find = |name: &str| PROPAGATIONS.iter().find(|(n, _)| *n == name).map(|(_, p)| *p);
    find(name).map(|p| (p, false)).or_else(|| name.strip_prefix('r').and_then(find).map(|p| (p, true)))
}

fn unsupported(option: &str, reason: &str) -> Error {
    Error::Unsupported { what: "mount option", reason: format!("{option}: {reason}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[&str]) -> Options {
        Options::parse(&options.iter().map(|o| (*o).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn flags_data_and_propagation_are_told_apart() {
        let options = parse(&["rbind", "ro", "nosuid", "rslave", "size=64k", "rro"]);
        assert_eq!(options.bind, Some(true));
        assert_eq!(options.attributes.set, Attributes::RDONLY.and(Attributes::NOSUID));
        assert_eq!(options.recursive.set, Attributes::RDONLY);
        assert_eq!(options.propagation, [(Propagation::Slave, true)]);
        assert_eq!(options.data, ["size=64k"]);
    }

    #[test]
    fn the_last_of_two_opposites_counts() {
        assert_eq!(
            parse(&["ro", "rw"]).attributes,
            Change { set: Attributes::NONE, clear: Attributes::RDONLY }
        );
        assert_eq!(
            parse(&["rw", "ro"]).attributes,
            Change { set: Attributes::RDONLY, clear: Attributes::NONE }
        );
    }

    #[test]
    fn access_time_modes_exclude_each_other() {
        let change = parse(&["noatime", "strictatime"]).attributes;
        assert_eq!(change, Change { set: Attributes::STRICTATIME, clear: Attributes::ATIME_MASK });
        assert!(!parse(&["noatime", "relatime"]).attributes.set.contains(Attributes::NOATIME));
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name() {
        for option in ["idmap", "ridmap", "remount"] {
            let error = Options::parse(&[option.to_owned()]).unwrap_err();
            assert!(error.to_string().contains(option), "{error}");
        }
    }
}
