//! Texts, attributes and scopes compared with what was configured.

use crate::actions::{Owned, same};
use pipeline::AttributeValue;
use prometheus::translate::attribute_text;
use regex::Regex;

/// Some texts, of which one has to match.
#[derive(Debug)]
pub(crate) enum Texts {
    Strict(Box<[String]>),
    Regexp(Box<[Regex]>),
}

impl Texts {
    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Strict(texts) => texts.iter().any(|wanted| wanted == text),
            Self::Regexp(patterns) => patterns.iter().any(|pattern| pattern.is_match(text)),
        }
    }
}

/// An attribute that has to be there.
#[derive(Debug)]
pub(super) struct AttributeMatcher {
    pub(super) key: String,
    pub(super) value: Wanted,
}

/// What its value has to be.
#[derive(Debug)]
pub(super) enum Wanted {
    Anything,
    /// This, of the same type.
    Strict(Owned),
    /// Its text has to match.
    Regexp(Regex),
}

impl AttributeMatcher {
    pub(super) fn matches(&self, value: Option<AttributeValue<'_>>) -> bool {
        match (&self.value, value) {
            (_, None) => false,
            (Wanted::Anything, Some(_)) => true,
            (Wanted::Strict(wanted), Some(value)) => same(wanted.as_value(), value),
            (Wanted::Regexp(pattern), Some(value)) => pattern.is_match(&attribute_text(value)),
        }
    }
}

/// An instrumentation scope, called a library in configurations.
#[derive(Debug)]
pub(super) struct ScopeMatcher {
    pub(super) name: Texts,
    /// Any if it was not given.
    pub(super) version: Option<Texts>,
}

impl ScopeMatcher {
    pub(super) fn matches(&self, name: &str, version: &str) -> bool {
        self.name.matches(name) && self.version.as_ref().is_none_or(|wanted| wanted.matches(version))
    }
}
