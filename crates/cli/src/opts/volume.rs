//! `-v [SOURCE:]TARGET[:OPTIONS]`. The engine reads the text again; only relative sources are resolved here.

/// What `-v` asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Volume {
    /// A path in the container that gets an anonymous volume.
    Anonymous(String),
    /// A bind or named volume, as text for the engine.
    Bind(String),
}

pub fn parse(text: &str) -> Result<Volume, String> {
    if text.is_empty() {
        return Err("invalid empty volume spec".into());
    }
    let Some((source, rest)) = text.split_once(':') else {
        return Ok(Volume::Anonymous(text.to_owned()));
    };
    if !source.starts_with('.') {
        return Ok(Volume::Bind(text.to_owned()));
    }
    let absolute =
        std::path::absolute(source).map_err(|error| format!("invalid volume source {source}: {error}"))?;
    Ok(Volume::Bind(format!("{}:{rest}", super::mount::clean(&absolute.to_string_lossy()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        assert_eq!(parse("/data").unwrap(), Volume::Anonymous("/data".into()));
        assert_eq!(parse("name:/data:ro").unwrap(), Volume::Bind("name:/data:ro".into()));
        let here = std::env::current_dir().unwrap();
        assert_eq!(parse("./x:/y").unwrap(), Volume::Bind(format!("{}/x:/y", here.display())));
        assert_eq!(parse("a::b").unwrap(), Volume::Bind("a::b".into()));
        assert!(parse("").is_err());
    }
}
