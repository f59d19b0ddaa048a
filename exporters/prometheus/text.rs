//! Pieces of the text formats: labels and their escapes.

use std::fmt::{self, Write as _};

use prometheus::names::{EscapingScheme, is_valid_legacy_label_name, is_valid_legacy_metric_name};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::rules::LabelList;

/// Labels in text form, without braces.
#[derive(Clone, Debug, Default)]
pub(super) struct LabelText {
    /// `a="x",b="y"`, names in quotes where the traditional form does not allow them.
    pub(super) text: Box<str>,
    /// Sum of the hashes of all labels: equal for equal sets, however they are split over series and origin.
    pub(super) hash: u128,
    /// Hashes of the names.
    pub(super) names: Box<[u64]>,
    /// Whether a name is in quotes.
    pub(super) quoted: bool,
}

impl LabelText {
    pub(super) fn of(labels: &LabelList) -> Self {
        let mut out = Self::default();
        let mut text = String::new();
        let mut names = Vec::with_capacity(labels.len());
        for (name, value) in labels {
            push_label(&mut text, name, value);
            out.quoted |= !is_valid_legacy_label_name(name);
            out.hash = out.hash.wrapping_add(label_hash(name, value));
            names.push(xxh3_64(name.as_bytes()));
        }
        Self { text: text.into(), names: names.into(), ..out }
    }

    /// Whether both have a label of one name.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.names.iter().any(|name| other.names.contains(name))
    }
}

/// The hash of one label; sums of them identify sets.
pub(super) fn label_hash(name: &str, value: &str) -> u128 {
    let mut bytes = Vec::with_capacity(name.len() + value.len() + 1);
    bytes.extend_from_slice(name.as_bytes());
    // Never part of UTF-8.
    bytes.push(0xff);
    bytes.extend_from_slice(value.as_bytes());
    xxh3_128(&bytes)
}

/// Labels for readers who know the traditional names only.
pub(super) fn escaped(labels: &LabelList) -> String {
    let mut text = String::new();
    for (name, value) in labels {
        push_label(&mut text, &legacy(name), value);
    }
    text
}

/// A name in the traditional form.
pub(super) fn legacy(name: &str) -> String {
    // A colon is for metric names only, but is no harm to those who escape.
    EscapingScheme::Underscores.escape(name).replace(':', "_")
}

/// A metric's name in the traditional form.
pub(super) fn legacy_metric(name: &str) -> String {
    EscapingScheme::Underscores.escape(name)
}

/// Whether a metric's name has to be in quotes.
pub(super) fn is_quoted(name: &str) -> bool {
    !is_valid_legacy_metric_name(name)
}

fn push_label(out: &mut String, name: &str, value: &str) {
    if !out.is_empty() {
        out.push(',');
    }
    if is_valid_legacy_label_name(name) {
        out.push_str(name);
    } else {
        push_quoted(out, name);
    }
    out.push('=');
    push_quoted(out, value);
}

/// Appends text in quotes with the escapes of label values.
pub(super) fn push_quoted(out: &mut String, text: &str) {
    out.push('"');
    push_escaped(out, text, true);
    out.push('"');
}

/// Appends text with backslash and newline escaped, and quotes where `quotes` says so.
pub(super) fn push_escaped(out: &mut String, text: &str, quotes: bool) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            c => out.push(c),
        }
    }
}

/// Appends formatted text.
pub(super) fn put(out: &mut String, text: fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _infallible = out.write_fmt(text);
}
