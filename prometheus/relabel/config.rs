//! Rules as configuration files write them, and what Prometheus checks about them.

use std::fmt;
use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Deserializer, de};

use super::pattern::PatternError;
use super::rule::RelabelRule;
use crate::names::ValidationScheme;
use crate::quote::quoted;

const DEFAULT_SEPARATOR: &str = ";";
const DEFAULT_REGEX: &str = "(.*)";
const DEFAULT_REPLACEMENT: &str = "$1";

/// One rule as it is written, unchecked. A key that is not written is `None`, because some actions refuse keys that
/// are written even with their default value. A key that is written as null is the empty text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RelabelConfig {
    /// The labels whose values, joined by `separator`, the rule looks at. Default: none.
    pub source_labels: Option<Vec<String>>,
    /// What joins the values of `source_labels`. Default: `;`.
    #[serde(deserialize_with = "scalar_text")]
    pub separator: Option<String>,
    /// The label that the rule sets or compares with. For `replace` it may refer to groups of `regex`.
    #[serde(deserialize_with = "scalar_text")]
    pub target_label: Option<String>,
    /// What the source value (for `labelmap`, `labeldrop` and `labelkeep`: each label's name) has to match as a
    /// whole, in RE2 syntax, with `.` matching line feeds too. Default: `(.*)`.
    #[serde(deserialize_with = "scalar_text")]
    pub regex: Option<String>,
    /// The divisor of `hashmod`, which requires it.
    pub modulus: Option<u64>,
    /// What `replace` puts into the target label, and the new name that `labelmap` gives; may refer to groups of
    /// `regex` as `$1` or `${1}`. Default: `$1`.
    #[serde(deserialize_with = "scalar_text")]
    pub replacement: Option<String>,
    /// What the rule does, in upper or lower case. Default: `replace`.
    pub action: Option<String>,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Sets the target label from the source value.
    Replace,
    /// Drops sets whose source value does not match.
    Keep,
    /// Drops sets whose source value matches.
    Drop,
    /// Drops sets whose source value is not that of the target label.
    KeepEqual,
    /// Drops sets whose source value is that of the target label.
    DropEqual,
    /// Sets the target label to a hash of the source value, modulo `modulus`.
    HashMod,
    /// Copies labels whose name matches to new names.
    LabelMap,
    /// Removes labels whose name matches.
    LabelDrop,
    /// Removes labels whose name does not match.
    LabelKeep,
    /// Sets the target label to the source value in lower case.
    Lowercase,
    /// Sets the target label to the source value in upper case.
    Uppercase,
}

impl Action {
    const ALL: [Self; 11] = [
        Self::Replace,
        Self::Keep,
        Self::Drop,
        Self::KeepEqual,
        Self::DropEqual,
        Self::HashMod,
        Self::LabelMap,
        Self::LabelDrop,
        Self::LabelKeep,
        Self::Lowercase,
        Self::Uppercase,
    ];

    /// The action's name in configuration files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Keep => "keep",
            Self::Drop => "drop",
            Self::KeepEqual => "keepequal",
            Self::DropEqual => "dropequal",
            Self::HashMod => "hashmod",
            Self::LabelMap => "labelmap",
            Self::LabelDrop => "labeldrop",
            Self::LabelKeep => "labelkeep",
            Self::Lowercase => "lowercase",
            Self::Uppercase => "uppercase",
        }
    }

    fn parse(name: &str) -> Result<Self, RelabelError> {
        let lower = name.to_lowercase();
        let known = Self::ALL.into_iter().find(|action| action.as_str() == lower);
        known.ok_or_else(|| RelabelError::UnknownAction(name.to_owned()))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a rule is refused. The texts are Prometheus' own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelabelError {
    /// There is no such action.
    #[error("unknown relabel action {}", quoted(.0.as_bytes()))]
    UnknownAction(String),
    /// A source label's name cannot be a name.
    #[error("{} is not a valid label name", quoted(.0.as_bytes()))]
    SourceLabel(String),
    /// The pattern cannot be read.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// `hashmod` without `modulus`.
    #[error("relabel configuration for hashmod requires non-zero modulus")]
    Modulus,
    /// An action that needs `target_label` has none.
    #[error("relabel configuration for {0} action requires 'target_label' value")]
    NoTarget(Action),
    /// `target_label` cannot be a label's name.
    #[error("{} is invalid 'target_label' for {action} action", quoted(.target.as_bytes()))]
    Target {
        /// What is written.
        target: String,
        /// The rule's action.
        action: Action,
    },
    /// `replacement` of `labelmap` cannot be a label's name.
    #[error("{} is invalid 'replacement' for labelmap action", quoted(.0.as_bytes()))]
    MapReplacement(String),
    /// An action that has no use for `replacement` has one.
    #[error("'replacement' can not be set for {0} action")]
    Replacement(Action),
    /// `keepequal` or `dropequal` with other keys than they know.
    #[error("{0} action requires only 'source_labels' and `target_label`, and no other fields")]
    OnlySourceAndTarget(Action),
    /// `labeldrop` or `labelkeep` with other keys than they know.
    #[error("{0} action requires only 'regex', and no other fields")]
    OnlyRegex(Action),
}

