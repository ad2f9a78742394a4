//! SELinux's part in what this process may do.

use crate::error::SANDBOXED;
use std::fs;

/// The label that a policy judges this process by, where one is enforced.
pub fn enforced() -> Option<String> {
    let enforce = fs::read_to_string("/sys/fs/selinux/enforce").ok()?;
    let label = fs::read_to_string("/proc/self/attr/current").unwrap_or_default();
    judge(&enforce, &label)
}

/// The kernel ends a label with a NUL (proc_pid_attr(5)).
fn judge(enforce: &str, label: &str) -> Option<String> {
    let label = label.trim_end_matches(['\0', '\n']);
    (enforce.trim() == "1").then(|| if label.is_empty() { "this process" } else { label }.to_owned())
}

/// What to do where user namespaces are forbidden and nothing tells who forbids them.
pub fn fix(label: &str, user: &str) -> String {
    if label.contains(":unconfined_t:") {
        return SANDBOXED.to_owned();
    }
    format!(
        "SELinux's policy for {label} may forbid it (root finds out by ausearch -m avc): have root map you to an SELinux user \
         who is not confined (semanage login -a -s unconfined_u {user}; restorecon -RF your home)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_policy_that_is_enforced_judges() {
        let label = "user_u:user_r:user_t:s0";
        assert_eq!(judge("1", &format!("{label}\0")), Some(label.to_owned()));
        assert_eq!(judge("1\n", ""), Some("this process".to_owned()));
        assert_eq!(judge("0", label), None);
        assert_eq!(fix("unconfined_u:unconfined_r:unconfined_t:s0", "alice"), SANDBOXED, "that one may");
    }
}
