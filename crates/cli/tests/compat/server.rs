//! An engine that answers with canned JSON and remembers what it was asked.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::data;

type Bodies = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

pub struct Server {
    pub socket: PathBuf,
    bodies: Bodies,
}

impl Server {
    pub fn start(socket: &Path) -> Self {
        let listener = UnixListener::bind(socket).expect("listen");
        let bodies = Bodies::default();
        let kept = bodies.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let bodies = kept.clone();
                // A client may hang up whenever it likes.
                std::thread::spawn(move || drop(serve(stream, &bodies)));
            }
        });
        Self { socket: socket.to_owned(), bodies }
    }

    pub fn forget(&self) {
        self.bodies.lock().expect("bodies").clear();
    }

    /// The last body sent to a path.
    pub fn body_of(&self, path: &str) -> serde_json::Value {
        let bodies = self.bodies.lock().expect("bodies");
        bodies
            .get(path)
            .map_or(serde_json::Value::Null, |body| serde_json::from_slice(body).expect("JSON body"))
    }
}

fn serve(stream: UnixStream, bodies: &Bodies) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut words = line.split_whitespace();
        let (method, target) =
            (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
        let mut headers = BTreeMap::new();
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            match header.trim().split_once(':') {
                Some((name, value)) => drop(headers.insert(name.to_lowercase(), value.trim().to_owned())),
                None => break,
            }
        }
        let mut body =
            vec![0; headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0)];
        reader.read_exact(&mut body)?;
        let path = target.split('?').next().unwrap_or_default();
        let path =
            path.strip_prefix("/v1.").and_then(|rest| rest.find('/').map(|at| &rest[at..])).unwrap_or(path);
        bodies.lock().expect("bodies").insert(path.to_owned(), body);
        if headers.contains_key("upgrade") && !path.contains("nope") {
            let exec = path.starts_with("/exec");
            let asked = |stream: &str| exec || target.contains(&format!("{stream}=1"));
            let stdin = if exec { data::exec_reads_stdin(path) } else { asked("stdin") };
            return hijacked(reader, writer, [stdin, asked("stdout"), asked("stderr")]);
        }
        let (status, content_type, answer) = data::answer(&method, path, &target);
        let head = format!(
            "HTTP/1.1 {status} X\r\nApi-Version: 1.50\r\nOstype: linux\r\nServer: Docker/28.2.2 (linux)\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        );
        writer.write_all(head.as_bytes())?;
        if method != "HEAD" {
            writer.write_all(&answer)?;
        }
    }
}

/// The streams of a process that greets on both, then repeats what it reads until the end of its input.
fn hijacked(
    mut reader: BufReader<UnixStream>,
    mut writer: UnixStream,
    streams: [bool; 3],
) -> std::io::Result<()> {
    writer.write_all(b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")?;
    let [stdin, stdout, stderr] = streams;
    if stdout {
        writer.write_all(&data::frame(1, b"to stdout\n"))?;
    }
    if stderr {
        writer.write_all(&data::frame(2, b"to stderr\n"))?;
    }
    if stdin {
        let mut typed = Vec::new();
        reader.read_to_end(&mut typed)?;
        writer.write_all(&data::frame(1, &typed))?;
    }
    Ok(())
}
