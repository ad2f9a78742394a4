//! What comes with the programs: completion in real shells, manual pages, and the install script that needs no root.

use e2e::{Engine, Host, Output, program};
use std::{
    io::{Read, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

/// A host whose PATH begins with a directory that has the programs.
fn shell(host: &Host, shell: &str, script: &str) -> Output {
    let bins = program("lichen").parent().expect("the programs' directory").to_owned();
    let path = format!("{}:/usr/bin:/bin", bins.display());
    let output = host.command(shell).env("PATH", path).args(["-c", script]).output();
    Output::of(
        format!("{shell} -c {script}"),
        output.unwrap_or_else(|e| panic!("{shell}: {e}: cargo xtask prepare")),
    )
}

#[test]
fn shells_complete_commands_flags_and_names() {
    let engine = Engine::start();
    engine.load("busybox");
    engine.docker(&["create", "--name", "wanted-one", "busybox"]).ok();
    engine.docker(&["create", "--name", "wanted-two", "busybox"]).ok();
    engine.docker(&["network", "create", "wanted-net"]).ok();
    let host = engine.host();
    // bash, as readline would call it.
    let bash = |line: &str, words: &str, last: usize| {
        let script = format!(
            "source <(lichen completion bash); COMP_LINE={line:?}; COMP_POINT=${{#COMP_LINE}}; COMP_WORDS=({words}); \
             COMP_CWORD={last}; compopt() {{ :; }}; _lichen_complete; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        shell(host, "/bin/bash", &script).ok().text().replace('\n', " ")
    };
    assert_eq!(bash("lichen rm wan", "lichen rm wan", 2), "wanted-one wanted-two");
    assert_eq!(bash("lichen rm ", "lichen rm ''", 2), "wanted-one wanted-two");
    assert_eq!(bash("lichen run --network=wan", "lichen run --network = wan", 4), "wanted-net");
    // What follows the last colon is what bash replaces.
    assert_eq!(bash("lichen run busybox:la", "lichen run busybox : la", 4), "latest");
    assert_eq!(bash("lichen container unp", "lichen container unp", 2), "unpause");
    assert_eq!(bash("lichen daemon --storage-d", "lichen daemon --storage-d", 2), "--storage-driver");
    let fish = "lichen completion fish | source; complete --do-complete 'lichen rm wan'";
    let out = shell(host, "/usr/bin/fish", fish).ok();
    let names: Vec<&str> = out.stdout.lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(names, ["wanted-one", "wanted-two"], "{out}");
    // zsh completes in a terminal only; what the function would offer is caught where it offers it.
    let zsh = "autoload -Uz compinit; compinit -u -D; source <(lichen completion zsh); _describe() { print -rl -- $candidates }; \
               words=(lichen rm wan) CURRENT=3 PREFIX=wan; _lichen";
    let out = shell(host, "/usr/bin/zsh", zsh).ok();
    let names: Vec<&str> = out.stdout.lines().filter_map(|line| line.split(':').next()).collect();
    assert_eq!(names, ["wanted-one", "wanted-two"], "{out}");
    // docker's own script asks the same way.
    let answer = host.run_command(program("lichen"), &["__complete", "rm", "wan"]).ok();
    assert_eq!(answer.stdout.lines().last(), Some(":4"), "{answer}");
}

#[test]
fn manual_pages_have_no_faults() {
    let host = Host::new();
    let pages = host.write("man/.keep", "").with_file_name("");
    host.run_command(program("lichen"), &["__man", &pages.display().to_string()]).ok();
    let files: Vec<PathBuf> =
        ["man1", "man5", "man8"].iter().flat_map(|section| list(&pages.join(section))).collect();
    for name in
        ["man1/lichen.1", "man1/lichen-network-create.1", "man8/lichen-daemon.8", "man5/lichen-daemon.json.5"]
    {
        assert!(pages.join(name).exists(), "no {name}");
    }
    assert!(files.len() > 90, "{} pages", files.len());
    let names: Vec<&str> = files.iter().map(|file| file.to_str().expect("a UTF-8 path")).collect();
    // .so is relative to the directory that has man1.
    let lint = host
        .command("/usr/bin/mandoc")
        .current_dir(&pages)
        .args(["-T", "lint", "-W", "error"])
        .args(&names)
        .output();
    Output::of("mandoc -T lint".into(), lint.expect("start mandoc: cargo xtask prepare")).ok().prints("");
    for page in ["man1/lichen-run.1", "man8/lichen-daemon.8", "man5/lichen-daemon.json.5"] {
        let shown = host
            .command("/usr/bin/man")
            .env("MANWIDTH", "80")
            .args(["--warnings", "-l"])
            .arg(pages.join(page))
            .output();
        let shown = Output::of(format!("man {page}"), shown.expect("start man")).ok();
        assert_eq!(shown.stderr, "", "{shown}");
        assert!(shown.stdout.contains("SYNOPSIS"), "{shown}");
    }
}

fn list(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

#[test]
fn the_install_script_needs_no_root_and_takes_everything_away_again() {
    let host = Host::new();
    let home = host.home();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/install.sh");
    // The archive that `cargo xtask package tarball` makes, with as much in it as matters here.
    let machine = host.run_command("/bin/uname", &["-m"]).ok().text().to_owned();
    let name = format!("lichen-0.0.1-{machine}");
    let tree = host.write(&format!("site/{name}/share/man/man1/lichen.1"), ".TH LICHEN 1\n");
    let tree = tree.ancestors().nth(4).expect("the tree").to_owned();
    std::fs::create_dir(tree.join("bin")).expect("make bin");
    // The programs themselves would take long to pack and to hash.
    let stub = format!("#!/bin/sh\nexec {} \"$@\"\n", program("lichen").display());
    std::fs::write(tree.join("bin/lichen"), stub).expect("stand in for lichen");
    std::fs::set_permissions(tree.join("bin/lichen"), std::fs::Permissions::from_mode(0o755)).expect("chmod");
    std::os::unix::fs::symlink("/bin/true", tree.join("bin/lichen-shim")).expect("stand in for lichen-shim");
    let site = home.join("site");
    let pack = format!(
        "cd {} && tar -chf - {name} | gzip -1 > {name}.tar.gz && sha256sum {name}.tar.gz > SHA256SUMS",
        site.display()
    );
    host.run_command("/bin/sh", &["-c", &pack]).ok();
    let script = host.write("install.sh", std::fs::read(script).expect("read install.sh"));
    let run = |arguments: &[&str]| {
        host.run_command("/bin/sh", &[&[script.to_str().expect("a UTF-8 path")], arguments].concat())
    };
    let address = serve(site.clone());
    run(&["--from", &address, "--docker", "--no-check"]).ok();
    let bin = home.join(".local/bin");
    for name in ["lichen", "docker", "dockerd-rootless-setuptool.sh"] {
        host.run_command(bin.join(name), &["--help"]).ok();
    }
    assert!(home.join(".local/share/man/man1/lichen.1").exists());
    // Over itself, from the unpacked archive, and with a look at the host.
    let checked = run(&["--from", site.to_str().expect("a UTF-8 path")]);
    assert!(matches!(checked.status.code(), Some(0 | 2)), "{checked}");
    assert!(checked.stdout.contains("setup install"), "{checked}");
    run(&["--uninstall"]).ok();
    assert!(list(&bin).is_empty(), "{:?}", list(&bin));
    run(&["--uninstall"]).exits(1).complains("nothing was installed");

    let archive = site.join(format!("{name}.tar.gz"));
    let mut bytes = std::fs::read(&archive).expect("read the archive");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&archive, bytes).expect("damage the archive");
    run(&["--from", &address]).exits(1).complains("is not what SHA256SUMS says");
    assert!(!bin.join("lichen").exists(), "nothing of a damaged archive is installed");
    let root = Command::new("/bin/sh").arg(&script).output().expect("start sh");
    Output::of("install.sh as root".into(), root).exits(1).complains("does not run as root");
}

/// Files of a directory over HTTP on loopback, for as long as the test runs; the address.
fn serve(directory: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("accept");
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).expect("read a request") == 1 {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let name = head.split_whitespace().nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
            let body = std::fs::read(directory.join(name)).expect("a file that was asked for");
            let answer =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(answer.as_bytes()).and_then(|()| stream.write_all(&body)).expect("answer");
        }
    });
    format!("http://{address}")
}
