//! What of a span is compared.

use super::values::Texts;
use otlp::view::View;

/// The attributes' field of `Span`.
pub(super) const ATTRIBUTES: u32 = 9;
const NAME: u32 = 5;
const KIND: u32 = 6;

/// The kinds of spans as the Collector writes them, by their numbers.
pub(super) const KINDS: [&str; 6] = [
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];

#[derive(Debug, Default)]
pub(super) struct SpanMatcher {
    pub(super) names: Option<Texts>,
    /// By the names of [`KINDS`].
    pub(super) kinds: Option<Texts>,
}

impl SpanMatcher {
    pub(super) fn looks_at_items(&self) -> bool {
        self.names.is_some() || self.kinds.is_some()
    }

    pub(super) fn matches(&self, span: &[u8]) -> bool {
        let view = View::of(span);
        let kind = || KINDS.get(usize::try_from(view.number(KIND)).unwrap_or(usize::MAX)).copied().unwrap_or_default();
        self.names.as_ref().is_none_or(|names| names.matches(&view.text(NAME)))
            && self.kinds.as_ref().is_none_or(|kinds| kinds.matches(kind()))
    }
}
