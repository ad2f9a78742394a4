//! `--restart no|on-failure[:N]|always|unless-stopped`

use api_types::RestartPolicy;

pub fn parse(text: &str) -> Result<RestartPolicy, String> {
    if text.is_empty() {
        return Ok(RestartPolicy::default());
    }
    let (name, count) = match text.split_once(':') {
        Some((_, "")) | None => (text.trim_end_matches(':'), None),
        Some((name, count)) => (name, Some(count)),
    };
    if name.is_empty() {
        return Err("invalid restart policy format: no policy provided before colon".into());
    }
    let maximum_retry_count = match count {
        None => 0,
        Some(count) if count.contains(':') => return Err("invalid restart policy format".into()),
        Some(count) => count
            .parse()
            .map_err(|_| "invalid restart policy format: maximum retry count must be an integer")?,
    };
    Ok(RestartPolicy { name: name.into(), maximum_retry_count })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn policies() {
        assert_eq!(parse("always").unwrap().name, "always");
        assert_eq!(parse("on-failure:3").unwrap().maximum_retry_count, 3);
        assert!(parse("on-failure:x").is_err());
        assert!(parse(":3").is_err());
    }
}
