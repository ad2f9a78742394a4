//! The connection layer, driven as clients drive it: by bytes on a socket.

use super::*;
use crate::{
    error::Error,
    response, stream,
    upgrade::{Joined, Taker},
};
use http::StatusCode;
use serde_json::Value;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    sync::mpsc,
};

/// Answers by path, as routes would.
struct Stub {
    /// Told when a waiting handler is dropped.
    dropped: mpsc::UnboundedSender<()>,
}

impl Handler for Stub {
    async fn handle(&self, mut request: Request) -> Response {
        let path = request.take_path().unwrap_or_default();
        let outcome = match path.as_str() {
            "wait" => self.wait_for_ever().await,
            "lines" => Ok(stream::lines(|lines| async move {
                lines.send(&serde_json::json!({"n": 1})).await;
                lines.closed().await;
            })),
            "containers/x/attach" => {
                // Echoes, as `cat` would.
                let (ours, mut theirs) = UnixStream::pair().unwrap();
                tokio::spawn(async move {
                    let mut input = Vec::new();
                    theirs.read_to_end(&mut input).await.unwrap();
                    theirs.write_all(&input).await.unwrap();
                });
                let joined = Joined { past: None, container: Some(ours), to_be_framed: false, exec: None };
                Taker::of(&mut request).join(response::RAW_STREAM, false, async { Ok(joined) }).await
            }
            "containers/gone/attach" => Err(Error::PageNotFound),
            _ => match request.json::<Value>().await {
                Ok(body) => response::ok(&body),
                Err(error) => Err(error),
            },
        };
        response::stamp(outcome.unwrap_or_else(|error| response::failure(&error)))
    }
}

impl Stub {
    async fn wait_for_ever(&self) -> Result<Response, Error> {
        struct Tell(mpsc::UnboundedSender<()>);
        impl Drop for Tell {
            fn drop(&mut self) {
                self.0.send(()).unwrap();
            }
        }
        let _tell = Tell(self.dropped.clone());
        std::future::pending().await
    }
}

struct Served {
    _dir: tempfile::TempDir,
    path: std::path::PathBuf,
    dropped: mpsc::UnboundedReceiver<()>,
}

async fn serve() -> Served {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.sock");
    let listener = Listener::from_unix(std::os::unix::net::UnixListener::bind(&path).unwrap()).unwrap();
    let (sender, dropped) = mpsc::unbounded_channel();
    tokio::spawn(run(Arc::new(Stub { dropped: sender }), vec![listener], std::future::pending()));
    Served { _dir: dir, path, dropped }
}

impl Served {
    async fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.path).await.unwrap()
    }

    /// Sends `request`, closes the sending half, and reads until the server closes.
    async fn exchange(&self, request: &str) -> String {
        let mut client = self.connect().await;
        client.write_all(request.as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = String::new();
        let read = tokio::time::timeout(Duration::from_secs(10), client.read_to_string(&mut answer)).await;
        read.expect("the server closes").unwrap();
        answer
    }

    async fn post(&self, content_type: &str, body: &str) -> (StatusCode, String) {
        let length = body.len();
        let request = format!(
            "POST /json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{content_type}Content-Length: {length}\r\n\r\n{body}"
        );
        let answer = self.exchange(&request).await;
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.trim_end().to_owned())
    }
}

const JSON: &str = "Content-Type: application/json\r\n";

