//! Tokens to a tree: Go's grammar, with Go's complaints.

use super::TemplateError;
use super::ast::{Branch, Command, Node, Operand, OperandKind, Pipe, Tree};
use super::funcs;
use super::lex::{Spanned, Token, error_at, lex};
use super::literal;

pub(super) fn parse(source: &str) -> Result<Tree, TemplateError> {
    let mut parser =
        Parser { source, tokens: lex(source)?, next: 0, vars: vec!["$".into()], loops: 0, named: Vec::new() };
    let (body, end) = parser.list()?;
    match end {
        Stop::Eof => Ok(Tree { source: source.to_owned(), body, named: parser.named }),
        end => parser.fail(&format!("unexpected {{{{{end}}}}}")),
    }
}

struct Parser<'s> {
    source: &'s str,
    tokens: Vec<Spanned>,
    next: usize,
    vars: Vec<String>,
    loops: usize,
    named: Vec<(String, Vec<Node>)>,
}

/// What ended a list of nodes.
#[derive(Debug, PartialEq)]
enum Stop {
    Eof,
    End,
    Else,
    ElseIf,
    ElseWith,
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Stop::Eof => "EOF",
            Stop::End => "end",
            _ => "else",
        })
    }
}

type Parsed<T> = Result<T, TemplateError>;

