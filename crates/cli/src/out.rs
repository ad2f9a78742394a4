//! Standard output of what is no client's command. Its reader may have read enough (`… | head`): that is no failure, and
//! stops nothing that was begun.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};

/// What writing came to, when the reader's going away does not count.
///
/// # Errors
/// Any other.
pub fn tolerate(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Writes all of the text.
///
/// # Errors
/// When it cannot be written, to a full disk for one.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    tolerate(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// Writes a line about what is being done, which goes on whether or not it can be written; see [`crate::say`].
pub fn line(text: Arguments<'_>) {
    if let Err(error) = tolerate(writeln!(io::stdout(), "{text}")) {
        eprintln!("[WARNING] write to standard output: {error}");
    }
}

/// A line about what is being done ([`line()`]), in `println!`'s words.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => { $crate::out::line(format_args!($($text)*)) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_readers_end_is_tolerated() {
        assert!(tolerate(Err(ErrorKind::BrokenPipe.into())).is_ok());
        assert_eq!(tolerate(Err(ErrorKind::StorageFull.into())).unwrap_err().kind(), ErrorKind::StorageFull);
    }
}
