//! Snappy elements written one by one, for a sender that knows which bytes it has sent before.
//!
//! A general compressor finds repetitions by hashing everything it is given. Where the repetitions are known
//! beforehand, to write down where they are costs a fraction of that, and the repeated bytes need not
//! even be at hand. Format: <https://github.com/google/snappy/blob/main/format_description.txt>.
//!
//! Elements are a few bytes each. They are written in pieces of a fixed size, of which the next element covers what is too
//! much: that is one store, where the exact number of bytes would be a call.

use super::SnappyBlockWriter;

/// The longest literal whose length is in its tag.
const SHORT_LITERAL: usize = 60;

/// The longest copy that one element makes.
const LONGEST_COPY: usize = 64;

/// Bytes that are copied at once.
const CHUNK: usize = 16;

/// The most that [`Elements::short_literal`] takes: with its tag it is a chunk.
pub const SHORT: usize = CHUNK - 1;

/// By how many bytes the room grows when it is used up, beside what it has: a page of samples.
const MORE_ROOM: usize = 4096;

/// A copy that is not written yet, since it may turn out to be the beginning of a longer one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pending {
    pub(super) from: usize,
    pub(super) len: usize,
}

/// Adds elements to the block of a [`SnappyBlockWriter`].
#[derive(Debug)]
pub struct Elements<'a> {
    writer: &'a mut SnappyBlockWriter,
    /// Where the next byte goes.
    at: usize,
    /// Raw bytes in the block so far, those of the pending copy among them.
    pub(super) raw: usize,
    pub(super) pending: Pending,
    /// Where the tag of the literal is that may still grow.
    tag: usize,
    /// Its length; 0 if there is none.
    pub(super) open: usize,
}

impl Pending {
    #[inline]
    pub(super) fn encoded_len_bound(self) -> usize {
        5 * self.len.div_ceil(LONGEST_COPY)
    }

    #[inline]
    pub(super) fn is_empty(self) -> bool {
        self.len == 0
    }
}

impl<'a> Elements<'a> {
    #[inline(always)]
    pub(super) fn new(writer: &'a mut SnappyBlockWriter) -> Self {
        let (at, raw, pending) = (writer.packed_len, writer.packed_raw, writer.pending);
        Self { writer, at, raw, pending, tag: 0, open: 0 }
    }

    /// Raw bytes in the block so far: the position of what is added next.
    #[inline]
    #[must_use]
    pub fn position(&self) -> usize {
        self.raw
    }

    /// What was written so far, from `start` on.
    pub(super) fn written(&self, start: usize) -> &[u8] {
        self.writer.packed.get(start..self.at).unwrap_or_default()
    }

    /// Adds bytes as they are.
    #[inline]
    pub fn literal(&mut self, bytes: &[u8]) {
        self.close_copy();
        if self.open > 0 && self.open + bytes.len() <= SHORT_LITERAL {
            self.open += bytes.len();
            self.tag_open();
            self.put_all(bytes);
        } else {
            self.start_literal(bytes);
        }
        self.raw += bytes.len();
    }

    /// Adds the first `len` of `bytes`, the first being the lowest, as they are; at most [`SHORT`].
    #[inline(always)]
    pub fn short_literal(&mut self, bytes: u128, len: usize) {
        self.close_copy();
        if len == 0 {
            return;
        }
        if self.open > 0 && self.open + len <= SHORT_LITERAL {
            self.open += len;
            self.tag_open();
            self.put_word(bytes, len);
        } else {
            (self.tag, self.open) = (self.at, len);
            self.put_word(bytes << 8 | (len as u128 - 1) << 2, 1 + len);
        }
        self.raw += len;
    }

    /// The last `len` bytes are a literal that may still grow.
    #[inline(always)]
    pub(super) fn reopen(&mut self, len: usize) {
        (self.tag, self.open) = (self.at.wrapping_sub(len + 1), len);
    }

    #[inline(always)]
    fn tag_open(&mut self) {
        if let Some(tag) = self.writer.packed.get_mut(self.tag) {
            *tag = ((self.open - 1) << 2) as u8;
        }
    }

    fn start_literal(&mut self, bytes: &[u8]) {
        match bytes.len() {
            0 => {}
            len @ 1..=SHORT_LITERAL => {
                (self.tag, self.open) = (self.at, len);
                self.put([((len - 1) << 2) as u8], 1);
                self.put_all(bytes);
            }
            _ => self.long_literal(bytes),
        }
    }

    #[inline(never)]
    fn long_literal(&mut self, bytes: &[u8]) {
        self.open = 0;
        for piece in bytes.chunks(1 << 16) {
            let [low, high, ..] = (piece.len() - 1).to_le_bytes();
            if high == 0 {
                self.put([60 << 2, low], 2);
            } else {
                self.put([61 << 2, low, high], 3);
            }
            self.put_all(piece);
        }
    }

