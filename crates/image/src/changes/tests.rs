use super::*;

fn applied(changes: &[&str]) -> ContainerConfig {
    let mut config = ContainerConfig {
        cmd: Some(vec!["old".into()]),
        env: vec!["PATH=/bin".into()],
        working_dir: "/srv".into(),
        ..ContainerConfig::default()
    };
    let changes: Vec<String> = changes.iter().map(|c| (*c).to_owned()).collect();
    apply(&mut config, &changes).unwrap_or_else(|e| panic!("{changes:?}: {e}"));
    config
}

fn check_error(change: &str, message: &str) {
    let error = apply(&mut ContainerConfig::default(), &[change.to_owned()]).expect_err(change);
    assert_eq!(error.to_string(), message, "{change}");
}

#[test]
fn commands_have_two_forms() {
    assert_eq!(applied(&[r#"CMD ["a", "b c"]"#]).cmd, Some(vec!["a".into(), "b c".into()]));
    assert_eq!(applied(&["cmd a b"]).cmd, Some(vec!["/bin/sh".into(), "-c".into(), "a b".into()]));
    assert_eq!(applied(&["CMD []"]).cmd, None);
}

#[test]
fn an_entrypoint_resets_an_older_command() {
    let config = applied(&[r#"ENTRYPOINT ["x"]"#]);
    assert_eq!((config.entrypoint, config.cmd), (Some(vec!["x".into()]), None));
    assert_eq!(applied(&[r#"CMD ["c"]"#, r#"ENTRYPOINT ["x"]"#]).cmd, Some(vec!["c".into()]));
}

#[test]
fn variables_and_labels_take_quotes() {
    let config =
        applied(&[r#"ENV A=1 B="two words" C=a\ b PATH=/sbin"#, "ENV OLD the old form", "LABEL x.y='z' e="]);
    assert_eq!(config.env, ["PATH=/sbin", "A=1", "B=two words", "C=a b", "OLD=the old form"]);
    assert_eq!(config.labels["x.y"], "z");
    assert_eq!(config.labels["e"], "");
}

#[test]
fn everything_else_is_set() {
    let config = applied(&[
        "EXPOSE 80 53/udp 8000-8001",
        r#"VOLUME ["/a", "/b"]"#,
        "VOLUME /c /d",
        "WORKDIR sub/../x",
        "USER 1000:1000",
        "STOPSIGNAL SIGQUIT",
        "ONBUILD RUN make",
        "HEALTHCHECK --interval=5s --retries=3 CMD curl -f /",
    ]);
    assert_eq!(config.exposed_ports.keys().collect::<Vec<_>>(), ["53/udp", "80/tcp", "8000/tcp", "8001/tcp"]);
    assert_eq!(config.volumes.keys().collect::<Vec<_>>(), ["/a", "/b", "/c", "/d"]);
    assert_eq!(config.working_dir, "/srv/x");
    assert_eq!((config.user.as_str(), config.stop_signal.as_str()), ("1000:1000", "SIGQUIT"));
    assert_eq!(config.on_build, ["RUN make"]);
    let check = config.healthcheck.unwrap();
    assert_eq!(check.test, ["CMD-SHELL", "curl -f /"]);
    assert_eq!((check.interval, check.retries), (5_000_000_000, 3));
    assert_eq!(applied(&["HEALTHCHECK NONE"]).healthcheck.unwrap().test, ["NONE"]);
}

#[test]
fn what_cannot_be_applied_is_refused() {
    check_error("RUN make", "RUN is not a valid change command");
    check_error("from x", "from is not a valid change command");
    check_error("ENV", "ENV requires at least one argument");
    check_error("user", "USER requires exactly one argument");
    check_error("ENV novalue", "Syntax error - can't find = in \"novalue\". Must be of the form: name=value");
    check_error("USER a b", "USER requires exactly one argument");
    check_error("EXPOSE 99999", "invalid containerPort: 99999");
    check_error("LABEL a=\"b", "unterminated quote in \"a=\\\"b\"");
    check_error("HEALTHCHECK TCP 80", "Unknown type \"TCP\" in HEALTHCHECK (try CMD)");
    check_error("ONBUILD ONBUILD x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
}
