//! `lichen setup`, `lichen doctor`, and entering namespaces where no engine runs. The service itself is `cargo xtask vm`'s:
//! no systemd runs here.

use e2e::{Engine, Host, Output, program};
use std::os::unix::fs::{MetadataExt, symlink};

/// That it succeeded and said so on standard output.
#[track_caller]
fn says(output: Output, expected: &str) {
    let output = output.ok();
    assert!(output.stdout.contains(expected), "expected {expected:?}: {output}");
}

fn lichen(host: &Host, words: &[&str]) -> Output {
    host.run_command(program("lichen"), words)
}

#[test]
fn a_host_that_can_run_containers_satisfies_the_check() {
    let host = Host::new();
    let output = lichen(&host, &["setup", "check"]).ok();
    assert!(output.stdout.ends_with("[INFO] Requirements are satisfied\n"), "{output}");
    let json = lichen(&host, &["setup", "check", "--json"]).ok();
    let report: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(report["satisfied"], true, "{json}");
    let findings = report["findings"].as_array().unwrap();
    let overlay = findings.iter().find(|f| f["id"] == "overlay").unwrap();
    assert_eq!(overlay["status"], "ok", "{json}");
    assert_eq!(std::fs::read_dir(host.home()).unwrap().count(), 0, "the probe left something behind");
}

#[test]
fn the_set_up_tool_answers_to_dockers_name() {
    let host = Host::new();
    let tool = host.path("dockerd-rootless-setuptool.sh");
    symlink(program("lichen"), &tool).unwrap();
    says(
        host.run_command(&tool, &["check", "--force", "--skip-iptables"]),
        "[INFO] Requirements are satisfied
",
    );
    host.run_command(&tool, &["nsenter", "id", "-u"]).ok().prints("0");
}

#[test]
fn what_is_missing_is_named_with_the_commands_for_root() {
    let host = Host::new();
    let mut command = host.command(program("lichen"));
    let output =
        command.args(["setup", "check"]).env("PATH", host.home()).env_remove("HOME").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(err.contains("[ERROR] HOME needs to be set\n"), "{err}");
    assert!(err.contains("[ERROR] newuidmap is not installed\n"), "{err}");
    assert!(err.contains("[ERROR] Missing system requirements. Run the following commands to\n"), "{err}");
    assert!(out.contains("########## BEGIN ##########\nsudo sh -eux <<EOF\n"), "{out}");
    assert!(out.contains("\nEOF\n########## END ##########\n"), "{out}");
    assert!(!out.contains("satisfied"), "{out}");
}

#[test]
fn root_is_refused() {
    let output = std::process::Command::new(program("lichen")).args(["setup", "install"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("[ERROR] Refusing to install rootless Docker as the root user"), "{text}");
}

#[test]
fn without_systemd_installing_selects_a_context_and_says_how_to_start() {
    let host = Host::new();
    let output = lichen(&host, &["setup", "install"]).ok();
    let socket = format!("unix://{}", host.socket().display());
    for expected in
        ["systemd not detected", "lichen daemon\n", "Current context is now \"rootless\"", "export PATH="]
    {
        assert!(output.stdout.contains(expected), "{expected}: {output}");
    }
    assert!(output.stdout.contains(&format!("export DOCKER_HOST={socket}\n")), "{output}");
    let mut docker = host.command("docker");
    let shown = docker.args(["context", "ls"]).env_remove("DOCKER_HOST").output().unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.lines().any(|l| l.starts_with("rootless *") && l.contains(&socket)), "{shown}");

    says(lichen(&host, &["setup", "install"]), "CLI context \"rootless\" already exists");

    let output = lichen(&host, &["setup", "uninstall"]).ok();
    assert!(output.stdout.contains(&format!("nsenter rm -rf {}`", host.data().display())), "{output}");
    let mut docker = host.command("docker");
    let shown = docker.args(["context", "ls", "-q"]).env_remove("DOCKER_HOST").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&shown.stdout), "default\n");
    lichen(&host, &["setup", "uninstall"]).ok();
}

