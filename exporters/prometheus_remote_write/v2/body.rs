//! A request of version 2.0 that is being filled.

mod message;

pub(crate) use message::Message;

use super::super::sample::Timestamp;
use super::numbers::Numbers;
use super::pieces::{Origin, Spelled, StartField, zero_bytes};
use super::tables::{Group, RefMetadata, SymbolTables};
use prometheus::remote_write::wire::MetricType;
use prometheus::remote_write::wire::encode::{put_varint, varint_len};
use prometheus::remote_write::wire::v2::put_metadata;
use prometheus::remote_write::{SnappyBlockWriter, SnappyError};
use std::ops::Range;

/// Symbols and series of a request, each compressed as they come.
#[derive(Debug, Default)]
pub(crate) struct Body {
    numbers: Numbers,
    series: SnappyBlockWriter,
    /// Requests so far: what was remembered for another one does not count.
    request: u32,
    /// Series of this request, by a hash of what they are.
    seen: Vec<Seen>,
    /// What is remembered of them: where the origin's references go, their own references, their metadata.
    text: Vec<u8>,
    origin: Origin,
    met: Met,
    /// The last series that was not written by a reference to itself.
    spelled: Spelled,
    last: Last,
    scratch: Vec<u8>,
    start: StartField,
}

/// How many series a shard remembers while it fills a request: about as many as it holds, and 200 KiB at most. What does not
/// find a place is only spelled out again.
const SEEN: usize = 4096;

/// Not in the block.
const NOWHERE: u32 = u32::MAX;

/// Tag, length and tag in front of a value.
const VALUE_AT: usize = 3;

/// A series in this request.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    request: u32,
    table: u32,
    index: u32,
    /// Where its remembered text is: a byte for each cut, then its references, then its metadata.
    text: u32,
    references: u16,
    cuts: u8,
    metadata: u8,
    /// Where it was written last.
    at: u32,
    /// With which origin's references, how long they were, and how long it was in all.
    origin: u32,
    shape: u32,
    len: u32,
    bits: u64,
}

/// The end of the series that was written last.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    /// Where its timestamps are; 0 if there is none.
    at: u32,
    millis: i64,
    start_ms: i64,
    len: u32,
    metadata: Option<RefMetadata>,
}

/// The series that was met last: of those of a page, one has most of its strings in common with the one before.
#[derive(Debug, Default)]
struct Met {
    /// Ids and numbers of its strings.
    references: Vec<(u32, u32)>,
    metadata: Option<RefMetadata>,
    /// Where its metadata is in the remembered text.
    about: Range<usize>,
}

impl Body {
    pub(crate) fn raw_len(&self) -> usize {
        self.series.raw_len() + self.numbers.writer.raw_len()
    }

    pub(crate) fn compressed_len_bound(&self) -> usize {
        self.series.compressed_len_bound() + self.numbers.writer.compressed_len_bound()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Appends the finished request to `out` and begins the next.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), SnappyError> {
        let result = SnappyBlockWriter::finish_all([&mut self.numbers.writer, &mut self.series], out);
        self.numbers.clear();
        self.text.clear();
        self.spelled.at = None;
        self.last = Last::default();
        self.met.references.clear();
        self.met.metadata = None;
        self.origin.clear();
        self.request = self.request.wrapping_add(1);
        if self.request == 0 {
            // Once around: nothing may be taken for something of the first request.
            self.seen.clear();
        }
        result
    }

    /// Writes a time series with one sample: the series at `index` of the group's table.
    #[inline]
    pub(crate) fn write(
        &mut self,
        tables: &SymbolTables,
        group: &Group,
        index: u32,
        value: f64,
        time: &Timestamp,
        start_ms: i64,
    ) {
        if self.origin.number != group.origin.number {
            self.origin.enter(&mut self.numbers, &tables.interned, &group.origin);
        }
        if self.seen.is_empty() {
            // No request has this number yet.
            self.seen = vec![Seen { request: self.request.wrapping_sub(1), ..Seen::default() }; SEEN];
        }
        let place = (group.table.number.wrapping_mul(0x9e37_79b1).wrapping_add(index) as usize) % SEEN;
        let Some(&known) = self.seen.get(place) else { return };
        let same = known.request == self.request && known.table == group.table.number && known.index == index;
        let mut seen = if same { known } else { self.meet(tables, group, index) };
        self.start.set(start_ms);
        self.emit(&mut seen, group.table.entries.get(index as usize).and_then(|e| e.metadata), value, time);
        if let Some(place) = self.seen.get_mut(place) {
            *place = seen;
        }
    }

