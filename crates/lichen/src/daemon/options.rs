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

impl Kind {
    /// What the file has for it.
    pub(crate) fn in_file(self) -> &'static str {
        match self {
            Self::Bool => "true|false",
            Self::Text => "string",
            Self::Number => "number",
            Self::List => "array of strings",
            Self::Map => "object of strings",
            Self::Object => "object",
        }
    }
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
    /// What it is for, in a line of help or of the manual.
    pub(crate) about: &'static str,
}

const fn opt(
    flag: &'static str,
    key: &'static str,
    kind: Kind,
    support: Support,
    about: &'static str,
) -> Opt {
    Opt { flag, short: None, key, kind, support, about }
}

const fn short(
    short: char,
    flag: &'static str,
    key: &'static str,
    kind: Kind,
    support: Support,
    about: &'static str,
) -> Opt {
    Opt { flag, short: Some(short), key, kind, support, about }
}

impl Opt {
    /// What it is for, and what is made of it here.
    pub(crate) fn text(&self) -> String {
        match self.support {
            Support::Yes | Support::FlagOnly => self.about.to_owned(),
            Support::NoEffect(reason) => format!("{}. Accepted without effect: {reason}", self.about),
            Support::No(reason) => format!("{}. Refused: {reason}", self.about),
        }
    }

    /// The word that stands for its value; a switch has none.
    pub(crate) fn value(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Bool => None,
            Kind::Text => Some("string"),
            Kind::Number => Some("int"),
            Kind::List => Some("list"),
            Kind::Map => Some("map"),
            Kind::Object => Some("value"),
        }
    }
}

const NO_IPTABLES: Support = Support::NoEffect("no iptables are needed");
const NO_SWARM: Support = Support::No("swarm mode is not supported");
const NO_CONTAINERD: Support = Support::No("there is no containerd to talk to");
const NO_REALTIME: Support = Support::No("real-time scheduling limits need cgroup v1 and root");

use Kind::{Bool, List, Map, Number, Object, Text};
use Support::{FlagOnly, No, NoEffect, Yes};

