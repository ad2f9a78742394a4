//! CPU and I/O scheduling of the new process.

use crate::{Error, Failure, Result, report::failed};
use oci_spec::runtime::{
    IOPriorityClass, LinuxIOPriority, LinuxSchedulerFlag, LinuxSchedulerPolicy, Process, Scheduler,
};
use sys::process::SchedulerAttributes;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Schedule {
    attributes: Option<SchedulerAttributes>,
    io: Option<(u16, u16)>,
}

impl Schedule {
    pub(super) fn plan(process: &Process) -> Result<Self> {
        if process
            .exec_cpu_affinity()
            .as_ref()
            .is_some_and(|a| a.initial().is_some() || a.cpu_affinity_final().is_some())
        {
            let reason = "use linux.resources.cpu.cpus".into();
            return Err(Error::Unsupported { what: "process.execCPUAffinity", reason });
        }
        Ok(Self {
            attributes: process.scheduler().as_ref().map(attributes),
            io: process.io_priority().as_ref().map(io_priority).transpose()?,
        })
    }

    pub(super) fn apply(&self) -> Result<(), Failure> {
        if let Some(attributes) = self.attributes {
            sys::process::set_scheduler(attributes).map_err(failed("set scheduler"))?;
        }
        if let Some((class, level)) = self.io {
            sys::process::set_io_priority(class, level).map_err(failed("set I/O priority"))?;
        }
        Ok(())
    }
}

/// Numbers of `<linux/sched.h>`.
fn attributes(scheduler: &Scheduler) -> SchedulerAttributes {
    let policy = match scheduler.policy() {
        LinuxSchedulerPolicy::SchedOther => 0,
        LinuxSchedulerPolicy::SchedFifo => 1,
        LinuxSchedulerPolicy::SchedRr => 2,
        LinuxSchedulerPolicy::SchedBatch => 3,
        LinuxSchedulerPolicy::SchedIso => 4,
        LinuxSchedulerPolicy::SchedIdle => 5,
        LinuxSchedulerPolicy::SchedDeadline => 6,
    };
    let flag = |flag: &LinuxSchedulerFlag| match flag {
        LinuxSchedulerFlag::SchedResetOnFork => 0x01,
        LinuxSchedulerFlag::SchedFlagReclaim => 0x02,
        LinuxSchedulerFlag::SchedFlagDLOverrun => 0x04,
        LinuxSchedulerFlag::SchedFlagKeepPolicy => 0x08,
        LinuxSchedulerFlag::SchedFlagKeepParams => 0x10,
        LinuxSchedulerFlag::SchedFlagUtilClampMin => 0x20,
        LinuxSchedulerFlag::SchedFlagUtilClampMax => 0x40,
    };
    let mut attributes = SchedulerAttributes::default();
    attributes.policy = policy;
    attributes.flags = scheduler.flags().iter().flatten().map(flag).fold(0, |all, f| all | f);
    attributes.nice = scheduler.nice().unwrap_or(0);
    attributes.priority = scheduler.priority().unwrap_or(0).unsigned_abs();
    attributes.runtime = scheduler.runtime().unwrap_or(0);
    attributes.deadline = scheduler.deadline().unwrap_or(0);
    attributes.period = scheduler.period().unwrap_or(0);
    attributes
}

fn io_priority(priority: &LinuxIOPriority) -> Result<(u16, u16)> {
    let class = match priority.class() {
        IOPriorityClass::IoprioClassRt => 1,
        IOPriorityClass::IoprioClassBe => 2,
        IOPriorityClass::IoprioClassIdle => 3,
    };
    match u16::try_from(priority.priority()) {
        Ok(level @ 0..=7) => Ok((class, level)),
        _ => {
            let reason = format!("{} is not within 0 and 7", priority.priority());
            Err(Error::Spec { field: "process.ioPriority.priority", reason })
        }
    }
}
