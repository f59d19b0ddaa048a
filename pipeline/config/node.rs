//! The tree that configuration text becomes: values that remember where they were written.

use std::fmt;
use std::sync::Arc;

use super::error::ConfigError;
use super::resolve::{Resolved, resolve_plain};

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The file's path, or the provider and its value (`env:AOT_CONFIG_CONTENT`).
    pub source: Arc<str>,
    /// Line, from 1. 0 means that the source has no lines.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl Span {
    /// A place in `source`; `line` and `column` count from 1.
    pub fn new(source: &Arc<str>, line: u32, column: u32) -> Self {
        Self { source: Arc::clone(source), line, column }
    }

    /// All of `source`, for problems that belong to no line.
    pub fn whole(source: &str) -> Self {
        Self { source: Arc::from(source), line: 0, column: 0 }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return f.write_str(&self.source);
        }
        write!(f, "{}:{}:{}", self.source, self.line, self.column)
    }
}

/// A value and the place it was written at. Two nodes are equal when they mean the same: places, quoting of text,
/// and the order of a mapping's keys do not count. A reload compares component blocks this way.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where the value begins. What an alias stands for keeps the place of its anchor.
    pub span: Span,
    /// The value.
    pub value: Value,
    /// The text this was read from, where it came out of an environment variable or the like: a field that wants
    /// text gets the variable's text, even if that also reads as a number, a list or a mapping.
    pub original: Option<String>,
}

/// The three kinds of YAML values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Null, a boolean, a number, or text.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Node>),
    /// A mapping, in the order written.
    Mapping(Mapping),
}

/// A scalar: its text as written, and what it resolved to.
#[derive(Debug, Clone)]
pub struct Scalar {
    /// The text as written, without quotes. A field that wants text takes this, so `0123` stays `0123`.
    pub text: String,
    /// The type and value, for fields that want a number or a boolean.
    pub resolved: Resolved,
    /// Whether it was written without quotes.
    pub plain: bool,
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.resolved == other.resolved && (self.resolved == Resolved::Null || self.text == other.text)
    }
}

/// A mapping in the order written. Keys are the text of their scalars.
#[derive(Debug, Clone, Default)]
pub struct Mapping {
    /// Keys and values; each key occurs once.
    pub entries: Vec<Entry>,
    /// Second and later occurrences of a key, only with [`DuplicateKeys::Keep`](super::DuplicateKeys::Keep).
    /// [`decode`](super::decode()) reports them.
    pub duplicates: Vec<Entry>,
}

/// One key of a mapping and its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key's text.
    pub key: String,
    /// Where the key was written.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

impl PartialEq for Mapping {
    fn eq(&self, other: &Self) -> bool {
        self.entries.len() == other.entries.len()
            && self.entries.iter().all(|entry| other.get(&entry.key).is_some_and(|value| *value == entry.value))
    }
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value && self.as_text() == other.as_text()
    }
}

impl Eq for Scalar {}
impl Eq for Mapping {}
impl Eq for Node {}

impl Mapping {
    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// Key and value of `key`.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The keys in the order written.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.key.as_str())
    }
}

impl Scalar {
    /// A scalar as if written without quotes.
    pub fn plain(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { resolved: resolve_plain(&text), text, plain: true }
    }

    /// A scalar as if written in quotes: text, whatever it looks like.
    pub fn quoted(text: impl Into<String>) -> Self {
        Self { text: text.into(), resolved: Resolved::Text, plain: false }
    }
}

impl Node {
    /// A null at `span`.
    pub fn null(span: Span) -> Self {
        Self { span, value: Value::Scalar(Scalar::plain("")), original: None }
    }

    /// An empty mapping at `span`.
    pub fn empty_mapping(span: Span) -> Self {
        Self { span, value: Value::Mapping(Mapping::default()), original: None }
    }

    /// Text at `span`, never a number or a boolean.
    pub fn text(span: Span, text: impl Into<String>) -> Self {
        Self { span, value: Value::Scalar(Scalar::quoted(text)), original: None }
    }

    /// Whether this is null: nothing written, `~`, or `null`.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.resolved == Resolved::Null)
    }

    /// The mapping, if it is one.
    pub fn as_mapping(&self) -> Option<&Mapping> {
        match &self.value {
            Value::Mapping(mapping) => Some(mapping),
            _ => None,
        }
    }

    /// The list, if it is one.
    pub fn as_sequence(&self) -> Option<&[Node]> {
        match &self.value {
            Value::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// The scalar, if it is one.
    pub fn as_scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The text of a scalar that is not null, as written, or the text of the variable that this came from.
    pub fn as_text(&self) -> Option<&str> {
        if let Some(original) = self.original.as_deref().filter(|text| !text.is_empty()) {
            return Some(original);
        }
        self.as_scalar().filter(|scalar| scalar.resolved != Resolved::Null).map(|scalar| scalar.text.as_str())
    }

    /// The value of `key`, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_mapping()?.get(key)
    }

    /// The value at `path`, whose keys are joined by `::` as the Collector writes them
    /// (`service::telemetry::logs`). An empty path is this node.
    pub fn at(&self, path: &str) -> Option<&Node> {
        if path.is_empty() {
            return Some(self);
        }
        path.split("::").try_fold(self, |node, key| node.get(key))
    }

    /// An error about the value at `sub_path` below this node, which itself is known as `path`. The place is the
    /// key's if it was written, else that of the nearest mapping around it: a check that runs after decoding can
    /// so still say where to look.
    pub fn error_at(&self, path: &str, sub_path: &str, message: impl Into<String>) -> ConfigError {
        let mut span = &self.span;
        let mut node = Some(self);
        for key in sub_path.split("::").filter(|key| !key.is_empty()) {
            let Some(entry) = node.and_then(Node::as_mapping).and_then(|mapping| mapping.entry(key)) else { break };
            span = &entry.key_span;
            node = Some(&entry.value);
        }
        let separator = if path.is_empty() || sub_path.is_empty() { "" } else { "::" };
        ConfigError::new(span.clone(), format!("{path}{separator}{sub_path}"), message)
    }

    /// What kind of value this is, in a user's words.
    pub(super) fn describe(&self) -> String {
        match &self.value {
            Value::Mapping(_) => "a mapping".to_owned(),
            Value::Sequence(_) => "a list".to_owned(),
            Value::Scalar(scalar) => match scalar.resolved {
                Resolved::Null => "nothing (null)".to_owned(),
                Resolved::Bool(value) => format!("the boolean {value}"),
                Resolved::Int(_) => format!("the integer {}", scalar.text),
                Resolved::Float(_) => format!("the number {}", scalar.text),
                Resolved::Text => format!("the text {:?}", scalar.text),
            },
        }
    }
}
