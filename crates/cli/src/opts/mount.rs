//! `--mount type=…,source=…,target=…,…`

use api_types::{BindOptions, ImageOptions, Map, Mount, MountDriver, TmpfsOptions, VolumeOptions};

use super::csv;
use crate::format::units;

pub fn check(text: &str) -> Result<(), String> {
    parse(text).map(drop)
}

pub fn parse(text: &str) -> Result<Mount, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("value is empty".into());
    }
    let mut mount = Mount { r#type: "volume".into(), ..Mount::default() };
    for field in csv::fields(text)? {
        set(&mut mount, &field)?;
    }
    validate(&mount)?;
    Ok(mount)
}

/// Keys that may stand alone, meaning true.
const SWITCHES: [&str; 5] = ["readonly", "ro", "volume-nocopy", "bind-nonrecursive", "bind-create-src"];

fn split(field: &str) -> Result<(String, Option<&str>), String> {
    let (key, value) = match field.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (field, None),
    };
    if key.trim() != key {
        return Err(format!(
            "invalid option '{}' in '{field}': option should not have whitespace",
            key.trim()
        ));
    }
    match value {
        Some(value) if value.trim().is_empty() => {
            return Err(format!("invalid value for '{key}': value is empty"));
        }
        Some(value) if value.trim() != value => {
            return Err(format!("invalid value for '{key}' in '{field}': value should not have whitespace"));
        }
        None if !SWITCHES.contains(&key.to_lowercase().as_str()) => {
            return Err(format!("invalid field '{field}' must be a key=value pair"));
        }
        _ => {}
    }
    Ok((key.to_lowercase(), value))
}

fn set(mount: &mut Mount, field: &str) -> Result<(), String> {
    let (key, value) = split(field)?;
    let text = || value.unwrap_or_default().to_owned();
    let switch = || match value {
        None | Some("true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        Some(other) => Err(format!(
            "invalid value for '{key}': invalid boolean value ({other:?}): must be one of \"true\", \"1\", \"false\", or \"0\" (default \"true\")"
        )),
    };
    let bad = || format!("invalid value for {key}: {}", text());
    match key.as_str() {
        "type" => mount.r#type = text().to_lowercase(),
        "source" | "src" => mount.source = source(&text()),
        "target" | "dst" | "destination" => mount.target = text(),
        "readonly" | "ro" => mount.read_only = switch()?,
        "consistency" => mount.consistency = text().to_lowercase(),
        "bind-propagation" => bind(mount).propagation = text().to_lowercase(),
        "bind-nonrecursive" => {
            return Err("bind-nonrecursive is deprecated, use bind-recursive=disabled instead".into());
        }
        "bind-recursive" => recursive(bind(mount), &text())?,
        "bind-create-src" => bind(mount).create_mountpoint = switch()?,
        "volume-subpath" => volume(mount).subpath = text(),
        "volume-nocopy" => volume(mount).no_copy = switch()?,
        "volume-label" => add(&mut volume(mount).labels, &text()),
        "volume-driver" => driver(mount).name = text(),
        "volume-opt" => add(&mut driver(mount).options, &text()),
        "image-subpath" => mount.image_options.get_or_insert_with(ImageOptions::default).subpath = text(),
        "tmpfs-size" => tmpfs(mount).size_bytes = units::parse_bytes(&text()).map_err(|_| bad())?,
        "tmpfs-mode" => tmpfs(mount).mode = u32::from_str_radix(&text(), 8).map_err(|_| bad())?,
        _ => return Err(format!("unexpected key '{key}' in '{field}'")),
    }
    Ok(())
}

fn recursive(bind: &mut BindOptions, value: &str) -> Result<(), String> {
    match value {
        "enabled" => {}
        "disabled" => bind.non_recursive = true,
        "writable" => bind.read_only_non_recursive = true,
        "readonly" => bind.read_only_force_recursive = true,
        other => {
            return Err(format!(
                "invalid value for bind-recursive: {other} (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")"
            ));
        }
    }
    Ok(())
}

