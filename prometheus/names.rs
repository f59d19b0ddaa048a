//! Metric and label names: which are valid, and how invalid ones are escaped for readers that need legacy names.

use std::fmt::{self, Write};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::quote::quoted;

/// Which names are allowed (`metric_name_validation_scheme`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum ValidationScheme {
    /// Any text that is not empty.
    #[default]
    Utf8,
    /// `[a-zA-Z_:][a-zA-Z0-9_:]*` for metrics, the same without colons for labels.
    Legacy,
}

impl ValidationScheme {
    /// Whether `name` may be a metric's name.
    #[must_use]
    pub fn is_valid_metric_name(self, name: &str) -> bool {
        match self {
            Self::Utf8 => !name.is_empty(),
            Self::Legacy => is_valid_legacy_metric_name(name),
        }
    }

    /// Whether `name` may be a label's name.
    #[must_use]
    pub fn is_valid_label_name(self, name: &str) -> bool {
        match self {
            Self::Utf8 => !name.is_empty(),
            Self::Legacy => is_valid_legacy_label_name(name),
        }
    }

    /// The scheme as configuration files name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Utf8 => "utf8",
            Self::Legacy => "legacy",
        }
    }
}

/// A scheme's name that is not known. The texts are Prometheus' own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemeError {
    /// Not a validation scheme.
    #[error("unrecognized ValidationScheme: {}", quoted(.0.as_bytes()))]
    Validation(String),
    /// Not an escaping scheme.
    #[error("unknown format scheme {0}")]
    Escaping(String),
}

impl FromStr for ValidationScheme {
    type Err = SchemeError;

    fn from_str(name: &str) -> Result<Self, SchemeError> {
        match name {
            "utf8" => Ok(Self::Utf8),
            "legacy" => Ok(Self::Legacy),
            _ => Err(SchemeError::Validation(name.to_owned())),
        }
    }
}

impl TryFrom<String> for ValidationScheme {
    type Error = SchemeError;

    fn try_from(name: String) -> Result<Self, SchemeError> {
        name.parse()
    }
}

impl From<ValidationScheme> for &'static str {
    fn from(scheme: ValidationScheme) -> Self {
        scheme.as_str()
    }
}

impl fmt::Display for ValidationScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How names that are not valid in legacy form are written for those who need it (`metric_name_escaping_scheme`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum EscapingScheme {
    /// Names stay as they are.
    #[default]
    AllowUtf8,
    /// Each invalid character becomes `_`.
    Underscores,
    /// `.` becomes `_dot_`, `_` becomes `__`, every other invalid character `__`.
    Dots,
    /// A name that is invalid gets the prefix `U__`, its invalid characters become `_<hex>_` and `_` becomes `__`.
    Values,
}

impl EscapingScheme {
    /// The scheme as configuration files and `Accept` headers name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllowUtf8 => "allow-utf-8",
            Self::Underscores => "underscores",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }

    /// `name`, escaped. An empty name stays empty.
    #[must_use]
    pub fn escape(self, name: &str) -> String {
        let mut out = String::with_capacity(name.len());
        match self {
            Self::AllowUtf8 => out.push_str(name),
            Self::Underscores => {
                for (at, c) in name.char_indices() {
                    out.push(if is_legacy_char(c, at == 0) { c } else { '_' });
                }
            }
            Self::Dots => {
                for (at, c) in name.char_indices() {
                    match c {
                        '_' => out.push_str("__"),
                        '.' => out.push_str("_dot_"),
                        _ if is_legacy_char(c, at == 0) => out.push(c),
                        _ => out.push_str("__"),
                    }
                }
            }
            Self::Values if name.is_empty() || is_valid_legacy_metric_name(name) => out.push_str(name),
            Self::Values => {
                out.push_str("U__");
                for (at, c) in name.char_indices() {
                    match c {
                        '_' => out.push_str("__"),
                        _ if is_legacy_char(c, at == 0) => out.push(c),
                        _ => {
                            let written = write!(out, "_{:x}_", u32::from(c));
                            debug_assert!(written.is_ok(), "writing to a string does not fail");
                        }
                    }
                }
            }
        }
        out
    }
}

impl FromStr for EscapingScheme {
    type Err = SchemeError;

    fn from_str(name: &str) -> Result<Self, SchemeError> {
        match name {
            "allow-utf-8" => Ok(Self::AllowUtf8),
            "underscores" => Ok(Self::Underscores),
            "dots" => Ok(Self::Dots),
            "values" => Ok(Self::Values),
            _ => Err(SchemeError::Escaping(name.to_owned())),
        }
    }
}

impl TryFrom<String> for EscapingScheme {
    type Error = SchemeError;

    fn try_from(name: String) -> Result<Self, SchemeError> {
        name.parse()
    }
}

impl From<EscapingScheme> for &'static str {
    fn from(scheme: EscapingScheme) -> Self {
        scheme.as_str()
    }
}

impl fmt::Display for EscapingScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether `name` matches `[a-zA-Z_:][a-zA-Z0-9_:]*`.
#[must_use]
pub fn is_valid_legacy_metric_name(name: &str) -> bool {
    !name.is_empty() && name.char_indices().all(|(at, c)| is_legacy_char(c, at == 0))
}

/// Whether `name` matches `[a-zA-Z_][a-zA-Z0-9_]*`.
#[must_use]
pub fn is_valid_legacy_label_name(name: &str) -> bool {
    is_valid_legacy_metric_name(name) && !name.contains(':')
}

/// `text` made fit to be part of a label's name: every character outside `[a-zA-Z0-9_]` becomes `_`. Service
/// discovery builds the names of its meta labels so. The result may begin with a digit.
#[must_use]
pub fn sanitize_label_part(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

fn is_legacy_char(c: char, first: bool) -> bool {
    c.is_ascii_alphabetic() || c == '_' || c == ':' || (!first && c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::{EscapingScheme, ValidationScheme, sanitize_label_part};
    use crate::vectors;

    #[test]
    fn vectors_of_names() {
        for row in vectors::rows("vectors/prom_misc_vectors.json", "names") {
            let name = vectors::text(&row, "name");
            let verdict = |key: &str| row[key].as_bool();
            assert_eq!(Some(ValidationScheme::Legacy.is_valid_metric_name(name)), verdict("metric_legacy"), "{row}");
            assert_eq!(Some(ValidationScheme::Utf8.is_valid_metric_name(name)), verdict("metric_utf8"), "{row}");
            assert_eq!(Some(ValidationScheme::Legacy.is_valid_label_name(name)), verdict("label_legacy"), "{row}");
            assert_eq!(Some(ValidationScheme::Utf8.is_valid_label_name(name)), verdict("label_utf8"), "{row}");
            assert_eq!(EscapingScheme::Underscores.escape(name), vectors::text(&row, "esc_underscores"), "{row}");
            assert_eq!(EscapingScheme::Dots.escape(name), vectors::text(&row, "esc_dots"), "{row}");
            assert_eq!(EscapingScheme::Values.escape(name), vectors::text(&row, "esc_values"), "{row}");
            assert_eq!(sanitize_label_part(name), vectors::text(&row, "sd_sanitize"), "{row}");
        }
    }

    #[test]
    fn schemes_are_read_by_name() {
        assert_eq!("legacy".parse(), Ok(ValidationScheme::Legacy));
        let error = "UTF8".parse::<ValidationScheme>().map_err(|error| error.to_string());
        assert_eq!(error, Err("unrecognized ValidationScheme: \"UTF8\"".to_owned()));
        assert_eq!("allow-utf-8".parse(), Ok(EscapingScheme::AllowUtf8));
    }
}
