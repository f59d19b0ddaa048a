//! The series written last, which the next one repeats for the most part.

use super::super::super::sample::Timestamp;
use super::super::pieces::{About, StartField, common_prefix, common_suffix, zero_bytes};
use super::super::tables::RefMetadata;
use super::SHORTEST;
use prometheus::remote_write::snappy::{Elements, SHORT};
use prometheus::remote_write::wire::encode::varint_len;

/// Tag, length and tag in front of a value.
const TAG: usize = 3;

/// Bytes of a value.
const VALUE: usize = 8;

/// Bytes of a sample without its times.
const SAMPLE: usize = 1 + VALUE;

/// Zero bytes that are worth a reference of their own.
const MANY_ZEROS: usize = 4;

/// References are followed by as many bytes more, so that some of them are read at once.
const PADDING: [u8; SHORT + 1] = [0; SHORT + 1];

/// Where a series stands in a request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) request: u32,
    pub(super) table: u32,
    pub(super) index: u32,
    pub(super) at: u32,
    /// How long it is, and how long its references are.
    pub(super) message: u32,
    pub(super) references: u32,
}

/// Where among the references one is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spot {
    pub(super) at: u16,
    pub(super) len: u8,
}

/// A reference that differs from the one that the last series has there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Patch {
    /// Where it is, and how long it is, up to four bytes. There is no padding, so that several are set at once.
    pub(super) at: u16,
    pub(super) len: u16,
    /// The first is the lowest.
    pub(super) bytes: u32,
}

/// What stands in front of the references: tag and length of the series, tag and length of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head {
    /// The first byte is the lowest.
    bytes: u128,
    len: u8,
    /// Bytes of a sample, and of the metadata.
    sample: u8,
    about: u8,
    /// Bytes of the series, and of its references.
    pub(super) message: u32,
    pub(super) references: u32,
}

/// A series in the block.
#[derive(Debug, Default)]
pub(super) struct Last {
    written: bool,
    /// Numbers of table and origin, and its place in the table.
    pub(super) table: u32,
    pub(super) origin: u32,
    pub(super) index: u32,
    pub(super) at: u32,
    pub(super) head: Head,
    /// Its references and [`PADDING`], and where its own are.
    references: Vec<u8>,
    pub(super) spots: Vec<Spot>,
    bits: u64,
    millis: i64,
    start_ms: i64,
    metadata: Option<RefMetadata>,
    /// Whether the one before it has other metadata.
    begins: bool,
    /// A value that begins with zero bytes, as whole numbers do in wire order: where it is, and how many they are.
    round: (u32, u8),
}

/// What follows the references of a series.
#[derive(Clone, Copy)]
pub(super) struct End<'a> {
    pub(super) bits: u64,
    pub(super) time: &'a Timestamp,
    pub(super) start: &'a StartField,
    pub(super) about: &'a About,
    /// Where the same series stands, if that is known.
    pub(super) known: Option<u32>,
}

impl Head {
    /// That of a series with so many bytes of references, times and metadata.
    #[inline(never)]
    pub(super) fn new(references: usize, times: usize, about: usize) -> Self {
        let sample = SAMPLE + times;
        let field = |len: usize| 1 + varint_len(len as u64) + len;
        let message = field(references) + field(sample) + about;
        let (mut bytes, mut at) = (0u128, 0u32);
        for (tag, mut rest) in [(0x2a_u8, message), (0x0a, references)] {
            bytes |= u128::from(tag) << (8 * at);
            at += 1;
            while rest >= 0x80 {
                bytes |= u128::from((rest & 0x7f) as u8 | 0x80) << (8 * at);
                rest >>= 7;
                at += 1;
            }
            bytes |= u128::from(rest as u8) << (8 * at);
            at += 1;
        }
        let (message, references) = (message as u32, references as u32);
        Self { bytes, len: at as u8, sample: sample as u8, about: about as u8, message, references }
    }

    /// That of a series with as many bytes of references, if it is another.
    #[inline(always)]
    pub(super) fn other(&self, times: usize, about: usize) -> Option<Self> {
        let same = (usize::from(self.sample), usize::from(self.about)) == (SAMPLE + times, about);
        (!same).then(|| Self::new(self.references as usize, times, about))
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        usize::from(self.len)
    }

    #[inline(always)]
    pub(super) fn put(&self, out: &mut Elements<'_>) {
        out.short_literal(self.bytes, self.len());
    }

