//! `inspect`: everything about one container.

pub(crate) mod network;

use crate::{
    Engine, Error, blocking,
    container::{Record, State, record::MountKind},
    etc_files, links,
};
use api_types::{ContainerInspect, ContainerState, DriverData, HostConfig, MountPoint};
use std::sync::Arc;

/// All that is known of a container; with `size`, also what it wrote, which takes a walk through its files.
pub async fn inspect(engine: &Arc<Engine>, reference: &str, size: bool) -> Result<ContainerInspect, Error> {
    let container = engine.containers.find(reference)?;
    let record = container.record();
    let sizes = if size {
        let (engine, record) = (engine.clone(), record.clone());
        Some(blocking("size", move || sizes(&engine, &record)).await??)
    } else {
        None
    };
    let file = |name: &str| etc_files::path(engine, &record, name).display().to_string();
    let command = record.command();
    Ok(ContainerInspect {
        id: record.id.to_string(),
        created: record.created.to_string(),
        path: command.first().cloned().unwrap_or_default(),
        args: command.into_iter().skip(1).collect(),
        state: state(&record),
        image: record.image.as_ref().map(ToString::to_string).unwrap_or_default(),
        resolv_conf_path: file("resolv.conf"),
        hostname_path: file("hostname"),
        hosts_path: file("hosts"),
        log_path: log_path(engine, &record),
        name: format!("/{}", record.name),
        restart_count: i64::from(record.restart_count),
        driver: engine.snapshots.name().to_owned(),
        platform: "linux".to_owned(),
        mount_label: String::new(),
        process_label: String::new(),
        app_armor_profile: String::new(),
        exec_ids: container.live.execs().iter().map(ToString::to_string).collect(),
        host_config: HostConfig { links: links::shown(engine, &record), ..record.host_config.clone() },
        graph_driver: graph_driver(engine, &record),
        size_rw: sizes.map(|(rw, _)| rw),
        size_root_fs: sizes.map(|(_, all)| all),
        mounts: mount_points(&record),
        config: record.config.clone(),
        network_settings: network::settings(engine, &record),
    })
}

fn log_path(engine: &Engine, record: &Record) -> String {
    match record.host_config.log_config.r#type.as_str() {
        "json-file" => crate::logs::path(engine, record).display().to_string(),
        _ => String::new(),
    }
}

fn state(record: &Record) -> ContainerState {
    let state = &record.state;
    ContainerState {
        status: state.status().as_str().to_owned(),
        running: state.counts_as_running(),
        paused: matches!(state, State::Paused(_)),
        restarting: matches!(state, State::Restarting { .. }),
        oom_killed: state.exit().is_some_and(|e| e.oom_killed),
        dead: matches!(state, State::Dead { .. }),
        pid: state.run().map_or(0, |run| i64::from(run.process.pid)),
        exit_code: i64::from(state.exit_code()),
        error: state.error().to_owned(),
        started_at: state.started().to_string(),
        finished_at: state.finished().to_string(),
        health: record.health.clone(),
    }
}

/// Where the storage driver has it.
fn graph_driver(engine: &Engine, record: &Record) -> DriverData {
    let text = |path: &std::path::Path| path.display().to_string();
    let mut driver = DriverData { name: engine.snapshots.name().to_owned(), ..DriverData::default() };
    match engine.snapshots.rootfs(&record.id) {
        Ok(
            model::Rootfs::Overlay { lower, upper, work, .. }
            | model::Rootfs::FuseOverlay { lower, upper, work, .. },
        ) => {
            let lower: Vec<String> = lower.iter().map(|l| text(l)).collect();
            driver.data.insert("LowerDir".to_owned(), lower.join(":"));
            driver.data.extend(upper.map(|dir| ("UpperDir".to_owned(), text(&dir))));
            driver.data.extend(work.map(|dir| ("WorkDir".to_owned(), text(&dir))));
        }
        Ok(model::Rootfs::Dir { path }) => drop(driver.data.insert("MergedDir".to_owned(), text(&path))),
        // A container whose tree is gone is one that is half removed.
        Err(error) => tracing::debug!(container = %record.id, %error, "inspect"),
    }
    driver
}

/// Bytes that the container wrote, and those with its image. Blocks.
pub(crate) fn sizes(engine: &Engine, record: &Record) -> Result<(i64, i64), Error> {
    let own = engine.snapshots.container_usage(&record.id)?.bytes;
    let mut all = own;
    if let Some(image) = record.image.as_ref().and_then(|id| engine.images.get(id)) {
        for layer in &image.layers {
            all += engine.snapshots.layer_usage(layer)?.bytes;
        }
    }
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    Ok((signed(own), signed(all)))
}

/// Mounts as the API shows them; tmpfs of `--tmpfs` are not among them, as in Docker.
pub(crate) fn mount_points(record: &Record) -> Vec<MountPoint> {
    let shown = |m: &&crate::container::record::Mount| {
        m.kind != MountKind::Tmpfs || !record.host_config.tmpfs.contains_key(&m.destination)
    };
    let point = |m: &crate::container::record::Mount| MountPoint {
        r#type: m.kind.as_str().to_owned(),
        name: m.name.clone(),
        source: m.source.clone(),
        destination: m.destination.clone(),
        driver: m.driver.clone(),
        mode: m.mode.clone(),
        rw: m.rw,
        propagation: m.propagation.clone(),
    };
    record.mounts.iter().filter(shown).map(point).collect()
}
