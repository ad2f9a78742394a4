//! Shims: asked of the holder, or found by their sockets.

use super::{
    Error,
    client::Client,
    shim::{Events, Shim},
};
use model::{Id, RunLayout};
use shim_proto::{ExitRecord, FromHolder, OrphanExit, ProtoError, ToHolder};
use std::{
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

/// The descriptor under which a new shim finds the engine's end of its first connection.
const CONNECTION: i32 = 3;

pub struct Shims {
    run: RunLayout,
    /// One connection for all; made anew when the holder was.
    holder: Mutex<Option<Arc<Client<FromHolder>>>>,
}

impl Shims {
    pub fn new(run: RunLayout) -> Self {
        Self { run, holder: Mutex::new(None) }
    }

    /// A new shim for a container that has none, already connected.
    pub async fn spawn(&self, id: &Id) -> Result<(Shim, Events), Error> {
        self.spawn_with(id, &[]).await
    }

    /// A new shim in the place of one that died: it takes the container's stdio from the holder, and goes on with the
    /// log.
    pub async fn replace(&self, id: &Id) -> Result<(Shim, Events), Error> {
        self.spawn_with(id, &["--replace"]).await
    }

    async fn spawn_with(&self, id: &Id, more: &[&str]) -> Result<(Shim, Events), Error> {
        let (ours, theirs) =
            UnixStream::pair().map_err(|source| Error::SocketPair { what: "the shim", source })?;
        let mut args = vec!["shim".to_owned(), "--run-dir".to_owned(), self.run.root().display().to_string()];
        args.extend(["--id".to_owned(), id.to_string()]);
        args.extend(["--connection".to_owned(), CONNECTION.to_string()]);
        args.extend(more.iter().map(|a| (*a).to_owned()));
        let request = ToHolder::Spawn { args, fds: vec![CONNECTION] };
        match self.ask(&request, &[theirs.as_fd()]).await? {
            (FromHolder::Spawned { process }, _) => {
                Shim::new(ours).map(|(shim, events)| (shim.spawned(process), events))
            }
            (other, _) => Err(unexpected(other, &request, "Spawned")),
        }
    }

    /// The shim that an earlier engine left behind.
    pub fn connect(&self, id: &Id) -> Result<(Shim, Events), Error> {
        Shim::new(connect(&self.run.shim_socket(id), "shim")?)
    }

    /// What a shim wrote about its container's end, if it did.
    pub fn exit_record(&self, id: &Id) -> Result<Option<ExitRecord>, Error> {
        let path = self.run.shim_exit(id);
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|source| Error::StateFileText { path, source }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::StateFile { path, source }),
        }
    }

    /// Orphans that the holder reaped: containers whose shim died before them.
    pub async fn orphans(&self) -> Result<Vec<OrphanExit>, Error> {
        let request = ToHolder::Exits;
        match self.ask(&request, &[]).await? {
            (FromHolder::Exits { exits }, _) => Ok(exits),
            (other, _) => Err(unexpected(other, &request, "Exits")),
        }
    }

    pub async fn forget_orphans(&self, pids: Vec<u32>) -> Result<(), Error> {
        let request = ToHolder::ForgetExits { pids };
        match self.ask(&request, &[]).await? {
            (FromHolder::Done, _) => Ok(()),
            (other, _) => Err(unexpected(other, &request, "Done")),
        }
    }

    /// Closes what the holder keeps of a container that has ended.
    pub async fn drop_kept(&self, key: String) -> Result<(), Error> {
        let request = ToHolder::Drop { key };
        match self.ask(&request, &[]).await? {
            (FromHolder::Done, _) => Ok(()),
            (other, _) => Err(unexpected(other, &request, "Done")),
        }
    }

    async fn ask(
        &self,
        request: &ToHolder,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(FromHolder, Vec<OwnedFd>), Error> {
        let name = request.name();
        let failed = |source| Error::Ask { peer: "holder", request: name, source };
        for attempt in 0.. {
            let holder = self.holder()?;
            let outcome = match holder.send(name, request, fds).await {
                Ok(pending) => pending.reply().await,
                Err(error) => Err(error),
            };
            match outcome {
                // The holder was made anew since the last request; nothing was done, so asking again is safe.
                Err(ProtoError::Closed { .. } | ProtoError::Socket { .. }) if attempt == 0 => {
                    self.forget(&holder)
                }
                Ok((FromHolder::Failed(failure), _)) => return Err(failed(ProtoError::Failed(failure))),
                outcome => return outcome.map_err(failed),
            }
        }
        unreachable!("the second attempt returns")
    }

    fn holder(&self) -> Result<Arc<Client<FromHolder>>, Error> {
        let mut slot = self.holder.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*slot {
            return Ok(client.clone());
        }
        let path = self.run.holder_socket();
        let (client, _no_events) = Client::new(connect(&path, "holder")?, "holder")
            .map_err(|source| Error::Connect { peer: "holder", path, source })?;
        let client = Arc::new(client);
        *slot = Some(client.clone());
        Ok(client)
    }

    fn forget(&self, dead: &Arc<Client<FromHolder>>) {
        let mut slot = self.holder.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.as_ref().is_some_and(|current| Arc::ptr_eq(current, dead)) {
            *slot = None;
        }
    }
}

/// A connection to a socket of ours: answered at once by a listening peer, so not worth a thread.
fn connect(path: &Path, peer: &'static str) -> Result<UnixStream, Error> {
    UnixStream::connect(path).map_err(|source| Error::Connect { peer, path: path.to_owned(), source })
}

fn unexpected(reply: FromHolder, request: &ToHolder, expected: &'static str) -> Error {
    Error::Ask { peer: "holder", request: request.name(), source: reply.unexpected(expected) }
}
