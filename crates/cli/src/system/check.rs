//! `system check`

use crate::args::{Action, Arity, Command, Flag, Parsed};
use crate::cli::{Cli, print};
use crate::connect::{Query, Request};
use crate::error::Error;
use api_types::SystemCheck;

pub static COMMAND: Command = Command {
    usage: "[OPTIONS]",
    about: "Verify images, containers and volumes as they are stored",
    arity: Arity::None,
    interspersed: true,
    flags: &[&[Flag::bool("repair", "Put right what can be; damaged images that nobody uses are removed")]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

/// 1 when something is wrong and stays so.
async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let query = Query::new().flag("repair", args.bool("repair"));
    let found: SystemCheck = cli.client()?.json(Request::post("/lichen/system/check").query(query)).await?;
    print(text(&found))?;
    Ok(i32::from(found.findings.iter().any(|finding| !finding.repaired)))
}

fn text(found: &SystemCheck) -> String {
    let mut text = String::new();
    for finding in &found.findings {
        let repaired = if finding.repaired { " (repaired)" } else { "" };
        let note = if finding.note.is_empty() { String::new() } else { format!("; {}", finding.note) };
        text += &format!("{}: {}{repaired}{note}\n", finding.subject, finding.problem);
    }
    let SystemCheck { layers, containers, volumes, findings } = found;
    let problems = match findings.len() {
        0 => "no problems".to_owned(),
        1 => "1 problem".to_owned(),
        count => format!("{count} problems"),
    };
    text + &format!("Checked {layers} layers, {containers} containers and {volumes} volumes: {problems}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_types::SystemFinding;

    #[test]
    fn each_problem_is_a_line() {
        let finding = |repaired, note: &str| SystemFinding {
            subject: "volume data".to_owned(),
            problem: "its directory is gone".to_owned(),
            repaired,
            note: note.to_owned(),
        };
        let mut found = SystemCheck { layers: 3, containers: 2, volumes: 1, findings: Vec::new() };
        assert_eq!(text(&found), "Checked 3 layers, 2 containers and 1 volumes: no problems\n");
        found.findings = vec![finding(true, ""), finding(false, "make directory: permission denied")];
        assert_eq!(
            text(&found),
            "volume data: its directory is gone (repaired)\n\
             volume data: its directory is gone; make directory: permission denied\n\
             Checked 3 layers, 2 containers and 1 volumes: 2 problems\n"
        );
    }
}
