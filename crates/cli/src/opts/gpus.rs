//! `--gpus all`, `--gpus 2`, `--gpus '"device=0,1",capabilities=compute'`

use api_types::DeviceRequest;

use super::csv;

pub fn check(text: &str) -> Result<(), String> {
    parse(text).map(drop)
}

fn count(text: &str) -> Result<i64, String> {
    match text {
        "all" => Ok(-1),
        number => number.parse().map_err(|_| {
            format!("invalid count ({number}): value must be either \"all\" or an integer: invalid syntax")
        }),
    }
}

pub fn parse(text: &str) -> Result<DeviceRequest, String> {
    let mut request = DeviceRequest::default();
    let mut seen: Vec<String> = Vec::new();
    let list = |value: &str| value.split(',').map(str::to_owned).collect::<Vec<_>>();
    for field in csv::fields(text)? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (field.as_str(), None),
        };
        let name = if value.is_none() { "count" } else { key };
        if seen.iter().any(|known| known == name) {
            return Err(format!("gpu request key '{name}' can be specified only once"));
        }
        seen.push(name.to_owned());
        match (key, value) {
            (number, None) => request.count = count(number)?,
            ("count", Some(value)) => request.count = count(value)?,
            ("driver", Some(value)) => request.driver = value.into(),
            ("device", Some(value)) => request.device_ids = list(value),
            ("capabilities", Some(value)) => {
                request.capabilities = vec![list(value).into_iter().chain(["gpu".to_owned()]).collect()];
            }
            ("options", Some(value)) => request.options = super::map(&csv::fields(value)?),
            _ => return Err(format!("unexpected key '{key}' in '{field}'")),
        }
    }
    if !seen.iter().any(|key| key == "count") && request.device_ids.is_empty() {
        request.count = 1;
    }
    if request.capabilities.is_empty() {
        request.capabilities = vec![vec!["gpu".into()]];
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        assert_eq!(parse("all").unwrap().count, -1);
        assert_eq!(parse("driver=nvidia").unwrap().count, 1);
        let r = parse("\"device=0,1\",capabilities=compute").unwrap();
        assert_eq!((r.count, r.device_ids), (0, vec!["0".to_owned(), "1".to_owned()]));
        assert_eq!(r.capabilities, [["compute", "gpu"]]);
        assert_eq!(parse("x=1").unwrap_err(), "unexpected key 'x' in 'x=1'");
        assert!(parse("all,count=2").is_err());
    }
}
