//! Which distribution this is, and how its packages are installed (os-release(5)).

use crate::facts::on_path;
use std::fs;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// `PRETTY_NAME`.
    pub name: String,
    /// None: unknown, so that fixes can name packages only.
    pub packages: Option<Packages>,
}

/// Package managers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packages {
    Apt,
    Dnf,
    Yum,
    Zypper,
    Pacman,
    Apk,
}

/// What a fix installs; packages are named differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// newuidmap and newgidmap.
    UidMap,
    /// A D-Bus daemon for the user's session.
    SessionBus,
    FuseOverlayfs,
}

impl Distribution {
    pub fn read() -> Self {
        let text =
            fs::read_to_string("/etc/os-release").or_else(|_| fs::read_to_string("/usr/lib/os-release"));
        let mut distribution = Self::parse(&text.unwrap_or_default());
        if distribution.packages == Some(Packages::Dnf) && on_path("dnf").is_none() {
            distribution.packages = Some(Packages::Yum);
        }
        if distribution.packages.is_none() {
            let known = [
                ("apt-get", Packages::Apt),
                ("dnf", Packages::Dnf),
                ("yum", Packages::Yum),
                ("zypper", Packages::Zypper),
                ("pacman", Packages::Pacman),
                ("apk", Packages::Apk),
            ];
            distribution.packages = known.into_iter().find(|(p, _)| on_path(p).is_some()).map(|(_, p)| p);
        }
        distribution
    }

    fn parse(text: &str) -> Self {
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
            Some(line.trim().trim_matches(['"', '\'']).to_owned())
        };
        let ids = format!("{} {}", value("ID").unwrap_or_default(), value("ID_LIKE").unwrap_or_default());
        let packages = ids.split_whitespace().find_map(|id| match id {
            "debian" | "ubuntu" => Some(Packages::Apt),
            "fedora" | "rhel" | "centos" | "rocky" | "almalinux" | "ol" | "amzn" => Some(Packages::Dnf),
            id if id.starts_with("opensuse") => Some(Packages::Zypper),
            "suse" | "sles" => Some(Packages::Zypper),
            "arch" => Some(Packages::Pacman),
            "alpine" => Some(Packages::Apk),
            _ => None,
        });
        Self { name: value("PRETTY_NAME").unwrap_or_else(|| "Linux".to_owned()), packages }
    }
}

impl Packages {
    /// The command that installs `need`, for root.
    pub fn install(self, need: Need) -> String {
        let package = self.package(need);
        match self {
            Self::Apt => format!("apt-get install -y {package}"),
            Self::Dnf => format!("dnf install -y {package}"),
            Self::Yum => format!("yum install -y {package}"),
            Self::Zypper => format!("zypper --non-interactive install {package}"),
            Self::Pacman => format!("pacman --noconfirm -S {package}"),
            Self::Apk => format!("apk add {package}"),
        }
    }

    fn package(self, need: Need) -> &'static str {
        match (need, self) {
            (Need::UidMap, Self::Apt) => "uidmap",
            (Need::UidMap, Self::Dnf | Self::Yum) => "shadow-utils",
            (Need::UidMap, Self::Zypper | Self::Pacman) => "shadow",
            // Newer releases call it shadow-subids, which provides the old name.
            (Need::UidMap, Self::Apk) => "shadow-uidmap",
            (Need::SessionBus, Self::Apt) => "dbus-user-session",
            (Need::SessionBus, Self::Dnf | Self::Yum) => "dbus-daemon",
            (Need::SessionBus, Self::Zypper) => "dbus-1",
            (Need::SessionBus, Self::Pacman | Self::Apk) => "dbus",
            (Need::FuseOverlayfs, _) => "fuse-overlayfs",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_are_known_by_themselves_and_by_their_kin() {
        let manager = |text: &str| Distribution::parse(text).packages;
        assert_eq!(manager("ID=debian\n"), Some(Packages::Apt));
        assert_eq!(manager("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"), Some(Packages::Apt));
        assert_eq!(manager("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"), Some(Packages::Dnf));
        assert_eq!(manager("ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n"), Some(Packages::Zypper));
        assert_eq!(manager("ID=arch\n"), Some(Packages::Pacman));
        assert_eq!(manager("ID=alpine\n"), Some(Packages::Apk));
        assert_eq!(manager("ID=nixos\n"), None);
        let debian = Distribution::parse("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n");
        assert_eq!(debian.name, "Debian GNU/Linux 12 (bookworm)");
    }
}
