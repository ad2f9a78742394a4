//! Fetching one blob: resumed where it broke off, tried again when the registry is unwell.

use super::stream::Sender;
use crate::{
    Message, Progress,
    manifest::Descriptor,
    registry::{self, Error, Session, transport},
};
use reqwest::StatusCode;
use std::time::{Duration, Instant};

/// Attempts without a single new byte before a fetch fails (Docker: 5).
const ATTEMPTS: u32 = 5;
/// At most so often is progress reported.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// Streams the blob to the thread that unpacks it. The thread checks the digest; its giving up ends the fetch quietly.
pub(super) async fn fetch(
    session: &Session,
    blob: &Descriptor,
    to: Sender,
    progress: &Progress,
) -> Result<(), Error> {
    let id = blob.digest.short().to_owned();
    let mut report = Report { id: id.clone(), total: blob.size, last: None, progress };
    let mut done = 0;
    let mut attempt = 0;
    loop {
        let before = done;
        match transfer(session, blob, &mut done, &to, &mut report).await {
            Ok(Outcome::Whole) => {
                progress.send(Message::step(&id, "Verifying Checksum", 0, 0));
                progress.send(Message::step(&id, "Download complete", 0, 0));
                // A closed channel means the thread failed, and its own error is the one to tell.
                drop(to.end().await);
                return Ok(());
            }
            Ok(Outcome::Unwanted) => return Ok(()),
            Err(e) => {
                attempt = if done > before { 1 } else { attempt + 1 };
                if attempt >= ATTEMPTS || !e.is_passing() {
                    return Err(e);
                }
                tracing::warn!(blob = %blob.digest, offset = done, error = %e, "transfer broke off, trying again");
                let pause = session.patience().pause(attempt, &e);
                progress.send(Message::step(&id, registry::retrying(pause), 0, 0));
                tokio::time::sleep(pause).await;
            }
        }
    }
}

enum Outcome {
    Whole,
    Unwanted,
}

/// One request, from `done` on.
async fn transfer(
    session: &Session,
    blob: &Descriptor,
    done: &mut u64,
    to: &Sender,
    report: &mut Report<'_>,
) -> Result<Outcome, Error> {
    let mut response = match session.blob(&blob.digest, *done).await {
        // There is no more of it.
        Err(Error::Status { status, .. }) if status.starts_with("416") => {
            return Err(wrong_size(blob, *done));
        }
        answered => answered?,
    };
    // 200 is the whole blob, whatever range was asked for: what is known is passed over.
    let mut skip = if response.status() == StatusCode::PARTIAL_CONTENT { 0 } else { *done };
    let url = response.url().to_string();
    let rest = response.content_length();
    let served = rest.map(|rest| (*done - skip).saturating_add(rest));
    if let Some(served) = served.filter(|served| *served > blob.size) {
        return Err(wrong_size(blob, served));
    }
    while let Some(mut bytes) = response.chunk().await.map_err(|e| broken_off(&url, &e, *done, blob))? {
        let passed = skip.min(bytes.len() as u64);
        skip -= passed;
        let bytes = bytes.split_off(passed as usize);
        if bytes.is_empty() {
            continue;
        }
        *done += bytes.len() as u64;
        if *done > blob.size {
            return Err(Error::Verification { what: "filesystem layer", digest: blob.digest.clone() });
        }
        if to.data(bytes).await.is_err() {
            return Ok(Outcome::Unwanted);
        }
        report.downloaded(*done);
    }
    if *done < blob.size {
        // A whole answer that is too short stays so; one without a length may just have been cut off.
        if response.status() == StatusCode::OK && rest.is_some() {
            return Err(wrong_size(blob, *done));
        }
        let reason = format!("unexpected EOF after {done} of {} bytes", blob.size);
        return Err(Error::Transport { method: "Get", url, reason });
    }
    Ok(Outcome::Whole)
}

fn wrong_size(blob: &Descriptor, served: u64) -> Error {
    Error::BlobSize { digest: blob.digest.clone(), served, promised: blob.size }
}

/// A transfer that ended early, with how far it got.
fn broken_off(url: &str, error: &reqwest::Error, done: u64, blob: &Descriptor) -> Error {
    match transport("Get", url, error) {
        Error::Transport { method, url, reason } => {
            let silent = "i/o timeout: the registry sent no more";
            let reason = if error.is_timeout() { silent } else { &reason };
            let reason = format!("{reason} after {done} of {} bytes", blob.size);
            Error::Transport { method, url, reason }
        }
        other => other,
    }
}

struct Report<'a> {
    id: String,
    total: u64,
    last: Option<Instant>,
    progress: &'a Progress,
}

impl Report<'_> {
    fn downloaded(&mut self, done: u64) {
        if done == self.total || self.last.is_none_or(|last| last.elapsed() >= REPORT_EVERY) {
            self.last = Some(Instant::now());
            self.progress.send(Message::step(&self.id, "Downloading", done, self.total));
        }
    }
}
