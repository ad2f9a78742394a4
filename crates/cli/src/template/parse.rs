//! Tokens to a tree: Go's grammar, with Go's complaints.

use super::TemplateError;
use super::ast::{Branch, Node, Tree};
use super::lex::{Spanned, Token, error_at, lex};
use super::literal;

mod pipeline;

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
}

enum Step {
    Node(Node),
    Nothing,
    Finish(Stop),
}
