//! Pulls from registries that are slow, busy, or that an engine dies in the middle of.

use e2e::{Engine, Registry, kill_9, wait_until};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

/// One request, as the engine made it.
#[derive(Clone, Debug)]
struct Asked {
    path: String,
    range: Option<String>,
}

/// What becomes of a request.
enum Rule {
    Pass,
    /// This is the answer.
    Answer(String),
    /// So many bytes of the registry's answer, and then silence until the client leaves.
    Stall(u64),
    /// So many bytes, and then the end of the connection.
    Break(u64),
}

/// Stands between an engine and a registry.
struct Between {
    address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Between {
    /// `rule` is told how often the same was asked for before.
    fn start(registry: &Registry, rule: impl Fn(&Asked, usize) -> Rule + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let between = Self { address: listener.local_addr().unwrap().to_string(), asked: Arc::default() };
        let (asked, upstream, rule) = (between.asked.clone(), registry.address(), Arc::new(rule));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, asked, upstream, rule) =
                    (stream.unwrap(), asked.clone(), upstream.clone(), rule.clone());
                std::thread::spawn(move || {
                    // A client that was killed ends its connection in the middle of anything.
                    drop(serve(stream, &upstream, &asked, &*rule));
                });
            }
        });
        between
    }

    fn asked(&self, part: &str) -> Vec<Asked> {
        self.asked.lock().unwrap().iter().filter(|asked| asked.path.contains(part)).cloned().collect()
    }
}

fn serve(
    mut client: TcpStream,
    upstream: &str,
    all: &Mutex<Vec<Asked>>,
    rule: &dyn Fn(&Asked, usize) -> Rule,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(client.try_clone()?);
    let (mut head, mut range) = (String::new(), None);
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if line == "\r\n" {
            break;
        }
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        if name == "range" {
            range = line.split_once(':').map(|(_, value)| value.trim().to_owned());
        }
        if name != "connection" {
            head += &line;
        }
    }
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let asked = Asked { path, range };
    let before = {
        let mut all = all.lock().unwrap();
        let before = all.iter().filter(|one| one.path == asked.path).count();
        all.push(asked.clone());
        before
    };
    let rule = rule(&asked, before);
    if let Rule::Answer(answer) = &rule {
        return client.write_all(answer.as_bytes());
    }
    let mut registry = TcpStream::connect(upstream)?;
    write!(registry, "{head}Connection: close\r\n\r\n")?;
    match rule {
        Rule::Stall(bytes) => {
            std::io::copy(&mut registry.take(bytes), &mut client)?;
            std::io::copy(&mut lines, &mut std::io::sink())?;
        }
        Rule::Break(bytes) => drop(std::io::copy(&mut registry.take(bytes), &mut client)?),
        _ => drop(std::io::copy(&mut registry, &mut client)?),
    }
    Ok(())
}

/// `name` in the registry: busybox, and a layer of some MiB that nothing compresses. The layer's blob, and the sum of its
/// file.
fn put_large(registry: &Registry, name: &str) -> (String, String) {
    let engine = Engine::start();
    engine.load("busybox");
    let fill = "dd if=/dev/urandom of=/large bs=1M count=6 2>/dev/null; md5sum /large";
    let sum = engine.docker(&["run", "--name", "maker", "busybox", "sh", "-c", fill]).ok().text().to_owned();
    let reference = format!("{}/{name}", registry.address());
    engine.docker(&["commit", "maker", &reference]).ok();
    engine.docker(&["push", "-q", &reference]).ok();
    let manifest = engine.docker(&["manifest", "inspect", "--insecure", &reference]).ok();
    let manifest: serde_json::Value = serde_json::from_str(manifest.text()).unwrap();
    let layer = manifest["layers"].as_array().unwrap().last().unwrap()["digest"].as_str().unwrap().to_owned();
    (layer, sum)
}

fn layers(data: &Path) -> usize {
    std::fs::read_dir(data.join("overlay2/layers")).map_or(0, Iterator::count)
}

