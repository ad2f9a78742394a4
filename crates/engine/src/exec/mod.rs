//! `exec`: further processes in a running container.
//!
//! A session is made ([`create`]), started once ([`start`]), and kept for inspection until its container is removed.
//! Sessions are not stored: as in Docker, they do not outlive the engine that made them.

mod registry;

pub use registry::{Registry, Session, SessionState};

use crate::{
    Container, Engine, Error,
    attach::{self, Stream, detach_keys},
    container::{Record, State},
    create::Invalid,
    detached,
    events::Kind,
    fault, mounts, plan,
};
use api_types::{ExecCreateRequest, ExecInspect, ExecProcessConfig, ExecStartRequest};
use model::Id;
use shim_proto::{Attach, DetachKeys, Exec, ExecExit, FailureClass, Io, UserRequest, WindowSize};
use spec::oci::{Process, ProcessBuilder, UserBuilder};
use std::{os::fd::OwnedFd, path::PathBuf, sync::Arc};

/// Makes a session in a running container.
///
/// # Errors
/// [`Error::NotRunning`], [`Error::PausedBefore`], [`Error::Restarting`]; [`Error::Invalid`]; [`Error::Unsupported`]
/// when the process could write to an image that the container has mounted.
pub fn create(engine: &Engine, reference: &str, request: ExecCreateRequest) -> Result<Id, Error> {
    let container = engine.containers.find(reference)?;
    let record = check_running(&container)?;
    if request.cmd.is_empty() {
        return Err(Invalid::NoExecCommand.into());
    }
    if let Some(entry) = request.env.iter().find(|e| e.is_empty() || e.starts_with('=')) {
        return Err(Invalid::Env(entry.clone()).into());
    }
    detach_keys::parse(&request.detach_keys)?;
    if request.privileged {
        mounts::images::check_exec(engine, &record)?;
    }
    let session = Session::new(record.id.clone(), request);
    let id = session.id.clone();
    tell(engine, &record, &session, &format!("exec_create: {}", session.request.cmd.join(" ")));
    container.live.add_exec(id.clone());
    engine.execs.insert(session);
    Ok(id)
}

fn check_running(container: &Container) -> Result<Arc<Record>, Error> {
    let record = container.record();
    let id = || record.id.to_string();
    match &record.state {
        State::Running(_) => Ok(record),
        State::Paused(_) => Err(Error::PausedBefore { id: id(), verb: "exec" }),
        State::Restarting { .. } => Err(Error::Restarting { id: id() }),
        _ => Err(Error::NotRunning { id: id() }),
    }
}

/// The container of a session.
pub fn container(engine: &Engine, session: &Session) -> Result<Arc<Container>, Error> {
    engine
        .containers
        .get(&session.container)
        .ok_or_else(|| Error::NoSuchContainer { reference: session.container.to_string() })
}

/// Whether a session can be started: what is checked before a connection is taken over for it.
pub fn check_startable(engine: &Engine, reference: &str) -> Result<Arc<Session>, Error> {
    let session = engine.execs.find(reference)?;
    let id = || session.id.to_string();
    match session.state() {
        SessionState::Made => {}
        SessionState::Starting | SessionState::Running { .. } => return Err(Error::ExecRunning { id: id() }),
        SessionState::Ended { .. } => return Err(Error::ExecHasRun { id: id() }),
    }
    check_running(&*container(engine, &session)?)?;
    Ok(session)
}

/// Runs the session's process. Returns a stream to it, unless detached.
///
/// When the program cannot be run, the session has ended with the shell's code for it, which is what clients ask for
/// next. One that attached finds the reason on its stream, as in Docker, where the stream is there first.
///
/// # Errors
/// [`Error::ExecHasRun`], [`Error::ExecRunning`], those of [`create`]; [`Error::Start`] when detached.
pub async fn start(
    engine: &Arc<Engine>,
    reference: &str,
    request: ExecStartRequest,
) -> Result<Option<Stream>, Error> {
    let session = check_startable(engine, reference)?;
    if !session.begin() {
        return Err(Error::ExecRunning { id: session.id.to_string() });
    }
    let engine = engine.clone();
    detached("exec", async move {
        let started = attempt(&engine, &session, &request).await;
        if let Err(error) = &started {
            let code = if let Error::Start { code, .. } = error { *code } else { 128 };
            end(&engine, &session, code);
        }
        match started {
            Err(Error::Start { message, .. }) if !request.detach => {
                attach::closed_with(&message, session.request.tty).map(Some)
            }
            started => started,
        }
    })
    .await
}

async fn attempt(
    engine: &Arc<Engine>,
    session: &Arc<Session>,
    request: &ExecStartRequest,
) -> Result<Option<Stream>, Error> {
    let container = container(engine, session)?;
    let record = check_running(&container)?;
    let shim = container.live.shim()?;
    let asked = &session.request;
    let (ours, theirs): (Option<Stream>, Option<OwnedFd>) = if request.detach {
        (None, None)
    } else {
        let (ours, theirs) = attach::pair(asked.tty)?;
        (Some(ours), Some(theirs))
    };
    let attach = (!request.detach).then(|| Attach {
        stdin: asked.attach_stdin,
        stdout: asked.attach_stdout,
        stderr: asked.attach_stderr,
        // Checked at creation.
        detach_keys: detach_keys::parse(&asked.detach_keys).unwrap_or(DetachKeys(Vec::new())),
    });
    let exec = Exec {
        id: session.id.clone(),
        process: process(engine, &record, asked)?,
        user: user(&record, asked),
        io: Io {
            tty: asked.tty,
            open_stdin: asked.attach_stdin && !request.detach,
            stdin_once: true,
            size: request.console_size.or(asked.console_size).and_then(window),
        },
        attach,
    };
    tell(engine, &record, session, &format!("exec_start: {}", asked.cmd.join(" ")));
    let pid = shim.exec(Box::new(exec), theirs).await.map_err(not_started)?;
    fault::point("exec.started");
    session.running(pid);
    Ok(ours)
}

