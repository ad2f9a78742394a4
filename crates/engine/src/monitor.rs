//! Watches one running container, and does what its end asks for: release, record, tell, restart or remove.
//!
//! One task a running container. It never takes the container's verb lock while it handles an end, because a verb that
//! holds it (`stop`, `restart`) waits for just that.

use crate::{
    Engine, adopt,
    container::{Container, Exit, Record, State},
    events::Kind,
    exec, fault,
    live::Tenancy,
    restart_policy, rm,
    shims::{Events, Shim},
    start,
};
use shim_proto::{ExitRecord, FromShim, Target};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// Watches from now on, in a task of its own.
pub(crate) fn watch(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    shim: Arc<Shim>,
    events: Events,
    tenancy: Tenancy,
) {
    let (engine, container) = (engine.clone(), container.clone());
    tokio::spawn(async move { run(&engine, &container, shim, events, tenancy).await });
}

async fn run(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    mut shim: Arc<Shim>,
    mut events: Events,
    tenancy: Tenancy,
) {
    let exit = loop {
        match events.recv().await {
            Some(FromShim::Exited(exit)) => break exit,
            Some(event) => other(engine, container, event),
            // The shim died. Its container may live, and gets another one.
            None => match adopt::recover(engine, container).await {
                adopt::Recovered::Running { shim: new, events: more, .. } => {
                    (shim, events) = (new, more);
                    container.live.set_shim(Some(shim.clone()));
                }
                adopt::Recovered::Ended { exit, .. } => break exit,
            },
        }
    };
    ended(engine, container, exit, Some(&shim), tenancy).await;
}

/// Events that do not end the container.
fn other(engine: &Arc<Engine>, container: &Arc<Container>, event: FromShim) {
    let tell = |action: &str| {
        engine.events.publish(
            Kind::Container,
            action,
            container.id().as_str(),
            container.record().attributes(),
        );
    };
    match event {
        FromShim::ExecExited(exit) => exec::ended(engine, container, &exit),
        FromShim::OutOfMemory => tell("oom"),
        FromShim::Detached { target: Target::Init } => tell("detach"),
        FromShim::Detached { target: Target::Exec(id) } => {
            let mut attributes = container.record().attributes();
            attributes.insert("execID".to_owned(), id.to_string());
            engine.events.publish(Kind::Container, "exec_detach", container.id().as_str(), attributes);
        }
        unexpected => {
            tracing::warn!(message = unexpected.name(), "a shim sent a reply that nobody asked for")
        }
    }
}

/// A run has ended: gives back what it had, decides what comes next, records it, and tells those who wait.
///
/// The record is saved before the shim, which keeps the exit for a new engine, is let go.
pub(crate) async fn ended(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    exit: ExitRecord,
    shim: Option<&Shim>,
    tenancy: Tenancy,
) {
    fault::point("exit.seen");
    container.live.stop_probe();
    for error in start::release(engine, container).await {
        tracing::error!(container = %container.id(), %error, "release after the exit");
    }
    fault::point("exit.released");
    let record = container.record();
    let exit = Exit {
        code: exit.code,
        oom_killed: exit.oom_killed,
        started: record.state.started(),
        finished: exit.at,
        error: exit.error,
    };
    let policy = &record.host_config.restart_policy;
    let again = !engine.stopping.load(Ordering::Relaxed)
        && restart_policy::after_exit(policy, &exit, record.restart_count, record.stopped_by_client);
    // Told before those who wait are woken, so that `die` comes before what they tell, such as `stop`.
    tell_die(engine, container, &exit);
    let saved = container.update(|record| {
        record.exits += 1;
        if let Some(health) = &mut record.health {
            "unhealthy".clone_into(&mut health.status);
        }
        record.state = if again {
            record.restart_count += 1;
            State::Restarting { exit: exit.clone() }
        } else {
            State::Exited { exit: exit.clone(), failure: None }
        };
    });
    fault::point("exit.saved");
    if let Err(error) = saved {
        tracing::error!(container = %container.id(), %error, "the exit is not saved");
    }
    exec::container_ended(engine, container);
    container.live.set_shim(None);
    if let Some(shim) = shim {
        start::end_shim(shim).await;
    }
    drop(tenancy);
    next(engine, container, &exit, again);
}

fn tell_die(engine: &Engine, container: &Container, exit: &Exit) {
    let mut attributes = container.record().attributes();
    let seconds = exit.finished.unix_seconds() - exit.started.unix_seconds();
    attributes.insert("exitCode".to_owned(), exit.code.to_string());
    attributes.insert("execDuration".to_owned(), seconds.max(0).to_string());
    engine.events.publish(Kind::Container, "die", container.id().as_str(), attributes);
}

/// What follows an end.
fn next(engine: &Arc<Engine>, container: &Arc<Container>, exit: &Exit, again: bool) {
    if again {
        let delay = restart_policy::delay(container.live.backoff(), exit);
        container.live.set_backoff(Some(delay));
        restart_after(engine, container, delay);
    } else if container.record().host_config.auto_remove && !container.live.restarting() {
        rm::in_background(engine, container);
    }
}

/// Starts the container after `delay`, unless a client does something about it before, or the engine is about to end.
/// A start that fails is tried again a few times.
pub(crate) fn restart_after(engine: &Arc<Engine>, container: &Arc<Container>, mut delay: Duration) {
    let (engine, container) = (engine.clone(), container.clone());
    tokio::spawn(async move {
        engine.adopted.wait().await;
        for attempt in 1.. {
            if !still_restarting_after(&container, delay).await {
                return;
            }
            let _verb = container.lock().await;
            let State::Restarting { exit } = container.record().state.clone() else { return };
            // The engine's end, which waits for the lock, makes it one that has ended.
            if engine.stopping.load(Ordering::Relaxed) {
                return;
            }
            let Err(error) = start::run(&engine, &container).await else { return };
            tracing::warn!(container = %container.id(), %error, attempt, "restart by policy");
            if attempt == restart_policy::ATTEMPTS || engine.stopping.load(Ordering::Relaxed) {
                return;
            }
            delay = restart_policy::next_attempt(delay);
            if let Err(error) = container.update(|record| record.state = State::Restarting { exit }) {
                tracing::error!(container = %container.id(), %error, "its restart is not saved");
            }
        }
    });
}

/// Waits, and tells whether the container still waits to be restarted.
async fn still_restarting_after(container: &Container, delay: Duration) -> bool {
    let exits = container.record().exits;
    let still = |r: &Record| matches!(r.state, State::Restarting { .. }) && r.exits == exits && !r.gone;
    let mut changes = container.watch();
    tokio::select! {
        () = tokio::time::sleep(delay) => still(&container.record()),
        _ = changes.wait_for(|r| !still(r)) => false,
    }
}
