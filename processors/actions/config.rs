//! The keys of an action.

use super::set::Owned;
use super::{Action, Actions, ContextKey, From, Source, Type, What};
use otlp::wire;
use pipeline::config::{ConfigErrors, Node, Resolved, Value};
use prometheus::relabel::go_regex;
use serde::Deserialize;

/// One action as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ActionKeys {
    key: String,
    action: String,
    value: Option<Node>,
    from_attribute: String,
    from_context: String,
    default_value: Option<Node>,
    pattern: String,
    converted_type: String,
}

/// The prefix of all that is wrong, by which people search for it.
const WHAT: &str = "error creating AttrProc";

impl Actions {
    /// Checks and compiles `keys`, which stand in the list `list` of `node`.
    pub(crate) fn new(keys: &[ActionKeys], node: &Node, list: &str) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        let mut all = Vec::with_capacity(keys.len());
        let items = node.get(list).and_then(Node::as_sequence).unwrap_or_default();
        for (at, keys) in keys.iter().enumerate() {
            match keys.compile(at) {
                Ok(action) => all.push(action),
                Err(message) => {
                    let item = items.get(at).unwrap_or(node);
                    errors.push(item.error_at(&format!("{list}[{at}]"), "", format!("{WHAT}{message}")));
                }
            }
        }
        errors.into_result(Self { all: all.into() })
    }
}

impl ActionKeys {
    fn compile(&self, at: usize) -> Result<Action, String> {
        let name = self.action.to_lowercase();
        let no_key = self.key.is_empty();
        match name.as_str() {
            "delete" | "hash" if no_key && self.pattern.is_empty() => {
                return Err(format!(
                    " due to missing required field (at least one of \"key\" and \"pattern\" have to be used) at the {at}-th action"
                ));
            }
            "insert" | "update" | "upsert" | "extract" | "convert" if no_key => {
                return Err(format!(" due to missing required field \"key\" at the {at}-th actions"));
            }
            _ => {}
        }
        let (pattern, what) = match name.as_str() {
            "insert" => (None, What::Insert(self.source(&name, at)?)),
            "update" => (None, What::Update(self.source(&name, at)?)),
            "upsert" => (None, What::Upsert(self.source(&name, at)?)),
            "delete" | "hash" => {
                self.refuse_sources(&name, at)?;
                self.refuse("converted_type", &self.converted_type, &name, at)?;
                let pattern = (!self.pattern.is_empty()).then(|| self.pattern(at)).transpose()?;
                (pattern.map(|(pattern, _)| pattern), if name == "hash" { What::Hash } else { What::Delete })
            }
            "extract" => {
                self.refuse_sources(&name, at)?;
                self.refuse("converted_type", &self.converted_type, &name, at)?;
                (None, self.extract(&name, at)?)
            }
            "convert" => {
                self.refuse_sources(&name, at)?;
                self.refuse("pattern", &self.pattern, &name, at)?;
                (None, What::Convert(self.converted_type(&name, at)?))
            }
            _ => {
                return Err(format!(
                    " due to unsupported action {:?} at the {at}-th actions: use insert, update, upsert, delete, hash, extract or convert",
                    self.action
                ));
            }
        };
        Ok(Action { key: self.key.as_str().into(), pattern, what })
    }

    fn has_value(&self) -> bool {
        self.value.as_ref().is_some_and(|value| !value.is_null())
    }

    fn source(&self, name: &str, at: usize) -> Result<Source, String> {
        self.refuse("pattern", &self.pattern, name, at)?;
        self.refuse("converted_type", &self.converted_type, name, at)?;
        let sources =
            [self.has_value(), !self.from_attribute.is_empty(), !self.from_context.is_empty()].map(usize::from);
        match sources.iter().sum::<usize>() {
            0 => {
                return Err(format!(
                    ". Either field \"value\", \"from_attribute\" or \"from_context\" setting must be specified for {at}-th action"
                ));
            }
            1 => {}
            _ => return Err(format!(" due to multiple value sources being set at the {at}-th actions")),
        }
        let from = match &self.value {
            Some(value) if !value.is_null() => From::Value(owned(value)?),
            _ if !self.from_attribute.is_empty() => From::Attribute(self.from_attribute.as_str().into()),
            _ => From::Context(context_key(&self.from_context, at)?),
        };
        let default = self.default_value.as_ref().filter(|value| !value.is_null()).map(owned).transpose()?;
        Ok(Source { from, default })
    }

