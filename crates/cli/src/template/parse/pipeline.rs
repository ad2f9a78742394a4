//! Pipelines: what stands in an action, down to single operands.

use super::{Parsed, Parser};
use crate::template::ast::{Command, Operand, OperandKind, Pipe};
use crate::template::lex::Token;
use crate::template::{funcs, go_quote, literal};

impl Parser<'_> {
    pub(super) fn pipeline(&mut self, context: &str, end: &Token) -> Parsed<Pipe> {
        self.skip_space();
        let mut pipe = Pipe { pos: self.pos(), ..Pipe::default() };
        self.declarations(&mut pipe, context)?;
        loop {
            self.skip_space();
            if self.peek() == end {
                if pipe.commands.is_empty() {
                    return self.fail(&format!("missing value for {context}"));
                }
                self.advance();
                return Ok(pipe);
            }
            pipe.commands.push(self.command(context)?);
            self.skip_space();
            match self.peek() {
                Token::Pipe => {
                    self.advance();
                    self.skip_space();
                    if self.peek() == end {
                        return self.fail(&format!("missing value for {context}"));
                    }
                }
                token if token == end => {}
                _ => return self.unexpected(context),
            }
        }
    }

    /// `$x := …`, `$i, $x := …` (in range), `$x = …`; anything else is left to be read as a command.
    fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Parsed<()> {
        let start = self.next;
        let mut names = Vec::new();
        while let Token::Variable(name) = self.peek().clone() {
            self.advance();
            self.skip_space();
            names.push(name);
            match self.peek() {
                Token::Comma if context == "range" && names.len() < 2 => {
                    self.advance();
                    self.skip_space();
                }
                Token::Declare | Token::Assign => {
                    pipe.assign = self.advance().token == Token::Assign;
                    if pipe.assign {
                        self.check_variables(&names)?;
                    } else {
                        self.vars.extend(names.iter().cloned());
                    }
                    pipe.vars = names;
                    return Ok(());
                }
                _ => break,
            }
        }
        self.next = start;
        Ok(())
    }

    fn check_variables(&self, names: &[String]) -> Parsed<()> {
        match names.iter().find(|name| !self.vars.contains(name)) {
            Some(name) => self.fail(&format!("undefined variable {}", go_quote(name))),
            None => Ok(()),
        }
    }

    fn command(&mut self, context: &str) -> Parsed<Command> {
        let mut command = Command { args: Vec::new() };
        loop {
            self.skip_space();
            let Some(operand) = self.operand(context)? else { break };
            command.args.push(operand);
            match self.peek() {
                Token::Space => {}
                Token::Pipe | Token::Close | Token::RightParen | Token::Eof => break,
                _ => return self.unexpected("operand"),
            }
        }
        match command.args.first() {
            None => self.fail("empty command"),
            Some(first) if command.args.len() > 1 && first.is_literal() => {
                self.fail(&format!("non executable command in pipeline stage {}", 1))
            }
            Some(_) => Ok(command),
        }
    }

    fn operand(&mut self, context: &str) -> Parsed<Option<Operand>> {
        let Some(term) = self.term(context)? else { return Ok(None) };
        if !matches!(self.peek(), Token::Field(_)) {
            return Ok(Some(term));
        }
        let pos = self.pos();
        let mut names = Vec::new();
        while let Token::Field(name) = self.peek().clone() {
            self.advance();
            names.push(name);
        }
        let kind = match term.kind {
            OperandKind::Field(mut head) => {
                head.extend(names);
                OperandKind::Field(head)
            }
            OperandKind::Variable(name, _) => OperandKind::Variable(name, names),
            OperandKind::Bool(_) | OperandKind::Str(..) | OperandKind::Int(..) | OperandKind::Float(..) => {
                return self.fail(&format!("unexpected . after term {}", go_quote(&term.text())));
            }
            OperandKind::Nil | OperandKind::Dot => {
                return self.fail(&format!("unexpected . after term {}", go_quote(&term.text())));
            }
            _ => OperandKind::Chain(Box::new(term), names),
        };
        Ok(Some(Operand { kind, pos }))
    }

    fn term(&mut self, context: &str) -> Parsed<Option<Operand>> {
        let pos = self.pos();
        let kind = match self.peek().clone() {
            Token::Dot => OperandKind::Dot,
            Token::Field(name) => OperandKind::Field(vec![name]),
            Token::Variable(name) => {
                self.check_variables(std::slice::from_ref(&name))?;
                OperandKind::Variable(name, Vec::new())
            }
            Token::Identifier(word) => self.word(word)?,
            Token::Number(text) => self.number(&text)?,
            Token::Char(text) => {
                let unquoted = self.unquote(&text)?;
                let code = unquoted.chars().next().map_or(0, |c| c as i128);
                OperandKind::Int(code, text)
            }
            Token::Str(text) | Token::RawStr(text) => OperandKind::Str(self.unquote(&text)?, text),
            Token::LeftParen => {
                self.advance();
                let pipe = self.pipeline("parenthesized pipeline", &Token::RightParen)?;
                return Ok(Some(Operand { kind: OperandKind::Pipe(pipe), pos }));
            }
            Token::Pipe | Token::Close | Token::RightParen => return Ok(None),
            _ => return self.unexpected(context),
        };
        self.advance();
        Ok(Some(Operand { kind, pos }))
    }

    fn word(&self, word: String) -> Parsed<OperandKind> {
        match word.as_str() {
            "true" => Ok(OperandKind::Bool(true)),
            "false" => Ok(OperandKind::Bool(false)),
            "nil" => Ok(OperandKind::Nil),
            name if funcs::exists(name) => Ok(OperandKind::Function(word)),
            name => self.fail(&format!("function {} not defined", go_quote(name))),
        }
    }

    fn number(&self, text: &str) -> Parsed<OperandKind> {
        literal::number(text).map_or_else(|| self.fail(&format!("bad number syntax: {}", go_quote(text))), Ok)
    }

    pub(super) fn unquote(&self, text: &str) -> Parsed<String> {
        if let Some(raw) = text.strip_prefix('`') {
            return Ok(raw.trim_end_matches('`').to_owned());
        }
        literal::unescape(&text[1..text.len() - 1]).map_or_else(|| self.fail("invalid syntax"), Ok)
    }
}

impl Operand {
    fn is_literal(&self) -> bool {
        matches!(
            self.kind,
            OperandKind::Bool(_)
                | OperandKind::Dot
                | OperandKind::Nil
                | OperandKind::Int(..)
                | OperandKind::Float(..)
                | OperandKind::Str(..)
        )
    }
}
