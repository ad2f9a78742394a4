//! Usage texts.

use std::fmt::Write as _;

use super::{Action, Command, Entry, Flag, Kind};

/// The usage line: `docker run [OPTIONS] IMAGE [COMMAND] [ARG...]`; some commands have several.
pub fn usage_line(command: &Command, path: &str) -> String {
    let uses: Vec<_> = command.usage.split('|').map(str::trim).collect();
    match uses.as_slice() {
        // Alternatives only where each begins with its own options.
        _ if !command.usage.contains("| [OPTIONS]") => join(path, command.usage),
        several => several.iter().map(|one| join(path, one)).collect::<Vec<_>>().join("\n\t"),
    }
}

fn join(path: &str, usage: &str) -> String {
    format!("{path} {usage}").trim_end().to_owned()
}

/// The whole help text of a command, `width` columns wide.
pub fn help(command: &Command, path: &str, aliases: &[String], width: usize) -> String {
    let mut out = format!("Usage:  {}\n\n{}\n", usage_line(command, path), command.about);
    if !aliases.is_empty() {
        let _infallible = write!(out, "\nAliases:\n  {}\n", aliases.join(", "));
    }
    let visible: Vec<_> = command.flags().filter(|flag| !flag.hidden).collect();
    if !visible.is_empty() {
        out.push_str("\nOptions:\n");
        out.push_str(&flags(visible, width));
    }
    if let Action::Group(entries) = &command.action {
        out.push_str("\nCommands:\n");
        out.push_str(&commands(entries));
        let _infallible = write!(out, "\nRun '{path} COMMAND --help' for more information on a command.\n");
    }
    out
}

/// `  name      what it does`, one line per command.
pub fn commands(entries: &[Entry]) -> String {
    let visible: Vec<_> = entries.iter().filter(|entry| !entry.hidden).collect();
    let widest = visible.iter().map(|entry| entry.names[0].len()).max().unwrap_or(0).max(11);
    let mut out = String::new();
    for entry in visible {
        let first = entry.command.about.lines().next().unwrap_or_default();
        let _infallible = writeln!(out, "  {:widest$} {first}", entry.names[0]);
    }
    out
}

/// The list of flags, sorted by name, their descriptions in one column and wrapped.
pub fn flags(mut flags: Vec<&Flag>, width: usize) -> String {
    flags.sort_by_key(|flag| flag.name);
    let heads: Vec<_> = flags.iter().map(|flag| head(flag)).collect();
    let column = heads.iter().map(String::len).max().unwrap_or(0) + 3;
    let mut out = String::new();
    for (flag, head) in flags.iter().zip(&heads) {
        let mut text = flag.usage.to_owned();
        if !flag.default.is_empty() {
            let _infallible = write!(text, " (default {})", flag.default);
        }
        let lines = wrap(&text, width.saturating_sub(column + 1).max(24));
        for (i, line) in lines.iter().enumerate() {
            let left = if i == 0 { head.as_str() } else { "" };
            out.push_str(format!("{left:column$}{line}").trim_end());
            out.push('\n');
        }
    }
    out
}

fn head(flag: &Flag) -> String {
    let short = flag.short.map_or("    ".to_owned(), |c| format!("-{c}, "));
    match flag.kind {
        Kind::Bool => format!("  {short}--{}", flag.name),
        _ => format!("  {short}--{} {}", flag.name, flag.metavar),
    }
}

/// Lines of at most `width` columns, broken at spaces; line breaks in the text stay.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split_inclusive(' ') {
            if !line.is_empty() && line.len() + word.trim_end().len() > width {
                lines.push(std::mem::take(&mut line));
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_are_wrapped_in_their_column() {
        static FLAGS: [Flag; 2] = [
            Flag::bool("detach", "one two three four five six seven eight nine ten").short('d'),
            Flag::list("env", "short").default("x"),
        ];
        let text = flags(FLAGS.iter().collect(), 44);
        let expect = "  -d, --detach     one two three four five\n                   six seven eight nine ten\n      --env list   short (default x)\n";
        assert_eq!(text, expect);
    }
}
