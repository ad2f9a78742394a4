//! `update`

use api_types::{ContainerUpdateRequest, ContainerUpdateResponse};

use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::{Cli, complain, each};
use crate::connect::Request;
use crate::error::Error;
use crate::format::units;
use crate::opts::{limits, restart};

pub static COMMAND: Command = Command {
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Update configuration of one or more containers",
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[&[
        Flag::uint16("blkio-weight", "Share of block I/O, 10 to 1000; 0 for no preference").default("0"),
        Flag::int("cpu-period", "Length of a CPU scheduling period, in microseconds"),
        Flag::int("cpu-quota", "CPU time per scheduling period, in microseconds"),
        Flag::int("cpu-rt-period", "Length of a real-time CPU period, in microseconds"),
        Flag::int("cpu-rt-runtime", "Real-time CPU time per period, in microseconds"),
        Flag::int("cpu-shares", "Share of CPU relative to other containers").short('c'),
        Flag::string("cpus", "Number of CPUs, such as 1.5").metavar("decimal").check(limits::check_cpus),
        Flag::string("cpuset-cpus", "CPUs to run on (0-3, 0,1)"),
        Flag::string("cpuset-mems", "Memory nodes to use (0-3, 0,1)"),
        Flag::bytes("memory", "Limit of memory").short('m'),
        Flag::bytes("memory-reservation", "Memory to keep for the container when it gets scarce"),
        Flag::string("memory-swap", "Limit of memory and swap together; -1 for no limit")
            .metavar("bytes")
            .check(limits::check_swap),
        Flag::int("pids-limit", "Limit of processes; -1 for none"),
        Flag::string("restart", "Whether to start it again when it ends"),
    ]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

fn request(args: &Parsed) -> Result<ContainerUpdateRequest, String> {
    let number = |flag: &str| args.int(flag).unwrap_or(0);
    let bytes = |flag: &str| args.get(flag).map_or(Ok(0), units::parse_bytes);
    Ok(ContainerUpdateRequest {
        cpu_shares: number("cpu-shares"),
        memory: bytes("memory")?,
        nano_cpus: args.get("cpus").map_or(Ok(0), limits::nano_cpus)?,
        cgroup_parent: String::new(),
        blkio_weight: u16::try_from(number("blkio-weight")).unwrap_or(0),
        cpu_period: number("cpu-period"),
        cpu_quota: number("cpu-quota"),
        cpu_realtime_period: number("cpu-rt-period"),
        cpu_realtime_runtime: number("cpu-rt-runtime"),
        cpuset_cpus: args.text("cpuset-cpus"),
        cpuset_mems: args.text("cpuset-mems"),
        memory_reservation: bytes("memory-reservation")?,
        memory_swap: args.get("memory-swap").map_or(Ok(0), limits::swap)?,
        pids_limit: args.int("pids-limit"),
        restart_policy: args.get("restart").map_or(Ok(Default::default()), restart::parse)?,
    })
}

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    if !COMMAND.flags().any(|flag| args.given(flag.name)) {
        return Err(Error::invalid("you must provide one or more flags when using this command"));
    }
    let update = request(args).map_err(Error::Invalid)?;
    let client = cli.client()?;
    each(&args.args, async |name| {
        let answer: ContainerUpdateResponse =
            client.json(Request::post(super::path(name, "/update")).json(&update)?).await?;
        answer.warnings.iter().for_each(complain);
        Ok(name.to_owned())
    })
    .await
}
