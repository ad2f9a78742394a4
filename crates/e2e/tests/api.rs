//! The Engine API as programs see it: versions, errors, shapes of answers, streams. Requests are written byte by byte.

use e2e::Engine;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    io::{Read, Write},
    os::unix::net::UnixStream,
    time::Duration,
};

struct Answer {
    status: u16,
    headers: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_else(|| panic!("{}", self.body)).to_owned()
    }
}

fn connect(engine: &Engine) -> UnixStream {
    let stream = UnixStream::connect(engine.host().socket()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

fn call(engine: &Engine, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let body = body.map(Value::to_string).unwrap_or_default();
    let content =
        if body.is_empty() { String::new() } else { "Content-Type: application/json\r\n".to_owned() };
    let length = body.len();
    let mut stream = connect(engine);
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{content}Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let body = if head.contains("transfer-encoding: chunked") { dechunk(body) } else { body.to_owned() };
    Answer { status: head.split(' ').nth(1).unwrap().parse().unwrap(), headers: head.to_lowercase(), body }
}

fn dechunk(mut text: &str) -> String {
    let mut out = String::new();
    while let Some((size, rest)) = text.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        out.push_str(&rest[..size]);
        text = rest[size..].strip_prefix("\r\n").unwrap_or_default();
    }
    out
}

fn get(engine: &Engine, path: &str) -> Answer {
    call(engine, "GET", path, None)
}

#[test]
fn versions_are_negotiated_and_errors_are_worded_as_dockers() {
    let engine = Engine::start();
    let ping = get(&engine, "/_ping");
    assert_eq!((ping.status, ping.body.as_str()), (200, "OK"));
    for header in [
        "api-version: 1.51",
        "ostype: linux",
        "docker-experimental: false",
        "swarm: inactive",
        "builder-version: 1",
    ] {
        assert!(ping.headers.contains(header), "{header} in {}", ping.headers);
    }
    let refused = |path: &str| {
        let answer = get(&engine, path);
        (answer.status, answer.message())
    };
    let swarm = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.";
    for (path, status, message) in [
        (
            "/v1.20/info",
            400,
            "client version 1.20 is too old. Minimum supported API version is 1.40, please upgrade your client to a newer version",
        ),
        ("/v1.99/info", 400, "client version 1.99 is too new. Maximum supported API version is 1.51"),
        ("/nope", 404, "page not found"),
        ("/v1.45/nope", 404, "page not found"),
        ("/containers/none/json", 404, "No such container: none"),
        ("/images/none/json", 404, "No such image: none:latest"),
        ("/images/localhost:1/a/b/json", 404, "No such image: localhost:1/a/b:latest"),
        ("/volumes/none", 404, "get none: no such volume"),
        ("/networks/nothing", 404, "network nothing not found"),
        ("/exec/none/json", 404, "No such exec instance: none"),
        ("/containers/json?filters=x", 400, "invalid filter \"x\": expected a JSON map of lists"),
        ("/containers/json?limit=x", 400, "invalid value \"x\" for parameter limit: expected a whole number"),
        ("/services", 503, swarm),
        ("/nodes", 503, swarm),
        ("/swarm", 503, swarm),
    ] {
        assert_eq!(refused(path), (status, message.to_owned()), "{path}");
    }
    assert_eq!(get(&engine, "/plugins").json(), json!([]));
    for version in ["", "/v1.40", "/v1.43", "/v1.44", "/v1.51"] {
        assert_eq!(get(&engine, &format!("{version}/info")).status, 200, "{version}");
    }
}

/// Every field of an object, with those of objects in it; keys of maps (labels, ports, …) are data and left out.
fn fields(path: &str, value: &Value, out: &mut BTreeSet<String>) {
    const MAPS: &[&str] = &[
        "Labels",
        "Ports",
        "PortBindings",
        "Networks",
        "Config.Volumes",
        "ExposedPorts",
        "Data",
        "Attributes",
        "Options",
        "Runtimes",
        "IndexConfigs",
        "Containers",
        "Details",
        "RegistryConfig",
    ];
    match value {
        Value::Object(map) if !MAPS.iter().any(|name| path.ends_with(name)) => {
            for (key, value) in map {
                let path = format!("{path}.{key}");
                out.insert(path.clone());
                fields(&path, value, out);
            }
        }
        Value::Array(items) => items.iter().take(1).for_each(|item| fields(path, item, out)),
        _ => {}
    }
}

/// Our answer has exactly the fields that dockerd's has, but for those that depend on the host.
#[track_caller]
fn same_shape(ours: &Value, dockerd: &str, ignore: &[&str]) {
    let names = |value: &Value| {
        let mut names = BTreeSet::new();
        fields("", value, &mut names);
        names.retain(|name| !ignore.iter().any(|ignored| name.contains(ignored)));
        names
    };
    let (ours, theirs) = (names(ours), names(&serde_json::from_str(dockerd).unwrap()));
    let missing: Vec<_> = theirs.difference(&ours).collect();
    let added: Vec<_> = ours.difference(&theirs).collect();
    assert!(missing.is_empty() && added.is_empty(), "missing: {missing:?}\nadded: {added:?}");
}

#[test]
fn answers_have_the_fields_of_dockerds() {
    let engine = Engine::start();
    engine.load("busybox");
    engine
        .docker(&[
            "run",
            "-d",
            "--name",
            "web",
            "--health-cmd",
            "true",
            "--health-interval",
            "1h",
            "-v",
            "data:/data",
            "-p",
            "80",
            "--label",
            "a=b",
            "busybox",
            "sleep",
            "1000",
        ])
        .ok();
    let answer = |path: &str| get(&engine, &format!("/v1.51{path}")).json();
    same_shape(
        &answer("/containers/web/json"),
        include_str!("../../api-types/tests/dockerd/container-inspect.json"),
        &["Health.Log", "StopTimeout", "StopSignal", "HostConfig.Mounts", "MaskedPaths", "ReadonlyPaths"],
    );
    same_shape(
        &answer("/containers/json"),
        include_str!("../../api-types/tests/dockerd/containers.json"),
        &[".Mounts", ".Ports"],
    );
    same_shape(
        &answer("/images/busybox/json"),
        include_str!("../../api-types/tests/dockerd/image-inspect.json"),
        &[".Config.", ".Descriptor", ".Variant"],
    );
    same_shape(
        &answer("/networks/bridge"),
        include_str!("../../api-types/tests/dockerd/network-inspect.json"),
        &[".IPAM.Config"],
    );
    same_shape(
        &answer("/volumes"),
        include_str!("../../api-types/tests/dockerd/volumes.json"),
        &["UsageData"],
    );
    same_shape(
        &answer("/info"),
        include_str!("../../api-types/tests/dockerd/info.json"),
        &["FirewallBackend"],
    );
    same_shape(
        &answer("/version"),
        include_str!("../../api-types/tests/dockerd/version.json"),
        &["BuildTime"],
    );
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 1;
    let filters = "%7B%22event%22%3A%5B%22start%22%5D%2C%22type%22%3A%5B%22container%22%5D%7D";
    let events = answer(&format!("/events?since=1&until={now}&filters={filters}"));
    assert_eq!(events["Action"], "start");
    engine.docker(&["rm", "-f", "web"]).ok();
}

#[test]
fn malformed_requests_leave_nothing_behind() {
    let engine = Engine::start();
    engine.load("busybox");
    let create = |body: Value| {
        let answer = call(&engine, "POST", "/containers/create?name=c1", Some(&body));
        (answer.status, answer.message())
    };
    assert_eq!(
        create(json!({"Image": "busybox", "HostConfig": {"Binds": "a:b"}})),
        (400, "invalid JSON: HostConfig.Binds: invalid type: string \"a:b\", expected a sequence".to_owned())
    );
    assert_eq!(create(json!({"Image": "none"})), (404, "No such image: none:latest".to_owned()));
    assert_eq!(create(json!({"Image": "busy box"})).0, 400);
    assert_eq!(
        call(&engine, "POST", "/containers/create", None).message(),
        "config cannot be empty in order to create a container"
    );
    // Fields that nobody knows are skipped, and names match without regard to case, as Go reads them.
    let made = call(
        &engine,
        "POST",
        "/containers/create?name=c1",
        Some(&json!({"image": "busybox", "Unknown": [1]})),
    );
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(create(json!({"Image": "busybox"})).0, 409);
    engine.docker(&["rm", "c1"]).ok();
    engine.docker(&["ps", "-aq"]).ok().prints("");
}

#[test]
fn waiting_is_announced_before_it_ends() {
    let engine = Engine::start();
    engine.load("busybox");
    engine.docker(&["create", "--name", "c1", "busybox", "sh", "-c", "exit 7"]).ok();
    let mut waiting = connect(&engine);
    waiting.write_all(b"POST /containers/c1/wait?condition=next-exit HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut head = [0; 15];
    waiting.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    engine.docker(&["start", "c1"]).ok();
    let mut rest = String::new();
    while !rest.contains("StatusCode") {
        let mut buffer = [0; 1024];
        let count = waiting.read(&mut buffer).unwrap();
        rest.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    assert!(rest.contains("{\"StatusCode\":7}"), "{rest}");
}

#[test]
fn a_connection_is_taken_over_with_and_without_upgrade() {
    let engine = Engine::start();
    engine.load("busybox");
    for upgrade in ["", "Connection: Upgrade\r\nUpgrade: tcp\r\n"] {
        engine.docker(&["create", "-i", "--name", "c1", "busybox", "cat"]).ok();
        let mut stream = connect(&engine);
        let query = "stream=1&stdin=1&stdout=1&stderr=1";
        write!(stream, "POST /v1.51/containers/c1/attach?{query} HTTP/1.1\r\nHost: x\r\n{upgrade}\r\n")
            .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let expect = if upgrade.is_empty() { "HTTP/1.1 200 OK" } else { "HTTP/1.1 101 UPGRADED" };
        assert!(head.starts_with(expect), "{head}");
        engine.docker(&["start", "c1"]).ok();
        stream.write_all(b"hello").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut output = Vec::new();
        stream.read_to_end(&mut output).unwrap();
        assert_eq!(output, b"\x01\0\0\0\0\0\0\x05hello");
        engine.docker(&["rm", "-f", "c1"]).ok();
    }
}
