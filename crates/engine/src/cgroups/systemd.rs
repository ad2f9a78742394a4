//! The driver `systemd`: a transient, delegated scope for each container.

use super::{
    Error, MOUNT,
    bus::{Bus, Ended, Session},
    slice,
};
use crate::{blocking, container::Record};
use model::Id;
use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{Mutex, broadcast};
use zbus::zvariant::{OwnedObjectPath, Value};

/// moby's default for rootless engines.
const SLICE: &str = "user.slice";
/// Starting a scope takes systemd a few milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// An ended scope is gone once systemd has heard that it is empty; nothing tells of that but asking.
const AGAIN: Duration = Duration::from_millis(10);

/// The user's systemd, and what it may hand to containers.
#[derive(Debug)]
pub struct Systemd {
    bus: Bus,
    /// The manager's own cgroup, relative to the mount.
    root: PathBuf,
    pub(super) controllers: Vec<String>,
    /// Where scopes go that do not say otherwise.
    slice: String,
    session: Mutex<Option<Arc<Session>>>,
}

impl Systemd {
    /// Connects, and finds out what there is.
    ///
    /// # Errors
    /// When there is no user's systemd, or when it could not make scopes for processes of ours.
    pub async fn connect(bus: Bus, slice: Option<String>) -> Result<Self, Error> {
        let slice = slice.unwrap_or_else(|| SLICE.to_owned());
        if !slice::is_slice(&slice) {
            return Err(Error::NoSlice);
        }
        let session = bus.connect().await?;
        let root = session.control_group().await?;
        let relative = root.strip_prefix('/').ok_or_else(|| Error::Elsewhere { path: root.clone() })?;
        let directory = Path::new(MOUNT).join(relative);
        let file = directory.join("cgroup.controllers");
        let controllers = std::fs::read_to_string(&file).map_err(Error::file("read", &file))?;
        can_move(&root)?;
        Ok(Self {
            bus,
            root: relative.into(),
            controllers: controllers.split_whitespace().map(str::to_owned).collect(),
            slice,
            session: Mutex::new(Some(Arc::new(session))),
        })
    }

    fn slice<'a>(&'a self, parent: &'a str) -> &'a str {
        if parent.is_empty() { &self.slice } else { parent }
    }

    fn directory(&self, id: &Id, parent: &str) -> PathBuf {
        self.root.join(slice::path(self.slice(parent))).join(unit(id))
    }

    pub(super) fn container(&self, id: &Id, parent: &str) -> PathBuf {
        self.directory(id, parent).join("container")
    }

    /// Makes the container's scope, of its shim, and moves that into a leaf.
    pub(super) async fn scope(&self, record: &Record, shim: u32) -> Result<(), crate::Error> {
        let parent = &record.host_config.cgroup_parent;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            match self.start(record, self.slice(parent), shim).await {
                // Of the run before, whose last process has just ended.
                Err(error) if exists(&error) => {
                    if tokio::time::Instant::now() >= deadline {
                        return Err(Error::Occupied { unit: unit(&record.id), time: PATIENCE }.into());
                    }
                    tokio::time::sleep(AGAIN).await;
                }
                started => break started?,
            }
        }
        let scope = Path::new(MOUNT).join(self.directory(&record.id, parent));
        Ok(blocking("cgroup", move || to_leaf(&scope, shim)).await??)
    }

    async fn start(&self, record: &Record, slice: &str, shim: u32) -> Result<(), Error> {
        let unit = unit(&record.id);
        let description = format!("Container {} ({})", record.name, record.id.short());
        let properties: Vec<(&str, Value<'_>)> = vec![
            ("Description", description.into()),
            ("Slice", slice.into()),
            ("PIDs", vec![shim].into()),
            ("Delegate", true.into()),
            // A graceful stop of the engine stops containers; the end of the session is not to come before it.
            ("DefaultDependencies", false.into()),
            ("TasksMax", u64::MAX.into()),
            ("CollectMode", "inactive-or-failed".into()),
        ];
        let (job, jobs) = self.ask(&unit, &properties).await?;
        match tokio::time::timeout(PATIENCE, result(job, jobs)).await {
            Ok(result) if result == "done" => Ok(()),
            Ok(result) => Err(Error::Job { unit, result }),
            Err(_) => Err(Error::Late { unit, time: PATIENCE }),
        }
    }

    /// Asks for the scope; once more by a new connection when the bus or the manager was restarted.
    async fn ask(
        &self,
        unit: &str,
        properties: &[(&str, Value<'_>)],
    ) -> Result<(OwnedObjectPath, broadcast::Receiver<Ended>), Error> {
        let session = self.session().await?;
        // Before asking: a job may have ended by the time that its name is known.
        let jobs = session.jobs();
        match session.start_transient(unit, properties).await {
            Err(Error::Call { source: zbus::Error::InputOutput(_), .. }) => {
                self.forget(&session).await;
                let session = self.session().await?;
                let jobs = session.jobs();
                Ok((session.start_transient(unit, properties).await?, jobs))
            }
            asked => Ok((asked?, jobs)),
        }
    }

    async fn session(&self) -> Result<Arc<Session>, Error> {
        let mut slot = self.session.lock().await;
        match &*slot {
            Some(session) => Ok(session.clone()),
            None => Ok(slot.insert(Arc::new(self.bus.connect().await?)).clone()),
        }
    }

    async fn forget(&self, dead: &Arc<Session>) {
        let mut slot = self.session.lock().await;
        if slot.as_ref().is_some_and(|current| Arc::ptr_eq(current, dead)) {
            *slot = None;
        }
    }
}

/// The name that moby's scopes have.
fn unit(id: &Id) -> String {
    format!("docker-{id}.scope")
}

fn exists(error: &Error) -> bool {
    matches!(error, Error::Call { source: zbus::Error::MethodError(name, ..), .. }
        if name.as_str() == "org.freedesktop.systemd1.UnitExists")
}

async fn result(job: OwnedObjectPath, mut jobs: broadcast::Receiver<Ended>) -> String {
    loop {
        match jobs.recv().await {
            Ok(ended) if ended.job == job => return ended.result,
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return "the connection was lost".to_owned(),
        }
    }
}

/// The manager may move processes below its own cgroup itself; others, those of a login session, are moved by the
/// system's manager on its behalf, which it asks over the system's bus (systemd, `unit_attach_pids_to_cgroup_via_bus`).
fn can_move(manager: &str) -> Result<(), Error> {
    let path = "/proc/self/cgroup";
    let text = std::fs::read_to_string(path).map_err(Error::file("read", path))?;
    let own = text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default();
    let below = Path::new(own).starts_with(manager);
    if below || Path::new("/run/dbus/system_bus_socket").exists() {
        Ok(())
    } else {
        Err(Error::CannotMove { own: own.to_owned() })
    }
}

fn to_leaf(scope: &Path, shim: u32) -> Result<(), Error> {
    let leaf = scope.join("shim");
    match std::fs::create_dir(&leaf) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(Error::file("make", &leaf)(error));
        }
        _ => {}
    }
    let procs = leaf.join("cgroup.procs");
    std::fs::write(&procs, shim.to_string()).map_err(Error::file("write", &procs))
}
