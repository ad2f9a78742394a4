//! What the facts mean for an engine on this host.
//!
//! Errors are what keeps the engine from starting or from unpacking common images; warnings are what will not work
//! although the engine starts. Texts that users of Docker's rootless mode know are kept.

mod account;
mod ids;
mod network;
mod session;
mod storage;

use crate::facts::Facts;
use crate::finding::{Finding, Status};

/// Everything that was checked, good or bad, in the order to read.
pub fn check(facts: &Facts, force: bool) -> Vec<Finding> {
    let mut findings = account::check(facts, force);
    findings.extend(ids::check(facts, force));
    findings.extend(storage::check(facts));
    findings.extend(network::check(facts));
    findings.extend(session::check(facts));
    findings
}

/// Whether nothing essential is missing.
pub fn satisfied(findings: &[Finding]) -> bool {
    findings.iter().all(|f| f.status != Status::Error)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::cgroup::{Cgroup, WANTED};
    use crate::distribution::{Distribution, Packages};
    use crate::facts::*;
    use crate::probe::Probe;
    use crate::session::{Session, Systemd};
    use rootless::subid::Range;
    use rootless::{AppArmor, User};

    /// A host on which nothing is missing.
    pub(crate) fn good() -> Facts {
        let range = Range { start: 231_072, count: 65_536 };
        let ids = SubordinateIds { error: None, ranges: vec![range], shared: vec![], free: 296_608 };
        Facts {
            user: User { uid: 1001, gid: 1001, name: "testuser".into() },
            home: Directory::Good("/home/testuser".into()),
            runtime_dir: Directory::Good("/run/user/1001".into()),
            program: "/home/testuser/bin/lichen".into(),
            shim: Some("/home/testuser/bin/lichen-shim".into()),
            distribution: Distribution { name: "Debian GNU/Linux 12".into(), packages: Some(Packages::Apt) },
            kernel: "6.1.0-18-amd64".into(),
            newuidmap: MapProgram::Good("/usr/bin/newuidmap".into()),
            newgidmap: MapProgram::Good("/usr/bin/newgidmap".into()),
            subuid: ids.clone(),
            subgid: ids,
            sysctls: Sysctls {
                unprivileged_userns_clone: Some(1),
                max_user_namespaces: Some(28_633),
                ip_unprivileged_port_start: Some(0),
                ping_group_range: Some((0, 2_147_483_647)),
            },
            apparmor: AppArmor::Indifferent,
            selinux: None,
            user_namespace: Probe::Works,
            overlay: Probe::Works,
            tun: Device::Good,
            fuse: Device::Good,
            fuse_overlayfs: false,
            cgroup: Cgroup::Unified { controllers: WANTED.iter().map(|c| (*c).to_owned()).collect() },
            session: Session { systemd: Systemd::Running, bus: true, linger: Some(true) },
            data_root: DataRoot {
                path: "/home/testuser/.local/share/lichen".into(),
                file_system: "extfs".into(),
                remote: false,
            },
            rootful_socket: false,
        }
    }

    /// What is found when `spoil` has made one thing bad: status, summary and fix, a line each.
    fn found(spoil: impl FnOnce(&mut Facts)) -> String {
        let mut facts = good();
        spoil(&mut facts);
        let bad = check(&facts, false).into_iter().filter(|f| f.status != Status::Ok);
        let lines = bad.map(|f| {
            let fix =
                f.fix.root.iter().map(|l| format!("\n  # {l}")).chain(f.fix.user.map(|u| format!("\n  {u}")));
            format!("{:?} {}: {}{}", f.status, f.id, f.summary, fix.collect::<String>())
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_good_host_has_nothing_to_complain_of() {
        assert_eq!(found(|_| {}), "");
    }

    #[test]
    fn missing_map_programs_name_the_package_of_the_distribution() {
        insta::assert_snapshot!(found(|f| f.newuidmap = MapProgram::Missing), @r#"
        Error newuidmap: newuidmap is not installed
          # apt-get install -y uidmap
        "#);
        let arch = found(|f| {
            f.newgidmap = MapProgram::Missing;
            f.distribution.packages = Some(Packages::Pacman);
        });
        assert!(arch.contains("# pacman --noconfirm -S shadow"), "{arch}");
        insta::assert_snapshot!(found(|f| f.newuidmap = MapProgram::Unprivileged("/usr/bin/newuidmap".into())), @r#"
        Error newuidmap: /usr/bin/newuidmap has neither the set-user-ID bit nor file capabilities
          # chmod u+s /usr/bin/newuidmap
        "#);
    }

    #[test]
    fn subordinate_ids() {
        insta::assert_snapshot!(found(|f| f.subuid.ranges.clear()), @r#"
        Error subuid: No subuid ranges found for user 1001 ("testuser"): without them images run with a single ID (--force accepts that)
          # echo "testuser:296608:65536" >> /etc/subuid
        "#);
        insta::assert_snapshot!(found(|f| f.subgid.ranges[0].count = 1000), @r#"
        Warning subgid: only 1000 subgids for user "testuser", images commonly need 65536: pulling fails with "lchown <FILE>: invalid argument" for those that do
          # echo "testuser:296608:65536" >> /etc/subgid
        "#);
        insta::assert_snapshot!(
            found(|f| f.subuid.shared = vec![("other".into(), Range { start: 231_072, count: 10 })]),
            @r#"
            Warning subuid: /etc/subuid: the range 231072:10 of user other overlaps yours: that user can act as your containers
              have one of the ranges in /etc/subuid moved before containers make files
            "#
        );
    }

    #[test]
    fn kernel_settings() {
        insta::assert_snapshot!(found(|f| f.sysctls.unprivileged_userns_clone = Some(0)), @r#"
        Error user-namespaces: kernel.unprivileged_userns_clone is 0: users may not create user namespaces
          # cat <<EOT > /etc/sysctl.d/50-rootless.conf
          # kernel.unprivileged_userns_clone = 1
          # EOT
          # sysctl --system
        "#);
        insta::assert_snapshot!(found(|f| f.sysctls.max_user_namespaces = Some(0)), @r#"
        Error user-namespaces: user.max_user_namespaces is 0: no user namespace can be created
          # cat <<EOT > /etc/sysctl.d/51-rootless.conf
          # user.max_user_namespaces = 28633
          # EOT
          # sysctl --system
        "#);
        insta::assert_snapshot!(
            found(|f| {
                f.apparmor = AppArmor::Restricts;
                f.user_namespace = Probe::Fails("write /proc/self/uid_map: Operation not permitted".into());
            }),
            @r#"
            Error user-namespaces: AppArmor restricts unprivileged user namespaces (write /proc/self/uid_map: Operation not permitted)
              # cat <<EOT > /etc/apparmor.d/home.testuser.bin.lichen
              # abi <abi/4.0>,
              # include <tunables/global>
              # "/home/testuser/bin/lichen" flags=(unconfined) {
              #   userns,
              #   include if exists <local/home.testuser.bin.lichen>
              # }
              # EOT
              # systemctl restart apparmor.service
            "#
        );
    }

    #[test]
    fn a_profile_of_ones_own_is_mended_and_a_sandboxs_is_not() {
        let under = |profile: &str| {
            found(|f| {
                f.apparmor = AppArmor::Confines(profile.into());
                f.user_namespace = Probe::Fails("unshare(CLONE_NEWUSER): Permission denied".into());
            })
        };
        let own = under("/home/testuser/bin/lichen");
        assert!(
            own.starts_with(
                "Error user-namespaces: AppArmor's profile /home/testuser/bin/lichen does not allow user namespaces"
            ),
            "{own}"
        );
        assert!(own.contains("# cat <<EOT > /etc/apparmor.d/home.testuser.bin.lichen"), "{own}");
        let container = under("docker-default");
        assert!(container.contains("under AppArmor's profile docker-default: unshare"), "{container}");
        assert!(
            container.contains("--security-opt apparmor=unconfined") && !container.contains("cat <<"),
            "{container}"
        );
    }

    #[test]
    fn selinux_is_told_and_may_be_what_keeps_overlay_away() {
        insta::assert_snapshot!(
            found(|f| {
                f.selinux = Some("unconfined_u:unconfined_r:unconfined_t:s0".into());
                f.overlay = Probe::Fails("fsconfig: Permission denied".into());
            }),
            @r#"
        Info selinux: SELinux is enforcing: containers have the label of what you run yourself, so it does not keep them apart from your files (--security-opt label=… and :z change nothing)
        Warning overlay: the kernel's overlay cannot be mounted in a user namespace, perhaps by SELinux's policy: fsconfig: Permission denied; vfs is used, which copies every layer
          # apt-get install -y fuse-overlayfs
        "#
        );
    }

    #[test]
    fn selinux_may_be_what_keeps_user_namespaces_away() {
        insta::assert_snapshot!(
            found(|f| {
                f.selinux = Some("user_u:user_r:user_t:s0".into());
                f.user_namespace = Probe::Fails("write /proc/self/setgroups: Permission denied".into());
            }),
            @r#"
        Error user-namespaces: no user namespace can be made: write /proc/self/setgroups: Permission denied
          SELinux's policy for user_u:user_r:user_t:s0 may forbid it (root finds out by ausearch -m avc): have root map you to an SELinux user who is not confined (semanage login -a -s unconfined_u testuser; restorecon -RF your home)
        Info selinux: SELinux is enforcing: containers have the label of what you run yourself, so it does not keep them apart from your files (--security-opt label=… and :z change nothing)
        "#
        );
    }

    #[test]
    fn places() {
        insta::assert_snapshot!(found(|f| f.runtime_dir = Directory::Unset), @r#"
        Error runtime-dir: could not get XDG_RUNTIME_DIR: it is not set
          # loginctl enable-linger testuser
          su and sudo make no session: log in by ssh or with `sudo machinectl shell testuser@`, or run export XDG_RUNTIME_DIR=/run/user/1001
        "#);
        insta::assert_snapshot!(found(|f| f.rootful_socket = true), @r#"
        Error rootful: Aborting because rootful Docker (/var/run/docker.sock) is running and accessible. Set --force to ignore.
          if nobody needs it: sudo systemctl disable --now docker.service docker.socket && sudo rm -f /var/run/docker.sock
        "#);
        insta::assert_snapshot!(found(|f| f.home = Directory::NotWritable("/home/testuser".into())), @"Error home: HOME needs to be writable: /home/testuser is not");
        insta::assert_snapshot!(
            found(|f| {
                f.data_root.remote = true;
                f.data_root.file_system = "nfs".into();
            }),
            @r#"
            Error data-root: /home/testuser/.local/share/lichen is on nfs, whose server does not let you give files to subordinate IDs (lchown: operation not permitted)
              choose a local directory in ~/.config/docker/daemon.json: {"data-root":"/somewhere-out-of-nfs"}
            "#
        );
    }

    #[test]
    fn an_old_kernel_without_overlay_names_what_takes_its_place() {
        let old = found(|f| {
            f.kernel = "4.19.0-21-amd64".into();
            f.overlay = Probe::Fails("fsopen overlay: Operation not permitted".into());
        });
        insta::assert_snapshot!(old, @r#"
        Warning overlay: the kernel's overlay cannot be mounted in a user namespace (Linux 5.11 is the first that allows it): fsopen overlay: Operation not permitted; vfs is used, which copies every layer
          # apt-get install -y fuse-overlayfs
        "#);
    }

    #[test]
    fn limits_and_sessions() {
        insta::assert_snapshot!(found(|f| f.cgroup = Cgroup::Old), @r#"
        Warning cgroup: no cgroup v2: --cpus, --memory, --pids-limit and the like are ignored
          boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line (Linux 5.2 or later)
        "#);
        let some = ["memory", "pids"].map(str::to_owned).into();
        insta::assert_snapshot!(found(|f| f.cgroup = Cgroup::Unified { controllers: some }), @r#"
        Warning cgroup: cgroup controllers cpu, cpuset, io are not delegated to you: limits by them are ignored
          # mkdir -p /etc/systemd/system/user@.service.d
          # cat <<EOT > /etc/systemd/system/user@.service.d/delegate.conf
          # [Service]
          # Delegate=cpu cpuset io memory pids
          # EOT
          # systemctl daemon-reload
        "#);
        insta::assert_snapshot!(found(|f| f.session.bus = false), @r#"
        Warning dbus: no D-Bus for your session: systemd cannot be asked for cgroups
          # apt-get install -y dbus-user-session
          log in again afterwards, or run systemctl --user enable --now dbus
        "#);
        insta::assert_snapshot!(found(|f| f.session.linger = Some(false)), @r#"
        Info linger: lingering is off: the engine starts when you log in and stops when you log out
          # loginctl enable-linger testuser
        "#);
        insta::assert_snapshot!(
            found(|f| f.session.systemd =
                Systemd::NoManager("Failed to connect to bus: No such file or directory".into())),
            @r#"
            Warning systemd: systemctl --user does not work: Failed to connect to bus: No such file or directory
              su and sudo make no session: log in by ssh, on the console or with `sudo machinectl shell testuser@` (package systemd-container)
            "#
        );
    }

    #[test]
    fn network() {
        insta::assert_snapshot!(found(|f| f.tun = Device::Missing), @r#"
        Warning tun: /dev/net/tun does not exist: containers reach nothing outside
          # modprobe tun
          # echo tun > /etc/modules-load.d/tun.conf
        "#);
        insta::assert_snapshot!(found(|f| f.sysctls.ping_group_range = Some((1, 0))), @r#"
        Warning ping: net.ipv4.ping_group_range is 1 0, without your group 1001: ping from containers does not work
          # cat <<EOT > /etc/sysctl.d/52-rootless-ping.conf
          # net.ipv4.ping_group_range = 0 2147483647
          # EOT
          # sysctl --system
        "#);
        insta::assert_snapshot!(found(|f| f.sysctls.ip_unprivileged_port_start = Some(1024)), @r#"
        Info privileged-ports: ports below 1024 cannot be published
          # cat <<EOT > /etc/sysctl.d/53-rootless-ports.conf
          # net.ipv4.ip_unprivileged_port_start = 0
          # EOT
          # sysctl --system
        "#);
    }
}
