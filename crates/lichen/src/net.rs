//! `lichen net flows`: what the forwarder carries at the moment, as it tells itself.

use crate::daemon::{config, error::Error, refuse_root, settings};
use cli::template::{Missing, Template, Value};
use network::flows::{self, Flow, Listed};
use std::process::ExitCode;

const USAGE: &str = "usage: lichen net flows [--json | --format TEMPLATE]";
const HEADER: [&str; 9] =
    ["PROTOCOL", "DIRECTION", "CLIENT", "DESTINATION", "CONTAINER", "STATE", "IN", "OUT", "AGE"];

#[derive(Debug, PartialEq, Eq)]
enum Shape {
    Table,
    Json,
    Template(String),
}

pub(crate) fn main(words: &[String]) -> ExitCode {
    let shape = match parse(words) {
        Ok(shape) => shape,
        Err(text) => {
            eprintln!("lichen: {text}\n{USAGE}");
            return ExitCode::from(125);
        }
    };
    match show(&shape) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("lichen: {text}");
            ExitCode::FAILURE
        }
    }
}

fn parse(words: &[String]) -> Result<Shape, String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["flows"] => Ok(Shape::Table),
        ["flows", "--json"] => Ok(Shape::Json),
        ["flows", "--format", "json"] | ["flows", "--format=json"] => Ok(Shape::Json),
        ["flows", "--format", template] => Ok(Shape::Template(template.to_owned())),
        ["flows", word] if word.starts_with("--format=") => {
            Ok(Shape::Template(word["--format=".len()..].to_owned()))
        }
        ["flows", word, ..] => Err(format!("unexpected {word:?}")),
        [word, ..] => Err(format!("there is no {word:?} of the network to show")),
        [] => Err("what of the network is to be shown?".to_owned()),
    }
}

fn show(shape: &Shape) -> Result<(), String> {
    let config = refuse_root().and_then(|()| settings::parse(&[])).and_then(|parsed| config::load(&parsed));
    let config = config.map_err(|error: Error| error.to_string())?;
    let Listed { flows, left_off, troubles } =
        flows::list(&config.run).map_err(|error| format!("the forwarder does not answer: {error}"))?;
    let text = render(shape, &flows)?;
    cli::out::print(&text).map_err(|error| format!("write: {error}"))?;
    if left_off > 0 {
        eprintln!("lichen: {left_off} more flows are not listed");
    }
    for trouble in troubles {
        eprintln!("lichen: {trouble}");
    }
    Ok(())
}

fn render(shape: &Shape, flows: &[Flow]) -> Result<String, String> {
    match shape {
        Shape::Json => {
            serde_json::to_string_pretty(flows).map(|text| text + "\n").map_err(|error| error.to_string())
        }
        Shape::Table => Ok(table(flows)),
        Shape::Template(source) => {
            let template = Template::parse(source).map_err(|error| error.to_string())?;
            let line = |flow: &Flow| {
                template.execute(&fields(flow), Missing::Error(|_| None)).map(|line| line + "\n")
            };
            flows.iter().map(line).collect::<Result<_, _>>().map_err(|error| error.to_string())
        }
    }
}

/// The words of a flow, in the order of [`HEADER`].
fn words(flow: &Flow) -> [String; 9] {
    let word = |value: serde_json::Result<serde_json::Value>| {
        value.ok().as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
    };
    [
        word(serde_json::to_value(flow.protocol)),
        word(serde_json::to_value(flow.direction)),
        flow.client.to_string(),
        flow.destination.to_string(),
        flow.container.map_or_else(|| "-".to_owned(), |address| address.to_string()),
        word(serde_json::to_value(flow.state)),
        flow.bytes_in.to_string(),
        flow.bytes_out.to_string(),
        format!("{}s", flow.age / 1000),
    ]
}

fn fields(flow: &Flow) -> Value {
    const NAMES: [&str; 9] = [
        "Protocol",
        "Direction",
        "Client",
        "Destination",
        "Container",
        "State",
        "BytesIn",
        "BytesOut",
        "Age",
    ];
    let field = |(name, word): (&str, String)| (name.to_owned(), Value::str(word));
    Value::map(NAMES.into_iter().zip(words(flow)).map(field).collect())
}

fn table(flows: &[Flow]) -> String {
    let header = HEADER.map(str::to_owned);
    let rows: Vec<[String; 9]> = std::iter::once(header).chain(flows.iter().map(words)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0) + 3;
    let widths: Vec<usize> = (0..HEADER.len()).map(width).collect();
    let line = |row: &[String; 9]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<String>().trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use network::flows::{Direction, FlowProtocol, State};

    fn flow() -> Flow {
        Flow {
            protocol: FlowProtocol::Tcp,
            direction: Direction::In,
            client: "192.0.2.7:50000".parse().unwrap(),
            destination: "198.51.100.1:8080".parse().unwrap(),
            container: Some("172.17.0.2:80".parse().unwrap()),
            state: State::HalfClosed,
            bytes_in: 120,
            bytes_out: 5,
            age: 61_500,
        }
    }

    #[test]
    fn flows_are_shown_as_asked() {
        let shown = render(&Shape::Table, &[flow()]).unwrap();
        let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], HEADER);
        let row = [
            "tcp",
            "in",
            "192.0.2.7:50000",
            "198.51.100.1:8080",
            "172.17.0.2:80",
            "half-closed",
            "120",
            "5",
            "61s",
        ];
        assert_eq!(lines[1], row);
        let json: serde_json::Value =
            serde_json::from_str(&render(&Shape::Json, &[flow()]).unwrap()).unwrap();
        assert_eq!((&json[0]["state"], &json[0]["bytes_in"]), (&"half-closed".into(), &120.into()));
        let template = Shape::Template("{{.Container}} {{.BytesOut}}".into());
        assert_eq!(render(&template, &[flow(), flow()]).unwrap(), "172.17.0.2:80 5\n172.17.0.2:80 5\n");
        assert!(render(&Shape::Template("{{.Colour}}".into()), &[flow()]).is_err());
    }

    #[test]
    fn what_is_no_question_is_refused() {
        let parsed = |line: &str| parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(parsed("flows"), Ok(Shape::Table));
        assert_eq!(parsed("flows --format={{.Client}}"), Ok(Shape::Template("{{.Client}}".into())));
        assert!(parsed("").is_err() && parsed("ports").is_err() && parsed("flows --all").is_err());
    }
}
