//! Go's words for JSON that is none (`encoding/json`, `scanner.go`): clients and their test suites look for them.

use std::fmt;

/// Why bytes are not JSON, as Go's decoder says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyntaxError {
    /// The input ends inside a value.
    UnexpectedEof,
    InvalidCharacter {
        character: u8,
        context: &'static str,
    },
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnexpectedEof => f.write_str("unexpected EOF"),
            Self::InvalidCharacter { character, context } => {
                f.write_str("invalid character ")?;
                quote(*character, f)?;
                write!(f, " {context}")
            }
        }
    }
}

/// A byte as Go quotes the rune of that number (`quoteChar`).
fn quote(byte: u8, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match byte {
        b'\'' => f.write_str(r"'\''"),
        b'\\' => f.write_str(r"'\\'"),
        b'\n' => f.write_str(r"'\n'"),
        b'\r' => f.write_str(r"'\r'"),
        b'\t' => f.write_str(r"'\t'"),
        0x07 => f.write_str(r"'\a'"),
        0x08 => f.write_str(r"'\b'"),
        0x0b => f.write_str(r"'\v'"),
        0x0c => f.write_str(r"'\f'"),
        0x00..0x20 | 0x7f => write!(f, r"'\x{byte:02x}'"),
        // The C1 controls, the no-break space and the soft hyphen are not printable to Go.
        0x80..=0xa0 | 0xad => write!(f, r"'\u{byte:04x}'"),
        _ => write!(f, "'{}'", char::from(byte)),
    }
}

/// What Go's decoder finds wrong with the first value of `bytes`; none when that is a value.
///
/// Only the form is looked at. Open containers are kept in a list, not on the stack, so that depth is no danger.
pub fn syntax_error(bytes: &[u8]) -> Option<SyntaxError> {
    Scanner { rest: bytes, open: Vec::new() }.first_value().err()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Array,
    Object,
}

/// What may come next.
enum Expect {
    Value,
    FirstElement,
    FirstKey,
    Key,
    AfterValue,
}

struct Scanner<'a> {
    rest: &'a [u8],
    /// Outermost first.
    open: Vec<Container>,
}

type Scanned<T> = Result<T, SyntaxError>;

fn invalid<T>(character: u8, context: &'static str) -> Scanned<T> {
    Err(SyntaxError::InvalidCharacter { character, context })
}

