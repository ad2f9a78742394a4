use super::*;

#[track_caller]
fn refused(result: Result<(), Invalid>, text: &str) {
    assert_eq!(result.unwrap_err().to_string(), text);
}

fn configured(change: impl FnOnce(&mut ContainerConfig)) -> Result<(), Invalid> {
    let mut value = ContainerConfig::default();
    change(&mut value);
    config(&mut value)
}

#[test]
fn portable_settings_are_refused_with_dockers_texts() {
    let long = "h".repeat(65);
    refused(
        configured(|c| c.hostname = long.clone()),
        &format!("hostname \"{long}\" is too long (maximum 64 bytes)"),
    );
    refused(
        configured(|c| c.working_dir = "srv".into()),
        "the working directory 'srv' is invalid, it needs to be an absolute path",
    );
    refused(configured(|c| c.stop_signal = "NOPE".into()), "invalid signal: NOPE");
    refused(configured(|c| c.env = vec!["=x".into()]), "invalid environment variable: =x");
    let interval = HealthConfig { interval: 1, ..HealthConfig::default() };
    refused(
        configured(|c| c.healthcheck = Some(interval)),
        "Interval in Healthcheck cannot be less than 1ms",
    );
    let retries = HealthConfig { retries: -1, ..HealthConfig::default() };
    refused(configured(|c| c.healthcheck = Some(retries)), "Retries in Healthcheck cannot be negative");
}

#[test]
fn working_directories_are_cleaned() {
    let mut value = ContainerConfig { working_dir: "/a//b/../c/".into(), ..ContainerConfig::default() };
    config(&mut value).unwrap();
    assert_eq!(value.working_dir, "/a/c");
}

#[test]
fn restart_policies_are_checked() {
    let check = |name: &str, count| {
        restart_policy(&RestartPolicy { name: name.into(), maximum_retry_count: count })
            .map_err(|e| e.to_string())
    };
    assert_eq!(check("on-failure", 3), Ok(()));
    assert_eq!(check("unless-stopped", 0), Ok(()));
    assert_eq!(
        check("always", 1).unwrap_err(),
        "invalid restart policy: maximum retry count can only be used with 'on-failure'"
    );
    assert_eq!(
        check("no", -1).unwrap_err(),
        "invalid restart policy: maximum retry count can only be used with 'on-failure' and cannot be negative"
    );
    assert_eq!(
        check("on-failure", -1).unwrap_err(),
        "invalid restart policy: maximum retry count cannot be negative"
    );
    assert_eq!(
        check("sometimes", 0).unwrap_err(),
        "invalid restart policy: unknown policy 'sometimes'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
    );
}

#[test]
fn hosts_and_ports_are_checked() {
    assert!(extra_host("db:10.0.0.1").is_ok() && extra_host("gw:host-gateway").is_ok());
    assert!(extra_host("six:fe80::1").is_ok() && extra_host("six:[fe80::1]").is_ok());
    refused(extra_host("db"), "bad format for add-host: \"db\"");
    refused(extra_host("db:10.0.0"), "invalid IP address in add-host: \"10.0.0\"");
    assert_eq!(container_port("80"), Some((80, "tcp")));
    assert_eq!(container_port("53/udp"), Some((53, "udp")));
    for port in ["", "0/tcp", "80/icmp", "65536", "80-81/tcp"] {
        assert_eq!(container_port(port), None, "{port}");
    }
    assert_eq!(port_range("8000-8002"), Some((8000, 8002)));
    assert_eq!(port_range("9-8"), None);
}

#[test]
fn links_have_an_alias() {
    assert_eq!(parse_link("db").unwrap(), ("db", "db"));
    assert_eq!(parse_link("db:store").unwrap(), ("db", "store"));
    assert_eq!(parse_link("/db:/web/store").unwrap(), ("db", "store"));
    assert_eq!(parse_link("a:b:c").unwrap_err().to_string(), "bad format for links: a:b:c");
    assert!(parse_link("").is_err());
}
