//! Manual pages, out of the tables that the parser and the help use; in the macros of man(7).

use std::fmt::Write as _;
use std::path::Path;

use crate::args::{Action, Command, Entry, Flag, Kind, help};
use crate::commands::{COMMON, GLOBAL_FLAGS, GROUPS, PLAIN, TREE};
use crate::error::Error;
use crate::{Part, PartFlag};

const DESCRIPTION: &str = "A rootless container engine and its client. The client speaks the Docker Engine API, takes the command line of docker(1), and shares its configuration, credentials and contexts.";

const ENVIRONMENT: &[(&str, &str)] = &[
    ("DOCKER_API_VERSION", "Version of the API to speak instead of the newest that both sides know"),
    ("DOCKER_CERT_PATH", "Directory of ca.pem, cert.pem and key.pem"),
    ("DOCKER_CONFIG", "Directory of the client's configuration"),
    ("DOCKER_CONTEXT", "Context that names the engine"),
    ("DOCKER_HOST", "Address of the engine: unix://, tcp:// or ssh://"),
    ("DOCKER_TLS_VERIFY", "When not empty, use TLS and verify the engine"),
];

const FILES: &[(&str, &str)] = &[
    ("~/.docker/config.json", "The client's configuration, shared with docker"),
    ("~/.docker/contexts/", "Contexts, shared with docker"),
    ("~/.config/docker/daemon.json", "The engine's configuration; see lichen-daemon.json(5)"),
    ("$XDG_RUNTIME_DIR/docker.sock", "The engine's socket"),
];

struct Page {
    name: String,
    section: &'static str,
    text: String,
}

/// Writes all pages below `directory`, as `man1/lichen-run.1` and so on.
pub fn write(program: &str, directory: &Path, parts: &[Part]) -> Result<(), Error> {
    for page in pages(program, parts) {
        let place = directory.join(format!("man{}", page.section));
        std::fs::create_dir_all(&place).map_err(Error::file("mkdir", &place))?;
        let file = place.join(format!("{}.{}", page.name, page.section));
        std::fs::write(&file, page.text).map_err(Error::file("write", &file))?;
    }
    Ok(())
}

fn pages(program: &str, parts: &[Part]) -> Vec<Page> {
    let mut pages = vec![overview(program, parts)];
    for entry in TREE.iter().flat_map(|table| table.iter()).filter(|entry| !entry.hidden) {
        let name = format!("{program}-{}", entry.names[0]);
        pages.push(Page { text: command(program, &[entry]), section: "1", name: name.clone() });
        let Action::Group(inner) = &entry.command.action else { continue };
        for inner in inner.iter().filter(|inner| !inner.hidden) {
            let text = match short_form(inner.command) {
                // One page under both names.
                Some(short) => format!(".so man1/{program}-{short}.1\n"),
                None => command(program, &[entry, inner]),
            };
            pages.push(Page { text, section: "1", name: format!("{name}-{}", inner.names[0]) });
        }
    }
    pages.extend(parts.iter().map(|part| Page {
        text: part_page(program, part),
        section: part.section,
        name: format!("{program}-{}", part.name),
    }));
    pages
}

/// The name of a group's command at the top level.
fn short_form(command: &'static Command) -> Option<&'static str> {
    let found = TREE.iter().flat_map(|table| table.iter()).find(|entry| std::ptr::eq(entry.command, command));
    found.map(|entry| entry.names[0])
}

fn overview(program: &str, parts: &[Part]) -> Page {
    let mut out = head(program, "1", "run containers without root");
    section(&mut out, "SYNOPSIS");
    let _infallible = writeln!(out, "\\fB{program}\\fR [OPTIONS] COMMAND [ARG...]");
    section(&mut out, "DESCRIPTION");
    paragraph(&mut out, DESCRIPTION);
    let list = |entries: &'static [Entry]| {
        let shown = entries.iter().filter(|entry| !entry.hidden);
        shown.map(|entry| (format!("{program}-{}(1)", entry.names[0]), first_line(entry.command.about)))
    };
    section(&mut out, "COMMANDS");
    definitions(&mut out, list(COMMON).chain(list(GROUPS)).chain(list(PLAIN)));
    section(&mut out, "ENGINE COMMANDS");
    definitions(
        &mut out,
        parts.iter().map(|part| (format!("{program}-{}({})", part.name, part.section), part.about)),
    );
    options(&mut out, GLOBAL_FLAGS.iter().collect());
    section(&mut out, "ENVIRONMENT");
    definitions(&mut out, ENVIRONMENT.iter().map(|(name, about)| ((*name).to_owned(), *about)));
    section(&mut out, "FILES");
    definitions(&mut out, FILES.iter().map(|(name, about)| ((*name).to_owned(), *about)));
    Page { name: program.to_owned(), section: "1", text: out }
}

