//! Compiled filters, kept between containers.
//!
//! ```text
//! version │ length │ rules as JSON │ flags │ length │ program      numbers: u64, little-endian
//! ```
//! The rules are compared whole: a name that two sets of rules share costs a compilation, never a wrong filter. The
//! directory must be the engine's own (mode 0700); whoever can write to it decides what containers may do.

use crate::{Error, Result};
use oci_spec::runtime::LinuxSeccomp;
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

/// Changes when the same rules compile to another program than before.
const VERSION: &[u8] = b"lichen seccomp 4\n";

/// A file's contents.
pub(super) struct Whole<'a> {
    rules: &'a [u8],
    pub(super) flags: u64,
    pub(super) program: &'a [u8],
}

pub(super) fn file(rules: &[u8], flags: u64, program: &[u8]) -> Vec<u8> {
    let length = |bytes: &[u8]| (bytes.len() as u64).to_le_bytes();
    [VERSION, &length(rules), rules, &flags.to_le_bytes(), &length(program), program].concat()
}

/// None for anything but a whole file, such as one that was cut short when the disk was full.
pub(super) fn parse(bytes: &[u8]) -> Option<Whole<'_>> {
    let (length, rest) = bytes.strip_prefix(VERSION)?.split_first_chunk::<8>()?;
    let (rules, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let (flags, rest) = rest.split_first_chunk::<8>()?;
    let (length, program) = rest.split_first_chunk::<8>()?;
    (u64::from_le_bytes(*length) == program.len() as u64 && !program.is_empty()).then(|| Whole {
        rules,
        flags: u64::from_le_bytes(*flags),
        program,
    })
}

#[derive(Debug)]
pub(super) struct Entry {
    path: PathBuf,
    rules: Vec<u8>,
    flags: u64,
}

impl Entry {
    pub(super) fn of(rules: &LinuxSeccomp, flags: u64, directory: &Path) -> Result<Self> {
        let rules = serde_json::to_vec(rules)
            .map_err(|e| Error::Seccomp { step: "write rules", reason: e.to_string() })?;
        let mut hasher = DefaultHasher::new();
        (VERSION, &rules).hash(&mut hasher);
        Ok(Self { path: directory.join(format!("{:016x}.bpf", hasher.finish())), rules, flags })
    }

    pub(super) fn into_path(self) -> PathBuf {
        self.path
    }

    /// The program, when it has been kept. Anything wrong with the file means that it was not.
    pub(super) fn read(&self) -> Option<Vec<u8>> {
        let bytes = std::fs::read(&self.path).ok()?;
        let whole = parse(&bytes)?;
        (whole.rules == self.rules && whole.flags == self.flags).then(|| whole.program.to_vec())
    }

    /// Keeps the program, and says whether it is kept. Not being able to costs time at the next start and nothing else.
    pub(super) fn write(&self, program: &[u8]) -> bool {
        let temporary = self.path.with_extension(format!("{}", std::process::id()));
        let written = std::fs::write(&temporary, file(&self.rules, self.flags, program))
            .and_then(|()| std::fs::rename(&temporary, &self.path));
        if written.is_err() {
            drop(std::fs::remove_file(&temporary));
        }
        written.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(errno: u32) -> LinuxSeccomp {
        let json = format!(r#"{{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":{errno},"syscalls":[]}}"#);
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn a_program_is_found_again_for_the_same_rules_only() {
        let directory = tempfile::tempdir().unwrap();
        let entry = Entry::of(&rules(1), 0, directory.path()).unwrap();
        assert_eq!(entry.read(), None);
        assert!(entry.write(b"12345678"));
        assert_eq!(entry.read().as_deref(), Some(&b"12345678"[..]));
        let mut other = Entry::of(&rules(2), 0, directory.path()).unwrap();
        other.path = entry.path.clone();
        assert_eq!(other.read(), None, "the hash alone must not decide");
    }

    #[test]
    fn a_file_cut_short_is_no_program() {
        let directory = tempfile::tempdir().unwrap();
        let entry = Entry::of(&rules(1), 0, directory.path()).unwrap();
        assert!(entry.write(b"12345678"));
        let whole = std::fs::read(&entry.path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&entry.path, &whole[..length]).unwrap();
            assert_eq!(entry.read(), None, "{length} bytes");
        }
    }
}
