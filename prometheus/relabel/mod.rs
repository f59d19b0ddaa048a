//! Relabelling: rules that rename, rewrite, drop and keep label sets, as `relabel_configs`, `metric_relabel_configs`
//! and `write_relabel_configs` have them.
//!
//! Rules are compiled once ([`RelabelConfig::compile`], [`RelabelRules::compile`]) and applied to a [`LabelsBuilder`].
//! Patterns are those of Go's RE2, not those of Rust's regex crate; the common shapes (a few literals, a prefix and
//! "anything") are matched without a regular expression at all.

mod case;
mod config;
mod matcher;
mod pattern;
mod rule;
mod template;

use std::collections::BTreeSet;

pub use config::{Action, RelabelConfig, RelabelError};
pub use matcher::go_regex;
pub use pattern::PatternError;
pub use rule::RelabelRule;

use crate::labels::LabelsBuilder;
use crate::names::ValidationScheme;

/// Rules that are applied one after the other.
#[derive(Clone, Debug, Default)]
pub struct RelabelRules {
    rules: Vec<RelabelRule>,
}

impl RelabelRules {
    /// Checks and compiles rules.
    ///
    /// # Errors
    /// The first rule's error that Prometheus would refuse; the text does not say which rule it is.
    pub fn compile(configs: &[RelabelConfig], scheme: ValidationScheme) -> Result<Self, RelabelError> {
        let rules = configs.iter().map(|config| config.compile(scheme)).collect::<Result<_, _>>()?;
        Ok(Self { rules })
    }

    /// Whether there are no rules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Applies the rules in order; each sees what the one before left. Returns false as soon as one drops the set,
    /// whose content is of no use then. Labels with an empty value are removed first, as they count as absent. A set
    /// that ends up without any label is kept here; most callers treat it as dropped.
    #[must_use = "a set that is to be dropped is not marked in any other way"]
    pub fn apply(&self, labels: &mut LabelsBuilder) -> bool {
        labels.remove_empty();
        self.rules.iter().all(|rule| rule.apply(labels))
    }

    /// The labels whose presence or value the outcome depends on. Sets that agree in these (and in what
    /// [`writes`](Self::writes) names) are kept or dropped alike and get the same new values.
    #[must_use]
    pub fn reads(&self) -> LabelScope {
        self.rules.iter().fold(LabelScope::default(), |scope, rule| scope.and(rule.reads()))
    }

    /// The labels that the rules may set or remove.
    #[must_use]
    pub fn writes(&self) -> LabelScope {
        self.rules.iter().fold(LabelScope::default(), |scope, rule| scope.and(rule.writes()))
    }
}

/// Which labels a rule looks at or changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelScope {
    /// Any label may be concerned.
    All,
    /// Only these.
    Names(BTreeSet<String>),
}

impl Default for LabelScope {
    fn default() -> Self {
        Self::Names(BTreeSet::new())
    }
}

impl LabelScope {
    fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self::Names(names.into_iter().map(str::to_owned).collect())
    }

    /// Whether a label of this name may be concerned.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Names(names) => names.contains(name),
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Names(mut names), Self::Names(more)) => {
                names.extend(more);
                Self::Names(names)
            }
            _ => Self::All,
        }
    }
}

#[cfg(test)]
mod tests;
