//! How far names are changed, and what can go wrong.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer};

use crate::quote::quoted;

/// How metric and label names are translated for Prometheus: the `translation_strategy` setting of the
/// Collector's Prometheus exporters, plus one for metrics that came from Prometheus in the first place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TranslationStrategy {
    /// Other characters than letters, digits, `_` and `:` become `_`; units and types are appended as suffixes.
    #[default]
    UnderscoreEscapingWithSuffixes,
    /// Other characters than letters, digits, `_` and `:` become `_`; nothing is appended.
    UnderscoreEscapingWithoutSuffixes,
    /// All of UTF-8 is kept; units and types are appended as suffixes.
    NoUtf8EscapingWithSuffixes,
    /// Names are kept as OTLP has them.
    NoTranslation,
    /// Names and labels are kept as they were scraped, whatever they look like. Chosen by where a metric came from,
    /// never by the configuration: its name followed Prometheus' rules already.
    AsScraped,
}

/// A `translation_strategy` that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid translation_strategy: {0}")]
pub struct InvalidStrategy(
    /// What was found.
    pub String,
);

const CONFIGURED: [(&str, TranslationStrategy); 4] = [
    ("UnderscoreEscapingWithSuffixes", TranslationStrategy::UnderscoreEscapingWithSuffixes),
    ("UnderscoreEscapingWithoutSuffixes", TranslationStrategy::UnderscoreEscapingWithoutSuffixes),
    ("NoUTF8EscapingWithSuffixes", TranslationStrategy::NoUtf8EscapingWithSuffixes),
    ("NoTranslation", TranslationStrategy::NoTranslation),
];

impl TranslationStrategy {
    /// The strategy in effect: the setting if there is one, else what the older `add_metric_suffixes`
    /// says.
    #[must_use]
    pub fn from_settings(translation_strategy: Option<Self>, add_metric_suffixes: bool) -> Self {
        match translation_strategy {
            Some(strategy) => strategy,
            None if add_metric_suffixes => Self::UnderscoreEscapingWithSuffixes,
            None => Self::UnderscoreEscapingWithoutSuffixes,
        }
    }

    /// The strategy that treats suffixes alike and escapes what remote write 1.0 does not allow.
    #[must_use]
    pub const fn escaping(self) -> Self {
        if self.adds_suffixes() {
            Self::UnderscoreEscapingWithSuffixes
        } else {
            Self::UnderscoreEscapingWithoutSuffixes
        }
    }

    /// Whether characters outside Prometheus' traditional set are replaced.
    #[must_use]
    pub const fn escapes(self) -> bool {
        matches!(self, Self::UnderscoreEscapingWithSuffixes | Self::UnderscoreEscapingWithoutSuffixes)
    }

    /// Whether suffixes for unit and type are appended.
    #[must_use]
    pub const fn adds_suffixes(self) -> bool {
        matches!(self, Self::UnderscoreEscapingWithSuffixes | Self::NoUtf8EscapingWithSuffixes)
    }
}

impl fmt::Display for TranslationStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let configured = CONFIGURED.iter().find(|(_, strategy)| strategy == self);
        f.write_str(configured.map_or("AsScraped", |(name, _)| name))
    }
}

impl FromStr for TranslationStrategy {
    type Err = InvalidStrategy;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let configured = CONFIGURED.iter().find(|(name, _)| *name == text);
        configured.map(|&(_, strategy)| strategy).ok_or_else(|| InvalidStrategy(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for TranslationStrategy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Why a name cannot be translated. The metric (or, for labels, the data point) has to be dropped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is left of a metric name.
    #[error("normalization for metric {} resulted in empty name", quoted(name.as_bytes()))]
    EmptyMetric {
        /// The name before translation.
        name: String,
    },
    /// Only underscores are left of a metric name.
    #[error("normalization for metric {} resulted in invalid name {}", quoted(name.as_bytes()), quoted(result.as_bytes()))]
    InvalidMetric {
        /// The name before translation.
        name: String,
        /// The name after it.
        result: String,
    },
    /// A label without a name.
    #[error("label name is empty")]
    EmptyLabel,
    /// Only underscores are left of a label name.
    #[error("normalization for label name {} resulted in invalid name {}", quoted(name.as_bytes()), quoted(result.as_bytes()))]
    InvalidLabel {
        /// The name before translation.
        name: String,
        /// The name after it.
        result: String,
    },
    /// A label name of underscores, which is to be kept as it is.
    #[error("label name {} contains only underscores", quoted(name.as_bytes()))]
    UnderscoresOnly {
        /// The name.
        name: String,
    },
}

/// Whether a name says nothing.
pub(super) fn only_underscores(name: &str) -> bool {
    name.bytes().all(|byte| byte == b'_')
}