/// A rule whose keys that are not written have their default.
pub(super) struct Checked<'a> {
    pub(super) action: Action,
    pub(super) source_labels: &'a [String],
    pub(super) separator: &'a str,
    pub(super) regex: &'a str,
    pub(super) target_label: &'a str,
    pub(super) replacement: &'a str,
    pub(super) modulus: u64,
}

impl RelabelConfig {
    /// Checks the rule as Prometheus does when it loads its configuration.
    ///
    /// # Errors
    /// What Prometheus would refuse, in its words.
    pub fn validate(&self, scheme: ValidationScheme) -> Result<(), RelabelError> {
        self.compile(scheme).map(drop)
    }

    /// Checks the rule and makes it ready for use.
    ///
    /// # Errors
    /// What Prometheus would refuse, in its words.
    pub fn compile(&self, scheme: ValidationScheme) -> Result<RelabelRule, RelabelError> {
        let rule = self.with_defaults()?;
        let compiled = RelabelRule::new(&rule, scheme)?;
        self.check_target(&rule, scheme)?;
        self.check_keys(&rule, scheme)?;
        Ok(compiled)
    }

    fn with_defaults(&self) -> Result<Checked<'_>, RelabelError> {
        let source_labels = self.source_labels.as_deref().unwrap_or_default();
        // Source labels may be any UTF-8, whatever the scheme.
        if let Some(bad) = source_labels.iter().find(|name| name.is_empty()) {
            return Err(RelabelError::SourceLabel(bad.clone()));
        }
        Ok(Checked {
            action: self.action.as_deref().map_or(Ok(Action::Replace), Action::parse)?,
            source_labels,
            separator: self.separator.as_deref().unwrap_or(DEFAULT_SEPARATOR),
            regex: self.regex.as_deref().unwrap_or(DEFAULT_REGEX),
            target_label: self.target_label.as_deref().unwrap_or_default(),
            replacement: self.replacement.as_deref().unwrap_or(DEFAULT_REPLACEMENT),
            modulus: self.modulus.unwrap_or(0),
        })
    }

    fn check_target(&self, rule: &Checked<'_>, scheme: ValidationScheme) -> Result<(), RelabelError> {
        let Checked { action, target_label: target, .. } = *rule;
        if action == Action::HashMod && rule.modulus == 0 {
            return Err(RelabelError::Modulus);
        }
        let valid = match action {
            Action::Replace if target.contains('$') => is_valid_template(target, scheme),
            Action::Replace
            | Action::HashMod
            | Action::Lowercase
            | Action::Uppercase
            | Action::KeepEqual
            | Action::DropEqual => scheme.is_valid_label_name(target),
            Action::Keep | Action::Drop | Action::LabelMap | Action::LabelDrop | Action::LabelKeep => return Ok(()),
        };
        if target.is_empty() {
            return Err(RelabelError::NoTarget(action));
        }
        if !valid {
            return Err(RelabelError::Target { target: target.to_owned(), action });
        }
        Ok(())
    }

    fn check_keys(&self, rule: &Checked<'_>, scheme: ValidationScheme) -> Result<(), RelabelError> {
        let action = rule.action;
        let replacement_set = rule.replacement != DEFAULT_REPLACEMENT;
        let separator_set = rule.separator != DEFAULT_SEPARATOR;
        match action {
            Action::LabelMap if !is_valid_template(rule.replacement, scheme) => {
                Err(RelabelError::MapReplacement(rule.replacement.to_owned()))
            }
            Action::Lowercase | Action::Uppercase | Action::KeepEqual | Action::DropEqual if replacement_set => {
                Err(RelabelError::Replacement(action))
            }
            Action::KeepEqual | Action::DropEqual if self.regex.is_some() || separator_set || rule.modulus != 0 => {
                Err(RelabelError::OnlySourceAndTarget(action))
            }
            Action::LabelDrop | Action::LabelKeep
                if self.source_labels.is_some()
                    || !rule.target_label.is_empty()
                    || rule.modulus != 0
                    || separator_set
                    || replacement_set =>
            {
                Err(RelabelError::OnlyRegex(action))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a text that may refer to groups can make a label's name.
fn is_valid_template(template: &str, scheme: ValidationScheme) -> bool {
    static LEGACY: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"^(?-u:(?:[a-zA-Z_]|\$(?:\{\w+\}|\w+))+\w*)+$").ok());
    match scheme {
        ValidationScheme::Utf8 => !template.is_empty(),
        ValidationScheme::Legacy => LEGACY.as_ref().is_some_and(|legacy| legacy.is_match(template)),
    }
}

/// A text, also where the file has a number or a truth value, which to Prometheus are texts here; null is the empty
/// text.
fn scalar_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    struct Visitor;
    impl de::Visitor<'_> for Visitor {
        type Value = Option<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Some(text.to_owned()))
        }

        fn visit_string<E: de::Error>(self, text: String) -> Result<Self::Value, E> {
            Ok(Some(text))
        }

        fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
            Ok(Some(value.to_string()))
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
            Ok(Some(number.to_string()))
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
            Ok(Some(number.to_string()))
        }

        fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
            Ok(Some(number.to_string()))
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(Some(String::new()))
        }

        fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(Some(String::new()))
        }
    }
    deserializer.deserialize_any(Visitor)
}
