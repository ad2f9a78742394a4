//! An error with its causes, as one line.

use anyhow::Error;

/// Each cause once: most messages of ours say what their source says, and `{error:#}` would say it again.
pub(crate) fn line(error: &Error) -> String {
    let add = |line: String, cause: String| {
        if line.ends_with(&cause) { line } else { format!("{line}: {cause}") }
    };
    error.chain().map(ToString::to_string).reduce(add).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;
    use std::io;

    #[derive(Debug, thiserror::Error)]
    #[error("write /proc/x: {source}")]
    struct Written {
        source: io::Error,
    }

    #[test]
    fn what_a_message_says_of_its_source_is_not_said_again() {
        let source = io::Error::from_raw_os_error(30);
        let error = Err::<(), _>(Written { source }).context("prepare").unwrap_err();
        assert_eq!(line(&error), "prepare: write /proc/x: Read-only file system (os error 30)");
        assert_eq!(line(&anyhow::anyhow!("alone")), "alone");
    }
}