#[test]
fn the_doctor_tells_whether_an_engine_runs() {
    let host = Host::new();
    let output = lichen(&host, &["doctor"]).ok();
    assert!(output.stdout.contains("no engine answers at unix://"), "{output}");
    let engine = Engine::start_on(host, &[], &[]);
    let output = engine.lichen(&["doctor"]).ok();
    assert!(
        output.stdout.contains("answers at unix://") && output.stdout.contains("storage driver "),
        "{output}"
    );
    let json = engine.lichen(&["doctor", "--json"]).ok();
    let report: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert!(
        report["findings"].as_array().unwrap().iter().any(|f| f["id"] == "engine" && f["status"] == "ok")
    );
}

#[test]
fn files_of_subordinate_ids_are_removed_without_an_engine() {
    let host = Host::new();
    let file = host.path("left/file");
    lichen(&host, &["nsenter", "sh", "-c", "mkdir left && touch left/file && chown -R 1000:1000 left"]).ok();
    assert!(std::fs::metadata(&file).unwrap().uid() > 65_536, "the file has a subordinate ID");
    assert!(!host.run_command("rm", &["-r", "left"]).status.success(), "the user cannot remove it");
    lichen(&host, &["nsenter", "rm", "-r", "left"]).ok();
    assert!(!file.exists());
    lichen(&host, &["nsenter", "sh", "-c", "exit 7"]).exits(7);
    assert!(host.processes().is_empty(), "{:?}", host.processes());
    assert_eq!(
        std::fs::read_dir(host.run()).unwrap().count(),
        0,
        "the temporary namespaces left something behind"
    );
}

#[test]
fn without_systemd_uninstalling_says_how_to_stop_the_engine_and_that_does() {
    let mut engine = Engine::start();
    let output = engine.lichen(&["setup", "uninstall"]).ok();
    assert!(
        output.stdout.contains("systemd not detected, the engine needs to be stopped manually"),
        "{output}"
    );
    let line = output.stdout.lines().find(|line| line.starts_with("kill ")).expect("a line that stops it");
    engine.host().run_command("/bin/sh", &["-c", line]).ok();
    engine.wait_stopped();
    let pidfile = engine.host().run().join("docker.pid");
    assert!(!pidfile.exists(), "its PID file is left");
    // As a killed engine leaves it, whose number another process has by now.
    std::fs::write(&pidfile, std::process::id().to_string()).unwrap();
    let output = engine.lichen(&["setup", "uninstall"]).ok();
    assert!(!output.stdout.contains("kill "), "{output}");
}

#[test]
fn a_reader_that_has_read_enough_stops_nothing() {
    let host = Host::new();
    let script = format!(
        "set -o pipefail; {0} daemon --help | head -n1 && {0} setup install | head -n1 && {0} setup uninstall | head -n1",
        program("lichen").display()
    );
    let output = host.run_command("/bin/bash", &["-c", &script]).ok();
    assert!(output.stdout.starts_with("Usage: lichen daemon [OPTIONS]\n"), "{output}");
    assert!(!output.stderr.contains("panicked"), "{output}");
    // Nobody reads from the beginning.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut install = host.command(program("lichen"));
    install.args(["setup", "install"]).stdout(writer);
    let output = Output::of("lichen setup install".to_owned(), install.output().unwrap()).ok();
    assert!(!output.stderr.contains("standard output"), "{output}");
    let mut docker = host.command("docker");
    let shown = docker.args(["context", "ls", "-q"]).env_remove("DOCKER_HOST").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&shown.stdout), "default\nrootless\n");
}

#[test]
fn what_is_no_command_of_the_set_up_tool_is_told_as_dockers_tells_it() {
    let host = Host::new();
    for (words, expected) in [
        (&["setup"][..], "[ERROR] No command was specified. Run with --help to see the usage."),
        (&["setup", "instal"], "[ERROR] Unknown command: instal. Run with --help to see the usage."),
        (&["daemon", "install"], "did you mean 'lichen setup install'?"),
    ] {
        lichen(&host, words).exits(1).complains(expected);
    }
}