/// A command under the names that lead to it.
fn command(program: &str, path: &[&'static Entry]) -> String {
    let names: Vec<&str> = path.iter().map(|entry| entry.names[0]).collect();
    let last = path[path.len() - 1];
    let command = last.command;
    let page = format!("{program}-{}", names.join("-"));
    let typed = format!("{program} {}", names.join(" "));
    let mut out = head(&page, "1", first_line(command.about));
    section(&mut out, "SYNOPSIS");
    for (at, line) in help::usage_line(command, &typed).lines().enumerate() {
        if at > 0 {
            out.push_str(".br\n");
        }
        line_of_text(&mut out, line.trim());
    }
    section(&mut out, "DESCRIPTION");
    paragraph(&mut out, command.about);
    if last.names.len() > 1 {
        paragraph(&mut out, &format!("It answers to {} as well.", last.names[1..].join(", ")));
    }
    if let Action::Group(entries) = &command.action {
        section(&mut out, "COMMANDS");
        let shown = entries.iter().filter(|entry| !entry.hidden);
        definitions(
            &mut out,
            shown.map(|entry| (format!("{page}-{}(1)", entry.names[0]), first_line(entry.command.about))),
        );
    }
    options(&mut out, command.flags().filter(|flag| !flag.hidden).collect());
    section(&mut out, "SEE ALSO");
    let _infallible = writeln!(out, ".BR {} (1)", escape(program));
    out
}

fn part_page(program: &str, part: &Part) -> String {
    let mut out = head(&format!("{program}-{}", part.name), part.section, part.about);
    section(&mut out, "SYNOPSIS");
    match part.command {
        true => line_of_text(&mut out, &format!("{program} {} {}", part.name, part.usage)),
        false => line_of_text(&mut out, part.usage),
    }
    section(&mut out, "DESCRIPTION");
    part.description.split("\n\n").for_each(|text| paragraph(&mut out, text));
    if !part.words.is_empty() {
        section(&mut out, "COMMANDS");
        definitions(&mut out, part.words.iter().map(|(word, about)| ((*word).to_owned(), *about)));
    }
    if !part.flags.is_empty() {
        section(&mut out, if part.command { "OPTIONS" } else { "KEYS" });
        for flag in &part.flags {
            definition(&mut out, &part_head(flag, part.command), &flag.about);
        }
    }
    section(&mut out, "SEE ALSO");
    let _infallible = writeln!(out, ".BR {} (1)", escape(program));
    out
}

fn part_head(flag: &PartFlag, dashes: bool) -> String {
    let value = flag.value.map(|value| format!(" \\fI{}\\fR", escape(value))).unwrap_or_default();
    match (dashes, flag.short) {
        (false, _) => format!("\\fB{}\\fR{value}", escape(flag.name)),
        (true, None) => format!("\\fB\\-\\-{}\\fR{value}", escape(flag.name)),
        (true, Some(short)) => format!("\\fB\\-{short}\\fR, \\fB\\-\\-{}\\fR{value}", escape(flag.name)),
    }
}

fn options(out: &mut String, mut flags: Vec<&'static Flag>) {
    if flags.is_empty() {
        return;
    }
    section(out, "OPTIONS");
    flags.sort_by_key(|flag| flag.name);
    for flag in flags {
        let short = flag.short.map(|short| format!("\\fB\\-{short}\\fR, ")).unwrap_or_default();
        let value = match flag.kind {
            Kind::Bool => String::new(),
            _ => format!(" \\fI{}\\fR", escape(flag.metavar)),
        };
        let default = match flag.default {
            "" => String::new(),
            default => format!(" (default {default})"),
        };
        let head = format!("{short}\\fB\\-\\-{}\\fR{value}", escape(flag.name));
        definition(out, &head, &format!("{}{default}", flag.usage));
    }
}

fn head(page: &str, section: &str, about: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let title = escape(&page.to_uppercase());
    let mut about = about.trim_end_matches('.').chars();
    let about: String = about.next().into_iter().flat_map(char::to_lowercase).chain(about).collect();
    format!(
        ".TH \"{title}\" {section} \"\" \"Lichen {version}\" \"Lichen manual\"\n.SH NAME\n{} \\- {}\n",
        escape(page),
        escape(&about)
    )
}

fn first_line(text: &'static str) -> &'static str {
    text.lines().next().unwrap_or_default()
}

fn section(out: &mut String, title: &str) {
    let _infallible = writeln!(out, ".SH {title}");
}

fn paragraph(out: &mut String, text: &str) {
    out.push_str(".PP\n");
    text.lines().filter(|line| !line.trim().is_empty()).for_each(|line| line_of_text(out, line.trim()));
}

fn definitions<'a>(out: &mut String, list: impl Iterator<Item = (String, &'a str)>) {
    for (name, about) in list {
        definition(out, &format!("\\fB{}\\fR", escape(&name)), about);
    }
}

/// `head` is ready for roff, `text` is not.
fn definition(out: &mut String, head: &str, text: &str) {
    let _infallible = writeln!(out, ".TP\n{head}");
    for (at, line) in text.lines().enumerate() {
        if at > 0 {
            out.push_str(".br\n");
        }
        line_of_text(out, line.trim());
    }
}

fn line_of_text(out: &mut String, line: &str) {
    let _infallible = writeln!(out, "{}", escape(line));
}

/// A backslash begins an escape, a hyphen is not a dash, and a line that begins with a dot or an apostrophe is a
/// request (groff(7)).
fn escape(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    match escaped.starts_with(['.', '\'']) {
        true => format!("\\&{escaped}"),
        false => escaped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_and_every_flag_has_its_place() {
        let pages = pages("lichen", &[]);
        let text = |name: &str| {
            let page = pages.iter().find(|page| page.name == name);
            page.unwrap_or_else(|| panic!("no page {name}")).text.as_str()
        };
        assert!(text("lichen").contains("\\fBlichen\\-run(1)\\fR"));
        assert!(text("lichen-run").contains(".TP\n\\fB\\-d\\fR, \\fB\\-\\-detach\\fR\n"));
        assert_eq!(text("lichen-container-run"), ".so man1/lichen-run.1\n");
        assert!(text("lichen-network-create").contains("\\fB\\-\\-subnet\\fR \\fIstrings\\fR"));
        assert!(!text("lichen-run").contains("kernel\\-memory"), "hidden");
    }

    #[test]
    fn text_is_no_request() {
        assert_eq!(escape(".so /etc/x"), "\\&.so /etc/x");
        assert_eq!(escape("'a\\b"), "\\&'a\\eb");
    }
}
