//! The stream of messages of pull, push, load and import: bars on a terminal, plain lines otherwise.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use api_types::{JsonMessage, ProgressDetail};

use crate::cli::print;
use crate::connect::client::Response;
use crate::connect::stream::JsonStream;
use crate::container::write_stderr;
use crate::error::Error;
use crate::format::units::human_size;
use crate::tty;

/// Where messages go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sink {
    Stdout,
    Stderr,
    Nowhere,
}

/// Shows all messages of an answer. The first that tells of a failure ends it.
pub async fn show(response: Response, path: &str, sink: Sink) -> Result<(), Error> {
    let terminal = match sink {
        Sink::Stdout => std::io::stdout().is_terminal(),
        Sink::Stderr => std::io::stderr().is_terminal(),
        Sink::Nowhere => false,
    };
    let mut screen = Screen::new(terminal.then(tty::columns));
    let mut messages = JsonStream::new(response, path);
    while let Some(message) = messages.next::<JsonMessage>().await? {
        if let Some(error) = failure(&message) {
            return Err(error);
        }
        let text = screen.message(&message);
        match sink {
            Sink::Stdout => print(text)?,
            Sink::Stderr => write_stderr(text.as_bytes())?,
            Sink::Nowhere => {}
        }
    }
    Ok(())
}

fn failure(message: &JsonMessage) -> Option<Error> {
    let detail = message.error_detail.as_ref();
    let text = match (detail, message.error.as_str()) {
        (Some(detail), _) if !detail.message.is_empty() => &detail.message,
        (_, "") => return None,
        _ => &message.error,
    };
    Some(match detail.map(|detail| detail.code) {
        Some(401) => Error::invalid("authentication is required"),
        _ => Error::Invalid(text.clone()),
    })
}

/// What was drawn: the lines that can still change, by the ID they show.
struct Screen {
    /// Columns of the terminal; none when there is none.
    width: Option<usize>,
    lines: Vec<String>,
}

impl Screen {
    fn new(width: Option<usize>) -> Self {
        Self { width, lines: Vec::new() }
    }

    /// The text, with cursor movements, that shows one message.
    fn message(&mut self, message: &JsonMessage) -> String {
        let Some(width) = self.width else { return plain(message) };
        let Some(detail) = message.progress_detail.as_ref().filter(|_| !message.id.is_empty()) else {
            // What is not progress stays; the lines above it are done.
            self.lines.clear();
            return plain(&JsonMessage { progress_detail: None, ..message.clone() });
        };
        let mut out = String::new();
        let line = self.lines.iter().position(|id| *id == message.id).unwrap_or_else(|| {
            self.lines.push(message.id.clone());
            out.push('\n');
            self.lines.len() - 1
        });
        let up = self.lines.len() - line;
        let bar = bar(detail, width);
        let _infallible =
            write!(out, "\x1b[{up}A\x1b[2K\r{}: {} {bar}\r\x1b[{up}B", message.id, message.status);
        out
    }
}

fn plain(message: &JsonMessage) -> String {
    let moving = message.progress_detail.as_ref().is_some_and(|detail| !bar(detail, 0).is_empty());
    if moving {
        return String::new();
    }
    if !message.stream.is_empty() {
        return message.stream.clone();
    }
    match message.id.as_str() {
        "" if message.status.is_empty() => String::new(),
        "" => format!("{}\n", message.status),
        id => format!("{id}: {}\n", message.status),
    }
}

/// `[=====>     ]  1.2MB/3.4MB`; without the box on a narrow terminal.
fn bar(detail: &ProgressDetail, width: usize) -> String {
    let (current, total) = (detail.current, detail.total);
    if current <= 0 && total <= 0 {
        return String::new();
    }
    let amount = |n: i64| match detail.units.as_str() {
        "" => human_size(n as f64),
        units => format!("{n} {units}"),
    };
    if total <= 0 {
        return format!("{:>8}", amount(current));
    }
    let half = ((current as f64 / total as f64 * 100.0) as usize / 2).min(50);
    let drawn = match width > 110 {
        true => format!("[{}>{}] ", "=".repeat(half), " ".repeat(50 - half)),
        false => String::new(),
    };
    let numbers = match (detail.hide_counts, current > total) {
        (true, _) => String::new(),
        (false, true) => format!("{:>8}", amount(current)),
        (false, false) => format!("{:>8}/{}", amount(current), amount(total)),
    };
    format!("{drawn}{numbers}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str, status: &str, detail: Option<(i64, i64)>) -> JsonMessage {
        let progress_detail =
            detail.map(|(current, total)| ProgressDetail { current, total, ..ProgressDetail::default() });
        JsonMessage { id: id.into(), status: status.into(), progress_detail, ..JsonMessage::default() }
    }

    #[test]
    fn without_a_terminal_only_steps_are_shown() {
        let mut screen = Screen::new(None);
        assert_eq!(screen.message(&message("latest", "Pulling from x", None)), "latest: Pulling from x\n");
        assert_eq!(screen.message(&message("abc", "Downloading", Some((1, 2)))), "");
        assert_eq!(screen.message(&message("abc", "Pull complete", Some((0, 0)))), "abc: Pull complete\n");
        assert_eq!(screen.message(&message("", "Digest: sha256:0", None)), "Digest: sha256:0\n");
    }

    #[test]
    fn lines_are_updated_in_place() {
        let mut screen = Screen::new(Some(80));
        assert_eq!(
            screen.message(&message("a", "Waiting", Some((0, 0)))),
            "\n\x1b[1A\x1b[2K\ra: Waiting \r\x1b[1B"
        );
        assert_eq!(
            screen.message(&message("b", "Waiting", Some((0, 0)))),
            "\n\x1b[1A\x1b[2K\rb: Waiting \r\x1b[1B"
        );
        let text = screen.message(&message("a", "Downloading", Some((500, 1000))));
        assert_eq!(text, "\x1b[2A\x1b[2K\ra: Downloading     500B/1kB\r\x1b[2B");
    }

    #[test]
    fn bars() {
        let detail = |current, total| ProgressDetail { current, total, ..ProgressDetail::default() };
        assert_eq!(bar(&detail(1, 4), 120), format!("[{}>{}]       1B/4B", "=".repeat(12), " ".repeat(38)));
        assert_eq!(bar(&detail(2_000_000, 0), 120), "     2MB");
    }
}
