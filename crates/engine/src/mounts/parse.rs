//! From the three ways to ask for a mount (`-v`, `--mount`, `--tmpfs`) to a [`Mount`], with moby's rules and texts
//! (`daemon/volume/mounts/linux_parser.go`). Volumes and images have no source yet: they are
//! made and looked up later.

use super::paths::{clean, is_local};
use crate::container::record::{Mount, MountKind};

const PROPAGATION: &[&str] = &["private", "rprivate", "slave", "rslave", "shared", "rshared"];
const DEFAULT_PROPAGATION: &str = "rprivate";

/// Why a mount is refused. All of these are the client's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MountError {
    #[error("invalid volume specification: '{spec}'")]
    Spec { spec: String },
    #[error("invalid volume specification: '{spec}': {source}")]
    SpecOf { spec: String, source: Box<MountError> },
    #[error("invalid mode: {mode}")]
    Mode { mode: String },
    #[error("invalid mount config for type \"{kind}\": {reason}")]
    Config { kind: String, reason: Reason },
    #[error("Duplicate mount point: {destination}")]
    Duplicate { destination: String },
    #[error("{0}")]
    Target(Reason),
    #[error("volumes-from specification cannot be an empty string")]
    EmptyVolumesFrom,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error("field {0} must not be empty")]
    Missing(&'static str),
    #[error("field {0} must not be specified")]
    Extra(&'static str),
    #[error("invalid specification: destination can't be '/'")]
    Root,
    #[error("invalid mount path: '{0}' mount path must be absolute")]
    Relative(String),
    #[error("invalid propagation mode: {0}")]
    Propagation(String),
    #[error("bind source path does not exist: {0}")]
    NoSource(String),
    #[error("must not set Subpath when using anonymous volumes")]
    AnonymousSubpath,
    #[error("subpath must be a relative path within the volume")]
    Subpath,
    #[error("invalid option array length")]
    OptionLength,
    #[error("invalid option: {0}")]
    TmpfsOption(String),
    #[error("mount options conflict: {0}")]
    Conflict(&'static str),
    #[error("mount type unknown")]
    UnknownKind,
}

/// A mount that a client asked for, and whether to fill a new volume from the image.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    pub mount: Mount,
    pub copy: bool,
    pub volume_options: api_types::Map<String>,
    pub volume_labels: api_types::Map<String>,
}

/// The comma-separated third part of `-v`.
struct Mode<'a>(&'a str);

impl<'a> Mode<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let kinds: Option<Vec<u8>> = if text.is_empty() {
            Some(Vec::new())
        } else {
            text.split(',')
                .map(|word| match word {
                    "rw" | "ro" => Some(0),
                    // SELinux labels: there is no SELinux policy to apply them with, as on any host without SELinux.
                    "z" | "Z" => Some(1),
                    word if PROPAGATION.contains(&word) => Some(2),
                    "nocopy" => Some(3),
                    // Docker Desktop's; ignored on Linux by Docker as well.
                    "consistent" | "cached" | "delegated" | "default" => Some(4),
                    _ => None,
                })
                .collect()
        };
        let mut kinds = kinds?;
        kinds.sort_unstable();
        kinds.windows(2).all(|pair| pair[0] != pair[1]).then_some(Self(text))
    }

    fn has(&self, word: &str) -> bool {
        self.0.split(',').any(|w| w == word)
    }

    fn propagation(&self) -> Option<&'a str> {
        self.0.split(',').find(|w| PROPAGATION.contains(w))
    }
}

