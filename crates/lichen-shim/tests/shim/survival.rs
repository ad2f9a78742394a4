//! kill -9 of shim and holder: the container runs on, its log is complete, its exit is known.

use crate::host::{Host, PIPES, STDIN, Shim, TTY, frames, read_until, wait_for, write};
use model::Id;
use oci_spec::runtime::{LinuxPersonality, LinuxPersonalityDomain};
use rootless::Found;
use shim_proto::{FromHolder, FromShim, Stage, Target, ToHolder, ToShim};
use testing::in_userns;

fn kill(process: model::ProcessRef) {
    let pidfd = sys::pidfd::open(process).unwrap();
    sys::pidfd::signal(&pidfd, 9).unwrap();
    assert!(sys::pidfd::poll_exit(&pidfd, Some(std::time::Duration::from_secs(5))).unwrap());
}

#[test]
fn a_killed_shim_is_replaced_without_losing_a_line() {
    in_userns("survival::a_killed_shim_is_replaced_without_losing_a_line", || {
        let (host, id) = (Host::new(), Id::random());
        let mut shim = host.shim(&id, false);
        let script = "i=0; while [ $i -lt 300 ]; do echo $i; i=$((i+1)); busybox usleep 2000; done; exit 42";
        let init = shim.run(host.create(&id, &["sh", "-c", script], PIPES));
        wait_for("some lines are logged", || host.log(&id).lines().count() > 20);
        shim.kill_shim();
        assert!(sys::process::is_alive(init), "the container died with its shim");
        std::thread::sleep(std::time::Duration::from_millis(100));
        let mut shim = host.shim(&id, true);
        let FromShim::State(state) = shim.ask(ToShim::State) else { panic!() };
        assert_eq!((state.stage, state.init), (Stage::Running, Some(init)));
        let exit = shim.exited();
        assert_eq!((exit.code, exit.error.as_deref()), (42, None));
        let expect: String = (0..300).map(|n| format!("{n}\n")).collect();
        assert_eq!(host.log(&id), expect);
        assert_eq!(host.exit_file(&id).map(|e| e.code), Some(42));
    });
}

#[test]
fn an_exec_runs_in_the_containers_execution_domain_whoever_its_shim_is() {
    in_userns("survival::an_exec_runs_in_the_containers_execution_domain_whoever_its_shim_is", || {
        let (host, id) = (Host::new(), Id::random());
        let mut create = host.create(&id, &["sleep", "60"], PIPES);
        let mut personality = LinuxPersonality::default();
        personality.set_domain(LinuxPersonalityDomain::PerLinux32);
        create.spec.linux_mut().as_mut().unwrap().set_personality(Some(personality));
        let mut shim = host.shim(&id, false);
        shim.run(create);
        let domain = |shim: &mut Shim| {
            let exec = Id::random();
            let (reply, mut stream) = shim.exec(&exec, &["cat", "/proc/self/personality"], PIPES);
            assert!(matches!(reply, FromShim::ExecStarted { .. }), "{reply:?}");
            assert_eq!(shim.exec_exited(&exec).code, 0);
            frames(&mut stream).0
        };
        assert_eq!(domain(&mut shim), "00000008\n");
        shim.kill_shim();
        assert_eq!(domain(&mut host.shim(&id, true)), "00000008\n");
    });
}

#[test]
fn an_exit_between_two_shims_is_known_with_its_code_and_output() {
    in_userns("survival::an_exit_between_two_shims_is_known_with_its_code_and_output", || {
        let (host, id) = (Host::new(), Id::random());
        let mut shim = host.shim(&id, false);
        let init = shim.run(host.create(
            &id,
            &["sh", "-c", "busybox usleep 200000; echo last words; exit 17"],
            PIPES,
        ));
        shim.kill_shim();
        wait_for("the container ends", || !sys::process::is_alive(init));
        let mut shim = host.shim(&id, true);
        assert_eq!(shim.exited().code, 17);
        assert_eq!(host.log(&id), "last words\n");
        let FromHolder::Exits { exits } = host.ask_holder(&ToHolder::Exits) else { panic!() };
        assert!(exits.iter().all(|e| e.pid != init.pid), "forgotten once it is recorded: {exits:?}");
    });
}

