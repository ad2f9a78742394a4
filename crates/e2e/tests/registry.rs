//! How registries and web servers are reached.

use e2e::{Engine, Host, Registry};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
};

/// Answers every request with `answer`, and keeps the request lines.
fn serve(answer: Vec<u8>) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = listener.local_addr().expect("its address");
    let heard = Arc::new(Mutex::new(Vec::new()));
    let lines = heard.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("accept");
            let mut reader = BufReader::new(stream.try_clone().expect("a second descriptor"));
            let mut line = String::new();
            if reader.read_line(&mut line).is_err() || line.is_empty() {
                continue;
            }
            lines.lock().expect("no test has panicked").push(line.trim_end().to_owned());
            let mut rest = String::new();
            while reader.read_line(&mut rest).is_ok_and(|length| length > 2) {}
            // A client may have left; the next one is served all the same.
            drop(stream.write_all(&answer));
        }
    });
    (address, heard)
}

#[test]
fn registries_are_reached_through_the_proxy_of_daemon_json() {
    let refusal = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let (proxy, heard) = serve(refusal.to_vec());
    let host = Host::new();
    let json = format!(
        r#"{{"proxies": {{"http-proxy": "http://{proxy}", "https-proxy": "http://{proxy}", "no-proxy": "direct.test"}},
            "insecure-registries": ["far.test:5000", "direct.test:5000"]}}"#
    );
    host.write(".config/docker/daemon.json", json);
    let engine = Engine::start_on(host, &[], &[]);
    engine.docker(&["pull", "far.test:5000/x"]).exits(1);
    engine.docker(&["pull", "direct.test:5000/x"]).exits(1).complains("direct.test");
    let heard = heard.lock().expect("the server has not panicked").clone();
    assert!(heard.contains(&"CONNECT far.test:5000 HTTP/1.1".to_owned()), "{heard:?}");
    assert!(heard.contains(&"GET http://far.test:5000/v2/ HTTP/1.1".to_owned()), "{heard:?}");
    assert!(!heard.iter().any(|line| line.contains("direct.test")), "{heard:?}");
}

#[test]
fn an_archive_is_imported_from_a_web_server() {
    let engine = Engine::start();
    let file = engine.host().write("rootfs/greeting", "from the web");
    let archive = std::process::Command::new("tar")
        .args(["-C"])
        .arg(file.parent().expect("a directory"))
        .args(["-cf", "-", "greeting"])
        .output()
        .expect("run tar");
    let mut answer =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", archive.stdout.len())
            .into_bytes();
    answer.extend(archive.stdout);
    let (server, heard) = serve(answer);
    for client in ["docker", "lichen"] {
        let run = |args: &[&str]| if client == "docker" { engine.docker(args) } else { engine.lichen(args) };
        let url = format!("http://{server}/root.tar");
        let imported = run(&["import", &url, "web:v1"]).ok();
        assert!(imported.stdout.contains("Downloading from http://"), "{imported}");
        assert_eq!(imported.stdout.matches("sha256:").count(), 1, "{imported}");
        run(&["history", "--format", "{{.Comment}}", "web:v1"]).ok().prints(&format!("Imported from {url}"));
        run(&["create", "--name", client, "web:v1", "none"]).ok();
        let mut tar = engine.spawn(client, &["cp", &format!("{client}:/greeting"), "-"]);
        let mut text = String::new();
        tar.stdout.take().expect("its output is piped").read_to_string(&mut text).expect("read the copy");
        assert!(text.contains("from the web"), "{text}");
        assert!(tar.wait().expect("wait for cp").success());
        run(&["rm", client]).ok();
    }
    assert_eq!(heard.lock().expect("no panic").len(), 2);
}

#[test]
fn a_manifest_is_inspected_without_a_pull() {
    let registry = Registry::start();
    registry.push("busybox", "team/box:v1");
    let engine = Engine::start();
    let name = format!("{}/team/box:v1", registry.address());
    let inspect = engine.docker(&["manifest", "inspect", "--insecure", &name]).ok();
    assert!(inspect.stdout.contains("schemaVersion"), "{inspect}");
    let nowhere = engine.docker(&["search", &format!("{}/box", registry.address())]).exits(1);
    assert!(nowhere.stderr.contains("cannot be searched"), "{nowhere}");
    engine.docker(&["images", "-aq"]).ok().prints("");
}
