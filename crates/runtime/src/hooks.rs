//! Hooks (OCI runtime-spec, config.md, "POSIX-platform Hooks").

use crate::{Error, Result};
use oci_spec::runtime::{ContainerState, Hook, Hooks, Spec, State, StateBuilder};
use std::{
    io::Write,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

/// The moments at which hooks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Prestart,
    CreateRuntime,
    CreateContainer,
    StartContainer,
    Poststart,
    Poststop,
}

impl Moment {
    fn of(self, hooks: &Hooks) -> &[Hook] {
        match self {
            // Deprecated by the specification, and still what nvidia-container-toolkit installs.
            #[allow(deprecated)]
            Self::Prestart => hooks.prestart(),
            Self::CreateRuntime => hooks.create_runtime(),
            Self::CreateContainer => hooks.create_container(),
            Self::StartContainer => hooks.start_container(),
            Self::Poststart => hooks.poststart(),
            Self::Poststop => hooks.poststop(),
        }
        .as_deref()
        .unwrap_or_default()
    }
}

/// The hooks of `spec` for one moment.
pub(crate) fn at(spec: &Spec, moment: Moment) -> &[Hook] {
    spec.hooks().as_ref().map(|h| moment.of(h)).unwrap_or_default()
}

/// Runs hooks one after another; the first that fails ends it.
pub(crate) fn run(hooks: &[Hook], state: &State) -> Result<()> {
    if hooks.is_empty() {
        return Ok(());
    }
    let state =
        serde_json::to_vec(state).map_err(|e| Error::Spec { field: "state", reason: e.to_string() })?;
    hooks.iter().try_for_each(|hook| run_one(hook, &state))
}

/// Runs the hooks for after a container's program was started by `start` of the OCI command line, whose `create` knew
/// nothing of it any more.
pub fn run_poststart(spec: &Spec, id: &str, bundle: &Path, pid: u32) -> Result<()> {
    run(at(spec, Moment::Poststart), &state(spec, id, bundle, ContainerState::Running, pid)?)
}

/// Runs the hooks for after a container is gone. Each gets its turn; the first failure is returned at the end.
pub fn run_poststop(spec: &Spec, id: &str, bundle: &Path) -> Result<()> {
    let hooks = at(spec, Moment::Poststop);
    if hooks.is_empty() {
        return Ok(());
    }
    let state = state(spec, id, bundle, ContainerState::Stopped, 0)?;
    let outcomes: Vec<Result<()>> =
        hooks.iter().map(|hook| run(std::slice::from_ref(hook), &state)).collect();
    outcomes.into_iter().collect()
}

fn run_one(hook: &Hook, state: &[u8]) -> Result<()> {
    let failed = |reason: String| Error::Hook { path: hook.path().clone(), reason };
    let args = hook.args().as_deref().unwrap_or_default();
    let mut command = Command::new(hook.path());
    if let Some(name) = args.first() {
        command.arg0(name);
    }
    command.args(args.iter().skip(1)).env_clear();
    command.envs(hook.env().iter().flatten().filter_map(|v| v.split_once('=')));
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| failed(e.to_string()))?;
    let reference = sys::process::reference(pid_of(&child)).map_err(|e| failed(e.to_string()))?;
    let pidfd = sys::pidfd::open(reference).map_err(|e| failed(e.to_string()))?;
    // A hook need not read its standard input.
    if let Some(Err(e)) = child.stdin.take().map(|mut stdin| stdin.write_all(state))
        && e.kind() != std::io::ErrorKind::BrokenPipe
    {
        return Err(failed(format!("write state: {e}")));
    }
    let timeout = hook.timeout().and_then(|t| u64::try_from(t).ok()).map(Duration::from_secs);
    if !sys::pidfd::poll_exit(&pidfd, timeout).map_err(|e| failed(e.to_string()))? {
        child.kill().map_err(|e| failed(format!("kill after its timeout: {e}")))?;
        child.wait().map_err(|e| failed(format!("wait after its timeout: {e}")))?;
        return Err(failed(format!("timed out after {} s", hook.timeout().unwrap_or(0))));
    }
    let output = child.wait_with_output().map_err(|e| failed(e.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(format!("{}, stderr: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())))
}

fn pid_of(child: &std::process::Child) -> rustix::process::Pid {
    rustix::process::Pid::from_child(child)
}

/// The state that hooks and seccomp agents are told.
pub(crate) fn state(spec: &Spec, id: &str, bundle: &Path, status: ContainerState, pid: u32) -> Result<State> {
    StateBuilder::default()
        .version(spec.version().clone())
        .id(id)
        .status(status)
        .pid(pid as i32)
        .bundle(bundle)
        .annotations(spec.annotations().clone().unwrap_or_default())
        .build()
        .map_err(|e| Error::Spec { field: "state", reason: e.to_string() })
}
