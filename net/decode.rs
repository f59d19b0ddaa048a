//! One-shot gzip: what a scrape's body and a small request need, with a hard limit on the output.
//!
//! Whole bodies are in memory anyway, so a streaming inflater would only cost time: the one-shot decoder is
//! about twice as fast. The size that a gzip member claims for itself (ISIZE, RFC 1952 section 2.3.1) is used to
//! size the output at the first try and never believed: the limit holds whatever the stream says.

use std::cell::RefCell;
use std::io::Read;

use libdeflater::{CompressionLvl, Compressor, DecompressionError, Decompressor};

/// The largest ratio by which deflate can grow its input: 258 bytes out of two bits, rounded up.
const MAX_DEFLATE_RATIO: usize = 1032;
/// Header (10 bytes) and trailer (8 bytes) of the smallest gzip member.
const MIN_MEMBER: usize = 18;
/// The first three bytes of every gzip member: magic number and the only method there is, deflate.
const MEMBER_START: [u8; 3] = [0x1f, 0x8b, 0x08];

/// Why compressed bytes could not be turned into plain ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The stream is not well formed, is cut short, or fails its checksum.
    #[error("invalid {encoding} data")]
    Invalid {
        /// The encoding that was expected, as in `Content-Encoding`.
        encoding: &'static str,
    },
    /// The plain bytes are more than the caller allows.
    #[error("decompressed body exceeds the limit of {limit} bytes")]
    LimitExceeded {
        /// The limit that was given, in bytes.
        limit: usize,
    },
}

thread_local! {
    // A decompressor holds about 10 KiB of tables: one per thread instead of one per body.
    static DECOMPRESSOR: RefCell<Decompressor> = RefCell::new(Decompressor::new());
}

/// Replaces the contents of `out` with the plain bytes of the gzip stream `compressed`, which may consist of
/// several members.
///
/// At most `limit` bytes are written; `out` is kept for its capacity, so hand in the same one again and again.
/// After an error `out` is empty.
///
/// # Errors
/// [`DecodeError::Invalid`] for anything that is not a complete gzip stream, [`DecodeError::LimitExceeded`] when
/// the plain bytes are more than `limit`.
pub fn gunzip(compressed: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<(), DecodeError> {
    let result = match gunzip_single(compressed, out, limit) {
        Ok(true) => Ok(()),
        Ok(false) => gunzip_members(compressed, out, limit),
        Err(error) => Err(error),
    };
    if result.is_err() {
        out.clear();
    }
    result
}

/// Compresses `plain` into one gzip member.
///
/// `level` runs from 1 (fast) to 12 (small); anything outside is moved to the nearest bound.
#[must_use]
pub fn gzip_compress(plain: &[u8], level: i32) -> Vec<u8> {
    let level = CompressionLvl::new(level.clamp(1, 12)).unwrap_or_default();
    let mut compressor = Compressor::new(level);
    let mut out = vec![0; compressor.gzip_compress_bound(plain.len())];
    // The bound is what the format can need at most, so that the only error there is (no space) cannot occur.
    let written = compressor.gzip_compress(plain, &mut out).unwrap_or(0);
    out.truncate(written);
    out
}

/// Decodes a stream that is one member; `false` says that it may be several and needs the slow way.
fn gunzip_single(compressed: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<bool, DecodeError> {
    let invalid = DecodeError::Invalid { encoding: "gzip" };
    if compressed.len() < MIN_MEMBER || !compressed.starts_with(&MEMBER_START) {
        return Err(invalid);
    }
    let claimed = trailing_size(compressed);
    // What deflate could make of this input at most: a claim beyond it is a lie.
    let possible = compressed.len().saturating_mul(MAX_DEFLATE_RATIO);
    let mut size = claimed.min(possible).min(limit).max(64.min(limit));
    loop {
        // Not cleared first: only what the buffer grows by has to be zeroed.
        out.resize(size, 0);
        let result = DECOMPRESSOR.with_borrow_mut(|inflater| inflater.gzip_decompress(compressed, out));
        match result {
            Ok(written) => {
                out.truncate(written);
                break;
            }
            Err(DecompressionError::BadData) => return Err(invalid),
            Err(DecompressionError::InsufficientSpace) if size >= limit => {
                return Err(DecodeError::LimitExceeded { limit });
            }
            Err(DecompressionError::InsufficientSpace) => {
                size = size.saturating_mul(2).min(limit).max(1);
            }
        }
    }
    // The decoder stops behind the first member and does not say where. The claim at the end belongs to it only if
    // no other member follows, and none can follow if its first bytes occur nowhere.
    let sized_right = out.len() & 0xffff_ffff == claimed;
    Ok(sized_right && !contains_member_start(compressed.get(MIN_MEMBER..).unwrap_or_default()))
}

/// Decodes member by member. About half as fast, and needed for one body in some hundreds.
fn gunzip_members(compressed: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<(), DecodeError> {
    out.clear();
    let allowed = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut reader = flate2::read::MultiGzDecoder::new(compressed).take(allowed);
    reader.read_to_end(out).map_err(|_| DecodeError::Invalid { encoding: "gzip" })?;
    if out.len() > limit {
        return Err(DecodeError::LimitExceeded { limit });
    }
    Ok(())
}

fn trailing_size(compressed: &[u8]) -> usize {
    compressed.last_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize)
}

fn contains_member_start(bytes: &[u8]) -> bool {
    memchr::memmem::find(bytes, &MEMBER_START).is_some()
}

#[cfg(test)]
mod tests;
