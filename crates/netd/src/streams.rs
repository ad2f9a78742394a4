//! The TCP flows of one process: pumped as their sockets have something to say.

use crate::{
    pipes::Pipes,
    poll::{Poll, Token},
    slab::{Key, Slab},
    tcp::{Flow, Outcome},
};
use std::{collections::VecDeque, time::Instant};

/// Flows, each with the port that it came in by if it did by any.
#[derive(Default)]
pub(crate) struct Streams {
    flows: Slab<(Option<Key>, Flow)>,
    pipes: Pipes,
    /// Flows whose budget was spent.
    again: VecDeque<Key>,
}

impl Streams {
    pub(crate) fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether some flow waits for its next turn rather than for an event.
    pub(crate) fn is_pressed(&self) -> bool {
        !self.again.is_empty()
    }

    /// Starts serving a flow.
    pub(crate) fn join(&mut self, poll: &Poll, port: Option<Key>, flow: Flow) {
        let key = self.flows.insert((port, flow));
        let (_, flow) = self.flows.get_mut(key).expect("just inserted");
        let added =
            flow.sockets().into_iter().try_for_each(|socket| poll.add_edges(socket, Token::Stream(key)));
        if added.is_err()
            && let Some((_, flow)) = self.flows.remove(key)
        {
            flow.kill(&mut self.pipes);
        }
    }

    pub(crate) fn pump(&mut self, key: Key, writable: bool, scratch: &mut [u8]) {
        let Some((_, flow)) = self.flows.get_mut(key) else { return };
        match flow.pump(writable, scratch, &mut self.pipes) {
            Outcome::Waiting => {}
            Outcome::Again => self.again.push_back(key),
            Outcome::Over => {
                if let Some((_, mut flow)) = self.flows.remove(key) {
                    flow.give_back(&mut self.pipes);
                }
            }
        }
    }

    /// Gives those that spent their budget their next turn.
    pub(crate) fn go_on(&mut self, scratch: &mut [u8]) {
        for _ in 0..self.again.len() {
            if let Some(key) = self.again.pop_front() {
                self.pump(key, false, scratch);
            }
        }
    }

    /// The port is gone: its flows may end what is on the way.
    pub(crate) fn orphan(&mut self, port: Key) {
        let now = Instant::now();
        for (_, (_, flow)) in self.flows.iter_mut().filter(|(_, (of, _))| *of == Some(port)) {
            flow.orphan(now);
        }
    }

    /// Ends orphans that have gone without moving anything for too long.
    pub(crate) fn sweep(&mut self, now: Instant) {
        let overdue: Vec<Key> =
            self.flows.iter_mut().filter(|(_, (_, f))| f.is_overdue(now)).map(|(k, _)| k).collect();
        for key in overdue {
            if let Some((_, flow)) = self.flows.remove(key) {
                flow.kill(&mut self.pipes);
            }
        }
    }
}
