//! What the canned engine holds.

use serde_json::Value;

type Answer = (u16, &'static str, Vec<u8>);

const JSON: &str = "application/json";

fn json(text: &str) -> Answer {
    (200, JSON, text.as_bytes().to_vec())
}

fn created(text: &str) -> Answer {
    (201, JSON, text.as_bytes().to_vec())
}

fn missing(what: &str, name: &str) -> Answer {
    let message = format!("{{\"message\":\"No such {what}: {name}\"}}");
    (404, JSON, message.into_bytes())
}

fn nothing() -> Answer {
    (204, JSON, Vec::new())
}

pub fn answer(method: &str, path: &str, target: &str) -> Answer {
    let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
    match (method, parts.as_slice()) {
        (_, ["_ping"]) => (200, "text/plain", b"OK".to_vec()),
        ("GET", ["version"]) => json(include_str!("canned/version.json")),
        ("GET", ["info"]) => json(include_str!("canned/info.json")),
        ("GET", ["events"]) => json(include_str!("canned/events.json")),
        ("GET", ["system", "df"]) => json(include_str!("canned/df.json")),
        ("POST", ["build", "prune"]) => json(r#"{"CachesDeleted":null,"SpaceReclaimed":0}"#),
        ("GET", ["images", "search"]) => json(include_str!("canned/search.json")),
        ("GET", ["exec", ..]) => json(r#"{"ID":"x","Running":false,"ExitCode":5}"#),
        ("POST", ["exec", ..]) => (200, JSON, Vec::new()),
        (_, ["containers", ..]) => containers(method, &parts[1..], target),
        (_, ["images", ..]) => images(method, &parts[1..]),
        (_, ["networks", ..]) => networks(method, &parts[1..]),
        (_, ["volumes", ..]) => volumes(method, &parts[1..]),
        ("POST", ["commit"]) => created(r#"{"Id":"sha256:0123456789abcdef"}"#),
        _ => (404, JSON, br#"{"message":"page not found"}"#.to_vec()),
    }
}

fn containers(method: &str, parts: &[&str], target: &str) -> Answer {
    match (method, parts) {
        ("GET", ["json"]) => json(include_str!("canned/containers.json")),
        ("POST", ["create"]) if target.contains("nope") => missing("image", "nope:latest"),
        ("POST", ["create"]) => {
            created(r#"{"Id":"c0ffee","Warnings":["Your kernel does not support that."]}"#)
        }
        ("POST", ["prune"]) => json(r#"{"ContainersDeleted":["aaa","bbb"],"SpaceReclaimed":1234567}"#),
        (_, [name, ..]) if name.contains("nope") => missing("container", name),
        ("GET", ["stopped", "json"]) => {
            json(&include_str!("canned/container.json").replace("\"Running\":true", "\"Running\":false"))
        }
        ("GET", [_, "json"]) => json(include_str!("canned/container.json")),
        ("GET", [_, "top"]) => json(include_str!("canned/top.json")),
        ("GET", [_, "stats"]) => json(include_str!("canned/stats.json")),
        ("GET", [_, "changes"]) => {
            json(r#"[{"Path":"/etc","Kind":0},{"Path":"/etc/new","Kind":1},{"Path":"/gone","Kind":2}]"#)
        }
        ("GET", [_, "logs"]) => {
            let frames = [frame(1, b"to stdout\n"), frame(2, b"to stderr\n")].concat();
            (200, "application/vnd.docker.multiplexed-stream", frames)
        }
        ("POST", ["reader", "exec"]) => created(r#"{"Id":"reads"}"#),
        ("POST", [_, "exec"]) => created(r#"{"Id":"quiet"}"#),
        ("POST", [_, "wait"]) => json(r#"{"StatusCode":3}"#),
        ("POST", [_, "update"]) => json(r#"{"Warnings":null}"#),
        _ => nothing(),
    }
}

fn images(method: &str, parts: &[&str]) -> Answer {
    match (method, parts) {
        ("GET", ["json"]) => json(include_str!("canned/images.json")),
        ("POST", ["prune"]) => {
            json(r#"{"ImagesDeleted":[{"Untagged":"a:1"},{"Deleted":"sha256:11"}],"SpaceReclaimed":5000}"#)
        }
        (_, [name, ..]) if name.contains("nope") => missing("image", "nope:latest"),
        ("GET", [_, "history"]) => json(include_str!("canned/history.json")),
        ("GET", ["alpine", "json"]) => json(include_str!("canned/image.json")),
        ("DELETE", _) => {
            json(r#"[{"Untagged":"alpine:latest"},{"Deleted":"sha256:11"},{"Deleted":"sha256:22"}]"#)
        }
        ("POST", [_, "tag"]) => (201, JSON, Vec::new()),
        _ => missing("image", &parts.join("/")),
    }
}

fn networks(method: &str, parts: &[&str]) -> Answer {
    match (method, parts) {
        ("GET", [] | [""]) => json(include_str!("canned/networks.json")),
        ("POST", ["create"]) => created(r#"{"Id":"n1n1n1","Warning":""}"#),
        ("POST", ["prune"]) => json(r#"{"NetworksDeleted":["n1"]}"#),
        ("GET", ["bridge"]) => json(include_str!("canned/network.json")),
        ("GET", [name]) => (404, JSON, format!("{{\"message\":\"network {name} not found\"}}").into_bytes()),
        ("POST", _) => (200, JSON, Vec::new()),
        _ => nothing(),
    }
}

fn volumes(method: &str, parts: &[&str]) -> Answer {
    match (method, parts) {
        ("GET", [] | [""]) => json(include_str!("canned/volumes.json")),
        ("POST", ["create"]) => created(include_str!("canned/volume.json")),
        ("POST", ["prune"]) => json(r#"{"VolumesDeleted":["v1","v2"],"SpaceReclaimed":77}"#),
        ("GET", ["data"]) => json(include_str!("canned/volume.json")),
        ("DELETE", ["data"]) => nothing(),
        (_, [name, ..]) => {
            (404, JSON, format!("{{\"message\":\"get {name}: no such volume\"}}").into_bytes())
        }
        _ => nothing(),
    }
}

/// One frame of the multiplexed stream.
pub fn frame(stream: u8, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).expect("a short frame").to_be_bytes();
    [&[stream, 0, 0, 0][..], &length, data].concat()
}

/// The exec sessions of the container called `reader` read their input.
pub fn exec_reads_stdin(path: &str) -> bool {
    path.starts_with("/exec/reads")
}

/// Command lines whose request bodies are compared.
pub const CREATE_LINES: &[&str] = &[
    "create alpine",
    "create -it --name n alpine sh -c true",
    "create -i alpine",
    "create -a stdout alpine",
    "create -e A=1 -e PATH -e UNSET_VARIABLE -l a=b -l c -w /w -u 1:2 -h host --domainname d alpine",
    "create -p 80 -p 8080:80 -p 127.0.0.1:53:53/udp -p 8000-8002:9000-9002 -p 7000-7010:70 -p [::1]:1:1 --expose 99 --expose 1-3/udp -P alpine",
    "create -v /a:/b -v data:/d:ro -v /anon --tmpfs /t:size=1m --tmpfs /u --volumes-from x --volume-driver local alpine",
    "create --mount type=bind,src=/a,dst=/b,ro,bind-propagation=rslave --mount type=volume,src=v,dst=/v,volume-nocopy,volume-label=a=b,volume-opt=x=y --mount type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1770 --mount type=image,src=i,dst=/i,image-subpath=s alpine",
    "create -m 1g --memory-swap -1 --memory-reservation 512m --memory-swappiness 5 --cpus 1.5 --cpuset-cpus 0-1 --cpuset-mems 0 -c 5 --cpu-period 1 --cpu-quota 2 --pids-limit 9 --blkio-weight 10 --oom-kill-disable --oom-score-adj 3 --shm-size 64m alpine",
    "create --blkio-weight-device /dev/sda:100 --device-read-bps /dev/sda:1mb --device-write-iops /dev/sda:7 alpine",
    "create --device /dev/fuse --device /dev/a:/dev/b:r --device-cgroup-rule c*1:1*r alpine",
    "create --device vendor.com/gpu=all --device vendor.com/gpu=1 alpine",
    "create --gpus all alpine",
    "create --gpus device=1,capabilities=compute alpine",
    "create --ulimit nofile=1:2 --ulimit core=-1 --sysctl net.ipv4.ip_forward=1 --cap-add ALL --cap-drop NET_ADMIN --privileged --read-only --init --security-opt no-new-privileges alpine",
    "create --security-opt seccomp=unconfined --security-opt systempaths=unconfined --userns host --pid host --ipc host --uts host --cgroupns private --cgroup-parent x alpine",
    "create --restart on-failure:3 --stop-signal INT --stop-timeout 4 --runtime runc --isolation default --annotation a=b --storage-opt size=1g alpine",
    "create --rm --log-driver json-file --log-opt max-size=1m --group-add 5 --link a:b alpine",
    "create --health-cmd true --health-interval 5s --health-timeout 3s --health-retries 2 --health-start-period 1m --health-start-interval 1s alpine",
    "create --no-healthcheck --entrypoint /bin/x alpine y",
    "create --entrypoint= alpine",
    "create --network host alpine",
    "create --network n1 alpine",
    "create --network n1 --network-alias al --ip 10.0.0.2 --ip6 fd00::2 --link-local-ip 169.254.1.1 --link a:b alpine",
    "create --network name=n1,alias=x,ip=10.0.0.3,driver-opt=a=b,gw-priority=2 --network n2 alpine",
    "create --mac-address 92:d0:c6:0a:29:33 alpine",
    "create --mac-address 92:d0:c6:0a:29:33 --network n1 alpine",
    "create --add-host a:1.2.3.4 --add-host b=::1 --add-host c:host-gateway --dns 1.1.1.1 --dns-option ndots:1 --dns-search example.com alpine",
    "run -d -t -i alpine",
    "run -d --sig-proxy=false --detach-keys a alpine",
];

/// A request without what may differ: an empty list or map is the same as none, and order in sets does not matter.
pub fn comparable(mut body: Value) -> Value {
    tidy(&mut body);
    body
}

fn tidy(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(tidy);
            // docker's client keeps these in maps, whose order is random.
            for key in ["Env", "Binds"] {
                if let Some(Value::Array(items)) = fields.get_mut(key) {
                    items.sort_by_key(Value::to_string);
                }
            }
            fields.retain(|_, value| !is_empty(value));
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
    }
}
