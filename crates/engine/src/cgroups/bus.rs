//! A connection to the user's systemd, by the session bus.
//!
//! The manager's own socket (`$XDG_RUNTIME_DIR/systemd/private`) would need no bus, but what comes from it names a sender
//! that only a bus may have, and zbus 5 panics at that.

use super::Error;
use futures_util::StreamExt;
use std::{path::Path, time::Duration};
use tokio::sync::broadcast;
use zbus::{
    Connection, MatchRule, MessageStream,
    message::{Message, Type},
    zvariant::{ObjectPath, OwnedObjectPath, OwnedValue, Value},
};

const SERVICE: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
/// A manager that takes longer than this for an answer is not well.
const ANSWER: Duration = Duration::from_secs(10);
/// More jobs than end in the time that one waiting task may be away.
const JOBS: usize = 1024;

/// Where the user's systemd is reached. Kept, because buses and managers are restarted.
#[derive(Debug, Clone)]
pub struct Bus {
    /// Of the environment, unless it is the same.
    given: Option<String>,
    /// What systemd makes for each user: `$XDG_RUNTIME_DIR/bus`.
    own: String,
    /// The user on the host. The engine is root of its namespace, but the kernel tells the other side who it is outside,
    /// and EXTERNAL authentication compares (D-Bus specification, "EXTERNAL").
    uid: u32,
}

/// A job that has ended: its object path, and `done` or what became of it.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) job: OwnedObjectPath,
    pub(super) result: String,
}

#[derive(Debug)]
pub(super) struct Session {
    connection: Connection,
    jobs: broadcast::Sender<Ended>,
}

impl Bus {
    /// `given` is `DBUS_SESSION_BUS_ADDRESS`. After su(1) it may be another user's, so the user's own is tried too.
    pub fn new(runtime_dir: &Path, given: Option<String>, uid: u32) -> Self {
        let own = format!("unix:path={}", runtime_dir.join("bus").display());
        let given = given.filter(|given| !given.is_empty() && *given != own);
        Self { given, own, uid }
    }

    pub(super) async fn connect(&self) -> Result<Session, Error> {
        let given = match &self.given {
            Some(address) => self.connect_to(address).await.ok(),
            None => None,
        };
        let connection = match given {
            Some(connection) => connection,
            None => self.connect_to(&self.own).await?,
        };
        let session = Session { connection, jobs: broadcast::channel(JOBS).0 };
        session.listen().await?;
        Ok(session)
    }

    async fn connect_to(&self, address: &str) -> Result<Connection, Error> {
        let failed = |source| Error::Connect { address: address.to_owned(), source };
        let builder = zbus::connection::Builder::address(address).map_err(failed)?;
        builder.user_id(self.uid).method_timeout(ANSWER).build().await.map_err(failed)
    }
}

impl Session {
    /// Has jobs that end told to whoever waits. The manager sends its signals only to who subscribed.
    async fn listen(&self) -> Result<(), Error> {
        let failed = |source| Error::Call { method: "AddMatch", source };
        let rule = MatchRule::builder()
            .msg_type(Type::Signal)
            .interface(MANAGER)
            .and_then(|rule| rule.member("JobRemoved"))
            .map_err(failed)?
            .build();
        let stream = MessageStream::for_match_rule(rule, &self.connection, Some(JOBS)).await;
        let mut stream = stream.map_err(failed)?;
        self.call("Subscribe", &()).await?;
        let jobs = self.jobs.clone();
        // Ends with the connection.
        tokio::spawn(async move {
            while let Some(Ok(signal)) = stream.next().await {
                if let Some(ended) = ended(&signal)
                    && jobs.send(ended).is_err()
                {
                    // Nobody waits for a job of ours.
                }
            }
        });
        Ok(())
    }

    pub(super) fn jobs(&self) -> broadcast::Receiver<Ended> {
        self.jobs.subscribe()
    }

    /// The manager's own cgroup.
    pub(super) async fn control_group(&self) -> Result<String, Error> {
        let failed = |source| Error::Call { method: "Get ControlGroup", source };
        let reply = self
            .connection
            .call_method(Some(SERVICE), PATH, Some(PROPERTIES), "Get", &(MANAGER, "ControlGroup"))
            .await
            .map_err(failed)?;
        let value: OwnedValue = reply.body().deserialize().map_err(failed)?;
        String::try_from(value).map_err(|e| failed(e.into()))
    }

    /// Starts a unit that lives in memory only. Returns the job.
    pub(super) async fn start_transient(
        &self,
        unit: &str,
        properties: &[(&str, Value<'_>)],
    ) -> Result<OwnedObjectPath, Error> {
        let auxiliary: &[(&str, Vec<(&str, Value<'_>)>)] = &[];
        let method = "StartTransientUnit";
        let reply = self.call(method, &(unit, "fail", properties, auxiliary)).await?;
        let job = reply.body().deserialize::<ObjectPath<'_>>().map(OwnedObjectPath::from);
        job.map_err(|source| Error::Call { method, source })
    }

    async fn call(
        &self,
        method: &'static str,
        body: &(impl serde::Serialize + zbus::zvariant::DynamicType),
    ) -> Result<Message, Error> {
        self.connection
            .call_method(Some(SERVICE), PATH, Some(MANAGER), method, body)
            .await
            .map_err(|source| Error::Call { method, source })
    }
}

fn ended(signal: &Message) -> Option<Ended> {
    let body = signal.body();
    let (_id, job, _unit, result): (u32, ObjectPath<'_>, &str, &str) = body.deserialize().ok()?;
    Some(Ended { job: job.into(), result: result.to_owned() })
}
