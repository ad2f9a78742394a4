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

/// The profile that Ubuntu's restriction changes to when a user namespace is made (24.04's apparmor package): who has it
/// met the restriction, not a profile of his own.
const RESTRICTED: &str = "unprivileged_userns";

impl AppArmor {
    pub fn read() -> Self {
        let current = CURRENT.iter().find_map(|file| fs::read_to_string(file).ok());
        let restricted = fs::read_to_string(RESTRICTION).is_ok_and(|text| text.trim() == "1");
        Self::judge(current.as_deref().unwrap_or_default(), restricted)
    }

    /// The setting concerns those alone who are unconfined: others are judged by their profile (`aa_profile_ns_perm` in
    /// security/apparmor/task.c, Linux 6.7).
    fn judge(current: &str, restricted: bool) -> Self {
        match enforced(current) {
            Some(profile) if profile != RESTRICTED || !restricted => Self::Confines(profile),
            _ if restricted && !current.trim_end().ends_with(" (complain)") => Self::Restricts,
            _ => Self::Indifferent,
        }
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
    fn the_setting_concerns_the_unconfined_alone() {
        let confined = |profile: &str| AppArmor::Confines(profile.to_owned());
        for (current, restricted, expected) in [
            ("docker-default (enforce)\n", true, confined("docker-default")),
            ("docker-default (enforce)\n", false, confined("docker-default")),
            ("unconfined\n", true, AppArmor::Restricts),
            ("unconfined\n", false, AppArmor::Indifferent),
            ("lichen (unconfined)\n", true, AppArmor::Restricts),
            ("lichen (complain)\n", true, AppArmor::Indifferent),
            ("", true, AppArmor::Restricts),
            ("unprivileged_userns (enforce)\n", true, AppArmor::Restricts),
            ("unprivileged_userns (enforce)\n", false, confined("unprivileged_userns")),
        ] {
            assert_eq!(AppArmor::judge(current, restricted), expected, "{current:?} {restricted}");
        }
    }

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
