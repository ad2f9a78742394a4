//! Source text to tokens: literal text, and what stands between `{{` and `}}`.

use super::TemplateError;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Text(String),
    Open,
    Close,
    Space,
    Dot,
    /// `.Name`, without the dot.
    Field(String),
    /// `$` or `$name`, with the dollar sign.
    Variable(String),
    Identifier(String),
    /// A number as written.
    Number(String),
    Char(String),
    Str(String),
    RawStr(String),
    Declare,
    Assign,
    Pipe,
    Comma,
    LeftParen,
    RightParen,
    Eof,
}

#[derive(Debug, Clone)]
pub(super) struct Spanned {
    pub token: Token,
    pub pos: usize,
}

/// A message placed at the line of `pos`, as Go's parser reports it.
pub(super) fn error_at(source: &str, pos: usize, message: &str) -> TemplateError {
    let line = source[..pos.min(source.len())].matches('\n').count() + 1;
    TemplateError(format!("template: :{line}: {message}"))
}

pub(super) fn lex(source: &str) -> Result<Vec<Spanned>, TemplateError> {
    let mut lexer = Lexer { source, pos: 0, tokens: Vec::new(), parens: 0 };
    lexer.text()?;
    Ok(lexer.tokens)
}

struct Lexer<'s> {
    source: &'s str,
    pos: usize,
    tokens: Vec<Spanned>,
    parens: usize,
}

const OPEN: &str = "{{";
const CLOSE: &str = "}}";

