//! Engines of several users on one machine: a person each, or an application each.

use e2e::{Engine, Host, kill_9, wait_until};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

/// Runs `script` as the owner of `host`, where it is to be refused.
#[track_caller]
fn refused(host: &Host, script: &str) {
    let output = host.run_command("sh", &["-c", script]);
    assert!(!output.status.success(), "{output}");
    assert!(output.stderr.to_lowercase().contains("permission denied"), "{output}");
}

fn page(engine: &Engine, port: &str) -> String {
    let script = format!(
        "exec 3<>/dev/tcp/127.0.0.1/{port} && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && tail -n 1 <&3"
    );
    wait_until("the port is served", || {
        let output = engine.host().run_command("bash", &["-c", &script]);
        (output.status.success() && !output.text().is_empty()).then(|| output.text().to_owned())
    })
}

fn serve(engine: &Engine, text: &str) -> String {
    let script = format!("echo {text} >/index.html; exec httpd -f -h /");
    engine
        .docker(&["run", "-d", "--name", "web", "-p", "127.0.0.1::80", "busybox", "sh", "-c", &script])
        .ok();
    let shown = engine.docker(&["port", "web", "80"]).ok();
    shown.text().rsplit(':').next().expect("a port").to_owned()
}

#[test]
fn two_users_engines_share_a_machine_and_nothing_else() {
    let one = Engine::start();
    let two = Engine::start_on(Host::of(testing::OTHER_USER), &[], &[]);
    assert_ne!(one.host().uid(), two.host().uid());
    for engine in [&one, &two] {
        engine.load("busybox");
        engine.docker(&["volume", "create", "data"]).ok();
        engine.docker(&["network", "create", "--subnet", "10.91.8.0/24", "front"]).ok();
    }
    // The same names everywhere, and other contents.
    let (first, second) = (serve(&one, "first"), serve(&two, "second"));
    assert_eq!((page(&two, &first), page(&one, &second)), ("first".to_owned(), "second".to_owned()));
    let taken = ["run", "--rm", "--name", "late", "-p", &format!("127.0.0.1:{first}:80"), "busybox", "true"];
    two.docker(&taken).exits(125).complains("address already in use");
    one.docker(&["run", "--rm", "-v", "data:/d", "busybox", "sh", "-c", "echo secret >/d/file"]).ok();
    two.docker(&["run", "--rm", "-v", "data:/d", "busybox", "ls", "/d"]).ok().prints("");
    let names = |engine: &Engine| engine.docker(&["ps", "--format", "{{.Names}}"]).ok().text().to_owned();
    assert_eq!((names(&one), names(&two)), ("web".to_owned(), "web".to_owned()));
}

#[test]
fn what_is_ones_is_closed_to_the_other() {
    let one = Engine::start();
    let other = Host::of(testing::OTHER_USER);
    one.load("busybox");
    one.docker(&["run", "-d", "--name", "web", "busybox", "sleep", "1000"]).ok();
    let host = one.host();
    // Whoever opens their home directory has not opened this.
    for directory in [host.home(), host.run()] {
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    }
    for directory in [host.data(), host.run().join("lichen")] {
        let mode = std::fs::metadata(&directory).expect("the engine's directory").mode() & 0o7777;
        assert_eq!(mode, 0o700, "{}", directory.display());
        refused(&other, &format!("ls {}", directory.display()));
    }
    let socket = std::fs::metadata(host.socket()).expect("the socket").mode() & 0o7777;
    assert_eq!(socket, 0o660);
    refused(&other, &format!("docker -H unix://{} ps", host.socket().display()));
    // Nor by way of a process: its root directory, its memory, a signal.
    let init = one.docker(&["inspect", "-f", "{{.State.Pid}}", "web"]).ok();
    for pid in [init.text(), &one.pid().to_string()] {
        refused(&other, &format!("ls /proc/{pid}/root/"));
        refused(&other, &format!("cat /proc/{pid}/environ"));
        let signal = other.run_command("sh", &["-c", &format!("kill -9 {pid}")]);
        assert!(signal.stderr.contains("not permitted"), "{signal}");
    }
    one.docker(&["exec", "web", "true"]).ok();
}

#[test]
fn the_end_of_ones_engine_is_not_the_others() {
    let one = Engine::start();
    let mut two = Engine::start_on(Host::of(testing::OTHER_USER), &[], &[]);
    for engine in [&one, &two] {
        engine.load("busybox");
    }
    let first = serve(&one, "first");
    serve(&two, "second");
    let init =
        |engine: &Engine| engine.docker(&["inspect", "-f", "{{.State.Pid}}", "web"]).ok().text().to_owned();
    let before = init(&one);
    wait_until("nothing of the second's is left", || {
        two.host().processes().iter().for_each(|process| kill_9(process.pid));
        two.host().processes().is_empty().then_some(())
    });
    two.kill_launcher();
    assert_eq!(page(&one, &first), "first");
    assert_eq!(init(&one), before);
    one.docker(&["exec", "web", "true"]).ok();
    two.launch();
    two.docker(&["rm", "-f", "web"]).ok();
    let again = serve(&two, "again");
    assert_eq!(page(&one, &again), "again");
    assert_eq!(page(&two, &first), "first");
}