    /// Whether both are the same bytes.
    #[inline]
    pub(super) fn is(&self, other: &Self) -> bool {
        (self.message, self.references) == (other.message, other.references)
    }

    /// Where the value stands behind it.
    #[inline]
    fn value_at(&self) -> usize {
        self.len() + self.references as usize + TAG
    }

    /// Tag and length of a sample, and the tag of its value: the first byte is the lowest.
    #[inline]
    fn tag(&self) -> u128 {
        0x09_00_12 | u128::from(self.sample) << 8
    }

    /// Bytes of the times of the sample.
    #[inline]
    fn times(&self) -> usize {
        usize::from(self.sample) - SAMPLE
    }
}

impl Last {
    /// Forgets it.
    pub(super) fn clear(&mut self) {
        (self.written, self.round) = (false, (0, 0));
        // Of no metadata nothing is repeated.
        self.metadata = None;
    }

    /// Whether it is a series of this table at this origin.
    #[inline]
    pub(super) fn is_of(&self, table: u32, origin: u32) -> bool {
        self.written && (self.table, self.origin) == (table, origin)
    }

    /// How many bytes of references are before those of the origin, which stand behind the first `labels` labels.
    #[inline]
    pub(super) fn lead(&self, labels: usize) -> usize {
        let Some(last) = (2 * labels).checked_sub(1) else { return 0 };
        self.spots.get(last).map_or(0, |spot| usize::from(spot.at) + usize::from(spot.len))
    }

    /// Writes a head, by reference if it is the same.
    #[inline(always)]
    pub(super) fn put_head(&self, out: &mut Elements<'_>, head: &Head) {
        if self.written && self.head.is(head) {
            out.copy(self.at as usize, head.len());
        } else {
            head.put(out);
        }
    }

    /// Whether it is noted where the next series stands. What is repeated from there is metadata, which stays for a family, and
    /// what follows that.
    #[inline(always)]
    pub(super) fn is_noted_before(&self, metadata: Option<RefMetadata>) -> bool {
        self.begins || self.metadata != metadata || !self.written
    }

    /// Writes the references that are these but for `patches`, which are in their order; what is before `done` was written.
    #[inline(always)]
    pub(super) fn put_patched(&self, out: &mut Elements<'_>, patches: &[Patch], mut done: usize) {
        let at = self.at as usize + self.head.len();
        // New bytes, the first being the lowest, and where they begin and end.
        let (mut new, mut start, mut end) = (0u128, 0, 0);
        for patch in patches {
            let patched = usize::from(patch.at);
            if patched < done {
                continue;
            }
            if end > 0 && (patched >= end + SHORTEST || patched + 4 > start + SHORT) {
                out.short_literal(new, end - start);
                done = end;
                end = 0;
            }
            if end == 0 {
                start = patched;
                if patched - done < SHORTEST && !out.continues(at + done) {
                    start = done;
                } else {
                    out.copy(at + done, patched - done);
                }
                (new, end) = (0, start);
            }
            // Short pieces between two are as well written anew.
            new |= u128::from(self.piece(end, patched)) << (8 * (end - start));
            new |= u128::from(patch.bytes) << (8 * (patched - start));
            end = patched + usize::from(patch.len);
        }
        if end > 0 {
            out.short_literal(new, end - start);
            done = end;
        }
        out.copy(at + done, (self.head.references as usize).saturating_sub(done));
    }

