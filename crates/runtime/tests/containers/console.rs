use crate::support::*;
use runtime::{Stdio, WindowSize};
use serde_json::json;
use std::{
    io::{Read, Write},
    os::fd::{AsFd, OwnedFd},
};

/// Reads until the last slave is closed: a master then answers EIO (pty(7)).
fn read_all(master: OwnedFd) -> String {
    let (mut file, mut bytes) = (std::fs::File::from(master), Vec::new());
    match file.read_to_end(&mut bytes) {
        Err(e) if e.raw_os_error() != Some(5) => panic!("{e}"),
        _ => String::from_utf8_lossy(&bytes).replace("\r\n", "\n"),
    }
}

const SIZE: Stdio<'_> = Stdio::Terminal { size: Some(WindowSize { rows: 33, columns: 77 }) };

#[test]
fn a_container_has_a_terminal_of_its_own_devpts() {
    in_userns("console::a_container_has_a_terminal_of_its_own_devpts", |bench| {
        let line = "tty; stty size; test -c /dev/console && echo console; echo to-tty > /dev/tty; test -t 0 && echo yes";
        let root = sys::overlay::mount_detached(&model::Rootfs::Dir { path: bench.rootfs.clone() }).unwrap();
        let created = bench.create_on(&parse(&shell(line)), root.as_fd(), None, SIZE).unwrap();
        created.pending.start().unwrap();
        let text = read_all(created.console.unwrap());
        sys::pidfd::wait(&created.pidfd).unwrap();
        assert_eq!(text, "/dev/pts/0\n33 77\nconsole\nto-tty\nyes\n");
    });
}

#[test]
fn an_exec_has_a_terminal_and_its_interrupt_key() {
    in_userns("console::an_exec_has_a_terminal_and_its_interrupt_key", |bench| {
        let container = bench.stay(&shell(""));
        let mut process = shell("")["process"].clone();
        process["args"] = json!(["/bin/cat"]);
        let executing = container.exec_with(&process, SIZE).unwrap();
        let mut master = std::fs::File::from(executing.console.unwrap());
        master.write_all(b"line\n").unwrap();
        let mut echoed = [0u8; 12];
        master.read_exact(&mut echoed).unwrap();
        assert_eq!(&echoed, b"line\r\nline\r\n");
        master.write_all(&[3]).unwrap();
        let exit = sys::pidfd::wait(&executing.pidfd).unwrap();
        assert_eq!(exit, sys::pidfd::Exit::Signal { number: 2, core_dumped: false });
    });
}

#[test]
fn a_terminal_belongs_to_the_user_and_without_devpts_there_is_none() {
    in_userns("console::a_terminal_belongs_to_the_user_and_without_devpts_there_is_none", |bench| {
        let root =
            || sys::overlay::mount_detached(&model::Rootfs::Dir { path: bench.rootfs.clone() }).unwrap();
        let mut spec = shell("stat -c %u $(tty)");
        spec["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        let created = bench.create_on(&parse(&spec), root().as_fd(), None, SIZE).unwrap();
        created.pending.start().unwrap();
        assert_eq!(read_all(created.console.unwrap()), "1000\n");
        sys::pidfd::wait(&created.pidfd).unwrap();

        spec["mounts"].as_array_mut().unwrap().retain(|m| m["destination"] != "/dev/pts");
        let error = bench.create_on(&parse(&spec), root().as_fd(), None, SIZE).unwrap_err().to_string();
        assert!(error.contains("/dev/pts"), "{error}");
    });
}