impl<'s> Lexer<'s> {
    fn rest(&self) -> &'s str {
        &self.source[self.pos..]
    }

    fn fail<T>(&self, message: &str) -> Result<T, TemplateError> {
        Err(error_at(self.source, self.pos, message))
    }

    fn push(&mut self, token: Token, length: usize) {
        self.tokens.push(Spanned { token, pos: self.pos });
        self.pos += length;
    }

    fn text(&mut self) -> Result<(), TemplateError> {
        loop {
            let Some(at) = self.rest().find(OPEN) else {
                let rest = self.rest().to_owned();
                let length = rest.len();
                if !rest.is_empty() {
                    self.push(Token::Text(rest), length);
                }
                self.push(Token::Eof, 0);
                return Ok(());
            };
            let mut literal = &self.rest()[..at];
            let trims = trims_left(&self.rest()[at + 2..]);
            if trims {
                literal = literal.trim_end_matches(is_space);
            }
            if !literal.is_empty() {
                let text = literal.to_owned();
                self.tokens.push(Spanned { token: Token::Text(text), pos: self.pos });
            }
            self.pos += at;
            self.action(trims)?;
        }
    }

    fn action(&mut self, trimmed: bool) -> Result<(), TemplateError> {
        let marker = if trimmed { 2 } else { 0 };
        if self.rest()[OPEN.len() + marker..].starts_with("/*") {
            return self.comment(OPEN.len() + marker);
        }
        self.push(Token::Open, OPEN.len() + marker);
        self.parens = 0;
        loop {
            let (closes, trims) = closes(self.rest());
            if closes {
                if self.parens != 0 {
                    return self.fail("unclosed left paren");
                }
                self.push(Token::Close, CLOSE.len() + if trims { 2 } else { 0 });
                if trims {
                    self.skip_space();
                }
                return Ok(());
            }
            self.inside()?;
        }
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.pos += rest.len() - rest.trim_start_matches(is_space).len();
    }

    fn comment(&mut self, offset: usize) -> Result<(), TemplateError> {
        let Some(end) = self.rest()[offset..].find("*/") else {
            return self.fail("unclosed comment");
        };
        self.pos += offset + end + 2;
        let (closes, trims) = closes(self.rest());
        if !closes {
            return self.fail("comment ends before closing delimiter");
        }
        self.pos += CLOSE.len() + if trims { 2 } else { 0 };
        if trims {
            self.skip_space();
        }
        Ok(())
    }

    fn inside(&mut self) -> Result<(), TemplateError> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return self.fail("unclosed action");
        };
        match first {
            c if is_space(c) => {
                let length = rest.len() - rest.trim_start_matches(is_space).len();
                // The space before a trim marker belongs to the closing delimiter.
                let keeps = if closes(&rest[length - 1..]).1 { 1 } else { 0 };
                if length > keeps {
                    self.push(Token::Space, length - keeps);
                }
                Ok(())
            }
            ':' if rest.starts_with(":=") => self.simple(Token::Declare, 2),
            ':' => self.fail("expected :="),
            '=' => self.simple(Token::Assign, 1),
            '|' => self.simple(Token::Pipe, 1),
            ',' => self.simple(Token::Comma, 1),
            '(' => {
                self.parens += 1;
                self.simple(Token::LeftParen, 1)
            }
            ')' => {
                let Some(left) = self.parens.checked_sub(1) else {
                    return self.fail("unexpected right paren");
                };
                self.parens = left;
                self.simple(Token::RightParen, 1)
            }
            '"' => self.quoted('"'),
            '\'' => self.quoted('\''),
            '`' => self.raw(),
            '.' => self.dot(),
            '$' => {
                let length = 1 + word_length(&rest[1..]);
                self.simple(Token::Variable(rest[..length].to_owned()), length)
            }
            '+' | '-' | '0'..='9' => self.number(),
            c if is_word(c) => {
                let length = word_length(rest);
                self.simple(Token::Identifier(rest[..length].to_owned()), length)
            }
            c => self.fail(&format!("unrecognized character in action: U+{:04X} '{c}'", c as u32)),
        }
    }

    fn simple(&mut self, token: Token, length: usize) -> Result<(), TemplateError> {
        self.push(token, length);
        Ok(())
    }

    fn dot(&mut self) -> Result<(), TemplateError> {
        let rest = self.rest();
        if rest[1..].starts_with(|c: char| c.is_ascii_digit()) {
            return self.number();
        }
        let length = word_length(&rest[1..]);
        if length == 0 {
            return self.simple(Token::Dot, 1);
        }
        self.simple(Token::Field(rest[1..=length].to_owned()), length + 1)
    }

    fn number(&mut self) -> Result<(), TemplateError> {
        let rest = self.rest();
        let signed = rest.starts_with(['+', '-']);
        let digits = rest[usize::from(signed)..]
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '_'))
            .map_or(rest.len(), |at| at + usize::from(signed));
        let text = &rest[..digits];
        if !text.contains(|c: char| c.is_ascii_digit()) {
            return self.fail(&format!("bad number syntax: {}", super::go_quote(text)));
        }
        self.simple(Token::Number(text.to_owned()), digits)
    }

    fn quoted(&mut self, quote: char) -> Result<(), TemplateError> {
        let rest = self.rest();
        let mut escaped = false;
        for (at, c) in rest.char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '\n' => break,
                c if c == quote => {
                    let text = rest[..=at].to_owned();
                    let token = if quote == '"' { Token::Str(text) } else { Token::Char(text) };
                    return self.simple(token, at + 1);
                }
                _ => {}
            }
        }
        self.fail(if quote == '"' { "unterminated quoted string" } else { "unterminated character constant" })
    }

    fn raw(&mut self) -> Result<(), TemplateError> {
        let rest = self.rest();
        match rest[1..].find('`') {
            Some(end) => self.simple(Token::RawStr(rest[..end + 2].to_owned()), end + 2),
            None => self.fail("unterminated raw quoted string"),
        }
    }
}

fn trims_left(after_open: &str) -> bool {
    after_open.starts_with('-') && after_open[1..].starts_with(is_space)
}

/// Whether the action ends here, and whether it trims what follows.
fn closes(rest: &str) -> (bool, bool) {
    let trims = rest.starts_with(is_space) && rest[1..].starts_with("-}}");
    (trims || rest.starts_with(CLOSE), trims)
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn word_length(text: &str) -> usize {
    text.find(|c| !is_word(c)).unwrap_or(text.len())
}
