//! References: `${env:NAME}`, `${NAME}`, `${env:NAME:-default}`, `${file:...}`, `${yaml:...}`, `${https:...}`.
//!
//! A reference that is a whole value takes the type of what it stands for; within a text it is replaced as text.
//! Either way the original text is kept, so that a field that wants text gets `0123` and not 83.

use pipeline::config::{ConfigError, ConfigErrors, Entry, MAX_DEPTH, MAX_NODES, Mapping, Node, Resolved};
use pipeline::config::{Scalar, Span, Value, parse_value};

use super::Warning;
use super::bare::{Dollar, replace_bare};
use super::providers::{Location, Providers, Retrieved};

/// How many references may follow from one another in one value, as in the Collector.
const MAX_EXPANSIONS: usize = 1000;

/// How long a text may become, in bytes; references to themselves grow without end.
const MAX_TEXT: usize = 16 << 20;

/// Replaces all references in `root`, then every `$$` by `$`.
pub(super) fn expand(
    root: Node,
    providers: &Providers<'_>,
    warnings: &mut Vec<Warning>,
    errors: &mut ConfigErrors,
) -> Node {
    let mut expander = Expander { providers, warnings, errors, nodes: 0, cut_off: false };
    let surroundings =
        Surroundings { path: "", dollar: Dollar::Variable, groups: "", depth: 0, hops: 0, written: true };
    let mut root = expander.node(root, &surroundings);
    unescape(&mut root);
    root
}

struct Expander<'a> {
    providers: &'a Providers<'a>,
    warnings: &'a mut Vec<Warning>,
    errors: &'a mut ConfigErrors,
    /// Values met so far; files may include each other.
    nodes: usize,
    cut_off: bool,
}

/// What a reference that is a whole value stands for.
enum Whole {
    /// A value that is finished.
    Value(Node),
    /// Text, in which there may be references again.
    Text(String),
}

/// What is known about a value from where it stands.
#[derive(Clone, Copy)]
struct Surroundings<'a> {
    path: &'a str,
    dollar: Dollar,
    /// The regular expression of the same relabel rule, whose named groups are no variables.
    groups: &'a str,
    depth: usize,
    /// How many references led here.
    hops: usize,
    /// Whether the user wrote the text in a file, as opposed to a variable: only there is `$NAME` replaced.
    written: bool,
}

