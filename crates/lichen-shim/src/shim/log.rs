//! Where init's output is kept: a file that this process writes itself, a [`Delivery`] to one that may wait, or both.

use super::delivery::{Delivery, Start};
use logs::{Config, Identity, Mode, Sink, Stream, Writer};
use model::{Id, Timestamp};
use rustix::event::PollFlags;
use shim_proto::LogConfig;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::Instant;

/// Whether the destination has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    /// The container has not started: it had better not.
    Now,
    /// It runs, whatever became of its log's destination.
    Eventually,
}

#[derive(Debug)]
pub(super) struct Log {
    writer: Option<Writer>,
    delivery: Option<Delivery>,
    /// Something failed and was told.
    failed: bool,
}

impl Log {
    pub(super) fn open(config: &LogConfig, id: &Id, demand: Demand) -> Result<Self, logs::Error> {
        let parsed = Config::parse(&config.driver, &config.options)?;
        let identity = Identity {
            id: id.to_string(),
            name: config.name.clone(),
            image: config.image.clone(),
            tag: config.tag.clone(),
            attributes: config.attrs.clone(),
        };
        let elsewhere = parsed.remote.is_some() || parsed.mode != Mode::Blocking;
        if elsewhere && demand == Demand::Now {
            // What the other process would find out is found out here, while it can still be an answer.
            if let Some(mut sink) = Sink::open(&parsed, &config.path, identity.clone())? {
                sink.check()?;
            }
        }
        // A file that is not to hold the container up is the other process's to write.
        let writer = match (&parsed.remote, parsed.mode, parsed.file) {
            (None, Mode::NonBlocking { .. }, _) | (_, _, None) => None,
            (_, _, Some(file)) => Some(Writer::open(file, &config.path, &config.attrs)?),
        };
        let delivery = elsewhere.then(|| {
            let start = Start {
                driver: config.driver.clone(),
                options: config.options.clone(),
                path: config.path.clone(),
                identity,
            };
            Delivery::new(start, parsed.mode, parsed.remote.is_some())
        });
        Ok(Self { writer, delivery, failed: false })
    }

    pub(super) fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let now = Timestamp::now();
        if let Some(delivery) = &mut self.delivery {
            delivery.write(stream, bytes, now);
        }
        if let Some(Err(error)) = self.writer.as_mut().map(|writer| writer.write(stream, bytes, now)) {
            self.complain(&error);
        }
    }

    /// The stream ended.
    pub(super) fn finish(&mut self, stream: Stream) {
        let now = Timestamp::now();
        if let Some(delivery) = &mut self.delivery {
            delivery.finish(stream, now);
        }
        if let Some(Err(error)) = self.writer.as_mut().map(|writer| writer.finish(stream, now)) {
            self.complain(&error);
        }
    }

    /// Both streams have ended.
    pub(super) fn end(&mut self) {
        if let Some(delivery) = &mut self.delivery {
            delivery.end();
        }
    }

    /// Whether what `docker logs` reads is in its file.
    pub(super) fn is_readable(&self) -> bool {
        self.delivery.as_ref().is_none_or(|d| d.is_remote() || d.is_done())
    }

    /// Whether nothing is under way any more.
    pub(super) fn is_done(&self) -> bool {
        self.delivery.as_ref().is_none_or(Delivery::is_done)
    }

    /// Whether the container has to wait.
    pub(super) fn is_full(&self) -> bool {
        self.delivery.as_ref().is_some_and(Delivery::is_full)
    }

    pub(super) fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        self.delivery.as_ref().and_then(Delivery::interest)
    }

    pub(super) fn ready(&mut self) {
        if let Some(delivery) = &mut self.delivery {
            delivery.ready();
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.delivery.as_ref().and_then(Delivery::deadline)
    }

    /// What has become due.
    pub(super) fn tidy(&mut self) {
        if let Some(delivery) = &mut self.delivery {
            delivery.tidy();
        }
    }

    /// A rotated log file that wants compressing.
    pub(super) fn take_compression(&mut self) -> Option<PathBuf> {
        self.writer.as_mut().and_then(Writer::take_compression)
    }

    pub(super) fn compressed(&mut self) {
        if let Some(writer) = &mut self.writer {
            writer.compressed();
        }
    }

    /// Once: a full disk must not fill the run directory too.
    fn complain(&mut self, error: &logs::Error) {
        if !self.failed {
            self.failed = true;
            eprintln!("lichen-shim: output is not logged: {error}");
        }
    }
}
