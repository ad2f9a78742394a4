//! The functions templates may call: Go's own and Docker's.

use std::cmp::Ordering;

use super::exec::Mode;
use super::go_quote;
use super::printf::sprintf;
use super::value::{Value, lookup};

pub(super) enum Failure {
    /// Called with arguments it does not take.
    Usage(String),
    /// Failed while it ran.
    Call(String),
}

type Called = Result<Value, Failure>;

/// A function with the least and greatest number of arguments it takes.
struct Function {
    name: &'static str,
    min: usize,
    max: usize,
    call: fn(&[Value]) -> Called,
    /// Whether it passes a column header through unchanged.
    keeps_header: bool,
}

const ANY: usize = usize::MAX;

#[rustfmt::skip]
static FUNCTIONS: &[Function] = &[
    Function { name: "and",      min: 1, max: ANY, call: first,    keeps_header: false },
    Function { name: "or",       min: 1, max: ANY, call: first,    keeps_header: false },
    Function { name: "not",      min: 1, max: 1,   call: not,      keeps_header: false },
    Function { name: "len",      min: 1, max: 1,   call: len,      keeps_header: false },
    Function { name: "index",    min: 1, max: ANY, call: index,    keeps_header: false },
    Function { name: "slice",    min: 1, max: 4,   call: slice,    keeps_header: false },
    Function { name: "print",    min: 0, max: ANY, call: print,    keeps_header: false },
    Function { name: "println",  min: 0, max: ANY, call: println,  keeps_header: false },
    Function { name: "printf",   min: 1, max: ANY, call: printf,   keeps_header: false },
    Function { name: "html",     min: 1, max: ANY, call: html,     keeps_header: false },
    Function { name: "urlquery", min: 1, max: ANY, call: urlquery, keeps_header: false },
    Function { name: "eq",       min: 1, max: ANY, call: eq,       keeps_header: false },
    Function { name: "ne",       min: 2, max: 2,   call: ne,       keeps_header: false },
    Function { name: "lt",       min: 2, max: 2,   call: lt,       keeps_header: false },
    Function { name: "le",       min: 2, max: 2,   call: le,       keeps_header: false },
    Function { name: "gt",       min: 2, max: 2,   call: gt,       keeps_header: false },
    Function { name: "ge",       min: 2, max: 2,   call: ge,       keeps_header: false },
    Function { name: "json",     min: 1, max: 1,   call: json,     keeps_header: true },
    Function { name: "split",    min: 2, max: 2,   call: split,    keeps_header: true },
    Function { name: "join",     min: 2, max: 2,   call: join,     keeps_header: true },
    Function { name: "title",    min: 1, max: 1,   call: title,    keeps_header: true },
    Function { name: "lower",    min: 1, max: 1,   call: lower,    keeps_header: true },
    Function { name: "upper",    min: 1, max: 1,   call: upper,    keeps_header: true },
    Function { name: "pad",      min: 3, max: 3,   call: pad,      keeps_header: true },
    Function { name: "truncate", min: 2, max: 2,   call: truncate, keeps_header: true },
];

pub(super) fn exists(name: &str) -> bool {
    FUNCTIONS.iter().any(|f| f.name == name)
}

pub(super) fn call(name: &str, args: &[Value], mode: Mode) -> Called {
    let Some(function) = FUNCTIONS.iter().find(|f| f.name == name) else {
        return Err(Failure::Usage(format!("{} is not a defined function", go_quote(name))));
    };
    if args.len() < function.min || args.len() > function.max {
        let want = match function.max {
            ANY => format!("at least {}", function.min),
            _ => function.min.to_string(),
        };
        return Err(Failure::Usage(format!(
            "wrong number of args for {name}: want {want} got {}",
            args.len()
        )));
    }
    if mode == Mode::Header && function.keeps_header {
        return Ok(args[0].clone());
    }
    (function.call)(args)
}

fn fail<T>(message: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Call(message.into()))
}

fn text(value: &Value) -> Result<&str, Failure> {
    match value {
        Value::Str(text) => Ok(text),
        other => {
            Err(Failure::Usage(format!("wrong type for value; expected string; got {}", other.type_name())))
        }
    }
}

