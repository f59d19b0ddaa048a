//! Matching a whole text, without a regular expression where the pattern's shape allows it.

use regex::{CaptureLocations, Regex, RegexBuilder};

use super::pattern::{self, PatternError};

/// How large a compiled pattern may be, in bytes. Go allows about 128 MiB; a pattern of a few hundred thousand states
/// is a mistake, and 64 MiB are more than any pattern that Prometheus' 1000-fold repeats are used for.
const COMPILED_LIMIT: usize = 64 << 20;

/// Compiles a translated pattern.
fn build(pattern: &str, translated: &str) -> Result<Regex, PatternError> {
    RegexBuilder::new(translated)
        .size_limit(COMPILED_LIMIT)
        // Go's limit on nesting; the default is lower.
        .nest_limit(1000)
        .build()
        .map_err(|error| PatternError::from_engine(pattern, &error))
}

/// A pattern in Go's syntax that matches any part of a text unless it says otherwise, and the names of its groups; the
/// first group is the whole match.
///
/// # Errors
/// What Go's `regexp.Compile` would say.
pub fn go_regex(pattern: &str) -> Result<(Regex, Vec<Option<String>>), PatternError> {
    let translated = pattern::translate_as_it_is(pattern)?;
    Ok((build(pattern, &translated.pattern)?, translated.group_names))
}

/// A compiled pattern that has to match a text from beginning to end.
#[derive(Clone, Debug)]
pub(super) struct Matcher {
    shape: Shape,
    group_names: Vec<Option<String>>,
}

#[derive(Clone, Debug)]
enum Shape {
    /// One of a few texts; `grouped` if the pattern is a group around them.
    Literals { texts: Vec<Box<str>>, grouped: bool },
    /// A beginning, then at least `at_least` bytes of anything, then an end; `grouped` if the middle is a group.
    Affix { prefix: Box<str>, suffix: Box<str>, at_least: usize, grouped: bool },
    /// Anything else, and a beginning that every match has.
    Regex { regex: Box<Regex>, prefix: Box<str> },
}

/// The groups of a match.
pub(super) enum Groups<'t> {
    /// The whole match and at most one group.
    Simple { whole: &'t str, first: Option<&'t str> },
    /// What a regular expression found.
    Located { text: &'t str, locations: CaptureLocations },
}

impl<'t> Groups<'t> {
    pub(super) fn get(&self, number: usize) -> Option<&'t str> {
        match self {
            Self::Simple { whole, .. } if number == 0 => Some(whole),
            Self::Simple { first, .. } if number == 1 => *first,
            Self::Simple { .. } => None,
            Self::Located { text, locations } => {
                let (start, end) = locations.get(number)?;
                text.get(start..end)
            }
        }
    }
}

impl Matcher {
    /// Compiles a pattern in RE2 syntax.
    pub(super) fn new(pattern: &str) -> Result<Self, PatternError> {
        let translated = pattern::translate(pattern)?;
        let shape = match simple_shape(pattern) {
            Some(shape) => shape,
            None => {
                let regex = build(pattern, &translated.pattern)?;
                Shape::Regex { regex: Box::new(regex), prefix: required_prefix(pattern).into_boxed_str() }
            }
        };
        Ok(Self { shape, group_names: translated.group_names })
    }

    /// The names of the groups; the first is the whole match.
    pub(super) fn group_names(&self) -> &[Option<String>] {
        &self.group_names
    }

    /// Whether the pattern matches all of `text`.
    #[inline]
    pub(super) fn is_match(&self, text: &str) -> bool {
        match &self.shape {
            Shape::Literals { texts, .. } => texts.iter().any(|literal| &**literal == text),
            Shape::Affix { prefix, suffix, at_least, .. } => {
                text.len() >= prefix.len() + suffix.len() + at_least
                    && text.starts_with(&**prefix)
                    && text.ends_with(&**suffix)
            }
            Shape::Regex { regex, prefix } => text.starts_with(&**prefix) && regex.is_match(text),
        }
    }