    /// Up to three bytes of the references.
    #[inline(always)]
    fn piece(&self, start: usize, end: usize) -> u32 {
        if start == end {
            return 0;
        }
        let bytes = self.references.get(start..start + 4).and_then(|bytes| bytes.first_chunk::<4>());
        bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes)) & !(u32::MAX << (8 * (end - start)))
    }

    /// Changes references.
    #[inline(always)]
    pub(super) fn patch(&mut self, patches: &[Patch]) {
        for patch in patches {
            let Some(place) = self.references.get_mut(usize::from(patch.at)..) else { continue };
            let bytes = patch.bytes.to_le_bytes();
            // Each is one store.
            match (patch.len, place) {
                (1, [first, ..]) => *first = bytes[0],
                (2, [first, second, ..]) => [*first, *second] = [bytes[0], bytes[1]],
                (len, place) => place.iter_mut().zip(bytes).take(len.into()).for_each(|(place, byte)| *place = byte),
            }
        }
    }

    /// Writes any references; what is before `done` was written.
    pub(super) fn put_references(&self, out: &mut Elements<'_>, references: &[u8], done: usize) {
        let at = self.at as usize + self.head.len();
        let before = if self.written { self.head.references as usize } else { 0 };
        let before = self.references.get(..before).unwrap_or(&[]);
        let mut prefix = common_prefix(references, before);
        if prefix < done || (prefix < done + SHORTEST && !out.continues(at + done)) {
            prefix = done;
        }
        // The tag behind them is repeated as well.
        let suffix = common_suffix(references, before).min(references.len() - prefix);
        out.copy(at + done, prefix - done);
        out.literal(references.get(prefix..references.len() - suffix).unwrap_or(&[]));
        out.copy(at + before.len() - suffix, suffix);
    }

    /// Writes the sample and the metadata.
    #[inline(always)]
    pub(super) fn put_end(&self, out: &mut Elements<'_>, head: &Head, end: &End<'_>) {
        let before = self.at as usize + self.head.value_at();
        let rest = |zeros: usize| u128::from(end.bits >> (8 * zeros));
        let zeros = zero_bytes(end.bits);
        let same_tag = self.written && self.head.sample == head.sample;
        let shared = if same_tag { zeros.min(zero_bytes(self.bits)) } else { 0 };
        let round = zeros.min(usize::from(self.round.1));
        if same_tag && self.bits == end.bits {
            out.copy(before - TAG, TAG + VALUE);
        } else if round >= shared + MANY_ZEROS {
            if same_tag && out.continues(before - TAG) {
                out.copy(before - TAG, TAG);
            } else {
                out.short_literal(head.tag(), TAG);
            }
            out.copy(self.round.0 as usize, round);
            out.short_literal(if round < VALUE { rest(round) } else { 0 }, VALUE - round);
        } else if same_tag && (shared > 0 || out.continues(before - TAG)) {
            out.copy(before - TAG, TAG + shared);
            out.short_literal(rest(shared), VALUE - shared);
        } else {
            out.short_literal(rest(0) << (8 * TAG) | head.tag(), TAG + VALUE);
        }
        self.put_times_and_metadata(out, head, end, before + VALUE);
    }

    /// What follows a value; `before` is where that stands in the last series.
    #[inline(always)]
    fn put_times_and_metadata(&self, out: &mut Elements<'_>, head: &Head, end: &End<'_>, before: usize) {
        if self.written && (self.millis, self.start_ms) == (end.time.millis, end.start.millis) {
            out.copy(before, head.times());
        } else {
            // Nothing here is a call, so that the state of `out` stays in registers.
            out.short_literal(end.time.stamp_word(), end.time.stamp().len());
            out.short_literal(end.start.word(), end.start.len());
        }
        let about = end.about;
        if self.written && self.metadata == about.of {
            out.copy(before + self.head.times(), about.len());
        } else if let Some(known) = end.known {
            out.copy(known as usize + head.value_at() + VALUE + head.times(), about.len());
        } else {
            let (word, first) = (about.word(), about.len().min(SHORT));
            out.short_literal(word, first);
            out.short_literal(word >> (8 * SHORT), about.len() - first);
        }
    }

    /// Takes note of the series that was written at `at`, behind another head if there is one; its references are those that there
    /// are.
    #[inline(always)]
    pub(super) fn set(
        &mut self,
        (table, index, origin): (u32, u32, u32),
        at: usize,
        head: Option<Head>,
        end: &End<'_>,
    ) {
        if let Some(head) = head {
            self.head = head;
        }
        let zeros = zero_bytes(end.bits);
        if zeros >= MANY_ZEROS {
            self.round = ((at + self.head.value_at()) as u32, zeros as u8);
        }
        (self.table, self.index, self.origin) = (table, index, origin);
        (self.written, self.at) = (true, at as u32);
        (self.bits, self.millis, self.start_ms) = (end.bits, end.time.millis, end.start.millis);
        self.begins = self.metadata != end.about.of;
        self.metadata = end.about.of;
    }

    /// Takes other references than it has, and leaves what it had for them to be used again.
    pub(super) fn take(&mut self, (references, spots): &mut (Vec<u8>, Vec<Spot>)) {
        references.extend_from_slice(&PADDING);
        std::mem::swap(&mut self.references, references);
        std::mem::swap(&mut self.spots, spots);
    }
}
