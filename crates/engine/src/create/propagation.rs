//! A bind of the engine's own data, or of a directory that holds it, has to be a slave of it: the root file systems that
//! are mounted there for a while would otherwise stay busy in the container (moby `validateBindDaemonRoot`).

use crate::{container::record::MountKind, create::Invalid, mounts::Wanted};
use api_types::HostConfig;
use std::path::Path;

const FITTING: [&str; 2] = ["rslave", "rshared"];

fn holds_data(source: &str, data: &Path) -> bool {
    let source = Path::new(source);
    source.starts_with(data) || data.starts_with(source)
}

/// Makes binds of the data slaves of it where the request says nothing; [`check`] has refused what says otherwise.
pub(super) fn follow_data(wanted: &mut [Wanted], data: &Path) {
    for Wanted { mount, .. } in wanted {
        if mount.kind == MountKind::Bind
            && holds_data(&mount.source, data)
            && !FITTING.contains(&mount.propagation.as_str())
        {
            "rslave".clone_into(&mut mount.propagation);
        }
    }
}

/// # Errors
/// [`Invalid::DataRootPropagation`]
pub(super) fn check(host: &HostConfig, data: &Path) -> Result<(), Invalid> {
    let asked = host.mounts.iter().filter(|mount| mount.r#type == "bind").map(|mount| {
        let options = mount.bind_options.as_ref();
        (mount.source.as_str(), options.map_or("", |options| options.propagation.as_str()))
    });
    let binds = host.binds.iter().filter_map(|bind| {
        let mut parts = bind.split(':');
        let (source, mode) = (parts.next()?, parts.nth(1).unwrap_or_default());
        let propagation = mode
            .split(',')
            .find(|word| word.ends_with("private") || word.ends_with("shared") || word.ends_with("slave"));
        Some((source, propagation.unwrap_or_default()))
    });
    let wrong = |(source, propagation): &(&str, &str)| {
        source.starts_with('/')
            && holds_data(source, data)
            && !propagation.is_empty()
            && !FITTING.contains(propagation)
    };
    match asked.chain(binds).find(wrong) {
        None => Ok(()),
        Some((source, propagation)) => Err(Invalid::DataRootPropagation {
            data: data.display().to_string(),
            bound: source.to_owned(),
            propagation: propagation.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(bind: &str, expect: bool) {
        let host = HostConfig { binds: vec![bind.to_owned()], ..HostConfig::default() };
        assert_eq!(check(&host, Path::new("/home/u/data")).is_err(), expect, "{bind}");
    }

    #[test]
    fn only_slaves_and_shared_binds_may_hold_the_data() {
        refused("/home/u/data:/x", false);
        refused("/home/u/data:/x:rslave", false);
        refused("/home/u:/x:ro,rshared", false);
        refused("/home/u/data/containers:/x:private", true);
        refused("/:/x:slave", true);
        refused("/home/u/database:/x:private", false);
        refused("volume:/x:nocopy", false);
    }
}
