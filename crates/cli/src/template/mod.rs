//! The subset of Go's `text/template` that Docker's `--format` strings use.
//!
//! Parsing ([`parse`]) turns the source into a tree ([`ast`]), execution ([`exec`]) walks it over a dynamically
//! typed [`Value`]. Error texts and positions are those of Go's package, because scripts and people search for them.
//! Reference: <https://pkg.go.dev/text/template>.

mod ast;
mod exec;
mod funcs;
mod lex;
mod literal;
mod parse;
mod printf;
mod value;

#[cfg(test)]
mod tests;

pub use exec::Missing;
pub(crate) use printf::significant;
pub use value::{Map, Object, Value, escape_json, go_quote};

use ast::Tree;

/// A parsed template, ready to be executed any number of times.
#[derive(Debug)]
pub struct Template {
    tree: Tree,
}

/// Why a template could not be parsed or executed; the text is Go's, from `template: ` on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(pub String);

impl Template {
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        parse::parse(source).map(|tree| Self { tree })
    }

    /// Executes over `data`. What was written before an error is lost, as with Docker's buffered output.
    pub fn execute(&self, data: &Value, missing: Missing) -> Result<String, TemplateError> {
        exec::execute(&self.tree, data, missing, exec::Mode::Rows)
    }

    /// Executes over column headers: functions that reformat values leave a header as it is.
    pub fn execute_header(&self, header: &Value) -> Result<String, TemplateError> {
        exec::execute(&self.tree, header, Missing::Zero, exec::Mode::Header)
    }
}
