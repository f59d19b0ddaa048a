//! Writing samples with references to those written just before.

use super::super::labels::WireOrigin;
use super::super::sample::{Timestamp, series_head, series_head_len};
use super::matching::REACH;
use super::{Entry, ReadyTable, Step, WireTable};
use prometheus::remote_write::snappy::Elements;

/// Where the label sets and samples written last stand in the block.
#[derive(Debug)]
pub(crate) struct Trail {
    /// Which group of points the marks belong to.
    group: u64,
    /// By place in the class modulo their number.
    marks: [Mark; REACH],
    /// The place written last, and how many were written one after the other up to it, with samples of one length.
    pub(super) run: (u32, u32),
    pub(super) head: Option<Head>,
    pub(super) last: Option<Sent>,
    /// A sample whose value ends in zero bytes (in wire order: begins), as whole numbers do.
    pub(super) round: Option<Sent>,
}

/// Where the labels of a series begin in the block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) place: u32,
    pub(super) at: u32,
}

/// The tag and length of a time series in the block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) at: u32,
    pub(super) len: u32,
}

/// A sample in the block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) at: u32,
    pub(super) bits: u64,
    pub(super) millis: i64,
    pub(super) len: u8,
}

const NOWHERE: Mark = Mark { place: u32::MAX, at: 0 };

/// Tag, length and tag in front of the value of a sample.
const VALUE_AT: usize = 3;

/// Bytes of the value.
const VALUE_LEN: usize = 8;

/// Where its timestamp follows.
pub(super) const TIME_AT: usize = VALUE_AT + VALUE_LEN;

impl Default for Trail {
    fn default() -> Self {
        Self { group: 0, marks: [NOWHERE; REACH], run: (u32::MAX, 0), head: None, last: None, round: None }
    }
}

impl Trail {
    /// Marks that were made for another group than this one are forgotten: they belong to another table or origin.
    #[inline]
    pub(crate) fn enter(&mut self, group: u64) {
        if self.group != group {
            self.group = group;
            self.marks = [NOWHERE; REACH];
            self.run = (u32::MAX, 0);
        }
    }

    /// Writes a time series with one sample: the series `entry`, which stands at `index` of `table`, at `origin`; `ready` is
    /// the same table for origins of its shape.
    #[inline]
    pub(crate) fn write(
        &mut self,
        out: &mut Elements<'_>,
        (table, ready): (&WireTable, Option<&ReadyTable>),
        (index, entry): (u32, &Entry),
        origin: &WireOrigin,
        value: f64,
        time: &Timestamp,
    ) {
        let len = usize::from(entry.len) + origin.len() + time.sample_len();
        let place = entry.place;
        let follows =
            self.run.0.wrapping_add(1) == place && self.last.is_some_and(|l| usize::from(l.len) == time.sample_len());
        let run = if follows { self.run.1 } else { 0 };
        self.run = (place, run.saturating_add(1));
        let known = ready
            .filter(|ready| ready.serves(time.sample_len(), usize::MAX))
            .and_then(|ready| Some((ready.get(index, run)?, ready.bytes())));
        let at = match (known, self.head) {
            (Some((known, bytes)), Some(head)) if out.continues(head.at as usize) => {
                let now = Head { at: out.position() as u32, len: len as u32 };
                self.head = Some(now);
                out.prepared(&known.elements, bytes);
                now.at as usize + series_head_len(len)
            }
            _ => {
                self.head(out, len);
                let at = out.position();
                self.labels(out, table, entry, origin);
                at
            }
        };
        self.note(Mark { place, at: at as u32 });
        self.sample(out, value.to_bits(), time);
    }

    /// Tag and length of a time series. Copied where that lengthens the copy of the timestamp before it, or is no longer.
    #[inline]
    fn head(&mut self, out: &mut Elements<'_>, len: usize) {
        let (head, head_len) = series_head(len);
        let bytes = head.get(..head_len).unwrap_or(&head);
        let now = Head { at: out.position() as u32, len: len as u32 };
        match self.head.replace(now) {
            Some(last) if last.len == now.len => out.copy(last.at as usize, bytes.len()),
            Some(last) if out.continues(last.at as usize) => {
                out.copy(last.at as usize, 1);
                out.literal(bytes.get(1..).unwrap_or(&[]));
            }
            _ => out.literal(bytes),
        }
    }

