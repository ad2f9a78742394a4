//! Questions to the forwarder, whichever it is at the time.

use super::{BREATH, PATIENCE, Shared, lock};
use netd::client::{self, Client};
use std::time::{Duration, Instant};

impl Shared {
    /// Asks, one question after another: what a question reads of the lists is what the forwarder is told last. While no
    /// forwarder is there, for `patience` at most, waits for the next one.
    pub(super) fn ask<T>(
        &self,
        patience: Duration,
        question: impl Fn(&mut Client) -> Result<T, client::Error>,
    ) -> Result<T, client::Error> {
        let end = Instant::now() + patience;
        loop {
            match self.ask_at_once(&question) {
                // One that is just dying may still take a connection.
                Err(client::Error::Connect { .. } | client::Error::Connection { .. })
                    if Instant::now() < end && self.halt.pause(BREATH) => {}
                other => return other,
            }
        }
    }

    /// Asks that something be forgotten: where no forwarder is there nobody knows it, and the next is told of what is
    /// wanted only.
    pub(super) fn withdraw(
        &self,
        question: impl Fn(&mut Client) -> Result<(), client::Error>,
    ) -> Result<(), client::Error> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.ask_at_once(&question) {
                Err(client::Error::Connect { .. }) => return Ok(()),
                Err(client::Error::Connection { .. }) if Instant::now() < end && self.halt.pause(BREATH) => {}
                other => return other,
            }
        }
    }

    /// Asks over the standing connection, or over a new one when that has broken.
    fn ask_at_once<T>(
        &self,
        question: impl Fn(&mut Client) -> Result<T, client::Error>,
    ) -> Result<T, client::Error> {
        let mut client = lock(&self.client);
        for attempt in 0.. {
            let mut connected = match client.take() {
                Some(connected) => connected,
                None => Client::connect(&self.socket)?,
            };
            match question(&mut connected) {
                // Every request may be repeated: adding what is there and removing what is not succeed.
                Err(client::Error::Connection { .. }) if attempt == 0 => {}
                Err(error @ (client::Error::Port { .. } | client::Error::Resolver { .. })) => {
                    *client = Some(connected);
                    return Err(error);
                }
                Err(error) => return Err(error),
                Ok(answer) => {
                    *client = Some(connected);
                    return Ok(answer);
                }
            }
        }
        unreachable!("the second attempt returns")
    }
}