impl Expander<'_> {
    fn node(&mut self, node: Node, around: &Surroundings<'_>) -> Node {
        self.nodes += 1;
        if around.depth > MAX_DEPTH || self.nodes > MAX_NODES {
            // Said once: what follows is cut off for the same reason.
            let already = self.cut_off;
            self.cut_off = true;
            if !already {
                let message = format!(
                    "too many values or levels ({MAX_NODES} and {MAX_DEPTH} are allowed): is a file included in itself?"
                );
                self.error(&node.span, around, message);
            }
            return Node::null(node.span);
        }
        let Node { span, value, original } = node;
        match value {
            Value::Scalar(scalar) if scalar.resolved == Resolved::Text => self.text(span, scalar, around),
            Value::Scalar(scalar) => Node { span, value: Value::Scalar(scalar), original },
            Value::Sequence(items) => {
                let items = items.into_iter().enumerate().map(|(index, item)| {
                    let path = format!("{}[{index}]", around.path);
                    self.node(item, &Surroundings { path: &path, depth: around.depth + 1, ..*around })
                });
                Node { span, value: Value::Sequence(items.collect()), original }
            }
            Value::Mapping(mapping) => {
                let groups = mapping.get("regex").and_then(Node::as_text).unwrap_or_default().to_owned();
                let Mapping { entries, duplicates } = mapping;
                let entries = entries.into_iter().map(|Entry { key, key_span, value }| {
                    let separator = if around.path.is_empty() { "" } else { "::" };
                    let path = format!("{}{separator}{key}", around.path);
                    let (dollar, depth) = (Dollar::below(&key), around.depth + 1);
                    let inside = Surroundings { path: &path, dollar, groups: &groups, depth, ..*around };
                    let value = self.node(value, &inside);
                    Entry { key, key_span, value }
                });
                let mapping = Mapping { entries: entries.collect(), duplicates };
                Node { span, value: Value::Mapping(mapping), original }
            }
        }
    }

    /// Expands a text: first `$NAME`, then references from the innermost outwards until none is left.
    fn text(&mut self, span: Span, scalar: Scalar, around: &Surroundings<'_>) -> Node {
        let mut around = *around;
        let Scalar { text, plain, .. } = scalar;
        let mut retype = false;
        let mut text = self.bare(text, &span, &around, &mut retype);
        while around.hops <= MAX_EXPANSIONS && text.len() <= MAX_TEXT {
            let Some((start, end)) = self.find_reference(&text, &around) else {
                // A text put together from parts is typed like one that was written in one piece.
                let scalar = if retype && plain { Scalar::plain(text) } else { Scalar::quoted(text) };
                return Node { span, value: Value::Scalar(scalar), original: None };
            };
            around.hops += 1;
            let reference = text.get(start + 2..end - 1).unwrap_or_default();
            let Some((location, retrieved)) = self.retrieve(reference, &span, &around) else {
                return Node::null(span);
            };
            if start == 0 && end == text.len() {
                match self.whole(&span, &location, retrieved, &around) {
                    Whole::Value(node) => return node,
                    Whole::Text(whole) => {
                        around.written = location.is_document();
                        text = self.bare(whole, &span, &around, &mut false);
                        retype = false;
                    }
                }
            } else {
                text.replace_range(start..end, &retrieved.unwrap_or_default());
                retype = true;
            }
        }
        self.error(&span, &around, "too many recursive expansions: does a variable or a file refer to itself?");
        Node::null(span)
    }

    /// Replaces `$NAME` in what a user wrote.
    fn bare(&mut self, text: String, span: &Span, around: &Surroundings<'_>, changed: &mut bool) -> String {
        if !around.written {
            return text;
        }
        let replaced = replace_bare(&text, around.dollar, self.providers.env);
        self.warn_about_bare(span, around, &replaced.expanded, &replaced.left);
        match replaced.text {
            Some(text) => {
                *changed = true;
                text
            }
            None => text,
        }
    }

    /// The first reference without another inside, as byte offsets of `${` and after `}`.
    fn find_reference(&self, text: &str, around: &Surroundings<'_>) -> Option<(usize, usize)> {
        let mut from = 0;
        while let Some(close) = text.get(from..)?.find('}').map(|at| from + at) {
            let window = text.get(from..=close)?;
            if let Some(open) = window.rfind("${") {
                let dollars = window.get(..open)?.chars().rev().take_while(|c| *c == '$').count();
                let name = window.get(open + 2..window.len() - 1)?;
                if dollars % 2 == 0 && !self.is_template(name, around) {
                    return Some((from + open, close + 1));
                }
            }
            from = close + 1;
        }
        None
    }

    /// Whether `${name}` belongs to a relabel rule: a group's number, a group's name, or anything that is not set
    /// as a variable.
    fn is_template(&self, name: &str, around: &Surroundings<'_>) -> bool {
        let is_word = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if around.dollar == Dollar::Variable || !is_word {
            return false;
        }
        name.starts_with(|c: char| c.is_ascii_digit())
            || ["(?P<", "(?<"].iter().any(|opening| around.groups.contains(&format!("{opening}{name}>")))
            || (self.providers.env)(name).is_none()
    }

    /// Reads what a reference stands for; `None` within is a variable that is not set or empty.
    fn retrieve(
        &mut self,
        reference: &str,
        span: &Span,
        around: &Surroundings<'_>,
    ) -> Option<(Location, Option<String>)> {
        let outcome = Location::from_reference(reference)
            .and_then(|location| location.retrieve(self.providers).map(|retrieved| (location, retrieved)));
        match outcome {
            Ok((location, Retrieved::Text(text))) => Some((location, Some(text))),
            Ok((location, Retrieved::Unset(name))) => {
                let message = format!(
                    "configuration references unset environment variable {name:?}; the value is empty. \
                     Set it, or write ${{env:{name}:-default}}"
                );
                self.warn(span, around, message);
                Some((location, None))
            }
            Ok((location, Retrieved::Empty(name))) => {
                self.warn(span, around, format!("configuration references empty environment variable {name:?}"));
                Some((location, None))
            }
            Err(message) => {
                self.error(span, around, message);
                None
            }
        }
    }

    /// A value that is nothing but a reference becomes what it stands for, with its type.
    fn whole(&mut self, span: &Span, location: &Location, text: Option<String>, around: &Surroundings<'_>) -> Whole {
        let Some(mut text) = text else { return Whole::Value(Node::null(span.clone())) };
        let is_document = location.is_document();
        if is_document {
            // Editors end a file with a line break that is no part of, say, a password in it.
            text.truncate(text.trim_end_matches(['\n', '\r']).len());
        }
        let mut node = match parse_value(&text, &location.source_name()) {
            // Text keeps its quotes, if it has any: they are part of the variable.
            Ok(Node { value: Value::Scalar(Scalar { resolved: Resolved::Text, .. }), .. }) => return Whole::Text(text),
            Ok(node) => node,
            // A broken file is an error; a variable that happens to be no YAML is text.
            Err(errors) if is_document && looks_structured(&text) => {
                self.errors.extend(errors);
                return Whole::Value(Node::null(span.clone()));
            }
            Err(_) => return Whole::Text(text),
        };
        if let Value::Scalar(scalar) = &mut node.value {
            node.span = span.clone();
            if scalar.resolved == Resolved::Null {
                node.original = (!text.is_empty()).then_some(text);
            } else {
                scalar.text = text;
            }
            return Whole::Value(node);
        }
        let inside = Surroundings { written: is_document, ..*around };
        if !is_document {
            node.span = span.clone();
            // The same text once more, for a field that wants it as text; problems are reported below.
            let (mut warnings, mut errors) = (Vec::new(), ConfigErrors::new());
            let mut aside = Expander {
                providers: self.providers,
                warnings: &mut warnings,
                errors: &mut errors,
                nodes: self.nodes,
                cut_off: false,
            };
            let original = aside.text(span.clone(), Scalar::quoted(text), &inside);
            node.original = original.as_text().map(str::to_owned);
        }
        Whole::Value(self.node(node, &inside))
    }

    fn warn_about_bare(&mut self, span: &Span, around: &Surroundings<'_>, expanded: &[String], left: &[String]) {
        for name in expanded {
            let message = format!(
                "\"${name}\" was replaced by the environment variable, as collectors did until 2022; write ${{env:{name}}}"
            );
            self.warn(span, around, message);
        }
        for name in left {
            let reason = match around.dollar {
                Dollar::Variable => "no environment variable of that name is set",
                Dollar::Template | Dollar::Regex => "a dollar sign has a meaning of its own here",
            };
            self.warn(span, around, format!("\"${name}\" was left as it is: {reason}; write ${{env:{name}}}"));
        }
    }

    fn warn(&mut self, span: &Span, around: &Surroundings<'_>, message: String) {
        self.warnings.push(ConfigError::new(span.clone(), around.path, message));
    }

    fn error(&mut self, span: &Span, around: &Surroundings<'_>, message: impl Into<String>) {
        self.errors.push(ConfigError::new(span.clone(), around.path, message));
    }
}

/// Whether the text of a file means to be a mapping or a list, so that a mistake in it must be reported.
fn looks_structured(text: &str) -> bool {
    !text.starts_with("-----BEGIN")
        && text.lines().any(|line| {
            let line = line.trim_start();
            line.starts_with("- ") || line.ends_with(':') || line.contains(": ")
        })
}

/// `$$` stands for a dollar sign.
fn unescape(node: &mut Node) {
    if let Some(original) = &mut node.original
        && original.contains("$$")
    {
        *original = original.replace("$$", "$");
    }
    match &mut node.value {
        Value::Scalar(scalar) if scalar.text.contains("$$") => scalar.text = scalar.text.replace("$$", "$"),
        Value::Scalar(_) => {}
        Value::Sequence(items) => items.iter_mut().for_each(unescape),
        Value::Mapping(mapping) => mapping.entries.iter_mut().for_each(|entry| unescape(&mut entry.value)),
    }
}
