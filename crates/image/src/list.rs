//! `docker images`: listing and its filters.

use crate::{Error, Image, ImageStore, Reference, Result, catalog::Catalog, glob, images::resolve};
use model::{Digest, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// One image as a list shows it.
#[derive(Debug, Clone)]
pub struct Summary {
    pub image: Arc<Image>,
    /// Familiar, sorted: `busybox:latest`.
    pub repo_tags: Vec<String>,
    /// Familiar, sorted: `busybox@sha256:…`.
    pub repo_digests: Vec<String>,
}

/// The filters of `docker images` and `docker image prune`, checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListFilter {
    /// Intermediate images too (`-a`).
    pub all: bool,
    pub dangling: Option<bool>,
    /// Patterns such as `busybox:*`; any of them.
    pub references: Vec<String>,
    /// `key` or `key=value`; all of them.
    pub labels: Vec<String>,
    /// None of them (`label!`).
    pub not_labels: Vec<String>,
    /// Images, by any name, that the listed ones must be older than.
    pub before: Vec<String>,
    /// Images, by any name, that the listed ones must be newer than.
    pub since: Vec<String>,
    /// Made before all of these.
    pub until: Vec<Timestamp>,
}

impl ListFilter {
    /// From the `filters` parameter: each key with each of its values. `until` takes RFC 3339, Unix seconds, or an age
    /// such as `24h` or `1h30m`.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let mut filter = Self::default();
        for (key, value) in pairs {
            let text = value.to_owned();
            match key {
                "dangling" => filter.dangling = Some(parse_bool("dangling", value)?),
                "reference" => filter.references.push(text),
                "label" => filter.labels.push(text),
                "label!" => filter.not_labels.push(text),
                "before" => filter.before.push(text),
                "since" => filter.since.push(text),
                "until" => filter.until.push(parse_until(value)?),
                _ => return Err(Error::UnknownFilter { key: key.to_owned() }),
            }
        }
        Ok(filter)
    }

    fn fits_labels(&self, image: &Image) -> bool {
        let labels = &image.config.config.labels;
        let has = |wanted: &String| match wanted.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|v| v == value),
            None => labels.contains_key(wanted),
        };
        self.labels.iter().all(has) && !self.not_labels.iter().any(has)
    }

    fn fits_reference(&self, name: &Reference) -> bool {
        self.references.is_empty() || self.references.iter().any(|pattern| matches_familiar(pattern, name))
    }
}

/// Docker's `reference.FamiliarMatch`: the pattern may have a tag or not.
fn matches_familiar(pattern: &str, name: &Reference) -> bool {
    glob::matches(pattern, &name.familiar()) || glob::matches(pattern, &name.familiar_name())
}

/// What Go's strconv.ParseBool accepts, and the filter's own `0`/`1`.
fn parse_bool(key: &'static str, value: &str) -> Result<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        // As Go prints a list.
        _ => Err(Error::FilterValue { key, value: format!("[{value}]") }),
    }
}

fn parse_until(value: &str) -> Result<Timestamp> {
    if let Ok(time) = value.parse() {
        return Ok(time);
    }
    let (seconds, fraction) = value.split_once('.').unwrap_or((value, ""));
    if let Ok(seconds) = seconds.parse::<i64>() {
        let nanos = format!("{fraction:0<9}").get(..9).and_then(|n| n.parse().ok()).unwrap_or(0);
        return Ok(Timestamp::from_unix(seconds, nanos));
    }
    let bad = || Error::FilterValue { key: "until", value: value.to_owned() };
    let age = parse_duration(value).ok_or_else(bad)?;
    let then = Timestamp::now().unix_nanos() - age;
    Ok(Timestamp::from_unix((then / 1_000_000_000) as i64, (then % 1_000_000_000) as u32))
}

/// Go's durations (`1h30m`), in nanoseconds.
pub(crate) fn parse_duration(text: &str) -> Option<i128> {
    let mut rest = text;
    let mut total = 0f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| at + digits);
        let unit = match &rest[digits..unit_end] {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        total += number * unit;
        rest = &rest[unit_end..];
    }
    (!text.is_empty()).then_some(total as i128)
}

impl ImageStore {
    /// The images that fit, newest first.
    ///
    /// # Errors
    /// [`Error::NoSuchImage`] for an image that `before` or `since` names.
    pub fn list(&self, filter: &ListFilter) -> Result<Vec<Summary>> {
        let catalog = self.catalog();
        select(&catalog, filter)
    }

