//! Lists: each row through a template, with or without a header and aligned columns.
//!
//! A table of [`Column`]s says which fields a kind of row has, so that the default table, `--format` templates and
//! `--format json` all come from the same place.

use std::rc::Rc;

use super::tabs::Tabs;
use crate::error::Error;
use crate::template::{Missing, Object, Template, Value};

/// How a field of a row is computed.
pub enum Get<T> {
    Text(fn(&T) -> String),
    Any(fn(&T) -> Value),
    /// A method of one string: `{{.Label "name"}}`. Not part of the JSON form.
    Lookup(fn(&T, &str) -> String),
}

impl<T> Clone for Get<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Get<T> {}

pub struct Column<T> {
    pub name: &'static str,
    pub header: &'static str,
    pub get: Get<T>,
}

pub const fn text<T>(name: &'static str, header: &'static str, get: fn(&T) -> String) -> Column<T> {
    Column { name, header, get: Get::Text(get) }
}

pub const fn any<T>(name: &'static str, header: &'static str, get: fn(&T) -> Value) -> Column<T> {
    Column { name, header, get: Get::Any(get) }
}

pub const fn lookup<T>(name: &'static str, get: fn(&T, &str) -> String) -> Column<T> {
    Column { name, header: "", get: Get::Lookup(get) }
}

/// What a kind of row looks like.
pub struct Layout<T: 'static> {
    pub columns: &'static [Column<T>],
    /// The Go type that error messages name.
    pub go_type: &'static str,
}

impl<T> Clone for Layout<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Layout<T> {}

/// A resolved `--format`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    template: String,
    table: bool,
}

impl Format {
    /// `source` is what the user asked for, `default` the template of the default table, `quiet` that of `-q`.
    pub fn new(source: &str, default: &str, quiet: Option<&str>) -> Self {
        let (template, table) = match (source.trim_start(), quiet) {
            ("" | "table", Some(quiet)) => (quiet, false),
            ("" | "table", None) => (default, true),
            ("json", _) => ("{{json .}}", false),
            (custom, quiet) => match custom.strip_prefix("table") {
                Some(template) if template.starts_with(char::is_whitespace) => (template, quiet.is_none()),
                _ => (custom, false),
            },
        };
        let template = template.trim_matches(' ').replace("\\t", "\t").replace("\\n", "\n");
        Self { template, table }
    }

    /// Whether the template mentions a field, so that costly ones are only asked for when shown.
    pub fn mentions(&self, field: &str) -> bool {
        self.template.contains(&format!(".{field}")) || self.template.contains("json .")
    }

    pub fn render<T: 'static>(&self, layout: Layout<T>, rows: Vec<T>) -> Result<String, Error> {
        let template = Template::parse(&self.template).map_err(Error::TemplateParse)?;
        let mut out = String::new();
        for row in rows {
            let row = Value::Object(Rc::new(Row { row, layout }));
            out.push_str(&template.execute(&row, Missing::Zero).map_err(Error::Template)?);
            out.push('\n');
        }
        if !self.table {
            return Ok(out);
        }
        let header = Value::Object(Rc::new(Header { layout }));
        let header = template.execute_header(&header).map_err(Error::Template)?;
        Ok(Tabs { min_width: 10, padding: 3 }.align(&format!("{header}\n{out}")))
    }
}

struct Row<T: 'static> {
    row: T,
    layout: Layout<T>,
}

impl<T> Object for Row<T> {
    fn type_name(&self) -> &'static str {
        self.layout.go_type
    }

    fn get(&self, name: &str, args: &[Value]) -> Option<Result<Value, String>> {
        let column = self.layout.columns.iter().find(|column| column.name == name)?;
        let wrong = |want: usize| {
            Some(Err(format!("wrong number of args for {name}: want {want} got {}", args.len())))
        };
        match (column.get, args) {
            (Get::Text(get), []) => Some(Ok(get(&self.row).into())),
            (Get::Any(get), []) => Some(Ok(get(&self.row))),
            (Get::Lookup(get), [Value::Str(key)]) => Some(Ok(get(&self.row, key).into())),
            (Get::Lookup(_), _) => wrong(1),
            _ => wrong(0),
        }
    }

    fn to_json(&self) -> Value {
        let mut fields: Vec<_> = self
            .layout
            .columns
            .iter()
            .filter_map(|column| match column.get {
                Get::Text(get) => Some((column.name.to_owned(), get(&self.row).into())),
                Get::Any(get) => Some((column.name.to_owned(), get(&self.row))),
                Get::Lookup(_) => None,
            })
            .collect();
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        Value::map(fields)
    }
}

struct Header<T: 'static> {
    layout: Layout<T>,
}

impl<T> Object for Header<T> {
    fn type_name(&self) -> &'static str {
        "formatter.SubHeaderContext"
    }

    fn get(&self, name: &str, args: &[Value]) -> Option<Result<Value, String>> {
        let column = self.layout.columns.iter().find(|column| column.name == name)?;
        Some(Ok(match (column.get, args) {
            // `com.example.my-label` has the header `my label`.
            (Get::Lookup(_), [Value::Str(key)]) => {
                Value::from(key.rsplit('.').next().unwrap_or_default().replace(['-', '_'], " "))
            }
            _ => Value::from(column.header),
        }))
    }

    fn to_json(&self) -> Value {
        Value::map(self.layout.columns.iter().map(|c| (c.name.to_owned(), Value::from(c.header))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static COLUMNS: &[Column<(u32, &str)>] = &[
        text("ID", "ID", |row| row.0.to_string()),
        text("Name", "NAME", |row| row.1.to_owned()),
        lookup("Label", |row, key| format!("{key}{}", row.0)),
    ];
    static LAYOUT: Layout<(u32, &str)> = Layout { columns: COLUMNS, go_type: "*formatter.X" };

    fn show(format: &str, quiet: bool) -> String {
        let format = Format::new(format, r"{{.ID}}\t{{.Name}}", quiet.then_some("{{.ID}}"));
        match format.render(LAYOUT, vec![(1, "one"), (22, "two")]) {
            Ok(text) => text,
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn formats() {
        assert_eq!(show("", false), "ID        NAME\n1         one\n22        two\n");
        assert_eq!(show("table", true), "1\n22\n");
        assert_eq!(
            show("json", false),
            "{\"ID\":\"1\",\"Name\":\"one\"}\n{\"ID\":\"22\",\"Name\":\"two\"}\n"
        );
        assert_eq!(show(r"{{.Name}}\t{{.Label `a`}}", false), "one\ta1\ntwo\ta22\n");
        assert_eq!(
            show("table {{upper .Name}}\t{{.Label `com.x.my-l`}}", false),
            "NAME      my l\nONE       com.x.my-l1\nTWO       com.x.my-l22\n"
        );
        assert_eq!(
            show("{{.Nope}}", false),
            "failed to execute template: template: :1:2: executing \"\" at <.Nope>: can't evaluate field Nope in type *formatter.X"
        );
    }
}
