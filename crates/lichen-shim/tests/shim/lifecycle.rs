//! Create, start, exec, signals, exit, shutdown.

use crate::host::{Host, PIPES, frames, wait_for};
use model::Id;
use shim_proto::{FailureClass, FromShim, Stage, Target, ToShim};
use testing::in_userns;

#[test]
fn output_is_logged_and_the_exit_recorded() {
    in_userns("lifecycle::output_is_logged_and_the_exit_recorded", || {
        let (host, id) = (Host::new(), Id::random());
        let mut shim = host.shim(&id, false);
        shim.run(host.create(&id, &["sh", "-c", "echo out; echo err >&2; exit 3"], PIPES));
        let exit = shim.exited();
        assert_eq!((exit.code, exit.oom_killed, exit.error.as_deref()), (3, false, None));
        assert_eq!(host.exit_file(&id), Some(exit), "written before it was announced");
        let log = host.log(&id);
        assert!(log.contains("out\n") && log.contains("err\n"), "{log:?}");
        shim.done(ToShim::Shutdown);
        wait_for("the shim's directory is removed", || !host.run.shim(&id).exists());
    });
}

#[test]
fn the_user_and_home_come_from_the_containers_own_files() {
    in_userns("lifecycle::the_user_and_home_come_from_the_containers_own_files", || {
        let (host, id) = (Host::new(), Id::random());
        let mut create = host.create(&id, &["sh", "-c", "busybox id -u; busybox id -g; echo $HOME"], PIPES);
        create.user.user = "user".into();
        let mut shim = host.shim(&id, false);
        shim.run(create);
        assert_eq!(shim.exited().code, 0);
        assert_eq!(host.log(&id), "1000\n100\n/home/user\n");
    });
}

#[test]
fn what_cannot_be_run_has_dockers_class() {
    in_userns("lifecycle::what_cannot_be_run_has_dockers_class", || {
        let host = Host::new();
        for (program, class) in
            [("no-such", FailureClass::NotFound), ("/bin/text", FailureClass::NotExecutable)]
        {
            let id = Id::random();
            let mut shim = host.shim(&id, false);
            let mut reply = shim.ask(ToShim::Create(host.create(&id, &[program], PIPES)));
            if matches!(reply, FromShim::Created { .. }) {
                reply = shim.ask(ToShim::Start);
            }
            let FromShim::Failed(failure) = reply else { panic!("{program}: {reply:?}") };
            assert_eq!(failure.class, class, "{failure}");
        }
        let id = Id::random();
        let mut create = host.create(&id, &["true"], PIPES);
        create.user.user = "nobody-here".into();
        let FromShim::Failed(failure) = host.shim(&id, false).ask(ToShim::Create(create)) else {
            panic!("created")
        };
        assert_eq!(failure.class, FailureClass::InvalidParameter);
        assert_eq!(failure.message, "unable to find user nobody-here: no matching entries in passwd file");
    });
}

#[test]
fn a_shim_whose_engine_leaves_before_create_leaves_nothing() {
    in_userns("lifecycle::a_shim_whose_engine_leaves_before_create_leaves_nothing", || {
        let (host, id) = (Host::new(), Id::random());
        drop(host.shim(&id, false));
        wait_for("the shim ends", || {
            let pong = host.ask_holder(&shim_proto::ToHolder::Ping);
            matches!(pong, shim_proto::FromHolder::Pong { children: 0, .. }) && !host.run.shim(&id).exists()
        });
    });
}

#[test]
fn an_unstarted_container_can_be_undone() {
    in_userns("lifecycle::an_unstarted_container_can_be_undone", || {
        let (host, id) = (Host::new(), Id::random());
        let mut shim = host.shim(&id, false);
        let FromShim::Created { pid } = shim.ask(ToShim::Create(host.create(&id, &["true"], PIPES))) else {
            panic!()
        };
        shim.done(ToShim::Shutdown);
        wait_for("nothing is left", || {
            !host.run.shim(&id).exists() && !std::path::Path::new(&format!("/proc/{pid}")).exists()
        });
        // The shim's word to it and ours come by different connections.
        wait_for("the holder keeps nothing", || {
            let pong = host.ask_holder(&shim_proto::ToHolder::Ping);
            matches!(pong, shim_proto::FromHolder::Pong { kept: 0, .. })
        });
    });
}

