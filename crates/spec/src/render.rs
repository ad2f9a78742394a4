//! From a plan to the specification that the runtime carries out.

use crate::{
    Error, caps, devices, mounts,
    plan::{ContainerPlan, Ipc, Namespace, Rlimit},
};
use oci_spec::runtime::{
    BoxBuilder, Linux, LinuxBuilder, LinuxDevice, LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType,
    PosixRlimit, PosixRlimitBuilder, PosixRlimitType, Process, ProcessBuilder, RootBuilder, Spec,
    SpecBuilder, UserBuilder,
};
use std::path::PathBuf;

/// The version of the specification that the fields used here need (`time_offsets` and later are not used).
const OCI_VERSION: &str = "1.2.0";

/// The specification of one container. `process.user` is root; the shim replaces it by who was asked for.
pub fn render(plan: &ContainerPlan) -> Result<Spec, Error> {
    let mut spec = SpecBuilder::default()
        .version(OCI_VERSION)
        // A name, not a place: the root file system travels beside the specification as a `model::Rootfs`.
        .root(RootBuilder::default().path(PathBuf::from("rootfs")).readonly(plan.readonly_rootfs).build()?)
        .mounts(mounts::all(plan)?)
        .process(process(plan)?)
        .linux(linux(plan)?)
        .annotations(plan.annotations.clone().into_iter().collect::<std::collections::HashMap<_, _>>())
        .build()?;
    let own_uts = plan.namespaces.uts == Namespace::New;
    spec.set_hostname(plan.hostname.clone().filter(|_| own_uts));
    spec.set_domainname(plan.domainname.clone().filter(|name| own_uts && !name.is_empty()));
    Ok(spec)
}

fn process(plan: &ContainerPlan) -> Result<Process, Error> {
    let mut process = ProcessBuilder::default()
        .terminal(plan.terminal)
        .user(UserBuilder::default().uid(0u32).gid(0u32).build()?)
        .args(plan.args.clone())
        .env(plan.env.clone())
        .cwd(PathBuf::from(&plan.cwd))
        .capabilities(caps::render(&plan.capabilities)?)
        .no_new_privileges(plan.no_new_privileges)
        .rlimits(plan.rlimits.iter().map(rlimit).collect::<Result<Vec<_>, _>>()?)
        .build()?;
    process.set_oom_score_adj(plan.oom_score_adj);
    if let Some((columns, rows)) = plan.console_size {
        process.set_console_size(Some(BoxBuilder::default().width(columns).height(rows).build()?));
    }
    Ok(process)
}

fn linux(plan: &ContainerPlan) -> Result<Linux, Error> {
    let mut linux = LinuxBuilder::default()
        .namespaces(namespaces(plan)?)
        .masked_paths(plan.masked_paths.clone())
        .readonly_paths(plan.readonly_paths.clone())
        .sysctl(plan.sysctls.clone().into_iter().collect::<std::collections::HashMap<_, _>>())
        .devices(device_nodes(plan)?)
        .rootfs_propagation(mounts::root_propagation(plan))
        .build()?;
    linux.set_seccomp(plan.seccomp.clone());
    linux.set_resources(plan.resources.clone());
    linux.set_cgroups_path(plan.cgroup_path.clone());
    Ok(linux)
}

/// Without a type here, the process stays in the runtime's own namespace: that is what "host" means.
fn namespaces(plan: &ContainerPlan) -> Result<Vec<LinuxNamespace>, Error> {
    let ipc = match &plan.namespaces.ipc {
        Ipc::Private { .. } | Ipc::NoShm => Namespace::New,
        Ipc::Host { .. } => Namespace::Host,
        Ipc::Join { namespace, .. } => Namespace::Join(namespace.clone()),
    };
    let wanted = [
        (LinuxNamespaceType::Mount, &Namespace::New),
        (LinuxNamespaceType::Pid, &plan.namespaces.pid),
        (LinuxNamespaceType::Ipc, &ipc),
        (LinuxNamespaceType::Uts, &plan.namespaces.uts),
        (LinuxNamespaceType::Network, &plan.namespaces.network),
        (LinuxNamespaceType::Cgroup, &plan.namespaces.cgroup),
    ];
    let mut list = Vec::new();
    for (kind, namespace) in wanted {
        let builder = LinuxNamespaceBuilder::default().typ(kind);
        match namespace {
            Namespace::New => list.push(builder.build()?),
            Namespace::Host => {}
            Namespace::Join(path) => list.push(builder.path(path.clone()).build()?),
        }
    }
    Ok(list)
}

fn device_nodes(plan: &ContainerPlan) -> Result<Vec<LinuxDevice>, Error> {
    let mut nodes = if plan.privileged { devices::all()? } else { vec![] };
    nodes.retain(|node| !plan.devices.iter().any(|asked| asked.path() == node.path()));
    nodes.extend(plan.devices.iter().cloned());
    Ok(nodes)
}

fn rlimit(limit: &Rlimit) -> Result<PosixRlimit, Error> {
    let kind = serde_json::Value::String(format!("RLIMIT_{}", limit.name.to_ascii_uppercase()));
    let kind: PosixRlimitType = serde_json::from_value(kind).map_err(|source| {
        oci_spec::OciSpecError::Other(format!("ulimit {:?} does not exist: {source}", limit.name))
    })?;
    Ok(PosixRlimitBuilder::default().typ(kind).soft(limit.soft).hard(limit.hard).build()?)
}

#[cfg(test)]
mod tests;
