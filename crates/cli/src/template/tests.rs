//! Expected texts were produced by Go 1.24's text/template with Docker's functions.

use super::{Missing, Template, Value};

const DATA: &str = r#"{"Name":"web","State":{"Running":true,"Pid":42,"Health":null},"Labels":{"b":"2","a":"1"},
 "Env":["A=1","B=two"],"Size":1.5,"Big":12345678,"Empty":"","Args":[],"Ports":[{"Port":80},{"Port":443}]}"#;

fn nothing(_: &str) -> Option<Value> {
    None
}

fn run(template: &str) -> String {
    let data: Value = serde_json::from_str(DATA).expect("test data");
    match Template::parse(template).and_then(|t| t.execute(&data, Missing::Error(nothing))) {
        Ok(text) => text,
        Err(error) => format!("ERROR {error}"),
    }
}

#[track_caller]
fn check(template: &str, expect: &str) {
    assert_eq!(run(template), expect, "{template}");
}

#[test]
fn text_and_fields() {
    check("", "");
    check("plain", "plain");
    check("{{.Name}}", "web");
    check("a {{ .State.Pid }} b", "a 42 b");
    check("{{.Labels}}", "map[a:1 b:2]");
    check("{{.Env}}", "[A=1 B=two]");
    check("{{.Size}} {{.Big}}", "1.5 12345678");
    check("{{.State.Health}}", "<nil>");
    check("{{.Labels.a}}{{/* a comment */}}!", "1!");
}

#[test]
fn trim_markers() {
    check("a  {{- .Name -}}  b", "awebb");
    check("a {{- /* c */ -}} b", "ab");
    check("{{ -1 }}", "-1");
}

#[test]
fn control_flow() {
    check("{{if .State.Running}}up{{else}}down{{end}}", "up");
    check("{{if .Empty}}a{{else if .Args}}b{{else}}c{{end}}", "c");
    check("{{with .State}}{{.Pid}}{{end}}", "42");
    check("{{with .Empty}}x{{else with .Name}}{{.}}{{end}}", "web");
    check("{{range .Env}}<{{.}}>{{end}}", "<A=1><B=two>");
    check("{{range $k, $v := .Labels}}{{$k}}={{$v}};{{end}}", "a=1;b=2;");
    check("{{range $i, $e := .Env}}{{if $i}}, {{end}}{{$e}}{{end}}", "A=1, B=two");
    check("{{range .Args}}x{{else}}none{{end}}", "none");
    check("{{range .Env}}{{if eq . \"B=two\"}}{{break}}{{end}}{{.}}{{end}}", "A=1");
    check("{{range .Env}}{{if eq . \"A=1\"}}{{continue}}{{end}}{{.}}{{end}}", "B=two");
    check("{{range $p := .Ports}}{{$p.Port}} {{end}}", "80 443 ");
}

#[test]
fn variables() {
    check("{{$x := .Name}}{{$x}}{{$x = \"y\"}}{{$x}}", "weby");
    check("{{range .Ports}}{{.Port}}{{$.Name}}{{end}}", "80web443web");
    check("{{$x := 1}}{{if true}}{{$x := 2}}{{end}}{{$x}}", "1");
    check("{{$x := 1}}{{if true}}{{$x = 2}}{{end}}{{$x}}", "2");
}

#[test]
fn functions() {
    check("{{json .}}", &DATA.replace("\n ", ""));
    check("{{json .Env}}", r#"["A=1","B=two"]"#);
    check("{{json \"<a&b>\"}}", r#""<a&b>""#);
    check("{{join .Env \",\"}}", "A=1,B=two");
    check("{{split \"a-b\" \"-\"}}", "[a b]");
    check("{{upper .Name}} {{lower \"ABC\"}} {{title \"hello world\"}}", "WEB abc Hello World");
    check("[{{pad .Name 1 2}}]", "[ web  ]");
    check("{{truncate .Name 2}}", "we");
    check("{{len .Env}} {{len .Name}} {{len .Labels}}", "2 3 2");
    check("{{index .Env 1}} {{index .Labels \"b\"}}", "B=two 2");
    check("{{(index .Ports 1).Port}}", "443");
    check("{{slice .Name 1 3}}", "eb");
    check("{{printf \"%-5s|%05d|%q|%.1f|%x\" .Name 42 .Name .Size 255}}", "web  |00042|\"web\"|1.5|ff");
    check("{{print 1 2 \"a\" 3}}", "1 2a3");
    check("{{println .Name 1}}", "web 1\n");
    check("{{.Name | upper | printf \"%s!\"}}", "WEB!");
    check("{{html \"<a>\"}} {{urlquery \"a b&\"}}", "&lt;a&gt; a+b%26");
}

#[test]
fn comparison_and_logic() {
    check(
        "{{eq .Name \"a\" \"web\"}} {{ne 1 2}} {{lt 1 2}} {{le 2 2}} {{gt \"b\" \"a\"}} {{ge 1 2}}",
        "true true true true true false",
    );
    check("{{and .Name .Empty}}|{{or .Empty \"d\"}}|{{not .Empty}}", "|d|true");
    check("{{or true (index .Args 9)}}", "true");
    check("{{if and (eq .Name \"web\") .State.Running}}y{{end}}", "y");
}

#[test]
fn named_templates() {
    check("{{define \"x\"}}[{{.}}]{{end}}{{template \"x\" .Name}}", "[web]");
    check("{{block \"y\" .Name}}<{{.}}>{{end}}", "<web>");
}

#[test]
fn parse_errors() {
    check("{{.Foo", "ERROR template: :1: unclosed action");
    check("{{if .Name}}", "ERROR template: :1: unexpected EOF");
    check("{{end}}", "ERROR template: :1: unexpected {{end}}");
    check("{{nope .}}", "ERROR template: :1: function \"nope\" not defined");
    check("{{}}", "ERROR template: :1: missing value for command");
    check("{{.Name | }}", "ERROR template: :1: missing value for command");
    check("\n{{\"abc}}", "ERROR template: :2: unterminated quoted string");
    check("{{$x}}", "ERROR template: :1: undefined variable \"$x\"");
    check("{{(.Name}}", "ERROR template: :1: unclosed left paren");
    check("{{break}}", "ERROR template: :1: {{break}} outside {{range}}");
}

#[test]
fn execution_errors() {
    check("{{.Nope}}", "ERROR template: :1:2: executing \"\" at <.Nope>: map has no entry for key \"Nope\"");
    check(
        "{{.State.Nope}}",
        "ERROR template: :1:8: executing \"\" at <.State.Nope>: map has no entry for key \"Nope\"",
    );
    check(
        "{{index .Env 9}}",
        "ERROR template: :1:2: executing \"\" at <index .Env 9>: error calling index: index out of range: 9",
    );
    check(
        "{{lt .Name 1}}",
        "ERROR template: :1:2: executing \"\" at <lt .Name 1>: error calling lt: incompatible types for comparison",
    );
    check(
        "{{pad .Name}}",
        "ERROR template: :1:2: executing \"\" at <pad>: wrong number of args for pad: want 3 got 1",
    );
    check(
        "{{range .Name}}{{end}}",
        "ERROR template: :1:8: executing \"\" at <.Name>: range can't iterate over web",
    );
}
