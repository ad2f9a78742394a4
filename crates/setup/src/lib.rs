//! `lichen setup check | install | uninstall` and `lichen doctor`: at home on every host.
//!
//! ```text
//! facts (what the host is like) ─▶ check (what it means) ─▶ findings ─▶ report (people, programs)
//!                                                             └ no error ─▶ install (unit, service, context)
//! ```
//! Reading and judging are apart, so that every verdict is tested on hosts that were never seen. Verbs, texts and exit
//! codes are those of dockerd-rootless-setuptool.sh, whose name the program answers to.
#![forbid(unsafe_code)]

mod apparmor;
mod args;
mod cgroup;
mod check;
mod context;
mod distribution;
mod doctor;
mod error;
mod facts;
mod finding;
mod install;
mod probe;
mod report;
mod session;
mod systemd;
mod undo;
mod unit;

pub use args::VERBS;
pub use error::{Error, Result};
pub use facts::Facts;

use args::{Arguments, Verb};
use cli::out::tolerate;
use cli::say;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

/// Where the engine would be, from its own configuration.
#[derive(Debug, Clone)]
pub struct Places {
    pub data_root: PathBuf,
    /// `$XDG_RUNTIME_DIR`, or where it should be.
    pub runtime: PathBuf,
    /// `$XDG_CONFIG_HOME`.
    pub config: PathBuf,
}

impl Places {
    /// The engine's address.
    pub fn host(&self) -> String {
        format!("unix://{}", self.runtime.join("docker.sock").display())
    }
}

/// `lichen setup …`, or dockerd-rootless-setuptool.sh: `program` is the name that help shows. `nsenter` runs that verb.
pub fn main(
    program: &str,
    words: &[String],
    places: &Places,
    nsenter: impl FnOnce(&[String]) -> ExitCode,
) -> ExitCode {
    let result = match args::parse(words) {
        Ok(Arguments { verb: Verb::Nsenter(words), .. }) => return nsenter(&words),
        Ok(Arguments { verb: Verb::Probe(words), .. }) => return probe::child(&words),
        Ok(Arguments { verb: Verb::Help, .. }) => print(&args::help(program)),
        Ok(arguments) => run(&arguments, places),
        Err(error) => Err(error),
    };
    finish(result)
}

/// `lichen doctor [--json]`: exit code 1 when something essential is missing.
pub fn doctor(words: &[String], places: &Places) -> ExitCode {
    let json = match words {
        [] => false,
        [word] if word == "--json" => true,
        [word] if word == "--help" || word == "-h" => return finish(print(args::DOCTOR_HELP)),
        [word, ..] => return finish(Err(Error::Usage(format!("unknown argument {word:?}")))),
    };
    finish(diagnose(json, places))
}

fn finish(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::Unsatisfied) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("[ERROR] {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments, places: &Places) -> Result<()> {
    if rustix::process::geteuid().is_root() {
        return Err(Error::Root);
    }
    let facts = facts::gather(places);
    match arguments.verb {
        Verb::Uninstall => install::uninstall(&facts, places),
        Verb::Install => {
            requirements(&facts, arguments)?;
            install::install(&facts, places)
        }
        _ => requirements(&facts, arguments),
    }
}

fn requirements(facts: &Facts, arguments: &Arguments) -> Result<()> {
    let findings = check::check(facts, arguments.force);
    if arguments.json {
        print_json(facts, &findings)?;
    } else {
        // Line by line: standard error has no buffer, and over ssh a line in pieces mixes with standard output.
        let mut errors = io::LineWriter::new(io::stderr().lock());
        tolerate(report::requirements(&findings, &mut io::stdout().lock(), &mut errors))?;
    }
    if check::satisfied(&findings) { Ok(()) } else { Err(Error::Unsatisfied) }
}

fn diagnose(json: bool, places: &Places) -> Result<()> {
    if rustix::process::geteuid().is_root() {
        return Err(Error::Root);
    }
    let facts = facts::gather(places);
    // Nobody asks here whether to go on beside another engine.
    let mut findings = check::check(&facts, false);
    findings.extend(doctor::engine(&facts, places));
    if json {
        print_json(&facts, &findings)?;
    } else {
        let (user, system, kernel) = (&facts.user.name, &facts.distribution.name, &facts.kernel);
        say!("{user} on {system}, Linux {kernel}");
        let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        tolerate(report::doctor(&findings, colour, &mut io::stdout().lock()))?;
    }
    if check::satisfied(&findings) { Ok(()) } else { Err(Error::Unsatisfied) }
}

fn print_json(facts: &Facts, findings: &[finding::Finding]) -> Result<()> {
    let report = report::Report {
        satisfied: check::satisfied(findings),
        distribution: &facts.distribution.name,
        kernel: &facts.kernel,
        user: &facts.user.name,
        findings,
    };
    let text = serde_json::to_string_pretty(&report).map_err(io::Error::from)?;
    print(&format!("{text}\n"))
}

fn print(text: &str) -> Result<()> {
    Ok(cli::out::print(text)?)
}
