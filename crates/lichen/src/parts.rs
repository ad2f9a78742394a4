//! What this program can do besides being a client, for the client's help, completion and manual pages.

use crate::daemon::options::OPTIONS;
use cli::{Part, PartFlag};

const DAEMON: &str = "Runs the engine as the user who starts it, in a user namespace of its own, and serves the Docker \
Engine API. Options are dockerd's, and so are the keys of the configuration file; what cannot be done without root is \
refused with a reason, and what is not needed is accepted with a remark in the log.

It ends with SIGTERM, sent to it or to the process in docker.pid, and stops the containers unless live-restore is set. SIGHUP reloads the configuration.
A second engine of the same user needs an --exec-root, a --data-root, a --pidfile and a --host of its own.

The API is served on $XDG_RUNTIME_DIR/docker.sock unless --host says otherwise. Over TCP it is served to clients with a \
certificate (--tlsverify); anything less is refused for addresses other than loopback unless it is insisted on with \
--tls=false or --tlsverify=false.

The variables DOCKERD_ROOTLESS_ROOTLESSKIT_NET (--net), _MTU (--mtu), _PORT_DRIVER (--port-driver), _STATE_DIR \
(--exec-root), _SLIRP4NETNS_SANDBOX, _SLIRP4NETNS_SECCOMP, _DISABLE_HOST_LOOPBACK and _DETACH_NETNS (the options of these \
names) of dockerd-rootless.sh are honoured; options win over them. Of _FLAGS, --lxc-user-nic-bridge is, and -p has only to be \
well-formed: the engine is in the host's network namespace, where --host alone publishes it.

It answers to the names dockerd-rootless.sh and dockerd as well.";

const SETUP: &str =
    "Checks what the engine needs of the host, says how to mend what is missing, and installs a \
systemd user service. It never runs as root itself: root's part is printed as one block to paste.

It answers to the name dockerd-rootless-setuptool.sh as well.";

const DOCTOR: &str = "The checks of lichen setup check, and the state of the running engine, each finding with its fix. \
The exit code is 1 when something essential is missing.";

const MIGRATE: &str = "Copies images, volumes with what is in them, user-defined networks and container definitions \
from another engine, Docker or Podman or Lichen, of which nothing but its API is used and in which nothing is changed. \
Without --apply it says what it would do.

What is here already and the same is passed over, what is different under the same name is told and left alone, and \
an interrupted run can be repeated. A container is created only when all that it needs is here, and not started unless \
--start is given. What a container wrote outside volumes is not copied.

Over ssh://user@host lichen, docker or podman on the other machine speaks for the engine there; with a path at the end, for \
the one at that socket.

The exit code is 1 when something failed or differs.";

const NET: &str = "Lists the TCP connections and the UDP and echo flows that the forwarder carries between containers and \
the world outside their networks: outward, and inward through published ports. What containers of one network say to each \
other does not pass it. The forwarder answers by itself; the engine need not run.

IN and OUT are bytes to the container and from it.";

const NSENTER: &str = "Runs a command (a shell when none is given) in the engine's user and mount namespaces, as their \
root. Where no engine runs, namespaces with the same IDs are made for as long as the command runs: what containers left \
behind belongs to subordinate IDs, and only root of such a namespace can remove it.";

const FILE: &str = "A JSON object whose keys are those of dockerd's daemon.json. A file that does not exist is empty, \
unless --config-file names it. A key that is not known is an error that names it, and so is an option that is both \
here and on the command line.

SIGHUP, or systemctl --user reload docker, applies what can change in a running engine: debug, labels, live-restore, \
log-level, max-concurrent-downloads, max-concurrent-uploads, registry-mirrors, insecure-registries, \
lichen-additional-image-stores, default-runtime, runtimes, default-shm-size, default-ipc-mode, default-cgroupns-mode, \
default-stop-timeout and shutdown-timeout. A file that the engine could not be started with is not applied.";

pub(crate) fn parts() -> Vec<Part> {
    let flag = |name, short, about: &str| PartFlag { name, short, value: None, about: about.to_owned() };
    let valued = |name, value, about: &str| PartFlag { value: Some(value), ..flag(name, None, about) };
    vec![
        Part {
            name: "daemon",
            command: true,
            about: "Run the engine",
            usage: "[OPTIONS]",
            description: DAEMON,
            section: "8",
            words: &[],
            flags: options(),
        },
        Part {
            name: "doctor",
            command: true,
            about: "Check this host and the engine on it",
            usage: "[--json]",
            description: DOCTOR,
            section: "1",
            words: &[],
            flags: vec![flag("json", None, "Print the findings as JSON")],
        },
        Part {
            name: "migrate",
            command: true,
            about: "Copy what another engine has",
            usage: "--from HOST [OPTIONS]",
            description: MIGRATE,
            section: "1",
            words: &[],
            flags: vec![
                valued("from", "HOST", "The other engine's address, or the name of a context"),
                valued("to", "HOST", "This engine's address, or the name of a context (default: DOCKER_HOST, or this user's own socket)"),
                valued("only", "KINDS", "Of images, volumes, networks, containers, these, separated by commas"),
                flag("apply", None, "Do it"),
                flag("start", None, "Start the copies of containers that run in the other engine"),
            ],
        },
        Part {
            name: "net",
            command: true,
            about: "Show what passes through the network driver",
            usage: "flows [--json | --format TEMPLATE]",
            description: NET,
            section: "1",
            words: &[("flows", "List connections and datagram flows between containers and other hosts")],
            flags: vec![
                flag("json", None, "Print the flows as JSON"),
                PartFlag {
                    name: "format",
                    short: None,
                    value: Some("TEMPLATE"),
                    about: "Format each flow by a Go template: .Protocol .Direction .Client .Destination .Container .State .BytesIn .BytesOut .Age"
                        .to_owned(),
                },
            ],
        },
        Part {
            name: "nsenter",
            command: true,
            about: "Run a command in the engine's namespaces",
            usage: "[--net] [COMMAND] [ARG...]",
            description: NSENTER,
            section: "1",
            words: &[],
            flags: vec![flag("net", None, "Also enter the network namespace of the containers' bridges")],
        },
        Part {
            name: "setup",
            command: true,
            about: "Check the requirements, or install the user service",
            usage: "[OPTIONS] COMMAND",
            description: SETUP,
            section: "1",
            words: ::setup::VERBS,
            flags: vec![
                flag("force", Some('f'), "Go on although a system-wide engine runs, or without subordinate IDs"),
                flag("json", None, "check: print the findings as JSON"),
                flag("skip-iptables", None, "Accepted for compatibility: no iptables are needed"),
            ],
        },
        Part {
            name: "daemon.json",
            command: false,
            about: "Configuration of the engine",
            usage: "~/.config/docker/daemon.json",
            description: FILE,
            section: "5",
            words: &[],
            flags: keys(),
        },
    ]
}

/// What the configuration file may hold.
fn keys() -> Vec<PartFlag> {
    let keys = OPTIONS.iter().filter(|option| !option.key.is_empty());
    keys.map(|option| {
        let about = match option.flag {
            "" => option.text(),
            flag => format!("{} (--{flag})", option.text()),
        };
        PartFlag { name: option.key, short: None, value: Some(option.kind.in_file()), about }
    })
    .collect()
}

fn options() -> Vec<PartFlag> {
    let flags = OPTIONS.iter().filter(|option| !option.flag.is_empty());
    flags
        .map(|option| PartFlag {
            name: option.flag,
            short: option.short,
            value: option.value(),
            about: option.text(),
        })
        .collect()
}
