//! Registries for tests that misbehave: each request is answered as the test says, on a connection and a thread of its
//! own.

use crate::{
    chain::digest_of,
    manifest::{self, Descriptor, Manifest},
};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

/// The head of a request.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub method: String,
    /// With its query.
    pub path: String,
    pub at: Instant,
    /// Of a form; other bodies are passed over.
    pub form: String,
    headers: BTreeMap<String, String>,
}

impl Asked {
    fn read(lines: &mut impl BufRead) -> Option<Self> {
        // TLS comes first, and is no text: the connection is closed, and plain HTTP tried.
        let is_text = lines.fill_buf().ok()?.first()?.is_ascii_alphabetic();
        let mut first = String::new();
        is_text.then(|| lines.read_line(&mut first))?.ok()?;
        let mut words = first.split_whitespace();
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            lines.read_line(&mut line).ok()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let mut form = String::new();
        if headers.get("content-type").is_some_and(|kind| kind == "application/x-www-form-urlencoded") {
            let length = headers.remove("content-length")?.parse().ok()?;
            lines.take(length).read_to_string(&mut form).ok()?;
        }
        Some(Self { method, path, at: Instant::now(), form, headers })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Where the range that is asked for begins.
    pub fn offset(&self) -> usize {
        let range = self.header("range").and_then(|range| range.strip_prefix("bytes="));
        range.and_then(|range| range.trim_end_matches('-').parse().ok()).unwrap_or(0)
    }

    pub fn is_blob(&self, blob: &Descriptor) -> bool {
        self.path.contains("/blobs/") && self.path.contains(blob.digest.hex())
    }
}

/// What is sent back; the connection ends with it.
pub(crate) struct Answer {
    status: &'static str,
    headers: String,
    body: Vec<u8>,
    /// `Content-Length`; none leaves it out.
    promised: Option<usize>,
    stalls: bool,
}

impl Answer {
    pub fn new(status: &'static str, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self { status, headers: String::new(), promised: Some(body.len()), body, stalls: false }
    }

    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::new("200 OK", body)
    }

    pub fn header(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.headers += &format!("{name}: {value}\r\n");
        self
    }

    /// Another length than the body's, or none.
    pub fn promising(self, promised: impl Into<Option<usize>>) -> Self {
        Self { promised: promised.into(), ..self }
    }

    /// Nothing follows, and the connection stays open until the client ends it.
    pub fn stalling(self) -> Self {
        Self { stalls: true, ..self }
    }

    fn head(&self) -> String {
        let length = self.promised.map(|n| format!("content-length: {n}\r\n")).unwrap_or_default();
        format!("HTTP/1.1 {}\r\n{length}connection: close\r\n{}\r\n", self.status, self.headers)
    }
}

/// A running one; its threads end with the test's process.
pub(crate) struct Fake {
    pub host: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    /// Bytes of bodies that clients took.
    pub sent: Arc<AtomicUsize>,
    /// Connections that stalled, and that the client ended.
    pub left: Arc<AtomicUsize>,
}

