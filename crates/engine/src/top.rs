//! `top`: the container's processes, by the host's ps(1), as in Docker.

use crate::{Engine, Error, container::State};
use api_types::TopResponse;
use tokio::process::Command;

/// # Errors
/// [`Error::NotRunning`], [`Error::Restarting`]; [`Error::Ps`] when ps does not understand its arguments.
pub async fn top(engine: &Engine, reference: &str, arguments: &str) -> Result<TopResponse, Error> {
    let container = engine.containers.find(reference)?;
    let record = container.record();
    match &record.state {
        State::Restarting { .. } => return Err(Error::Restarting { id: record.id.to_string() }),
        state if state.run().is_none() => return Err(Error::NotRunning { id: record.id.to_string() }),
        _ => {}
    }
    check(arguments)?;
    let pids = container.live.shim()?.pids().await?;
    let output = ps(arguments, &pids).await?;
    let response = parse(&output, &pids)?;
    engine.events.publish(crate::events::Kind::Container, "top", record.id.as_str(), record.attributes());
    Ok(response)
}

/// `-o pid=x` would rename the column that lines are picked by (moby `validatePSArgs`).
fn check(arguments: &str) -> Result<(), Error> {
    for word in arguments.split_whitespace() {
        let renamed =
            word.split(',').find_map(|column| column.split_once('=').filter(|(name, _)| *name == "pid"));
        if let Some((name, title)) = renamed.filter(|(_, title)| *title != "PID") {
            return Err(Error::PsTitle { column: format!("{name}={title}") });
        }
    }
    Ok(())
}

async fn ps(arguments: &str, pids: &[u32]) -> Result<String, Error> {
    let arguments = if arguments.is_empty() { "-ef" } else { arguments };
    let list = pids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let run = |by_pid: bool| {
        let mut command = Command::new("ps");
        command.args(arguments.split_whitespace());
        if by_pid {
            command.args(["-q", &list]);
        }
        async move { command.output().await.map_err(|source| Error::Stream { operation: "run ps", source }) }
    };
    let mut output = run(true).await?;
    if !output.status.success() {
        // `-q` contradicts some selections, such as `-e`.
        output = run(false).await?;
    }
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let text = String::from_utf8_lossy(&output.stderr);
        Err(Error::Ps { message: text.lines().next().unwrap_or_default().to_owned() })
    }
}

/// Titles, and the lines of the container's own processes.
fn parse(output: &str, pids: &[u32]) -> Result<TopResponse, Error> {
    let mut lines = output.lines();
    let titles: Vec<String> =
        lines.next().unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    let column = titles.iter().position(|t| t == "PID").ok_or(Error::PsWithoutPid)?;
    let own = |fields: &Vec<String>| {
        fields.get(column).and_then(|f| f.parse().ok()).is_some_and(|pid: u32| pids.contains(&pid))
    };
    Ok(TopResponse { processes: lines.map(|l| fields(l, titles.len())).filter(own).collect(), titles })
}

/// The last column takes the rest of the line: a command has spaces.
fn fields(line: &str, columns: usize) -> Vec<String> {
    let mut rest = line.trim();
    let mut fields = Vec::new();
    while fields.len() + 1 < columns {
        let Some((field, more)) = rest.split_once(char::is_whitespace) else { break };
        fields.push(field.to_owned());
        rest = more.trim_start();
    }
    fields.push(rest.to_owned());
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_containers_lines_are_kept_and_commands_stay_whole() {
        let output = "UID   PID  CMD\nroot    7  sleep 100\nroot   17  sh -c  x y\n";
        let top = parse(output, &[17]).unwrap();
        assert_eq!(top.titles, ["UID", "PID", "CMD"]);
        assert_eq!(top.processes, [["root", "17", "sh -c  x y"]]);
        assert!(parse("UID CMD\n", &[]).is_err());
    }

    #[test]
    fn the_pid_column_keeps_its_title() {
        assert!(check("-o pid,cmd").is_ok() && check("-o pid=PID").is_ok());
        assert_eq!(check("-o cmd,pid=x").unwrap_err().to_string(), "specifying \"pid=x\" is not allowed");
    }
}