    /// Encodes the references of a series that is new to this request.
    #[inline(never)]
    fn meet(&mut self, tables: &SymbolTables, group: &Group, index: u32) -> Seen {
        let text = self.text.len();
        let mut seen = Seen {
            request: self.request,
            table: group.table.number,
            index,
            text: text as u32,
            at: NOWHERE,
            ..Seen::default()
        };
        let Some(entry) = group.table.entries.get(index as usize) else { return seen };
        let (ids, cuts) = (group.table.ids(entry), group.table.cuts(entry));
        seen.cuts = cuts.len() as u8;
        self.text.resize(text + CUT_LEN * cuts.len(), 0);
        let start = self.text.len();
        let mut cuts = cuts.iter().enumerate().peekable();
        for label in 0..=ids.len() / 2 {
            while let Some((number, (_, through))) = cuts.next_if(|(_, (at, _))| usize::from(*at) == label) {
                let [low, high] = ((self.text.len() - start) as u16).to_le_bytes();
                if let Some(place) = self.text.get_mut(text + CUT_LEN * number..text + CUT_LEN * (number + 1)) {
                    place.copy_from_slice(&[low, high, *through]);
                }
            }
            for (place, id) in (2 * label..).zip(ids.get(2 * label..2 * label + 2).unwrap_or(&[])) {
                let number = match self.met.references.get(place) {
                    Some((known, number)) if known == id => *number,
                    _ => {
                        let number = self.numbers.of(&tables.interned, *id);
                        self.met.note(place, *id, number);
                        number
                    }
                };
                put_varint(&mut self.text, number.into());
            }
        }
        seen.references = (self.text.len() - start) as u16;
        if entry.metadata.is_some() && entry.metadata == self.met.metadata {
            let start = self.text.len();
            self.text.extend_from_within(self.met.about.clone());
            seen.metadata = (self.text.len() - start) as u8;
        } else if let Some(metadata) = entry.metadata {
            let start = self.text.len();
            let help = self.numbers.of(&tables.interned, metadata.help);
            let unit = self.numbers.of(&tables.interned, metadata.unit);
            put_metadata(&mut self.text, MetricType::from_number(metadata.kind.into()), help, unit);
            seen.metadata = (self.text.len() - start) as u8;
            self.met.metadata = entry.metadata;
            self.met.about = start..self.text.len();
        }
        seen
    }

