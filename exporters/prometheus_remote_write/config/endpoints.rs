//! One exporter, several stores: `endpoints`.

use super::super::log::LogSettings;
use super::{Config, Dialect};
use pipeline::config::{ConfigErrors, Node, Value};

/// The settings of an exporter.
#[derive(Debug)]
pub(in super::super) struct Settings {
    /// At least one; their names differ.
    pub(in super::super) destinations: Vec<Config>,
    pub(in super::super) log: Option<LogSettings>,
}

/// Keys that concern the exporter as a whole.
const COMMON: [&str; 2] = ["endpoints", "wal"];

impl Settings {
    /// Reads an exporter's block.
    pub(in super::super) fn read(node: &Node, dialect: Dialect) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        let log = errors.collect(LogSettings::read(node)).flatten();
        let mut destinations = Vec::new();
        for block in blocks(node, &mut errors) {
            match Config::read(&block, dialect) {
                Ok(config) => destinations.push(config),
                // What is wrong with the common keys is found once for each.
                Err(found) => found.iter().for_each(|error| {
                    if !errors.iter().any(|known| known == error) {
                        errors.push(error.clone());
                    }
                }),
            }
        }
        let mut names: Vec<&str> = Vec::new();
        for config in &destinations {
            if names.contains(&config.name.as_str()) {
                let message = format!("two endpoints are called {:?}: give each a name of its own", config.name);
                errors.push(node.error_at("", "endpoints", message));
            }
            names.push(&config.name);
        }
        errors.into_result(Self { destinations, log })
    }
}

/// The block of each store: the exporter's, with its own keys on top.
fn blocks(node: &Node, errors: &mut ConfigErrors) -> Vec<Node> {
    let Some(list) = node.get("endpoints").filter(|list| !list.is_null()) else { return vec![node.clone()] };
    // What is no list is reported when the keys are read.
    let Some(list) = list.as_sequence() else { return vec![node.clone()] };
    let mut refuse = |message: &str| errors.push(node.error_at("", "endpoints", message));
    if node.get("endpoint").is_some_and(|endpoint| !endpoint.is_null()) {
        refuse("at most one of endpoint and endpoints must be configured");
    }
    if list.is_empty() {
        refuse("endpoints is empty: list at least one, with its endpoint");
    }
    let mut common = node.clone();
    if let Value::Mapping(mapping) = &mut common.value {
        mapping.entries.retain(|entry| entry.key != "endpoints");
    }
    let mut blocks = Vec::new();
    for own in list {
        for key in COMMON {
            if own.get(key).is_some() {
                errors.push(own.error_at("endpoints", key, format!("{key} belongs to the exporter as a whole")));
            }
        }
        if own.as_mapping().is_none() {
            errors.push(own.error_at("endpoints", "", "each of endpoints must be a mapping with an endpoint"));
            continue;
        }
        let mut block = common.clone();
        block.merge(own.clone());
        block.span = own.span.clone();
        blocks.push(block);
    }
    blocks
}
