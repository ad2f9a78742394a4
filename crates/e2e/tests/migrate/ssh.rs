//! From an engine on another machine, by whatever speaks for it there.

use super::{furnish, listing};
use e2e::{Engine, Output, Sshd, program};
use std::{os::unix::fs::symlink, path::Path};

fn migrate(source: &Engine, target: &Engine, from: &str, more: &[&str]) -> Output {
    let mut command = target.host().command(program("lichen"));
    // The program `ssh` that knows the server is the source's.
    command.args(["migrate", "--from", from]).args(more).env("PATH", Sshd::client_path(source.host()));
    Output::of(format!("lichen migrate --from {from} {more:?}"), command.output().expect("start lichen"))
}

#[test]
fn another_machines_engine_is_copied_over_ssh() {
    let (source, other, target) = (Engine::start(), Engine::start(), Engine::start());
    furnish(&source);
    other.load("busybox");
    other.docker(&["create", "--name", "neighbour", "busybox", "true"]).ok();
    let remote = source.host().path("remote-bin");
    source.host().write("remote-bin/.keep", "");
    // Docker's own client is all that is there.
    symlink("/usr/local/bin/docker", remote.join("docker")).expect("link docker");
    let sshd = Sshd::start(source.host(), &format!("{}:/usr/bin:/bin", remote.display()));
    let applied = migrate(&source, &target, &sshd.url(), &["--apply", "--start"]).ok();
    assert!(applied.stdout.starts_with(&format!("from {} (", sshd.url())), "{applied}");
    for volume in ["data", "unused"] {
        assert_eq!(listing(&target, volume), listing(&source, volume), "{volume}");
    }
    let format = "{{.Config.Image}} {{.State.Running}}";
    target.docker(&["inspect", "web", "--format", format]).ok().prints("example/web:1 true");

    // Whichever of the two is asked there, it speaks for the engine that the address names.
    let named = format!("{}{}", sshd.url(), other.host().socket().display());
    let shows_the_other = || {
        let plan = migrate(&source, &target, &named, &[]).ok();
        assert!(plan.stdout.contains("container  neighbour  create"), "{plan}");
        let place = format!("below {}", other.host().data().display());
        assert!(plan.stdout.contains(&place), "{place}: {plan}");
    };
    shows_the_other();
    link_lichen(&remote);
    shows_the_other();
    let again = migrate(&source, &target, &sshd.url(), &["--apply", "--only", "networks,containers"]).ok();
    assert!(again.stdout.contains("container  web  the same is here already"), "{again}");
}

/// From now on it is what is asked.
fn link_lichen(remote: &Path) {
    symlink(program("lichen"), remote.join("lichen")).expect("link lichen");
    std::fs::remove_file(remote.join("docker")).expect("remove a link");
}
