//! `--log-opt tag=…`: what a container's lines are called where the lines of many are kept together.

use crate::{Error, Result};

/// Docker's default (moby `loggerutils.DefaultTemplate`).
pub const DEFAULT: &str = "{{.ID}}";

/// What the words of a template stand for (moby `logger.Info`).
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    pub id: &'a str,
    pub full_id: &'a str,
    pub name: &'a str,
    pub image_name: &'a str,
    pub image_id: &'a str,
    pub image_full_id: &'a str,
}

const NONE: Words<'static> =
    Words { id: "", full_id: "", name: "", image_name: "", image_id: "", image_full_id: "" };

/// Whether it can be rendered.
///
/// # Errors
/// [`Error::Tag`]: it is more than words of a container in double braces. Docker's are Go templates; of those the words
/// are what tags are made of.
pub fn check(template: &str) -> Result<()> {
    render(template, &NONE).map(drop)
}

/// # Errors
/// As [`check`].
pub fn render(template: &str, words: &Words<'_>) -> Result<String> {
    let refuse = |part: &str| Error::Tag { template: template.to_owned(), part: part.to_owned() };
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (action, after) = after.split_once("}}").ok_or_else(|| refuse(after))?;
        out.push_str(before);
        out.push_str(match action.trim_matches([' ', '\t', '-']) {
            ".ID" => words.id,
            ".FullID" => words.full_id,
            ".Name" => words.name,
            ".ImageName" => words.image_name,
            ".ImageID" => words.image_id,
            ".ImageFullID" => words.image_full_id,
            ".DaemonName" => "docker",
            other => return Err(refuse(other)),
        });
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_replaced_and_anything_else_is_refused() {
        let words = Words { name: "web", id: "0123", image_name: "nginx:1", ..NONE };
        assert_eq!(render("{{.ImageName}}/{{ .Name }}/{{.ID}}", &words).unwrap(), "nginx:1/web/0123");
        assert_eq!(render("plain", &words).unwrap(), "plain");
        for bad in ["{{.Name", "{{.Color}}", "{{if .Name}}x{{end}}"] {
            assert!(check(bad).unwrap_err().to_string().contains("tag"), "{bad}");
        }
    }
}
