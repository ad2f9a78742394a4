//! Walks the tree over the data.

use super::ast::{Branch, Command, Node, Operand, OperandKind, Pipe, Tree};
use super::funcs;
use super::value::{Value, lookup, sorted};
use super::{TemplateError, go_quote};

/// What a field that a map does not have is.
#[derive(Debug, Clone, Copy)]
pub enum Missing {
    /// Nil, printed as `<no value>` (Go's default).
    Zero,
    /// An error where the fields are those of a structure, except for names that the closure knows to be optional; nil
    /// in maps.
    Known(fn(&str) -> Option<Value>),
    /// An error (`missingkey=error`), except for names that the closure knows to be optional.
    Error(fn(&str) -> Option<Value>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Rows,
    /// Functions that reformat values return their first argument.
    Header,
}

pub(super) fn execute(
    tree: &Tree,
    data: &Value,
    missing: Missing,
    mode: Mode,
) -> Result<String, TemplateError> {
    let mut state =
        State { tree, missing, mode, out: String::new(), vars: vec![("$".into(), data.clone())], depth: 0 };
    state.walk(data, &tree.body)?;
    Ok(state.out)
}

/// Recursion of `template` actions beyond which Go gives up, too (there 100,000; a smaller stack here).
const MAX_DEPTH: usize = 500;

struct State<'t> {
    tree: &'t Tree,
    missing: Missing,
    mode: Mode,
    out: String,
    vars: Vec<(String, Value)>,
    depth: usize,
}

/// How a list of nodes ended.
#[derive(PartialEq)]
enum Flow {
    On,
    Break,
    Continue,
}

type Done<T> = Result<T, TemplateError>;

