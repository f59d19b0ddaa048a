//! Snappy elements written one by one, for a sender that knows which bytes it has sent before.
//!
//! A general compressor finds repetitions by hashing everything it is given. Where the repetitions are known
//! beforehand, to write down where they are costs a fraction of that, and the repeated bytes need not
//! even be at hand. Format: <https://github.com/google/snappy/blob/main/format_description.txt>.

use super::SnappyBlockWriter;

/// The longest literal whose length is in its tag.
const SHORT_LITERAL: usize = 60;

/// The longest copy that one element makes.
const LONGEST_COPY: usize = 64;

/// A copy that is not written yet, since it may turn out to be the beginning of a longer one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pending {
    pub(super) from: usize,
    pub(super) len: usize,
}

/// Adds elements to the block of a [`SnappyBlockWriter`].
#[derive(Debug)]
pub struct Elements<'a> {
    pub(super) writer: &'a mut SnappyBlockWriter,
    /// Where the tag of the literal is that may still grow.
    pub(super) tag: usize,
    /// Its length; 0 if there is none.
    pub(super) open: usize,
}

impl Pending {
    /// Writes the copy, which ends at position `end` of the block.
    #[inline]
    pub(super) fn write(&mut self, packed: &mut Vec<u8>, end: usize) {
        let len = std::mem::take(&mut self.len);
        let offset = end.wrapping_sub(len).wrapping_sub(self.from);
        if (4..12).contains(&len) && offset < 2048 {
            packed.extend_from_slice(&[((offset >> 8) << 5 | (len - 4) << 2 | 1) as u8, offset as u8]);
            return;
        }
        let mut rest = len;
        while rest > 0 {
            let now = rest.min(LONGEST_COPY);
            let [a, b, c, d, ..] = offset.to_le_bytes();
            if offset < 1 << 16 {
                packed.extend_from_slice(&[((now - 1) << 2 | 2) as u8, a, b]);
            } else {
                packed.extend_from_slice(&[((now - 1) << 2 | 3) as u8, a, b, c, d]);
            }
            rest -= now;
        }
    }

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
    pub(super) fn new(writer: &'a mut SnappyBlockWriter) -> Self {
        Self { writer, tag: 0, open: 0 }
    }

    /// Raw bytes in the block so far: the position of what is added next.
    #[inline]
    #[must_use]
    pub fn position(&self) -> usize {
        self.writer.packed_raw
    }

    /// Adds bytes as they are.
    #[inline]
    pub fn literal(&mut self, bytes: &[u8]) {
        self.close_copy();
        if self.open > 0 && self.open + bytes.len() <= SHORT_LITERAL {
            self.writer.packed.extend_from_slice(bytes);
            self.open += bytes.len();
            if let Some(tag) = self.writer.packed.get_mut(self.tag) {
                *tag = ((self.open - 1) << 2) as u8;
            }
        } else {
            self.start_literal(bytes);
        }
        self.writer.packed_raw += bytes.len();
    }

    #[inline]
    fn start_literal(&mut self, bytes: &[u8]) {
        let packed = &mut self.writer.packed;
        match bytes.len() {
            0 => {}
            len @ 1..=SHORT_LITERAL => {
                (self.tag, self.open) = (packed.len(), len);
                packed.push(((len - 1) << 2) as u8);
                packed.extend_from_slice(bytes);
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
                self.writer.packed.extend_from_slice(&[60 << 2, low]);
            } else {
                self.writer.packed.extend_from_slice(&[61 << 2, low, high]);
            }
            self.writer.packed.extend_from_slice(piece);
        }
    }

    /// Repeats the `len` bytes that begin at position `from`, all of which must have been written. A place
    /// that has not been written adds nothing. Copies of what stands side by side become one.
    #[inline]
    pub fn copy(&mut self, from: usize, len: usize) {
        if len == 0 || from >= self.writer.packed_raw {
            return;
        }
        if self.continues(from) {
            self.writer.pending.len += len;
        } else {
            self.close_copy();
            self.open = 0;
            self.writer.pending = Pending { from, len };
        }
        self.writer.packed_raw += len;
    }

    /// Whether a copy of what stands at `from` would lengthen the last one.
    #[inline]
    #[must_use]
    pub fn continues(&self, from: usize) -> bool {
        let pending = self.writer.pending;
        pending.len > 0 && pending.from + pending.len == from
    }

    #[inline]
    pub(super) fn close_copy(&mut self) {
        let SnappyBlockWriter { pending, packed, packed_raw, .. } = &mut *self.writer;
        if !pending.is_empty() {
            pending.write(packed, *packed_raw);
        }
    }
}

impl Drop for Elements<'_> {
    #[inline]
    fn drop(&mut self) {
        self.writer.packed_len = self.writer.packed.len();
    }
}
