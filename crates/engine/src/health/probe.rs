//! One run of a health check: an exec session whose output is kept.

use super::Check;
use crate::{Container, Engine, Error, attach::Stream, exec};
use api_types::{ExecCreateRequest, ExecStartRequest, HealthcheckResult};
use model::Timestamp;
use shim_proto::Target;
use std::sync::Arc;
use tokio::io::AsyncReadExt;

/// How much output is kept (moby `maxOutputLen`).
const OUTPUT: usize = 4096;

/// Runs the check's command. Failures of any kind are results.
pub(super) async fn run(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    check: &Check,
) -> HealthcheckResult {
    let start = Timestamp::now();
    let (exit_code, output) =
        attempt(engine, container, check).await.unwrap_or_else(|error| (-1, error.to_string()));
    HealthcheckResult { start: start.to_string(), end: Timestamp::now().to_string(), exit_code, output }
}

async fn attempt(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    check: &Check,
) -> Result<(i64, String), Error> {
    let request = ExecCreateRequest {
        cmd: check.command.clone(),
        attach_stdout: true,
        attach_stderr: true,
        ..ExecCreateRequest::default()
    };
    let id = exec::create(engine, container.id().as_str(), request)?;
    let session = engine.execs.find(id.as_str())?;
    let stream = exec::start(engine, id.as_str(), ExecStartRequest::default()).await?;
    let mut output = Output::default();
    let finished = async {
        if let Some(stream) = stream {
            output.read(stream).await;
        }
        session.exit_code().await
    };
    match tokio::time::timeout(check.timeout, finished).await {
        Ok(code) => Ok((i64::from(code), output.text())),
        Err(_) => {
            container.live.shim()?.signal(Target::Exec(id), crate::signal::KILL).await?;
            session.exit_code().await;
            let limit = format!("Health check exceeded timeout ({:?})", check.timeout);
            let text = output.text();
            Ok((-1, if text.is_empty() { limit } else { format!("{limit}: {text}") }))
        }
    }
}

/// The beginning of what a process wrote, out of Docker's frames.
#[derive(Default)]
struct Output {
    kept: Vec<u8>,
}

impl Output {
    /// Until the end of the stream; what is too much is read and dropped, so that the process does not block.
    async fn read(&mut self, mut stream: Stream) {
        let mut header = [0; 8];
        while stream.socket.read_exact(&mut header).await.is_ok() {
            let [.., a, b, c, d] = header;
            let mut left = u32::from_be_bytes([a, b, c, d]) as usize;
            let mut buffer = [0; 4096];
            while left > 0 {
                let want = left.min(buffer.len());
                match stream.socket.read(&mut buffer[..want]).await {
                    Ok(0) | Err(_) => return,
                    Ok(got) => {
                        let room = OUTPUT.saturating_sub(self.kept.len()).min(got);
                        self.kept.extend_from_slice(&buffer[..room]);
                        left -= got;
                    }
                }
            }
        }
    }

    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.kept);
        if self.kept.len() < OUTPUT { text.into_owned() } else { format!("{text}...") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{io::AsyncWriteExt, net::UnixStream};

    async fn read(frames: Vec<u8>) -> String {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        tokio::spawn(async move { theirs.write_all(&frames).await });
        let mut output = Output::default();
        output.read(Stream { socket: ours, tty: false }).await;
        output.text()
    }

    fn frame(stream: u8, text: &[u8]) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&[stream, 0, 0, 0], &length[..], text].concat()
    }

    #[tokio::test]
    async fn both_streams_are_kept_in_order_and_no_more_than_docker_keeps() {
        assert_eq!(read([frame(1, b"a"), frame(2, b"b")].concat()).await, "ab");
        let long = read(frame(1, &[b'x'; 10_000])).await;
        assert_eq!((long.len(), long.ends_with("...")), (OUTPUT + 3, true));
    }
}