    #[inline]
    fn labels(&self, out: &mut Elements<'_>, table: &WireTable, entry: &Entry, origin: &WireOrigin) {
        let mut text = table.text_of(entry).unwrap_or(&[]);
        for step in table.steps_of(entry) {
            match *step {
                Step::Literal { len } => {
                    let (own, rest) = text.split_at_checked(usize::from(len)).unwrap_or((text, &[]));
                    out.literal(own);
                    text = rest;
                }
                Step::Copy { back, labels, from, len } => {
                    let (own, rest) = text.split_at_checked(usize::from(len)).unwrap_or((text, &[]));
                    match self.mark(entry.place, back) {
                        Some(at) => out.copy(at + usize::from(from) + origin.end(labels), own.len()),
                        None => out.literal(own),
                    }
                    text = rest;
                }
                Step::Origin { back, first, end, from } => {
                    let labels = origin.labels(first, end);
                    match self.mark(entry.place, back) {
                        Some(at) => out.copy(at + usize::from(from) + origin.end(first), labels.len()),
                        None => out.literal(labels),
                    }
                }
            }
        }
    }

    #[inline]
    pub(super) fn note(&mut self, now: Mark) {
        if let Some(mark) = self.marks.get_mut(now.place as usize % REACH) {
            *mark = now;
        }
    }

    /// Where the labels of the series `back` places before `place` begin, if it was written in this group.
    #[inline]
    fn mark(&self, place: u32, back: u8) -> Option<usize> {
        let wanted = place.wrapping_sub(u32::from(back));
        let mark = self.marks.get(wanted as usize % REACH)?;
        (mark.place == wanted && back > 0).then_some(mark.at as usize)
    }

    #[inline]
    fn sample(&mut self, out: &mut Elements<'_>, bits: u64, time: &Timestamp) {
        let len = time.sample_len();
        let sent = Sent { at: out.position() as u32, bits, millis: time.millis, len: len as u8 };
        match self.last.replace(sent) {
            Some(last) if last.millis == time.millis => {
                if last.bits == bits {
                    out.copy(last.at as usize, len);
                    return;
                }
                put_value(out, &sent, Some(&last), &mut self.round, time);
                out.copy(last.at as usize + TIME_AT, len - TIME_AT);
            }
            last => {
                put_value(out, &sent, last.as_ref(), &mut self.round, time);
                out.literal(time.stamp());
            }
        }
    }
}

/// Tag, length, tag and value of a sample. The tags and the length are copied where that lengthens the copy of the
/// labels before them, or saves the zero bytes behind them, which `round` had as well.
#[inline(always)]
pub(super) fn put_value(
    out: &mut Elements<'_>,
    sent: &Sent,
    last: Option<&Sent>,
    round: &mut Option<Sent>,
    time: &Timestamp,
) {
    let zeros = zero_bytes(sent.bits);
    let round = if zeros >= 4 { round.replace(*sent) } else { None };
    let shared = match (last, round) {
        (Some(last), _) if last.len == sent.len && out.continues(last.at as usize) => {
            Some((last.at, zeros.min(zero_bytes(last.bits))))
        }
        (_, Some(round)) if round.len == sent.len => Some((round.at, zeros.min(zero_bytes(round.bits)))),
        _ => None,
    };
    match shared {
        Some((at, zeros)) => {
            out.copy(at as usize, VALUE_AT + zeros);
            out.short_literal(u128::from(sent.bits) >> (8 * zeros), VALUE_LEN - zeros);
        }
        None => out.short_literal(u128::from(sent.bits) << (8 * VALUE_AT) | time.value_head(), TIME_AT),
    }
}

/// With how many zero bytes a value begins in wire order.
#[inline]
fn zero_bytes(bits: u64) -> usize {
    (bits.trailing_zeros() / 8) as usize
}
