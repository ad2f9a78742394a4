//! What engines ask for.

use super::serve::Shim;
use super::{create, exec, failed, pids};
use model::Timestamp;
use shim_proto::{
    ExecStatus, Failure, FailureClass, FromShim, Received, ShimStatus, Stage, Stats, Target, ToShim, stats,
};
use std::os::fd::OwnedFd;

/// Stands for an exit code that nobody saw.
pub(super) const LOST: i32 = -1;

type Reply = Result<FromShim, Failure>;

/// Carry out one request, if the container's stage permits it.
pub(super) fn carry_out(shim: &mut Shim, request: Received<ToShim>) -> Reply {
    shim.stage.permits(&request.msg)?;
    let fds = request.fds;
    match request.msg {
        ToShim::Create(create) => create::create(shim, &create, fds),
        ToShim::Start => create::start(shim),
        ToShim::Attach(attach) => {
            let init = process(shim, &Target::Init)?;
            let at = Timestamp::now();
            init.streams.attach(one(fds, "Attach")?, attach).map_err(failed("attach"))?;
            Ok(FromShim::Attached { at })
        }
        ToShim::Exec(exec) => exec::exec(shim, *exec, fds),
        ToShim::Resize { target, size } => {
            process(shim, &target)?.streams.resize(size).map_err(failed("resize"))?;
            Ok(FromShim::Done)
        }
        ToShim::Signal { target, signal } => signal_process(shim, &target, signal),
        ToShim::CloseStdin { target } => {
            process(shim, &target)?.streams.close_stdin();
            Ok(FromShim::Done)
        }
        ToShim::Pause => frozen(shim, true, Stage::Paused),
        ToShim::Resume => frozen(shim, false, Stage::Running),
        ToShim::Update { resources } => {
            for warning in shim.cgroup.apply(&resources).map_err(cgroup("update"))? {
                eprintln!("lichen-shim: update: {warning}");
            }
            Ok(FromShim::Done)
        }
        ToShim::Stats => Ok(FromShim::Stats(Box::new(read_stats(shim)?))),
        ToShim::Pids => Ok(FromShim::Pids { pids: list_pids(shim)? }),
        ToShim::State => Ok(FromShim::State(Box::new(status(shim)))),
        ToShim::Shutdown => create::shut_down(shim),
    }
}

/// The one descriptor that must come with a request.
pub(super) fn one(fds: Vec<OwnedFd>, request: &'static str) -> Result<OwnedFd, Failure> {
    let count = fds.len();
    let mut fds = fds.into_iter();
    match (fds.next(), count) {
        (Some(fd), 1) => Ok(fd),
        _ => {
            let message = format!("{count} descriptors came with the message: expected 1");
            Err(Failure::new(FailureClass::InvalidParameter, request, message))
        }
    }
}

fn process<'a>(shim: &'a mut Shim, target: &Target) -> Result<&'a mut super::process::Process, Failure> {
    let missing =
        || Failure::new(FailureClass::NoSuchObject, "find process", format!("{target:?} is not running"));
    shim.find(target).filter(|p| p.is_running()).ok_or_else(missing)
}

fn signal_process(shim: &mut Shim, target: &Target, signal: i32) -> Reply {
    // A zombie takes signals without complaint; what has ended is to be known as ended first.
    shim.reap();
    let process = process(shim, target)?;
    sys::pidfd::signal(&process.pidfd, signal).map_err(|e| {
        let class =
            if e.errno == rustix::io::Errno::SRCH { FailureClass::NoSuchObject } else { FailureClass::Other };
        Failure::new(class, "signal", e)
    })?;
    Ok(FromShim::Done)
}

fn cgroup(step: &'static str) -> impl FnOnce(runtime::Error) -> Failure {
    move |error| {
        let class = match error {
            runtime::Error::NoCgroup { .. } | runtime::Error::Unsupported { .. } => FailureClass::Unsupported,
            _ => FailureClass::Other,
        };
        Failure::new(class, step, error)
    }
}

fn frozen(shim: &mut Shim, frozen: bool, stage: Stage) -> Reply {
    let outcome = if frozen { shim.cgroup.freeze() } else { shim.cgroup.thaw() };
    outcome.map_err(cgroup(if frozen { "pause" } else { "resume" }))?;
    shim.stage = stage;
    create::write_record(shim, stage)?;
    Ok(FromShim::Done)
}

fn list_pids(shim: &Shim) -> Result<Vec<u32>, Failure> {
    match shim.cgroup.path() {
        Some(_) => shim.cgroup.pids().map_err(cgroup("list processes")),
        None => Ok(shim.init().map(|init| pids::of(init.process.pid)).unwrap_or_default()),
    }
}

fn read_stats(shim: &Shim) -> Result<Stats, Failure> {
    let read = Timestamp::now();
    if shim.cgroup.path().is_none() {
        let current = list_pids(shim)?.len() as u64;
        return Ok(Stats { read, pids: stats::PidsStats { current, limit: None }, ..Stats::default() });
    }
    let counted = shim.cgroup.stats().map_err(cgroup("stats"))?;
    let nanos = |micros: u64| micros.saturating_mul(1000);
    let cpu = stats::CpuStats {
        usage: nanos(counted.cpu.usage),
        user: nanos(counted.cpu.user),
        system: nanos(counted.cpu.system),
        periods: counted.cpu.periods,
        throttled_periods: counted.cpu.throttled_periods,
        throttled_time: nanos(counted.cpu.throttled),
    };
    let memory = counted.memory.map(|m| stats::MemoryStats {
        usage: m.usage,
        max_usage: m.peak,
        limit: m.limit,
        oom_kills: m.oom_kills,
        stat: m.details,
    });
    let pids = match counted.pids {
        Some(pids) => stats::PidsStats { current: pids.current, limit: pids.limit },
        None => stats::PidsStats { current: list_pids(shim)?.len() as u64, limit: None },
    };
    let io = counted.io.iter().map(|io| stats::IoStats {
        major: u64::from(io.major),
        minor: u64::from(io.minor),
        read_bytes: io.read_bytes,
        write_bytes: io.written_bytes,
        reads: io.reads,
        writes: io.writes,
    });
    Ok(Stats { read, cpu: Some(cpu), memory, pids, io: io.collect() })
}

/// Ends of exec processes are told once.
fn status(shim: &mut Shim) -> ShimStatus {
    let execs = shim.processes.iter().filter_map(|p| match &p.target {
        Target::Exec(id) if p.is_running() => Some(ExecStatus { id: id.clone(), pid: p.process.pid }),
        _ => None,
    });
    ShimStatus {
        stage: shim.stage,
        shim: shim.own,
        init: shim.init().map(|p| p.process),
        started_at: shim.record.as_ref().and_then(|r| r.started_at),
        exit: shim.exit.clone(),
        execs: execs.collect(),
        exec_exits: std::mem::take(&mut shim.exec_exits),
    }
}
