//! Configuration problems: each with its place, its key path, and what to write instead.

use std::fmt;

use super::node::Span;

/// How many problems are collected before reading stops. Nobody repairs more than this in one go, and a file of
/// another kind altogether must not fill the terminal.
pub(super) const MAX_ERRORS: usize = 100;

/// One problem. Prints as `file:line:column: key::path: message; did you mean "x"?`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// Where it is.
    pub span: Span,
    /// Which key it concerns, joined by `::`, list places as `[0]`. Empty for the file as a whole.
    pub path: String,
    /// What is wrong, and what to do about it.
    pub message: String,
    /// The known name that is closest to a misspelt one.
    pub suggestion: Option<String>,
}

impl ConfigError {
    /// A problem without a suggestion.
    pub fn new(span: Span, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { span, path: path.into(), message: message.into(), suggestion: None }
    }

    /// The same with the closest of `known` names suggested in place of `given`, if one is close.
    #[must_use]
    pub fn suggesting<'a>(mut self, given: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        self.suggestion = suggest(given, known).map(str::to_owned);
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.span)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.suggestion {
            Some(name) => write!(f, "; did you mean {name:?}?"),
            None => Ok(()),
        }
    }
}

/// All problems of a configuration, in the order of their places. Prints one a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigErrors {
    errors: Vec<ConfigError>,
    /// Keys that are there and could not be read, if these are the problems of a block that is checked further.
    unread: Vec<String>,
    /// Names that were misspelt there.
    misspelt: Vec<String>,
}

impl ConfigErrors {
    /// No problem so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a problem, unless it only follows from what could not be read.
    pub fn push(&mut self, error: ConfigError) {
        if !self.errors.contains(&error) && !self.follows(&error) {
            self.errors.push(error);
        }
    }

    /// The same, as the problems of a block that is checked further, in which the values at these paths could not be read.
    #[must_use]
    pub(super) fn of_reading(self, unread: Vec<String>) -> Self {
        let misspelt = self.errors.iter().filter_map(|error| error.suggestion.clone()).collect();
        Self { unread, misspelt, ..self }
    }

    /// Whether a problem is about a value that could not be read, about what is in it or around it, or about a key that is missing
    /// because its name was misspelt.
    fn follows(&self, error: &ConfigError) -> bool {
        let within = |path: &str, outer: &str| {
            let rest = path.strip_prefix(outer);
            rest.is_some_and(|rest| rest.is_empty() || outer.is_empty() || rest.starts_with([':', '[']))
        };
        let key = error.path.rsplit("::").next().unwrap_or_default();
        self.misspelt.iter().any(|name| name == key)
            || self.unread.iter().any(|unread| within(&error.path, unread) || within(unread, &error.path))
    }

    /// Adds all of `other`.
    pub fn extend(&mut self, other: ConfigErrors) {
        for error in other.errors {
            self.push(error);
        }
    }

    /// Keeps the value of a reading that succeeded and the problems of one that failed.
    pub fn collect<T>(&mut self, result: Result<T, ConfigErrors>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(errors) => {
                self.extend(errors);
                None
            }
        }
    }

    /// The same problems of a block that is itself known as `path`: factories check a component's block without
    /// knowing its id.
    #[must_use]
    pub fn under(mut self, path: &str) -> Self {
        for error in &mut self.errors {
            error.path = match error.path.as_str() {
                "" => path.to_owned(),
                below if below.starts_with('[') => format!("{path}{below}"),
                below => format!("{path}::{below}"),
            };
        }
        self
    }

    /// Whether there is no problem.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// How many problems there are.
    pub fn len(&self) -> usize {
        self.errors.len()
    }

    /// Whether one of the problems after the first `skipped` ones is that `key` was misspelt.
    pub fn suggest(&self, key: &str, skipped: usize) -> bool {
        self.errors.iter().skip(skipped).any(|error| error.suggestion.as_deref() == Some(key))
    }

    /// Adds to problems what is noted of the same line of the same source, which is likely to be why.
    pub fn explain(&mut self, notes: &[ConfigError]) {
        for error in self.errors.iter_mut().filter(|error| error.span.line > 0) {
            let same = |note: &&ConfigError| note.span.source == error.span.source && note.span.line == error.span.line;
            for note in notes.iter().filter(same).map(|note| &note.message).collect::<Vec<_>>() {
                error.message.push_str("; note: ");
                error.message.push_str(note);
            }
        }
    }

    /// The problems.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.errors.iter()
    }

    /// Puts the problems in the order in which a reader of the files meets them; sources stay in the order in
    /// which they first occur.
    pub fn sort(&mut self) {
        let mut sources: Vec<_> = Vec::new();
        for error in &self.errors {
            if !sources.contains(&error.span.source) {
                sources.push(error.span.source.clone());
            }
        }
        let rank = |error: &ConfigError| sources.iter().position(|source| *source == error.span.source);
        self.errors.sort_by_key(|error| (rank(error), error.span.line, error.span.column));
    }

    /// `value` if there is no problem, else all of them, sorted.
    pub fn into_result<T>(mut self, value: T) -> Result<T, ConfigErrors> {
        if self.errors.is_empty() {
            return Ok(value);
        }
        self.sort();
        Err(self)
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self { errors: vec![error], ..Self::default() }
    }
}

impl IntoIterator for ConfigErrors {
    type Item = ConfigError;
    type IntoIter = std::vec::IntoIter<ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.errors.into_iter()
    }
}

impl<'a> IntoIterator for &'a ConfigErrors {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// The name of `known` that `given` is most likely a misspelling of. Names that differ in more than a third of
/// their letters are no help and are not offered; case, `-` and a missing `_` do not count.
pub fn suggest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let fold = |name: &str| -> String {
        name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
    };
    let wanted = fold(given);
    // Distances are quadratic in length, and no known name is this long.
    if wanted.is_empty() || wanted.len() > 200 {
        return None;
    }
    let mut best: Option<(usize, &'a str)> = None;
    for name in known.into_iter().filter(|name| *name != given) {
        let folded = fold(name);
        let distance = strsim::damerau_levenshtein(&wanted, &folded);
        let allowed = (wanted.chars().count().max(folded.chars().count()) / 3).max(1);
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, name));
        }
    }
    best.map(|(_, name)| name)
}
