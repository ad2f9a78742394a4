//! JSON text indented without being parsed, so that numbers and the order of fields stay as the engine wrote them.

/// As Go's `json.Indent` with this prefix-free indentation. The text must be valid JSON.
pub fn indent(json: &str, step: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0usize;
    let mut in_string = false;
    let mut escaped = false;
    let mut opened = false;
    let newline = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n(step, depth));
    };
    for c in json.chars() {
        if in_string {
            out.push(c);
            (in_string, escaped) = match c {
                _ if escaped => (true, false),
                '\\' => (true, true),
                '"' => (false, false),
                _ => (true, false),
            };
            continue;
        }
        if c.is_ascii_whitespace() {
            continue;
        }
        // An empty list or map stays on one line.
        if std::mem::take(&mut opened) && !matches!(c, '}' | ']') {
            depth += 1;
            newline(&mut out, depth);
        } else if matches!(c, '}' | ']') && !out.ends_with(['{', '[']) {
            depth = depth.saturating_sub(1);
            newline(&mut out, depth);
        }
        out.push(c);
        match c {
            '"' => in_string = true,
            '{' | '[' => opened = true,
            ',' => newline(&mut out, depth),
            ':' => out.push(' '),
            _ => {}
        }
    }
    out
}

/// The same text without spaces between its tokens, as Go's `json.Compact`.
pub fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for c in json.chars() {
        if in_string || !c.is_ascii_whitespace() {
            out.push(c);
        }
        if escaped {
            escaped = false;
        } else if in_string && c == '\\' {
            escaped = true;
        } else if c == '"' {
            in_string = !in_string;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_and_empty() {
        let text = indent(r#"[{"a":{},"b":[ ],"c":[1,"x, {y}\""],"d":1.0}]"#, "  ");
        let expect = "[\n  {\n    \"a\": {},\n    \"b\": [],\n    \"c\": [\n      1,\n      \"x, {y}\\\"\"\n    ],\n    \"d\": 1.0\n  }\n]";
        assert_eq!(text, expect);
        assert_eq!(compact(&text), r#"[{"a":{},"b":[],"c":[1,"x, {y}\""],"d":1.0}]"#);
    }
}
