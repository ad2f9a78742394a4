//! `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf` of a container: files in its directory, written at each start
//! and bound over the image's.

use crate::{Engine, Error, container::Record, links::Link, network_plan, network_plan::Mode};
use network::Endpoint;
use std::{
    fs,
    io::Read,
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

/// After a live change of networks: what the files say of the container's own addresses follows, and what was written
/// into them inside the container stays. Blocks.
pub(crate) fn update(
    engine: &Engine,
    record: &Record,
    before: &[Endpoint],
    after: &[Endpoint],
) -> Result<(), Error> {
    if Mode::of(&record.host_config) != Mode::Own {
        return Ok(());
    }
    let request = network_plan::hosts(record, engine, &[]);
    let own = |endpoints: &[Endpoint]| network::names::own_lines(endpoints, &request);
    rewrite(&path(engine, record, "hosts"), |text| {
        let (old, new) = (own(before), own(after));
        let mut text = text.to_owned();
        for gone in old.iter().filter(|line| !new.contains(line)) {
            text = text.split_inclusive('\n').filter(|line| line != gone).collect();
        }
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.extend(new.into_iter().filter(|line| !old.contains(line)));
        text
    })?;
    let dns = network_plan::dns(record, engine);
    let (old, new) = (engine.networks.resolv_conf(before, &dns), engine.networks.resolv_conf(after, &dns));
    // One that somebody changed is theirs.
    let follow = |text: &str| if text == old { new.clone() } else { text.to_owned() };
    rewrite(&path(engine, record, "resolv.conf"), follow)
}

/// How large a file may be to be changed; the container may have written anything into it.
const LARGEST: u64 = 1 << 20;

/// Changes a file in place: it is bound into the container, where a new one would not show.
fn rewrite(path: &Path, change: impl FnOnce(&str) -> String) -> Result<(), Error> {
    let mut text = Vec::new();
    let file = fs::File::open(path).map_err(Error::file("open", path))?;
    file.take(LARGEST + 1).read_to_end(&mut text).map_err(Error::file("read", path))?;
    let old = String::from_utf8(text).ok().filter(|text| text.len() as u64 <= LARGEST);
    let Some(old) = old else {
        tracing::warn!(path = %path.display(), "left as it is: the container made it too large, or no text");
        return Ok(());
    };
    let new = change(&old);
    if new == old { Ok(()) } else { fs::write(path, new).map_err(Error::file("write", path)) }
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
