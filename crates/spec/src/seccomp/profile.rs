//! Docker's profile files (`--security-opt seccomp=FILE`): the OCI's rules with conditions on top.
//!
//! The format is documented at <https://docs.docker.com/engine/security/seccomp/>; conditions are `includes` and
//! `excludes` by architecture, capability and kernel version.

use super::{Conditions, kernel_version, native};
use crate::Error;
use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompBuilder, LinuxSeccompFilterFlag,
    LinuxSyscall, LinuxSyscallBuilder,
};
use serde::Deserialize;

/// A profile that is JSON, but contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    #[error("use either 'architectures' or 'archMap'")]
    TwoArchitectures,
    #[error("use either 'name' or 'names'")]
    TwoNames,
    #[error("a rule names no system call")]
    NoNames,
    #[error("invalid kernel version {0:?}: expected <major>.<minor>")]
    KernelVersion(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: LinuxSeccompAction,
    default_errno_ret: Option<u32>,
    #[serde(default)]
    architectures: Option<Vec<Arch>>,
    #[serde(default)]
    arch_map: Option<Vec<ArchMap>>,
    #[serde(default)]
    flags: Option<Vec<LinuxSeccompFilterFlag>>,
    listener_path: Option<std::path::PathBuf>,
    listener_metadata: Option<String>,
    #[serde(default)]
    syscalls: Option<Vec<Rule>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchMap {
    architecture: Arch,
    #[serde(default)]
    sub_architectures: Option<Vec<Arch>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    names: Option<Vec<String>>,
    action: LinuxSeccompAction,
    errno_ret: Option<u32>,
    #[serde(default)]
    args: Option<Vec<LinuxSeccompArg>>,
    #[serde(default)]
    includes: Option<Filter>,
    #[serde(default)]
    excludes: Option<Filter>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Filter {
    #[serde(default)]
    caps: Option<Vec<String>>,
    #[serde(default)]
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

/// The filter that a profile's JSON means under these conditions.
pub fn from_profile(json: &str, conditions: &Conditions<'_>) -> Result<LinuxSeccomp, Error> {
    let profile: Profile = serde_json::from_str(json).map_err(Error::SeccompJson)?;
    let (go_arch, native_arches) = native();
    let architectures = match (profile.architectures, profile.arch_map) {
        (Some(list), Some(map)) if !list.is_empty() && !map.is_empty() => {
            return Err(ProfileError::TwoArchitectures.into());
        }
        (Some(list), _) if !list.is_empty() => list,
        (_, Some(map)) if !map.is_empty() => map
            .into_iter()
            .find(|entry| native_arches.first() == Some(&entry.architecture))
            .map(|entry| [vec![entry.architecture], entry.sub_architectures.unwrap_or_default()].concat())
            .unwrap_or_default(),
        _ => vec![],
    };
    let mut calls = Vec::new();
    for rule in profile.syscalls.unwrap_or_default() {
        if applies(&rule, go_arch, conditions)? {
            calls.push(call(rule)?);
        }
    }
    let mut filter = LinuxSeccompBuilder::default()
        .default_action(profile.default_action)
        .architectures(architectures)
        .syscalls(calls)
        .build()?;
    filter.set_default_errno_ret(profile.default_errno_ret);
    filter.set_flags(profile.flags);
    filter.set_listener_path(profile.listener_path);
    filter.set_listener_metadata(profile.listener_metadata);
    Ok(filter)
}

fn applies(rule: &Rule, arch: &str, conditions: &Conditions<'_>) -> Result<bool, Error> {
    let empty = Filter::default();
    let (includes, excludes) =
        (rule.includes.as_ref().unwrap_or(&empty), rule.excludes.as_ref().unwrap_or(&empty));
    let any_arch =
        |f: &Filter| f.arches.as_ref().filter(|l| !l.is_empty()).map(|l| l.iter().any(|a| a == arch));
    let caps = |f: &Filter| f.caps.clone().unwrap_or_default();
    Ok(any_arch(includes) != Some(false)
        && any_arch(excludes) != Some(true)
        && caps(includes).iter().all(|cap| conditions.has(cap))
        && !caps(excludes).iter().any(|cap| conditions.has(cap))
        && minimum(includes)?.is_none_or(|min| conditions.kernel >= min)
        && minimum(excludes)?.is_none_or(|min| conditions.kernel < min))
}

fn minimum(filter: &Filter) -> Result<Option<(u32, u32)>, Error> {
    let Some(text) = &filter.min_kernel else { return Ok(None) };
    match kernel_version(text) {
        (0, 0) => Err(ProfileError::KernelVersion(text.clone()).into()),
        version => Ok(Some(version)),
    }
}

fn call(rule: Rule) -> Result<LinuxSyscall, Error> {
    let names = match (rule.name, rule.names) {
        (Some(_), Some(names)) if !names.is_empty() => return Err(ProfileError::TwoNames.into()),
        (Some(name), _) => vec![name],
        (None, Some(names)) if !names.is_empty() => names,
        _ => return Err(ProfileError::NoNames.into()),
    };
    let mut call = LinuxSyscallBuilder::default().names(names).action(rule.action).build()?;
    call.set_errno_ret(rule.errno_ret);
    call.set_args(rule.args.filter(|args| !args.is_empty()));
    Ok(call)
}
