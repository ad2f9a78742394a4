//! Grammars of the values that `run` and its kin take, with docker's texts for what is wrong with them.

pub mod caps;
pub mod csv;
pub mod device;
pub mod env;
pub mod gpus;
pub mod hosts;
pub mod keys;
pub mod limits;
pub mod mount;
pub mod network;
pub mod ports;
pub mod restart;
pub mod security;
pub mod volume;

use api_types::{Filters, Map};

/// `--filter name=value`, several. Checked by the flag's grammar; an empty one is ignored.
pub fn filters(values: &[String]) -> Filters {
    let mut filters = Filters::default();
    for (name, value) in values.iter().filter_map(|value| value.split_once('=')) {
        filters.add(name.trim().to_lowercase(), value.trim());
    }
    filters
}

/// `key=value` texts as a map; a key alone has an empty value.
pub fn map(values: &[String]) -> Map<String> {
    let split = |text: &String| match text.split_once('=') {
        Some((key, value)) => (key.to_owned(), value.to_owned()),
        None => (text.clone(), String::new()),
    };
    values.iter().map(split).collect()
}
