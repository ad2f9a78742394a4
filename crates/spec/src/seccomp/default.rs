//! Docker's default filter: what is not listed is refused with EPERM.

use super::{Conditions, native, table};
use crate::Error;
use oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder, LinuxSeccompBuilder,
    LinuxSeccompOperator, LinuxSyscall, LinuxSyscallBuilder,
};

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;
/// Socket families that are refused (address_families(7)): the kernel's crypto API and virtual machine sockets.
const AF_ALG: u64 = 38;
const AF_VSOCK: u64 = 40;

/// The filter for a container with these capabilities on this machine.
pub fn default_filter(conditions: &Conditions<'_>) -> Result<LinuxSeccomp, Error> {
    let (arch, architectures) = native();
    let mut calls = vec![allow(table::ALWAYS)?];
    if conditions.kernel >= (4, 8) {
        calls.push(allow(table::FROM_LINUX_4_8)?);
    }
    for (_, names) in table::BY_ARCHITECTURE.iter().filter(|(arches, _)| arches.contains(&arch)) {
        calls.push(allow(names)?);
    }
    for (_, names) in table::BY_CAPABILITY.iter().filter(|(cap, _)| conditions.has(cap)) {
        calls.push(allow(names)?);
    }
    for value in table::PERSONALITIES {
        calls.push(allow_when("personality", arg(0, *value, LinuxSeccompOperator::ScmpCmpEq, None)?)?);
    }
    calls.extend(sockets()?);
    if !conditions.has("CAP_SYS_ADMIN") {
        calls.extend(clones(arch)?);
    }
    Ok(LinuxSeccompBuilder::default()
        .default_action(LinuxSeccompAction::ScmpActErrno)
        .default_errno_ret(EPERM)
        .architectures(architectures)
        .syscalls(calls)
        .build()?)
}

/// Every family but AF_ALG and AF_VSOCK: three rules, because a filter cannot say "none of these".
fn sockets() -> Result<[LinuxSyscall; 3], Error> {
    use LinuxSeccompOperator::{ScmpCmpEq, ScmpCmpGt, ScmpCmpLt};
    Ok([
        allow_when("socket", arg(0, AF_ALG, ScmpCmpLt, None)?)?,
        allow_when("socket", arg(0, AF_ALG + 1, ScmpCmpEq, None)?)?,
        allow_when("socket", arg(0, AF_VSOCK, ScmpCmpGt, None)?)?,
    ])
}

/// clone without new namespaces; clone3 "does not exist", because its flags lie in memory where a filter cannot look,
/// and C libraries then fall back to clone.
fn clones(arch: &str) -> Result<[LinuxSyscall; 2], Error> {
    // On s390 the flags are the second argument (clone(2), "C library/kernel differences").
    let index = usize::from(arch.starts_with("s390"));
    let no_namespaces = arg(index, table::CLONE_NEW_MASK, LinuxSeccompOperator::ScmpCmpMaskedEq, Some(0))?;
    Ok([
        allow_when("clone", no_namespaces)?,
        LinuxSyscallBuilder::default()
            .names(vec!["clone3".to_owned()])
            .action(LinuxSeccompAction::ScmpActErrno)
            .errno_ret(ENOSYS)
            .build()?,
    ])
}

fn allow(names: &[&str]) -> Result<LinuxSyscall, Error> {
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    Ok(LinuxSyscallBuilder::default().names(names).action(LinuxSeccompAction::ScmpActAllow).build()?)
}

fn allow_when(name: &str, arg: LinuxSeccompArg) -> Result<LinuxSyscall, Error> {
    Ok(LinuxSyscallBuilder::default()
        .names(vec![name.to_owned()])
        .action(LinuxSeccompAction::ScmpActAllow)
        .args(vec![arg])
        .build()?)
}

fn arg(
    index: usize,
    value: u64,
    op: LinuxSeccompOperator,
    second: Option<u64>,
) -> Result<LinuxSeccompArg, Error> {
    let builder = LinuxSeccompArgBuilder::default().index(index).value(value).op(op);
    Ok(match second {
        Some(second) => builder.value_two(second).build()?,
        None => builder.build()?,
    })
}