fn window([rows, columns]: [u32; 2]) -> Option<WindowSize> {
    let size = WindowSize { rows: u16::try_from(rows).ok()?, columns: u16::try_from(columns).ok()? };
    (size.rows > 0 && size.columns > 0).then_some(size)
}

/// The process as the specification has it; user and `HOME` are the shim's to fill in.
fn process(engine: &Engine, record: &Record, asked: &ExecCreateRequest) -> Result<Process, Error> {
    let host = &record.host_config;
    let security = plan::security::Options::parse(&host.security_opt, &engine.config)?;
    let capabilities =
        spec::caps::resolve(&host.cap_add, &host.cap_drop, host.privileged || asked.privileged)?;
    let config = api_types::ContainerConfig { tty: asked.tty, ..record.config.clone() };
    let cwd = [&asked.working_dir, &record.config.working_dir].into_iter().find(|d| !d.is_empty());
    let process = ProcessBuilder::default()
        .terminal(asked.tty)
        .args(asked.cmd.clone())
        .env(plan::overlay(plan::environment(&config, &[]), &asked.env))
        .cwd(PathBuf::from(cwd.map_or("/", String::as_str)))
        .user(UserBuilder::default().uid(0u32).gid(0u32).build().map_err(spec::Error::from)?)
        .capabilities(spec::caps::render(&capabilities)?)
        .no_new_privileges(security.no_new_privileges)
        .build()
        .map_err(spec::Error::from)?;
    Ok(process)
}

/// The container's own user, unless another is asked for; `--group-add` goes with the container either way.
fn user(record: &Record, asked: &ExecCreateRequest) -> UserRequest {
    let user = if asked.user.is_empty() { &record.config.user } else { &asked.user };
    UserRequest { user: user.clone(), groups: record.host_config.group_add.clone() }
}

/// Docker's text for a program that could not be run in a running container.
fn not_started(error: crate::shims::Error) -> Error {
    let Some(failure) = error.failure() else { return error.into() };
    let message = format!(
        "OCI runtime exec failed: exec failed: unable to start container process: {}",
        failure.message
    );
    // A user that does not exist is found out before there is a program to blame (moby `ContainerExecStart`).
    let code = if failure.class == FailureClass::InvalidParameter { 126 } else { failure.class.exit_code() };
    Error::Start { code, message }
}

/// The shim tells that a session's process has ended.
pub(crate) fn ended(engine: &Engine, container: &Container, exit: &ExecExit) {
    container.live.remove_exec(&exit.id);
    // A session of an earlier engine, which nobody can ask for any more.
    let Ok(session) = engine.execs.find(exit.id.as_str()) else { return };
    end(engine, &session, exit.code);
}

fn end(engine: &Engine, session: &Session, code: i32) {
    session.ended(code);
    let Some(container) = engine.containers.get(&session.container) else { return };
    container.live.remove_exec(&session.id);
    let mut attributes = container.record().attributes();
    attributes.insert("execID".to_owned(), session.id.to_string());
    attributes.insert("exitCode".to_owned(), code.to_string());
    engine.events.publish(Kind::Container, "exec_die", container.id().as_str(), attributes);
}

/// The container has ended, and with its PID namespace every process in it.
pub(crate) fn container_ended(engine: &Engine, container: &Container) {
    for id in container.live.take_execs() {
        if let Ok(session) = engine.execs.find(id.as_str())
            && session.is_running()
        {
            end(engine, &session, 128 + crate::signal::KILL);
        }
    }
}

fn tell(engine: &Engine, record: &Record, session: &Session, action: &str) {
    let mut attributes = record.attributes();
    attributes.insert("execID".to_owned(), session.id.to_string());
    engine.events.publish(Kind::Container, action, record.id.as_str(), attributes);
}

/// What is known of a session.
pub fn inspect(engine: &Engine, reference: &str) -> Result<ExecInspect, Error> {
    let session = engine.execs.find(reference)?;
    let asked = &session.request;
    let (running, exit_code, pid) = match session.state() {
        SessionState::Made | SessionState::Starting => (false, None, 0),
        SessionState::Running { pid } => (true, None, i64::from(pid)),
        SessionState::Ended { code, pid } => (false, Some(i64::from(code)), i64::from(pid)),
    };
    Ok(ExecInspect {
        id: session.id.to_string(),
        running,
        exit_code,
        process_config: ExecProcessConfig {
            tty: asked.tty,
            entrypoint: asked.cmd.first().cloned().unwrap_or_default(),
            arguments: asked.cmd.iter().skip(1).cloned().collect(),
            privileged: Some(asked.privileged),
            user: asked.user.clone(),
        },
        open_stdin: asked.attach_stdin,
        open_stderr: asked.attach_stderr,
        open_stdout: asked.attach_stdout,
        can_remove: !running,
        container_id: session.container.to_string(),
        detach_keys: String::new(),
        pid,
    })
}
