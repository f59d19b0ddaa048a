//! Pieces of a time series that repeat: the references of an origin, the metadata of a family, the time since which a series
//! counts.

use super::numbers::Numbers;
use super::tables::{RefMetadata, RefOrigin};
use prometheus::remote_write::wire::MetricType;
use prometheus::remote_write::wire::encode::put_varint;
use prometheus::remote_write::wire::v2::{Symbols, put_metadata};

/// The origin whose points are being written.
#[derive(Debug, Default)]
pub(super) struct Origin {
    pub(super) number: u32,
    /// Its references, encoded.
    text: Vec<u8>,
    /// Where in the text each label ends.
    ends: Vec<u16>,
}

/// The encoded metadata, which the series of a family share.
#[derive(Debug, Default)]
pub(super) struct About {
    pub(super) of: Option<RefMetadata>,
    bytes: Vec<u8>,
    word: u128,
}

/// The encoded start timestamp, which many samples share.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StartField {
    pub(super) millis: i64,
    word: u128,
    len: u8,
}

impl StartField {
    #[inline]
    pub(super) fn set(&mut self, millis: i64) {
        if millis != self.millis {
            self.encode(millis);
        }
    }

    #[cold]
    fn encode(&mut self, millis: i64) {
        let mut bytes = Vec::with_capacity(11);
        if millis != 0 {
            bytes.push(0x18);
            put_varint(&mut bytes, millis.cast_unsigned());
        }
        (self.millis, self.word, self.len) = (millis, word_of(&bytes), bytes.len() as u8);
    }

    /// Tag and number, the first byte being the lowest; nothing for zero.
    #[inline]
    pub(super) fn word(&self) -> u128 {
        self.word
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        usize::from(self.len)
    }
}

impl About {
    #[inline]
    pub(super) fn set(&mut self, numbers: &mut Numbers, interned: &Symbols, of: Option<RefMetadata>) {
        if of != self.of {
            self.encode(numbers, interned, of);
        }
    }

    fn encode(&mut self, numbers: &mut Numbers, interned: &Symbols, of: Option<RefMetadata>) {
        self.clear();
        self.of = of;
        if let Some(RefMetadata { kind, help, unit }) = of {
            let (help, unit) = (numbers.of(interned, help), numbers.of(interned, unit));
            put_metadata(&mut self.bytes, MetricType::from_number(kind.into()), help, unit);
            self.word = word_of(&self.bytes);
        }
    }

    /// Forgets the request.
    pub(super) fn clear(&mut self) {
        self.of = None;
        self.bytes.clear();
    }

    /// All of it, the first byte being the lowest: tag and length, a number of one byte and two of up to five, each with its
    /// tag, are 16 bytes at most.
    #[inline]
    pub(super) fn word(&self) -> u128 {
        self.word
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// Up to 16 bytes as a number, the first being the lowest.
fn word_of(bytes: &[u8]) -> u128 {
    bytes.iter().take(16).rev().fold(0, |word, byte| word << 8 | u128::from(*byte))
}

impl Origin {
    /// Encodes the references of `origin`.
    #[cold]
    pub(super) fn enter(&mut self, numbers: &mut Numbers, interned: &Symbols, origin: &RefOrigin) {
        self.number = origin.number;
        self.text.clear();
        self.ends.clear();
        for label in origin.ids.chunks(2) {
            for id in label {
                numbers.put(interned, *id, &mut self.text);
            }
            self.ends.push(self.text.len() as u16);
        }
    }

    /// Forgets the request. No origin has the number 0.
    pub(super) fn clear(&mut self) {
        self.number = 0;
    }

    /// The references of the labels from number `first` up to number `end`.
    #[inline]
    pub(super) fn labels(&self, first: u8, end: u8) -> &[u8] {
        let at =
            |labels: u8| usize::from(labels).checked_sub(1).and_then(|last| self.ends.get(last)).map_or(0, |end| *end);
        self.text.get(usize::from(at(first))..usize::from(at(end))).unwrap_or(&[])
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
