//! [`Node`] to a component's own configuration struct, collecting every problem on the way.
//!
//! serde stops at the first error. To find the rest, the value that could not be read is left out and reading
//! starts again; configurations are small and read once, so the repetition costs nothing that matters.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;
use std::ptr;

use serde::de::{self, DeserializeOwned};

use super::error::{ConfigError, ConfigErrors, MAX_ERRORS, suggest};
use super::node::{Entry, Mapping, Node, Span};
use super::reader::{Reader, Slot};

/// Whose words and rules apply where a block is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyStyle {
    /// The Collector's: `has invalid keys: foo`. Booleans are `true` and `false` only.
    #[default]
    Collector,
    /// Prometheus': `field foo not found in type config.ScrapeConfig`, where the type is the struct's serde name
    /// (`#[serde(rename = "config.ScrapeConfig")]`), and ``cannot unmarshal !!int `-1` into uint``. Fields that
    /// want a boolean also take `yes`, `no`, `on` and `off`, as yaml.v3 does.
    Prometheus,
}

/// Reads `node` into `T`. `path` is what the block is called in messages, such as `processors::batch/metrics`.
///
/// How values are taken:
/// - A key that the struct does not have is an error, with the closest name suggested.
/// - A key with nothing after it (null) is as if it were not written, except for fields of type
///   [`Section`](super::Section), [`Node`], and values of maps, where null is an empty block or an empty text.
/// - Text fields take any scalar as it was written (`0123` stays `0123`), and what came out of a variable with
///   the variable's text. Fields of other types never take quoted text.
/// - Number fields take `1e3` for 1000, but no fractions where integers are wanted.
///
/// # Errors
/// All problems, sorted by place: at most one per value, and none that only follows from another. Structs with
/// `#[serde(flatten)]` or in untagged enums lose the check for unknown keys; use neither.
pub fn decode<T: DeserializeOwned>(node: &Node, path: &str) -> Result<T, ConfigErrors> {
    decode_with(node, path, KeyStyle::Collector)
}

/// [`decode`] for a block that is checked further: what can be read of it, and the problems so far, to which checks add theirs. What
/// only repeats one of these in other words, about a key that is wrong or misspelt, is then not added ([`ConfigErrors::push`]).
///
/// # Errors
/// All problems, if what is left of the block cannot be read.
pub fn decode_to_check<T: DeserializeOwned>(node: &Node, path: &str) -> Result<(T, ConfigErrors), ConfigErrors> {
    let (value, state) = read_all(node, path, KeyStyle::Collector)?;
    Ok((value, state.errors.of_reading(state.unread)))
}

/// [`decode`] with a choice of wording.
///
/// # Errors
/// As [`decode`].
pub fn decode_with<T: DeserializeOwned>(node: &Node, path: &str, style: KeyStyle) -> Result<T, ConfigErrors> {
    let (value, state) = read_all(node, path, style)?;
    state.errors.into_result(value)
}

/// What can be read of a block, and what is wrong with the rest; only the latter if nothing can be read.
fn read_all<T: DeserializeOwned>(node: &Node, path: &str, style: KeyStyle) -> Result<(T, State), ConfigErrors> {
    let context = Context { style, state: RefCell::default() };
    let place = Place { parent: None, step: Step::Root(path) };
    loop {
        let reader = Reader { context: &context, node, key_span: None, place: &place, slot: Slot::Root };
        let error = match T::deserialize(reader) {
            Ok(value) => return Ok((value, context.state.into_inner())),
            Err(error) => error.located(&reader),
        };
        if !context.record(error, node) {
            return context.state.into_inner().errors.into_result(()).and_then(|()| {
                // Only reached if serde failed without a reason that could be recorded.
                Err(ConfigError::new(node.span.clone(), path, "cannot be read").into())
            });
        }
    }
}

/// What all readers of one decoding share.
pub(super) struct Context {
    pub(super) style: KeyStyle,
    state: RefCell<State>,
}

