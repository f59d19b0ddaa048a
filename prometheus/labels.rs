//! Label sets: [`Labels`], sorted and immutable, and [`LabelsBuilder`], the working form that the parser fills and
//! relabelling changes.
//!
//! Both keep all text in one buffer. A builder that is reused does not allocate once it has grown to the size of
//! the largest label set it has seen, which matters when a million series appear at start-up.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;

use crate::names;
use crate::quote::push_quoted;

/// The label that holds the metric name.
pub const METRIC_NAME: &str = "__name__";
/// The label of a classic histogram bucket's upper bound.
pub const BUCKET_LABEL: &str = "le";
/// The label of a summary's quantile.
pub const QUANTILE_LABEL: &str = "quantile";

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Entry {
    name: Range<usize>,
    value: Range<usize>,
}

fn slice<'a>(text: &'a str, range: &Range<usize>) -> &'a str {
    text.get(range.clone()).unwrap_or_default()
}

/// A set of labels: sorted by name, names unique, values not empty (an empty value is the same as no label).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Labels {
    /// Names and values one after the other, in order, so that equal sets have equal buffers.
    text: Box<str>,
    entries: Box<[Entry]>,
}

impl Labels {
    /// The value of a label.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.entries.binary_search_by(|entry| slice(&self.text, &entry.name).cmp(name)).ok()?;
        self.entries.get(at).map(|entry| slice(&self.text, &entry.value))
    }

    /// How many labels there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no label.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Name and value of each label, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        self.entries.iter().map(|entry| (slice(&self.text, &entry.name), slice(&self.text, &entry.value)))
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut builder = LabelsBuilder::new();
        for (name, value) in pairs {
            builder.set(name.as_ref(), value.as_ref());
        }
        builder.build()
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    /// Label by label, name before value; a set that is the beginning of another comes first.
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl fmt::Display for Labels {
    /// `{a="x", b="y"}`, values quoted as Go does; names that are not valid in legacy form are quoted too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&display(self.iter()))
    }
}

/// `{a="x", b="y"}` for any sequence of labels, as Prometheus prints label sets.
#[must_use]
pub fn display<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::from("{");
    for (name, value) in labels {
        if out.len() > 1 {
            out.push_str(", ");
        }
        if names::is_valid_legacy_label_name(name) {
            out.push_str(name);
        } else {
            push_quoted(&mut out, name.as_bytes());
        }
        out.push('=');
        push_quoted(&mut out, value.as_bytes());
    }
    out.push('}');
    out
}

/// A label set under construction: sorted by name, names unique.
///
/// Unlike [`Labels`] it can hold a label with an empty value, put there by [`insert`](Self::insert): whether a
/// page exposed an empty label or none matters to `honor_labels`. Everything else treats the two alike.
#[derive(Clone, Debug, Default)]
pub struct LabelsBuilder {
    text: String,
    entries: Vec<Entry>,
    /// Whether a label with an empty value may be present.
    has_empty: bool,
    /// The name of a label that was exposed more than once.
    repeated: Option<Box<str>>,
    buffers: Buffers,
}

/// Memory for relabelling, kept with the builder so that it is reused.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffers {
    /// The joined values of source labels.
    pub(crate) source: String,
    /// The name of the label to be set.
    pub(crate) name: String,
    /// Its value.
    pub(crate) value: String,
}

impl Buffers {
    pub(crate) fn clear(&mut self) {
        self.source.clear();
        self.name.clear();
        self.value.clear();
    }
}

impl LabelsBuilder {
    /// An empty builder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets all labels and keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.entries.clear();
        self.has_empty = false;
        self.repeated = None;
    }

    /// Sets a label as a page exposes it: the last value stays, and that there was one before is remembered.
    pub fn expose(&mut self, name: &str, value: &str) {
        if self.position(name).is_ok() {
            self.repeated = Some(name.into());
        }
        self.insert(name, value);
    }

    /// The name of a label that was exposed more than once and is still there. A series with one is refused where it is
    /// stored, so that relabelling may help.
    #[must_use]
    pub fn repeated(&self) -> Option<&str> {
        self.repeated.as_deref().filter(|name| self.get(name).is_some())
    }

    /// Replaces all labels with those of `labels`.
    pub fn reset(&mut self, labels: &Labels) {
        self.clear();
        self.text.push_str(&labels.text);
        self.entries.extend_from_slice(&labels.entries);
    }

    /// How many labels there are, those with an empty value included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no label.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Name and value of each label, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        self.entries.iter().map(|entry| (slice(&self.text, &entry.name), slice(&self.text, &entry.value)))
    }

    /// The value of a label; `Some("")` for a label that was inserted empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.position(name).ok()?;
        self.entries.get(at).map(|entry| slice(&self.text, &entry.value))
    }

    /// Sets a label. An empty value removes it.
    pub fn set(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            self.del(name);
        } else {
            self.insert(name, value);
        }
    }

    /// Sets a label and keeps it even if its value is empty.
    pub fn insert(&mut self, name: &str, value: &str) {
        self.has_empty |= value.is_empty();
        match self.position(name) {
            Ok(at) => {
                let value = self.push(value);
                if let Some(entry) = self.entries.get_mut(at) {
                    entry.value = value;
                }
            }
            Err(at) => {
                let name = self.push(name);
                let value = self.push(value);
                self.entries.insert(at, Entry { name, value });
            }
        }
    }

    /// Removes a label; nothing happens if there is none of that name.
    pub fn del(&mut self, name: &str) {
        if let Ok(at) = self.position(name) {
            self.entries.remove(at);
        }
    }

    /// Keeps only the labels for which `keep` returns true.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        let text = &self.text;
        self.entries.retain(|entry| keep(slice(text, &entry.name), slice(text, &entry.value)));
    }

    /// Removes the labels that have an empty value.
    pub fn remove_empty(&mut self) {
        if self.has_empty {
            self.entries.retain(|entry| !entry.value.is_empty());
            self.has_empty = false;
        }
    }

    /// The labels as an immutable set, without those that have an empty value. The builder keeps its content.
    #[must_use]
    pub fn build(&self) -> Labels {
        let kept = self.entries.iter().filter(|entry| !entry.value.is_empty());
        let size = kept.clone().map(|entry| entry.name.len() + entry.value.len()).sum();
        let mut text = String::with_capacity(size);
        let mut entries = Vec::with_capacity(self.entries.len());
        for entry in kept {
            let start = text.len();
            text.push_str(slice(&self.text, &entry.name));
            let middle = text.len();
            text.push_str(slice(&self.text, &entry.value));
            entries.push(Entry { name: start..middle, value: middle..text.len() });
        }
        Labels { text: text.into_boxed_str(), entries: entries.into_boxed_slice() }
    }

    pub(crate) fn take_buffers(&mut self) -> Buffers {
        std::mem::take(&mut self.buffers)
    }

    pub(crate) fn put_buffers(&mut self, buffers: Buffers) {
        self.buffers = buffers;
    }

    fn push(&mut self, text: &str) -> Range<usize> {
        let start = self.text.len();
        self.text.push_str(text);
        start..self.text.len()
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        // Pages and targets mostly bring labels in order: look at the end first.
        if let Some(last) = self.entries.last()
            && slice(&self.text, &last.name) < name
        {
            return Err(self.entries.len());
        }
        self.entries.binary_search_by(|entry| slice(&self.text, &entry.name).cmp(name))
    }
}

impl fmt::Display for LabelsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&display(self.iter()))
    }
}

#[cfg(test)]
mod tests;
