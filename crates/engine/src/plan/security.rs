//! `--security-opt` (moby `parseSecurityOpt`).

use crate::{Config, Error, create::Invalid};
use spec::{
    oci::{Capabilities, LinuxSeccomp},
    seccomp::{Conditions, default_filter, from_profile},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) no_new_privileges: bool,
    seccomp: Seccomp,
    /// The profile is the container's own, not the engine's.
    own_profile: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Seccomp {
    Default,
    Unconfined,
    /// The text of a profile: the client sends the file's contents.
    Profile(String),
}

impl Options {
    /// # Errors
    /// [`Invalid::SecurityOpt`]; [`Error::Unsupported`] for AppArmor profiles, which cannot be loaded or entered from
    /// a user namespace without the host's help.
    pub(crate) fn parse(options: &[String], engine: &Config) -> Result<Self, Error> {
        let seccomp = match &engine.seccomp_profile {
            None => Seccomp::Default,
            Some(text) if text == "unconfined" => Seccomp::Unconfined,
            Some(text) => Seccomp::Profile(text.clone()),
        };
        let mut parsed = Self { no_new_privileges: engine.no_new_privileges, seccomp, own_profile: false };
        for option in options {
            parsed.apply(option)?;
        }
        Ok(parsed)
    }

    fn apply(&mut self, option: &str) -> Result<(), Error> {
        let invalid = || Error::from(Invalid::SecurityOpt(option.to_owned()));
        // A colon is what clients before 1.11 wrote.
        let pair = option.split_once('=').or_else(|| option.split_once(':'));
        match (option, pair) {
            ("no-new-privileges", _) => self.no_new_privileges = true,
            // SELinux: no label is ever set, so there is none to disable.
            ("disable", _) | (_, Some(("label", _))) => {}
            (_, Some(("no-new-privileges", value))) => {
                self.no_new_privileges = match value {
                    "true" | "1" => true,
                    "false" | "0" => false,
                    _ => return Err(invalid()),
                }
            }
            (_, Some(("seccomp", "unconfined"))) => self.seccomp = Seccomp::Unconfined,
            (_, Some(("seccomp", "builtin"))) => self.seccomp = Seccomp::Default,
            (_, Some(("seccomp", profile))) => {
                self.seccomp = Seccomp::Profile(profile.to_owned());
                self.own_profile = true;
            }
            (_, Some(("apparmor", "unconfined" | ""))) | (_, Some(("systempaths", "unconfined"))) => {}
            (_, Some(("apparmor", profile))) => {
                return Err(Error::Unsupported {
                    what: format!("AppArmor profile {profile:?} (rootless engines cannot apply one)"),
                });
            }
            _ => return Err(invalid()),
        }
        Ok(())
    }

    /// The filter for a process with these capabilities; none when unconfined. A privileged container has none but one
    /// that was asked for by name (moby issue 47499).
    pub(crate) fn filter(
        &self,
        capabilities: &Capabilities,
        privileged: bool,
    ) -> Result<Option<LinuxSeccomp>, Error> {
        let conditions = Conditions::here(capabilities);
        Ok(match &self.seccomp {
            _ if privileged && !self.own_profile => None,
            Seccomp::Unconfined => None,
            Seccomp::Default => Some(default_filter(&conditions)?),
            Seccomp::Profile(text) => Some(from_profile(text, &conditions)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::config;

    #[track_caller]
    fn check(option: &str, expected: Result<(bool, Seccomp), &str>) {
        let parsed = Options::parse(&[option.to_owned()], &config())
            .map(|o| (o.no_new_privileges, o.seccomp))
            .map_err(|e| e.to_string());
        assert_eq!(parsed, expected.map_err(str::to_owned));
    }

    #[test]
    fn options_are_read_as_docker_reads_them() {
        check("no-new-privileges", Ok((true, Seccomp::Default)));
        check("no-new-privileges:true", Ok((true, Seccomp::Default)));
        check("no-new-privileges=false", Ok((false, Seccomp::Default)));
        check("seccomp=unconfined", Ok((false, Seccomp::Unconfined)));
        check("seccomp={}", Ok((false, Seccomp::Profile("{}".into()))));
        check("label=disable", Ok((false, Seccomp::Default)));
        check("systempaths=unconfined", Ok((false, Seccomp::Default)));
        check("colour=red", Err("invalid --security-opt: \"colour=red\""));
        check("bare", Err("invalid --security-opt: \"bare\""));
        check(
            "apparmor=mine",
            Err("AppArmor profile \"mine\" (rootless engines cannot apply one) is not supported by Lichen"),
        );
    }
}
