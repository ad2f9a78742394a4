//! Who else lives in the namespaces of a holder that was killed.

use crate::HolderState;
use crate::state::is_member;
use model::ProcessRef;
use rustix::process::Pid;
use std::fs;

/// Any process in the dead holder's user and mount namespaces: a shim, the engine, the forwarder.
///
/// All of /proc is looked at rather than the recorded processes: a survivor may be one that died before it could
/// record itself, and this happens once in the life of a holder.
pub(crate) fn find(dead: &HolderState) -> Option<ProcessRef> {
    let pids =
        fs::read_dir("/proc").ok()?.flatten().filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(Pid::from_raw)
        .filter_map(|pid| sys::process::reference(pid).ok())
        .find(|process| is_member(*process, dead.namespaces))
}