impl Parser<'_> {
    fn peek(&self) -> &Token {
        &self.tokens[self.next].token
    }

    fn pos(&self) -> usize {
        self.tokens[self.next].pos
    }

    fn advance(&mut self) -> Spanned {
        let token = self.tokens[self.next].clone();
        if self.next + 1 < self.tokens.len() {
            self.next += 1;
        }
        token
    }

    fn skip_space(&mut self) {
        while *self.peek() == Token::Space {
            self.advance();
        }
    }

    fn fail<T>(&self, message: &str) -> Parsed<T> {
        Err(error_at(self.source, self.pos(), message))
    }

    fn unexpected<T>(&self, context: &str) -> Parsed<T> {
        let what = match self.peek() {
            Token::Eof => "EOF".into(),
            token => format!("{} in {context}", literal::describe(token)),
        };
        self.fail(&format!("unexpected {what}"))
    }

    fn expect(&mut self, token: &Token, context: &str) -> Parsed<()> {
        self.skip_space();
        if self.peek() != token {
            return self.unexpected(context);
        }
        self.advance();
        Ok(())
    }

    fn list(&mut self) -> Parsed<(Vec<Node>, Stop)> {
        let mut nodes = Vec::new();
        loop {
            match self.advance().token {
                Token::Text(text) => nodes.push(Node::Text(text)),
                Token::Open => match self.action()? {
                    Step::Node(node) => nodes.push(node),
                    Step::Nothing => {}
                    Step::Finish(end) => return Ok((nodes, end)),
                },
                Token::Eof => return Ok((nodes, Stop::Eof)),
                other => return self.fail(&format!("unexpected {}", literal::describe(&other))),
            }
        }
    }

    fn action(&mut self) -> Parsed<Step> {
        self.skip_space();
        let word = match self.peek() {
            Token::Identifier(word) => word.clone(),
            _ => String::new(),
        };
        let pos = self.pos();
        if !matches!(
            word.as_str(),
            "if" | "with" | "range" | "else" | "end" | "template" | "define" | "block" | "break" | "continue"
        ) {
            return self.pipeline("command", &Token::Close).map(|pipe| Step::Node(Node::Action(pipe)));
        }
        self.advance();
        match word.as_str() {
            "if" => self.branch("if").map(|b| Step::Node(Node::If(b))),
            "with" => self.branch("with").map(|b| Step::Node(Node::With(b))),
            "range" => self.branch("range").map(|b| Step::Node(Node::Range(b))),
            "else" => self.otherwise().map(Step::Finish),
            "end" => self.expect(&Token::Close, "end").map(|()| Step::Finish(Stop::End)),
            "template" => self.template(pos).map(Step::Node),
            "define" => self.define(),
            "block" => self.block(pos).map(Step::Node),
            "break" => self.loop_control("break", Node::Break),
            _ => self.loop_control("continue", Node::Continue),
        }
    }

    fn otherwise(&mut self) -> Parsed<Stop> {
        self.skip_space();
        let end = match self.peek() {
            Token::Identifier(word) if word == "if" => Stop::ElseIf,
            Token::Identifier(word) if word == "with" => Stop::ElseWith,
            _ => return self.expect(&Token::Close, "else").map(|()| Stop::Else),
        };
        self.advance();
        Ok(end)
    }

    fn loop_control(&mut self, word: &str, node: Node) -> Parsed<Step> {
        if self.loops == 0 {
            return self.fail(&format!("{{{{{word}}}}} outside {{{{range}}}}"));
        }
        self.expect(&Token::Close, word)?;
        Ok(Step::Node(node))
    }

    fn branch(&mut self, word: &str) -> Parsed<Branch> {
        let scope = self.vars.len();
        let pipe = self.pipeline(word, &Token::Close)?;
        self.loops += usize::from(word == "range");
        let (body, end) = self.list()?;
        self.loops -= usize::from(word == "range");
        let otherwise = match end {
            Stop::End => Vec::new(),
            Stop::ElseIf if word == "if" => vec![Node::If(self.branch("if")?)],
            Stop::ElseWith if word == "with" => vec![Node::With(self.branch("with")?)],
            Stop::Else => {
                let (nodes, end) = self.list()?;
                if end != Stop::End {
                    return self.fail(&format!("expected end; found {{{{{end}}}}}"));
                }
                nodes
            }
            Stop::Eof => return self.fail("unexpected EOF"),
            end => return self.fail(&format!("unexpected {{{{{end}}}}} in {word}")),
        };
        self.vars.truncate(scope);
        Ok(Branch { pipe, body, otherwise })
    }

    fn name(&mut self, context: &str) -> Parsed<String> {
        self.skip_space();
        match self.peek().clone() {
            Token::Str(text) | Token::RawStr(text) => {
                self.advance();
                self.unquote(&text)
            }
            _ => self.unexpected(context),
        }
    }

    fn template(&mut self, pos: usize) -> Parsed<Node> {
        let name = self.name("template clause")?;
        self.skip_space();
        let pipe = match self.peek() {
            Token::Close => {
                self.advance();
                None
            }
            _ => Some(self.pipeline("template clause", &Token::Close)?),
        };
        Ok(Node::Template { name, pipe, pos })
    }

    /// The body of a `define` or `block`: it sees only its own variables.
    fn definition(&mut self, name: String) -> Parsed<()> {
        let outer = std::mem::replace(&mut self.vars, vec!["$".into()]);
        let (body, end) = self.list()?;
        self.vars = outer;
        if end != Stop::End {
            return self.fail(&format!("unexpected {{{{{end}}}}} in define clause"));
        }
        self.named.push((name, body));
        Ok(())
    }

    fn define(&mut self) -> Parsed<Step> {
        let name = self.name("define clause")?;
        self.expect(&Token::Close, "define clause")?;
        self.definition(name)?;
        Ok(Step::Nothing)
    }

    fn block(&mut self, pos: usize) -> Parsed<Node> {
        let name = self.name("block clause")?;
        let pipe = Some(self.pipeline("block clause", &Token::Close)?);
        self.definition(name.clone())?;
        Ok(Node::Template { name, pipe, pos })
    }

    fn pipeline(&mut self, context: &str, end: &Token) -> Parsed<Pipe> {
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
            Some(name) => self.fail(&format!("undefined variable {}", super::go_quote(name))),
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
                return self.fail(&format!("unexpected . after term {}", super::go_quote(&term.text())));
            }
            OperandKind::Nil | OperandKind::Dot => {
                return self.fail(&format!("unexpected . after term {}", super::go_quote(&term.text())));
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
            name => self.fail(&format!("function {} not defined", super::go_quote(name))),
        }
    }

    fn number(&self, text: &str) -> Parsed<OperandKind> {
        literal::number(text)
            .map_or_else(|| self.fail(&format!("bad number syntax: {}", super::go_quote(text))), Ok)
    }

    fn unquote(&self, text: &str) -> Parsed<String> {
        if let Some(raw) = text.strip_prefix('`') {
            return Ok(raw.trim_end_matches('`').to_owned());
        }
        literal::unescape(&text[1..text.len() - 1]).map_or_else(|| self.fail("invalid syntax"), Ok)
    }
}

enum Step {
    Node(Node),
    Nothing,
    Finish(Stop),
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
