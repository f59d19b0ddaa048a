//! Records: their header, and what makes one whole.
//!
//! | Offset | Bytes | |
//! |---|---|---|
//! | 0 | 4 | [`MAGIC`] |
//! | 4 | 4 | length of the payload |
//! | 8 | 8 | number of the record in the log |
//! | 16 | 8 | samples in all records before it |
//! | 24 | 8 | oldest timestamp, milliseconds |
//! | 32 | 8 | newest timestamp, milliseconds |
//! | 40 | 4 | samples |
//! | 44 | 1 | kind |
//! | 45 | 3 | zero |
//! | 48 | 4 | checksum of the payload |
//! | 52 | 4 | checksum of the 52 bytes before |
//!
//! Numbers are little-endian. Both checksums are seeded with the segment's number and the record's offset, so that
//! bytes that look like a record but stand somewhere else (in a payload, or after a misplaced write) are none.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What a reader that has lost its way looks for.
pub(crate) const MAGIC: [u8; 4] = [0xd7, 0x4f, 0x58, 0x0e];

/// Bytes of a header.
pub(crate) const HEADER_LEN: usize = 56;

/// The longest payload. Blocks of samples have some tens of kilobytes; a reader holds one in memory, so this bounds
/// what a damaged length can make it take.
pub const MAX_PAYLOAD: usize = 16 << 20;

/// What is appended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Record<'a> {
    /// The caller's own distinction.
    pub kind: u8,
    /// Samples in the payload, for counts and lags.
    pub samples: u32,
    /// Timestamp of the oldest sample in milliseconds since the Unix epoch; [`i64::MAX`] if there is none.
    pub oldest_ms: i64,
    /// Timestamp of the newest sample in milliseconds since the Unix epoch; [`i64::MAX`] if the record is not to age.
    pub newest_ms: i64,
    /// The contents, at most [`MAX_PAYLOAD`] bytes.
    pub payload: &'a [u8],
}

/// What stands before a payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Length of the payload in bytes.
    pub len: u32,
    /// Number of the record in the log, from 0.
    pub number: u64,
    /// Samples in all records before it.
    pub samples_before: u64,
    /// As in [`Record`].
    pub oldest_ms: i64,
    /// As in [`Record`].
    pub newest_ms: i64,
    /// As in [`Record`].
    pub samples: u32,
    /// As in [`Record`].
    pub kind: u8,
}

/// A header with the checksum of the payload it belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealed {
    pub(crate) header: Header,
    payload_sum: u32,
}

/// Binds checksums to a place.
fn seed(segment: u64, offset: u64) -> u64 {
    segment.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ offset
}

fn sum(bytes: &[u8], seed: u64) -> u32 {
    let wide = xxh3_64_with_seed(bytes, seed);
    (wide ^ (wide >> 32)) as u32
}

impl Header {
    /// The bytes of header and payload together.
    pub(crate) fn total(&self) -> u64 {
        HEADER_LEN as u64 + u64::from(self.len)
    }

    /// The header of `payload` at a place.
    pub(crate) fn encode(&self, payload: &[u8], segment: u64, offset: u64) -> [u8; HEADER_LEN] {
        let seed = seed(segment, offset);
        let mut out = [0; HEADER_LEN];
        out[..4].copy_from_slice(&MAGIC);
        out[4..8].copy_from_slice(&self.len.to_le_bytes());
        out[8..16].copy_from_slice(&self.number.to_le_bytes());
        out[16..24].copy_from_slice(&self.samples_before.to_le_bytes());
        out[24..32].copy_from_slice(&self.oldest_ms.to_le_bytes());
        out[32..40].copy_from_slice(&self.newest_ms.to_le_bytes());
        out[40..44].copy_from_slice(&self.samples.to_le_bytes());
        out[44] = self.kind;
        out[48..52].copy_from_slice(&sum(payload, seed).to_le_bytes());
        let own = sum(&out[..52], seed);
        out[52..].copy_from_slice(&own.to_le_bytes());
        out
    }
}

impl Sealed {
    /// The header that `bytes` begin with, if it is whole and stands where it was written.
    pub(crate) fn decode(bytes: &[u8], segment: u64, offset: u64) -> Option<Self> {
        let bytes: &[u8; HEADER_LEN] = bytes.first_chunk()?;
        if bytes[..4] != MAGIC || u32_at(bytes, 52) != sum(&bytes[..52], seed(segment, offset)) {
            return None;
        }
        let header = Header {
            len: u32_at(bytes, 4),
            number: u64_at(bytes, 8),
            samples_before: u64_at(bytes, 16),
            oldest_ms: u64_at(bytes, 24).cast_signed(),
            newest_ms: u64_at(bytes, 32).cast_signed(),
            samples: u32_at(bytes, 40),
            kind: bytes[44],
        };
        (header.len as usize <= MAX_PAYLOAD).then_some(Self { header, payload_sum: u32_at(bytes, 48) })
    }

    /// Whether this is the payload that was written with the header.
    pub(crate) fn fits(&self, payload: &[u8], segment: u64, offset: u64) -> bool {
        payload.len() == self.header.len as usize && sum(payload, seed(segment, offset)) == self.payload_sum
    }
}

/// The number at `at`; 0 beyond the end, which no caller asks for.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |chunk| u32::from_le_bytes(*chunk))
}

/// The number at `at`; 0 beyond the end, which no caller asks for.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |chunk| u64::from_le_bytes(*chunk))
}
