//! A connection to the user's systemd: by the session bus, or by the manager's own socket where there is no bus.

use super::Error;
use futures_util::StreamExt;
use std::{path::Path, time::Duration};
use tokio::{net::UnixStream, sync::broadcast};
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
    /// `DBUS_SESSION_BUS_ADDRESS`, or that of `$XDG_RUNTIME_DIR/bus`.
    address: String,
    /// What systemctl(1) talks through: `$XDG_RUNTIME_DIR/systemd/private`.
    private: std::path::PathBuf,
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
    pub fn new(runtime_dir: &Path, address: Option<String>, uid: u32) -> Self {
        let default = || format!("unix:path={}", runtime_dir.join("bus").display());
        let address = address.filter(|a| !a.is_empty()).unwrap_or_else(default);
        Self { address, private: runtime_dir.join("systemd/private"), uid }
    }

    pub(super) async fn connect(&self) -> Result<Session, Error> {
        let connection = match self.by_bus().await {
            Ok(connection) => connection,
            // The bus's own error is the one to tell: it is what people know to have.
            Err(error) => self.by_private_socket().await.map_err(|_| error)?,
        };
        let session = Session { connection, jobs: broadcast::channel(JOBS).0 };
        session.listen().await?;
        Ok(session)
    }

    async fn by_bus(&self) -> Result<Connection, Error> {
        let failed = |source| Error::Connect { address: self.address.clone(), source };
        let builder = zbus::connection::Builder::address(self.address.as_str()).map_err(failed)?;
        builder.user_id(self.uid).method_timeout(ANSWER).build().await.map_err(failed)
    }

    async fn by_private_socket(&self) -> Result<Connection, Error> {
        let failed = |source| Error::Connect { address: self.private.display().to_string(), source };
        let stream = UnixStream::connect(&self.private).await.map_err(|e| failed(e.into()))?;
        let builder = zbus::connection::Builder::unix_stream(stream).p2p();
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