#[tokio::test]
async fn a_client_that_stopped_sending_gets_its_whole_answer() {
    let served = serve().await;
    let answer = served.exchange("GET /json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    for header in
        ["api-version: 1.51\r\n", "docker-experimental: false\r\n", "ostype: linux\r\n", "server: Lichen/"]
    {
        assert!(answer.contains(header), "{header} in {answer}");
    }
}

#[tokio::test]
async fn a_client_that_is_still_sending_gets_the_refusal() {
    const SIZE: usize = 64 << 20;
    let served = serve().await;
    let mut client = served.connect().await;
    let head = format!(
        "POST /json HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-tar\r\nContent-Length: {SIZE}\r\n\r\n"
    );
    client.write_all(head.as_bytes()).await.unwrap();
    // Long after the refusal has been written.
    for _ in 0..SIZE >> 20 {
        client.write_all(&[0; 1 << 20]).await.unwrap();
    }
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(std::str::from_utf8(&answer), Ok("HTTP/1.1 400"));
}

#[tokio::test]
async fn what_waits_for_a_client_ends_when_it_leaves() {
    let mut served = serve().await;
    let mut client = served.connect().await;
    client.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    client.shutdown().await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(served.dropped.try_recv().is_err(), "a half-closed client still waits");
    drop(client);
    let told = tokio::time::timeout(Duration::from_secs(5), served.dropped.recv()).await;
    assert_eq!(told.expect("the handler is dropped"), Some(()));
}

#[tokio::test]
async fn a_line_goes_out_when_it_is_sent() {
    let served = serve().await;
    let mut client = served.connect().await;
    client.write_all(b"GET /lines HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    let line = async {
        while !answer.contains("{\"n\":1}\n") {
            let mut buffer = [0; 1024];
            let count = client.read(&mut buffer).await.unwrap();
            answer.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        }
    };
    tokio::time::timeout(Duration::from_secs(5), line).await.expect("the line is not held back");
    assert!(answer.contains("transfer-encoding: chunked"), "{answer}");
}

#[tokio::test]
async fn an_upgraded_connection_is_a_raw_stream() {
    let served = serve().await;
    let request =
        "POST /containers/x/attach HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nhello";
    let answer = served.exchange(request).await;
    assert!(answer.starts_with("HTTP/1.1 101 UPGRADED\r\n"), "{answer}");
    assert!(answer.contains("content-type: application/vnd.docker.raw-stream\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
}

#[tokio::test]
async fn the_stream_begins_after_the_head_was_read() {
    let served = serve().await;
    let mut client = served.connect().await;
    let request =
        b"POST /containers/x/attach HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nhello";
    client.write_all(request).await.unwrap();
    client.shutdown().await.unwrap();
    // Time enough for the echo to come, were it not held back.
    tokio::time::sleep(Duration::from_millis(20)).await;
    let mut buffer = vec![0; 4096];
    let count = client.read(&mut buffer).await.unwrap();
    let head = String::from_utf8(buffer[..count].to_vec()).unwrap();
    assert!(head.starts_with("HTTP/1.1 101") && head.ends_with("\r\n\r\n"), "{head}");
    let count = client.read(&mut buffer).await.unwrap();
    assert_eq!(&buffer[..count], b"hello");
}

#[tokio::test]
async fn a_connection_can_be_taken_over_without_asking() {
    let served = serve().await;
    for connection in ["", "Connection: close\r\n"] {
        let request =
            format!("POST /v1.41/containers/x/attach?stream=1 HTTP/1.1\r\nHost: x\r\n{connection}\r\nhello");
        let answer = served.exchange(&request).await;
        assert_eq!(answer, "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nhello");
    }
}

#[tokio::test]
async fn a_refused_hijack_is_an_ordinary_answer() {
    let served = serve().await;
    let answer = served.exchange("POST /containers/gone/attach HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
    assert!(answer.ends_with("{\"message\":\"page not found\"}\n"), "{answer}");
}

#[tokio::test]
async fn a_head_may_come_byte_by_byte() {
    let served = serve().await;
    let mut client = served.connect().await;
    for byte in b"POST /containers/x/attach HTTP/1.1\r\nHost: x\r\n\r\nhi" {
        client.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    client.shutdown().await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("\r\n\r\nhi"), "{answer}");
}

#[tokio::test]
async fn bodies_that_are_no_json_are_refused_in_one_line() {
    let served = serve().await;
    let message = |text: &str| format!("{{\"message\":{}}}", serde_json::to_string(text).unwrap());
    let cases = [
        (
            "Content-Type: text/plain\r\n",
            "{}",
            "unsupported Content-Type header (text/plain): must be 'application/json'",
        ),
        ("Content-Type: nonsense\r\n", "{}", "malformed Content-Type header (nonsense)"),
        ("", "{}", "malformed Content-Type header ()"),
        (JSON, "  \n", "invalid JSON: got EOF while reading request body"),
        (JSON, "{\"a\":", "invalid JSON: unexpected EOF"),
        (JSON, "{} {}", "unexpected content after JSON"),
    ];
    for (content_type, body, text) in cases {
        assert_eq!(served.post(content_type, body).await, (StatusCode::BAD_REQUEST, message(text)));
    }
    assert_eq!(served.post(JSON, "{\"a\": null}").await, (StatusCode::OK, "{\"a\":null}".to_owned()));
    assert_eq!(
        served.post("Content-Type: application/json; charset=utf-8\r\n", "[1]").await.0,
        StatusCode::OK
    );
    assert_eq!(served.post("", "").await, (StatusCode::OK, "null".to_owned()));
}

#[tokio::test]
async fn a_body_without_end_is_refused() {
    let served = serve().await;
    let chunk = [b"100000\r\n".as_slice(), &vec![b' '; 1 << 20], b"\r\n"].concat();
    // The server answers, and stops reading, long before all of it was sent.
    let mut writer = served.connect().await;
    writer
        .write_all(b"POST /json HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    let (mut read, mut write) = writer.into_split();
    let sender = tokio::spawn(async move { while write.write_all(&chunk).await.is_ok() {} });
    let mut head = [0; 12];
    tokio::time::timeout(Duration::from_secs(10), read.read_exact(&mut head))
        .await
        .expect("an answer")
        .unwrap();
    assert_eq!(&head, b"HTTP/1.1 413");
    sender.abort();
}
