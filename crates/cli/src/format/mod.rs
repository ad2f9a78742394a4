//! How results are shown: tables, templates, sizes, times.

pub mod indent;
pub mod table;
pub mod tabs;
pub mod text;
pub mod time;
pub mod units;