fn bind(mount: &mut Mount) -> &mut BindOptions {
    mount.bind_options.get_or_insert_with(BindOptions::default)
}

fn volume(mount: &mut Mount) -> &mut VolumeOptions {
    mount.volume_options.get_or_insert_with(VolumeOptions::default)
}

fn driver(mount: &mut Mount) -> &mut MountDriver {
    volume(mount).driver_config.get_or_insert_with(MountDriver::default)
}

fn tmpfs(mount: &mut Mount) -> &mut TmpfsOptions {
    mount.tmpfs_options.get_or_insert_with(TmpfsOptions::default)
}

fn add(map: &mut Map<String>, pair: &str) {
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    if !key.is_empty() {
        map.insert(key.to_owned(), value.to_owned());
    }
}

/// A source that begins with a dot is a path relative to the working directory.
fn source(text: &str) -> String {
    match text.starts_with('.') {
        true => {
            std::path::absolute(text).map_or_else(|_| text.to_owned(), |path| clean(&path.to_string_lossy()))
        }
        false => text.to_owned(),
    }
}

/// An absolute path without `.` and `..`, by its text alone.
pub fn clean(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn validate(mount: &Mount) -> Result<(), String> {
    if mount.r#type.is_empty() {
        return Err("type is required".into());
    }
    if mount.target.is_empty() {
        return Err("target is required".into());
    }
    let given = [
        ("volume", mount.volume_options.is_some()),
        ("bind", mount.bind_options.is_some()),
        ("image", mount.image_options.is_some()),
        ("tmpfs", mount.tmpfs_options.is_some()),
    ];
    if let Some((kind, _)) = given.iter().find(|(kind, given)| *given && *kind != mount.r#type) {
        return Err(format!("cannot mix '{kind}-*' options with mount type '{}'", mount.r#type));
    }
    let Some(bind) = &mount.bind_options else { return Ok(()) };
    if bind.read_only_non_recursive && !mount.read_only {
        return Err(
            "option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction".into()
        );
    }
    if bind.read_only_force_recursive {
        if !mount.read_only {
            return Err(
                "option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction".into(),
            );
        }
        if bind.propagation != "rprivate" {
            return Err("option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction".into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let m = parse("type=bind,src=/a,dst=/b,ro,bind-propagation=rslave").unwrap();
        assert_eq!(
            (m.r#type.as_str(), m.source.as_str(), m.target.as_str(), m.read_only),
            ("bind", "/a", "/b", true)
        );
        assert_eq!(m.bind_options.unwrap().propagation, "rslave");
        let m = parse("source=v,target=/b,volume-opt=a=b,\"volume-opt=o=x,y\",volume-nocopy").unwrap();
        let options = m.volume_options.unwrap();
        assert!(options.no_copy);
        assert_eq!(options.driver_config.unwrap().options["o"], "x,y");
        let m = parse("type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1770").unwrap().tmpfs_options.unwrap();
        assert_eq!((m.size_bytes, m.mode), (1 << 20, 0o1770));
    }

    #[test]
    fn complaints() {
        for (text, message) in [
            ("", "value is empty"),
            ("type=volume", "target is required"),
            ("foo", "invalid field 'foo' must be a key=value pair"),
            ("target=/x,colour=red", "unexpected key 'colour' in 'colour=red'"),
            ("type=tmpfs,target=/x,volume-nocopy", "cannot mix 'volume-*' options with mount type 'tmpfs'"),
            ("type=tmpfs,target=/x,tmpfs-size=q", "invalid value for tmpfs-size: q"),
        ] {
            assert_eq!(parse(text).unwrap_err(), message);
        }
    }

    #[test]
    fn cleaning() {
        assert_eq!(clean("/a/./b/../c//d/"), "/a/c/d");
        assert_eq!(clean("/../.."), "/");
    }
}
