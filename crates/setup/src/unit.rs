//! The systemd user unit.

use std::path::Path;

pub const NAME: &str = "docker.service";

/// What the unit needs to know.
#[derive(Debug)]
pub struct Unit<'a> {
    /// `lichen`, by an absolute path.
    pub program: &'a Path,
    /// PATH of whoever installs, where newuidmap and the like were found.
    pub path: &'a str,
    /// Whether the user's manager knows dbus.socket: requiring a unit that does not exist fails.
    pub bus: bool,
}

impl Unit<'_> {
    /// `Delegate=yes` gives containers' limits to the engine. `KillMode=process`, because the engine stops containers on
    /// a graceful stop itself, so that a crash or an upgrade of the engine spares them (systemd.kill(5)).
    /// The limits are what dockerd's own unit has: containers inherit them.
    pub fn text(&self) -> String {
        let program = quoted(&self.program.display().to_string());
        let path = escaped(self.path);
        let bus = if self.bus { "Requires=dbus.socket\nAfter=dbus.socket\n" } else { "" };
        format!(
            "[Unit]
Description=Lichen, a rootless container engine
{bus}StartLimitBurst=3
StartLimitIntervalSec=60s

[Service]
Environment=\"PATH={path}\"
ExecStart={program} daemon
ExecReload=/bin/kill -s HUP $MAINPID
TimeoutSec=0
RestartSec=2
Restart=always
LimitNOFILE=infinity
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
Delegate=yes
Type=notify
NotifyAccess=all
KillMode=process

[Install]
WantedBy=default.target
"
        )
    }
}

/// systemd.syntax(7), "Quoting", and systemd.unit(5), "Specifiers".
fn quoted(word: &str) -> String {
    format!("\"{}\"", escaped(word).replace('$', "$$"))
}

fn escaped(word: &str) -> String {
    word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_of_an_ordinary_host() {
        let unit = Unit { program: Path::new("/usr/bin/lichen"), path: "/usr/bin:/bin", bus: true };
        insta::assert_snapshot!(unit.text(), @r#"
        [Unit]
        Description=Lichen, a rootless container engine
        Requires=dbus.socket
        After=dbus.socket
        StartLimitBurst=3
        StartLimitIntervalSec=60s

        [Service]
        Environment="PATH=/usr/bin:/bin"
        ExecStart="/usr/bin/lichen" daemon
        ExecReload=/bin/kill -s HUP $MAINPID
        TimeoutSec=0
        RestartSec=2
        Restart=always
        LimitNOFILE=infinity
        LimitNPROC=infinity
        LimitCORE=infinity
        TasksMax=infinity
        Delegate=yes
        Type=notify
        NotifyAccess=all
        KillMode=process

        [Install]
        WantedBy=default.target
        "#);
    }

    #[test]
    fn odd_paths_are_quoted() {
        let unit = Unit { program: Path::new("/home/a b/100%/$x/lichen"), path: "/a \"b\"", bus: false };
        let text = unit.text();
        assert!(text.contains("ExecStart=\"/home/a b/100%%/$$x/lichen\" daemon\n"), "{text}");
        assert!(text.contains("Environment=\"PATH=/a \\\"b\\\"\"\n"), "{text}");
        assert!(!text.contains("dbus.socket"), "{text}");
    }
}
