//! Attached clients: frames, input, terminals, detach keys, slow readers.

use crate::host::{Host, PIPES, STDIN, STDIN_ONCE, TTY, frames, read_until, wait_for, write};
use model::Id;
use shim_proto::{FromShim, Target, ToShim, WindowSize};
use std::io::Read;
use std::net::Shutdown;
use testing::in_userns;

#[test]
fn every_client_gets_all_output_in_frames() {
    in_userns("streams::every_client_gets_all_output_in_frames", || {
        let (host, id) = (Host::new(), Id::random());
        let mut shim = host.shim(&id, false);
        let reply =
            shim.ask(ToShim::Create(host.create(&id, &["sh", "-c", "seq 1 20000; echo done >&2"], PIPES)));
        assert!(matches!(reply, FromShim::Created { .. }), "{reply:?}");
        let (mut a, b) = (shim.attach(false, &[]), shim.attach(false, &[]));
        shim.start();
        let second = std::thread::spawn(move || frames(&mut { b }));
        let (out, err) = frames(&mut a);
        let expect: String = (1..=20_000).map(|n| format!("{n}\n")).collect();
        assert!(out == expect && err == "done\n", "{} bytes, {err:?}", out.len());
        assert_eq!(second.join().unwrap(), (out, err));
        assert_eq!(shim.exited().code, 0);
        assert_eq!(host.log(&id).len(), expect.len() + "done\n".len());
    });
}

#[test]
fn a_client_that_does_not_read_holds_the_process_up_and_loses_nothing() {
    in_userns("streams::a_client_that_does_not_read_holds_the_process_up_and_loses_nothing", || {
        let (host, id) = (Host::new(), Id::random());
        let mut shim = host.shim(&id, false);
        shim.ask(ToShim::Create(host.create(
            &id,
            &["sh", "-c", "yes $(seq 1 500) | head -c 8000000"],
            PIPES,
        )));
        let mut client = shim.attach(false, &[]);
        shim.start();
        std::thread::sleep(std::time::Duration::from_millis(300));
        let logged = std::fs::metadata(host.log_path(&id)).unwrap().len();
        assert!(logged < 6_000_000, "the process was not held up: {logged}");
        let (out, _) = frames(&mut client);
        assert_eq!(out.len(), 8_000_000);
        assert_eq!(shim.exited().code, 0);
    });
}

#[test]
fn input_given_once_ends_with_its_giver() {
    in_userns("streams::input_given_once_ends_with_its_giver", || {
        let (host, id) = (Host::new(), Id::random());
        let mut shim = host.shim(&id, false);
        shim.ask(ToShim::Create(host.create(&id, &["cat"], STDIN_ONCE)));
        let mut client = shim.attach(true, &[]);
        shim.start();
        let text = "line\n".repeat(100_000);
        let copy = (client.try_clone().unwrap(), text.clone());
        let writer = std::thread::spawn(move || {
            write(&copy.0, copy.1.as_bytes());
            copy.0.shutdown(Shutdown::Write).unwrap();
        });
        let (out, _) = frames(&mut client);
        writer.join().unwrap();
        assert!(out == text, "{} of {} bytes", out.len(), text.len());
        assert_eq!(shim.exited().code, 0);
    });
}

#[test]
fn input_that_stays_open_outlives_its_giver_until_it_is_closed() {
    in_userns("streams::input_that_stays_open_outlives_its_giver_until_it_is_closed", || {
        let (host, id) = (Host::new(), Id::random());
        let mut shim = host.shim(&id, false);
        shim.run(host.create(&id, &["cat"], STDIN));
        let client = shim.attach(true, &[]);
        write(&client, b"one\n");
        drop(client);
        let client = shim.attach(true, &[]);
        write(&client, b"two\n");
        wait_for("both lines arrive", || host.log(&id) == "one\ntwo\n");
        shim.done(ToShim::CloseStdin { target: Target::Init });
        assert_eq!(shim.exited().code, 0);
    });
}

#[test]
fn a_terminal_has_a_size_and_is_left_by_the_detach_keys() {
    in_userns("streams::a_terminal_has_a_size_and_is_left_by_the_detach_keys", || {
        let (host, id) = (Host::new(), Id::random());
        let mut shim = host.shim(&id, false);
        shim.run(host.create(&id, &["sh"], TTY));
        let mut client = shim.attach(true, &[16, 17]);
        shim.done(ToShim::Resize { target: Target::Init, size: WindowSize { rows: 33, columns: 99 } });
        write(&client, b"stty size\n");
        read_until(&mut client, "33 99");
        write(&client, b"\x10");
        write(&client, b"\x11");
        assert_eq!(shim.detached(), Target::Init);
        client.read_to_end(&mut Vec::new()).unwrap();

        let mut client = shim.attach(true, &[16, 17]);
        write(&client, b"exit 6\n");
        read_until(&mut client, "exit 6");
        assert_eq!(shim.exited().code, 6);
        assert!(host.log(&id).contains("33 99"));
    });
}

#[test]
fn an_exec_process_reads_what_its_client_writes() {
    in_userns("streams::an_exec_process_reads_what_its_client_writes", || {
        let (host, id, exec) = (Host::new(), Id::random(), Id::random());
        let mut shim = host.shim(&id, false);
        shim.run(host.create(&id, &["sleep", "60"], PIPES));
        let (reply, mut stream) = shim.exec(&exec, &["cat"], STDIN_ONCE);
        assert!(matches!(reply, FromShim::ExecStarted { .. }), "{reply:?}");
        write(&stream, b"hello");
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(frames(&mut stream).0, "hello");
        assert_eq!(shim.exec_exited(&exec).code, 0);

        let exec = Id::random();
        let (reply, mut stream) = shim.exec(&exec, &["sh"], TTY);
        assert!(matches!(reply, FromShim::ExecStarted { .. }), "{reply:?}");
        write(&stream, b"echo $((6*7)); exit 2\n");
        read_until(&mut stream, "42");
        assert_eq!(shim.exec_exited(&exec).code, 2);
    });
}
