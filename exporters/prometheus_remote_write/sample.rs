//! One float sample in wire form.

use super::labels::Pieces;
use prometheus::number::{NORMAL_NAN_BITS, STALE_NAN_BITS};

/// Prometheus' staleness marker: a NaN with these bits.
pub(super) const STALE: f64 = f64::from_bits(STALE_NAN_BITS);

/// Every other NaN is sent as this one, as Prometheus does, so that none is taken for a marker.
const NORMAL_NAN: f64 = f64::from_bits(NORMAL_NAN_BITS);

/// A timestamp in the forms the loop needs.
#[derive(Clone, Copy)]
pub(super) struct Timestamp {
    pub(super) nanos: i64,
    pub(super) millis: i64,
    /// Everything of a float sample's field but the value: tag, length, tag, 8 bytes of value, timestamp.
    sample: [u8; SAMPLE_MAX],
    sample_len: u8,
}

/// Tag and length of the sample, tag and 8 bytes of the value, tag and up to ten bytes of the timestamp.
const SAMPLE_MAX: usize = 2 + 9 + 11;

impl Timestamp {
    pub(super) fn new(nanos: i64) -> Self {
        let millis = nanos / 1_000_000;
        let mut sample = [0; SAMPLE_MAX];
        let mut len = 11usize;
        let mut put = |byte: u8| {
            if let Some(place) = sample.get_mut(len) {
                *place = byte;
                len += 1;
            }
        };
        if millis != 0 {
            put(0x10);
            let mut rest = millis.cast_unsigned();
            while rest >= 0x80 {
                put((rest & 0x7f) as u8 | 0x80);
                rest >>= 7;
            }
            put(rest as u8);
        }
        sample[0] = 0x12;
        sample[1] = (len - 2) as u8;
        sample[2] = 0x09;
        Self { nanos, millis, sample, sample_len: len as u8 }
    }

    /// Bytes of a sample at this time.
    #[inline]
    pub(super) fn sample_len(&self) -> usize {
        usize::from(self.sample_len)
    }

    /// Tag and length of a sample at this time, and the tag of its value: the first byte is the lowest.
    #[inline]
    pub(super) fn value_head(&self) -> u128 {
        let [a, b, c, ..] = self.sample;
        u128::from(u32::from_le_bytes([a, b, c, 0]))
    }

    /// The timestamp field: tag and number, or nothing for zero.
    #[inline]
    pub(super) fn stamp(&self) -> &[u8] {
        self.sample.get(11..usize::from(self.sample_len)).unwrap_or(&[])
    }

    /// The same, the first byte being the lowest, and what is behind it.
    #[inline]
    pub(super) fn stamp_word(&self) -> u128 {
        // The last 16 of 22 bytes, of which the first five are of the value.
        self.sample.last_chunk::<16>().map_or(0, |bytes| u128::from_le_bytes(*bytes) >> (8 * 5))
    }

    /// The sample at this time whose value has these bits, and some bytes more.
    #[inline]
    pub(super) fn sample_of(&self, bits: u64) -> [u8; SAMPLE_MAX] {
        let mut sample = self.sample;
        sample[3..11].copy_from_slice(&bits.to_le_bytes());
        sample
    }
}

/// The value as it is sent.
#[inline]
pub(super) fn sent_value(value: f64) -> f64 {
    if value.is_nan() && value.to_bits() != STALE.to_bits() { NORMAL_NAN } else { value }
}

/// Tag and length of a `TimeSeries` of `len` bytes in a `WriteRequest`, and how many bytes they are.
#[inline]
pub(super) fn series_head(mut len: usize) -> ([u8; 11], usize) {
    let mut head = [0x0a; 11];
    let mut at = 1;
    for place in head.iter_mut().skip(1) {
        at += 1;
        if len < 0x80 {
            *place = len as u8;
            break;
        }
        *place = (len & 0x7f) as u8 | 0x80;
        len >>= 7;
    }
    (head, at)
}

/// How many bytes [`series_head`] has.
#[inline]
pub(super) fn series_head_len(len: usize) -> usize {
    1 + prometheus::remote_write::wire::encode::varint_len(len as u64)
}

/// Appends a `TimeSeries` with one float sample to a `WriteRequest`.
#[inline]
pub(super) fn append_sample(out: &mut Vec<u8>, labels: &Pieces<'_>, value: f64, time: &Timestamp) {
    let (head, head_len) = series_head(labels.len() + time.sample_len());
    out.extend_from_slice(head.get(..head_len).unwrap_or(&head));
    labels.append_to(out);
    append_sample_body(out, value, time);
}

#[inline]
pub(super) fn append_sample_body(out: &mut Vec<u8>, value: f64, time: &Timestamp) {
    let sample = time.sample_of(sent_value(value).to_bits());
    out.extend_from_slice(sample.get(..time.sample_len()).unwrap_or(&sample));
}