impl Fake {
    pub fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let fake = Self { host, asked: Arc::default(), sent: Arc::default(), left: Arc::default() };
        let (asked, sent, left) = (fake.asked.clone(), fake.sent.clone(), fake.left.clone());
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let (answer, asked, sent, left) = (answer.clone(), asked.clone(), sent.clone(), left.clone());
                std::thread::spawn(move || {
                    let mut lines = BufReader::new(stream.try_clone().unwrap());
                    let Some(request) = Asked::read(&mut lines) else { return };
                    asked.lock().unwrap().push(request.clone());
                    let answer = answer(&request);
                    // The client may be gone already; then there is nobody to answer.
                    drop(respond(stream, &mut lines, &request, &answer, &sent));
                    if answer.stalls {
                        left.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        fake
    }

    /// Requests whose path contains `part`, in order.
    pub fn asked(&self, part: &str) -> Vec<Asked> {
        self.asked.lock().unwrap().iter().filter(|asked| asked.path.contains(part)).cloned().collect()
    }
}

fn respond(
    mut stream: TcpStream,
    lines: &mut BufReader<TcpStream>,
    request: &Asked,
    answer: &Answer,
    sent: &AtomicUsize,
) -> std::io::Result<()> {
    if answer.stalls && answer.body.is_empty() && answer.promised == Some(0) {
        return std::io::copy(lines, &mut std::io::sink()).map(drop);
    }
    read_body(lines, request)?;
    stream.write_all(answer.head().as_bytes())?;
    for piece in answer.body.chunks(64 << 10).filter(|_| request.method != "HEAD") {
        stream.write_all(piece)?;
        sent.fetch_add(piece.len(), Ordering::Relaxed);
    }
    if answer.stalls {
        std::io::copy(lines, &mut std::io::sink())?;
    }
    Ok(())
}

/// So that closing the connection does not reset it before the client has read the answer.
fn read_body(lines: &mut impl BufRead, request: &Asked) -> std::io::Result<()> {
    if let Some(length) = request.header("content-length").and_then(|n| n.parse().ok()) {
        return std::io::copy(&mut lines.take(length), &mut std::io::sink()).map(drop);
    }
    while request.header("transfer-encoding").is_some() {
        let mut size = String::new();
        lines.read_line(&mut size)?;
        let size = u64::from_str_radix(size.trim(), 16).unwrap_or(0);
        std::io::copy(&mut lines.take(size + 2), &mut std::io::sink())?;
        if size == 0 {
            break;
        }
    }
    Ok(())
}

/// An image of one layer, and how a registry that behaves answers for it.
pub(crate) struct Sample {
    pub manifest: Vec<u8>,
    pub config: Vec<u8>,
    pub layer: Vec<u8>,
    pub layer_blob: Descriptor,
    pub config_blob: Descriptor,
}

impl Sample {
    pub fn new() -> Self {
        let text: String = (0..40_000u32).map(|n| n.wrapping_mul(2_654_435_761).to_string()).collect();
        Self::of(crate::lab::layer(&[("big", &text)]), None)
    }

    /// Its manifest says that the layer has another length.
    pub fn with_size(size: impl Fn(u64) -> u64) -> Self {
        let layer = Self::new().layer;
        let size = size(layer.len() as u64);
        Self::of(layer, Some(size))
    }

    fn of(layer: Vec<u8>, size: Option<u64>) -> Self {
        let config = crate::lab::config(std::slice::from_ref(&layer));
        let layer_blob =
            Descriptor::new(manifest::OCI_LAYER, digest_of(&layer), size.unwrap_or(layer.len() as u64));
        let config_blob = crate::lab::blob(manifest::OCI_CONFIG, &config).0;
        let manifest = serde_json::to_vec(&Manifest {
            schema_version: 2,
            media_type: manifest::OCI_MANIFEST.into(),
            config: config_blob.clone(),
            layers: vec![layer_blob.clone()],
            annotations: BTreeMap::new(),
        })
        .unwrap();
        Self { manifest, config, layer, layer_blob, config_blob }
    }

    pub fn answer(&self, asked: &Asked) -> Answer {
        if asked.path.contains("/manifests/") {
            Answer::ok(self.manifest.clone())
        } else if asked.is_blob(&self.layer_blob) {
            self.layer_from(asked.offset())
        } else if asked.is_blob(&self.config_blob) {
            Answer::ok(self.config.clone())
        } else if asked.path == "/v2/" {
            Answer::ok("{}")
        } else {
            Answer::new("404 Not Found", "")
        }
    }

    pub fn layer_from(&self, offset: usize) -> Answer {
        let status = if offset > 0 { "206 Partial Content" } else { "200 OK" };
        Answer::new(status, &self.layer[offset..])
    }

    /// The layer from there on, as promised, and then only so much of it.
    pub fn layer_cut(&self, offset: usize, keep: usize) -> Answer {
        let mut answer = self.layer_from(offset);
        answer.body.truncate(keep);
        answer
    }
}