    fn refuse_sources(&self, name: &str, at: usize) -> Result<(), String> {
        let given = self.has_value()
            || self.default_value.as_ref().is_some_and(|value| !value.is_null())
            || !self.from_attribute.is_empty()
            || !self.from_context.is_empty();
        if given {
            return Err(format!(
                ". Action {name:?} does not use a value source field. These must not be specified for {at}-th action"
            ));
        }
        Ok(())
    }

    fn refuse(&self, key: &str, value: &str, name: &str, at: usize) -> Result<(), String> {
        if value.is_empty() {
            return Ok(());
        }
        Err(format!(". Action {name:?} does not use the {key:?} field. This must not be specified for {at}-th action"))
    }

    fn pattern(&self, at: usize) -> Result<(regex::Regex, Vec<Option<String>>), String> {
        go_regex(&self.pattern).map_err(|error| {
            format!(
                ". Field \"pattern\" has invalid pattern: {:?} to be set at the {at}-th actions: {error}",
                self.pattern
            )
        })
    }

    fn extract(&self, name: &str, at: usize) -> Result<What, String> {
        if self.pattern.is_empty() {
            return Err(format!(
                " due to missing required field \"pattern\" for action {name:?} at the {at}-th action"
            ));
        }
        let (pattern, names) = self.pattern(at)?;
        if names.len() <= 1 {
            return Err(format!(". Field \"pattern\" contains no named matcher groups at the {at}-th actions"));
        }
        let names: Option<Box<[Box<str>]>> =
            names.into_iter().skip(1).map(|name| name.filter(|name| !name.is_empty()).map(Into::into)).collect();
        let names = names.ok_or_else(|| {
            format!(". Field \"pattern\" contains at least one unnamed matcher group at the {at}-th actions")
        })?;
        Ok(What::Extract(pattern, names))
    }

    fn converted_type(&self, name: &str, at: usize) -> Result<Type, String> {
        match self.converted_type.as_str() {
            "string" => Ok(Type::String),
            "int" => Ok(Type::Int),
            "double" => Ok(Type::Double),
            "" => Err(format!(
                " due to missing required field \"converted_type\" for action {name:?} at the {at}-th action"
            )),
            other => Err(format!(
                " due to invalid value {other:?} in field \"converted_type\" for action {name:?} at the {at}-th action: use string, int or double"
            )),
        }
    }
}

/// What a `from_context` means. A key without a prefix is metadata.
fn context_key(text: &str, at: usize) -> Result<ContextKey, String> {
    Ok(match text.split_once('.') {
        Some(("metadata", key)) => ContextKey::Metadata(key.to_lowercase().into()),
        Some(("auth", _)) => {
            return Err(format!(
                ". \"from_context\" is {text:?} at the {at}-th action, and no extension here finds out who a client is, so that there would never be a value: use metadata.<header> or client.address"
            ));
        }
        Some(("client", "address")) => ContextKey::Address,
        _ => ContextKey::Metadata(text.to_lowercase().into()),
    })
}

/// A configured value with its type; lists and mappings as OTLP has them.
pub(crate) fn owned(node: &Node) -> Result<Owned, String> {
    let mut encoded = Vec::new();
    Ok(match &node.value {
        Value::Scalar(scalar) => match scalar.resolved {
            Resolved::Null => Owned::Empty,
            Resolved::Bool(value) => Owned::Bool(value),
            Resolved::Int(value) => Owned::Int(
                i64::try_from(value).map_err(|_| format!(": the value {value} does not fit a 64-bit integer"))?,
            ),
            Resolved::Float(value) => Owned::Double(value),
            Resolved::Text => Owned::Str(scalar.text.as_str().into()),
        },
        Value::Sequence(items) => {
            let items: Vec<Owned> = items.iter().map(owned).collect::<Result<_, _>>()?;
            wire::put_message(&mut encoded, 5, |out| {
                for item in &items {
                    wire::put_message(out, 1, |out| otlp::attributes::put_value(out, item.as_value()));
                }
            });
            Owned::Encoded(encoded.into())
        }
        Value::Mapping(mapping) => {
            let items: Vec<(&str, Owned)> = mapping
                .entries
                .iter()
                .map(|entry| Ok((entry.key.as_str(), owned(&entry.value)?)))
                .collect::<Result<_, String>>()?;
            wire::put_message(&mut encoded, 6, |out| {
                for (key, item) in &items {
                    otlp::attributes::put_one(out, 1, key, item.as_value());
                }
            });
            Owned::Encoded(encoded.into())
        }
    })
}
