//! The tree of commands, and the way from words to a running one.

use std::path::Path;

use crate::args::help::{commands as command_list, flags as flag_list, help, usage_line};
use crate::args::{self, Action, Arity, Command, Entry, Flag, Parsed, UsageError};
use crate::cli::{Cli, Globals, complain, print};
use crate::connect::client::API_VERSION;
use crate::error::Error;
use crate::{
    Part, complete, container, context, image, inspect, man, network, registry, system, tty, volume,
};

pub static GLOBAL_FLAGS: &[Flag] = &[
    Flag::string("config", "Directory of the client's configuration (default \"~/.docker\")"),
    Flag::string("context", "Context that names the engine; overrides DOCKER_HOST and \"context use\"")
        .short('c'),
    Flag::bool("debug", "Say more about what goes on").short('D'),
    Flag::list("host", "Address of the engine: unix://, tcp:// or ssh://").short('H'),
    Flag::string("log-level", "\"debug\", \"info\", \"warn\", \"error\" or \"fatal\"")
        .short('l')
        .default("\"info\""),
    Flag::bool("tls", "Use TLS; implied by --tlsverify"),
    Flag::string(
        "tlscacert",
        "Authority that signed the engine's certificate (default \"~/.docker/ca.pem\")",
    ),
    Flag::string("tlscert", "Client certificate (default \"~/.docker/cert.pem\")"),
    Flag::string("tlskey", "Key of the client certificate (default \"~/.docker/key.pem\")"),
    Flag::bool("tlsverify", "Use TLS and verify the engine"),
    Flag::bool("version", "Print the version and stop").short('v'),
];

const fn entry(name: &'static [&'static str], command: &'static Command) -> Entry {
    Entry::new(name, command)
}

pub static COMMON: &[Entry] = &[
    entry(&["run"], &container::run::COMMAND),
    entry(&["exec"], &container::exec::COMMAND),
    entry(&["ps"], &container::list::COMMAND),
    entry(&["pull"], &image::pull::COMMAND),
    entry(&["push"], &image::push::COMMAND),
    entry(&["images"], &image::list::COMMAND),
    entry(&["login"], &registry::login::LOGIN),
    entry(&["logout"], &registry::login::LOGOUT),
    entry(&["search"], &registry::search::COMMAND),
    entry(&["version"], &system::version::COMMAND),
    entry(&["info"], &system::info::COMMAND),
];

pub static GROUPS: &[Entry] = &[
    entry(&["container"], &container::GROUP),
    entry(&["context"], &context::GROUP),
    entry(&["image"], &image::GROUP),
    entry(&["network"], &network::GROUP),
    entry(&["system"], &system::GROUP),
    entry(&["volume"], &volume::GROUP),
];

pub static PLAIN: &[Entry] = &[
    entry(&["attach"], &container::attach::COMMAND),
    entry(&["commit"], &container::commit::COMMAND),
    entry(&["completion"], &complete::COMMAND),
    entry(&["cp"], &container::cp::COMMAND),
    entry(&["create"], &container::create::COMMAND),
    entry(&["diff"], &container::diff::COMMAND),
    entry(&["events"], &system::events::COMMAND),
    entry(&["export"], &container::export::COMMAND),
    entry(&["history"], &image::history::COMMAND),
    entry(&["import"], &image::import::COMMAND),
    entry(&["inspect"], &inspect::COMMAND),
    entry(&["kill"], &container::kill::COMMAND),
    entry(&["load"], &image::archive::LOAD),
    entry(&["logs"], &container::logs::COMMAND),
    entry(&["pause"], &container::pause::PAUSE),
    entry(&["port"], &container::port::COMMAND),
    entry(&["rename"], &container::rename::COMMAND),
    entry(&["restart"], &container::stop::RESTART),
    entry(&["rm"], &container::rm::COMMAND),
    entry(&["rmi"], &image::rm::COMMAND),
    entry(&["save"], &image::archive::SAVE),
    entry(&["start"], &container::start::COMMAND),
    entry(&["stats"], &container::stats::COMMAND),
    entry(&["stop"], &container::stop::STOP),
    entry(&["tag"], &image::tag::COMMAND),
    entry(&["top"], &container::top::COMMAND),
    entry(&["unpause"], &container::pause::UNPAUSE),
    entry(&["update"], &container::update::COMMAND),
    entry(&["wait"], &container::wait::COMMAND),
];

/// Every command.
pub static TREE: &[&[Entry]] = &[COMMON, GROUPS, PLAIN];

