//! What the forwarder of an engine forwards at the moment; the engine itself need not run.

use crate::error::Result;
use model::RunLayout;
use netd::client::{self, Client};
pub use netd::flows::{Direction, Flow, FlowProtocol, State};

/// What passes, and what does not.
#[derive(Debug)]
pub struct Listed {
    pub flows: Vec<Flow>,
    /// How many there are beyond those.
    pub left_off: usize,
    /// What has gone wrong in the last minutes and what to do about it, a line each.
    pub troubles: Vec<String>,
}

/// Asks the forwarder.
pub fn list(run: &RunLayout) -> Result<Listed> {
    let mut client = Client::connect(&run.netd_socket())?;
    let (flows, left_off) = client.flows()?;
    let troubles = match client.troubles() {
        // One of an earlier release does not know the question.
        Err(client::Error::Unexpected { .. }) => Vec::new(),
        other => other?,
    };
    Ok(Listed { flows, left_off, troubles })
}

#[cfg(test)]
mod tests {
    use super::*;
    use netd::proto::{self, Reply, Request};
    use std::{
        io::{Read, Write},
        os::unix::net::UnixListener,
        thread,
    };

    /// What is listed of a forwarder that lists no flows, and answers what comes next with `last`.
    fn told(last: Option<Reply>) -> Result<Listed> {
        let directory = tempfile::tempdir().unwrap();
        let layout = RunLayout::new(directory.path());
        let listener = UnixListener::bind(layout.netd_socket()).unwrap();
        let forwarder = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for reply in [Some(Reply::Flows { flows: Vec::new(), left_off: 0, workers: 0 }), last] {
                let mut asked = Vec::new();
                while proto::decode::<Request>(&asked).unwrap().is_none() {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    asked.extend(byte);
                }
                let reply = reply.map(|reply| proto::encode(&reply)).unwrap_or_default();
                stream.write_all(&reply).unwrap();
            }
        });
        let listed = list(&layout);
        forwarder.join().unwrap();
        listed
    }

    #[test]
    fn a_forwarder_of_an_earlier_release_has_no_troubles() {
        let listed = told(Some(Reply::Invalid { expected: "add, remove or list".into() })).unwrap();
        assert_eq!(listed.troubles, Vec::<String>::new());
        let troubles = vec!["few descriptors".to_owned()];
        let listed = told(Some(Reply::Troubles { lines: troubles.clone() })).unwrap();
        assert_eq!(listed.troubles, troubles);
    }

    #[test]
    fn one_that_does_not_answer_is_not_taken_for_one_without_troubles() {
        let error = told(None).unwrap_err().to_string();
        assert!(error.contains("read the control connection"), "{error}");
    }
}
