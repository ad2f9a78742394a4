//! What unit tests share.

use crate::config::{Cgroups, Config, DefaultLog, Dns, Settings, Shared};
use shim_proto::RuntimeChoice;
use std::{collections::BTreeMap, time::Duration};

/// Docker's defaults on a host without cgroups.
pub(crate) fn config() -> Config {
    Config {
        data: model::DataLayout::new("/nonexistent/data"),
        run: model::RunLayout::new("/nonexistent/run"),
        settings: Shared::new(Settings {
            default_runtime: "lichen".into(),
            runtimes: BTreeMap::from([("lichen".to_owned(), RuntimeChoice::Builtin)]),
            live_restore: false,
            shutdown_timeout: Duration::from_secs(15),
            stop_timeout: 10,
            labels: Vec::new(),
            shm_size: 64 << 20,
            ipc_mode: "private".into(),
            cgroupns_mode: "private".into(),
        }),
        default_log: DefaultLog { driver: "json-file".into(), options: BTreeMap::new() },
        default_ulimits: BTreeMap::new(),
        init: false,
        init_path: "/nonexistent/init".into(),
        seccomp_profile: None,
        no_new_privileges: false,
        bypass: false,
        dns: Dns::default(),
        host_gateway: None,
        cgroup: Cgroups::None,
        warnings: Vec::new(),
        uids: Default::default(),
        gids: Default::default(),
    }
}
