//! `stats`: what a container uses, once or every second. Without a cgroup the numbers of processor and memory are
//! zero, as in Docker; the network's are the kernel's in any case.

use crate::{
    Container, Engine, Error,
    container::{Record, State},
};
use api_types::{
    BlkioStatEntry, BlkioStats, CpuStats, CpuUsage, Map, MemoryStats, NetworkStats, PidsStats, Stats,
    ThrottlingData,
};
use model::Timestamp;
use std::{sync::Arc, time::Duration};

const INTERVAL: Duration = Duration::from_secs(1);

/// How often, and with what before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Every second, each reading with the one before it.
    Stream,
    /// One reading, with one taken a second before it.
    Pair,
    /// One reading at once, with nothing before it.
    Single,
}

/// Readings of one container.
pub struct StatsStream {
    container: Arc<Container>,
    mode: Mode,
    before: Option<Stats>,
    told: bool,
}

pub fn stats(engine: &Engine, reference: &str, mode: Mode) -> Result<StatsStream, Error> {
    let container = engine.containers.find(reference)?;
    Ok(StatsStream { container, mode, before: None, told: false })
}

impl StatsStream {
    /// The next reading; none after the last, or when the container has been removed.
    pub async fn next(&mut self) -> Option<Stats> {
        let running = self.container.record().state.run().is_some();
        match (self.mode, self.told) {
            (Mode::Single | Mode::Pair, true) => return None,
            (Mode::Pair, false) if running => {
                self.before = Some(read(&self.container).await);
                tokio::time::sleep(INTERVAL).await;
            }
            (Mode::Stream, true) if self.removed_within(INTERVAL).await => return None,
            _ => {}
        }
        if removed(&self.container.record()) {
            return None;
        }
        self.told = true;
        let mut now = read(&self.container).await;
        if let Some(before) = self.before.take() {
            now.preread = before.read;
            now.precpu_stats = before.cpu_stats;
        }
        self.before = Some(now.clone());
        Some(now)
    }

    /// A stream ends as its container's removal begins, not a second after: clients that wait for the removal close
    /// down then, and would be left with a stream (moby `StopCollection`, before the container's directory goes).
    async fn removed_within(&self, time: Duration) -> bool {
        let mut changes = self.container.watch();
        let removal = changes.wait_for(|record| removed(record));
        tokio::time::timeout(time, removal).await.is_ok()
    }
}

fn removed(record: &Record) -> bool {
    record.gone || matches!(record.state, State::Removing { .. })
}

/// One reading. A container that does not run, or ends meanwhile, reads as nothing.
async fn read(container: &Container) -> Stats {
    let record = container.record();
    let mut stats = Stats {
        name: format!("/{}", record.name),
        id: record.id.to_string(),
        read: Timestamp::ZERO.to_string(),
        preread: Timestamp::ZERO.to_string(),
        ..Stats::default()
    };
    let (Some(run), Ok(shim)) = (record.state.run(), container.live.shim()) else { return stats };
    match shim.stats().await {
        Ok(reading) => fill(&mut stats, &record, reading, run.process.pid),
        Err(error) => tracing::debug!(container = %record.id, %error, "stats"),
    }
    stats
}

fn fill(stats: &mut Stats, record: &Record, reading: shim_proto::Stats, pid: u32) {
    stats.read = reading.read.to_string();
    stats.pids_stats = PidsStats { current: reading.pids.current, limit: reading.pids.limit.unwrap_or(0) };
    if let Some(cpu) = reading.cpu {
        stats.cpu_stats = CpuStats {
            cpu_usage: CpuUsage {
                total_usage: cpu.usage,
                percpu_usage: Vec::new(),
                usage_in_kernelmode: cpu.system,
                usage_in_usermode: cpu.user,
            },
            system_cpu_usage: system_cpu().unwrap_or(0),
            online_cpus: std::thread::available_parallelism()
                .map_or(1, |n| u32::try_from(n.get()).unwrap_or(1)),
            throttling_data: ThrottlingData {
                periods: cpu.periods,
                throttled_periods: cpu.throttled_periods,
                throttled_time: cpu.throttled_time,
            },
        };
    }
    if let Some(memory) = reading.memory {
        stats.memory_stats = MemoryStats {
            usage: memory.usage,
            max_usage: memory.max_usage.unwrap_or(0),
            stats: memory.stat,
            failcnt: memory.oom_kills,
            limit: memory.limit.unwrap_or_else(total_memory),
        };
    }
    stats.blkio_stats = block_io(&reading.io);
    if !record.host_config.network_mode.starts_with("container:") {
        stats.networks = interfaces(pid).unwrap_or_default();
    }
}

fn block_io(devices: &[shim_proto::stats::IoStats]) -> BlkioStats {
    let entries = |values: fn(&shim_proto::stats::IoStats) -> [(&'static str, u64); 2]| {
        devices
            .iter()
            .flat_map(|d| {
                values(d).map(|(op, value)| BlkioStatEntry {
                    major: d.major,
                    minor: d.minor,
                    op: op.to_owned(),
                    value,
                })
            })
            .collect()
    };
    BlkioStats {
        io_service_bytes_recursive: entries(|d| [("read", d.read_bytes), ("write", d.write_bytes)]),
        io_serviced_recursive: entries(|d| [("read", d.reads), ("write", d.writes)]),
        ..BlkioStats::default()
    }
}

/// The host's memory, which is the limit of a container without one.
fn total_memory() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram * u64::from(info.mem_unit)
}

/// All processors' time in nanoseconds (proc_stat(5), first line, in ticks of 10 ms).
fn system_cpu() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    let ticks: u64 =
        text.lines().next()?.split_whitespace().skip(1).take(7).filter_map(|n| n.parse::<u64>().ok()).sum();
    Some(ticks * 10_000_000)
}

/// The interfaces of the process's network namespace but `lo` (proc_pid_net(5), `dev`).
fn interfaces(pid: u32) -> Option<Map<NetworkStats>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/net/dev")).ok()?;
    Some(text.lines().skip(2).filter_map(interface).filter(|(name, _)| name != "lo").collect())
}

fn interface(line: &str) -> Option<(String, NetworkStats)> {
    let (name, numbers) = line.split_once(':')?;
    let n: Vec<u64> = numbers.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    let &[
        rx_bytes,
        rx_packets,
        rx_errors,
        rx_dropped,
        _,
        _,
        _,
        _,
        tx_bytes,
        tx_packets,
        tx_errors,
        tx_dropped,
        ..,
    ] = n.as_slice()
    else {
        return None;
    };
    let stats = NetworkStats {
        rx_bytes,
        rx_packets,
        rx_errors,
        rx_dropped,
        tx_bytes,
        tx_packets,
        tx_errors,
        tx_dropped,
    };
    Some((name.trim().to_owned(), stats))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interface_lines_are_read_by_column() {
        let line = "  eth0: 100 2 3 4 0 0 0 0 500 6 7 8 0 0 0 0";
        let (name, stats) = interface(line).unwrap();
        assert_eq!((name.as_str(), stats.rx_bytes, stats.rx_dropped), ("eth0", 100, 4));
        assert_eq!((stats.tx_bytes, stats.tx_packets, stats.tx_errors, stats.tx_dropped), (500, 6, 7, 8));
        assert!(interface("Inter-|   Receive").is_none());
    }
}
