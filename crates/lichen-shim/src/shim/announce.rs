//! What follows from ends: of processes, of log files, and of those that the kernel killed for memory.

use super::serve::Shim;
use super::{create, record, requests};
use model::Timestamp;
use shim_proto::{ExecExit, ExitRecord, FromShim, Stage, Target};

/// Ends of exec processes that are remembered for an engine to come back.
const REMEMBERED: usize = 256;

impl Shim {
    pub(super) fn announce(&mut self) {
        for index in 0..self.processes.len() {
            let process = &mut self.processes[index];
            let (true, Some((code, at))) = (process.is_to_be_announced(), process.exit) else { continue };
            process.announced = true;
            match process.target.clone() {
                Target::Init => self.init_ended(code, at),
                Target::Exec(id) => {
                    let exit = ExecExit { id, code, at };
                    self.event(&FromShim::ExecExited(exit.clone()));
                    if self.engines.is_empty() && self.exec_exits.len() < REMEMBERED {
                        self.exec_exits.push(exit);
                    }
                }
            }
        }
    }

    pub(super) fn tell_oom(&mut self) {
        match self.oom.as_mut().map(runtime::cgroup::OomWatch::more) {
            Some(Ok(true)) => self.event(&FromShim::OutOfMemory),
            Some(Ok(false)) | None => {}
            Some(Err(e)) => {
                eprintln!("lichen-shim: watch for kills for memory: {e}");
                self.oom = None;
            }
        }
    }

    fn init_ended(&mut self, code: i32, at: Timestamp) {
        // Before the end that it led to.
        self.tell_oom();
        self.oom = None;
        let oom_killed = self.cgroup.oom_kills().is_ok_and(|n| n > 0);
        let error = (code == requests::LOST).then(|| "the exit status was lost".to_owned());
        let exit =
            ExitRecord { code: if code == requests::LOST { 255 } else { code }, oom_killed, at, error };
        if let Err(e) = record::write_exit(&self.run, &self.id, &exit) {
            eprintln!("lichen-shim: write the exit record: {e}");
        }
        self.stage = Stage::Exited;
        self.pending = None;
        self.exit = Some(exit.clone());
        self.event(&FromShim::Exited(exit));
        let forgotten =
            if self.connections.is_some() { self.kept.forget(&self.connections_key()) } else { Ok(()) };
        if let Err(e) = forgotten.and_then(|()| self.kept.stop(self.id.as_str())) {
            eprintln!("lichen-shim: have the holder drop descriptors: {e}");
        }
        if let Some(record) = &self.record
            && let Err(e) = create::runtime_of(self, &record.runtime).delete(self.id.as_str())
        {
            eprintln!("lichen-shim: have the runtime clean up: {e}");
        }
        if let Err(e) = self.cgroup.remove() {
            eprintln!("lichen-shim: remove the cgroup: {e}");
        }
    }

    /// One compressor at a time, as a process: gzip would hold up the loop, and a thread is not allowed.
    pub(super) fn compress_logs(&mut self) {
        if self.compressor.is_some() {
            return;
        }
        let Some(path) = self.processes.iter_mut().find_map(|p| p.streams.take_compression()) else { return };
        match sys::clone::fork() {
            Ok(sys::clone::Fork::Parent(child)) => {
                self.compressor = Some(child.pid.as_raw_pid().unsigned_abs())
            }
            Ok(sys::clone::Fork::Child { .. }) => {
                let outcome = logs::compress(&path);
                sys::process::exit(i32::from(outcome.is_err()))
            }
            Err(e) => {
                eprintln!("lichen-shim: compress a log file: {e}");
                self.processes.iter_mut().for_each(|p| p.streams.compressed());
            }
        }
    }
}
