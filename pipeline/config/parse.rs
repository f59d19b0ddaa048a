//! Text to [`Node`]: anchors, aliases, merge keys, duplicate keys and limits.
//!
//! The syntax is read by `saphyr-parser`, chosen because it is maintained, gives positions with every event, and
//! pulls events without recursion, so that nesting cannot exhaust the stack. What the events mean (types, merges,
//! duplicates) is decided here, after Go's yaml.v3.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use saphyr_parser::{Event, Parser, ScalarStyle, Span as Range, StrInput, Tag};

use super::error::{ConfigError, ConfigErrors};
use super::node::{Entry, Mapping, Node, Scalar, Span, Value};
use super::resolve::{Resolved, resolve_plain};

/// How deeply values may be nested. The deepest known configurations nest 15 levels; everything that walks a tree
/// recurses at most this far.
pub const MAX_DEPTH: usize = 100;

/// How many values a document may hold after aliases are replaced by what they stand for. The largest known
/// configurations hold a few ten thousand; a "billion laughs" document would hold billions.
pub const MAX_NODES: usize = 250_000;

/// How long a text may be, in bytes. A hundred times the largest known configuration.
const MAX_TEXT: usize = 16 << 20;

/// What to do with a key that occurs twice in one mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DuplicateKeys {
    /// An error, as in the Collector's files.
    #[default]
    Refuse,
    /// Keep the later ones in [`Mapping::duplicates`], for the decoder to report in Prometheus' words, which name
    /// the type.
    Keep,
}

/// Reads a document whose root is a mapping. An empty document is an empty mapping. `source` is the file's name,
/// for positions.
///
/// # Errors
/// Invalid YAML, several documents, a root of another kind, a key written twice, or a limit exceeded. All
/// duplicate keys are reported together.
pub fn parse(text: &str, source: &str) -> Result<Node, ConfigErrors> {
    parse_document(text, source, DuplicateKeys::Refuse)
}

/// [`parse`] with a choice of what becomes of duplicate keys.
///
/// # Errors
/// As [`parse`].
pub fn parse_document(text: &str, source: &str, duplicates: DuplicateKeys) -> Result<Node, ConfigErrors> {
    let node = parse_any(text, source, duplicates)?;
    let kind = match &node.value {
        Value::Mapping(_) => return Ok(node),
        Value::Scalar(scalar) if scalar.resolved == Resolved::Null => return Ok(Node::empty_mapping(node.span)),
        Value::Sequence(_) => "list",
        Value::Scalar(scalar) => match scalar.resolved {
            Resolved::Bool(_) => "bool",
            Resolved::Int(_) => "int",
            Resolved::Float(_) => "float",
            _ => "string",
        },
    };
    // The first part is what users of the Collector search for.
    let message = format!(
        "retrieved value (type={kind}) cannot be used as a Conf: a configuration is a mapping of keys to values"
    );
    Err(ConfigError::new(node.span, "", message).into())
}

/// Reads a document with a root of any kind, as `${file:...}` and `--set` give them. Empty text is null.
///
/// # Errors
/// As [`parse`], but for the root's kind.
pub fn parse_value(text: &str, source: &str) -> Result<Node, ConfigErrors> {
    parse_any(text, source, DuplicateKeys::Refuse)
}

fn parse_any(text: &str, source: &str, duplicates: DuplicateKeys) -> Result<Node, ConfigErrors> {
    let source: Arc<str> = Arc::from(source);
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    check_text(text, &source)?;
    let mut tree = Tree::new(Arc::clone(&source), duplicates);
    let mut parser = Parser::new_from_str(text);
    let outcome = tree.fill(&mut parser, text);
    let mut errors = tree.errors;
    if let Err(error) = outcome {
        errors.push(error);
    }
    errors.into_result(tree.root.unwrap_or_else(|| Node::null(Span::new(&source, 1, 1))))
}

/// Refuses what the YAML reader would take for the end of the text or misread.
fn check_text(text: &str, source: &Arc<str>) -> Result<(), ConfigError> {
    if text.len() > MAX_TEXT {
        let message = format!("{} bytes are more than the {MAX_TEXT} that a configuration may have", text.len());
        return Err(ConfigError::new(Span::whole(source), "", message));
    }
    let (mut line, mut column) = (1_u32, 1_u32);
    for c in text.chars() {
        match c {
            '\n' => (line, column) = (line.saturating_add(1), 0),
            '\t' | '\r' => {}
            c if c.is_ascii_control() => {
                let message = format!("invalid YAML: control characters are not allowed ({c:?})");
                return Err(ConfigError::new(Span::new(source, line, column), "", message));
            }
            _ => {}
        }
        column = column.saturating_add(1);
    }
    Ok(())
}

/// A value with what counts towards the limits.
#[derive(Debug, Clone)]
struct Sized {
    node: Node,
    /// Levels of nesting, 1 for a scalar.
    depth: usize,
    /// Values in it, itself included.
    count: usize,
}

/// A list or mapping that is still open.
struct Open {
    span: Span,
    anchor: usize,
    depth: usize,
    count: usize,
    kind: OpenKind,
}

