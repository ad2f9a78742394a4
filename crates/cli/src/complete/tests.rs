use super::*;

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn wanted(text: &str) -> String {
    match find(&words(text), &[]).wanted {
        Wanted::Name(source) => format!("{source:?}"),
        Wanted::File => "file".into(),
        Wanted::Nothing => "nothing".into(),
        _ => "of the tables".into(),
    }
}

#[track_caller]
fn offers(text: &str, expected: &[&str]) {
    let position = find(&words(text), &[]);
    let (list, _) = known(position.wanted, &[]);
    let found: Vec<&str> = list
        .iter()
        .map(|(value, _)| value.as_str())
        .filter(|value| value.starts_with(&position.typed))
        .collect();
    assert_eq!(found, expected, "{text:?}");
}

#[test]
fn commands_and_flags_are_those_of_the_tables() {
    offers("unp", &["unpause"]);
    offers("container unp", &["unpause"]);
    offers("run --stop-s", &["--stop-signal"]);
    offers("-H unix:///x run --stop-s", &["--stop-signal"]);
    offers("run --rm --pull=mi", &["missing"]);
    offers("run --rm --restart un", &["unless-stopped"]);
    offers("--tlsv", &["--tlsverify"]);
    offers("completion z", &["zsh"]);
    assert_eq!(wanted("nonsense x"), "nothing");
}

#[test]
fn names_belong_where_the_usage_line_says() {
    let containers = "Containers([])";
    assert_eq!(wanted("rm "), containers);
    assert_eq!(wanted("container rm a b "), containers);
    assert_eq!(wanted("start "), r#"Containers(["created", "exited"])"#);
    assert_eq!(wanted("run "), "Images");
    assert_eq!(wanted("run -it --name x "), "Images");
    assert_eq!(wanted("run --network "), "Networks");
    assert_eq!(wanted("run --network=b"), "Networks");
    assert_eq!(wanted("run -itv "), "file");
    assert_eq!(wanted("network connect "), "Networks");
    assert_eq!(wanted("network connect n "), containers);
    assert_eq!(wanted("network create "), "nothing");
    assert_eq!(wanted("context use "), "Contexts");
    assert_eq!(wanted("rename a "), "nothing");
    assert_eq!(wanted("cp "), "Paths");
}

#[test]
fn another_programs_command_line_is_its_own() {
    assert_eq!(wanted("run image sh "), "file");
    assert_eq!(wanted("exec c ls --h"), "file");
    assert_eq!(wanted("rm -- -"), "Containers([])");
}
