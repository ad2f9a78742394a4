//! The syntax tree, with the source text of each operand kept for messages.

#[derive(Debug, Default)]
pub(super) struct Tree {
    pub source: String,
    pub body: Vec<Node>,
    /// Templates named by `define` and `block`.
    pub named: Vec<(String, Vec<Node>)>,
}

#[derive(Debug)]
pub(super) enum Node {
    Text(String),
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Template { name: String, pipe: Option<Pipe>, pos: usize },
    Break,
    Continue,
}

#[derive(Debug)]
pub(super) struct Branch {
    pub pipe: Pipe,
    pub body: Vec<Node>,
    pub otherwise: Vec<Node>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Pipe {
    /// Variables declared (`:=`) or assigned (`=`) by this pipeline.
    pub vars: Vec<String>,
    pub assign: bool,
    pub commands: Vec<Command>,
    pub pos: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Command {
    pub args: Vec<Operand>,
}

#[derive(Debug, Clone)]
pub(super) struct Operand {
    pub kind: OperandKind,
    /// Byte offset in the source, chosen as Go chooses it: the last element of a chain of fields.
    pub pos: usize,
}

#[derive(Debug, Clone)]
pub(super) enum OperandKind {
    Dot,
    Nil,
    Bool(bool),
    Int(i128, String),
    Float(f64, String),
    Str(String, String),
    Field(Vec<String>),
    Variable(String, Vec<String>),
    Function(String),
    Chain(Box<Operand>, Vec<String>),
    Pipe(Pipe),
}

impl Operand {
    /// The operand as Go prints its node.
    pub(super) fn text(&self) -> String {
        match &self.kind {
            OperandKind::Dot => ".".into(),
            OperandKind::Nil => "nil".into(),
            OperandKind::Bool(b) => b.to_string(),
            OperandKind::Int(_, text) | OperandKind::Float(_, text) | OperandKind::Str(_, text) => {
                text.clone()
            }
            OperandKind::Field(names) => dotted("", names),
            OperandKind::Variable(name, names) => dotted(name, names),
            OperandKind::Function(name) => name.clone(),
            OperandKind::Chain(inner, names) => dotted(&inner.text(), names),
            OperandKind::Pipe(pipe) => format!("({})", pipe.text()),
        }
    }
}

impl Command {
    pub(super) fn text(&self) -> String {
        self.args.iter().map(Operand::text).collect::<Vec<_>>().join(" ")
    }
}

impl Pipe {
    pub(super) fn text(&self) -> String {
        let commands = self.commands.iter().map(Command::text).collect::<Vec<_>>().join(" | ");
        if self.vars.is_empty() {
            return commands;
        }
        format!("{} {} {commands}", self.vars.join(", "), if self.assign { "=" } else { ":=" })
    }
}

fn dotted(head: &str, names: &[String]) -> String {
    let mut text = head.to_owned();
    for name in names {
        text.push('.');
        text.push_str(name);
    }
    text
}
