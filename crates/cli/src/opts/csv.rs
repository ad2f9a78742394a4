//! One record of comma-separated values, as Go's encoding/csv reads it: fields may be quoted, `""` is a quote.

pub fn fields(line: &str) -> Result<Vec<String>, String> {
    if line.is_empty() {
        return Ok(Vec::new());
    }
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted, line.len() - rest.len())?,
            None => plain_field(rest, line.len() - rest.len())?,
        };
        fields.push(field);
        match after {
            Some(after) => rest = after,
            None => return Ok(fields),
        }
    }
}

type Field<'s> = (String, Option<&'s str>);

fn plain_field(rest: &str, offset: usize) -> Result<Field<'_>, String> {
    let (field, after) = match rest.split_once(',') {
        Some((field, after)) => (field, Some(after)),
        None => (rest, None),
    };
    match field.find('"') {
        Some(at) => {
            Err(format!("parse error on line 1, column {}: bare \" in non-quoted field", offset + at + 1))
        }
        None => Ok((field.to_owned(), after)),
    }
}

fn quoted_field(mut rest: &str, offset: usize) -> Result<Field<'_>, String> {
    let mut field = String::new();
    loop {
        let Some(at) = rest.find('"') else {
            return Err(format!(
                "parse error on line 1, column {}: extraneous or missing \" in quoted-field",
                offset + 1
            ));
        };
        field.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('"') {
            field.push('"');
            rest = after;
        } else if rest.is_empty() {
            return Ok((field, None));
        } else if let Some(after) = rest.strip_prefix(',') {
            return Ok((field, Some(after)));
        } else {
            return Err(format!(
                "parse error on line 1, column {}: extraneous or missing \" in quoted-field",
                offset + 1
            ));
        }
    }
}

/// `key=value` pairs of a record; a field without `=` has no value.
pub fn pairs(line: &str) -> Result<Vec<(String, Option<String>)>, String> {
    let split = |field: String| match field.split_once('=') {
        Some((key, value)) => (key.trim().to_lowercase(), Some(value.trim().to_owned())),
        None => (field.trim().to_lowercase(), None),
    };
    Ok(fields(line)?.into_iter().map(split).collect())
}

#[cfg(test)]
mod tests {
    use super::fields;

    #[test]
    fn fields_and_quotes() {
        assert_eq!(fields("a,b=c,,d").unwrap(), ["a", "b=c", "", "d"]);
        assert_eq!(fields(r#""a,b","say ""hi""",c"#).unwrap(), ["a,b", "say \"hi\"", "c"]);
        assert!(fields(r#"a"b"#).is_err());
        assert!(fields(r#""a"#).is_err());
    }
}
