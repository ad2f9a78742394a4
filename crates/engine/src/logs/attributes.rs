//! What accompanies each line of a log: the labels and variables that `--log-opt` names, and its tag (moby
//! `logger.Info.ExtraAttributes`).

use crate::container::Record;
use ::logs::tag::Words;
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
    // The others have a field of their own for it.
    if option("tag").is_some() && record.host_config.log_config.r#type == "json-file" {
        attributes.insert("tag".to_owned(), tag(record));
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

/// `--log-opt tag=…` in the container's own words; Docker's default where it is not given.
pub(crate) fn tag(record: &Record) -> String {
    let given = record.host_config.log_config.config.get("tag").filter(|t| !t.is_empty());
    let template = given.map_or(::logs::tag::DEFAULT, String::as_str);
    let image = record.image.as_ref().map(|id| (id.short(), id.as_str())).unwrap_or_default();
    let words = Words {
        id: record.id.short(),
        full_id: record.id.as_str(),
        name: &record.name,
        image_name: &record.config.image,
        image_id: image.0,
        image_full_id: image.1,
    };
    // Checked when the container was created; one of an earlier release is shown as it was given.
    ::logs::tag::render(template, &words).unwrap_or_else(|_| template.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::testing;
    use model::Id;

    #[test]
    fn labels_variables_and_the_tag_are_chosen() {
        let mut record = testing::record(Id::random(), "web");
        record.host_config.log_config.r#type = "json-file".into();
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