    /// Repeats the `len` bytes that begin at position `from`, all of which must have been written. A place
    /// that has not been written adds nothing. Copies of what stands side by side become one.
    #[inline(always)]
    pub fn copy(&mut self, from: usize, len: usize) {
        if len == 0 || from >= self.raw {
            return;
        }
        if self.continues(from) {
            self.pending.len += len;
        } else {
            self.close_copy();
            self.open = 0;
            self.pending = Pending { from, len };
        }
        self.raw += len;
    }

    /// Whether a copy of what stands at `from` would lengthen the last one.
    #[inline(always)]
    #[must_use]
    pub fn continues(&self, from: usize) -> bool {
        self.pending.len > 0 && self.pending.from + self.pending.len == from
    }

    /// Writes the pending copy, which ends at the position reached.
    #[inline(always)]
    pub(super) fn close_copy(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let Pending { from, mut len } = std::mem::take(&mut self.pending);
        let distance = self.raw.wrapping_sub(len).wrapping_sub(from);
        if distance >= 1 << 16 {
            self.at = put_far_copy(&mut self.writer.packed, self.at, distance, len);
            return;
        }
        while len > LONGEST_COPY {
            self.put((distance << 8 | (LONGEST_COPY - 1) << 2 | 2).to_le_bytes(), 3);
            len -= LONGEST_COPY;
        }
        if (4..12).contains(&len) && distance < 1 << 11 {
            self.put(((distance & 0xff) << 8 | (distance >> 8) << 5 | (len - 4) << 2 | 1).to_le_bytes(), 2);
        } else {
            self.put((distance << 8 | (len - 1) << 2 | 2).to_le_bytes(), 3);
        }
    }

    /// Writes elements that stand in `bytes` from `start` on.
    #[inline(always)]
    pub(super) fn put_ready(&mut self, bytes: &[u8], start: usize, len: usize) {
        let (mut start, mut rest) = (start, len);
        while rest > 0 {
            let now = rest.min(CHUNK);
            match bytes.get(start..start + CHUNK).and_then(<[u8]>::first_chunk::<CHUNK>) {
                Some(chunk) => self.put(*chunk, now),
                None => return self.put_all(bytes.get(start..start + rest).unwrap_or_default()),
            }
            start += now;
            rest -= now;
        }
    }

    /// Writes the first `len` of `bytes`; what is behind them may be overwritten.
    #[inline(always)]
    fn put<const N: usize>(&mut self, bytes: [u8; N], len: usize) {
        match self.writer.packed.get_mut(self.at..self.at.wrapping_add(N)) {
            Some(place) => place.copy_from_slice(&bytes),
            None => put_growing(&mut self.writer.packed, self.at, &bytes),
        }
        self.at += len;
    }

    /// The same for a chunk, the first byte being the lowest. It comes out of two registers, and goes from there.
    #[inline(always)]
    fn put_word(&mut self, word: u128, len: usize) {
        let place = self.writer.packed.get_mut(self.at..self.at.wrapping_add(CHUNK));
        match place.and_then(|place| place.split_at_mut_checked(CHUNK / 2)) {
            Some((low, high)) => {
                low.copy_from_slice(&(word as u64).to_le_bytes());
                high.copy_from_slice(&((word >> 64) as u64).to_le_bytes());
            }
            None => put_growing(&mut self.writer.packed, self.at, &word.to_le_bytes()),
        }
        self.at += len;
    }

    fn put_all(&mut self, bytes: &[u8]) {
        put_all(&mut self.writer.packed, self.at, bytes);
        self.at += bytes.len();
    }
}

/// Writes `bytes` at `at`, where there may be room or not.
#[inline(never)]
fn put_all(packed: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    match packed.get_mut(at..).and_then(|rest| rest.get_mut(..bytes.len())) {
        Some(place) => place.copy_from_slice(bytes),
        None => put_growing(packed, at, bytes),
    }
}

/// Writes `bytes` at `at`, where the room ends, and makes more of it.
#[cold]
#[inline(never)]
fn put_growing(packed: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    packed.resize(at, 0);
    packed.extend_from_slice(bytes);
    packed.resize(packed.len() + packed.len() / 4 + MORE_ROOM, 0);
}

/// Writes a copy from more than 64 KiB before at `at`; where it ends.
#[cold]
#[inline(never)]
fn put_far_copy(packed: &mut Vec<u8>, mut at: usize, distance: usize, mut len: usize) -> usize {
    let [a, b, c, d, ..] = distance.to_le_bytes();
    while len > 0 {
        let now = len.min(LONGEST_COPY);
        put_all(packed, at, &[((now - 1) << 2 | 3) as u8, a, b, c, d]);
        at += 5;
        len -= now;
    }
    at
}

impl Drop for Elements<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.writer.packed_len = self.at;
        self.writer.packed_raw = self.raw;
        self.writer.pending = self.pending;
    }
}