/// `[source:]target[:mode]`, an entry of `HostConfig.Binds`.
pub fn bind(spec: &str, volume_driver: &str) -> Result<Wanted, MountError> {
    let invalid = || MountError::Spec { spec: spec.to_owned() };
    let parts: Vec<&str> = spec.split(':').collect();
    let (source, target, mode) = match parts[..] {
        ["", ..] => return Err(invalid()),
        [target] => ("", target, ""),
        // A mode without a source is a mistake, not a destination.
        [_, mode] if Mode::parse(mode).is_some() => return Err(invalid()),
        [source, target] => (source, target, ""),
        [source, target, mode] => (source, target, mode),
        _ => return Err(invalid()),
    };
    let parsed = Mode::parse(mode).ok_or_else(|| MountError::Mode { mode: mode.to_owned() })?;
    let is_path = source.starts_with('/');
    let kind = if is_path { "bind" } else { "volume" };
    let refused = |reason| MountError::SpecOf {
        spec: spec.to_owned(),
        source: Box::new(MountError::Config { kind: kind.to_owned(), reason }),
    };
    check_target(target).map_err(refused)?;
    if !is_path && parsed.propagation().is_some() {
        return Err(refused(Reason::Extra("BindOptions")));
    }
    if is_path && parsed.has("nocopy") {
        return Err(refused(Reason::Extra("VolumeOptions")));
    }
    let mount = Mount {
        kind: if is_path { MountKind::Bind } else { MountKind::Volume },
        destination: clean(target),
        source: if is_path { clean(source) } else { String::new() },
        name: if is_path { String::new() } else { source.to_owned() },
        driver: if is_path { String::new() } else { volume_driver.to_owned() },
        mode: mode.to_owned(),
        rw: !parsed.has("ro"),
        propagation: if is_path {
            parsed.propagation().unwrap_or(DEFAULT_PROPAGATION).to_owned()
        } else {
            String::new()
        },
        anonymous: !is_path && source.is_empty(),
        create_source: is_path,
        ..Mount::default()
    };
    Ok(Wanted { mount, copy: !is_path && !parsed.has("nocopy"), ..Wanted::default() })
}

