//! `ps`: containers at a glance.

mod filter;
pub(crate) mod status;

use crate::{Engine, Error, blocking, container::Record, filters::Filters, inspect};
use api_types::{ContainerSummary, SummaryHostConfig, SummaryNetworkSettings};
use filter::Filter;
use model::Timestamp;
use std::sync::Arc;

/// What a listing shows.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Also those that do not run.
    pub all: bool,
    /// The newest so many, running or not.
    pub limit: Option<usize>,
    /// What they wrote, and with their image; slow.
    pub size: bool,
    pub filters: Filters,
}

/// The containers that fit, newest first.
pub async fn list(engine: &Arc<Engine>, options: &Options) -> Result<Vec<ContainerSummary>, Error> {
    let filter = Filter::new(engine, options)?;
    let mut records: Vec<Arc<Record>> = engine.containers.all().iter().map(|c| c.record()).collect();
    records.retain(|record| filter.passes(record, || inspect::network::ports(engine, record)));
    records.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| b.id.cmp(&a.id)));
    records.truncate(options.limit.unwrap_or(usize::MAX));
    let now = Timestamp::now();
    let mut lines: Vec<ContainerSummary> =
        records.iter().map(|record| summary(engine, record, now)).collect();
    if options.size {
        for (line, record) in lines.iter_mut().zip(&records) {
            let (engine, record) = (engine.clone(), record.clone());
            (line.size_rw, line.size_root_fs) =
                blocking("size", move || inspect::sizes(&engine, &record)).await??;
        }
    }
    Ok(lines)
}

fn summary(engine: &Engine, record: &Record, now: Timestamp) -> ContainerSummary {
    let mut names = vec![format!("/{}", record.name)];
    names.extend(linked_names(engine, record));
    ContainerSummary {
        id: record.id.to_string(),
        names,
        image: image_name(engine, record),
        image_id: record.image.as_ref().map(ToString::to_string).unwrap_or_default(),
        command: command(&record.command()),
        created: record.created.unix_seconds(),
        ports: inspect::network::ports(engine, record),
        size_rw: 0,
        size_root_fs: 0,
        labels: record.config.labels.clone(),
        state: record.state.status().as_str().to_owned(),
        status: status::text(record, now),
        host_config: SummaryHostConfig {
            network_mode: record.host_config.network_mode.clone(),
            annotations: record.host_config.annotations.clone(),
        },
        network_settings: SummaryNetworkSettings { networks: inspect::network::endpoints(engine, record) },
        mounts: inspect::mount_points(record),
    }
}

/// `/owner/alias` for each container that links to this one.
fn linked_names(engine: &Engine, record: &Record) -> Vec<String> {
    let mut names = Vec::new();
    for owner in engine.containers.all() {
        let owner = owner.record();
        for link in &owner.host_config.links {
            let Ok((target, alias)) = crate::create::validate::parse_link(link) else { continue };
            if target == record.name || record.id.as_str() == target {
                names.push(format!("/{}/{alias}", owner.name));
            }
        }
    }
    names
}

/// The reference it was made from while that still means the same image; else the image's ID.
fn image_name(engine: &Engine, record: &Record) -> String {
    let asked = &record.config.image;
    match &record.image {
        Some(id) if engine.images.resolve(asked).is_ok_and(|image| image.id == *id) => asked.clone(),
        Some(id) => id.to_string(),
        None => asked.clone(),
    }
}

/// Words with spaces in quotes, as Docker shows commands.
fn command(words: &[String]) -> String {
    let quote = |(i, word): (usize, &String)| {
        if i > 0 && word.contains(' ') { format!("'{word}'") } else { word.clone() }
    };
    words.iter().enumerate().map(quote).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn commands_are_quoted_as_docker_quotes_them() {
        let words = ["sh", "-c", "echo hi"].map(str::to_owned);
        assert_eq!(super::command(&words), "sh -c 'echo hi'");
    }
}
