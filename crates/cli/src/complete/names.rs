//! Names that only the engine and the store of contexts know.

use api_types::Map;
use serde_json::{Value, json};

use crate::cli::Cli;
use crate::config::contexts::{Contexts, DEFAULT};
use crate::connect::{Query, Request};
use crate::error::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// In one of these states; none means any.
    Containers(&'static [&'static str]),
    Images,
    Networks,
    Volumes,
    Contexts,
    /// `inspect` takes the name of anything.
    Anything,
    /// `cp` takes `CONTAINER:PATH`.
    Paths,
}

impl Source {
    /// Whether a name is only the beginning of the word.
    pub fn continues(self) -> bool {
        self == Self::Paths
    }
}

/// A shell waits for the answer.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(3);

type Names = Vec<(String, String)>;

/// Names with a word about each.
pub fn list(cli: &Cli, source: Source) -> Result<Names, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::io("start the event loop"))?;
    let names = runtime.block_on(async { tokio::time::timeout(PATIENCE, names(cli, source)).await });
    runtime.shutdown_background();
    names.unwrap_or_else(|_| Err(Error::invalid("the engine does not answer")))
}

async fn names(cli: &Cli, source: Source) -> Result<Names, Error> {
    match source {
        Source::Containers(states) => containers(cli, states).await,
        Source::Images => images(cli).await,
        Source::Networks => networks(cli).await,
        Source::Volumes => volumes(cli).await,
        Source::Contexts => contexts(cli),
        Source::Paths => {
            let names = containers(cli, &[]).await?;
            Ok(names.into_iter().map(|(name, about)| (format!("{name}:"), about)).collect())
        }
        Source::Anything => {
            let mut names = containers(cli, &[]).await?;
            names.extend(images(cli).await?);
            names.extend(networks(cli).await?);
            names.extend(volumes(cli).await?);
            Ok(names)
        }
    }
}

async fn ask(cli: &Cli, path: &str, query: Query) -> Result<Value, Error> {
    cli.client()?.json(Request::get(path).query(query)).await
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

async fn containers(cli: &Cli, states: &[&str]) -> Result<Names, Error> {
    let filters: Map<Value> = match states {
        [] => Map::new(),
        states => [("status".to_owned(), json!(states))].into(),
    };
    let query = Query::new().flag("all", true).with("filters", json!(filters).to_string());
    let list = ask(cli, "/containers/json", query).await?;
    let one = |container: &Value| {
        let names: Vec<String> = items(&container["Names"])
            .filter_map(|name| name.as_str()?.strip_prefix('/').map(str::to_owned))
            // Links give a container names below another's.
            .filter(|name| !name.contains('/'))
            .collect();
        let about = format!("{}, {}", text(container, "Image"), text(container, "Status"));
        names.into_iter().map(|name| (name, about.clone())).collect::<Vec<_>>()
    };
    Ok(items(&list).flat_map(one).collect())
}

async fn images(cli: &Cli) -> Result<Names, Error> {
    let list = ask(cli, "/images/json", Query::new()).await?;
    let tags = items(&list).flat_map(|image| items(&image["RepoTags"])).filter_map(Value::as_str);
    Ok(tags.filter(|tag| *tag != "<none>:<none>").map(|tag| (tag.to_owned(), String::new())).collect())
}

async fn networks(cli: &Cli) -> Result<Names, Error> {
    let list = ask(cli, "/networks", Query::new()).await?;
    Ok(items(&list).map(|network| (text(network, "Name"), text(network, "Driver"))).collect())
}

async fn volumes(cli: &Cli) -> Result<Names, Error> {
    let list = ask(cli, "/volumes", Query::new()).await?;
    Ok(items(&list["Volumes"]).map(|volume| (text(volume, "Name"), String::new())).collect())
}

fn contexts(cli: &Cli) -> Result<Names, Error> {
    let stored = Contexts::new(&cli.config()?.dir).list()?.into_iter();
    let default = (DEFAULT.to_owned(), String::new());
    Ok(stored.map(|context| (context.name, context.metadata.description)).chain([default]).collect())
}
