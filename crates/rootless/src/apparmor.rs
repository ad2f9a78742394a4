//! AppArmor's part in whether user namespaces can be made.

use std::fs;

/// Ubuntu's setting (23.10 and later): programs without a profile that allows it get a user namespace without rights.
const RESTRICTION: &str = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";

/// Who is confined by what (Documentation/admin-guide/LSM/apparmor.rst); the first is the module's own file, since
/// Linux 5.8, the second the one it shares with others.
const CURRENT: [&str; 2] = ["/proc/self/attr/apparmor/current", "/proc/self/attr/current"];

/// What AppArmor may have against user namespaces of this process; the kernel's EACCES does not tell who it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppArmor {
    /// Nothing: absent, or neither restricts nor confines.
    Indifferent,
    /// Unprivileged programs need a profile that says `userns,`.
    Restricts,
    /// This process runs under this profile, and the profile is enforced.
    Confines(String),
}

impl AppArmor {
    pub fn read() -> Self {
        let confined = || CURRENT.iter().find_map(|file| enforced(&fs::read_to_string(file).ok()?));
        if fs::read_to_string(RESTRICTION).is_ok_and(|text| text.trim() == "1") {
            return Self::Restricts;
        }
        confined().map_or(Self::Indifferent, Self::Confines)
    }
}

/// `NAME (enforce)`, where others are `unconfined`, `NAME (complain)` or `NAME (unconfined)`. SELinux's contexts, which
/// the shared file has elsewhere, have no mode.
fn enforced(text: &str) -> Option<String> {
    let profile = text.trim_end_matches(['\n', '\0']).strip_suffix(" (enforce)")?;
    Some(profile.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_enforced_profile_confines() {
        assert_eq!(enforced("/usr/bin/lichen (enforce)\n"), Some("/usr/bin/lichen".to_owned()));
        for text in [
            "unconfined\n",
            "lichen (complain)\n",
            "lichen (unconfined)\n",
            "system_u:system_r:init_t:s0\0",
            "",
        ] {
            assert_eq!(enforced(text), None, "{text:?}");
        }
    }
}
