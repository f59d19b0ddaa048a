//! The series of a page in wire form, laid out to be read once through.
//!
//! A scrape brings the series of its page in order, again and again. What the encoder needs of them stands here
//! in that order: the encoded labels, one series after the other, and for each what of it already stands
//! in one of the series sent just before ([`matching`]). A label set is then written as a few references and
//! the bytes that are new ([`Trail`]): nothing is looked up, hashed or searched for a sample.
//!
//! Series are spread over shards, by classes ([`super::spread`]). What is sent just before a series are the series before it that
//! are of its class, so there are as many sequences as classes, each of which refers to itself only.

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
use super::spread::{class_of, kin_of};
use matching::{Matcher, REACH};
use pipeline::{Point, Series, SeriesTable};
use std::sync::{Arc, Weak};

/// The series of one table, for origins whose labels have the same names.
#[derive(Debug)]
pub(super) struct WireTable {
    of: Weak<SeriesTable>,
    entries: Box<[Entry]>,
    /// Labels of all series, in wire form, without those of the origin.
    text: Box<[u8]>,
    steps: Box<[Step]>,
    /// Of how many classes its series are.
    classes: usize,
}

/// One series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Where its labels begin in the text.
    text: u32,
    /// Where its steps begin.
    steps: u32,
    /// How many series of its class are before it.
    place: u32,
    len: u16,
    steps_len: u8,
    class: u8,
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
        /// How many places before it, in its class.
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

/// Where a label set stands in the text, and where its cuts are.
struct Stand {
    text: (usize, usize),
    cuts: (usize, usize),
    apart: bool,
}

impl WireTable {
    /// The wire form of `table`, whose series are of so many classes, at origins like `origin`; `labels` appends the encoded
    /// labels of a series.
    fn new(
        table: &Arc<SeriesTable>,
        origin: &WireOrigin,
        classes: usize,
        matcher: &mut Matcher,
        mut labels: impl FnMut(&Arc<Series>, &mut Vec<u8>) -> Result<(), Untranslatable>,
    ) -> Self {
        let (mut text, mut all_cuts, mut cuts) = (Vec::new(), Vec::new(), Vec::new());
        let mut stands = Vec::with_capacity(table.len());
        for series in table.as_slice() {
            let start = text.len();
            cuts.clear();
            let apart = labels(series, &mut text).is_err()
                || text.len() - start > usize::from(u16::MAX)
                || text.len() > u32::MAX as usize
                || !cut_points(text.get(start..).unwrap_or(&[]), origin, &mut cuts);
            if apart {
                text.truncate(start);
                cuts.clear();
            }
            let cuts_at = all_cuts.len();
            all_cuts.extend_from_slice(&cuts);
            stands.push(Stand { text: (start, text.len()), cuts: (cuts_at, all_cuts.len()), apart });
        }
        let mut entries: Vec<Entry> = (table.as_slice().iter().zip(&stands))
            .map(|(series, stand)| Entry {
                text: stand.text.0 as u32,
                steps: 0,
                place: 0,
                len: (stand.text.1 - stand.text.0) as u16,
                steps_len: 0,
                class: if classes < 2 { 0 } else { class_of(kin_of(series), classes) },
                form: match stand.apart {
                    true => Form::Apart,
                    false if super::whole::is_flat(series) => Form::Steps,
                    false => Form::Whole,
                },
            })
            .collect();
        matcher.begin();
        for members in by_class(&entries, classes) {
            matcher.part();
            for (place, index) in members.iter().enumerate() {
                let (Some(entry), Some(stand)) = (entries.get_mut(*index as usize), stands.get(*index as usize)) else {
                    continue;
                };
                let steps = matcher.steps.len();
                matcher.add(&text, stand.text, all_cuts.get(stand.cuts.0..stand.cuts.1).unwrap_or(&[]));
                (entry.steps, entry.place) = (steps as u32, place as u32);
                match u8::try_from(matcher.steps.len() - steps) {
                    Ok(len) => entry.steps_len = len,
                    Err(_) => entry.form = Form::Apart,
                }
            }
        }
        Self {
            of: Arc::downgrade(table),
            entries: entries.into(),
            text: text.into(),
            steps: matcher.steps.as_slice().into(),
            classes,
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

    /// Those of `points` that come before one of another class, some dozens at most where there are several, and the series of
    /// the first.
    #[inline]
    pub(super) fn of_a_class<'a>(&self, points: &'a [Point]) -> Option<(&Entry, &'a [Point])> {
        let first = self.entry(points.first()?.series)?;
        if self.classes < 2 {
            return Some((first, points));
        }
        let is_of = |point: &&Point| self.entry(point.series).is_some_and(|entry| entry.class == first.class);
        let number = points.iter().take(REACH).take_while(is_of).count();
        Some((first, points.get(..number)?))
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

    /// Its class, which decides about its shard.
    #[inline]
    pub(super) fn class(&self) -> u8 {
        self.class
    }

    /// Length of its own labels in wire form.
    #[inline]
    pub(super) fn len(&self) -> usize {
        usize::from(self.len)
    }
}

/// The indices of each class, in the order of the table.
fn by_class(entries: &[Entry], classes: usize) -> Vec<Vec<u32>> {
    let mut members = vec![Vec::new(); classes.max(1)];
    for (index, entry) in entries.iter().enumerate() {
        if let Some(members) = members.get_mut(usize::from(entry.class)) {
            members.push(index as u32);
        }
    }
    members
}

#[cfg(test)]
mod tests;
