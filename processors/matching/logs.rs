//! What of a log record is compared.

use super::values::Texts;
use otlp::view::View;
use pipeline::AttributeValue;

/// The attributes' field of `LogRecord`.
pub(super) const ATTRIBUTES: u32 = 6;
const SEVERITY_NUMBER: u32 = 2;
const SEVERITY_TEXT: u32 = 3;
const BODY: u32 = 5;

#[derive(Debug, Default)]
pub(super) struct LogMatcher {
    /// Only bodies that are text match.
    pub(super) bodies: Option<Texts>,
    pub(super) severity_texts: Option<Texts>,
    pub(super) severity: Option<Severity>,
}

/// A least severity.
#[derive(Clone, Copy, Debug)]
pub(super) struct Severity {
    pub(super) min: u64,
    /// Whether records without one match.
    pub(super) match_undefined: bool,
}

impl LogMatcher {
    pub(super) fn looks_at_items(&self) -> bool {
        self.bodies.is_some() || self.severity_texts.is_some() || self.severity.is_some()
    }

    pub(super) fn matches(&self, record: &[u8]) -> bool {
        let view = View::of(record);
        let body = |bodies: &Texts| match view.message(BODY).value() {
            AttributeValue::Str(text) => bodies.matches(text),
            _ => false,
        };
        let severity = |wanted: Severity| match view.number(SEVERITY_NUMBER) {
            0 => wanted.match_undefined,
            number => number >= wanted.min,
        };
        self.bodies.as_ref().is_none_or(body)
            && self.severity_texts.as_ref().is_none_or(|texts| texts.matches(&view.text(SEVERITY_TEXT)))
            && self.severity.is_none_or(severity)
    }
}
