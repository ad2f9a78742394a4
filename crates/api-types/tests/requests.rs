//! What clients send is read by Go's rules.

use api_types::*;
use serde_json::json;

fn create(body: serde_json::Value) -> Result<ContainerCreateRequest, String> {
    go::from_value(body).map_err(|e| e.to_string())
}

#[test]
fn null_and_absence_are_the_zero_value() {
    let request = create(json!({
        "Image": "busybox", "Cmd": null, "Env": null, "Tty": null, "StopTimeout": null, "Labels": {"a": null},
        "ExposedPorts": {"80/tcp": null}, "Volumes": {"/data": null},
        "HostConfig": {"Binds": null, "Memory": null, "PortBindings": {"80/tcp": null, "81/tcp": [null]},
            "LogConfig": null, "ConsoleSize": null, "Init": null},
        "NetworkingConfig": {"EndpointsConfig": {"mine": null}},
        "UnknownField": 5
    }))
    .unwrap();
    assert_eq!(request.config.labels["a"], "");
    assert!(
        request.config.exposed_ports.contains_key("80/tcp") && request.config.volumes.contains_key("/data")
    );
    let host = request.host_config.unwrap();
    assert_eq!(host.port_bindings["80/tcp"], []);
    assert_eq!(host.port_bindings["81/tcp"], [PortBinding::default()]);
    assert_eq!((host.console_size, host.init, host.memory), ([0, 0], None, 0));
    assert_eq!(request.networking_config.unwrap().endpoints_config["mine"], EndpointSettings::default());
}

#[test]
fn names_match_without_regard_to_case() {
    let request =
        create(json!({"image": "a", "hostconfig": {"networkMODE": "none", "uTsMode": "host"}})).unwrap();
    assert_eq!(request.config.image, "a");
    let host = request.host_config.unwrap();
    assert_eq!((host.network_mode.as_str(), host.uts_mode.as_str()), ("none", "host"));
    // Two spellings of one field are no error either.
    assert!(create(json!({"Image": "a", "image": "b"})).is_ok());
}

#[test]
fn commands_may_be_text_lists_or_nothing() {
    let cmd =
        |value| create(json!({"Cmd": value, "Entrypoint": []})).map(|r| (r.config.cmd, r.config.entrypoint));
    let empty = Some(Vec::new());
    assert_eq!(cmd(json!("ls")).unwrap(), (Some(vec!["ls".to_owned()]), empty.clone()));
    assert_eq!(cmd(json!(["a", "b"])).unwrap().0.unwrap(), ["a", "b"]);
    assert_eq!(cmd(json!(null)).unwrap(), (None, empty));
    assert_eq!(cmd(json!(5)).unwrap_err(), "Cmd: expected a string or a list of strings");
}

#[test]
fn an_error_names_the_field() {
    let text = |body| create(body).unwrap_err();
    assert_eq!(text(json!({"Env": "A=b"})), "Env: invalid type: string \"A=b\", expected a sequence");
    assert_eq!(
        text(json!({"HostConfig": {"Binds": [5]}})),
        "HostConfig.Binds[0]: invalid type: integer `5`, expected a string"
    );
    assert_eq!(
        text(json!({"HostConfig": {"Ulimits": [{"Name": "nofile", "Soft": "x"}]}})),
        "HostConfig.Ulimits[0].Soft: invalid type: string \"x\", expected i64"
    );
    assert_eq!(text(json!([])), "invalid type: sequence, expected struct ContainerConfig");
}

#[test]
fn a_request_written_is_the_request_read() {
    let request = ContainerCreateRequest {
        config: ContainerConfig {
            image: "busybox".into(),
            cmd: Some(vec!["true".into()]),
            ..Default::default()
        },
        host_config: Some(HostConfig { init: Some(true), binds: vec!["/a:/b".into()], ..Default::default() }),
        networking_config: None,
    };
    let value = serde_json::to_value(&request).unwrap();
    assert_eq!(value["Image"], "busybox");
    assert_eq!(value["HostConfig"]["Binds"][0], "/a:/b");
    assert_eq!(go::from_value::<ContainerCreateRequest>(value).unwrap(), request);
}

#[test]
fn credentials_do_not_reach_the_log() {
    let auth = AuthConfig { username: "u".into(), password: "hunter2".into(), ..Default::default() };
    assert!(!format!("{auth:?}").contains("hunter2"));
}
