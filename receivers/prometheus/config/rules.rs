//! Relabelling rules as jobs hold them: compiled, and comparable.

use pipeline::config::{ConfigError, ConfigErrors, KeyStyle, Node, Value, decode_with};
use prometheus::labels::LabelsBuilder;
use prometheus::names::ValidationScheme;
use prometheus::relabel::{self, RelabelConfig};

/// Rules with the text they were compiled from. Rules of equal text and name validation are equal.
#[derive(Clone, Debug, Default)]
pub struct RelabelRules {
    texts: Vec<RelabelConfig>,
    validation: ValidationScheme,
    compiled: relabel::RelabelRules,
}

impl PartialEq for RelabelRules {
    fn eq(&self, other: &Self) -> bool {
        (&self.texts, self.validation) == (&other.texts, other.validation)
    }
}

impl RelabelRules {
    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The compiled rules.
    pub fn compiled(&self) -> &relabel::RelabelRules {
        &self.compiled
    }

    /// Applies the rules. False if the labels are to be dropped, which a set without any label is, too.
    #[must_use = "labels that are to be dropped are not marked in any other way"]
    pub fn apply(&self, labels: &mut LabelsBuilder) -> bool {
        self.compiled.apply(labels) && !labels.is_empty()
    }
}

/// Reads the rules `entries` that stand below `key` of the block known as `path`.
pub(super) fn read_rules(
    entries: &[Node],
    path: &str,
    key: &str,
    validation: ValidationScheme,
    errors: &mut ConfigErrors,
) -> Option<RelabelRules> {
    let kind = if key == "relabel_configs" { "target" } else { "metric" };
    let missing = format!("empty or null {kind} relabeling rule in scrape config");
    read_rules_called(entries, path, key, &missing, validation, errors)
}

/// [`read_rules`] with what is said about a rule that is not there.
pub(super) fn read_rules_called(
    entries: &[Node],
    path: &str,
    key: &str,
    missing: &str,
    validation: ValidationScheme,
    errors: &mut ConfigErrors,
) -> Option<RelabelRules> {
    let before = errors.len();
    let mut texts = Vec::with_capacity(entries.len());
    for (index, node) in entries.iter().enumerate() {
        let path = format!("{path}::{key}[{index}]");
        if node.is_null() {
            errors.push(ConfigError::new(node.span.clone(), path, missing));
            continue;
        }
        if node.get("action").is_some_and(Node::is_null) {
            errors.push(node.error_at(&path, "action", "relabel action cannot be empty"));
            continue;
        }
        let node = with_texts(node);
        let decoded = decode_with::<RelabelConfig>(&node, &path, KeyStyle::Prometheus);
        let Some(rule) = errors.collect(decoded) else { continue };
        if let Err(error) = rule.compile(validation) {
            let message = error.to_string();
            errors.push(node.error_at(&path, key_of(&message), message));
        }
        texts.push(rule);
    }
    if errors.len() > before {
        return None;
    }
    let compiled = relabel::RelabelRules::compile(&texts, validation).ok()?;
    Some(RelabelRules { texts, validation, compiled })
}

/// The key that a message is about, as far as it says so; a rule is what its action makes of it otherwise.
fn key_of(message: &str) -> &'static str {
    if message.starts_with("error parsing regexp") {
        return "regex";
    }
    let named = |key: &&str| message.contains(&format!("'{key}'")) && !message.contains("requires only");
    ["target_label", "replacement"].into_iter().find(named).unwrap_or("action")
}

/// The rule with its scalars as the texts that they are to Prometheus: `regex: 0123` is a pattern of four digits, and
/// `regex:` with nothing after it is the pattern that matches nothing but the empty text, not the default.
fn with_texts(node: &Node) -> Node {
    let mut node = node.clone();
    if let Value::Mapping(mapping) = &mut node.value {
        for entry in &mut mapping.entries {
            if ["separator", "target_label", "regex", "replacement"].contains(&entry.key.as_str())
                && entry.value.as_scalar().is_some()
            {
                let text = entry.value.as_text().unwrap_or_default().to_owned();
                entry.value = Node::text(entry.value.span.clone(), text);
            }
        }
    }
    node
}
