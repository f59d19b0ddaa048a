//! Pieces of a time series that repeat: the references of an origin, what a series has in common with the one before, and
//! the time since which it counts.

use super::numbers::Numbers;
use super::tables::RefOrigin;
use prometheus::remote_write::snappy::Elements;
use prometheus::remote_write::wire::encode::put_varint;
use prometheus::remote_write::wire::v2::Symbols;

/// A repetition shorter than this is not worth a reference.
const SHORTEST: usize = 4;

/// The origin whose points are being written.
#[derive(Debug, Default)]
pub(super) struct Origin {
    pub(super) number: u32,
    /// Its references, encoded.
    pub(super) text: Vec<u8>,
    /// Where in the text each label ends.
    pub(super) ends: Vec<u16>,
    /// A number for the list of ends.
    pub(super) shape: u32,
    /// Lists of ends that were met in this request.
    pub(super) shapes: Vec<Vec<u16>>,
    /// A run of its labels in the block: from which label to which, and where.
    pub(super) run: Option<(u8, u8, u32)>,
    /// The origin before it, its references, and which labels of this one are the same: those of a job's targets differ in
    /// one or two.
    pub(super) before: u32,
    pub(super) text_before: Vec<u8>,
    pub(super) same: Vec<bool>,
}

/// A series in the block, up to its value.
#[derive(Debug, Default)]
pub(super) struct Spelled {
    pub(super) bytes: Vec<u8>,
    pub(super) at: Option<u32>,
    pub(super) bits: u64,
}

/// The encoded start timestamp, which many samples share.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StartField {
    pub(super) millis: i64,
    pub(super) bytes: [u8; 11],
    pub(super) len: u8,
}

impl StartField {
    #[inline]
    pub(super) fn set(&mut self, millis: i64) {
        if millis != self.millis {
            self.encode(millis);
        }
    }

    #[cold]
    pub(super) fn encode(&mut self, millis: i64) {
        let mut bytes = Vec::with_capacity(11);
        if millis != 0 {
            bytes.push(0x18);
            put_varint(&mut bytes, millis.cast_unsigned());
        }
        self.millis = millis;
        self.len = bytes.len() as u8;
        if let Some(place) = self.bytes.get_mut(..bytes.len()) {
            place.copy_from_slice(&bytes);
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

impl Origin {
    /// Encodes the references of `origin`.
    #[cold]
    pub(super) fn enter(&mut self, numbers: &mut Numbers, interned: &Symbols, origin: &RefOrigin) {
        self.before = self.number;
        (self.number, self.run) = (origin.number, None);
        std::mem::swap(&mut self.text, &mut self.text_before);
        let shape_before = self.shape;
        self.text.clear();
        self.ends.clear();
        for label in origin.ids.chunks(2) {
            for id in label {
                numbers.put(interned, *id, &mut self.text);
            }
            self.ends.push(self.text.len() as u16);
        }
        let known = self.shapes.iter().position(|shape| *shape == self.ends);
        self.shape = known.unwrap_or(self.shapes.len()) as u32;
        if known.is_none() {
            self.shapes.push(self.ends.clone());
        }
        self.same.clear();
        if self.before == 0 || self.shape != shape_before {
            self.before = 0;
            return;
        }
        let mut start = 0;
        for end in self.ends.iter().map(|end| usize::from(*end)) {
            self.same.push(self.text.get(start..end) == self.text_before.get(start..end));
            start = end;
        }
    }

    /// Forgets the request. No origin has the number 0.
    pub(super) fn clear(&mut self) {
        (self.number, self.before) = (0, 0);
        self.shapes.clear();
    }

    /// The references of the labels from number `first` up to number `end`.
    #[inline]
    pub(super) fn labels(&self, first: u8, end: u8) -> &[u8] {
        let at =
            |labels: u8| usize::from(labels).checked_sub(1).and_then(|last| self.ends.get(last)).map_or(0, |end| *end);
        self.text.get(usize::from(at(first))..usize::from(at(end))).unwrap_or(&[])
    }

    /// Writes them, as far as possible by references to `from`, where those of the origin `of` stand.
    #[inline]
    pub(super) fn put(&mut self, out: &mut Elements<'_>, (first, end): (u8, u8), of: u32, mut from: usize) {
        if of == self.number {
            return out.copy(from, self.labels(first, end).len());
        }
        if of == self.before {
            for label in first..end {
                let piece = self.labels(label, label + 1);
                match self.same.get(usize::from(label)) {
                    Some(true) => out.copy(from, piece.len()),
                    _ => out.literal(piece),
                }
                from += piece.len();
            }
            return;
        }
        let at = out.position() as u32;
        let run = self.labels(first, end);
        match self.run {
            Some((of, to, from)) if (of, to) == (first, end) && run.len() >= 2 * SHORTEST => {
                out.copy(from as usize, run.len());
            }
            _ => {
                out.literal(run);
                self.run = Some((first, end, at));
            }
        }
    }
}

impl Spelled {
    /// Writes `bytes` and a value, with what they have in common with the one before as references to it.
    #[inline]
    pub(super) fn put(&self, out: &mut Elements<'_>, bytes: &[u8], bits: u64) {
        let value = bits.to_le_bytes();
        let Some(at) = self.at.map(|at| at as usize) else {
            out.literal(bytes);
            return out.literal(&value);
        };
        let before = self.bytes.as_slice();
        let most = bytes.len().min(before.len());
        let mut prefix = common_prefix(bytes, before);
        if prefix < SHORTEST {
            prefix = 0;
        }
        let suffix = common_suffix(bytes, before).min(most - prefix);
        out.copy(at, prefix);
        if suffix < SHORTEST {
            out.literal(bytes.get(prefix..).unwrap_or(&[]));
            return out.literal(&value);
        }
        let zeros = zero_bytes(bits).min(zero_bytes(self.bits));
        out.literal(bytes.get(prefix..bytes.len() - suffix).unwrap_or(&[]));
        out.copy(at + before.len() - suffix, suffix + zeros);
        out.literal(value.get(zeros..).unwrap_or(&[]));
    }
}

/// With how many bytes both begin.
#[inline]
pub(super) fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let words = a.chunks_exact(8).zip(b.chunks_exact(8));
    let mut same = 0;
    for (a, b) in words {
        let difference = word(a) ^ word(b);
        if difference != 0 {
            return same + (difference.trailing_zeros() / 8) as usize;
        }
        same += 8;
    }
    let rest = a.get(same..).unwrap_or_default().iter().zip(b.get(same..).unwrap_or_default());
    same + rest.take_while(|(a, b)| a == b).count()
}

/// With how many bytes both end.
#[inline]
pub(super) fn common_suffix(a: &[u8], b: &[u8]) -> usize {
    let words = a.rchunks_exact(8).zip(b.rchunks_exact(8));
    let mut same = 0;
    for (a, b) in words {
        let difference = word(a) ^ word(b);
        if difference != 0 {
            return same + (difference.leading_zeros() / 8) as usize;
        }
        same += 8;
    }
    let rest = |bytes: &[u8]| bytes.len() - same;
    let (a, b) = (a.get(..rest(a)).unwrap_or_default(), b.get(..rest(b)).unwrap_or_default());
    same + a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count()
}

/// Eight bytes, the first one lowest.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_le_bytes)
}

/// With how many zero bytes a value begins in wire order.
#[inline]
pub(super) fn zero_bytes(bits: u64) -> usize {
    // All of zero is zero bytes, and there are eight.
    (bits.trailing_zeros() / 8) as usize
}
