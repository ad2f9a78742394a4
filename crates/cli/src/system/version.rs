//! `version`

use api_types::{ComponentVersion, Version};
use serde::Serialize;

use crate::args::{Action, Arity, Command, FORMAT_ONE, Parsed};
use crate::cli::{Cli, print};
use crate::connect::Request;
use crate::connect::client::API_VERSION;
use crate::error::Error;
use crate::format::tabs::Tabs;
use crate::format::time::ansic;
use crate::inspect::shape;
use crate::template::{Missing, Template, Value};

pub static COMMAND: Command = Command {
    usage: "[OPTIONS]",
    about: "Show the versions of the client and the engine",
    arity: Arity::None,
    interspersed: true,
    flags: &[&[FORMAT_ONE]],
    action: Action::Run(|cli, args| Box::pin(run(cli, args))),
};

#[derive(Serialize, Default)]
#[serde(rename_all = "PascalCase")]
pub struct ClientVersion {
    version: String,
    #[serde(rename = "ApiVersion")]
    api_version: String,
    #[serde(rename = "DefaultAPIVersion")]
    default_api_version: String,
    git_commit: String,
    go_version: String,
    os: String,
    arch: String,
    build_time: String,
    context: String,
}

fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

async fn client_version(cli: &Cli) -> Result<ClientVersion, Error> {
    let agreed = match cli.client()?.api_version().await {
        Ok(version) => version,
        Err(_) => API_VERSION,
    };
    Ok(ClientVersion {
        version: env!("CARGO_PKG_VERSION").into(),
        api_version: agreed.into(),
        default_api_version: API_VERSION.into(),
        // Written by no Go compiler; the field is part of the format that scripts read.
        go_version: "none".into(),
        git_commit: option_env!("LICHEN_GIT_COMMIT").unwrap_or("unknown").into(),
        build_time: option_env!("LICHEN_BUILD_TIME").unwrap_or("unknown").into(),
        os: std::env::consts::OS.into(),
        arch: arch().into(),
        context: cli.context_name()?,
    })
}

async fn run(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let template = match args.non_empty("format") {
        Some("json") => Some(Template::parse("{{json .}}").map_err(Error::InspectTemplate)?),
        Some(source) => Some(Template::parse(source).map_err(Error::InspectTemplate)?),
        None => None,
    };
    let client = client_version(cli).await?;
    let server = cli.client()?.json::<Version>(Request::get("/version")).await.map(with_dates);
    let text = match template {
        Some(template) => {
            let data = data(&client, server.as_ref().ok())?;
            template.execute(&data, Missing::Known(optional)).map_err(Error::Template)?
        }
        None => plain(&client, server.as_ref().ok()),
    };
    print(text + "\n")?;
    server.map(|_| 0)
}

/// Build times of components in the form that people read.
fn with_dates(mut version: Version) -> Version {
    for component in &mut version.components {
        if let Some(time) = component.details.get_mut("BuildTime")
            && let Some(date) = ansic(time)
        {
            *time = date;
        }
    }
    version
}

/// What templates see: `.Client` and `.Server`, with the Go names of fields.
fn data(client: &ClientVersion, server: Option<&Version>) -> Result<Value, Error> {
    let value = |json: serde_json::Result<String>| {
        let json = json.and_then(|text| serde_json::from_str::<Value>(&text));
        json.map_err(|source| Error::Answer { path: "/version".into(), source })
    };
    let client = value(serde_json::to_string(client))?;
    let server = match server {
        Some(server) => value(serde_json::to_string(&go_order(server)))?,
        None => Value::Nil,
    };
    Ok(Value::map(vec![("Client".into(), shape("", client)), ("Server".into(), shape("", server))]))
}

/// The fields of Go's types.Version, in its order.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GoVersion<'a> {
    platform: &'a api_types::VersionPlatform,
    components: &'a [ComponentVersion],
    version: &'a str,
    #[serde(rename = "ApiVersion")]
    api_version: &'a str,
    #[serde(rename = "MinAPIVersion")]
    min_api_version: &'a str,
    git_commit: &'a str,
    go_version: &'a str,
    os: &'a str,
    arch: &'a str,
    kernel_version: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    experimental: bool,
    build_time: &'a str,
}

fn go_order(v: &Version) -> GoVersion<'_> {
    GoVersion {
        platform: &v.platform,
        components: &v.components,
        version: &v.version,
        api_version: &v.api_version,
        min_api_version: &v.min_api_version,
        git_commit: &v.git_commit,
        go_version: &v.go_version,
        os: &v.os,
        arch: &v.arch,
        kernel_version: &v.kernel_version,
        experimental: v.experimental,
        build_time: &v.build_time,
    }
}

fn optional(name: &str) -> Option<Value> {
    match name {
        "Experimental" => Some(Value::Bool(false)),
        "Platform" => Some(Value::Nil),
        "Details" => Some(Value::map(Vec::new())),
        _ => None,
    }
}

fn plain(client: &ClientVersion, server: Option<&Version>) -> String {
    let downgraded = match client.api_version == client.default_api_version {
        true => String::new(),
        false => format!(" (downgraded from {})", client.default_api_version),
    };
    let mut text = format!(
        "Client:\n Version:\t{}\n API version:\t{}{downgraded}\n Git commit:\t{}\n Built:\t{}\n OS/Arch:\t{}/{}\n Context:\t{}",
        client.version,
        client.api_version,
        client.git_commit,
        client.build_time,
        client.os,
        client.arch,
        client.context,
    );
    if let Some(server) = server {
        text.push_str("\n\nServer:");
        if !server.platform.name.is_empty() {
            text.push_str(&format!(" {}", server.platform.name));
        }
        for component in &server.components {
            text.push_str(&component_text(component));
        }
    }
    Tabs { min_width: 20, padding: 1 }.align(&text)
}

fn component_text(component: &ComponentVersion) -> String {
    let mut text = format!("\n {}:\n  Version:\t{}", component.name, component.version);
    let detail = |key: &str| component.details.get(key).map_or("", String::as_str);
    if component.name != "Engine" {
        for (key, value) in &component.details {
            text.push_str(&format!("\n  {key}:\t{value}"));
        }
        return text;
    }
    let built = detail("BuildTime");
    text.push_str(&format!(
        "\n  API version:\t{} (minimum version {})\n  Go version:\t{}\n  Git commit:\t{}\n  Built:\t{built}\n  OS/Arch:\t{}/{}\n  Experimental:\t{}",
        detail("ApiVersion"), detail("MinAPIVersion"), detail("GoVersion"), detail("GitCommit"), detail("Os"), detail("Arch"),
        detail("Experimental"),
    ));
    text
}
