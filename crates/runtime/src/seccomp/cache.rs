//! Compiled filters, kept between containers.
//!
//! A file holds the rules it was made from, as JSON, and the program. The rules are compared whole: a name that two
//! sets of rules share costs a compilation, never a wrong filter. The directory must be the engine's own (mode 0700);
//! whoever can write to it decides what containers may do.

use crate::{Error, Result};
use oci_spec::runtime::LinuxSeccomp;
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

/// Changes when the same rules compile to another program than before.
const VERSION: &[u8] = b"lichen seccomp 2\n";

#[derive(Debug)]
pub(super) struct Entry {
    path: PathBuf,
    /// Version and rules: what the file must begin with.
    head: Vec<u8>,
}

impl Entry {
    pub(super) fn of(rules: &LinuxSeccomp, directory: &Path) -> Result<Self> {
        let rules = serde_json::to_vec(rules)
            .map_err(|e| Error::Seccomp { step: "write rules", reason: e.to_string() })?;
        let head = [VERSION, &(rules.len() as u64).to_le_bytes(), &rules].concat();
        let mut hasher = DefaultHasher::new();
        head.hash(&mut hasher);
        Ok(Self { path: directory.join(format!("{:016x}.bpf", hasher.finish())), head })
    }

    /// The program, when it has been kept. Anything wrong with the file means that it was not.
    pub(super) fn read(&self) -> Option<Vec<u8>> {
        let bytes = std::fs::read(&self.path).ok()?;
        let (length, program) = bytes.strip_prefix(&*self.head)?.split_first_chunk::<8>()?;
        // A file that was cut short when the disk was full.
        (u64::from_le_bytes(*length) == program.len() as u64 && !program.is_empty()).then(|| program.to_vec())
    }

    /// Keeps the program. Not being able to costs time at the next start and nothing else.
    pub(super) fn write(&self, program: &[u8]) {
        let contents = [&self.head, &(program.len() as u64).to_le_bytes()[..], program].concat();
        let temporary = self.path.with_extension(format!("{}", std::process::id()));
        if std::fs::write(&temporary, contents)
            .and_then(|()| std::fs::rename(&temporary, &self.path))
            .is_err()
        {
            drop(std::fs::remove_file(&temporary));
        }
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
        let entry = Entry::of(&rules(1), directory.path()).unwrap();
        assert_eq!(entry.read(), None);
        entry.write(b"12345678");
        assert_eq!(entry.read().as_deref(), Some(&b"12345678"[..]));
        let mut other = Entry::of(&rules(2), directory.path()).unwrap();
        other.path = entry.path.clone();
        assert_eq!(other.read(), None, "the hash alone must not decide");
    }

    #[test]
    fn a_file_cut_short_is_no_program() {
        let directory = tempfile::tempdir().unwrap();
        let entry = Entry::of(&rules(1), directory.path()).unwrap();
        entry.write(b"12345678");
        let whole = std::fs::read(&entry.path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&entry.path, &whole[..length]).unwrap();
            assert_eq!(entry.read(), None, "{length} bytes");
        }
    }
}