pub fn find(name: &str) -> Option<&'static Entry> {
    TREE.iter().flat_map(|part| part.iter()).find(|entry| entry.names.contains(&name))
}

/// The program itself, before any command.
pub static ROOT: Command = Command {
    usage: "[OPTIONS] COMMAND [ARG...]",
    about: "",
    arity: Arity::AtLeast(0),
    interspersed: false,
    flags: &[GLOBAL_FLAGS],
    action: Action::Group(&[]),
};

/// Runs the command that the words name. The first word is the program's.
pub fn dispatch(words: &[String], parts: &[Part]) -> i32 {
    let (first, rest) =
        words.split_first().map_or(("lichen", &[][..]), |(first, rest)| (first.as_str(), rest));
    let program = match first.rsplit('/').next() {
        Some("docker") => "docker",
        _ => "lichen",
    };
    if let Some((name @ ("__complete" | "__completeNoDesc"), words)) =
        rest.split_first().map(|(name, words)| (name.as_str(), words))
    {
        let answered = complete::answer(program, words, parts, name == "__complete");
        // cobra's scripts read a directive whatever happened; 1 says that there was an error.
        return finish(program, answered.or_else(|_| print(":1\n").map(|()| 0)));
    }
    if let [name, directory] = rest
        && name == "__man"
    {
        return finish(program, man::write(program, Path::new(directory), parts).map(|()| 0));
    }
    let parsed = match args::parse::parse(&ROOT, program, rest) {
        Ok(parsed) => parsed,
        Err(error) => return usage_error(program, &ROOT, program, &error),
    };
    if parsed.bool("version") {
        return finish(program, print(version_line(program)).map(|()| 0));
    }
    let (name, rest) = match parsed.args.split_first() {
        Some((name, rest)) if !parsed.help => (name.as_str(), rest),
        _ => return finish(program, print(root_help(program, parts)).map(|()| 0)),
    };
    if name == "help" {
        let asked: Vec<String> = rest.iter().cloned().chain(["--help".to_owned()]).collect();
        return match asked.split_first() {
            Some((name, rest)) if name != "--help" => descend(program, &parsed, name, rest),
            _ => finish(program, print(root_help(program, parts)).map(|()| 0)),
        };
    }
    descend(program, &parsed, name, rest)
}

/// Why a command of docker's is not here; what it would do is not pretended to be done.
fn absent(name: &str, rest: &[String]) -> Option<&'static str> {
    let inner = rest.first().map_or("", String::as_str);
    match (name, inner) {
        ("build" | "builder" | "buildx", _) | ("image", "build") => {
            Some("the engine has no builder yet: build the image elsewhere, and \"load\" or \"pull\" it")
        }
        ("checkpoint", _) => Some("checkpoints are not supported: CRIU needs root"),
        ("manifest", _) => {
            Some("manifest lists are made in a registry, by tools such as skopeo, not by the engine")
        }
        ("plugin", _) => Some("plugins are not supported"),
        ("trust", _) => Some("content trust is not supported; pull by digest instead"),
        ("config" | "node" | "secret" | "service" | "stack" | "swarm", _) | ("volume", "update") => {
            Some("this node is not a swarm manager: swarm mode is not supported")
        }
        _ => None,
    }
}

fn version_line(program: &str) -> String {
    match program {
        "docker" => format!("Docker version {}, build lichen\n", env!("CARGO_PKG_VERSION")),
        _ => format!("lichen version {} (API {API_VERSION})\n", env!("CARGO_PKG_VERSION")),
    }
}

pub fn globals(parsed: &Parsed) -> Globals {
    let text = |name: &str| parsed.non_empty(name).map(str::to_owned);
    Globals {
        config_dir: text("config"),
        context: text("context"),
        hosts: parsed.all("host"),
        tls: parsed.bool("tls"),
        tlsverify: parsed.given("tlsverify").then(|| parsed.bool("tlsverify")),
        tlscacert: text("tlscacert"),
        tlscert: text("tlscert"),
        tlskey: text("tlskey"),
        debug: parsed.bool("debug"),
    }
}

