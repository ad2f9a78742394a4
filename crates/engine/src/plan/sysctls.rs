//! Which kernel parameters a container may have of its own: those of its own namespaces (runc `validator.go`).

use crate::create::Invalid;
use api_types::HostConfig;

const IPC: &[&str] = &[
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

pub(super) fn check(host: &HostConfig) -> Result<(), Invalid> {
    let own_network = host.network_mode != "host" && !host.network_mode.starts_with("container:");
    let own_ipc = host.ipc_mode != "host" && !host.ipc_mode.starts_with("container:");
    for name in host.sysctls.keys() {
        let allowed = (own_network && name.starts_with("net."))
            || (own_ipc && (IPC.contains(&name.as_str()) || name.starts_with("fs.mqueue.")))
            || (host.uts_mode.is_empty() && name == "kernel.domainname");
        if !allowed {
            return Err(Invalid::Sysctl(name.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_parameters_of_own_namespaces() {
        let host = |mode: &str, name: &str| HostConfig {
            network_mode: mode.into(),
            sysctls: [(name.to_owned(), "1".to_owned())].into(),
            ..HostConfig::default()
        };
        assert!(check(&host("bridge", "net.ipv4.ip_forward")).is_ok());
        assert!(check(&host("host", "kernel.shmmax")).is_ok());
        assert_eq!(
            check(&host("host", "net.ipv4.ip_forward")).unwrap_err().to_string(),
            "sysctl 'net.ipv4.ip_forward' is not in a separate kernel namespace"
        );
        assert!(check(&host("bridge", "vm.swappiness")).is_err());
    }
}
