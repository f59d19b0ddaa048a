//! The keys of `relabel`.

use super::rules::Rules;
use pipeline::config::{ConfigErrors, Node, decode};
use prometheus::names::ValidationScheme;
use prometheus::relabel::RelabelConfig;
use serde::Deserialize;

/// The keys whose text counts as it was written, even where it looks like a number, and of which an empty one is
/// not the same as none.
const TEXT_KEYS: [&str; 4] = ["separator", "target_label", "regex", "replacement"];

/// The keys as they are written; see the module's documentation.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Keys {
    rules: Vec<Node>,
    metric_name_validation_scheme: ValidationScheme,
}

/// The rules, checked and compiled.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) rules: Rules,
}

impl Config {
    /// Reads and checks the block. What is wrong with a rule is said in Prometheus' words.
    pub(super) fn read(node: &Node) -> Result<Self, ConfigErrors> {
        let keys: Keys = decode(node, "")?;
        let scheme = keys.metric_name_validation_scheme;
        let mut errors = ConfigErrors::new();
        let mut configs = Vec::with_capacity(keys.rules.len());
        for (at, rule) in keys.rules.iter().enumerate() {
            let path = format!("rules[{at}]");
            if rule.is_null() {
                errors.push(rule.error_at(&path, "", "empty or null relabel rule"));
                continue;
            }
            let Some(config) = errors.collect(read_rule(rule, &path)) else { continue };
            if let Err(error) = config.validate(scheme) {
                errors.push(rule.error_at(&path, "", error.to_string()));
                continue;
            }
            configs.push(config);
        }
        errors.into_result(())?;
        // Each rule is valid by itself, so that this finds nothing more.
        let rules = Rules::compile(&configs, scheme)
            .map_err(|(at, error)| node.error_at("", &format!("rules[{at}]"), error.to_string()))?;
        Ok(Self { rules })
    }
}

fn read_rule(node: &Node, path: &str) -> Result<RelabelConfig, ConfigErrors> {
    let mut config: RelabelConfig = decode(node, path)?;
    let RelabelConfig { separator, target_label, regex, replacement, .. } = &mut config;
    for (key, field) in TEXT_KEYS.into_iter().zip([separator, target_label, regex, replacement]) {
        if let Some(value) = node.get(key) {
            *field = Some(value.as_text().unwrap_or_default().to_owned());
        }
    }
    Ok(config)
}