/// Nodes and entries are known by their address: the tree stays where it is while it is read.
#[derive(Default)]
struct State {
    errors: ConfigErrors,
    /// Values left out because they could not be read.
    failed: HashSet<usize>,
    /// Their paths.
    unread: Vec<String>,
    /// Values left out because they are null.
    absent: HashSet<usize>,
    /// Keys already reported.
    reported: HashSet<usize>,
}

impl Context {
    /// Whether `node` is to be passed over.
    pub(super) fn skips(&self, node: &Node) -> bool {
        let state = self.state.borrow();
        let address = ptr::from_ref(node).addr();
        state.failed.contains(&address) || state.absent.contains(&address)
    }

    /// Reports a key that the struct called `type_name` does not have.
    pub(super) fn unknown_key(&self, entry: &Entry, place: &Place<'_>, type_name: &str, fields: &[&'static str]) {
        let message = match self.style {
            KeyStyle::Collector => format!("has invalid keys: {}", entry.key),
            KeyStyle::Prometheus => format!("field {} not found in type {type_name}", entry.key),
        };
        self.report(entry, || {
            ConfigError::new(entry.key_span.clone(), place.to_string(), message)
                .suggesting(&entry.key, fields.iter().copied())
        });
    }

    /// Reports keys written twice; `type_name` is empty outside structs.
    pub(super) fn duplicate_keys(&self, mapping: &Mapping, place: &Place<'_>, type_name: &str) {
        for entry in &mapping.duplicates {
            let first = mapping.entry(&entry.key).map_or(0, |first| first.key_span.line);
            let message = if self.style == KeyStyle::Prometheus && !type_name.is_empty() {
                format!("field {} already set in type {type_name} at line {first}", entry.key)
            } else {
                format!("mapping key {:?} already defined at line {first}", entry.key)
            };
            self.report(entry, || ConfigError::new(entry.key_span.clone(), place.to_string(), message));
        }
    }

    fn report(&self, entry: &Entry, error: impl FnOnce() -> ConfigError) {
        let mut state = self.state.borrow_mut();
        if state.errors.len() < MAX_ERRORS && state.reported.insert(ptr::from_ref(entry).addr()) {
            state.errors.push(error());
        }
    }

    /// Notes why reading stopped and which value to leave out. False if there is nothing left to leave out.
    fn record(&self, error: DecodeError, root: &Node) -> bool {
        let mut state = self.state.borrow_mut();
        let Some(location) = error.location else { return false };
        if error.kind == ErrorKind::Null {
            return state.absent.insert(location.address);
        }
        state.unread.push(location.path.clone());
        if !location.has_failed_part(&error.kind, &state.failed) && state.errors.len() < MAX_ERRORS {
            state.errors.push(ConfigError {
                span: location.span,
                path: location.path,
                message: error.message,
                suggestion: error.suggestion,
            });
        }
        location.address != ptr::from_ref(root).addr()
            && state.errors.len() < MAX_ERRORS
            && state.failed.insert(location.address)
    }
}

/// Keys and list places from the root down to a value.
pub(super) struct Place<'a> {
    pub(super) parent: Option<&'a Place<'a>>,
    pub(super) step: Step<'a>,
}

