//! The AppArmor profile that lets this program make user namespaces where others may not (Ubuntu 23.10 and later).

use crate::finding::Fix;
use std::path::Path;

/// Installs and loads a profile for `program`.
///
/// Its children keep the profile, so `lichen-shim`, which runs from memory and has no path to attach to, needs none.
pub fn fix(program: &Path) -> Fix {
    let file = file_name(program);
    Fix::root([
        format!("cat <<EOT > /etc/apparmor.d/{file}"),
        "abi <abi/4.0>,".to_owned(),
        "include <tunables/global>".to_owned(),
        format!("\"{}\" flags=(unconfined) {{", program.display()),
        "  userns,".to_owned(),
        format!("  include if exists <local/{file}>"),
        "}".to_owned(),
        "EOT".to_owned(),
        "systemctl restart apparmor.service".to_owned(),
    ])
}

/// `/home/user/bin/lichen` is `home.user.bin.lichen`, as profiles are named by custom.
fn file_name(program: &Path) -> String {
    program.display().to_string().trim_start_matches('/').replace('/', ".")
}
