//! The engine that runs, or does not.

use crate::finding::{Finding, Fix, Group, Status};
use crate::session::Systemd;
use crate::{Facts, Places, systemd, unit};
use serde_json::Value;

const GROUP: Group = Group::Engine;

/// What the engine says of itself, after the checks of the host.
pub fn engine(facts: &Facts, places: &Places) -> Vec<Finding> {
    let host = places.host();
    let info = match cli::get_json(&host, "/info") {
        Ok(info) => info,
        Err(reason) => return vec![not_running(facts, &host, &reason)],
    };
    let text = |key: &str| info[key].as_str().unwrap_or_default().to_owned();
    let count = |key: &str| info[key].as_u64().unwrap_or_default();
    let mut findings = vec![
        Finding::ok("engine", GROUP, format!("version {} answers at {host}", text("ServerVersion"))),
        Finding::ok(
            "engine-contents",
            GROUP,
            format!(
                "{} containers, {} of them running; {} images; below {}",
                count("Containers"),
                count("ContainersRunning"),
                count("Images"),
                text("DockerRootDir")
            ),
        ),
        storage(&text("Driver")),
        Finding::ok("engine-cgroup", GROUP, format!("cgroup driver {}", text("CgroupDriver"))),
    ];
    findings.extend(warnings(&info));
    findings
}

fn not_running(facts: &Facts, host: &str, reason: &str) -> Finding {
    let installed = facts.session.systemd == Systemd::Running && systemd::ask(&["cat", unit::NAME]);
    let fix = if installed {
        format!("systemctl --user start {0}; why it ended: journalctl --user -u {0}", unit::NAME)
    } else {
        format!("{0} setup install, or by hand: {0} daemon", facts.program.display())
    };
    let reason = reason.lines().next().unwrap_or_default();
    let summary = format!("no engine answers at {host}: {reason}");
    Finding::bad(Status::Warning, "engine", GROUP, summary, Fix::user(fix))
}

fn storage(driver: &str) -> Finding {
    let summary = format!("storage driver {driver}");
    if driver == "vfs" {
        let fix = Fix::user(
            "see Storage above for why; a single engine data root keeps its driver until --storage-driver says otherwise",
        );
        return Finding::bad(
            Status::Warning,
            "engine-storage",
            GROUP,
            format!("{summary} copies every layer"),
            fix,
        );
    }
    Finding::ok("engine-storage", GROUP, summary)
}

fn warnings(info: &Value) -> Vec<Finding> {
    let lines = info["Warnings"].as_array().cloned().unwrap_or_default();
    let texts = lines.iter().filter_map(Value::as_str);
    let one = |text: &str| Finding::bad(Status::Warning, "engine-warning", GROUP, text, Fix::default());
    texts.map(|text| one(text.trim_start_matches("WARNING: "))).collect()
}
