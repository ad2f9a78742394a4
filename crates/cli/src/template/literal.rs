//! Numbers, strings, and tokens as text.

use super::ast::OperandKind;
use super::lex::Token;

/// A number in one of Go's notations.
pub(super) fn number(text: &str) -> Option<OperandKind> {
    let plain = text.replace('_', "");
    let (sign, digits) = match plain.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, plain.trim_start_matches('+')),
    };
    let lower = digits.to_ascii_lowercase();
    let radix = |prefix: &str, radix: u32| {
        lower.strip_prefix(prefix).map(|digits| i128::from_str_radix(digits, radix).ok())
    };
    let int = radix("0x", 16)
        .or_else(|| radix("0o", 8))
        .or_else(|| radix("0b", 2))
        .unwrap_or_else(|| lower.parse().ok());
    match int {
        Some(int) => Some(OperandKind::Int(sign * int, text.to_owned())),
        None => plain.parse::<f64>().ok().map(|float| OperandKind::Float(float, text.to_owned())),
    }
}

/// The body of a Go string literal, its escapes resolved.
pub(super) fn unescape(body: &str) -> Option<String> {
    let mut out = String::with_capacity(body.len());
    let mut chars = body.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let digits = match chars.next()? {
            'n' => {
                out.push('\n');
                continue;
            }
            't' => {
                out.push('\t');
                continue;
            }
            'r' => {
                out.push('\r');
                continue;
            }
            'a' => {
                out.push('\x07');
                continue;
            }
            'b' => {
                out.push('\x08');
                continue;
            }
            'v' => {
                out.push('\x0b');
                continue;
            }
            'f' => {
                out.push('\x0c');
                continue;
            }
            c @ ('\\' | '"' | '\'') => {
                out.push(c);
                continue;
            }
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => return None,
        };
        let hex: String = chars.by_ref().take(digits).collect();
        out.push(char::from_u32(u32::from_str_radix(&hex, 16).ok()?)?);
    }
    Some(out)
}

/// A token as Go's messages show it.
pub(super) fn describe(token: &Token) -> String {
    let quote = super::go_quote;
    match token {
        Token::Text(text) => quote(text),
        Token::Open => quote("{{"),
        Token::Close => quote("}}"),
        Token::Space => quote(" "),
        Token::Dot => "<.>".into(),
        Token::Field(name) => format!("<.{name}>"),
        Token::Variable(name) => quote(name),
        Token::Identifier(word) if is_keyword(word) => format!("<{word}>"),
        Token::Identifier(word) => quote(word),
        Token::Number(text) | Token::Char(text) | Token::Str(text) | Token::RawStr(text) => quote(text),
        Token::Declare => quote(":="),
        Token::Assign => quote("="),
        Token::Pipe => quote("|"),
        Token::Comma => quote(","),
        Token::LeftParen => quote("("),
        Token::RightParen => quote(")"),
        Token::Eof => "EOF".into(),
    }
}

fn is_keyword(word: &str) -> bool {
    matches!(
        word,
        "if" | "with"
            | "range"
            | "else"
            | "end"
            | "template"
            | "define"
            | "block"
            | "break"
            | "continue"
            | "nil"
    )
}