#[test]
fn input_and_terminals_go_on_with_the_next_shim() {
    in_userns("survival::input_and_terminals_go_on_with_the_next_shim", || {
        let host = Host::new();
        let (a, b) = (Id::random(), Id::random());
        let mut shim = host.shim(&a, false);
        shim.run(host.create(&a, &["cat"], STDIN));
        shim.kill_shim();
        let mut shim = host.shim(&a, true);
        let client = shim.attach(true, &[]);
        write(&client, b"still here\n");
        wait_for("the line arrives", || host.log(&a) == "still here\n");
        shim.done(ToShim::CloseStdin { target: Target::Init });
        assert_eq!(shim.exited().code, 0);

        let mut shim = host.shim(&b, false);
        shim.run(host.create(&b, &["sh"], TTY));
        shim.kill_shim();
        let mut shim = host.shim(&b, true);
        let mut client = shim.attach(true, &[]);
        write(&client, b"echo $((3*5)); exit 8\n");
        read_until(&mut client, "15");
        assert_eq!(shim.exited().code, 8);
    });
}

#[test]
fn a_second_shim_beside_a_live_one_is_refused() {
    in_userns("survival::a_second_shim_beside_a_live_one_is_refused", || {
        let (host, id) = (Host::new(), Id::random());
        let mut shim = host.shim(&id, false);
        shim.run(host.create(&id, &["sleep", "60"], PIPES));
        let second = host.shim(&id, true);
        let pidfd = sys::pidfd::open(second.process.unwrap());
        wait_for("the second ends", || {
            pidfd
                .as_ref()
                .map_or(true, |p| sys::pidfd::poll_exit(p, Some(std::time::Duration::ZERO)).unwrap())
        });
        let FromShim::State(state) = host.connect(&id).ask(ToShim::State) else { panic!() };
        assert_eq!(state.stage, Stage::Running, "the first one serves on");
    });
}

#[test]
fn a_killed_holder_is_made_anew_around_its_containers() {
    in_userns("survival::a_killed_holder_is_made_anew_around_its_containers", || {
        let (host, id) = (Host::new(), Id::random());
        let mut shim = host.shim(&id, false);
        shim.run(host.create(&id, &["sh", "-c", "trap 'echo bye; exit 5' TERM; sleep 60 & wait"], PIPES));
        kill(host.holder);
        let holder = host.ensure();
        assert!(matches!(holder.found, Found::Remade { .. }), "{:?}", holder.found);
        assert_eq!(host.ensure().found, Found::Running);
        // Old and new containers work.
        shim.done(ToShim::Signal { target: Target::Init, signal: 15 });
        assert_eq!(shim.exited().code, 5);
        assert_eq!(host.log(&id), "bye\n");
        let id = Id::random();
        let mut shim = host.shim(&id, false);
        shim.run(host.create(&id, &["echo", "new"], PIPES));
        assert_eq!((shim.exited().code, host.log(&id).as_str()), (0, "new\n"));
    });
}

#[test]
fn a_shim_killed_after_its_holder_was_still_loses_nothing() {
    in_userns("survival::a_shim_killed_after_its_holder_was_still_loses_nothing", || {
        let (host, id) = (Host::new(), Id::random());
        let mut shim = host.shim(&id, false);
        shim.run(host.create(&id, &["sh", "-c", "busybox usleep 1500000; echo end; exit 11"], PIPES));
        kill(host.holder);
        host.ensure();
        wait_for("the new holder keeps the streams", || {
            matches!(host.ask_holder(&ToHolder::Ping), FromHolder::Pong { kept: 1, .. })
        });
        shim.kill_shim();
        let mut shim = host.shim(&id, true);
        let exit = shim.exited();
        assert_eq!(host.log(&id), "end\n");
        assert_eq!((exit.code, exit.error.as_deref()), (11, None));
    });
}
