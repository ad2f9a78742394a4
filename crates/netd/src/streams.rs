//! The TCP flows of one process: pumped as their sockets have something to say.

use crate::{
    pipes::Pipes,
    poll::{End, Poll, Ready, Token},
    slab::{Key, Slab},
    tcp::{Flow, Outcome},
};
use std::{collections::VecDeque, time::Instant};

/// A flow, and the port that it came in by if it did by any.
pub(crate) struct Member {
    pub port: Option<Key>,
    pub flow: Flow,
    pub since: Instant,
    /// It waits for its next turn.
    queued: bool,
}

#[derive(Default)]
pub(crate) struct Streams {
    flows: Slab<Member>,
    pipes: Pipes,
    /// Flows whose budget was spent.
    again: VecDeque<Key>,
}

impl Streams {
    pub(crate) fn len(&self) -> usize {
        self.flows.len()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Member> {
        self.flows.iter_mut().map(|(_, member)| member)
    }

    /// Whether some flow waits for its next turn rather than for an event.
    pub(crate) fn is_pressed(&self) -> bool {
        !self.again.is_empty()
    }

    /// Starts serving a flow.
    pub(crate) fn join(&mut self, poll: &Poll, port: Option<Key>, flow: Flow) {
        let key = self.flows.insert(Member { port, flow, since: Instant::now(), queued: false });
        let flow = &self.flows.get_mut(key).expect("just inserted").flow;
        let [asking, asked] = flow.sockets();
        let added = poll
            .add_edges(asking, Token::Stream(key, End::Asking))
            .and_then(|()| poll.add_edges(asked, Token::Stream(key, End::Asked)));
        if added.is_err() {
            self.kill(key);
        }
    }

    /// An end of a flow is ready for something.
    pub(crate) fn pump(&mut self, key: Key, end: End, ready: Ready, scratch: &mut [u8]) {
        let Some(member) = self.flows.get_mut(key) else { return };
        member.flow.hear(end, ready);
        if !member.queued {
            self.go(key, scratch);
        }
    }

    fn go(&mut self, key: Key, scratch: &mut [u8]) {
        let Some(member) = self.flows.get_mut(key) else { return };
        let outcome = member.flow.pump(scratch, &mut self.pipes);
        member.queued = outcome == Outcome::Again;
        match outcome {
            Outcome::Waiting => {}
            Outcome::Again => self.again.push_back(key),
            Outcome::Over => {
                if let Some(mut member) = self.flows.remove(key) {
                    member.flow.give_back(&mut self.pipes);
                }
            }
        }
    }

    /// Gives those that spent their budget their next turn.
    pub(crate) fn go_on(&mut self, scratch: &mut [u8]) {
        for _ in 0..self.again.len() {
            if let Some(key) = self.again.pop_front() {
                self.go(key, scratch);
            }
        }
    }

    /// The port is gone: its flows may end what is on the way.
    pub(crate) fn orphan(&mut self, port: Key) {
        let now = Instant::now();
        for (_, member) in self.flows.iter_mut().filter(|(_, member)| member.port == Some(port)) {
            member.flow.orphan(now);
        }
    }

    /// Ends orphans that have gone without moving anything for too long.
    pub(crate) fn sweep(&mut self, now: Instant) {
        let members = self.flows.iter_mut();
        let overdue: Vec<Key> = members.filter(|(_, m)| m.flow.is_overdue(now)).map(|(key, _)| key).collect();
        overdue.into_iter().for_each(|key| self.kill(key));
    }

    fn kill(&mut self, key: Key) {
        if let Some(member) = self.flows.remove(key) {
            member.flow.kill(&mut self.pipes);
        }
    }
}
