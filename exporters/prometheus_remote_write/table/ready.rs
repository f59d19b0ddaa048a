//! Label sets that stand ready as elements of a block.
//!
//! The references of a label set are distances to the label sets before it. They depend on how long those are, and so are the
//! same in each scrape, and for all origins whose labels have the same lengths. They are worked out when a table comes
//! for the second time, and from then on a label set is written by copying a dozen bytes: as long as the series before it,
//! of its class, have been written too, one after the other, which they are in steady state.

use super::super::labels::WireOrigin;
use super::super::sample::series_head;
use super::{Entry, Form, Step, WireTable};
use prometheus::remote_write::SnappyBlockWriter;
use prometheus::remote_write::snappy::{PADDING, Prepared, Preparing};

/// The series of a table, ready for origins whose labels have certain lengths.
#[derive(Debug)]
pub(crate) struct ReadyTable {
    entries: Box<[Option<Ready>]>,
    bytes: Box<[u8]>,
    /// Bytes of the samples between them.
    sample_len: usize,
    /// The most raw bytes and the most bytes of elements that one of them has.
    most: (usize, usize),
}

/// Tag, length and labels of a series, behind those of the series before it and its sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ready {
    pub(super) elements: Prepared,
    /// How many of the series just before it in its class must have been written.
    pub(super) reach: u8,
    /// Bytes of tag and length.
    pub(super) head_len: u8,
}

/// Positions in the imaginary block begin here: 0 stands for nothing.
const FIRST: usize = 1;

/// Where a series stands in the imaginary block.
#[derive(Clone, Copy, Debug)]
struct Place {
    head: usize,
    labels: usize,
    /// Its length as the head has it.
    len: usize,
}

impl ReadyTable {
    /// Works out the elements of all series of `table` at origins whose labels are as long as those of `origin`, with samples
    /// of `sample_len` bytes.
    pub(super) fn new(
        table: &WireTable,
        origin: &WireOrigin,
        sample_len: usize,
        scratch: &mut SnappyBlockWriter,
    ) -> Self {
        // There is an imaginary block for each class.
        let mut classes: Vec<(Vec<Place>, usize)> = vec![(Vec::new(), FIRST); table.classes.max(1)];
        let mut bytes = Vec::new();
        let mut entries = Vec::with_capacity(table.len());
        for entry in &table.entries {
            let Some((places, position)) = classes.get_mut(usize::from(entry.class)) else { continue };
            let len = entry.len() + origin.len() + sample_len;
            let (_, head_len) = series_head(len);
            let place = Place { head: *position, labels: *position + head_len, len };
            places.push(place);
            *position = place.labels + len;
            entries.push(if entry.form() == Form::Apart {
                None
            } else {
                ready(table, origin, entry, places, &mut bytes, scratch)
            });
        }
        bytes.extend_from_slice(&PADDING);
        let elements = || entries.iter().flatten().map(|ready| ready.elements);
        let most = (
            elements().map(|elements| elements.raw_len()).max().unwrap_or(0),
            elements().map(|elements| elements.len()).max().unwrap_or(0),
        );
        Self { entries: entries.into(), bytes: bytes.into(), sample_len, most }
    }

    /// What stands ready for the series at `index`, if `run` series were written one after the other just before it.
    #[inline]
    pub(super) fn get(&self, index: u32, run: u32) -> Option<&Ready> {
        let ready = self.entries.get(index as usize)?.as_ref()?;
        (u32::from(ready.reach) <= run).then_some(ready)
    }

    /// Whether samples have `sample_len` bytes, and no label set has `wide` bytes or more.
    #[inline]
    pub(super) fn serves(&self, sample_len: usize, wide: usize) -> bool {
        sample_len == self.sample_len && self.most.0 < wide
    }

    /// The most raw bytes and the most bytes of elements that stand ready for one series.
    #[inline]
    pub(super) fn most(&self) -> (usize, usize) {
        self.most
    }

    /// What the head of the series at `index` says: bytes of its labels and its sample.
    pub(super) fn message_len(&self, index: u32) -> u32 {
        let ready = self.entries.get(index as usize).and_then(Option::as_ref);
        let labels = ready.map_or(0, |ready| ready.elements.raw_len() - usize::from(ready.head_len));
        (labels + self.sample_len) as u32
    }

    /// Where the elements are.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The elements of `entry`, which is the last of `places`, those of its class.
fn ready(
    table: &WireTable,
    origin: &WireOrigin,
    entry: &Entry,
    places: &[Place],
    bytes: &mut Vec<u8>,
    scratch: &mut SnappyBlockWriter,
) -> Option<Ready> {
    let index = entry.place as usize;
    let (place, before) = (places.get(index)?, places.get(index.checked_sub(1)?)?);
    let labels_at = |back: u8| places.get(index.checked_sub(usize::from(back))?).map(|place| place.labels);
    let mut text = table.text_of(entry)?;
    let mut reach = 1;
    // The sample before repeats its timestamp from the one before that, which ends where the head before begins.
    let mut out = Preparing::new(scratch, place.head, before.head);
    let (head, head_len) = series_head(place.len);
    if before.len == place.len {
        out.copy(before.head, head_len);
    } else {
        out.copy(before.head, 1);
        out.literal(head.get(1..head_len)?);
    }
    for step in table.steps_of(entry) {
        match *step {
            Step::Literal { len } => {
                let (own, rest) = text.split_at_checked(usize::from(len))?;
                out.literal(own);
                text = rest;
            }
            Step::Copy { back, labels, from, len } => {
                text = text.get(usize::from(len)..)?;
                out.copy(labels_at(back)? + usize::from(from) + origin.end(labels), usize::from(len));
                reach = reach.max(back);
            }
            // These bytes differ from origin to origin.
            Step::Origin { back: 0, .. } => return None,
            Step::Origin { back, first, end, from } => {
                let at = labels_at(back)? + usize::from(from) + origin.end(first);
                out.copy(at, origin.labels(first, end).len());
                reach = reach.max(back);
            }
        }
    }
    Some(Ready { elements: out.finish(bytes)?, reach, head_len: head_len as u8 })
}