/// Follows groups down to the command itself.
fn descend(program: &str, root: &Parsed, name: &str, rest: &[String]) -> i32 {
    if let Some(reason) = absent(name, rest) {
        complain(format!("{program}: {reason}"));
        return 1;
    }
    let Some(mut entry) = find(name) else {
        complain(format!(
            "{program}: unknown command: {program} {name}\n\nRun '{program} --help' for more information"
        ));
        return 1;
    };
    let mut path = format!("{program} {}", entry.names[0]);
    let mut rest = rest;
    while let Action::Group(entries) = &entry.command.action {
        let Some((name, after)) = rest.split_first() else {
            return finish(program, print(help(entry.command, &path, &[], tty::columns())).map(|()| 0));
        };
        if matches!(name.as_str(), "--help" | "-h" | "help") {
            return finish(program, print(help(entry.command, &path, &[], tty::columns())).map(|()| 0));
        }
        if name.starts_with('-') {
            let error = UsageError::UnknownFlag(name.trim_start_matches('-').to_owned());
            return usage_error(program, entry.command, &path, &error);
        }
        let Some(inner) = entries.iter().find(|entry| entry.names.contains(&name.as_str())) else {
            let usage = usage_line(entry.command, &path);
            complain(format!(
                "{program}: unknown command: {path} {name}\n\nUsage:  {usage}\n\nRun '{path} --help' for more information"
            ));
            return 1;
        };
        path = format!("{path} {}", inner.names[0]);
        entry = inner;
        rest = after;
    }
    execute(program, root, entry.command, &path, rest)
}

fn execute(program: &str, root: &Parsed, command: &'static Command, path: &str, words: &[String]) -> i32 {
    let parsed = match args::parse::parse(command, path, words) {
        Ok(parsed) => parsed,
        Err(error) => return usage_error(program, command, path, &error),
    };
    if parsed.help {
        return finish(
            program,
            print(help(command, path, &aliases(program, command), tty::columns())).map(|()| 0),
        );
    }
    let Action::Run(run) = command.action else { return 1 };
    let cli = Cli::new(program, globals(root));
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(source) => return finish(program, Err(Error::Io { operation: "start the event loop", source })),
    };
    let code = finish(program, runtime.block_on(run(&cli, &parsed)));
    // A thread may still wait for a key press; it must not hold up the end.
    runtime.shutdown_background();
    code
}

/// Every path that leads to a command.
fn aliases(program: &str, command: &'static Command) -> Vec<String> {
    let mut paths = Vec::new();
    for entry in TREE.iter().flat_map(|part| part.iter()) {
        if std::ptr::eq(entry.command, command) {
            paths.push(format!("{program} {}", entry.names[0]));
        }
        let Action::Group(inner) = &entry.command.action else { continue };
        for inner in inner.iter().filter(|inner| std::ptr::eq(inner.command, command)) {
            paths.extend(inner.names.iter().map(|name| format!("{program} {} {name}", entry.names[0])));
        }
    }
    paths.sort();
    if paths.len() > 1 { paths } else { Vec::new() }
}

fn usage_error(program: &str, command: &Command, path: &str, error: &UsageError) -> i32 {
    let usage = usage_line(command, path);
    let (prefix, verb) = match error {
        UsageError::Arity { least, .. } => (format!("{program}: "), if *least { "See" } else { "Run" }),
        _ => (String::new(), "Run"),
    };
    complain(format!("{prefix}{error}\n\nUsage:  {usage}\n\n{verb} '{path} --help' for more information"));
    if matches!(error, UsageError::Arity { .. }) { 1 } else { 125 }
}

/// Prints what went wrong, once, and gives the exit code.
fn finish(_program: &str, result: Result<i32, Error>) -> i32 {
    match result {
        Ok(code) => code,
        Err(error) if error.is_broken_pipe() => 1,
        Err(Error::Printed(code)) => code,
        Err(error @ Error::Endpoint(_)) => {
            complain(format!("Failed to initialize: {error}"));
            1
        }
        Err(error) => {
            complain(&error);
            error.exit_code()
        }
    }
}

fn root_help(program: &str, parts: &[Part]) -> String {
    let engine: String = parts
        .iter()
        .filter(|part| part.command)
        .map(|part| format!("  {:11} {}\n", part.name, part.about))
        .collect();
    let engine = if engine.is_empty() { engine } else { format!("Engine Commands:\n{engine}\n") };
    format!(
        "Usage:  {program} [OPTIONS] COMMAND\n\nRun containers without root\n\nCommon Commands:\n{}\nManagement Commands:\n{}\n{engine}Commands:\n{}\nGlobal Options:\n{}\nRun '{program} COMMAND --help' for more information on a command.\n",
        command_list(COMMON),
        command_list(GROUPS),
        command_list(PLAIN),
        flag_list(GLOBAL_FLAGS.iter().collect(), tty::columns()),
    )
}