/// An entry of `HostConfig.Mounts`. Whether a bind's source exists is for the caller to check.
pub fn mount(asked: &api_types::Mount) -> Result<Wanted, MountError> {
    config(asked).map_err(|reason| MountError::Config { kind: asked.r#type.clone(), reason })
}

fn config(asked: &api_types::Mount) -> Result<Wanted, Reason> {
    only_own_options(asked)?;
    if asked.target.is_empty() {
        return Err(Reason::Missing("Target"));
    }
    check_target(&asked.target)?;
    let common = Mount { destination: clean(&asked.target), rw: !asked.read_only, ..Mount::default() };
    match asked.r#type.as_str() {
        "bind" => bind_config(asked, common),
        "volume" => volume_config(asked, common),
        "tmpfs" => tmpfs_config(asked, common),
        "image" => image_config(asked, common),
        _ => Err(Reason::UnknownKind),
    }
}

fn only_own_options(asked: &api_types::Mount) -> Result<(), Reason> {
    let given = [
        ("bind", "BindOptions", asked.bind_options.is_some()),
        ("volume", "VolumeOptions", asked.volume_options.is_some()),
        ("image", "ImageOptions", asked.image_options.is_some()),
        ("tmpfs", "TmpfsOptions", asked.tmpfs_options.is_some()),
        ("cluster", "ClusterOptions", asked.cluster_options.is_some()),
    ];
    match given.into_iter().find(|(kind, _, present)| *present && asked.r#type != *kind) {
        Some((_, field, _)) => Err(Reason::Extra(field)),
        None => Ok(()),
    }
}

fn bind_config(asked: &api_types::Mount, common: Mount) -> Result<Wanted, Reason> {
    if asked.source.is_empty() {
        return Err(Reason::Missing("Source"));
    }
    let options = asked.bind_options.clone().unwrap_or_default();
    if !options.propagation.is_empty() && !PROPAGATION.contains(&options.propagation.as_str()) {
        return Err(Reason::Propagation(options.propagation));
    }
    if !asked.source.starts_with('/') {
        return Err(Reason::Relative(asked.source.clone()));
    }
    match (asked.read_only, options.read_only_non_recursive, options.read_only_force_recursive) {
        (false, true, _) => return Err(Reason::Conflict("!ReadOnly && BindOptions.ReadOnlyNonRecursive")),
        (false, _, true) => return Err(Reason::Conflict("!ReadOnly && BindOptions.ReadOnlyForceRecursive")),
        (_, true, true) => {
            return Err(Reason::Conflict("ReadOnlyNonRecursive && BindOptions.ReadOnlyForceRecursive"));
        }
        _ => {}
    }
    let propagation = Some(options.propagation).filter(|p| !p.is_empty());
    Ok(Wanted {
        mount: Mount {
            kind: MountKind::Bind,
            source: clean(&asked.source),
            propagation: propagation.unwrap_or_else(|| DEFAULT_PROPAGATION.to_owned()),
            create_source: options.create_mountpoint,
            non_recursive: options.non_recursive,
            read_only_non_recursive: options.read_only_non_recursive,
            read_only_force_recursive: options.read_only_force_recursive,
            ..common
        },
        ..Wanted::default()
    })
}

fn volume_config(asked: &api_types::Mount, common: Mount) -> Result<Wanted, Reason> {
    let options = asked.volume_options.clone().unwrap_or_default();
    if !options.subpath.is_empty() && asked.source.is_empty() {
        return Err(Reason::AnonymousSubpath);
    }
    if !options.subpath.is_empty() && !is_local(&options.subpath) {
        return Err(Reason::Subpath);
    }
    let driver = options.driver_config.unwrap_or_default();
    Ok(Wanted {
        mount: Mount {
            kind: MountKind::Volume,
            name: asked.source.clone(),
            driver: driver.name,
            subpath: options.subpath,
            anonymous: asked.source.is_empty(),
            ..common
        },
        copy: !options.no_copy,
        volume_options: driver.options,
        volume_labels: options.labels,
    })
}

fn tmpfs_config(asked: &api_types::Mount, common: Mount) -> Result<Wanted, Reason> {
    if !asked.source.is_empty() {
        return Err(Reason::Extra("Source"));
    }
    let options = asked.tmpfs_options.clone().unwrap_or_default();
    let mut out = Vec::new();
    if asked.read_only {
        out.push("ro".to_owned());
    }
    if options.mode != 0 {
        out.push(format!("mode={:o}", options.mode));
    }
    if options.size_bytes != 0 {
        out.push(format!("size={}", options.size_bytes));
    }
    for option in &options.options {
        match option.as_slice() {
            [name] | [name, _] if !matches!(name.as_str(), "exec" | "noexec") => {
                return Err(Reason::TmpfsOption(name.clone()));
            }
            [name] => out.push(name.clone()),
            [name, value] => out.push(format!("{name}={value}")),
            _ => return Err(Reason::OptionLength),
        }
    }
    Ok(Wanted { mount: Mount { kind: MountKind::Tmpfs, options: out, ..common }, ..Wanted::default() })
}

fn image_config(asked: &api_types::Mount, common: Mount) -> Result<Wanted, Reason> {
    if asked.source.is_empty() {
        return Err(Reason::Missing("Source"));
    }
    let subpath = asked.image_options.clone().unwrap_or_default().subpath;
    if !subpath.is_empty() && !is_local(&subpath) {
        return Err(Reason::Subpath);
    }
    let mount = Mount {
        kind: MountKind::Image,
        name: asked.source.clone(),
        rw: false,
        propagation: DEFAULT_PROPAGATION.to_owned(),
        subpath,
        ..common
    };
    Ok(Wanted { mount, ..Wanted::default() })
}

/// An entry of `HostConfig.Tmpfs`: a destination and mount(8) options.
pub fn tmpfs(destination: &str, options: &str) -> Result<Mount, MountError> {
    check_target(destination).map_err(MountError::Target)?;
    let options: Vec<String> = options.split(',').filter(|o| !o.is_empty()).map(str::to_owned).collect();
    Ok(Mount {
        kind: MountKind::Tmpfs,
        destination: clean(destination),
        rw: !options.iter().any(|o| o == "ro"),
        options,
        ..Mount::default()
    })
}

/// `container[:mode]`, an entry of `HostConfig.VolumesFrom`; the boolean is whether its mounts stay writable.
pub fn volumes_from(spec: &str) -> Result<(&str, bool), MountError> {
    if spec.is_empty() {
        return Err(MountError::EmptyVolumesFrom);
    }
    let Some((container, mode)) = spec.split_once(':').filter(|(_, mode)| !mode.is_empty()) else {
        return Ok((spec.trim_end_matches(':'), true));
    };
    let invalid = || MountError::Mode { mode: mode.to_owned() };
    let parsed = Mode::parse(mode).ok_or_else(invalid)?;
    if parsed.propagation().is_some() || parsed.has("nocopy") {
        return Err(invalid());
    }
    Ok((container, !parsed.has("ro")))
}

fn check_target(target: &str) -> Result<(), Reason> {
    if target.is_empty() {
        return Err(Reason::Missing("Target"));
    }
    if clean(target) == "/" {
        return Err(Reason::Root);
    }
    if !target.starts_with('/') {
        return Err(Reason::Relative(target.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
