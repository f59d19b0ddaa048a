//! Writing samples whose label sets stand ready, one after the other.
//!
//! This is what goes on nearly all the time: pages bring the same series in the same order. Only what such samples need is here,
//! so that all of it stays in the processor's registers; whatever is different in any way is left to [`Trail::write`].

use super::super::sample::{Timestamp, sent_value};
use super::ReadyTable;
use super::trail::{Mark, Sent, TIME_AT, Trail, put_value};
use pipeline::{Point, Value};
use prometheus::remote_write::SnappyBlockWriter;

/// What the samples of a run have in common.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    /// Their label sets.
    pub(crate) ready: &'a ReadyTable,
    /// When they were measured.
    pub(crate) time: &'a Timestamp,
    /// Label sets with so many bytes have to be looked at.
    pub(crate) wide: usize,
    /// The request is full with so many bytes before compression.
    pub(crate) raw_bytes: usize,
    /// The request is full with so many bytes after compression.
    pub(crate) packed_bytes: usize,
}

impl Trail {
    /// Writes the first of `points`, as long as their label sets stand ready behind the one written last and the request is not
    /// full; says how many. They are to be of one class, and of the table and the
    /// origin that were written last.
    #[inline(never)]
    pub(crate) fn write_run<'p>(
        &mut self,
        writer: &mut SnappyBlockWriter,
        run: Run<'_>,
        points: impl Iterator<Item = &'p Point> + Clone,
    ) -> usize {
        let sample_len = run.time.sample_len();
        let (Some(mut last), Some(mut head)) = (self.last, self.head) else { return 0 };
        if last.millis != run.time.millis || usize::from(last.len) != sample_len {
            return 0;
        }
        let (mut place, mut before) = self.run;
        // What else there is is compressed on its own, as much of it together as possible.
        let follows = |first: &Point| {
            let known = run.ready.get(first.series, before, sample_len);
            known.is_some_and(|known| known.place == place.wrapping_add(1)) && float_of(&first.value).is_some()
        };
        if !points.clone().next().is_some_and(follows) {
            return 0;
        }
        let mut round = self.round;
        let mut out = writer.elements();
        let mut written = 0;
        for point in points {
            let Some(value) = float_of(&point.value) else { break };
            let next = place.wrapping_add(1);
            let Some(known) = run.ready.get(point.series, before, sample_len) else { break };
            if known.place != next
                || point.time != run.time.nanos
                || known.elements.raw_len() >= run.wide
                || !out.continues(head.at as usize)
                || out.position() >= run.raw_bytes
                || out.compressed_len_bound() >= run.packed_bytes
            {
                break;
            }
            let head_len = usize::from(known.head_len);
            head.at = out.position() as u32;
            head.len = (known.elements.raw_len() - head_len + sample_len) as u32;
            out.prepared(&known.elements, run.ready.bytes());
            self.note(Mark { place: next, at: head.at + head_len as u32 });

            let bits = sent_value(value).to_bits();
            let sent = Sent { at: out.position() as u32, bits, ..last };
            if bits == last.bits {
                out.copy(last.at as usize, sample_len);
            } else {
                put_value(&mut out, &sent, Some(&last), &mut round, run.time);
                out.copy(last.at as usize + TIME_AT, sample_len - TIME_AT);
            }
            last = sent;
            (place, before) = (next, before.saturating_add(1));
            written += 1;
        }
        drop(out);
        self.run = (place, before);
        self.round = round;
        self.last = Some(last);
        self.head = Some(head);
        written
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