/// One step of a [`Place`].
pub(super) enum Step<'a> {
    Root(&'a str),
    Key(&'a str),
    Index(usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = String::new();
        if let Some(parent) = self.parent {
            before = parent.to_string();
            f.write_str(&before)?;
        }
        match self.step {
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Root(key) | Step::Key(key) if before.is_empty() => f.write_str(key),
            Step::Root(key) | Step::Key(key) => write!(f, "::{key}"),
        }
    }
}

/// Why serde stopped.
#[derive(Debug)]
pub(super) struct DecodeError {
    message: String,
    suggestion: Option<String>,
    kind: ErrorKind,
    location: Option<Box<Location>>,
}

#[derive(Debug, PartialEq)]
enum ErrorKind {
    Other,
    /// A field's value is null and the field is to be read as if it were not there.
    Null,
    Missing(&'static str),
}

#[derive(Debug)]
struct Location {
    address: usize,
    span: Span,
    path: String,
    /// Keys and addresses of what lies directly below.
    parts: Vec<(String, usize)>,
}

impl Location {
    /// Whether the error follows from a part that was left out after an error of its own: a required field that
    /// could not be read, or a check of a block that is incomplete for the same reason.
    fn has_failed_part(&self, kind: &ErrorKind, failed: &HashSet<usize>) -> bool {
        self.parts.iter().any(|(key, address)| {
            failed.contains(address)
                && match kind {
                    ErrorKind::Missing(field) => key == field,
                    _ => true,
                }
        })
    }
}

impl DecodeError {
    /// The value is null where null means absent.
    pub(super) fn null() -> Self {
        Self { kind: ErrorKind::Null, ..Self::new("is null") }
    }

    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), suggestion: None, kind: ErrorKind::Other, location: None }
    }

    /// Says that the error concerns what `reader` read, unless a place further down is known already.
    pub(super) fn located(mut self, reader: &Reader<'_, '_>) -> Self {
        if self.location.is_none() {
            let node = reader.node;
            let written_here = node.as_scalar().is_some() && !node.is_null();
            let span = if written_here { None } else { reader.key_span };
            let mut parts = Vec::new();
            if let Some(mapping) = node.as_mapping() {
                parts.extend(mapping.entries.iter().map(|e| (e.key.clone(), ptr::from_ref(&e.value).addr())));
            } else if let Some(items) = node.as_sequence() {
                parts.extend(items.iter().map(|item| (String::new(), ptr::from_ref(item).addr())));
            }
            self.location = Some(Box::new(Location {
                address: ptr::from_ref(node).addr(),
                span: span.unwrap_or(&node.span).clone(),
                path: reader.place.to_string(),
                parts,
            }));
        }
        self
    }
}

impl DecodeError {
    /// Says that the error concerns `entry`'s key.
    pub(super) fn located_at_key(mut self, place: &Place<'_>, entry: &Entry) -> Self {
        self.location = Some(Box::new(Location {
            address: ptr::from_ref(&entry.value).addr(),
            span: entry.key_span.clone(),
            path: place.to_string(),
            parts: Vec::new(),
        }));
        self
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(given: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let given = match given {
            de::Unexpected::Bool(value) => format!("the boolean {value}"),
            de::Unexpected::Signed(value) => format!("the integer {value}"),
            de::Unexpected::Unsigned(value) => format!("the integer {value}"),
            de::Unexpected::Float(value) => format!("the number {value}"),
            de::Unexpected::Str(value) => format!("the text {value:?}"),
            de::Unexpected::Unit | de::Unexpected::Option => "nothing (null)".to_owned(),
            de::Unexpected::Seq => "a list".to_owned(),
            de::Unexpected::Map => "a mapping".to_owned(),
            other => other.to_string(),
        };
        Self::new(format!("expected {expected}, got {given}"))
    }

    fn missing_field(field: &'static str) -> Self {
        Self { kind: ErrorKind::Missing(field), ..Self::new(format!("the key {field:?} is required")) }
    }

    fn unknown_variant(given: &str, known: &'static [&'static str]) -> Self {
        let suggestion = suggest(given, known.iter().copied()).map(str::to_owned);
        Self { suggestion, ..Self::new(format!("unknown value {given:?} (valid values: {})", known.join(", "))) }
    }

    fn unknown_field(given: &str, known: &'static [&'static str]) -> Self {
        let suggestion = suggest(given, known.iter().copied()).map(str::to_owned);
        Self { suggestion, ..Self::new(format!("has invalid keys: {given}")) }
    }
}
