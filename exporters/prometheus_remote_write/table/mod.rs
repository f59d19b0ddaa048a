//! The series of a page in wire form, laid out to be read once through.
//!
//! A scrape brings the series of its page in order, again and again. What the encoder needs of them stands here
//! in that order: the encoded labels, one series after the other, and for each what of it already stands
//! in one of the series sent just before ([`matching`]). A label set is then written as a few references and
//! the bytes that are new ([`Trail`]): nothing is looked up, hashed or searched for a sample.

mod known;
mod matching;
mod ready;
mod run;
mod trail;

pub(super) use known::{TableKey, WireTables};
pub(super) use ready::ReadyTable;
pub(super) use run::Run;
pub(super) use trail::Trail;

use super::labels::{Untranslatable, WireOrigin, cut_points};
use matching::Matcher;
use pipeline::{Series, SeriesTable};
use std::sync::{Arc, Weak};

/// The series of one table, for origins whose labels have the same names.
#[derive(Debug)]
pub(super) struct WireTable {
    of: Weak<SeriesTable>,
    entries: Box<[Entry]>,
    /// Labels of all series, in wire form, without those of the origin.
    text: Box<[u8]>,
    steps: Box<[Step]>,
}

/// One series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Where its labels begin in the text.
    text: u32,
    /// Where its steps begin.
    steps: u32,
    len: u16,
    steps_len: u8,
    form: Form,
}

/// How samples of a series are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// By the steps of the table.
    Steps,
    /// The same; a histogram or summary that travels whole, of which no single sample can be stale.
    Whole,
    /// By itself, or not at all: see [`super::labels::LabelTables::labels`].
    Apart,
}

/// A piece of a label set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The next bytes of the series' own labels, as they are.
    Literal {
        /// Number of bytes.
        len: u16,
    },
    /// The next bytes of the series' own labels, which also stand in a series before it.
    Copy {
        /// How many places before it.
        back: u8,
        /// Number of the origin's labels before them there.
        labels: u8,
        /// Number of bytes of that series' own before them there.
        from: u16,
        /// Number of bytes.
        len: u16,
    },
    /// Labels of the origin.
    Origin {
        /// How many places before there is a series that has them in one piece; 0 if none.
        back: u8,
        /// The first of the labels.
        first: u8,
        /// One past the last.
        end: u8,
        /// Number of bytes of that series' own before them there.
        from: u16,
    },
}

impl WireTable {
    /// The wire form of `table` at origins like `origin`; `labels` appends the encoded labels of a series.
    fn new(
        table: &Arc<SeriesTable>,
        origin: &WireOrigin,
        matcher: &mut Matcher,
        mut labels: impl FnMut(&Arc<Series>, &mut Vec<u8>) -> Result<(), Untranslatable>,
    ) -> Self {
        let mut text = Vec::new();
        let mut entries = Vec::with_capacity(table.len());
        matcher.begin();
        let mut cuts = Vec::new();
        for series in table.as_slice() {
            let (start, steps) = (text.len(), matcher.steps.len());
            cuts.clear();
            let apart = labels(series, &mut text).is_err()
                || text.len() - start > usize::from(u16::MAX)
                || text.len() > u32::MAX as usize
                || !cut_points(text.get(start..).unwrap_or(&[]), origin, &mut cuts);
            if apart {
                text.truncate(start);
                cuts.clear();
            }
            matcher.add(&text, start, &cuts);
            let steps_len = u8::try_from(matcher.steps.len() - steps);
            let form = match steps_len {
                _ if apart => Form::Apart,
                Err(_) => Form::Apart,
                Ok(_) if super::whole::is_flat(series) => Form::Steps,
                Ok(_) => Form::Whole,
            };
            entries.push(Entry {
                text: start as u32,
                steps: steps as u32,
                len: (text.len() - start) as u16,
                steps_len: steps_len.unwrap_or(0),
                form,
            });
        }
        Self {
            of: Arc::downgrade(table),
            entries: entries.into(),
            text: text.into(),
            steps: matcher.steps.as_slice().into(),
        }
    }

    /// Whether anybody still sends series of this table.
    fn is_alive(&self) -> bool {
        self.of.strong_count() > 0
    }

    /// Number of series.
    fn len(&self) -> usize {
        self.entries.len()
    }

    /// The series at `index` of the table.
    #[inline]
    pub(super) fn entry(&self, index: u32) -> Option<&Entry> {
        self.entries.get(index as usize)
    }

    /// The encoded labels of the series at `index`, unless it stands apart.
    pub(super) fn labels(&self, index: u32) -> Option<&[u8]> {
        let entry = self.entry(index).filter(|entry| entry.form != Form::Apart)?;
        self.text_of(entry)
    }

    #[inline]
    fn text_of(&self, entry: &Entry) -> Option<&[u8]> {
        self.text.get(entry.text as usize..)?.get(..usize::from(entry.len))
    }

    #[inline]
    fn steps_of(&self, entry: &Entry) -> &[Step] {
        let (start, len) = (entry.steps as usize, usize::from(entry.steps_len));
        self.steps.get(start..).and_then(|steps| steps.get(..len)).unwrap_or(&[])
    }
}

impl Entry {
    /// How its samples are written.
    #[inline]
    pub(super) fn form(&self) -> Form {
        self.form
    }

    /// Length of its own labels in wire form.
    #[inline]
    pub(super) fn len(&self) -> usize {
        usize::from(self.len)
    }
}

#[cfg(test)]
mod tests;
