//! Writing samples whose label sets stand ready, one after the other.
//!
//! This is what goes on nearly all the time: pages bring the same series in the same order. Only what such samples need is here,
//! so that all of it stays in the processor's registers; whatever is different in any way is left to [`Trail::write`].

use super::super::sample::{Timestamp, sent_value};
use super::trail::{Mark, Sent, TIME_AT, Trail, put_value};
use super::{Entry, ReadyTable};
use pipeline::{Point, Value};
use prometheus::remote_write::SnappyBlockWriter;

/// What the samples of a run have in common.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    /// Their label sets.
    pub(crate) ready: &'a ReadyTable,
    /// The series of the first of them, which are all of one class.
    pub(crate) first: &'a Entry,
    /// When they were measured.
    pub(crate) time: &'a Timestamp,
    /// Label sets with so many bytes have to be looked at.
    pub(crate) wide: usize,
    /// The request is full with so many bytes before compression.
    pub(crate) raw_bytes: usize,
    /// The request is full with so many bytes after compression.
    pub(crate) packed_bytes: usize,
}

impl Run<'_> {
    /// How many samples fit for certain. Those that may or may not are written one by one.
    fn room(&self, writer: &SnappyBlockWriter) -> usize {
        let (raw, packed) = self.ready.most();
        let raw = raw + self.time.sample_len();
        // Copies of all that is repeated, a value with its tag, and the tags of both.
        let packed = packed + raw / 8 + 32;
        let raw_room = self.raw_bytes.saturating_sub(writer.raw_len()) / raw;
        raw_room.min(self.packed_bytes.saturating_sub(writer.compressed_len_bound()) / packed)
    }
}

impl Trail {
    /// Writes the first of `points`, as long as their label sets stand ready behind the one written last and the request is not
    /// full; says how many. They are to be of one class of the table and of the origin that were written last.
    #[inline(never)]
    pub(crate) fn write_run(&mut self, writer: &mut SnappyBlockWriter, run: Run<'_>, points: &[Point]) -> usize {
        let sample_len = run.time.sample_len();
        let (Some(mut last), Some(mut head)) = (self.last, self.head) else { return 0 };
        let (before, behind) = self.run;
        // What else there is is compressed on its own, as much of it together as possible.
        let Some(first) = points.first().filter(|point| float_of(&point.value).is_some()) else { return 0 };
        if run.first.place != before.wrapping_add(1)
            || last.millis != run.time.millis
            || usize::from(last.len) != sample_len
            || !run.ready.serves(sample_len, run.wide)
        {
            return 0;
        }
        let points = points.get(..run.room(writer)).unwrap_or(points);
        let mut out = writer.elements();
        let mut written = 0_u32;
        for point in points {
            let Some(value) = float_of(&point.value) else { break };
            let index = first.series.wrapping_add(written);
            let Some(known) = run.ready.get(index, behind.saturating_add(written)) else { break };
            if point.series != index || point.time != run.time.nanos || !out.continues(head.at as usize) {
                break;
            }
            head.at = out.position() as u32;
            out.prepared(&known.elements, run.ready.bytes());
            let place = run.first.place.wrapping_add(written);
            self.note(Mark { place, at: head.at + u32::from(known.head_len) });

            let bits = sent_value(value).to_bits();
            let sent = Sent { at: out.position() as u32, bits, ..last };
            if bits == last.bits {
                out.copy(last.at as usize, sample_len);
            } else {
                put_value(&mut out, &sent, Some(&last), &mut self.round, run.time);
                out.copy(last.at as usize + TIME_AT, sample_len - TIME_AT);
            }
            last = sent;
            written += 1;
        }
        drop(out);
        if written > 0 {
            self.run = (before.wrapping_add(written), behind.saturating_add(written));
            self.last = Some(last);
            head.len = run.ready.message_len(first.series.wrapping_add(written - 1));
            self.head = Some(head);
        }
        written as usize
    }
}

#[inline]
fn float_of(value: &Value) -> Option<f64> {
    match value {
        Value::Float(value) => Some(*value),
        Value::Int(value) => Some(*value as f64),
        _ => None,
    }
}