#[test]
fn requests_out_of_turn_are_refused_by_name() {
    in_userns("lifecycle::requests_out_of_turn_are_refused_by_name", || {
        let (host, id) = (Host::new(), Id::random());
        let mut shim = host.shim(&id, false);
        let FromShim::Failed(failure) = shim.ask(ToShim::Start) else { panic!("started nothing") };
        assert_eq!(failure.message, "unexpected Start while the container is Empty: expected Created");
        shim.run(host.create(&id, &["sleep", "60"], PIPES));
        let FromShim::Failed(failure) = shim.ask(ToShim::Shutdown) else { panic!("shut down") };
        assert_eq!(failure.class, FailureClass::Conflict);
        let FromShim::Failed(failure) = shim.ask(ToShim::Pause) else { panic!("paused without a cgroup") };
        assert_eq!(failure.class, FailureClass::Unsupported, "{failure}");
    });
}

#[test]
fn signals_and_processes_reach_the_container() {
    in_userns("lifecycle::signals_and_processes_reach_the_container", || {
        let (host, id) = (Host::new(), Id::random());
        let mut shim = host.shim(&id, false);
        let init = shim.run(host.create(&id, &["sh", "-c", "trap 'exit 7' TERM; sleep 60 & wait"], PIPES));
        wait_for("both processes run", || {
            let FromShim::Pids { pids } = shim.ask(ToShim::Pids) else { panic!() };
            pids.len() == 2 && pids.contains(&init.pid)
        });
        shim.done(ToShim::Signal { target: Target::Init, signal: 15 });
        assert_eq!(shim.exited().code, 7);
        let FromShim::Failed(failure) = shim.ask(ToShim::Signal { target: Target::Init, signal: 9 }) else {
            panic!()
        };
        assert_eq!(failure.class, FailureClass::Conflict);
    });
}

#[test]
fn exec_processes_have_their_own_streams_and_ends() {
    in_userns("lifecycle::exec_processes_have_their_own_streams_and_ends", || {
        let (host, id, exec) = (Host::new(), Id::random(), Id::random());
        let mut shim = host.shim(&id, false);
        shim.run(host.create(&id, &["sleep", "60"], PIPES));
        let (reply, mut stream) = shim.exec(&exec, &["sh", "-c", "echo a; echo b >&2; exit 5"], PIPES);
        assert!(matches!(reply, FromShim::ExecStarted { .. }), "{reply:?}");
        assert_eq!(frames(&mut stream), ("a\n".to_owned(), "b\n".to_owned()));
        assert_eq!(shim.exec_exited(&exec).code, 5);
        assert_eq!(host.log(&id), "", "an exec process is not logged");

        let (reply, _) = shim.exec(&Id::random(), &["no-such"], PIPES);
        let FromShim::Failed(failure) = reply else { panic!("{reply:?}") };
        assert_eq!(failure.class, FailureClass::NotFound, "{failure}");
        shim.done(ToShim::Signal { target: Target::Init, signal: 9 });
        assert_eq!(shim.exited().code, 137);
    });
}

#[test]
fn the_end_does_not_wait_for_ever_for_those_who_hold_the_output() {
    in_userns("lifecycle::the_end_does_not_wait_for_ever_for_those_who_hold_the_output", || {
        let (host, id, exec) = (Host::new(), Id::random(), Id::random());
        let mut shim = host.shim(&id, false);
        shim.run(host.create(&id, &["sleep", "60"], PIPES));
        let begun = std::time::Instant::now();
        let (reply, _stream) = shim.exec(&exec, &["sh", "-c", "sleep 50 & exit 4"], PIPES);
        assert!(matches!(reply, FromShim::ExecStarted { .. }), "{reply:?}");
        assert_eq!(shim.exec_exited(&exec).code, 4);
        assert!(begun.elapsed() < std::time::Duration::from_secs(10));
    });
}

#[test]
fn a_new_engine_learns_what_it_missed() {
    in_userns("lifecycle::a_new_engine_learns_what_it_missed", || {
        let (host, id, exec) = (Host::new(), Id::random(), Id::random());
        let mut shim = host.shim(&id, false);
        let init = shim.run(host.create(&id, &["sleep", "60"], PIPES));
        let (_, stream) = shim.exec(&exec, &["sh", "-c", "busybox usleep 100000; exit 9"], PIPES);
        drop((shim, stream));
        std::thread::sleep(std::time::Duration::from_millis(300));
        let mut shim = host.connect(&id);
        let FromShim::State(state) = shim.ask(ToShim::State) else { panic!() };
        assert_eq!((state.stage, state.init), (Stage::Running, Some(init)));
        assert_eq!(state.exec_exits.iter().map(|e| (&e.id, e.code)).collect::<Vec<_>>(), [(&exec, 9)]);
        shim.done(ToShim::Signal { target: Target::Init, signal: 9 });
        assert_eq!(shim.exited().code, 137);
    });
}
