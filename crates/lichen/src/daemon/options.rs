//! dockerd's options, by flag and by key of `daemon.json`, and how far each is supported here.
//!
//! The names, kinds and defaults are dockerd's (docs.docker.com, "dockerd"); those after the blank line are Lichen's own.

/// How an option's value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `--debug`, `--debug=false`; true or false in the file.
    Bool,
    Text,
    /// A whole number.
    Number,
    /// May be repeated; an array in the file.
    List,
    /// `--log-opt key=value`, repeated; an object of texts in the file.
    Map,
    /// An object in the file whose shape is the option's own; `--flag` takes its own form.
    Object,
}

/// Whether setting it means anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Support {
    Yes,
    /// Accepted, with a line in the log that says why it changes nothing.
    NoEffect(&'static str),
    /// Refused, with this reason. A Boolean may still be set to false.
    No(&'static str),
    /// Not in the file: it says where the file is, or what to do.
    FlagOnly,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Opt {
    pub(crate) flag: &'static str,
    pub(crate) short: Option<char>,
    /// The key in the file.
    pub(crate) key: &'static str,
    pub(crate) kind: Kind,
    pub(crate) support: Support,
}

const fn opt(flag: &'static str, key: &'static str, kind: Kind, support: Support) -> Opt {
    Opt { flag, short: None, key, kind, support }
}

const fn short(short: char, flag: &'static str, key: &'static str, kind: Kind, support: Support) -> Opt {
    Opt { flag, short: Some(short), key, kind, support }
}

const NO_IPTABLES: Support = Support::NoEffect("no iptables are needed");
const NO_SWARM: Support = Support::No("swarm mode is not supported");
const NO_CONTAINERD: Support = Support::No("there is no containerd to talk to");
const NO_REALTIME: Support = Support::No("real-time scheduling limits need cgroup v1 and root");

use Kind::{Bool, List, Map, Number, Object, Text};
use Support::{FlagOnly, No, NoEffect, Yes};

#[rustfmt::skip]
pub(crate) const OPTIONS: &[Opt] = &[
    opt("add-runtime", "runtimes", Object, Yes),
    opt("allow-direct-routing", "allow-direct-routing", Bool, NoEffect("no packet filter stands between networks and their host")),
    opt("authorization-plugin", "authorization-plugins", List, No("authorization plugins are not supported")),
    opt("bip", "bip", Text, Yes),
    opt("bip6", "bip6", Text, No("the default bridge has no IPv6 yet")),
    short('b', "bridge", "bridge", Text, No("the default network's bridge is made by the engine; use a user-defined network")),
    opt("bridge-accept-fwmark", "bridge-accept-fwmark", Text, NO_IPTABLES),
    opt("cdi-spec-dir", "cdi-spec-dirs", List, No("CDI devices are not supported yet")),
    opt("cgroup-parent", "cgroup-parent", Text, Yes),
    opt("config-file", "", Text, FlagOnly),
    opt("containerd", "containerd", Text, NO_CONTAINERD),
    opt("containerd-namespace", "containerd-namespace", Text, NO_CONTAINERD),
    opt("containerd-plugins-namespace", "containerd-plugins-namespace", Text, NO_CONTAINERD),
    opt("cpu-rt-period", "cpu-rt-period", Number, NO_REALTIME),
    opt("cpu-rt-runtime", "cpu-rt-runtime", Number, NO_REALTIME),
    opt("cri-containerd", "cri-containerd", Bool, NO_CONTAINERD),
    opt("data-root", "data-root", Text, Yes),
    short('D', "debug", "debug", Bool, Yes),
    opt("default-address-pool", "default-address-pools", Object, Yes),
    opt("default-cgroupns-mode", "default-cgroupns-mode", Text, Yes),
    opt("default-gateway", "default-gateway", Text, No("the default bridge's gateway is its own address; see --bip")),
    opt("default-gateway-v6", "default-gateway-v6", Text, No("the default bridge has no IPv6 yet")),
    opt("default-ipc-mode", "default-ipc-mode", Text, Yes),
    opt("default-network-opt", "default-network-opts", Object, No("default options of user-defined networks are not supported")),
    opt("default-runtime", "default-runtime", Text, Yes),
    opt("default-shm-size", "default-shm-size", Text, Yes),
    opt("default-ulimit", "default-ulimits", Object, Yes),
    opt("dns", "dns", List, Yes),
    opt("dns-opt", "dns-opts", List, Yes),
    opt("dns-search", "dns-search", List, Yes),
    opt("exec-opt", "exec-opts", List, Yes),
    opt("exec-root", "exec-root", Text, Yes),
    opt("experimental", "experimental", Bool, NoEffect("there are no experimental features")),
    opt("feature", "features", Object, NoEffect("there are no optional features")),
    opt("firewall-backend", "firewall-backend", Text, NO_IPTABLES),
    opt("fixed-cidr", "fixed-cidr", Text, Yes),
    opt("fixed-cidr-v6", "fixed-cidr-v6", Text, No("the default bridge has no IPv6 yet")),
    short('G', "group", "group", Text, NoEffect("the socket belongs to the user alone")),
    short('H', "host", "hosts", List, Yes),
    opt("host-gateway-ip", "host-gateway-ips", List, Yes),
    opt("http-proxy", "http-proxy", Text, Yes),
    opt("https-proxy", "https-proxy", Text, Yes),
    opt("icc", "icc", Bool, Yes),
    opt("init", "init", Bool, Yes),
    opt("init-path", "init-path", Text, Yes),
    opt("insecure-registry", "insecure-registries", List, Yes),
    opt("ip", "ip", Text, Yes),
    opt("ip-forward", "ip-forward", Bool, NoEffect("forwarding is a matter of the engine's own network namespace")),
    opt("ip-forward-no-drop", "ip-forward-no-drop", Bool, NO_IPTABLES),
    opt("ip-masq", "ip-masq", Bool, NO_IPTABLES),
    opt("ip6tables", "ip6tables", Bool, NO_IPTABLES),
    opt("iptables", "iptables", Bool, NO_IPTABLES),
    opt("ipv6", "ipv6", Bool, No("the default bridge has no IPv6 yet")),
    opt("label", "labels", List, Yes),
    opt("live-restore", "live-restore", Bool, Yes),
    opt("log-driver", "log-driver", Text, Yes),
    opt("log-format", "log-format", Text, Yes),
    short('l', "log-level", "log-level", Text, Yes),
    opt("log-opt", "log-opts", Map, Yes),
    opt("max-concurrent-downloads", "max-concurrent-downloads", Number, Yes),
    opt("max-concurrent-uploads", "max-concurrent-uploads", Number, Yes),
    opt("max-download-attempts", "max-download-attempts", Number, NoEffect("an interrupted download is resumed where it stopped")),
    opt("metrics-addr", "metrics-addr", Text, No("there is no metrics endpoint yet")),
    opt("mtu", "mtu", Number, Yes),
    opt("network-control-plane-mtu", "network-control-plane-mtu", Number, NO_SWARM),
    opt("network-diagnostic-port", "network-diagnostic-port", Number, No("there is no network diagnostic server")),
    opt("no-new-privileges", "no-new-privileges", Bool, Yes),
    opt("no-proxy", "no-proxy", Text, Yes),
    opt("node-generic-resource", "node-generic-resources", List, NO_SWARM),
    short('p', "pidfile", "pidfile", Text, Yes),
    opt("raw-logs", "raw-logs", Bool, Yes),
    opt("registry-mirror", "registry-mirrors", List, Yes),
    opt("rootless", "rootless", Bool, NoEffect("there is no other mode")),
    opt("seccomp-profile", "seccomp-profile", Text, Yes),
    opt("selinux-enabled", "selinux-enabled", Bool, No("labels of SELinux cannot be set without root")),
    opt("shutdown-timeout", "shutdown-timeout", Number, Yes),
    short('s', "storage-driver", "storage-driver", Text, Yes),
    opt("storage-opt", "storage-opts", List, No("the storage drivers have no options")),
    opt("swarm-default-advertise-addr", "swarm-default-advertise-addr", Text, NO_SWARM),
    opt("tls", "tls", Bool, Yes),
    opt("tlscacert", "tlscacert", Text, Yes),
    opt("tlscert", "tlscert", Text, Yes),
    opt("tlskey", "tlskey", Text, Yes),
    opt("tlsverify", "tlsverify", Bool, Yes),
    opt("userland-proxy", "userland-proxy", Bool, NoEffect("published ports are forwarded by a process of the engine's own")),
    opt("userland-proxy-path", "userland-proxy-path", Text, NoEffect("published ports are forwarded by a process of the engine's own")),
    opt("userns-remap", "userns-remap", Text, No("the whole engine is in a user namespace already")),
    opt("validate", "", Bool, FlagOnly),
    short('v', "version", "", Bool, FlagOnly),
    short('h', "help", "", Bool, FlagOnly),
    // File only, in dockerd too.
    opt("", "builder", Object, NoEffect("there is no builder yet")),
    opt("", "allow-nondistributable-artifacts", List, NoEffect("all layers are pushed")),
    opt("", "proxies", Object, Yes),

    opt("net", "lichen-net", Text, Yes),
    opt("port-driver", "lichen-port-driver", Text, Yes),
    opt("slirp4netns-sandbox", "lichen-slirp4netns-sandbox", Text, Yes),
    opt("slirp4netns-seccomp", "lichen-slirp4netns-seccomp", Text, Yes),
    opt("disable-host-loopback", "lichen-disable-host-loopback", Bool, Yes),
    opt("detach-netns", "lichen-detach-netns", Text, Yes),
];

/// By the name after `--`.
pub(crate) fn by_flag(flag: &str) -> Option<&'static Opt> {
    OPTIONS.iter().find(|o| !o.flag.is_empty() && o.flag == flag)
}

/// By the letter after `-`.
pub(crate) fn by_short(letter: char) -> Option<&'static Opt> {
    OPTIONS.iter().find(|o| o.short == Some(letter))
}

/// By the key in the file.
pub(crate) fn by_key(key: &str) -> Option<&'static Opt> {
    OPTIONS.iter().find(|o| !o.key.is_empty() && o.key == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_listed_twice() {
        for (i, a) in OPTIONS.iter().enumerate() {
            for b in &OPTIONS[..i] {
                assert!(a.flag.is_empty() || a.flag != b.flag, "--{}", a.flag);
                assert!(a.key.is_empty() || a.key != b.key, "{}", a.key);
                assert!(a.short.is_none() || a.short != b.short, "-{:?}", a.short);
            }
        }
    }
}
