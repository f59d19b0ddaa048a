//! Reading a block that has mistakes: what is left without them is checked as well, so that all are found at once.

use pipeline::config::{ConfigErrors, KeyStyle, Mapping, Node, Value, decode_with};
use serde::de::DeserializeOwned;

/// Decodes `node`, known as `path`. If something is wrong it is reported, and the block is read again without the
/// keys at fault.
pub(super) fn decode_partly<T: DeserializeOwned>(node: &Node, path: &str, errors: &mut ConfigErrors) -> Option<T> {
    let found = match decode_with::<T>(node, path, KeyStyle::Prometheus) {
        Ok(value) => return Some(value),
        Err(found) => found,
    };
    let at_fault = |key: &str| {
        let below = if path.is_empty() { key.to_owned() } else { format!("{path}::{key}") };
        found.iter().any(|error| {
            error.path.strip_prefix(&below).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '[']))
        })
    };
    let rest = node.as_mapping().map(|mapping| {
        let unknown = |entry: &pipeline::config::Entry| found.iter().any(|error| error.span == entry.key_span);
        let entries = mapping.entries.iter().filter(|entry| !unknown(entry) && !at_fault(&entry.key));
        Mapping { entries: entries.cloned().collect(), duplicates: Vec::new() }
    });
    errors.extend(found);
    let rest = Node { span: node.span.clone(), value: Value::Mapping(rest?), original: None };
    decode_with(&rest, path, KeyStyle::Prometheus).ok()
}

/// Whether something is known to be wrong with `key` of the block known as `path`, so that checks which need it would
/// only repeat that in other words.
pub(super) fn is_at_fault(errors: &ConfigErrors, path: &str, key: &str) -> bool {
    let below = format!("{path}::{key}");
    errors.iter().any(|error| error.path == below)
}
