//! From the raw text of a series to its labels.

use std::borrow::Cow;
use std::ops::Range;

use super::MetricKind;
use crate::labels::{BUCKET_LABEL, LabelsBuilder, METRIC_NAME, QUANTILE_LABEL};
use crate::number::{format_openmetrics_float, parse_label_float};
use crate::quote::push_quoted;

/// Where the name and the labels of a sample stand in the page. Kept from sample to sample for its memory.
#[derive(Clone, Debug, Default)]
pub(super) struct SeriesParts {
    name: Option<Range<usize>>,
    /// Name and value of each label, without quotes.
    labels: Vec<(Range<usize>, Range<usize>)>,
}

impl SeriesParts {
    #[inline]
    pub(super) fn begin(&mut self, name: Option<Range<usize>>) {
        self.name = name;
        self.labels.clear();
    }

    #[inline]
    pub(super) fn has_name(&self) -> bool {
        self.name.is_some()
    }

    /// Sets the metric's name; false if there is one.
    pub(super) fn set_name(&mut self, name: Range<usize>) -> bool {
        if self.name.is_some() {
            return false;
        }
        self.name = Some(name);
        true
    }

    #[inline]
    pub(super) fn push_label(&mut self, name: Range<usize>, value: Range<usize>) {
        self.labels.push((name, value));
    }

    /// Puts the labels into `labels`; an error text if a name is not UTF-8.
    pub(super) fn decode(&self, page: &[u8], kind: MetricKind, labels: &mut LabelsBuilder) -> Result<(), String> {
        labels.clear();
        let bytes = |range: &Range<usize>| page.get(range.clone()).unwrap_or_default();
        let text = |range: &Range<usize>| std::str::from_utf8(bytes(range)).map(|text| unescape(text, true));
        let Some(Ok(name)) = self.name.as_ref().map(text) else {
            return Err(self.invalid_names(page));
        };
        labels.insert(METRIC_NAME, &name);
        for (name, value) in &self.labels {
            let (Ok(name), Ok(value)) = (text(name), text(value)) else {
                return Err(self.invalid_names(page));
            };
            let is_bound = (kind == MetricKind::Histogram && name == BUCKET_LABEL)
                || (kind == MetricKind::Summary && name == QUANTILE_LABEL);
            match is_bound.then(|| parse_label_float(&value)).flatten() {
                Some(bound) => labels.expose(&name, &format_openmetrics_float(bound)),
                None => labels.expose(&name, &value),
            }
        }
        Ok(())
    }

    fn invalid_names(&self, page: &[u8]) -> String {
        let bytes = |range: &Range<usize>| page.get(range.clone()).unwrap_or_default();
        let mut out = String::from("invalid metric name or label names: {__name__=");
        push_quoted(&mut out, self.name.as_ref().map(bytes).unwrap_or_default());
        for (name, value) in &self.labels {
            out.push_str(", ");
            push_quoted(&mut out, bytes(name));
            out.push('=');
            push_quoted(&mut out, bytes(value));
        }
        out.push('}');
        out
    }
}

/// Resolves `\\` and `\n`, and `\"` if `quotes`; any other backslash stays.
pub(super) fn unescape(text: &str, quotes: bool) -> Cow<'_, str> {
    let Some(first) = memchr::memchr(b'\\', text.as_bytes()) else {
        return Cow::Borrowed(text);
    };
    let (clean, escaped) = text.split_at(first);
    let mut out = String::with_capacity(text.len());
    out.push_str(clean);
    let mut chars = escaped.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.clone().next() {
            Some('\\') => out.push('\\'),
            Some('n') => out.push('\n'),
            Some('"') if quotes => out.push('"'),
            _ => {
                out.push('\\');
                continue;
            }
        }
        chars.next();
    }
    Cow::Owned(out)
}

/// A name without the quotes around it, if it has any.
pub(super) fn unquote(name: &[u8]) -> &[u8] {
    name.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\"")).unwrap_or(name)
}

/// A family's name as text, escapes resolved.
pub(super) fn lossy(name: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(name) {
        Ok(name) => unescape(name, true),
        Err(_) => Cow::Owned(unescape(&String::from_utf8_lossy(name), true).into_owned()),
    }
}

/// The labels of `{name="value",...}`, which the parser has checked.
pub(super) fn exemplar_labels(raw: &[u8], labels: &mut LabelsBuilder) {
    labels.clear();
    let mut rest = raw.get(1..).unwrap_or_default();
    loop {
        rest = rest.strip_prefix(b",").unwrap_or(rest);
        let (name, after) = match rest.first() {
            Some(b'"') => quoted_text(rest),
            _ => {
                let end = memchr::memchr(b'=', rest).unwrap_or(rest.len());
                rest.split_at(end)
            }
        };
        let Some(after) = after.strip_prefix(b"=") else { return };
        let (value, after) = quoted_text(after);
        labels.insert(&String::from_utf8_lossy(name), &String::from_utf8_lossy(value));
        rest = after;
    }
}

/// The inside of a quoted text, and what follows it.
fn quoted_text(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut at = 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => break,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    let at = at.min(bytes.len());
    (bytes.get(1..at).unwrap_or_default(), bytes.get(at + 1..).unwrap_or_default())
}
