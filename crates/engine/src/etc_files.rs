//! `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf` of a container: files in its directory, written at each start
//! and bound over the image's.

use crate::{Engine, Error, container::Record, links::Link, network_plan, network_plan::Mode};
use network::Endpoint;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The host path of one of the files; that of the other container with `--network container:X`.
pub(crate) fn path(engine: &Engine, record: &Record, name: &str) -> PathBuf {
    let owner = match Mode::of(&record.host_config) {
        Mode::Container(other) => {
            engine.containers.find(other).map_or_else(|_| record.id.clone(), |c| c.id().clone())
        }
        Mode::Host | Mode::Own => record.id.clone(),
    };
    engine.config.data.container(&owner).join(name)
}

/// Source and destination of each file that exists.
pub(crate) fn mounts(engine: &Engine, record: &Record) -> Result<Vec<(PathBuf, PathBuf)>, Error> {
    let files = ["resolv.conf", "hostname", "hosts"]
        .map(|name| (path(engine, record, name), Path::new("/etc").join(name)));
    Ok(files.into_iter().filter(|(source, _)| source.exists()).collect())
}

/// Writes the files for a container with these endpoints. Blocks.
pub(crate) fn write(
    engine: &Engine,
    record: &Record,
    endpoints: &[Endpoint],
    links: &[Link],
) -> Result<(), Error> {
    let (hosts, resolv_conf) = match Mode::of(&record.host_config) {
        // The other container's are used.
        Mode::Container(_) => return Ok(()),
        Mode::Host => {
            (host_hosts(record), network::names::host_resolv_conf(&network_plan::dns(record, engine)))
        }
        Mode::Own => (
            engine.networks.hosts(endpoints, &network_plan::hosts(record, engine, links)),
            engine.networks.resolv_conf(endpoints, &network_plan::dns(record, engine)),
        ),
    };
    let hostname = match &record.config.hostname {
        name if name.is_empty() => rustix::system::uname().nodename().to_string_lossy().into_owned(),
        name => name.clone(),
    };
    for (name, text) in
        [("hosts", hosts), ("resolv.conf", resolv_conf), ("hostname", format!("{hostname}\n"))]
    {
        let path = path(engine, record, name);
        fs::write(&path, text).map_err(Error::file("write", &path))?;
    }
    Ok(())
}

/// The host's own names, and those asked for.
fn host_hosts(record: &Record) -> String {
    let mut text = fs::read_to_string("/etc/hosts").unwrap_or_default();
    for entry in &record.host_config.extra_hosts {
        if let Some((name, address)) = entry.split_once(':') {
            text.push_str(&format!("{address}\t{name}\n"));
        }
    }
    text
}