#[rustfmt::skip]
pub(crate) const OPTIONS: &[Opt] = &[
    opt("add-runtime", "runtimes", Object, Yes, "Add an OCI runtime (name=path)"),
    opt("allow-direct-routing", "allow-direct-routing", Bool, NoEffect("no packet filter stands between networks and their host"), "Allow direct routing to published ports from other hosts"),
    opt("authorization-plugin", "authorization-plugins", List, No("authorization plugins are not supported"), "Plugin that is asked whether a request is allowed"),
    opt("bip", "bip", Text, Yes, "Address and subnet of the default bridge, in CIDR form"),
    opt("bip6", "bip6", Text, Yes, "IPv6 address and subnet of the default bridge, in CIDR form"),
    short('b', "bridge", "bridge", Text, No("the default network's bridge is made by the engine; use a user-defined network"), "Bridge to use for the default network"),
    opt("bridge-accept-fwmark", "bridge-accept-fwmark", Text, NO_IPTABLES, "Firewall mark of packets that bridges accept"),
    opt("cdi-spec-dir", "cdi-spec-dirs", List, No("CDI devices are not supported yet"), "Directory of CDI specifications"),
    opt("cgroup-parent", "cgroup-parent", Text, Yes, "Control group that containers are placed under"),
    opt("config-file", "", Text, FlagOnly, "Configuration file (default: daemon.json in ~/.config/docker)"),
    opt("containerd", "containerd", Text, NO_CONTAINERD, "Address of containerd"),
    opt("containerd-namespace", "containerd-namespace", Text, NO_CONTAINERD, "Namespace of containers in containerd"),
    opt("containerd-plugins-namespace", "containerd-plugins-namespace", Text, NO_CONTAINERD, "Namespace of plugins in containerd"),
    opt("cpu-rt-period", "cpu-rt-period", Number, NO_REALTIME, "Real-time CPU period of all containers, in microseconds"),
    opt("cpu-rt-runtime", "cpu-rt-runtime", Number, NO_REALTIME, "Real-time CPU time of all containers, in microseconds"),
    opt("cri-containerd", "cri-containerd", Bool, NO_CONTAINERD, "Start containerd with its CRI plugin"),
    opt("data-root", "data-root", Text, Yes, "Directory of images, containers and volumes (default: ~/.local/share/lichen)"),
    short('D', "debug", "debug", Bool, Yes, "Say more about what goes on"),
    opt("default-address-pool", "default-address-pools", Object, Yes, "Addresses for new networks (base=CIDR,size=BITS)"),
    opt("default-cgroupns-mode", "default-cgroupns-mode", Text, Yes, "Cgroup namespace of new containers: host or private"),
    opt("default-gateway", "default-gateway", Text, No("the default bridge's gateway is its own address; see --bip"), "IPv4 gateway of the default bridge"),
    opt("default-gateway-v6", "default-gateway-v6", Text, No("the default bridge's gateway is its own address; see --bip6"), "IPv6 gateway of the default bridge"),
    opt("default-ipc-mode", "default-ipc-mode", Text, Yes, "IPC mode of new containers: shareable or private"),
    opt("default-network-opt", "default-network-opts", Object, No("default options of user-defined networks are not supported"), "Default option of new networks (driver=key=value)"),
    opt("default-runtime", "default-runtime", Text, Yes, "OCI runtime of new containers"),
    opt("default-shm-size", "default-shm-size", Text, Yes, "Size of /dev/shm of new containers"),
    opt("default-stop-timeout", "default-stop-timeout", Number, Yes, "Seconds that new containers have to stop (default: 10); less than 0: forever"),
    opt("default-ulimit", "default-ulimits", Object, Yes, "Resource limit of new containers (name=soft:hard)"),
    opt("dns", "dns", List, Yes, "DNS server for containers"),
    opt("dns-opt", "dns-opts", List, Yes, "Option of the resolver in containers"),
    opt("dns-search", "dns-search", List, Yes, "Domain that containers search"),
    opt("exec-opt", "exec-opts", List, Yes, "Option of the runtime (native.cgroupdriver=systemd, cgroupfs or none)"),
    opt("exec-root", "exec-root", Text, Yes, "Directory of sockets and state (default: lichen in XDG_RUNTIME_DIR)"),
    opt("experimental", "experimental", Bool, NoEffect("there are no experimental features"), "Enable experimental features"),
    opt("feature", "features", Object, NoEffect("there are no optional features"), "Enable a feature"),
    opt("firewall-backend", "firewall-backend", Text, NO_IPTABLES, "What filters packets: iptables or nftables"),
    opt("fixed-cidr", "fixed-cidr", Text, Yes, "Part of the default bridge's subnet from which containers get addresses"),
    opt("fixed-cidr-v6", "fixed-cidr-v6", Text, Yes, "The same of IPv6; without --bip6, the whole subnet"),
    short('G', "group", "group", Text, NoEffect("the socket belongs to the user alone"), "Group that may use the socket"),
    short('H', "host", "hosts", List, Yes, "Address to serve the API on: unix://PATH, tcp://[HOST][:PORT] or fd://[NAME]; may be repeated"),
    opt("host-gateway-ip", "host-gateway-ips", List, Yes, "Address that host-gateway stands for in --add-host"),
    opt("http-proxy", "http-proxy", Text, Yes, "Proxy for HTTP requests to registries"),
    opt("https-proxy", "https-proxy", Text, Yes, "Proxy for HTTPS requests to registries"),
    opt("icc", "icc", Bool, Yes, "Let containers on the default bridge reach each other"),
    opt("init", "init", Bool, Yes, "Run an init in containers that forwards signals and reaps processes"),
    opt("init-path", "init-path", Text, Yes, "That init, if not the built-in one"),
    opt("insecure-registry", "insecure-registries", List, Yes, "Registry to use without or with unverified TLS"),
    opt("ip", "ip", Text, Yes, "Address of the host on which ports are published (default: all)"),
    opt("ip-forward", "ip-forward", Bool, NoEffect("forwarding is a matter of the engine's own network namespace"), "Enable forwarding of packets"),
    opt("ip-forward-no-drop", "ip-forward-no-drop", Bool, NO_IPTABLES, "Do not set the forwarding policy to drop"),
    opt("ip-masq", "ip-masq", Bool, NO_IPTABLES, "Hide containers behind the host's address"),
    opt("ip6tables", "ip6tables", Bool, NO_IPTABLES, "Add rules to ip6tables"),
    opt("iptables", "iptables", Bool, NO_IPTABLES, "Add rules to iptables"),
    opt("ipv6", "ipv6", Bool, Yes, "Give the default bridge IPv6"),
    opt("label", "labels", List, Yes, "Label of this engine (key=value)"),
    opt("live-restore", "live-restore", Bool, Yes, "Leave containers running while the engine is stopped"),
    opt("log-driver", "log-driver", Text, Yes, "What keeps containers' output (default: json-file)"),
    opt("log-format", "log-format", Text, Yes, "Format of the engine's own log: text or json"),
    short('l', "log-level", "log-level", Text, Yes, "Level of the engine's own log: debug, info, warn, error or fatal"),
    opt("log-opt", "log-opts", Map, Yes, "Option of the log driver"),
    opt("max-concurrent-downloads", "max-concurrent-downloads", Number, Yes, "Layers that a pull downloads at a time (default: 3)"),
    opt("max-concurrent-uploads", "max-concurrent-uploads", Number, Yes, "Layers that a push uploads at a time (default: 5)"),
    opt("max-download-attempts", "max-download-attempts", Number, NoEffect("an interrupted download is resumed where it stopped"), "Attempts at each download of a pull"),
    opt("metrics-addr", "metrics-addr", Text, No("there is no metrics endpoint yet"), "Address to serve metrics on"),
    opt("mtu", "mtu", Number, Yes, "MTU of containers' networks"),
    opt("network-control-plane-mtu", "network-control-plane-mtu", Number, NO_SWARM, "MTU of the network's control plane"),
    opt("network-diagnostic-port", "network-diagnostic-port", Number, No("there is no network diagnostic server"), "Port of the network diagnostic server"),
    opt("no-new-privileges", "no-new-privileges", Bool, Yes, "Keep new containers' processes from gaining privileges"),
    opt("no-proxy", "no-proxy", Text, Yes, "Hosts that are reached without a proxy"),
    opt("nri-opts", "nri-opts", Object, No("plugins of the Node Resource Interface are not supported"), "Settings of the Node Resource Interface"),
    opt("node-generic-resource", "node-generic-resources", List, NO_SWARM, "Resource to advertise to a swarm"),
    short('p', "pidfile", "pidfile", Text, Yes, "File for the engine's process ID (default: docker.pid in XDG_RUNTIME_DIR)"),
    opt("raw-logs", "raw-logs", Bool, Yes, "Log times in full and without colours"),
    opt("registry-mirror", "registry-mirrors", List, Yes, "Mirror of Docker Hub to ask first"),
    opt("rootless", "rootless", Bool, NoEffect("there is no other mode"), "Run as an ordinary user"),
    opt("seccomp-profile", "seccomp-profile", Text, Yes, "File with the default seccomp profile, or unconfined"),
    opt("selinux-enabled", "selinux-enabled", Bool, No("labels of SELinux cannot be set without root"), "Label containers for SELinux"),
    opt("shutdown-timeout", "shutdown-timeout", Number, Yes, "Seconds that containers may take to stop with the engine (default: 15)"),
    short('s', "storage-driver", "storage-driver", Text, Yes, "Storage driver: overlay2, fuse-overlayfs, btrfs or vfs (default: the first that works)"),
    opt("storage-opt", "storage-opts", List, No("the storage drivers have no options"), "Option of the storage driver"),
    opt("swarm-default-advertise-addr", "swarm-default-advertise-addr", Text, NO_SWARM, "Address to advertise in a swarm"),
    opt("tls", "tls", Bool, Yes, "Use TLS on TCP sockets; implied by --tlsverify"),
    opt("tlscacert", "tlscacert", Text, Yes, "Authority that signed clients' certificates (default: ca.pem in DOCKER_CERT_PATH or ~/.docker)"),
    opt("tlscert", "tlscert", Text, Yes, "Certificate of this engine (default: cert.pem there)"),
    opt("tlskey", "tlskey", Text, Yes, "Key of that certificate (default: key.pem there)"),
    opt("tlsverify", "tlsverify", Bool, Yes, "Use TLS and let in only clients with a certificate of --tlscacert"),
    opt("userland-proxy", "userland-proxy", Bool, NoEffect("published ports are forwarded by a process of the engine's own"), "Forward published ports by a process"),
    opt("userland-proxy-path", "userland-proxy-path", Text, NoEffect("published ports are forwarded by a process of the engine's own"), "Program that forwards published ports"),
    opt("userns-remap", "userns-remap", Text, No("the whole engine is in a user namespace already"), "User whose subordinate IDs containers get"),
    opt("validate", "", Bool, FlagOnly, "Check the configuration and exit"),
    short('v', "version", "", Bool, FlagOnly, "Print the version and exit"),
    short('h', "help", "", Bool, FlagOnly, "Print this text"),
    // File only, in dockerd too.
    opt("", "min-api-version", Text, No("the API is served from version 1.40 on"), "Oldest version of the API that is served"),
    opt("", "deprecated-key-path", Text, NoEffect("there is no such key"), "Path of a key that Docker had once"),
    opt("", "containerd-plugin-namespace", Text, NO_CONTAINERD, "Namespace of plugins in containerd"),
    opt("", "swarm-raft-election-tick", Number, NO_SWARM, "Swarm's consensus, in ticks"),
    opt("", "swarm-raft-heartbeat-tick", Number, NO_SWARM, "Swarm's consensus, in ticks"),
    opt("", "builder", Object, NoEffect("there is no builder yet"), "Settings of the builder"),
    opt("", "allow-nondistributable-artifacts", List, NoEffect("all layers are pushed"), "Registries that get all layers"),
    opt("", "proxies", Object, Yes, "Proxies for requests to registries"),

    opt("additional-image-store", "lichen-additional-image-stores", List, Yes, "Directory of images that a pull looks into first (an OCI image layout, which several users may share)"),
    opt("bypass4netns", "lichen-bypass4netns", Bool, Yes, "Containers connect to the world by sockets of the host's"),
    opt("net", "lichen-net", Text, Yes, "The containers' way out: auto, lichen, slirp4netns, pasta or another that is installed"),
    opt("port-driver", "lichen-port-driver", Text, Yes, "What forwards published ports: auto, lichen or the way out's own"),
    opt("lxc-user-nic-bridge", "lichen-lxc-user-nic-bridge", Text, Yes, "Bridge of the host for --net lxc-user-nic"),
    opt("slirp4netns-sandbox", "lichen-slirp4netns-sandbox", Text, Yes, "Run slirp4netns in a sandbox: auto, true or false"),
    opt("slirp4netns-seccomp", "lichen-slirp4netns-seccomp", Text, Yes, "Filter slirp4netns' system calls: auto, true or false"),
    opt("disable-host-loopback", "lichen-disable-host-loopback", Bool, Yes, "Keep containers from the host's loopback (default: true)"),
    opt("detach-netns", "lichen-detach-netns", Text, Yes, "Keep the containers' network namespace apart from the engine's; always so"),
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
