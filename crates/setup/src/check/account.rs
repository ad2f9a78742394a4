//! Who runs this, and where.

use crate::facts::{Directory, Facts};
use crate::finding::{Finding, Fix, Group, Status};
use crate::session::Systemd;

const GROUP: Group = Group::Account;

pub(super) fn check(facts: &Facts, force: bool) -> Vec<Finding> {
    let mut findings = vec![home(facts), runtime_dir(facts), programs(facts)];
    findings.push(if facts.rootful_socket && !force {
        Finding::bad(
            Status::Error,
            "rootful",
            GROUP,
            "Aborting because rootful Docker (/var/run/docker.sock) is running and accessible. Set --force to ignore.",
            // Not for the block to paste: others may use that engine.
            Fix::user("if nobody needs it: sudo systemctl disable --now docker.service docker.socket && sudo rm -f /var/run/docker.sock"),
        )
    } else {
        Finding::ok("rootful", GROUP, "no system-wide engine is in the way")
    });
    findings
}

fn home(facts: &Facts) -> Finding {
    let fail = |text: &str| Finding::bad(Status::Error, "home", GROUP, text, Fix::default());
    match &facts.home {
        Directory::Unset => fail("HOME needs to be set"),
        Directory::Missing(path) => fail(&format!("HOME needs to exist: {} is no directory", path.display())),
        Directory::NotWritable(path) | Directory::Foreign(path) => {
            fail(&format!("HOME needs to be writable: {} is not", path.display()))
        }
        Directory::Good(path) => Finding::ok("home", GROUP, format!("home directory {}", path.display())),
    }
}

fn runtime_dir(facts: &Facts) -> Finding {
    let reason = match &facts.runtime_dir {
        Directory::Good(path) => {
            return Finding::ok("runtime-dir", GROUP, format!("runtime directory {}", path.display()));
        }
        Directory::Unset => "it is not set".to_owned(),
        Directory::Missing(path) => format!("{} is no directory", path.display()),
        Directory::NotWritable(path) => format!("{} is not writable", path.display()),
        Directory::Foreign(path) => format!("{} belongs to another user", path.display()),
    };
    let name = &facts.user.name;
    let fix = match facts.session.systemd {
        Systemd::Absent => Fix::user(
            "export XDG_RUNTIME_DIR=$HOME/.docker/xrd; rm -rf $XDG_RUNTIME_DIR; mkdir -p $XDG_RUNTIME_DIR \
             (and remove the directory when you log out)",
        ),
        _ => Fix {
            root: vec![format!("loginctl enable-linger {name}")],
            user: Some(format!(
                "su and sudo make no session: log in by ssh or with `sudo machinectl shell {name}@`, or run \
                 export XDG_RUNTIME_DIR=/run/user/{}",
                facts.user.uid
            )),
        },
    };
    Finding::bad(Status::Error, "runtime-dir", GROUP, format!("could not get XDG_RUNTIME_DIR: {reason}"), fix)
}

fn programs(facts: &Facts) -> Finding {
    match &facts.shim {
        Some(path) => Finding::ok("programs", GROUP, format!("lichen-shim is {}", path.display())),
        None => Finding::bad(
            Status::Error,
            "programs",
            GROUP,
            format!("lichen-shim is not beside {}, nor on PATH", facts.program.display()),
            Fix::user("install both programs into one directory"),
        ),
    }
}