#[test]
fn a_pull_goes_on_after_its_engine_was_killed() {
    let registry = Registry::start();
    let (large, sum) = put_large(&registry, "team/large:v1");
    let stalls = Arc::new(AtomicBool::new(true));
    let between = Between::start(&registry, {
        let (large, stalls) = (large.clone(), stalls.clone());
        move |asked, _| match asked.path.contains(&large) && stalls.load(Ordering::Relaxed) {
            true => Rule::Stall(1 << 20),
            false => Rule::Pass,
        }
    });
    let mut engine = Engine::start();
    let name = format!("{}/team/large:v1", between.address);
    let mut pulling = engine.spawn("docker", &["pull", &name]);
    wait_until("the large layer is asked for", || (!between.asked(&large).is_empty()).then_some(()));
    let data = engine.host().data();
    wait_until("the layer below is whole", || (layers(&data) == 1).then_some(()));
    kill_9(engine.pid());
    assert!(!pulling.wait().unwrap().success(), "the pull ended with its engine");
    engine.wait_ready();
    engine.docker(&["images", "-aq"]).ok().prints("");
    // The first engine may have lost patience with the silence, and asked for the rest, before it was killed.
    let before = between.asked(&large).len();

    stalls.store(false, Ordering::Relaxed);
    let again = engine.docker(&["pull", &name]).ok();
    assert!(again.stdout.contains("Already exists"), "a whole layer is kept: {again}");
    engine.docker(&["run", "--rm", &name, "md5sum", "/large"]).ok().prints(&sum);
    // No part of a blob is kept, and none is asked for as if it were.
    let asked = &between.asked(&large)[before..];
    assert!(asked.len() == 1 && asked[0].range.is_none(), "{asked:?}");
    let staged = std::fs::read_dir(data.join("overlay2/tmp")).unwrap().count();
    assert_eq!(staged, 0, "what the first engine had begun is gone");

    // Given up for good, what is left of a pull can be had back.
    engine.docker(&["rmi", &name]).ok();
    stalls.store(true, Ordering::Relaxed);
    let mut pulling = engine.spawn("docker", &["pull", &name]);
    wait_until("the layer below is whole again", || (layers(&data) == 1).then_some(()));
    pulling.kill().and_then(|()| pulling.wait()).unwrap();
    wait_until("nothing of it is left", || {
        engine.docker(&["image", "prune", "-f"]).ok();
        (layers(&data) == 0).then_some(())
    });
}

#[test]
fn a_transfer_that_breaks_off_goes_on_where_it_was() {
    let registry = Registry::start();
    let (large, sum) = put_large(&registry, "team/large:v2");
    let between = Between::start(&registry, {
        let large = large.clone();
        move |asked, before| match asked.path.contains(&large) && before == 0 {
            true => Rule::Break(1 << 20),
            false => Rule::Pass,
        }
    });
    let engine = Engine::start();
    let name = format!("{}/team/large:v2", between.address);
    engine.docker(&["pull", &name]).ok();
    engine.docker(&["run", "--rm", &name, "md5sum", "/large"]).ok().prints(&sum);
    let ranges: Vec<_> = between.asked(&large).into_iter().map(|asked| asked.range).collect();
    let [None, Some(rest)] = &ranges[..] else { panic!("{ranges:?}") };
    // What came before the break, less the head of the answer.
    let from: u64 = rest.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap();
    assert!((1..=1 << 20).contains(&from), "{rest}");
}

#[test]
fn a_registry_that_is_busy_is_asked_again_when_it_says() {
    let registry = Registry::start();
    registry.push("busybox", "team/box:v3");
    // By the registry's own clock, in one second; and in seconds.
    let date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:38 GMT\r\n";
    let answer = |status: &str, when: &str| {
        format!("HTTP/1.1 {status}\r\n{when}Content-Length: 0\r\nConnection: close\r\n\r\n")
    };
    let later = answer("503 Service Unavailable", date);
    let slower = answer("429 Too Many Requests", "Retry-After: 1\r\n");
    let between = Between::start(&registry, move |asked, before| match before {
        0 if asked.path.contains("/manifests/") => Rule::Answer(later.clone()),
        0 if asked.path.contains("/blobs/") => Rule::Answer(slower.clone()),
        _ => Rule::Pass,
    });
    let engine = Engine::start();
    let name = format!("{}/team/box:v3", between.address);
    let pull = engine.docker(&["pull", &name]).ok();
    assert!(pull.stdout.contains("Retrying in 1 second"), "{pull}");
    engine.docker(&["run", "--rm", &name, "echo", "pulled"]).ok().prints("pulled");
    for part in ["/manifests/", "/blobs/"] {
        let asked = between.asked(part);
        assert_eq!(asked.iter().filter(|one| one.path == asked[0].path).count(), 2, "{asked:?}");
    }
}
