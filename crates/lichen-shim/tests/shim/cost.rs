//! What a shim costs in time and memory. Bounds are wide: they catch a slip of an order of magnitude on a busy machine;
//! `cargo xtask bench` measures.

use crate::host::{Host, PIPES};
use model::{Id, ProcessRef};
use shim_proto::{FromShim, ToShim};
use std::time::{Duration, Instant};
use testing::in_userns;

#[test]
fn a_shim_answers_within_milliseconds_of_being_asked_for() {
    in_userns("cost::a_shim_answers_within_milliseconds_of_being_asked_for", || {
        let host = Host::new();
        let mut times: Vec<Duration> = (0..30)
            .map(|_| {
                let begun = Instant::now();
                let mut shim = host.shim(&Id::random(), false);
                assert!(matches!(shim.ask(ToShim::State), FromShim::State(_)));
                let time = begun.elapsed();
                shim.done(ToShim::Shutdown);
                time
            })
            .collect();
        times.sort();
        eprintln!("spawn and first answer: median {:?}", times[times.len() / 2]);
        assert!(times[times.len() / 2] < Duration::from_millis(100), "{times:?}");
    });
}

#[test]
fn a_shim_of_a_running_container_is_small() {
    in_userns("cost::a_shim_of_a_running_container_is_small", || {
        let host = Host::new();
        let shims: Vec<_> = (0..10)
            .map(|_| {
                let id = Id::random();
                let mut shim = host.shim(&id, false);
                shim.run(host.create(&id, &["sleep", "60"], PIPES));
                shim
            })
            .collect();
        let sizes: Vec<u64> = shims.iter().map(|s| pss(s.process.unwrap())).collect();
        eprintln!("PSS of each of ten shims: {sizes:?} KiB");
        assert!(sizes.iter().all(|kib| *kib < 4096), "{sizes:?}");
    });
}

/// KiB (proc_pid_smaps(5)).
fn pss(process: ProcessRef) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", process.pid)).unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix("Pss:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