impl State<'_> {
    /// Go's `template: NAME:LINE:COLUMN: executing "NAME" at <NODE>: MESSAGE`.
    fn fail<T>(&self, pos: usize, node: &str, message: &str) -> Done<T> {
        let before = &self.tree.source[..pos.min(self.tree.source.len())];
        let line = before.matches('\n').count() + 1;
        let column = before.rfind('\n').map_or(pos, |at| pos - at - 1);
        let node = match node.char_indices().nth(20) {
            Some((cut, _)) => format!("{}...", &node[..cut]),
            None => node.to_owned(),
        };
        Err(TemplateError(format!("template: :{line}:{column}: executing \"\" at <{node}>: {message}")))
    }

    fn walk(&mut self, dot: &Value, nodes: &[Node]) -> Done<Flow> {
        for node in nodes {
            let flow = self.node(dot, node)?;
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn node(&mut self, dot: &Value, node: &Node) -> Done<Flow> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Action(pipe) => {
                let value = self.pipe(dot, pipe)?;
                if pipe.vars.is_empty() {
                    self.print(&value);
                }
            }
            Node::If(branch) => return self.branch(dot, branch, false),
            Node::With(branch) => return self.branch(dot, branch, true),
            Node::Range(branch) => return self.range(dot, branch).map(|()| Flow::On),
            Node::Template { name, pipe, pos } => self.template(dot, name, pipe.as_ref(), *pos)?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    fn print(&mut self, value: &Value) {
        match value {
            // Where fields are known, nil is a pointer of Go; elsewhere it is nothing at all.
            Value::Nil if !matches!(self.missing, Missing::Error(_)) => self.out.push_str("<no value>"),
            value => self.out.push_str(&value.to_string()),
        }
    }

    fn branch(&mut self, dot: &Value, branch: &Branch, with: bool) -> Done<Flow> {
        let scope = self.vars.len();
        let value = self.pipe(dot, &branch.pipe)?;
        let flow = match (value.is_true(), with) {
            (true, true) => self.walk(&value, &branch.body),
            (true, false) => self.walk(dot, &branch.body),
            (false, _) => self.walk(dot, &branch.otherwise),
        };
        self.vars.truncate(scope);
        flow
    }

    fn range(&mut self, dot: &Value, branch: &Branch) -> Done<()> {
        let scope = self.vars.len();
        let value = self.pipe(dot, &branch.pipe)?;
        let items = self.items(&value, &branch.pipe)?;
        if items.is_empty() {
            self.walk(dot, &branch.otherwise)?;
        }
        for (index, item) in items {
            let inner = self.vars.len();
            match branch.pipe.vars.as_slice() {
                [one] => self.set(one, item.clone(), branch.pipe.assign),
                [first, second] => {
                    self.set(first, index, branch.pipe.assign);
                    self.set(second, item.clone(), branch.pipe.assign);
                }
                _ => {}
            }
            let flow = self.walk(&item, &branch.body)?;
            self.vars.truncate(inner);
            if flow == Flow::Break {
                break;
            }
        }
        self.vars.truncate(scope);
        Ok(())
    }

    fn items(&self, value: &Value, pipe: &Pipe) -> Done<Vec<(Value, Value)>> {
        Ok(match value {
            Value::Nil => Vec::new(),
            Value::List(list) => {
                list.iter().enumerate().map(|(i, v)| (Value::Int(i as i128), v.clone())).collect()
            }
            Value::Map(map) => sorted(map).into_iter().map(|(k, v)| (Value::str(k), v.clone())).collect(),
            Value::Int(n) => (0..*n).map(|i| (Value::Int(i), Value::Int(i))).collect(),
            other => {
                let message = format!("range can't iterate over {other}");
                return self.fail(pipe.pos, &pipe.text(), &message);
            }
        })
    }

    fn template(&mut self, dot: &Value, name: &str, pipe: Option<&Pipe>, pos: usize) -> Done<()> {
        let tree = self.tree;
        let node = format!("{{{{template {}}}}}", go_quote(name));
        // The last definition wins, as in Go.
        let Some((_, body)) = tree.named.iter().rev().find(|(known, _)| known == name) else {
            return self.fail(pos, &node, &format!("template {} not defined", go_quote(name)));
        };
        if self.depth == MAX_DEPTH {
            return self.fail(pos, &node, &format!("exceeded maximum template depth ({MAX_DEPTH})"));
        }
        let value = match pipe {
            Some(pipe) => self.pipe(dot, pipe)?,
            None => Value::Nil,
        };
        let outer = std::mem::replace(&mut self.vars, vec![("$".into(), value.clone())]);
        self.depth += 1;
        self.walk(&value, body)?;
        self.depth -= 1;
        self.vars = outer;
        Ok(())
    }

    fn set(&mut self, name: &str, value: Value, assign: bool) {
        match self.vars.iter_mut().rev().find(|(known, _)| known == name) {
            Some((_, slot)) if assign => *slot = value,
            _ => self.vars.push((name.to_owned(), value)),
        }
    }

    fn pipe(&mut self, dot: &Value, pipe: &Pipe) -> Done<Value> {
        let mut last = None;
        for command in &pipe.commands {
            last = Some(self.command(dot, command, last)?);
        }
        let value = last.unwrap_or(Value::Nil);
        if !matches!(pipe.vars.len(), 0 | 2) {
            // In a range the variable is set per element; setting it here too does no harm.
            self.set(&pipe.vars[0].clone(), value.clone(), pipe.assign);
        }
        Ok(value)
    }

    fn command(&mut self, dot: &Value, command: &Command, last: Option<Value>) -> Done<Value> {
        let first = &command.args[0];
        let takes_args = matches!(
            first.kind,
            OperandKind::Function(_)
                | OperandKind::Field(_)
                | OperandKind::Variable(..)
                | OperandKind::Chain(..)
        );
        if !takes_args {
            if command.args.len() > 1 || last.is_some() {
                return self.fail(
                    first.pos,
                    &first.text(),
                    &format!("can't give argument to non-function {}", first.text()),
                );
            }
            return self.operand(dot, first);
        }
        if let OperandKind::Function(name) = &first.kind {
            return self.function(dot, command, name, last);
        }
        let mut args = self.args(dot, &command.args[1..])?;
        args.extend(last);
        match &first.kind {
            OperandKind::Field(names) => self.fields(dot.clone(), names, &args, first),
            OperandKind::Variable(name, names) => {
                let value = self.variable(name);
                if names.is_empty() && !args.is_empty() {
                    return self.fail(
                        first.pos,
                        &first.text(),
                        &format!("can't give argument to non-function {name}"),
                    );
                }
                self.fields(value, names, &args, first)
            }
            OperandKind::Chain(inner, names) => {
                let value = self.operand(dot, inner)?;
                self.fields(value, names, &args, first)
            }
            _ => self.operand(dot, first),
        }
    }

    fn function(&mut self, dot: &Value, command: &Command, name: &str, last: Option<Value>) -> Done<Value> {
        // and/or evaluate no more arguments than they need.
        if matches!(name, "and" | "or") {
            return self.short_circuit(dot, command, name, last);
        }
        let mut args = self.args(dot, &command.args[1..])?;
        args.extend(last);
        let node = &command.args[0];
        match funcs::call(name, &args, self.mode) {
            Ok(value) => Ok(value),
            Err(funcs::Failure::Usage(message)) => self.fail(node.pos, &node.text(), &message),
            Err(funcs::Failure::Call(message)) => {
                self.fail(node.pos, &command.text(), &format!("error calling {name}: {message}"))
            }
        }
    }

    fn short_circuit(
        &mut self,
        dot: &Value,
        command: &Command,
        name: &str,
        last: Option<Value>,
    ) -> Done<Value> {
        let stops_at = name == "or";
        let mut value = None;
        for operand in &command.args[1..] {
            let current = self.operand(dot, operand)?;
            if current.is_true() == stops_at {
                return Ok(current);
            }
            value = Some(current);
        }
        match last.or(value) {
            Some(value) => Ok(value),
            None => {
                let node = &command.args[0];
                self.fail(
                    node.pos,
                    &node.text(),
                    &format!("wrong number of args for {name}: want at least 1 got 0"),
                )
            }
        }
    }

    fn args(&mut self, dot: &Value, operands: &[Operand]) -> Done<Vec<Value>> {
        operands.iter().map(|operand| self.operand(dot, operand)).collect()
    }

    fn variable(&self, name: &str) -> Value {
        self.vars.iter().rev().find(|(known, _)| known == name).map_or(Value::Nil, |(_, v)| v.clone())
    }

    fn operand(&mut self, dot: &Value, operand: &Operand) -> Done<Value> {
        match &operand.kind {
            OperandKind::Dot => Ok(dot.clone()),
            OperandKind::Nil => Ok(Value::Nil),
            OperandKind::Bool(b) => Ok(Value::Bool(*b)),
            OperandKind::Int(i, _) => Ok(Value::Int(*i)),
            OperandKind::Float(f, _) => Ok(Value::Float(*f)),
            OperandKind::Str(text, _) => Ok(Value::str(text)),
            OperandKind::Field(names) => self.fields(dot.clone(), names, &[], operand),
            OperandKind::Variable(name, names) => self.fields(self.variable(name), names, &[], operand),
            OperandKind::Chain(inner, names) => {
                let value = self.operand(dot, inner)?;
                self.fields(value, names, &[], operand)
            }
            OperandKind::Pipe(pipe) => self.pipe(dot, pipe),
            OperandKind::Function(name) => {
                let command = Command { args: vec![operand.clone()] };
                self.function(dot, &command, name, None)
            }
        }
    }

    /// A chain of fields; only the last may be a method that takes arguments.
    fn fields(&self, mut value: Value, names: &[String], args: &[Value], node: &Operand) -> Done<Value> {
        for (i, name) in names.iter().enumerate() {
            let args = if i + 1 == names.len() { args } else { &[] };
            value = self.field(&value, name, args, node)?;
        }
        Ok(value)
    }

    fn field(&self, value: &Value, name: &str, args: &[Value], node: &Operand) -> Done<Value> {
        if let Value::Object(object) = value {
            return match object.get(name, args) {
                Some(Ok(value)) => Ok(value),
                Some(Err(message)) => self.fail(node.pos, &node.text(), &message),
                None => {
                    let message = format!("can't evaluate field {name} in type {}", object.type_name());
                    self.fail(node.pos, &node.text(), &message)
                }
            };
        }
        if !args.is_empty() {
            let message = format!("{name} is not a method but has arguments");
            return self.fail(node.pos, &node.text(), &message);
        }
        match value {
            Value::Map(map) | Value::Struct(map) => match (find(value, map, name), self.missing) {
                (Some(Value::Nil), Missing::Error(optional) | Missing::Known(optional)) => {
                    Ok(optional(name).unwrap_or(Value::Nil))
                }
                (Some(value), _) => Ok(value.clone()),
                (None, Missing::Zero) => Ok(Value::Nil),
                (None, Missing::Known(_)) if matches!(value, Value::Map(_)) => Ok(Value::Nil),
                (None, Missing::Known(optional)) => match optional(name) {
                    Some(value) => Ok(value),
                    None => {
                        let message = format!("can't evaluate field {name} in type {}", value.type_name());
                        self.fail(node.pos, &node.text(), &message)
                    }
                },
                (None, Missing::Error(optional)) => match optional(name) {
                    Some(value) => Ok(value),
                    None => {
                        let message = format!("map has no entry for key {}", go_quote(name));
                        self.fail(node.pos, &node.text(), &message)
                    }
                },
            },
            Value::Nil => match self.missing {
                Missing::Zero | Missing::Known(_) => Ok(Value::Nil),
                Missing::Error(_) => self.fail(
                    node.pos,
                    &node.text(),
                    &format!("nil data; no entry for key {}", go_quote(name)),
                ),
            },
            Value::Str(_) if self.mode == Mode::Header => Ok(Value::str(name)),
            other => {
                let message = format!("can't evaluate field {name} in type {}", other.type_name());
                self.fail(node.pos, &node.text(), &message)
            }
        }
    }
}

/// Go's name of a structure's field may differ from its JSON name in case: `ID` and `Id`, `APIVersion` and `ApiVersion`.
fn find<'v>(value: &Value, fields: &'v super::Map, name: &str) -> Option<&'v Value> {
    lookup(fields, name).or_else(|| match value {
        Value::Struct(_) => {
            fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        }
        _ => None,
    })
}
