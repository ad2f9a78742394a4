//! Who the caller is on the host.

use std::fs;
use std::process::Command;

/// The calling user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    /// The login name; the number in decimal when nothing knows one.
    pub name: String,
}

impl User {
    /// The effective user of this process.
    pub fn current() -> Self {
        let uid = rustix::process::geteuid().as_raw();
        let gid = rustix::process::getegid().as_raw();
        Self { uid, gid, name: name_of(uid).unwrap_or_else(|| uid.to_string()) }
    }
}

/// A static program has no NSS: /etc/passwd first, then getent(1), which asks LDAP and the like.
fn name_of(uid: u32) -> Option<String> {
    let local = fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_in(&local, uid).or_else(|| {
        let output = Command::new("getent").args(["passwd", &uid.to_string()]).output().ok()?;
        name_in(&String::from_utf8(output.stdout).ok()?, uid)
    })
}

fn name_in(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let id = fields.nth(1)?.parse::<u32>().ok()?;
        (id == uid && !name.is_empty()).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_by_the_third_field() {
        let passwd = "root:x:0:0::/root:/bin/sh\n# odd\n\nuser:x:1001:7::/home/user:/bin/sh\n";
        assert_eq!(name_in(passwd, 1001).as_deref(), Some("user"));
        assert_eq!(name_in(passwd, 7), None);
    }
}
