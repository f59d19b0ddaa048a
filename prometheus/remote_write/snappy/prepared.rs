//! Elements that are worked out once and written many times.
//!
//! A copy names what it repeats by its distance. A message that follows the same messages again and again has the same
//! elements each time, wherever in a block that is: they can stand ready, and writing them is to copy a few bytes.

use super::{Elements, PREFIX_LEN, Pending, SnappyBlockWriter};

/// Bytes to put behind all that [`Preparing::finish`] appends, so that the last ones are as quickly written as the others.
pub const PADDING: [u8; 16] = [0; 16];

/// Elements that stand ready. They belong behind a copy that ends where the one did behind which they were prepared.
#[derive(Clone, Copy, Debug)]
pub struct Prepared {
    /// Where they are in the buffer that [`Preparing::finish`] was given.
    at: u32,
    /// Number of their bytes.
    len: u16,
    /// By how much the copy before them becomes longer.
    lengthen: u16,
    /// How many raw bytes they stand for, those among them.
    raw: u16,
    last: Last,
}

/// How the elements end, since what follows may lengthen the last one.
#[derive(Clone, Copy, Debug)]
enum Last {
    /// There are none: all of it lengthens the copy before them.
    Nothing,
    /// A literal of so many bytes that may grow.
    Literal(u8),
    /// Something that cannot grow.
    Closed,
    /// A copy that is not among the bytes yet.
    Copy { distance: u16, len: u16 },
}

/// Works out elements that follow a copy.
#[derive(Debug)]
pub struct Preparing<'a> {
    elements: Elements<'a>,
    start: usize,
    /// By how much the copy before them has become longer, once something else has followed.
    lengthened: Option<usize>,
}

impl Prepared {
    /// Number of bytes that they are written with, the copy before them not counted.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a number of bytes, and not a collection")]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// How many raw bytes they stand for.
    #[inline]
    #[must_use]
    pub fn raw_len(&self) -> usize {
        usize::from(self.raw)
    }
}

impl<'a> Preparing<'a> {
    /// Begins at `position` of an imaginary block, behind a copy of what ends before position `copied` of it, which is not 0.
    /// Whatever `scratch` holds is discarded.
    #[must_use]
    pub fn new(scratch: &'a mut SnappyBlockWriter, position: usize, copied: usize) -> Self {
        scratch.clear();
        scratch.packed_raw = position;
        scratch.pending = Pending { from: copied.saturating_sub(1), len: 1 };
        Self { elements: Elements::new(scratch), start: position, lengthened: None }
    }

    /// Adds bytes as they are.
    pub fn literal(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.leave_first();
            self.elements.literal(bytes);
        }
    }

    /// Repeats the `len` bytes that begin at position `from`.
    pub fn copy(&mut self, from: usize, len: usize) {
        if len > 0 && !self.elements.continues(from) {
            self.leave_first();
        }
        self.elements.copy(from, len);
    }

    /// Ends, and appends the elements to `out`. `None` if they stand for more than 64 KiB or reach further back.
    pub fn finish(self, out: &mut Vec<u8>) -> Option<Prepared> {
        let Elements { pending, open, raw: end, .. } = self.elements;
        let bytes = self.elements.written(PREFIX_LEN);
        let (lengthen, last) = match self.lengthened {
            None => (pending.len - 1, Last::Nothing),
            Some(lengthen) => match pending {
                Pending { from, len } if len > 0 => {
                    let distance = u16::try_from(end.checked_sub(len)?.checked_sub(from)?).ok()?;
                    (lengthen, Last::Copy { distance, len: u16::try_from(len).ok()? })
                }
                _ => (lengthen, u8::try_from(open).ok().filter(|open| *open > 0).map_or(Last::Closed, Last::Literal)),
            },
        };
        let prepared = Prepared {
            at: u32::try_from(out.len()).ok()?,
            len: u16::try_from(bytes.len()).ok()?,
            lengthen: u16::try_from(lengthen).ok()?,
            raw: u16::try_from(end - self.start).ok()?,
            last,
        };
        out.extend_from_slice(bytes);
        Some(prepared)
    }

    /// The copy in front is of the block that this will be part of, and so not written here.
    fn leave_first(&mut self) {
        if self.lengthened.is_none() {
            let first = std::mem::take(&mut self.elements.pending);
            self.lengthened = Some(first.len - 1);
        }
    }
}

impl Elements<'_> {
    /// Adds elements that stand ready in `bytes`. What was added last must be a copy of what ends as many bytes before this
    /// position as it did when they were prepared, and all that they repeat must stand as far away.
    #[inline(always)]
    pub fn prepared(&mut self, prepared: &Prepared, bytes: &[u8]) {
        let end = self.raw + usize::from(prepared.raw);
        self.pending.len += usize::from(prepared.lengthen);
        if !matches!(prepared.last, Last::Nothing) {
            self.raw += usize::from(prepared.lengthen);
            self.close_copy();
            self.put_ready(bytes, prepared.at as usize, usize::from(prepared.len));
            match prepared.last {
                Last::Literal(len) => self.reopen(usize::from(len)),
                Last::Copy { distance, len } => {
                    let (distance, len) = (usize::from(distance), usize::from(len));
                    self.open = 0;
                    self.pending = Pending { from: end.wrapping_sub(len + distance), len };
                }
                Last::Nothing | Last::Closed => self.open = 0,
            }
        }
        self.raw = end;
    }
}
