//! What accompanies each line of a log: the labels and variables that `--log-opt` names, and its tag (moby
//! `logger.Info.ExtraAttributes`).

use crate::container::Record;
use api_types::Map;
use regex::Regex;

pub(crate) fn attributes(record: &Record) -> Map<String> {
    let options = &record.host_config.log_config.config;
    let option = |key: &str| options.get(key).map(String::as_str).filter(|v| !v.is_empty());
    let env = record.config.env.iter().filter_map(|entry| entry.split_once('='));
    let labels = record.config.labels.iter().map(|(k, v)| (k.as_str(), v.as_str()));
    let mut attributes = Map::new();
    choose(&mut attributes, labels, option("labels"), option("labels-regex"));
    choose(&mut attributes, env, option("env"), option("env-regex"));
    if let Some(template) = option("tag") {
        attributes.insert("tag".to_owned(), tag(template, record));
    }
    attributes
}

fn choose<'a>(
    into: &mut Map<String>,
    pairs: impl Iterator<Item = (&'a str, &'a str)>,
    names: Option<&str>,
    pattern: Option<&str>,
) {
    let names: Vec<&str> = names.into_iter().flat_map(|names| names.split(',')).map(str::trim).collect();
    let pattern = pattern.and_then(|p| Regex::new(p).ok());
    for (name, value) in pairs {
        if names.contains(&name) || pattern.as_ref().is_some_and(|p| p.is_match(name)) {
            into.insert(name.to_owned(), value.to_owned());
        }
    }
}

/// The words of moby's `loggerutils.ParseLogTag` that tags are made of.
fn tag(template: &str, record: &Record) -> String {
    let image = record.image.as_ref().map(|id| (id.short(), id.as_str())).unwrap_or_default();
    [
        ("{{.ID}}", record.id.short()),
        ("{{.FullID}}", record.id.as_str()),
        ("{{.Name}}", &record.name),
        ("{{.ImageName}}", &record.config.image),
        ("{{.ImageID}}", image.0),
        ("{{.ImageFullID}}", image.1),
        ("{{.DaemonName}}", "docker"),
    ]
    .iter()
    .fold(template.to_owned(), |text, (word, value)| text.replace(word, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::testing;
    use model::Id;

    #[test]
    fn labels_variables_and_the_tag_are_chosen() {
        let mut record = testing::record(Id::random(), "web");
        record.config.labels =
            Map::from([("tier".to_owned(), "front".to_owned()), ("other".to_owned(), String::new())]);
        record.config.env = vec!["A=1".into(), "B_X=2".into(), "C=3".into()];
        for (key, value) in
            [("labels", "tier, none"), ("env", "A"), ("env-regex", "^B_"), ("tag", "{{.Name}}/x")]
        {
            record.host_config.log_config.config.insert(key.into(), value.into());
        }
        let chosen: Vec<_> = attributes(&record).into_iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(chosen, ["A=1", "B_X=2", "tag=web/x", "tier=front"]);
    }
}