    /// The groups, if the pattern matches all of `text`.
    pub(super) fn groups<'t>(&self, text: &'t str) -> Option<Groups<'t>> {
        match &self.shape {
            Shape::Literals { grouped, .. } => {
                let first = grouped.then_some(text);
                self.is_match(text).then_some(Groups::Simple { whole: text, first })
            }
            Shape::Affix { prefix, suffix, grouped, .. } => {
                if !self.is_match(text) {
                    return None;
                }
                let middle = text.get(prefix.len()..text.len() - suffix.len());
                Some(Groups::Simple { whole: text, first: middle.filter(|_| *grouped) })
            }
            Shape::Regex { regex, prefix } => {
                if !text.starts_with(&**prefix) {
                    return None;
                }
                let mut locations = regex.capture_locations();
                regex.captures_read(&mut locations, text)?;
                Some(Groups::Located { text, locations })
            }
        }
    }
}

/// The shape of a pattern that needs no regular expression.
fn simple_shape(pattern: &str) -> Option<Shape> {
    literals(pattern).or_else(|| affix(pattern))
}

/// `a|b|c` or `(a|b|c)`.
fn literals(pattern: &str) -> Option<Shape> {
    let inside = pattern.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let texts = inside.unwrap_or(pattern).split('|').map(|part| {
        let (text, rest) = literal_run(part);
        rest.is_empty().then(|| text.into_boxed_str())
    });
    Some(Shape::Literals { texts: texts.collect::<Option<_>>()?, grouped: inside.is_some() })
}

/// `beginning.*end` with `.*`, `.+`, `(.*)` or `(.+)`.
fn affix(pattern: &str) -> Option<Shape> {
    let (prefix, rest) = literal_run(pattern);
    let middles = [("(.*)", 0, true), ("(.+)", 1, true), (".*", 0, false), (".+", 1, false)];
    let (after, at_least, grouped) = middles
        .into_iter()
        .find_map(|(middle, at_least, grouped)| rest.strip_prefix(middle).map(|rest| (rest, at_least, grouped)))?;
    let (suffix, rest) = literal_run(after);
    let whole = rest.is_empty() && !after.starts_with(['*', '+', '?', '{']);
    whole.then(|| Shape::Affix { prefix: prefix.into_boxed_str(), suffix: suffix.into_boxed_str(), at_least, grouped })
}

/// The plain characters at the beginning of a pattern, and the pattern behind them. A character that is repeated does
/// not count.
fn literal_run(pattern: &str) -> (String, &str) {
    let mut text = String::new();
    let mut rest = pattern;
    loop {
        let mut chars = rest.chars();
        let literal = match chars.next() {
            Some('\\') => chars.next().filter(char::is_ascii_punctuation),
            Some(c) if is_special(c) => None,
            other => other,
        };
        let after = chars.as_str();
        match literal {
            Some(c) if !after.starts_with(['*', '+', '?', '{']) => text.push(c),
            _ => return (text, rest),
        }
        rest = after;
    }
}

const fn is_special(c: char) -> bool {
    matches!(c, '.' | '+' | '*' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$' | '\\')
}

/// A text that every match begins with.
fn required_prefix(pattern: &str) -> String {
    if has_outer_alternative(pattern) { String::new() } else { literal_run(pattern).0 }
}

/// Whether there may be a `|` outside of all groups.
fn has_outer_alternative(pattern: &str) -> bool {
    let mut depth = 0i32;
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            // What an escape or a class hides is not worth reading twice: say that there may be one.
            '[' if pattern.contains('|') => return true,
            '\\' => match chars.next() {
                Some('Q') => return true,
                _ => continue,
            },
            '(' => depth += 1,
            ')' => depth -= 1,
            '|' if depth <= 0 => return true,
            _ => {}
        }
    }
    false
}
