//! Findings for people (as dockerd-rootless-setuptool.sh words them, and as the doctor groups them) and for programs.

use crate::finding::{Finding, Group, Status};
use serde::Serialize;
use std::io::{self, Write};

/// What is wrong, then one block that root can paste, then the result.
pub fn requirements(findings: &[Finding], out: &mut dyn Write, err: &mut dyn Write) -> io::Result<()> {
    for finding in findings.iter().filter(|f| f.status >= Status::Warning) {
        let label = if finding.status == Status::Error { "ERROR" } else { "WARNING" };
        writeln!(err, "[{label}] {}", finding.summary)?;
        if let Some(text) = &finding.fix.user {
            writeln!(err, "[{label}]   to fix it: {text}")?;
        }
    }
    let satisfied = crate::check::satisfied(findings);
    let lines = root_lines(findings, Status::Warning);
    if !satisfied {
        writeln!(err, "[ERROR] Missing system requirements. Run the following commands to")?;
        writeln!(err, "[ERROR] install the requirements and run this tool again.")?;
    } else if !lines.is_empty() {
        writeln!(out, "[INFO] What the warnings are about can be mended by these commands:")?;
    }
    if !lines.is_empty() {
        root_block(&lines, out)?;
    }
    if satisfied {
        writeln!(out, "[INFO] Requirements are satisfied")?;
    }
    Ok(())
}

/// Everything for root, each finding's lines below a comment, no line of commands twice.
fn root_lines(findings: &[Finding], from: Status) -> Vec<String> {
    let mut fixes: Vec<&[String]> = Vec::new();
    let mut lines = Vec::new();
    for finding in findings.iter().filter(|f| f.status >= from && !f.fix.root.is_empty()) {
        if !fixes.contains(&finding.fix.root.as_slice()) {
            fixes.push(&finding.fix.root);
            lines.push(format!("# {}", one_line(&finding.summary)));
            lines.extend(finding.fix.root.iter().cloned());
        }
    }
    lines
}

/// Shells would expand these in the here-document around it, even in a comment.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if "`$\\\n".contains(c) { ' ' } else { c }).collect()
}

fn root_block(lines: &[String], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n########## BEGIN ##########\nsudo sh -eux <<EOF")?;
    for line in lines {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "EOF\n########## END ##########\n")
}

/// For `--json`.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    pub satisfied: bool,
    pub distribution: &'a str,
    pub kernel: &'a str,
    pub user: &'a str,
    pub findings: &'a [Finding],
}

/// Everything by group, good and bad, each with its fix.
pub fn doctor(findings: &[Finding], colour: bool, out: &mut dyn Write) -> io::Result<()> {
    let mut group: Option<Group> = None;
    for finding in findings {
        if group != Some(finding.group) {
            group = Some(finding.group);
            writeln!(out, "\n{}", paint(colour, "1", &finding.group.to_string()))?;
        }
        let (sign, code) = match finding.status {
            Status::Ok => ("ok     ", "32"),
            Status::Info => ("note   ", "36"),
            Status::Warning => ("warning", "33"),
            Status::Error => ("error  ", "31"),
        };
        writeln!(out, "  {} {}", paint(colour, code, sign), finding.summary)?;
        if let Some(text) = &finding.fix.user {
            writeln!(out, "          fix: {text}")?;
        }
        if !finding.fix.root.is_empty() {
            writeln!(out, "          fix, as root:")?;
            for line in &finding.fix.root {
                writeln!(out, "            {line}")?;
            }
        }
    }
    let count = |status| findings.iter().filter(|f| f.status == status).count();
    let (errors, warnings) = (count(Status::Error), count(Status::Warning));
    writeln!(out, "\n{errors} errors, {warnings} warnings")
}

fn paint(colour: bool, code: &str, text: &str) -> String {
    if colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use crate::check::{check, tests::good};
    use crate::facts::MapProgram;

    fn report(facts: &crate::facts::Facts) -> (String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        super::requirements(&check(facts, false), &mut out, &mut err).unwrap();
        (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn a_good_host_gets_one_line() {
        assert_eq!(report(&good()), ("[INFO] Requirements are satisfied\n".to_owned(), String::new()));
    }

    #[test]
    fn what_root_has_to_do_is_one_block_with_each_command_once() {
        let mut facts = good();
        (facts.newuidmap, facts.newgidmap) = (MapProgram::Missing, MapProgram::Missing);
        facts.subuid.ranges.clear();
        let (out, err) = report(&facts);
        insta::assert_snapshot!(out, @r#"
        ########## BEGIN ##########
        sudo sh -eux <<EOF
        # newuidmap is not installed
        apt-get install -y uidmap
        # No subuid ranges found for user 1001 ("testuser"): without them images run with a single ID (--force accepts that)
        echo "testuser:296608:65536" >> /etc/subuid
        EOF
        ########## END ##########
        "#);
        insta::assert_snapshot!(err, @r#"
        [ERROR] newuidmap is not installed
        [ERROR] newgidmap is not installed
        [ERROR] No subuid ranges found for user 1001 ("testuser"): without them images run with a single ID (--force accepts that)
        [ERROR] Missing system requirements. Run the following commands to
        [ERROR] install the requirements and run this tool again.
        "#);
    }

    #[test]
    fn warnings_do_not_stop_anything() {
        let mut facts = good();
        facts.sysctls.ping_group_range = Some((1, 0));
        let (out, err) = report(&facts);
        assert!(out.ends_with("[INFO] Requirements are satisfied\n"), "{out}");
        assert!(err.starts_with("[WARNING] net.ipv4.ping_group_range"), "{err}");
    }

    #[test]
    fn the_doctor_groups_and_counts() {
        let mut facts = good();
        facts.subuid.ranges.clear();
        facts.session.linger = Some(false);
        let mut out = Vec::new();
        super::doctor(&check(&facts, false), false, &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"
        Account
          ok      home directory /home/testuser
          ok      runtime directory /run/user/1001
          ok      lichen-shim is /home/testuser/bin/lichen-shim
          ok      no system-wide engine is in the way

        User namespaces
          ok      a user namespace with a mount namespace can be made
          ok      /usr/bin/newuidmap can map IDs
          ok      /usr/bin/newgidmap can map IDs
          error   No subuid ranges found for user 1001 ("testuser"): without them images run with a single ID (--force accepts that)
                  fix, as root:
                    echo "testuser:296608:65536" >> /etc/subuid
          ok      65536 subgids

        Storage
          ok      /home/testuser/.local/share/lichen is on extfs
          ok      the kernel's overlay works in a user namespace

        Network
          ok      /dev/net/tun can be opened
          ok      containers may ping
          ok      every port can be published

        Limits
          ok      controllers cpu, cpuset, io, memory, pids are delegated

        Session
          ok      the user's systemd manager answers
          ok      the session's D-Bus socket is there
          note    lingering is off: the engine starts when you log in and stops when you log out
                  fix, as root:
                    loginctl enable-linger testuser

        1 errors, 0 warnings
        "#);
    }
}