    /// Writes a series whose references are known.
    #[inline]
    fn emit(&mut self, seen: &mut Seen, metadata: Option<RefMetadata>, value: f64, time: &Timestamp) {
        let Self { series, text, origin, spelled, last, scratch, start, .. } = self;
        let text = text.get(seen.text as usize..).unwrap_or(&[]);
        let (cuts, text) = text.split_at_checked(CUT_LEN * usize::from(seen.cuts)).unwrap_or((&[], &[]));
        let (own, text) = text.split_at_checked(usize::from(seen.references)).unwrap_or((&[], &[]));
        let about = text.get(..usize::from(seen.metadata)).unwrap_or(&[]);
        let references = own.len() + origin.text.len();
        let (stamp, begun) = (time.stamp(), start.bytes());
        let sample = 9 + stamp.len() + begun.len();
        let len = field_len(references) + field_len(sample) + about.len();
        let (head, head_len) = head(len, references);
        let head = head.get(..head_len).unwrap_or(&[]);
        let bits = value.to_bits();
        let bytes = bits.to_le_bytes();
        let mut out = series.elements();
        let at = out.position() as u32;

        // Where the end of the same series stands, if it was written before.
        let mut end = None;
        if seen.at != NOWHERE && seen.shape == origin.shape && seen.len == len as u32 {
            let mut from = seen.at as usize;
            out.copy(from, head.len());
            from += head.len();
            let (mut done, mut label) = (0, 0);
            for (until, through) in cuts.chunks_exact(CUT_LEN).map(read_cut) {
                out.copy(from, until - done);
                from += until - done;
                origin.put(&mut out, (label, through), seen.origin, from);
                from += origin.labels(label, through).len();
                (done, label) = (until, through);
            }
            out.copy(from, own.len() - done);
            from += own.len() - done;
            let zeros = zero_bytes(bits).min(zero_bytes(seen.bits));
            out.copy(from, VALUE_AT + zeros);
            out.literal(bytes.get(zeros..).unwrap_or(&[]));
            end = Some(from + VALUE_AT + 8);
        } else {
            scratch.clear();
            scratch.extend_from_slice(head);
            let (mut done, mut label) = (0, 0);
            for (until, through) in cuts.chunks_exact(CUT_LEN).map(read_cut) {
                scratch.extend_from_slice(own.get(done..until).unwrap_or(&[]));
                scratch.extend_from_slice(origin.labels(label, through));
                (done, label) = (until, through);
            }
            scratch.extend_from_slice(own.get(done..).unwrap_or(&[]));
            scratch.extend_from_slice(&[0x12, sample as u8, 0x09]);
            spelled.put(&mut out, scratch, bits);
            spelled.at = Some(at);
            spelled.bits = bits;
            std::mem::swap(&mut spelled.bytes, scratch);
        }
        *seen = Seen { at, origin: origin.number, shape: origin.shape, len: len as u32, bits, ..*seen };

        let times = stamp.len() + begun.len();
        let times_at = out.position() as u32;
        if last.at > 0 && (last.millis, last.start_ms) == (time.millis, start.millis) {
            out.copy(last.at as usize, times);
        } else {
            out.literal(stamp);
            out.literal(begun);
        }
        if last.at > 0 && last.metadata == metadata {
            out.copy((last.at + last.len) as usize, about.len());
        } else if let Some(end) = end {
            out.copy(end + times, about.len());
        } else {
            out.literal(about);
        }
        *last = Last { at: times_at, millis: time.millis, start_ms: start.millis, len: times as u32, metadata };
    }
}

impl Met {
    /// Takes note of the string at this place.
    #[inline]
    fn note(&mut self, place: usize, id: u32, number: u32) {
        match self.references.get_mut(place) {
            Some(known) => *known = (id, number),
            // Places are met one after the other.
            None => self.references.push((id, number)),
        }
    }
}

/// The size of a length-delimited field of `len` bytes with a short tag.
#[inline]
fn field_len(len: usize) -> usize {
    1 + varint_len(len as u64) + len
}

/// Tag and length of a time series of `len` bytes, tag and length of its references, and how many bytes that is.
#[inline]
fn head(len: usize, references: usize) -> ([u8; HEAD_MAX], usize) {
    let mut head = [0; HEAD_MAX];
    let mut at = 0;
    for (tag, mut rest) in [(0x2a, len), (0x0a, references)] {
        let mut put = |byte: u8| {
            if let Some(place) = head.get_mut(at) {
                *place = byte;
                at += 1;
            }
        };
        put(tag);
        while rest >= 0x80 {
            put((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        put(rest as u8);
    }
    (head, at)
}

/// Two tags and two lengths of up to five bytes.
const HEAD_MAX: usize = 12;

/// A cut as it is remembered: after how many bytes of references, and how many labels of the origin are through.
const CUT_LEN: usize = 3;

#[inline]
fn read_cut(bytes: &[u8]) -> (usize, u8) {
    match bytes {
        [low, high, through] => (usize::from(u16::from_le_bytes([*low, *high])), *through),
        _ => (0, 0),
    }
}
