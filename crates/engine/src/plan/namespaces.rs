//! Where a container finds its namespaces.

use crate::{
    Engine, Error,
    container::{Record, Run},
    network_plan::Mode,
};
use spec::{Ipc, Namespace, Namespaces};
use std::path::{Path, PathBuf};

pub(super) fn plan(engine: &Engine, record: &Record) -> Result<Namespaces, Error> {
    let host = &record.host_config;
    Ok(Namespaces {
        pid: match host.pid_mode.as_str() {
            "host" => Namespace::Host,
            mode => match mode.strip_prefix("container:") {
                Some(other) => Namespace::Join(of_process(&running(engine, other, "PID")?.1, "ns/pid")),
                None => Namespace::New,
            },
        },
        uts: if host.uts_mode == "host" { Namespace::Host } else { Namespace::New },
        ipc: ipc(engine, record)?,
        network: match Mode::of(host) {
            Mode::Host => Namespace::Host,
            // The namespace itself travels beside the specification, as a descriptor, where the engine made it.
            Mode::Own => Namespace::New,
            Mode::Container(other) => {
                Namespace::Join(of_process(&running(engine, other, "network")?.1, "ns/net"))
            }
        },
        cgroup: if host.cgroupns_mode == "host" { Namespace::Host } else { Namespace::New },
    })
}

fn ipc(engine: &Engine, record: &Record) -> Result<Ipc, Error> {
    let host = &record.host_config;
    let shm_size = u64::try_from(host.shm_size).unwrap_or_else(|_| engine.config.settings.get().shm_size);
    match host.ipc_mode.as_str() {
        "host" => Ok(Ipc::Host { has_mqueue: Path::new("/dev/mqueue").is_dir() }),
        "none" => Ok(Ipc::NoShm),
        mode => match mode.strip_prefix("container:") {
            None => Ok(Ipc::Private { shm_size }),
            Some(other) => {
                let (donor, run) = running(engine, other, "IPC")?;
                // One that has joined another shares what it has joined (moby, `ShmPath`).
                let mode = donor.host_config.ipc_mode.as_str();
                if !matches!(mode, "shareable" | "host") && !mode.starts_with("container:") {
                    return Err(Error::NotShareable { reference: donor.id.to_string() });
                }
                let shm = of_process(&run, "root/dev/shm");
                Ok(Ipc::Join { namespace: of_process(&run, "ns/ipc"), shm })
            }
        },
    }
}

/// The other container's record and run.
fn running(
    engine: &Engine,
    reference: &str,
    what: &'static str,
) -> Result<(std::sync::Arc<Record>, Run), Error> {
    let record = engine.containers.find(reference)?.record();
    match record.state.run().cloned() {
        Some(run) => Ok((record, run)),
        None => Err(Error::JoinNotRunning { what, reference: record.id.to_string() }),
    }
}

fn of_process(run: &Run, what: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}/{what}", run.process.pid))
}