    /// Bytes of this image's layers that other images have too (`SharedSize`).
    pub fn shared_size(&self, image: &Digest) -> u64 {
        let catalog = self.catalog();
        let Some(image) = catalog.images.get(image) else { return 0 };
        let others: BTreeSet<_> = catalog
            .images
            .values()
            .filter(|other| other.id != image.id)
            .flat_map(|other| &other.layers)
            .collect();
        let shared = image.layers.iter().filter(|chain| others.contains(chain));
        shared.filter_map(|chain| catalog.layers.get(chain)).map(|layer| layer.size).sum()
    }

    /// Bytes of all layers, each counted once (`LayersSize` of `docker system df`).
    pub fn layers_size(&self) -> u64 {
        self.catalog().layers.values().map(|layer| layer.size).sum()
    }
}

pub(crate) fn select(catalog: &Catalog, filter: &ListFilter) -> Result<Vec<Summary>> {
    let created = |names: &[String]| -> Result<Vec<Timestamp>> {
        names.iter().map(|name| resolve(catalog, name).map(|i| i.config.created_at())).collect()
    };
    let (before, since) = (created(&filter.before)?, created(&filter.since)?);
    let mut names: BTreeMap<&Digest, Vec<&Reference>> = catalog.names_by_image().into_iter().collect();
    let mut found = Vec::new();
    for image in catalog.images.values() {
        let at = image.config.created_at();
        let in_time = before.iter().chain(&filter.until).all(|limit| at < *limit)
            && since.iter().all(|limit| at > *limit);
        let names = names.remove(&image.id).unwrap_or_default();
        let is_dangling = names.is_empty();
        if !in_time
            || !filter.fits_labels(image)
            || filter.dangling.is_some_and(|wanted| wanted != is_dangling)
        {
            continue;
        }
        let fitting: Vec<_> = names.into_iter().filter(|name| filter.fits_reference(name)).collect();
        let is_intermediate = is_dangling && !filter.all && catalog.children(&image.id).next().is_some();
        if is_intermediate || (fitting.is_empty() && !filter.references.is_empty()) {
            continue;
        }
        let (digests, tags): (Vec<_>, Vec<_>) = fitting.into_iter().partition(|name| name.digest().is_some());
        let familiar = |names: Vec<&Reference>| names.into_iter().map(Reference::familiar).collect();
        found.push(Summary {
            image: image.clone(),
            repo_tags: familiar(tags),
            repo_digests: familiar(digests),
        });
    }
    found.sort_by_key(|summary| std::cmp::Reverse(summary.image.config.created_at()));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_checked() {
        let filter =
            ListFilter::parse([("dangling", "true"), ("label", "a=b"), ("until", "2026-01-01T00:00:00Z")])
                .unwrap();
        assert_eq!(filter.dangling, Some(true));
        assert_eq!(filter.until[0].to_string(), "2026-01-01T00:00:00Z");
        for (key, value, text) in [
            ("nope", "x", "invalid filter 'nope'"),
            ("dangling", "maybe", "invalid filter 'dangling=[maybe]'"),
            ("until", "yesterday", "invalid filter 'until=yesterday'"),
        ] {
            assert_eq!(ListFilter::parse([(key, value)]).unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn until_takes_times_and_ages() {
        assert_eq!(parse_until("1.5").unwrap().to_string(), "1970-01-01T00:00:01.5Z");
        assert_eq!(parse_duration("1h30m"), Some(5_400_000_000_000));
        assert_eq!(parse_duration("1x"), None);
        let age = Timestamp::now().unix_nanos() - parse_until("10s").unwrap().unix_nanos();
        assert!((9_000_000_000..11_000_000_000).contains(&age), "{age}");
    }

    #[test]
    fn patterns_match_with_and_without_tag() {
        let name = Reference::parse("localhost:5000/app/web:v1").unwrap();
        for yes in ["localhost:5000/app/web:v1", "localhost:5000/app/web", "*/app/*", "*/*/*:v?"] {
            assert!(matches_familiar(yes, &name), "{yes}");
        }
        for no in ["*", "app/web", "*/app/*:v2"] {
            assert!(!matches_familiar(no, &name), "{no}");
        }
    }
}