fn int(value: &Value) -> Result<usize, Failure> {
    match value {
        Value::Int(i) => usize::try_from(*i).map_err(|_| Failure::Call(format!("index out of range: {i}"))),
        other => fail(format!("cannot index slice/array with type {}", other.type_name())),
    }
}

fn first(args: &[Value]) -> Called {
    Ok(args[0].clone())
}

fn not(args: &[Value]) -> Called {
    Ok(Value::Bool(!args[0].is_true()))
}

fn len(args: &[Value]) -> Called {
    let length = match &args[0] {
        Value::Str(s) => s.len(),
        Value::List(l) => l.len(),
        Value::Map(m) => m.len(),
        Value::Nil => return fail("len of nil pointer"),
        other => return fail(format!("len of type {}", other.type_name())),
    };
    Ok(Value::Int(length as i128))
}

fn index(args: &[Value]) -> Called {
    let mut value = args[0].clone();
    for key in &args[1..] {
        value = match (&value, key) {
            (Value::Map(map), Value::Str(name)) => lookup(map, name).cloned().unwrap_or(Value::Nil),
            (Value::Map(_), other) => {
                return fail(format!("value has type {}; should be string", other.type_name()));
            }
            (Value::List(list), key) => {
                let at = int(key)?;
                match list.get(at) {
                    Some(item) => item.clone(),
                    None => return fail(format!("index out of range: {at}")),
                }
            }
            (Value::Str(s), key) => {
                let at = int(key)?;
                match s.as_bytes().get(at) {
                    Some(byte) => Value::Int((*byte).into()),
                    None => return fail(format!("index out of range: {at}")),
                }
            }
            (Value::Nil, _) => return fail("index of untyped nil"),
            (other, _) => return fail(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(value)
}

fn slice(args: &[Value]) -> Called {
    let length = match &args[0] {
        Value::Str(s) => s.len(),
        Value::List(l) => l.len(),
        other => return fail(format!("can't slice item of type {}", other.type_name())),
    };
    let start = args.get(1).map_or(Ok(0), int)?;
    let end = args.get(2).map_or(Ok(length), int)?;
    if end > length || start > end {
        return fail(format!("invalid slice index: {start} > {end}"));
    }
    match &args[0] {
        Value::List(l) => Ok(Value::list(l[start..end].to_vec())),
        Value::Str(s) => match s.get(start..end) {
            Some(part) => Ok(Value::str(part)),
            None => fail(format!("slice {start}:{end} splits a character")),
        },
        other => fail(format!("can't slice item of type {}", other.type_name())),
    }
}

/// As `fmt.Sprint`: a space between two operands of which neither is a string.
fn print(args: &[Value]) -> Called {
    let mut out = String::new();
    for (i, arg) in args.iter().enumerate() {
        if i > 0 && !matches!(arg, Value::Str(_)) && !matches!(args[i - 1], Value::Str(_)) {
            out.push(' ');
        }
        out.push_str(&arg.to_string());
    }
    Ok(out.into())
}

fn println(args: &[Value]) -> Called {
    let words: Vec<_> = args.iter().map(Value::to_string).collect();
    Ok(format!("{}\n", words.join(" ")).into())
}

fn printf(args: &[Value]) -> Called {
    Ok(sprintf(text(&args[0])?, &args[1..]).into())
}

fn html(args: &[Value]) -> Called {
    let mut out = String::new();
    for arg in args {
        for c in arg.to_string().chars() {
            match c {
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '&' => out.push_str("&amp;"),
                '"' => out.push_str("&#34;"),
                '\'' => out.push_str("&#39;"),
                c => out.push(c),
            }
        }
    }
    Ok(out.into())
}

fn urlquery(args: &[Value]) -> Called {
    let joined: String = args.iter().map(Value::to_string).collect();
    Ok(url::form_urlencoded::byte_serialize(joined.as_bytes()).collect::<String>().into())
}

fn same(a: &Value, b: &Value) -> Result<bool, Failure> {
    match (a, b) {
        (Value::Nil, Value::Nil) => Ok(true),
        (Value::Nil, _) | (_, Value::Nil) => Ok(false),
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Int(a), Value::Int(b)) => Ok(a == b),
        (Value::Float(a), Value::Float(b)) => Ok(a == b),
        (Value::Int(a), Value::Float(b)) | (Value::Float(b), Value::Int(a)) => Ok(*a as f64 == *b),
        (Value::Str(a), Value::Str(b)) => Ok(a == b),
        (Value::List(_) | Value::Map(_) | Value::Struct(_) | Value::Object(_), _) => {
            fail("non-comparable type")
        }
        _ => fail("incompatible types for comparison"),
    }
}

fn eq(args: &[Value]) -> Called {
    if args.len() == 1 {
        return fail("missing argument for comparison");
    }
    for other in &args[1..] {
        if same(&args[0], other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn ne(args: &[Value]) -> Called {
    Ok(Value::Bool(!same(&args[0], &args[1])?))
}

fn order(args: &[Value]) -> Result<Option<Ordering>, Failure> {
    match (&args[0], &args[1]) {
        (Value::Int(a), Value::Int(b)) => Ok(Some(a.cmp(b))),
        (Value::Str(a), Value::Str(b)) => Ok(Some(a.cmp(b))),
        (Value::Float(a), Value::Float(b)) => Ok(a.partial_cmp(b)),
        (Value::Int(a), Value::Float(b)) => Ok((*a as f64).partial_cmp(b)),
        (Value::Float(a), Value::Int(b)) => Ok(a.partial_cmp(&(*b as f64))),
        (Value::Int(_) | Value::Str(_) | Value::Float(_), _) => fail("incompatible types for comparison"),
        _ => fail("invalid type for comparison"),
    }
}

fn lt(args: &[Value]) -> Called {
    Ok(Value::Bool(order(args)?.is_some_and(Ordering::is_lt)))
}

fn le(args: &[Value]) -> Called {
    Ok(Value::Bool(order(args)?.is_some_and(Ordering::is_le)))
}

fn gt(args: &[Value]) -> Called {
    Ok(Value::Bool(order(args)?.is_some_and(Ordering::is_gt)))
}

fn ge(args: &[Value]) -> Called {
    Ok(Value::Bool(order(args)?.is_some_and(Ordering::is_ge)))
}

fn json(args: &[Value]) -> Called {
    let escape = matches!(&args[0], Value::Object(object) if object.marshals_itself());
    match serde_json::to_string(&args[0]) {
        Ok(text) if escape => {
            Ok(text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026").into())
        }
        Ok(text) => Ok(text.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029").into()),
        Err(error) => fail(error.to_string()),
    }
}

fn split(args: &[Value]) -> Called {
    let (subject, separator) = (text(&args[0])?, text(&args[1])?);
    let parts: Vec<Value> = if separator.is_empty() {
        subject.chars().map(|c| Value::from(c.to_string())).collect()
    } else {
        subject.split(separator).map(Value::from).collect()
    };
    Ok(Value::list(parts))
}

fn join(args: &[Value]) -> Called {
    let separator = text(&args[1])?;
    match &args[0] {
        Value::List(items) => {
            let words: Vec<_> = items.iter().map(Value::to_string).collect();
            Ok(words.join(separator).into())
        }
        Value::Nil => Ok("".into()),
        other => {
            Err(Failure::Usage(format!("wrong type for value; expected []string; got {}", other.type_name())))
        }
    }
}

/// Upper-cases the first letter of each word, as Go's `strings.Title`.
fn title(args: &[Value]) -> Called {
    let mut out = String::new();
    let mut starts = true;
    for c in text(&args[0])?.chars() {
        if starts {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        starts = !(c.is_alphanumeric() || c == '_' || c == '\'');
    }
    Ok(out.into())
}

fn lower(args: &[Value]) -> Called {
    Ok(text(&args[0])?.to_lowercase().into())
}

fn upper(args: &[Value]) -> Called {
    Ok(text(&args[0])?.to_uppercase().into())
}

fn pad(args: &[Value]) -> Called {
    let subject = text(&args[0])?;
    if subject.is_empty() {
        return Ok("".into());
    }
    Ok(format!("{}{subject}{}", " ".repeat(int(&args[1])?), " ".repeat(int(&args[2])?)).into())
}

fn truncate(args: &[Value]) -> Called {
    let subject = text(&args[0])?;
    let mut length = int(&args[1])?.min(subject.len());
    while !subject.is_char_boundary(length) {
        length -= 1;
    }
    Ok(Value::str(&subject[..length]))
}
