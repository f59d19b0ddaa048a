//! A request of version 2.0 that is being filled.

mod follow;
mod last;
mod message;

pub(crate) use message::Message;

use super::super::sample::{Timestamp, sent_value};
use super::numbers::Numbers;
use super::pieces::{About, Origin, StartField};
use super::tables::{Group, RefEntry, Start, SymbolTables};
use last::{End, Head, Last, Seen, Spot};
use pipeline::{Point, Value};
use prometheus::remote_write::wire::encode::put_varint;
use prometheus::remote_write::{SnappyBlockWriter, SnappyError};

/// Symbols and series of a request, each compressed as they come.
#[derive(Debug, Default)]
pub(crate) struct Body {
    numbers: Numbers,
    series: SnappyBlockWriter,
    /// Requests so far: what was remembered for another one does not count.
    request: u32,
    /// Where series stand in this request, by a hash of what they are.
    seen: Vec<Seen>,
    origin: Origin,
    about: About,
    start: StartField,
    last: Last,
    /// References of a series, and where its own stand among them.
    scratch: (Vec<u8>, Vec<Spot>),
}

/// How many series a shard remembers while it fills a request: about as many as pages have, and 96 KiB. What does not
/// find a place is only written with a few bytes more.
const SEEN: usize = 4096;

/// Shorter repetitions are not worth an element of their own.
const SHORTEST: usize = 4;

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
        self.origin.clear();
        self.about.clear();
        self.last.clear();
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
        let Some(entry) = group.table.entries.get(index as usize) else { return };
        self.start.set(start_ms);
        self.put(tables, group, (index, entry), value, time);
    }

    /// Writes the first of `points`, as long as they are single numbers at `time` and the request is not full, which it is
    /// with so many bytes before compression or after; says how many. None of the table's series is to be wider than the
    /// store takes.
    #[inline(never)]
    pub(crate) fn write_run(
        &mut self,
        (tables, group): (&SymbolTables, &Group),
        points: &[Point],
        (time, start): (&Timestamp, &mut Start),
        (raw_bytes, packed_bytes): (usize, usize),
    ) -> usize {
        let mut written = 0;
        let mut symbols =
            (self.numbers.count(), self.numbers.writer.raw_len(), self.numbers.writer.compressed_len_bound());
        for point in points {
            let value = match &point.value {
                Value::Float(value) => *value,
                Value::Int(value) => *value as f64,
                _ => break,
            };
            let Some(entry) = group.table.entries.get(point.series as usize) else { break };
            if point.time != time.nanos || entry.is_apart() {
                break;
            }
            self.start.set(group.start_ms(start, point, time));
            self.put(tables, group, (point.series, entry), sent_value(value), time);
            written += 1;
            if symbols.0 != self.numbers.count() {
                let writer = &self.numbers.writer;
                symbols = (self.numbers.count(), writer.raw_len(), writer.compressed_len_bound());
            }
            let (raw, packed) = (self.series.raw_len(), self.series.compressed_len_bound());
            if raw + symbols.1 >= raw_bytes || packed + symbols.2 >= packed_bytes {
                break;
            }
        }
        written
    }

    #[inline(always)]
    fn put(
        &mut self,
        tables: &SymbolTables,
        group: &Group,
        (index, entry): (u32, &RefEntry),
        value: f64,
        time: &Timestamp,
    ) {
        // Nothing is numbered for what is not written: a request without series is not finished when the strings are forgotten.
        if self.origin.number != group.origin.number {
            self.origin.enter(&mut self.numbers, &tables.interned, &group.origin);
        }
        self.about.set(&mut self.numbers, &tables.interned, entry.metadata);
        if !self.follow(tables, group, (index, entry), value.to_bits(), time) {
            self.spell(tables, group, (index, entry), value.to_bits(), time);
        }
    }

    /// Where a series stands in this request already, with as many bytes of everything.
    fn find(&self, (table, index): (u32, u32), head: &Head) -> Option<u32> {
        let seen = self.seen.get(place_of(table, index))?;
        let known = (seen.request, seen.table, seen.index) == (self.request, table, index);
        let fits = (seen.message, seen.references) == (head.message, head.references);
        (known && fits).then_some(seen.at)
    }

    /// Notes where the series written last stands.
    fn note(&mut self, (table, index): (u32, u32)) {
        if self.seen.is_empty() {
            // No request has this number yet.
            self.seen = vec![Seen { request: self.request.wrapping_sub(1), ..Seen::default() }; SEEN];
        }
        if let Some(seen) = self.seen.get_mut(place_of(table, index)) {
            let Head { message, references, .. } = self.last.head;
            *seen = Seen { request: self.request, table, index, at: self.last.at, message, references };
        }
    }

    /// Writes a series of which it is not known what it has in common with the one before.
    #[inline(never)]
    fn spell(
        &mut self,
        tables: &SymbolTables,
        group: &Group,
        (index, entry): (u32, &RefEntry),
        bits: u64,
        time: &Timestamp,
    ) {
        let lead = self.encode(tables, group, entry);
        let references = self.scratch.0.len();
        let times = time.stamp().len() + self.start.len();
        let head = Head::new(references, times, self.about.len());
        let number = group.table.number;
        let known = self.find((number, index), &head);
        let references = self.scratch.0.as_slice();
        let end = End { bits, time, start: &self.start, about: &self.about, known };
        let mut out = self.series.elements();
        let at = out.position();
        let mut done = 0;
        match known {
            Some(known) if out.continues(known as usize) => {
                // As in `follow`.
                out.copy(known as usize, head.len() + lead);
                done = lead;
            }
            _ => self.last.put_head(&mut out, &head),
        }
        self.last.put_references(&mut out, references, done);
        self.last.put_end(&mut out, &head, &end);
        drop(out);
        self.last.take(&mut self.scratch);
        self.last.set((number, index, group.origin.number), at, Some(head), &end);
        self.note((number, index));
    }

    /// Encodes the references of a series into the scratch; how many bytes come before those of the origin.
    fn encode(&mut self, tables: &SymbolTables, group: &Group, entry: &RefEntry) -> usize {
        let (text, spots) = &mut self.scratch;
        text.clear();
        spots.clear();
        let ids = group.table.ids(entry);
        let mut cuts = group.table.cuts(entry).iter().peekable();
        let (mut through, mut lead) = (0, None);
        for label in 0..=ids.len() / 2 {
            while let Some((_, end)) = cuts.next_if(|(at, _)| usize::from(*at) == label) {
                lead = lead.or(Some(text.len()));
                text.extend_from_slice(self.origin.labels(through, *end));
                through = *end;
            }
            for id in ids.get(2 * label..2 * label + 2).unwrap_or(&[]) {
                let at = text.len();
                put_varint(text, self.numbers.of(&tables.interned, *id).into());
                // Of wide label sets they are not asked for.
                spots.push(Spot { at: at as u16, len: (text.len() - at) as u8 });
            }
        }
        lead.unwrap_or(text.len())
    }
}

/// Where it is noted where a series stands.
#[inline]
fn place_of(table: u32, index: u32) -> usize {
    (table.wrapping_mul(0x9e37_79b1).wrapping_add(index) as usize) % SEEN
}
