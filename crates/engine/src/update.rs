//! `update`: other limits, another restart policy.

use crate::{
    Engine, Error, container::Record, container::State, create::Invalid, create::resources, create::validate,
    detached, events::Kind, plan,
};
use api_types::{ContainerUpdateRequest, HostConfig};
use std::sync::Arc;

/// Changes what the request names, at once where the container runs. Returns warnings.
///
/// # Errors
/// [`Error::Invalid`]; [`Error::MarkedForRemoval`].
pub async fn update(
    engine: &Arc<Engine>,
    reference: &str,
    request: ContainerUpdateRequest,
) -> Result<Vec<String>, Error> {
    let container = engine.containers.find(reference)?;
    let engine = engine.clone();
    detached("update", async move {
        let _verb = container.lock().await;
        let record = container.record();
        if matches!(record.state, State::Removing { .. } | State::Dead { .. }) {
            return Err(Error::MarkedForRemoval { verb: "\"update\"" });
        }
        let mut wanted = asked(request);
        let warnings = resources::check(&mut wanted, &engine.config.cgroup, true)?;
        validate::restart_policy(&wanted.restart_policy)?;
        let host = merged(&record, &wanted)?;
        if record.state.run().is_some() && !engine.config.cgroup.is_none() {
            container.live.shim()?.update(plan::resources(&host)).await?;
        }
        container.update(|record| record.host_config = host)?;
        engine.events.publish(
            Kind::Container,
            "update",
            container.id().as_str(),
            container.record().attributes(),
        );
        Ok(warnings)
    })
    .await
}

fn asked(request: ContainerUpdateRequest) -> HostConfig {
    HostConfig {
        cpu_shares: request.cpu_shares,
        memory: request.memory,
        nano_cpus: request.nano_cpus,
        blkio_weight: request.blkio_weight,
        cpu_period: request.cpu_period,
        cpu_quota: request.cpu_quota,
        cpu_realtime_period: request.cpu_realtime_period,
        cpu_realtime_runtime: request.cpu_realtime_runtime,
        cpuset_cpus: request.cpuset_cpus,
        cpuset_mems: request.cpuset_mems,
        memory_reservation: request.memory_reservation,
        memory_swap: request.memory_swap,
        pids_limit: request.pids_limit,
        restart_policy: request.restart_policy,
        ..HostConfig::default()
    }
}

/// What was, with what is wanted over it (moby `Container.UpdateContainer`).
fn merged(record: &Record, wanted: &HostConfig) -> Result<HostConfig, Error> {
    let mut host = record.host_config.clone();
    conflicts(&host, wanted)?;
    let number = |own: &mut i64, new: i64| {
        if new != 0 {
            *own = new;
        }
    };
    number(&mut host.cpu_shares, wanted.cpu_shares);
    number(&mut host.memory, wanted.memory);
    number(&mut host.nano_cpus, wanted.nano_cpus);
    number(&mut host.cpu_period, wanted.cpu_period);
    number(&mut host.cpu_quota, wanted.cpu_quota);
    number(&mut host.cpu_realtime_period, wanted.cpu_realtime_period);
    number(&mut host.cpu_realtime_runtime, wanted.cpu_realtime_runtime);
    number(&mut host.memory_reservation, wanted.memory_reservation);
    number(&mut host.memory_swap, wanted.memory_swap);
    if wanted.blkio_weight != 0 {
        host.blkio_weight = wanted.blkio_weight;
    }
    for (own, new) in
        [(&mut host.cpuset_cpus, &wanted.cpuset_cpus), (&mut host.cpuset_mems, &wanted.cpuset_mems)]
    {
        if !new.is_empty() {
            own.clone_from(new);
        }
    }
    host.pids_limit = wanted.pids_limit.or(host.pids_limit);
    if !wanted.restart_policy.name.is_empty() {
        host.restart_policy = wanted.restart_policy.clone();
    }
    Ok(host)
}

fn conflicts(host: &HostConfig, wanted: &HostConfig) -> Result<(), Error> {
    let restart = wanted.restart_policy.name.as_str();
    let table = [
        (
            wanted.nano_cpus > 0 && host.cpu_period > 0,
            "Nano CPUs cannot be updated as CPU Period has already been set",
        ),
        (
            wanted.nano_cpus > 0 && host.cpu_quota > 0,
            "Nano CPUs cannot be updated as CPU Quota has already been set",
        ),
        (
            wanted.cpu_period > 0 && host.nano_cpus > 0,
            "CPU Period cannot be updated as NanoCPUs has already been set",
        ),
        (
            wanted.cpu_quota > 0 && host.nano_cpus > 0,
            "CPU Quota cannot be updated as NanoCPUs has already been set",
        ),
    ];
    if let Some((_, text)) = table.into_iter().find(|(conflict, _)| *conflict) {
        return Err(Invalid::Limit(format!("Conflicting options: {text}")).into());
    }
    if wanted.memory != 0
        && wanted.memory_swap == 0
        && host.memory_swap > 0
        && wanted.memory > host.memory_swap
    {
        let text = "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time";
        return Err(Invalid::Limit(text.to_owned()).into());
    }
    if host.auto_remove && !matches!(restart, "" | "no") {
        return Err(Error::RestartWithAutoRemove);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::testing;
    use model::Id;

    #[test]
    fn zeros_leave_limits_alone() {
        let mut record = testing::record(Id::random(), "c");
        record.host_config.memory = 64 << 20;
        record.host_config.restart_policy.name = "always".into();
        let host = merged(&record, &HostConfig { cpu_shares: 5, ..HostConfig::default() }).unwrap();
        assert_eq!(
            (host.memory, host.cpu_shares, host.restart_policy.name.as_str()),
            (64 << 20, 5, "always")
        );
    }

    #[test]
    fn contradictions_are_refused() {
        let mut record = testing::record(Id::random(), "c");
        record.host_config.auto_remove = true;
        let wanted = HostConfig {
            restart_policy: api_types::RestartPolicy { name: "always".into(), ..Default::default() },
            ..HostConfig::default()
        };
        assert_eq!(
            merged(&record, &wanted).unwrap_err().to_string(),
            "Restart policy cannot be updated because AutoRemove is enabled for the container"
        );
    }
}
