//! From a record to what the runtime is told: everything decided, nothing left to look up but the user
//! (which the shim finds in the mounted root file system).

mod environment;
mod limits;
mod namespaces;
pub(crate) mod security;
mod sysctls;

pub(crate) use environment::{environment, overlay};
pub(crate) use limits::{clamped, resources};

use crate::{Config, Engine, Error, container::Record, create::Invalid, links::Link, mounts};
use api_types::HostConfig;
use model::Rootfs;
use shim_proto::Cgroup;
use spec::ContainerPlan;

/// Where `--init` puts the init, as Docker does.
const INIT: &str = "/sbin/docker-init";

/// What can be checked at creation: that a plan can be made at all.
pub(crate) fn check(host: &HostConfig, engine: &Config) -> Result<(), Error> {
    security::Options::parse(&host.security_opt, engine)?;
    limits::rlimits(host, engine)?;
    host.devices.iter().try_for_each(|d| check_device(&d.cgroup_permissions))?;
    sysctls::check(host)?;
    Ok(())
}

fn check_device(permissions: &str) -> Result<(), Invalid> {
    if permissions.bytes().all(|b| matches!(b, b'r' | b'w' | b'm')) {
        Ok(())
    } else {
        Err(Invalid::DevicePath(permissions.to_owned()))
    }
}

/// How the container's root file system is mounted, by whomever.
pub(crate) fn rootfs(engine: &Engine, record: &Record) -> Result<Rootfs, Error> {
    let rootfs = engine.snapshots.rootfs(&record.id)?;
    // What is removed when it ends is removed after a crash of the host as well, before anybody reads its files.
    Ok(if record.host_config.auto_remove { rootfs.volatile() } else { rootfs })
}

/// The plan of one start. Blocks: it looks at devices and sources of mounts.
pub(crate) fn plan(engine: &Engine, record: &Record, links: &[Link]) -> Result<ContainerPlan, Error> {
    let (config, host) = (&record.config, &record.host_config);
    let security = security::Options::parse(&host.security_opt, &engine.config)?;
    let capabilities = spec::caps::resolve(&host.cap_add, &host.cap_drop, host.privileged)?;
    let seccomp = security.filter(&capabilities, host.privileged)?;
    let init = host.init.unwrap_or(engine.config.init) && host.pid_mode.is_empty();
    let mut args = record.command();
    if init {
        args.splice(0..0, [INIT.to_owned(), "--".to_owned()]);
    }
    let cgroup_path = engine.config.cgroup.path(record);
    Ok(ContainerPlan {
        id: record.id.clone(),
        args,
        env: environment(config, links),
        cwd: if config.working_dir.is_empty() { "/".to_owned() } else { config.working_dir.clone() },
        terminal: config.tty,
        console_size: console_size(host),
        hostname: Some(config.hostname.clone()).filter(|h| !h.is_empty()),
        domainname: Some(config.domainname.clone()).filter(|d| !d.is_empty()),
        namespaces: namespaces::plan(engine, record)?,
        mounts: mounts::plan::plan(engine, record, init.then_some(INIT))?,
        capabilities,
        privileged: host.privileged,
        no_new_privileges: security.no_new_privileges,
        seccomp,
        masked_paths: if host.privileged {
            Vec::new()
        } else {
            host.masked_paths.clone().unwrap_or_default()
        },
        readonly_paths: if host.privileged {
            Vec::new()
        } else {
            host.readonly_paths.clone().unwrap_or_default()
        },
        devices: devices(host)?,
        rlimits: limits::rlimits(host, &engine.config)?,
        sysctls: host.sysctls.clone(),
        resources: cgroup_path.as_ref().map(|_| resources(host)),
        cgroup_path,
        oom_score_adj: limits::oom_score_adj(host),
        readonly_rootfs: host.readonly_rootfs,
        many_ids: engine.config.gids.len() > 5,
        annotations: host.annotations.clone(),
    })
}

/// Rows and columns of the request, as columns and rows.
fn console_size(host: &HostConfig) -> Option<(u16, u16)> {
    let [rows, columns] = host.console_size;
    match (u16::try_from(columns).ok()?, u16::try_from(rows).ok()?) {
        (0, _) | (_, 0) => None,
        size => Some(size),
    }
}

fn devices(host: &HostConfig) -> Result<Vec<spec::oci::LinuxDevice>, Error> {
    let mut nodes = Vec::new();
    for device in &host.devices {
        let inside = if device.path_in_container.is_empty() {
            &device.path_on_host
        } else {
            &device.path_in_container
        };
        nodes.extend(spec::devices::at(device.path_on_host.as_ref(), inside.as_ref())?);
    }
    Ok(nodes)
}

/// How the shim is to enforce the plan's limits.
pub(crate) fn cgroup(plan: &ContainerPlan) -> Cgroup {
    plan.cgroup_path.clone().map_or(Cgroup::None, |path| Cgroup::Cgroupfs { path })
}
