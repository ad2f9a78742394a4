//! The connection to one shim: a method per request of `shim-proto`.

use super::{
    Error,
    client::{Client, Pending},
};
use crate::fault;
use model::{ProcessRef, Timestamp};
use oci_spec::runtime::LinuxResources;
use shim_proto::{Attach, Create, Exec, FromShim, ProtoError, ShimStatus, Stats, Target, ToShim, WindowSize};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use tokio::sync::mpsc;

/// What happens in a container, in order; ends when the shim goes away.
pub type Events = mpsc::UnboundedReceiver<FromShim>;

pub struct Shim {
    client: Client<FromShim>,
    /// Known of one that was just spawned.
    process: Option<ProcessRef>,
}

impl Shim {
    /// Talks over a connected socket.
    pub fn new(socket: std::os::unix::net::UnixStream) -> Result<(Self, Events), Error> {
        let (client, events) =
            Client::new(socket, "shim").map_err(|source| Error::SocketPair { what: "the shim", source })?;
        Ok((Self { client, process: None }, events))
    }

    pub(super) fn spawned(self, process: ProcessRef) -> Self {
        Self { process: Some(process), ..self }
    }

    pub(crate) fn process(&self) -> Option<ProcessRef> {
        self.process
    }

    /// Sends `Create`, every `Attach` and `Start` without waiting in between; the shim carries them out and answers
    /// them in order, and refuses to start what it could not create.
    pub async fn run(
        &self,
        create: Box<Create>,
        netns: Option<&OwnedFd>,
        attached: Vec<(Attach, OwnedFd)>,
    ) -> Result<(ProcessRef, Timestamp), Error> {
        let fds: Vec<BorrowedFd<'_>> = netns.iter().map(AsFd::as_fd).collect();
        let created = self.send(ToShim::Create(create), &fds).await?;
        let mut attaching = Vec::with_capacity(attached.len());
        for (attach, stream) in attached {
            attaching.push(self.send(ToShim::Attach(attach), &[stream.as_fd()]).await?);
        }
        let started = self.send(ToShim::Start, &[]).await?;
        match answer(created, "Create").await? {
            FromShim::Created { .. } => {}
            other => return Err(unexpected(other, "Create", "Created")),
        }
        fault::point("start.created");
        for reply in attaching {
            // Its end closes, and the client sees the end of its stream; the program runs all the same.
            if let Err(error) = answer(reply, "Attach").await {
                tracing::debug!(%error, "attach before the start");
            }
        }
        match answer(started, "Start").await? {
            FromShim::Started { process, at } => Ok((process, at)),
            other => Err(unexpected(other, "Start", "Started")),
        }
    }

    /// Gives `stream` to the shim. Returns until when output is in the log rather than in the stream.
    pub async fn attach(&self, attach: Attach, stream: OwnedFd) -> Result<Timestamp, Error> {
        match self.ask(ToShim::Attach(attach), &[stream.as_fd()]).await? {
            FromShim::Attached { at } => Ok(at),
            other => Err(unexpected(other, "Attach", "Attached")),
        }
    }

    pub async fn exec(&self, exec: Box<Exec>, stream: Option<OwnedFd>) -> Result<u32, Error> {
        let fds: Vec<BorrowedFd<'_>> = stream.iter().map(AsFd::as_fd).collect();
        match self.ask(ToShim::Exec(exec), &fds).await? {
            FromShim::ExecStarted { pid } => Ok(pid),
            other => Err(unexpected(other, "Exec", "ExecStarted")),
        }
    }

    pub async fn resize(&self, target: Target, size: WindowSize) -> Result<(), Error> {
        self.done(ToShim::Resize { target, size }, "Resize").await
    }

    pub async fn signal(&self, target: Target, signal: i32) -> Result<(), Error> {
        self.done(ToShim::Signal { target, signal }, "Signal").await
    }

    pub async fn pause(&self) -> Result<(), Error> {
        self.done(ToShim::Pause, "Pause").await
    }

    pub async fn resume(&self) -> Result<(), Error> {
        self.done(ToShim::Resume, "Resume").await
    }

    pub async fn update(&self, resources: LinuxResources) -> Result<(), Error> {
        self.done(ToShim::Update { resources: Box::new(resources) }, "Update").await
    }

    pub async fn stats(&self) -> Result<Stats, Error> {
        match self.ask(ToShim::Stats, &[]).await? {
            FromShim::Stats(stats) => Ok(*stats),
            other => Err(unexpected(other, "Stats", "Stats")),
        }
    }

    pub async fn pids(&self) -> Result<Vec<u32>, Error> {
        match self.ask(ToShim::Pids, &[]).await? {
            FromShim::Pids { pids } => Ok(pids),
            other => Err(unexpected(other, "Pids", "Pids")),
        }
    }

    pub async fn state(&self) -> Result<ShimStatus, Error> {
        match self.ask(ToShim::State, &[]).await? {
            FromShim::State(status) => Ok(*status),
            other => Err(unexpected(other, "State", "State")),
        }
    }

    /// Ends the shim of an exited or not yet started container.
    pub async fn shutdown(&self) -> Result<(), Error> {
        self.done(ToShim::Shutdown, "Shutdown").await
    }

    async fn done(&self, request: ToShim, name: &'static str) -> Result<(), Error> {
        match self.ask(request, &[]).await? {
            FromShim::Done => Ok(()),
            other => Err(unexpected(other, name, "Done")),
        }
    }

    async fn ask(&self, request: ToShim, fds: &[BorrowedFd<'_>]) -> Result<FromShim, Error> {
        let name = request.name();
        answer(self.send(request, fds).await?, name).await
    }

    async fn send(&self, request: ToShim, fds: &[BorrowedFd<'_>]) -> Result<Pending<FromShim>, Error> {
        let name = request.name();
        let sent = self.client.send(name, &request, fds).await;
        sent.map_err(|source| Error::Ask { peer: "shim", request: name, source })
    }
}

async fn answer(pending: Pending<FromShim>, name: &'static str) -> Result<FromShim, Error> {
    let failed = |source| Error::Ask { peer: "shim", request: name, source };
    match pending.reply().await.map_err(failed)? {
        (FromShim::Failed(failure), _) => Err(failed(ProtoError::Failed(failure))),
        (reply, _) => Ok(reply),
    }
}

fn unexpected(reply: FromShim, request: &'static str, expected: &'static str) -> Error {
    Error::Ask { peer: "shim", request, source: reply.unexpected(expected) }
}
