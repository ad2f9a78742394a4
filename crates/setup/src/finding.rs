//! One thing that was checked, and what to do about it.

use serde::Serialize;
use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable, for programs: `subuid`, `overlay`, …
    pub id: &'static str,
    pub group: Group,
    pub status: Status,
    /// One line: what was found and what it means.
    pub summary: String,
    pub fix: Fix,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Ok,
    /// True on most hosts, and only some need it otherwise.
    Info,
    /// The engine starts, and something will not work.
    Warning,
    /// The engine does not start, or what it needs most is missing.
    Error,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    Account,
    UserNamespaces,
    Storage,
    Network,
    Limits,
    Session,
    Engine,
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Account => "Account",
            Self::UserNamespaces => "User namespaces",
            Self::Storage => "Storage",
            Self::Network => "Network",
            Self::Limits => "Limits",
            Self::Session => "Session",
            Self::Engine => "Engine",
        })
    }
}

/// What makes it good.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Fix {
    /// Shell lines for root.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub root: Vec<String>,
    /// What the user does, in words or shell lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

impl Fix {
    pub fn root<L: Into<String>>(lines: impl IntoIterator<Item = L>) -> Self {
        Self { root: lines.into_iter().map(Into::into).collect(), user: None }
    }

    pub fn user(text: impl Into<String>) -> Self {
        Self { root: Vec::new(), user: Some(text.into()) }
    }
}

impl Finding {
    pub fn ok(id: &'static str, group: Group, summary: impl Into<String>) -> Self {
        Self { id, group, status: Status::Ok, summary: summary.into(), fix: Fix::default() }
    }

    pub fn bad(status: Status, id: &'static str, group: Group, summary: impl Into<String>, fix: Fix) -> Self {
        Self { id, group, status, summary: summary.into(), fix }
    }
}

/// A file below /etc/sysctl.d with one setting, and its application.
pub fn sysctl_fix(file: &str, setting: &str) -> Fix {
    Fix::root([
        format!("cat <<EOT > /etc/sysctl.d/{file}"),
        setting.to_owned(),
        "EOT".to_owned(),
        "sysctl --system".to_owned(),
    ])
}
