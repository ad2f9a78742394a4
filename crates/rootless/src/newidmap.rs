//! Writing ID maps of another process (user_namespaces(7), newuidmap(1)).

use crate::map::text;
use crate::{Error, Mapping, Result};
use model::IdMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Write both maps for `pid`, a child that has unshared its user namespace and waits.
pub(crate) fn apply(mapping: &Mapping, pid: u32) -> Result<()> {
    match mapping {
        Mapping::Subordinate { uids, gids } => {
            // At once: neither needs the other, and each is a set-user-ID program that looks its caller up.
            let started =
                [("newuidmap", uids), ("newgidmap", gids)].map(|(p, map)| Running::start(p, pid, map));
            let ended = started.map(|running| running.and_then(Running::end));
            ended.into_iter().collect()
        }
        Mapping::Single { uids, gids } => {
            write(pid, "setgroups", "deny")?;
            write(pid, "uid_map", &text(uids))?;
            write(pid, "gid_map", &text(gids))
        }
        Mapping::Inherited { uids, gids } => {
            write(pid, "uid_map", &text(uids))?;
            write(pid, "gid_map", &text(gids))
        }
    }
}

fn write(pid: u32, file: &str, map: &str) -> Result<()> {
    let path = Path::new("/proc").join(pid.to_string()).join(file);
    fs::write(&path, map).map_err(|source| Error::WriteMap { path, map: map.trim().to_owned(), source })
}

/// One of the two programs.
struct Running {
    program: &'static str,
    arguments: Vec<String>,
    child: Child,
}

impl Running {
    fn start(program: &'static str, pid: u32, map: &IdMap) -> Result<Self> {
        let numbers = map.0.iter().flat_map(|r| [r.inside, r.outside, r.count]).map(|n| n.to_string());
        let arguments: Vec<String> = std::iter::once(pid.to_string()).chain(numbers).collect();
        let mut command = Command::new(program);
        command.args(&arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        match command.spawn() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(Error::NoMapProgram { program, pid }),
            other => Ok(Self { program, arguments, child: other.map_err(Error::io("run", program))? }),
        }
    }

    fn end(self) -> Result<()> {
        let Self { program, arguments, child } = self;
        let output = child.wait_with_output().map_err(Error::io("run", program))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
        Err(Error::MapProgramFailed {
            program,
            arguments: format!("[{}]", arguments.join(" ")),
            fix: fix(program, &said),
            output: format!("{said}: {}", output.status),
        })
    }
}

/// What most often makes these programs fail.
fn fix(program: &str, said: &str) -> String {
    if said.contains("Operation not permitted") || said.contains("Could not set caps") {
        let path = search(program);
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let set_user_id = std::fs::metadata(&path).is_ok_and(|m| m.permissions().mode() & 0o4000 != 0);
        if let Some(reason) = confined(&status, set_user_id, &path, &program[3..4]) {
            return format!(": {reason}");
        }
        return format!(
            ": {path} lacks its privilege: sudo chmod u+s {path} (or sudo setcap cap_set{}id+ep {path}); it also fails below \
             no-new-privileges and on file systems mounted nosuid",
            &program[3..4]
        );
    }
    if said.contains("not allowed") || said.contains("outside of allowed range") {
        return format!(": the range is not this user's in /etc/sub{}id", &program[3..4]);
    }
    String::new()
}

/// Capabilities of proc_pid_status(5), `CapBnd`: CAP_SYS_ADMIN is 21 (capabilities(7)).
const SYS_ADMIN: u32 = 21;

/// What a container keeps these programs from, although they have their privilege. Whoever writes a map must be the
/// namespace's owner or have CAP_SYS_ADMIN outside (kernel/user_namespace.c, `map_write`): a program with file capabilities
/// stays the owner, one that becomes root by its set-user-ID bit does not.
fn confined(status: &str, set_user_id: bool, path: &str, kind: &str) -> Option<String> {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    if field("NoNewPrivs:") == Some("1") {
        return Some(format!(
            "no-new-privileges is set for this process, so {path} gains no privilege: leave that option of the container \
             or unit out"
        ));
    }
    let bounds = u64::from_str_radix(field("CapBnd:")?, 16).ok()?;
    (set_user_id && bounds & (1 << SYS_ADMIN) == 0).then(|| {
        format!(
            "in a container without CAP_SYS_ADMIN a set-user-ID {path} may not write the map: give it a file capability \
             instead, in the image: chmod u-s {path} && setcap cap_set{kind}id+ep {path}"
        )
    })
}

fn search(program: &str) -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(program)).find(|p| p.is_file());
    found.map_or_else(|| program.to_owned(), |p| p.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_container_forbids_is_told_apart() {
        let reason = |status: &str, set_user_id| {
            confined(status, set_user_id, "/bin/newuidmap", "u").unwrap_or_default()
        };
        let docker = "CapBnd:\t00000000a80425fb\nNoNewPrivs:\t0\n";
        assert!(reason(docker, true).contains("setcap cap_setuid+ep /bin/newuidmap"));
        assert_eq!(reason(docker, false), "");
        assert_eq!(reason("CapBnd:\t000001ffffffffff\nNoNewPrivs:\t0\n", true), "");
        assert!(
            reason("CapBnd:\t000001ffffffffff\nNoNewPrivs:\t1\n", false)
                .starts_with("no-new-privileges is set")
        );
    }
}
