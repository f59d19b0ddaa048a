//! Metric names.

use std::borrow::Cow;

use super::strategy::{NameError, TranslationStrategy, only_underscores};
use super::unit::UnitSuffixes;

/// What kind of metric gets a name; some suffixes depend on it. Temporality plays no part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NamedKind {
    /// A gauge.
    Gauge,
    /// A monotonic sum.
    Counter,
    /// A sum that is not monotonic.
    NonMonotonicCounter,
    /// A histogram with explicit buckets.
    Histogram,
    /// A histogram with exponential buckets.
    ExponentialHistogram,
    /// A summary.
    Summary,
    /// Anything else.
    Unknown,
}

/// Makes Prometheus metric names of OTLP metric names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricNamer {
    /// Goes in front of every name, joined by `_`; empty for none. Only
    /// [`TranslationStrategy::UnderscoreEscapingWithoutSuffixes`] escapes it.
    pub namespace: String,
    /// How far names are changed.
    pub strategy: TranslationStrategy,
}

impl MetricNamer {
    /// The Prometheus name of a metric with this OTLP name and (UCUM) unit.
    ///
    /// # Errors
    /// When nothing, or nothing but underscores, is left of the name.
    pub fn build<'n>(&self, name: &'n str, unit: &str, kind: NamedKind) -> Result<Cow<'n, str>, NameError> {
        let built = match self.strategy {
            TranslationStrategy::UnderscoreEscapingWithSuffixes => {
                Cow::Owned(self.escaped_with_suffixes(name, unit, kind))
            }
            TranslationStrategy::UnderscoreEscapingWithoutSuffixes => self.escaped(name),
            TranslationStrategy::NoUtf8EscapingWithSuffixes => Cow::Owned(self.kept_with_suffixes(name, unit, kind)),
            TranslationStrategy::NoTranslation | TranslationStrategy::AsScraped => self.kept(name),
        };
        if built.is_empty() {
            return Err(NameError::EmptyMetric { name: name.to_owned() });
        }
        // A name of underscores that was given as such is its owner's decision.
        if self.strategy.escapes() && built != name && only_underscores(&built) {
            return Err(NameError::InvalidMetric { name: name.to_owned(), result: built.into_owned() });
        }
        Ok(built)
    }

    fn escaped_with_suffixes(&self, name: &str, unit: &str, kind: NamedKind) -> String {
        let units = UnitSuffixes::of(unit).cleaned();
        let mut tokens: Vec<&str> = name.split(|c| !in_token(c)).filter(|token| !token.is_empty()).collect();

        let per = match units.per.as_ref() {
            "per_" => "",
            per => absent_from(&tokens, per.strip_suffix('_').unwrap_or(per)),
        };
        let mut main = absent_from(&tokens, &units.main);
        if !per.is_empty() {
            main = main.strip_suffix('_').unwrap_or(main);
        }
        tokens.extend([main, per].into_iter().filter(|token| !token.is_empty()));

        if let Some(suffix) = kind_suffix(unit, kind) {
            tokens.retain(|&token| token != suffix);
            tokens.push(suffix);
        }
        if !self.namespace.is_empty() {
            tokens.insert(0, &self.namespace);
        }
        let mut joined = tokens.join("_");
        if starts_with_digit(&joined) {
            joined.insert(0, '_');
        }
        joined
    }

    fn escaped<'n>(&self, name: &'n str) -> Cow<'n, str> {
        let escaped = join_valid(name);
        if !self.namespace.is_empty() {
            return Cow::Owned(format!("{}_{escaped}", join_valid(&self.namespace)));
        }
        if starts_with_digit(&escaped) {
            return Cow::Owned(format!("_{escaped}"));
        }
        escaped
    }

    fn kept<'n>(&self, name: &'n str) -> Cow<'n, str> {
        if self.namespace.is_empty() { Cow::Borrowed(name) } else { Cow::Owned(format!("{}_{name}", self.namespace)) }
    }

    fn kept_with_suffixes(&self, name: &str, unit: &str, kind: NamedKind) -> String {
        let mut built = self.kept(name).into_owned();
        let units = UnitSuffixes::of(unit);
        let kind_suffix = kind_suffix(unit, kind).unwrap_or_default();
        // From the outside in: what is there already is taken off and put back in the right order.
        for suffix in [kind_suffix, &units.per] {
            trim_suffix_and_delimiter(&mut built, suffix);
        }
        let main = if built.ends_with(units.main.as_ref()) { "" } else { &units.main };
        for suffix in [main, &units.per, kind_suffix].into_iter().filter(|suffix| !suffix.is_empty()) {
            built.push('_');
            built.push_str(suffix);
        }
        built
    }
}

/// The suffix that the kind of a metric asks for. Unit `1` makes a ratio of gauges only: instruments
/// that count things are often given that unit by mistake.
fn kind_suffix(unit: &str, kind: NamedKind) -> Option<&'static str> {
    match kind {
        NamedKind::Counter => Some("total"),
        NamedKind::Gauge if unit == "1" => Some("ratio"),
        _ => None,
    }
}

fn in_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == ':'
}

fn absent_from<'t>(tokens: &[&str], token: &'t str) -> &'t str {
    if tokens.contains(&token) { "" } else { token }
}

fn starts_with_digit(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_digit())
}

/// The valid pieces of a name, joined by `_`; underscores that are there stay.
fn join_valid(name: &str) -> Cow<'_, str> {
    let valid = |c: char| in_token(c) || c == '_';
    if name.chars().all(valid) {
        return Cow::Borrowed(name);
    }
    let pieces: Vec<&str> = name.split(|c| !valid(c)).filter(|piece| !piece.is_empty()).collect();
    Cow::Owned(pieces.join("_"))
}

/// Takes `suffix` and the character in front of it off, unless nothing would be left.
fn trim_suffix_and_delimiter(name: &mut String, suffix: &str) {
    if suffix.is_empty() || name.len() <= suffix.len() + 1 || !name.ends_with(suffix) {
        return;
    }
    name.truncate(name.len() - suffix.len());
    name.pop();
}

/// The name of a scraped metric without the suffixes that its type and unit gave it: the
/// `trim_metric_suffixes` setting of the Prometheus receiver. `unit` is the word from the metadata, not
/// UCUM. A name of one word is kept.
#[must_use]
pub fn trim_prometheus_suffixes<'n>(name: &'n str, kind: NamedKind, unit: &str) -> &'n str {
    let mut trimmed = name;
    if matches!(kind, NamedKind::Counter | NamedKind::NonMonotonicCounter) {
        trimmed = without_last_words(trimmed, "total");
    }
    without_last_words(trimmed, unit)
}

/// `name` without `words` at its end, if something stands in front of them.
fn without_last_words<'n>(name: &'n str, words: &str) -> &'n str {
    let rest = name.strip_suffix(words).and_then(|rest| rest.strip_suffix('_'));
    rest.filter(|rest| !rest.is_empty()).unwrap_or(name)
}
