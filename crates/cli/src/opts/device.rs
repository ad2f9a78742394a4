//! `--device`, `--device-cgroup-rule`, and the block I/O flags.

use api_types::{DeviceMapping, DeviceRequest, Map, ThrottleDevice, WeightDevice};

use crate::format::units;

/// A host device to make visible, or a device that CDI describes.
#[derive(Debug, PartialEq)]
pub enum Device {
    Host(DeviceMapping),
    Cdi(String),
}

/// `vendor.example/class=name`
fn is_cdi(text: &str) -> bool {
    let Some((kind, name)) = text.split_once('=') else { return false };
    let Some((vendor, class)) = kind.split_once('/') else { return false };
    let word = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
    };
    word(vendor) && word(class) && !name.is_empty()
}

fn is_mode(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|c| "rwm".contains(c))
        && text.chars().enumerate().all(|(i, c)| !text[..i].contains(c))
}

fn check(text: &str) -> Result<(), String> {
    if is_cdi(text) {
        return Ok(());
    }
    let parts: Vec<_> = text.split(':').collect();
    let path = match parts.as_slice() {
        [] | ["", ..] => return Err(format!("bad format for path: {text}")),
        [path] => path,
        [path, mode] if is_mode(mode) => path,
        [_, path] => path,
        [_, path, mode] if is_mode(mode) => path,
        [_, _, mode] => return Err(format!("bad mode specified: {mode}")),
        _ => return Err(format!("bad format for path: {text}")),
    };
    match path.starts_with('/') {
        true => Ok(()),
        false => Err(format!("{path} is not an absolute path")),
    }
}

pub fn parse(text: &str) -> Result<Device, String> {
    check(text)?;
    if is_cdi(text) {
        return Ok(Device::Cdi(text.to_owned()));
    }
    let parts: Vec<_> = text.split(':').collect();
    let (source, target, mode) = match parts.as_slice() {
        [source] => (*source, *source, "rwm"),
        [source, mode] if is_mode(mode) => (*source, *source, *mode),
        [source, target] => (*source, *target, "rwm"),
        [source, target, mode] => (*source, *target, *mode),
        _ => return Err(format!("invalid device specification: {text}")),
    };
    let target = if target.is_empty() { source } else { target };
    Ok(Device::Host(DeviceMapping {
        path_on_host: source.into(),
        path_in_container: target.into(),
        cgroup_permissions: mode.into(),
    }))
}

/// All CDI devices in one request, as docker asks for them.
pub fn cdi_request(names: Vec<String>) -> DeviceRequest {
    DeviceRequest { driver: "cdi".into(), device_ids: names, options: Map::new(), ..DeviceRequest::default() }
}

/// `TYPE MAJOR:MINOR MODE`: `c 42:* rmw`.
pub fn check_cgroup_rule(text: &str) -> Result<(), String> {
    let number = |part: &str| part == "*" || (!part.is_empty() && part.chars().all(|c| c.is_ascii_digit()));
    let valid = match text.split(' ').collect::<Vec<_>>().as_slice() {
        [kind, numbers, mode] => {
            matches!(*kind, "a" | "b" | "c")
                && numbers.split_once(':').is_some_and(|(major, minor)| number(major) && number(minor))
                && (1..=3).contains(&mode.len())
                && mode.chars().all(|c| "rwm".contains(c))
        }
        _ => false,
    };
    if valid { Ok(()) } else { Err(format!("invalid device cgroup format '{text}'")) }
}

fn device_path(text: &str) -> Result<(&str, &str), String> {
    let (path, value) =
        text.split_once(':').filter(|(path, _)| !path.is_empty()).ok_or(format!("bad format: {text}"))?;
    match path.starts_with("/dev/") {
        true => Ok((path, value)),
        false => Err(format!("bad format for device path: {text}")),
    }
}

pub fn weight(text: &str) -> Result<WeightDevice, String> {
    let (path, value) = device_path(text)?;
    let weight: u16 = value.parse().map_err(|_| format!("invalid weight for device: {text}"))?;
    match weight {
        0 | 10..=1000 => Ok(WeightDevice { path: path.into(), weight }),
        _ => Err(format!("invalid weight for device: {text}")),
    }
}

pub fn check_weight(text: &str) -> Result<(), String> {
    weight(text).map(drop)
}

pub fn bps(text: &str) -> Result<ThrottleDevice, String> {
    let (path, value) = device_path(text)?;
    let rate = units::parse_bytes(value).ok().and_then(|rate| u64::try_from(rate).ok()).ok_or_else(|| {
        format!("invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb")
    })?;
    Ok(ThrottleDevice { path: path.into(), rate })
}

pub fn check_bps(text: &str) -> Result<(), String> {
    bps(text).map(drop)
}

pub fn iops(text: &str) -> Result<ThrottleDevice, String> {
    let (path, value) = device_path(text)?;
    let rate = value.parse().map_err(|_| {
        format!("invalid rate for device: {text}. The correct format is <device-path>:<number>. Number must be a positive integer")
    })?;
    Ok(ThrottleDevice { path: path.into(), rate })
}

pub fn check_iops(text: &str) -> Result<(), String> {
    iops(text).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices() {
        let host = |a: &str, b: &str, c: &str| {
            Device::Host(DeviceMapping {
                path_on_host: a.into(),
                path_in_container: b.into(),
                cgroup_permissions: c.into(),
            })
        };
        assert_eq!(parse("/dev/fuse").unwrap(), host("/dev/fuse", "/dev/fuse", "rwm"));
        assert_eq!(parse("/dev/a:r").unwrap(), host("/dev/a", "/dev/a", "r"));
        assert_eq!(parse("/dev/a:/dev/b:rw").unwrap(), host("/dev/a", "/dev/b", "rw"));
        assert_eq!(parse("nvidia.com/gpu=all").unwrap(), Device::Cdi("nvidia.com/gpu=all".into()));
        assert_eq!(check("/dev/a:/dev/b:x").unwrap_err(), "bad mode specified: x");
        assert_eq!(check("dev").unwrap_err(), "dev is not an absolute path");
        assert_eq!(check(":").unwrap_err(), "bad format for path: :");
    }

    #[test]
    fn rules_and_rates() {
        assert!(check_cgroup_rule("c 42:* rmw").is_ok());
        assert!(check_cgroup_rule("x 1:1 r").is_err());
        assert_eq!(bps("/dev/sda:1mb").unwrap().rate, 1 << 20);
        assert!(check_iops("/dev/sda:1mb").is_err());
        assert!(check_weight("/dev/sda:5").is_err());
    }
}
