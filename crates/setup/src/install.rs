//! `setup install` and `setup uninstall`.

use crate::facts::Facts;
use crate::session::Systemd;
use crate::undo::Undo;
use crate::unit::{self, Unit};
use crate::{Error, Places, Result, context, systemd};
use cli::say;
use std::fs;
use std::path::{Path, PathBuf};

/// The requirements are satisfied.
pub fn install(facts: &Facts, places: &Places) -> Result<()> {
    let mut undo = Undo::default();
    let result = match facts.session.systemd {
        Systemd::Running => with_systemd(facts, places, &mut undo),
        _ => {
            without_systemd(facts, places);
            Ok(())
        }
    }
    .and_then(|()| context::create(&places.host(), &mut undo));
    if let Err(error) = result {
        undo.run();
        return Err(error);
    }
    exports(facts, places);
    Ok(())
}

fn unit_file(places: &Places) -> PathBuf {
    places.config.join("systemd/user").join(unit::NAME)
}

fn with_systemd(facts: &Facts, places: &Places, undo: &mut Undo) -> Result<()> {
    let file = unit_file(places);
    if file.exists() {
        say!("[WARNING] File already exists, skipping: {}", file.display());
    } else {
        say!("[INFO] Creating {}", file.display());
        let unit = Unit {
            program: &facts.program,
            path: &std::env::var("PATH").unwrap_or_default(),
            bus: systemd::ask(&["cat", "dbus.socket"]),
        };
        write(&file, &unit.text())?;
        undo.push(move || {
            fs::remove_file(&file).map_err(Error::file("remove", &file))?;
            systemd::call(&["daemon-reload"])
        });
        systemd::call(&["daemon-reload"])?;
    }
    if systemd::is_active() {
        say!("[INFO] {} runs already", unit::NAME);
    } else {
        say!("[INFO] starting systemd service {}", unit::NAME);
        undo.push(|| systemd::call(&["stop", unit::NAME]));
        systemd::call(&["start", unit::NAME]).map_err(|error| Error::NotStarted(Box::new(error)))?;
    }
    cli::get_json(&places.host(), "/version")
        .map_err(|message| Error::NoAnswer { host: places.host(), message })?;
    if !systemd::is_enabled() {
        undo.push(|| systemd::call(&["disable", unit::NAME]));
        systemd::call(&["enable", unit::NAME])?;
    }
    say!("[INFO] Installed {} successfully.", unit::NAME);
    say!("[INFO] To control {0}, run: `systemctl --user (start|stop|restart) {0}`", unit::NAME);
    say!(
        "[INFO] To run {} on system startup, run: `sudo loginctl enable-linger {}`\n",
        unit::NAME,
        facts.user.name
    );
    Ok(())
}

/// The file whole or not at all.
fn write(file: &Path, text: &str) -> Result<()> {
    let directory = file.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(directory).map_err(Error::file("create", directory))?;
    let new = file.with_extension("service.new");
    fs::write(&new, text).map_err(Error::file("write", &new))?;
    fs::rename(&new, file).map_err(Error::file("rename", &new))
}

fn without_systemd(facts: &Facts, places: &Places) {
    say!("[INFO] systemd not detected, the engine needs to be started manually:\n");
    say!("XDG_RUNTIME_DIR={} {} daemon\n", places.runtime.display(), facts.program.display());
}

fn exports(facts: &Facts, places: &Places) {
    say!("[INFO] Make sure the following environment variable(s) are set (or add them to ~/.bashrc):");
    if facts.session.systemd != Systemd::Running {
        say!("# WARNING: systemd not found. You have to remove XDG_RUNTIME_DIR manually on every logout.");
        say!("export XDG_RUNTIME_DIR={}", places.runtime.display());
    }
    if let Some(directory) = facts.program.parent() {
        say!("export PATH={}:$PATH", directory.display());
    }
    say!("\n[INFO] Some applications may require the following environment variable too:");
    say!("export DOCKER_HOST={}\n", places.host());
}

fn how_to_stop(pidfile: &Path) {
    if names_an_engine(pidfile) {
        say!("[INFO] systemd not detected, the engine needs to be stopped manually:\n");
        say!("kill $(cat {})\n", pidfile.display());
    } else {
        say!(
            "[INFO] systemd not detected; {} names no engine that would have to be stopped",
            pidfile.display()
        );
    }
}

/// A file that was left by an engine which somebody killed may name any process by now.
fn names_an_engine(pidfile: &Path) -> bool {
    let pid = fs::read_to_string(pidfile).ok().and_then(|text| text.trim().parse::<u32>().ok());
    let command = pid.and_then(|pid| fs::read(format!("/proc/{pid}/cmdline")).ok());
    command.is_some_and(|command| command.starts_with(b"lichen\0engine\0"))
}

/// Takes down the service and the context; data stays. Every step is tried; the first failure is returned.
pub fn uninstall(facts: &Facts, places: &Places) -> Result<()> {
    let mut first = Ok(());
    let mut note = |result: Result<()>| {
        if let Err(error) = result {
            eprintln!("[WARNING] {error}");
            if first.is_ok() {
                first = Err(error);
            }
        }
    };
    let file = unit_file(places);
    if facts.session.systemd == Systemd::Running {
        if systemd::is_active() {
            note(systemd::call(&["stop", unit::NAME]));
        }
        if systemd::is_enabled() {
            note(systemd::call(&["disable", unit::NAME]));
        }
    }
    if file.exists() {
        note(fs::remove_file(&file).map_err(Error::file("remove", &file)));
    }
    if facts.session.systemd == Systemd::Running {
        note(systemd::call(&["daemon-reload"]));
    }
    note(context::remove());
    first?;
    if facts.session.systemd == Systemd::Running {
        say!("[INFO] Uninstalled {}", unit::NAME);
    } else {
        how_to_stop(&places.runtime.join("docker.pid"));
    }
    say!(
        "[INFO] Make sure to unset or update the environment PATH, DOCKER_HOST, and DOCKER_CONTEXT environment variables \
         if you have added them to `~/.bashrc`."
    );
    say!("[INFO] This uninstallation tool does NOT remove Lichen's programs and data.");
    say!(
        "[INFO] To remove data, run: `{} nsenter rm -rf {}`",
        facts.program.display(),
        places.data_root.display()
    );
    Ok(())
}