impl Scanner<'_> {
    fn first_value(mut self) -> Scanned<()> {
        let mut expect = Expect::Value;
        loop {
            expect = match expect {
                Expect::AfterValue if self.open.is_empty() => return Ok(()),
                Expect::AfterValue => self.after_value()?,
                Expect::Value => {
                    let byte = self.token()?;
                    self.value(byte)?
                }
                Expect::FirstElement => match self.token()? {
                    b']' => self.close(),
                    byte => self.value(byte)?,
                },
                Expect::FirstKey => match self.token()? {
                    b'}' => self.close(),
                    byte => self.key(byte)?,
                },
                Expect::Key => {
                    let byte = self.token()?;
                    self.key(byte)?
                }
            }
        }
    }

    fn byte(&mut self) -> Scanned<u8> {
        let (first, rest) = self.rest.split_first().ok_or(SyntaxError::UnexpectedEof)?;
        self.rest = rest;
        Ok(*first)
    }

    /// The next byte that is no white space.
    fn token(&mut self) -> Scanned<u8> {
        loop {
            match self.byte()? {
                b' ' | b'\t' | b'\r' | b'\n' => {}
                byte => return Ok(byte),
            }
        }
    }

    fn close(&mut self) -> Expect {
        self.open.pop();
        Expect::AfterValue
    }

    fn after_value(&mut self) -> Scanned<Expect> {
        let in_array = self.open.last() == Some(&Container::Array);
        match (self.token()?, in_array) {
            (b',', true) => Ok(Expect::Value),
            (b',', false) => Ok(Expect::Key),
            (b']', true) | (b'}', false) => Ok(self.close()),
            (byte, true) => invalid(byte, "after array element"),
            (byte, false) => invalid(byte, "after object key:value pair"),
        }
    }

    fn key(&mut self, first: u8) -> Scanned<Expect> {
        if first != b'"' {
            return invalid(first, "looking for beginning of object key string");
        }
        self.string()?;
        match self.token()? {
            b':' => Ok(Expect::Value),
            byte => invalid(byte, "after object key"),
        }
    }

    fn value(&mut self, first: u8) -> Scanned<Expect> {
        match first {
            b'{' => {
                self.open.push(Container::Object);
                return Ok(Expect::FirstKey);
            }
            b'[' => {
                self.open.push(Container::Array);
                return Ok(Expect::FirstElement);
            }
            b'"' => self.string()?,
            b'-' => match self.byte()? {
                digit @ b'0'..=b'9' => self.number(digit)?,
                byte => return invalid(byte, "in numeric literal"),
            },
            b'0'..=b'9' => self.number(first)?,
            b't' => self.literal(&[
                (b'r', "in literal true (expecting 'r')"),
                (b'u', "in literal true (expecting 'u')"),
                (b'e', "in literal true (expecting 'e')"),
            ])?,
            b'f' => self.literal(&[
                (b'a', "in literal false (expecting 'a')"),
                (b'l', "in literal false (expecting 'l')"),
                (b's', "in literal false (expecting 's')"),
                (b'e', "in literal false (expecting 'e')"),
            ])?,
            b'n' => self.literal(&[
                (b'u', "in literal null (expecting 'u')"),
                (b'l', "in literal null (expecting 'l')"),
                (b'l', "in literal null (expecting 'l')"),
            ])?,
            byte => return invalid(byte, "looking for beginning of value"),
        }
        Ok(Expect::AfterValue)
    }

    fn literal(&mut self, letters: &[(u8, &'static str)]) -> Scanned<()> {
        for (letter, context) in letters {
            let byte = self.byte()?;
            if byte != *letter {
                return invalid(byte, context);
            }
        }
        Ok(())
    }

    /// The rest of a string whose opening quote has been read.
    fn string(&mut self) -> Scanned<()> {
        loop {
            match self.byte()? {
                b'"' => return Ok(()),
                b'\\' => self.escape()?,
                byte @ 0x00..0x20 => return invalid(byte, "in string literal"),
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> Scanned<()> {
        match self.byte()? {
            b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => Ok(()),
            b'u' => (0..4).try_for_each(|_| match self.byte()? {
                byte if byte.is_ascii_hexdigit() => Ok(()),
                byte => invalid(byte, r"in \u hexadecimal character escape"),
            }),
            byte => invalid(byte, "in string escape code"),
        }
    }

    /// The rest of a number whose first digit has been read. No digit may follow a leading zero.
    fn number(&mut self, first: u8) -> Scanned<()> {
        if first != b'0' {
            self.digits();
        }
        if self.skip(b'.') {
            self.first_digit("after decimal point in numeric literal")?;
            self.digits();
        }
        if self.skip(b'e') || self.skip(b'E') {
            // One sign at most.
            if !self.skip(b'+') {
                self.skip(b'-');
            }
            self.first_digit("in exponent of numeric literal")?;
            self.digits();
        }
        Ok(())
    }

    fn first_digit(&mut self, context: &'static str) -> Scanned<()> {
        match self.byte()? {
            b'0'..=b'9' => Ok(()),
            byte => invalid(byte, context),
        }
    }

    fn digits(&mut self) {
        let count = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.rest = &self.rest[count..];
    }

    /// Whether the next byte was `wanted`, which is then read.
    fn skip(&mut self, wanted: u8) -> bool {
        let rest = self.rest.strip_prefix(&[wanted]);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expect: &str) {
        let found = syntax_error(json.as_bytes()).map_or_else(String::new, |error| error.to_string());
        assert_eq!(found, expect, "{json}");
    }

    #[test]
    fn malformed_json_is_described_as_go_does() {
        check("{invalid json", "invalid character 'i' looking for beginning of object key string");
        check("{\"a\" 1}", "invalid character '1' after object key");
        check("{\"a\":1 \"b\"}", "invalid character '\"' after object key:value pair");
        check("{\"a\":1,}", "invalid character '}' looking for beginning of object key string");
        check("[1 2]", "invalid character '2' after array element");
        check("[01]", "invalid character '1' after array element");
        check("[1,]", "invalid character ']' looking for beginning of value");
        check("'x'", r"invalid character '\'' looking for beginning of value");
        check("é", "invalid character 'Ã' looking for beginning of value");
        check("trap", "invalid character 'a' in literal true (expecting 'u')");
        check("\"\\x\"", "invalid character 'x' in string escape code");
        check("\"\\u12g\"", r"invalid character 'g' in \u hexadecimal character escape");
        check("\"a\nb\"", r"invalid character '\n' in string literal");
        check("-x", "invalid character 'x' in numeric literal");
        check("1.x", "invalid character 'x' after decimal point in numeric literal");
        check("1e+-3", "invalid character '-' in exponent of numeric literal");
    }

    #[test]
    fn a_value_that_is_cut_short_ends_unexpectedly() {
        for json in [
            "{", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":1", "[", "[1", "[1,", "\"", "tr", "-", "1.", "1e", "{}",
        ] {
            check(json, if json == "{}" { "" } else { "unexpected EOF" });
        }
    }

    #[test]
    fn values_have_nothing_wrong() {
        for json in ["{\"a\":[1,-2.5e+3,true,false,null,{}],\"b\":\"\\u00e9\\n\"}", "0", " 12 ", "[]", "{} x"]
        {
            check(json, "");
        }
        check(&"[".repeat(100_000), "unexpected EOF");
    }
}