enum OpenKind {
    Sequence(Vec<Node>),
    Mapping { mapping: Mapping, places: HashMap<String, u32>, key: Option<(String, Span, bool)>, merges: Vec<Node> },
}

/// The tree while events come in.
struct Tree {
    source: Arc<str>,
    duplicates: DuplicateKeys,
    open: Vec<Open>,
    anchors: HashMap<usize, Sized>,
    root: Option<Node>,
    documents: usize,
    /// Values made by aliases and merges so far.
    expanded: usize,
    errors: ConfigErrors,
}

impl Tree {
    fn new(source: Arc<str>, duplicates: DuplicateKeys) -> Self {
        Self {
            source,
            duplicates,
            open: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            documents: 0,
            expanded: 0,
            errors: ConfigErrors::new(),
        }
    }

    fn fill<'a>(&mut self, parser: &mut Parser<'a, StrInput<'a>>, text: &str) -> Result<(), ConfigError> {
        while let Some(event) = parser.next_event() {
            match event {
                Ok((Event::StreamEnd, _)) => break,
                Ok((event, range)) => self.event(event, range)?,
                Err(error) => {
                    let mark = *error.marker();
                    let span = self.span_of(mark.line(), mark.col());
                    let line = text.lines().nth(mark.line().saturating_sub(1)).unwrap_or_default();
                    let hint = if line.trim_start_matches(' ').starts_with('\t') {
                        "; indent with spaces, not with tabs"
                    } else {
                        ""
                    };
                    return Err(ConfigError::new(span, "", format!("invalid YAML: {}{hint}", error.info())));
                }
            }
        }
        Ok(())
    }

    fn span_of(&self, line: usize, column: usize) -> Span {
        let cap = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Span::new(&self.source, cap(line.max(1)), cap(column.saturating_add(1)))
    }

    fn event(&mut self, event: Event<'_>, range: Range) -> Result<(), ConfigError> {
        let span = self.span_of(range.start.line(), range.start.col());
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    let message = "a second document begins here (---); a configuration is one document: \
                                   put the rest into a file of its own and give it with another --config";
                    return Err(ConfigError::new(span, "", message));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let missing = range.is_empty() && style == ScalarStyle::Plain;
                let span = if missing { self.place_of_missing(span) } else { span };
                let text = if missing { "" } else { text.as_ref() };
                let is_merge = style == ScalarStyle::Plain && text == "<<" && tag.is_none();
                let scalar = self.scalar(text, style, tag.as_deref(), &span)?;
                let node = Node { span, value: Value::Scalar(scalar), original: None };
                self.value(Sized { node, depth: 1, count: 1 }, anchor, is_merge)
            }
            Event::SequenceStart(anchor, _) => self.begin(span, anchor, OpenKind::Sequence(Vec::new())),
            Event::MappingStart(anchor, _) => {
                let (mapping, places) = (Mapping::default(), HashMap::new());
                self.begin(span, anchor, OpenKind::Mapping { mapping, places, key: None, merges: Vec::new() })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(known) => {
                    let known = known.clone();
                    self.expanded = self.expanded.saturating_add(known.count);
                    self.value(known, 0, false)
                }
                None => Err(ConfigError::new(span, "", "invalid YAML: an alias stands inside its own anchor")),
            },
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    /// A value that is not written has no place; its key has.
    fn place_of_missing(&self, span: Span) -> Span {
        match self.open.last().map(|open| &open.kind) {
            Some(OpenKind::Mapping { key: Some((_, key_span, _)), .. }) => key_span.clone(),
            _ => span,
        }
    }

    fn scalar(&self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: &Span) -> Result<Scalar, ConfigError> {
        let plain = style == ScalarStyle::Plain;
        let core = match tag {
            Some(tag) if tag.is_yaml_core_schema() => tag.suffix.as_str(),
            // Tags of other schemas (`!Ref` in a template) carry no type: the value is text.
            Some(_) => "str",
            None if plain => return Ok(Scalar::plain(text)),
            None => return Ok(Scalar::quoted(text)),
        };
        if core == "binary" {
            return self.binary(text, span).map(Scalar::quoted);
        }
        let natural = resolve_plain(text);
        let resolved = match (core, natural) {
            ("int", Resolved::Int(_))
            | ("bool", Resolved::Bool(_))
            | ("null", Resolved::Null)
            | ("float", Resolved::Float(_)) => natural,
            #[expect(clippy::cast_precision_loss, reason = "what !!float asks for")]
            ("float", Resolved::Int(int)) => Resolved::Float(int as f64),
            ("int" | "bool" | "null" | "float", _) => {
                let message = format!("invalid YAML: cannot decode {} `{text}` as a !!{core}", natural.tag());
                return Err(ConfigError::new(span.clone(), "", message));
            }
            _ => Resolved::Text,
        };
        Ok(Scalar { text: text.to_owned(), resolved, plain: plain && resolved != Resolved::Text })
    }

    fn binary(&self, text: &str, span: &Span) -> Result<String, ConfigError> {
        let packed: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let is_key = matches!(self.open.last().map(|open| &open.kind), Some(OpenKind::Mapping { key: None, .. }));
        let error = |message: String| Err(ConfigError::new(span.clone(), "", message));
        match base64::engine::general_purpose::STANDARD.decode(packed) {
            Err(_) => error("!!binary value contains invalid base64 data".to_owned()),
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => Ok(text),
                // Binary keys occur only as names of labels; the wording is Prometheus'.
                Err(bad) if is_key => {
                    error(format!("\"{}\" is not a valid label name: it is not UTF-8", bad.as_bytes().escape_ascii()))
                }
                Err(bad) => error(format!("!!binary value \"{}\" is not UTF-8", bad.as_bytes().escape_ascii())),
            },
        }
    }

    fn begin(&mut self, span: Span, anchor: usize, kind: OpenKind) -> Result<(), ConfigError> {
        if matches!(self.open.last(), Some(Open { kind: OpenKind::Mapping { key: None, .. }, .. })) {
            return Err(ConfigError::new(span, "", "a key must be a text or a number, not a list or a mapping"));
        }
        self.open.push(Open { span, anchor, depth: 0, count: 0, kind });
        self.check_limits(0, 0)
    }

    fn end(&mut self) -> Result<(), ConfigError> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let value = match open.kind {
            OpenKind::Sequence(items) => Value::Sequence(items),
            OpenKind::Mapping { mut mapping, mut places, merges, .. } => {
                for merged in merges {
                    merge(&mut mapping, &mut places, merged)?;
                }
                Value::Mapping(mapping)
            }
        };
        let node = Node { span: open.span, value, original: None };
        self.value(Sized { node, depth: open.depth + 1, count: open.count + 1 }, open.anchor, false)
    }

    /// Puts a finished value where it belongs: at the root, into the open list, or behind the pending key.
    fn value(&mut self, sized: Sized, anchor: usize, is_merge: bool) -> Result<(), ConfigError> {
        if anchor > 0 {
            self.anchors.insert(anchor, sized.clone());
        }
        self.check_limits(sized.depth, sized.count)?;
        let Some(open) = self.open.last_mut() else {
            self.root = Some(sized.node);
            return Ok(());
        };
        open.depth = open.depth.max(sized.depth);
        open.count = open.count.saturating_add(sized.count);
        match &mut open.kind {
            OpenKind::Sequence(items) => items.push(sized.node),
            OpenKind::Mapping { key: key @ None, .. } => {
                let text = sized.node.as_text().map(str::to_owned);
                let Some(text) = text else {
                    return Err(ConfigError::new(sized.node.span, "", "a key must be a text or a number"));
                };
                *key = Some((text, sized.node.span, is_merge));
            }
            OpenKind::Mapping { mapping, places, key, merges } => {
                let Some((key, key_span, is_merge)) = key.take() else { return Ok(()) };
                let first = places.get(&key).copied();
                if let Some(first) = first {
                    if self.duplicates == DuplicateKeys::Keep {
                        mapping.duplicates.push(Entry { key, key_span, value: sized.node });
                    } else {
                        let message = format!("mapping key {key:?} already defined at line {first}");
                        self.errors.push(ConfigError::new(key_span, "", message));
                    }
                    return Ok(());
                }
                places.insert(key.clone(), key_span.line);
                if is_merge {
                    merges.push(sized.node);
                } else {
                    mapping.entries.push(Entry { key, key_span, value: sized.node });
                }
            }
        }
        Ok(())
    }

    fn check_limits(&mut self, depth: usize, count: usize) -> Result<(), ConfigError> {
        let span = || self.open.last().map_or_else(|| Span::whole(&self.source), |open| open.span.clone());
        if self.open.len().saturating_add(depth) > MAX_DEPTH {
            return Err(ConfigError::new(span(), "", format!("values are nested deeper than {MAX_DEPTH} levels")));
        }
        let held = self.open.iter().fold(count, |sum, open| sum.saturating_add(open.count));
        if held > MAX_NODES || self.expanded > MAX_NODES {
            let message = format!("more than {MAX_NODES} values once aliases are replaced by what they stand for");
            return Err(ConfigError::new(span(), "", message));
        }
        Ok(())
    }
}

/// Adds what `<<: value` stands for: keys that the mapping itself has win, then those of earlier values.
/// `places` knows the keys that are taken.
fn merge(mapping: &mut Mapping, places: &mut HashMap<String, u32>, value: Node) -> Result<(), ConfigError> {
    let span = value.span.clone();
    let sources = match value.value {
        Value::Sequence(items) => items,
        _ => vec![value],
    };
    for source in sources {
        let Value::Mapping(source) = source.value else {
            let message = "map merge requires map or sequence of maps as the value";
            return Err(ConfigError::new(span, "", message));
        };
        for entry in source.entries {
            if !places.contains_key(&entry.key) {
                places.insert(entry.key.clone(), entry.key_span.line);
                mapping.entries.push(entry);
            }
        }
    }
    Ok(())
}
