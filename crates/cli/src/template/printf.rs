//! Go's `fmt.Sprintf` for the values templates have.

use super::value::Value;

/// One `%…` directive.
#[derive(Default)]
struct Directive {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

pub(super) fn sprintf(format: &str, args: &[Value]) -> String {
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    let mut next = 0;
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut d = Directive::default();
        while let Some(flag) = chars.next_if(|c| "-+# 0".contains(*c)) {
            match flag {
                '-' => d.minus = true,
                '+' => d.plus = true,
                '#' => d.sharp = true,
                ' ' => d.space = true,
                _ => d.zero = true,
            }
        }
        d.width = number(&mut chars, args, &mut next);
        if chars.next_if_eq(&'.').is_some() {
            d.precision = Some(number(&mut chars, args, &mut next).unwrap_or(0));
        }
        match chars.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(verb) => match args.get(next) {
                None => out.push_str(&format!("%!{verb}(MISSING)")),
                Some(arg) => {
                    next += 1;
                    out.push_str(&d.padded(d.render(verb, arg), arg));
                }
            },
        }
    }
    extra(&mut out, args.get(next..).unwrap_or_default());
    out
}

fn extra(out: &mut String, rest: &[Value]) {
    if rest.is_empty() {
        return;
    }
    let shown: Vec<_> = rest.iter().map(|v| format!("{}={v}", v.type_name())).collect();
    out.push_str(&format!("%!(EXTRA {})", shown.join(", ")));
}

/// A width or precision: digits, or `*` for the next argument.
fn number(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    args: &[Value],
    next: &mut usize,
) -> Option<usize> {
    if chars.next_if_eq(&'*').is_some() {
        let value = args.get(*next);
        *next += 1;
        return match value {
            Some(Value::Int(i)) => usize::try_from(*i).ok(),
            _ => None,
        };
    }
    let mut digits = String::new();
    while let Some(c) = chars.next_if(char::is_ascii_digit) {
        digits.push(c);
    }
    digits.parse().ok()
}

impl Directive {
    fn render(&self, verb: char, arg: &Value) -> String {
        match (verb, arg) {
            ('v', Value::Str(s)) if self.sharp => super::go_quote(s),
            ('v', Value::Float(f)) if self.precision.is_some() => {
                self.signed(significant(*f, self.precision), *f < 0.0)
            }
            ('v', Value::Int(i)) => self.signed(i.to_string(), *i < 0),
            ('v', value) => value.to_string(),
            ('T', value) => value.type_name().to_owned(),
            ('t', Value::Bool(b)) => b.to_string(),
            ('d', Value::Int(i)) => self.signed(i.to_string(), *i < 0),
            ('b', Value::Int(i)) => radix(*i, |m| format!("{m:b}")),
            ('o', Value::Int(i)) => radix(*i, |m| format!("{m:o}")),
            ('x', Value::Int(i)) => {
                radix(*i, |m| if self.sharp { format!("{m:#x}") } else { format!("{m:x}") })
            }
            ('X', Value::Int(i)) => {
                radix(*i, |m| if self.sharp { format!("0X{m:X}") } else { format!("{m:X}") })
            }
            ('c', Value::Int(i)) => {
                u32::try_from(*i).ok().and_then(char::from_u32).unwrap_or('\u{fffd}').to_string()
            }
            ('q', Value::Int(i)) => {
                let c = u32::try_from(*i).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
                format!("'{c}'")
            }
            ('f' | 'F', Value::Float(f)) => {
                self.signed(format!("{f:.*}", self.precision.unwrap_or(6)), *f < 0.0)
            }
            ('e', Value::Float(f)) => exponent(*f, Some(self.precision.unwrap_or(6))),
            ('g', Value::Float(f)) => self.signed(significant(*f, self.precision), *f < 0.0),
            ('s', Value::Str(s)) => self.cut(s),
            ('q', Value::Str(s)) => super::go_quote(&self.cut(s)),
            ('x', Value::Str(s)) => s.bytes().map(|b| format!("{b:02x}")).collect(),
            ('X', Value::Str(s)) => s.bytes().map(|b| format!("{b:02X}")).collect(),
            (verb, Value::List(items)) => {
                let parts: Vec<_> = items.iter().map(|item| self.render(verb, item)).collect();
                format!("[{}]", parts.join(" "))
            }
            (verb, Value::Map(map)) => {
                let fields = super::value::sorted(map);
                let parts: Vec<_> =
                    fields.into_iter().map(|(k, v)| format!("{k}:{}", self.render(verb, v))).collect();
                format!("map[{}]", parts.join(" "))
            }
            (verb, Value::Nil) => format!("%!{verb}(<nil>)"),
            (verb, value) => format!("%!{verb}({}={value})", value.type_name()),
        }
    }

    fn signed(&self, text: String, negative: bool) -> String {
        match (negative, self.plus, self.space) {
            (false, true, _) => format!("+{text}"),
            (false, false, true) => format!(" {text}"),
            _ => text,
        }
    }

    fn cut(&self, text: &str) -> String {
        match self.precision {
            Some(length) => text.chars().take(length).collect(),
            None => text.to_owned(),
        }
    }

    fn padded(&self, text: String, arg: &Value) -> String {
        let missing = self.width.unwrap_or(0).saturating_sub(text.chars().count());
        if missing == 0 {
            return text;
        }
        if self.minus {
            return format!("{text}{}", " ".repeat(missing));
        }
        if !self.zero {
            return format!("{}{text}", " ".repeat(missing));
        }
        let zeros = "0".repeat(missing);
        match (arg, text.strip_prefix(['-', '+'])) {
            (Value::Int(_) | Value::Float(_), Some(digits)) => format!("{}{zeros}{digits}", &text[..1]),
            _ => format!("{zeros}{text}"),
        }
    }
}

fn radix(i: i128, digits: impl Fn(u128) -> String) -> String {
    format!("{}{}", if i < 0 { "-" } else { "" }, digits(i.unsigned_abs()))
}

/// `%e`: at least two digits of exponent, with its sign.
fn exponent(f: f64, precision: Option<usize>) -> String {
    let text = match precision {
        Some(p) => format!("{f:.p$e}"),
        None => format!("{f:e}"),
    };
    let Some((mantissa, exp)) = text.split_once('e') else { return text };
    let (sign, digits) = match exp.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exp),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// `%v` of a float: the shortest text that reads back equal, in exponent form outside 1e-4 … 1e21.
pub(super) fn general(f: f64) -> String {
    let magnitude = f.abs();
    if f.is_nan() {
        "NaN".into()
    } else if f.is_infinite() {
        if f > 0.0 { "+Inf".into() } else { "-Inf".into() }
    } else if magnitude != 0.0 && !(1e-4..1e21).contains(&magnitude) {
        exponent(f, None)
    } else {
        format!("{f}")
    }
}

/// `%.Ng`: N significant digits, trailing zeros dropped.
pub(crate) fn significant(f: f64, precision: Option<usize>) -> String {
    let Some(precision) = precision else { return general(f) };
    let precision = precision.max(1);
    let scientific = format!("{:.*e}", precision - 1, f);
    let Some((mantissa, exp)) = scientific.split_once('e') else { return scientific };
    let Ok(power) = exp.parse::<i32>() else { return scientific };
    if power < -4 || power >= precision as i32 {
        let mantissa = trim_zeros(mantissa);
        let sign = if power < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", power.abs());
    }
    let decimals = usize::try_from(precision as i32 - 1 - power).unwrap_or(0);
    trim_zeros(&format!("{f:.decimals$}")).to_owned()
}

fn trim_zeros(text: &str) -> &str {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => text,
    }
}
