//! `print-config`: the configuration as the program sees it after merging and expansion.

use pipeline::config::{Mapping, Node, Redaction, Resolved, Scalar, Value, entry_is_secret, shown_text, to_yaml};
use serde_json::Value as Json;

/// How the configuration is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// YAML in block style.
    #[default]
    Yaml,
    /// JSON with indentation.
    Json,
}

/// The configuration as text, ending in a line break.
pub fn print_config(root: &Node, format: Format, redaction: Redaction) -> String {
    match format {
        Format::Yaml => to_yaml(root, redaction),
        // `{:#}` of a JSON value is its indented form and cannot fail.
        Format::Json => format!("{:#}\n", to_json(root, redaction, false)),
    }
}

fn to_json(node: &Node, redaction: Redaction, secret: bool) -> Json {
    match &node.value {
        Value::Scalar(scalar) => scalar_to_json(scalar, redaction, secret),
        Value::Sequence(items) => items.iter().map(|item| to_json(item, redaction, secret)).collect(),
        Value::Mapping(mapping) => mapping_to_json(mapping, redaction, secret),
    }
}

fn mapping_to_json(mapping: &Mapping, redaction: Redaction, in_secret: bool) -> Json {
    let entries = mapping.entries.iter().map(|entry| {
        let secret = entry_is_secret(mapping, &entry.key, in_secret);
        (entry.key.clone(), to_json(&entry.value, redaction, secret))
    });
    Json::Object(entries.collect())
}

fn scalar_to_json(scalar: &Scalar, redaction: Redaction, secret: bool) -> Json {
    let redact = redaction == Redaction::Redacted;
    if scalar.resolved == Resolved::Null {
        return Json::Null;
    }
    if redact && secret {
        return Json::String(shown_text(&scalar.text, true));
    }
    match scalar.resolved {
        Resolved::Bool(value) => Json::Bool(value),
        Resolved::Int(value) => match (i64::try_from(value), u64::try_from(value)) {
            (Ok(value), _) => Json::from(value),
            (_, Ok(value)) => Json::from(value),
            _ => Json::String(scalar.text.clone()),
        },
        // JSON has no infinity; its text is what other readers of the file would see.
        Resolved::Float(value) => {
            serde_json::Number::from_f64(value).map_or_else(|| Json::String(scalar.text.clone()), Json::Number)
        }
        _ if redact => Json::String(shown_text(&scalar.text, false)),
        _ => Json::String(scalar.text.clone()),
    }
}
