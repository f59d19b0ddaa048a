//! The snappy block format around every remote-write body.
//!
//! [`SnappyBlockWriter`] compresses a request while it is being built: raw bytes gather in a window of
//! 64 KiB that stays in the processor's cache, and each full window becomes one compressed piece. A
//! request of several megabytes thus never exists in its raw form. [`decode_block`] is the receiver's
//! side, with a limit.

use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use super::wire::encode::{put_varint, varint_len};

mod elements;
mod prepared;

use elements::Pending;
pub use elements::{Elements, SHORT};
pub use prepared::{PADDING, Prepared, Preparing};

/// Size of a piece. The format's reference encoder compresses 64 KiB at a time and lets no copy reach
/// outside, which is what allows pieces to be joined.
const PIECE_LEN: usize = 64 * 1024;

/// Room in front of the pieces. A piece is compressed together with its own length prefix, which is not
/// wanted; it overlaps the end of what comes before, and that is put back. Three bytes hold 65,536.
const PREFIX_LEN: usize = 3;

/// The most raw bytes that one snappy block can hold: its length is a 32-bit number.
pub const MAX_RAW_LEN: usize = u32::MAX as usize;

/// The most that a block can grow when it is decompressed: its densest element makes 64 bytes out of
/// three. A prefix that promises more is a lie, and no memory is set aside for it.
const MAX_EXPANSION: usize = 22;

/// Why a snappy block was not written or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnappyError {
    /// The block promises more bytes than the limit allows.
    #[error("snappy block holds {len} bytes uncompressed, more than the limit of {limit} bytes: send smaller requests")]
    OverLimit {
        /// Uncompressed length that the block claims.
        len: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The block promises more bytes than its size can hold.
    #[error(
        "snappy block of {compressed} bytes claims {len} bytes uncompressed, which cannot be: the body is corrupt or not snappy block format"
    )]
    Impossible {
        /// Uncompressed length that the block claims.
        len: usize,
        /// Size of the block.
        compressed: usize,
    },
    /// The block is damaged, or is not a snappy block.
    #[error("body is not a valid snappy block: {0}")]
    Corrupt(String),
    /// More raw bytes were written than a block can hold.
    #[error("request of {len} bytes is larger than a snappy block can be, {MAX_RAW_LEN} bytes: send smaller requests")]
    TooLarge {
        /// Raw length of the request.
        len: usize,
    },
}

/// Writes one snappy block after another, each from raw bytes given a few at a time.
///
/// Buffers are kept between blocks. The memory held is the window (64 KiB and the longest single
/// write), the encoder's table (32 KiB), and the largest compressed block so far.
pub struct SnappyBlockWriter {
    window: Vec<u8>,
    /// Compressed pieces and elements in `..packed_len`; behind that, old bytes that the next ones overwrite, so
    /// that the room does not have to be zeroed for every piece.
    packed: Vec<u8>,
    packed_len: usize,
    /// Raw bytes already in `packed`.
    packed_raw: usize,
    /// Counted in `packed_raw`, and not in `packed` yet.
    pending: Pending,
    encoder: Encoder,
}

impl Default for SnappyBlockWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for SnappyBlockWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnappyBlockWriter")
            .field("raw_len", &self.raw_len())
            .field("compressed_len", &self.compressed_len())
            .finish_non_exhaustive()
    }
}

impl SnappyBlockWriter {
    /// A writer without content. Buffers are allocated when they are first needed.
    #[must_use]
    pub fn new() -> Self {
        Self {
            window: Vec::new(),
            packed: Vec::new(),
            packed_len: PREFIX_LEN,
            packed_raw: 0,
            pending: Pending::default(),
            encoder: Encoder::new(),
        }
    }

    /// Lets `append` add raw bytes at the end of the given buffer (and do nothing else to it), then
    /// compresses what has become a full window.
    #[inline]
    pub fn write(&mut self, append: impl FnOnce(&mut Vec<u8>)) {
        self.write_pending();
        append(&mut self.window);
        if self.window.len() >= PIECE_LEN {
            self.pack_full_pieces();
        }
    }

    /// Adds raw bytes.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        self.write(|window| window.extend_from_slice(bytes));
    }

    /// Raw bytes written since the last block was finished.
    #[inline]
    #[must_use]
    pub fn raw_len(&self) -> usize {
        self.packed_raw + self.window.len()
    }

    /// Compressed bytes so far, without those still in the window (less than 64 KiB of raw bytes).
    #[inline]
    #[must_use]
    pub fn compressed_len(&self) -> usize {
        self.packed_len - PREFIX_LEN
    }

    /// Whether nothing was written since the last block was finished.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.raw_len() == 0
    }

    /// Appends the finished block to `out` and starts the next one. A writer without content gives the
    /// block of the empty string.
    ///
    /// # Errors
    /// [`SnappyError::TooLarge`] when more than [`MAX_RAW_LEN`] bytes were written; they are discarded.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), SnappyError> {
        Self::finish_all([self], out)
    }

    /// Appends one block of what all of `writers` hold, one behind the other, and starts their next ones. What repeats
    /// something names it by its distance, so that pieces keep their meaning wherever they stand.
    ///
    /// # Errors
    /// [`SnappyError::TooLarge`] when more than [`MAX_RAW_LEN`] bytes were written; they are discarded.
    pub fn finish_all<const N: usize>(mut writers: [&mut Self; N], out: &mut Vec<u8>) -> Result<(), SnappyError> {
        let len: usize = writers.iter().map(|writer| writer.raw_len()).sum();
        if len > MAX_RAW_LEN {
            writers.iter_mut().for_each(|writer| writer.clear());
            return Err(SnappyError::TooLarge { len });
        }
        let mut packed = varint_len(len as u64);
        for writer in &mut writers {
            writer.write_pending();
            writer.pack_piece(writer.window.len());
            packed += writer.compressed_len();
        }
        out.reserve(packed);
        put_varint(out, len as u64);
        for writer in writers {
            out.extend_from_slice(writer.packed.get(PREFIX_LEN..writer.packed_len).unwrap_or_default());
            writer.clear();
        }
        Ok(())
    }

    /// Bytes that the block has at most if it is finished now.
    #[inline]
    #[must_use]
    pub fn compressed_len_bound(&self) -> usize {
        let window = if self.window.is_empty() { 0 } else { max_compress_len(self.window.len()) };
        self.compressed_len() + window + self.pending.encoded_len_bound()
    }

    /// Discards what was written since the last block was finished; keeps the buffers.
    pub fn clear(&mut self) {
        self.window.clear();
        self.packed_len = PREFIX_LEN;
        self.packed_raw = 0;
        self.pending = Pending::default();
    }

    /// Lets bytes follow as snappy elements that the caller chooses: see [`Elements`].
    #[inline]
    pub fn elements(&mut self) -> Elements<'_> {
        if !self.window.is_empty() {
            self.pack_window();
        }
        Elements::new(self)
    }

    #[inline]
    fn write_pending(&mut self) {
        if !self.pending.is_empty() {
            Elements::new(self).close_copy();
        }
    }

    #[cold]
    #[inline(never)]
    fn pack_window(&mut self) {
        self.pack_piece(self.window.len());
        self.window.clear();
    }

    #[cold]
    #[inline(never)]
    fn pack_full_pieces(&mut self) {
        let mut start = 0;
        while self.window.len() - start >= PIECE_LEN {
            self.pack_range(start, start + PIECE_LEN);
            start += PIECE_LEN;
        }
        // What remains is shorter than one write: moving it costs next to nothing.
        let rest = self.window.len() - start;
        self.window.copy_within(start.., 0);
        self.window.truncate(rest);
    }

    /// Compresses the first `len` bytes of the window, which are all there are.
    fn pack_piece(&mut self, len: usize) {
        if len > 0 {
            self.pack_range(0, len);
        }
    }

    fn pack_range(&mut self, start: usize, end: usize) {
        let piece = &self.window[start..end];
        let room = self.packed_len + max_compress_len(piece.len());
        if self.packed.len() < room {
            self.packed.resize(room, 0);
        }
        let prefix = varint_len(piece.len() as u64);
        let at = self.packed_len - prefix;
        let mut before = [0; PREFIX_LEN];
        before[..prefix].copy_from_slice(&self.packed[at..self.packed_len]);
        match self.encoder.compress(piece, &mut self.packed[at..]) {
            Ok(written) => self.packed_len = at + written,
            // The encoder refuses only input or output of a wrong size, which the lines above rule
            // out. Should that change, the bytes still go out, as a literal.
            Err(_) => self.packed_len = put_literal(&mut self.packed, self.packed_len, piece),
        }
        self.packed[at..at + prefix].copy_from_slice(&before[..prefix]);
        self.packed_raw += piece.len();
    }
}

/// Writes `piece` (1 to 65,536 bytes) at `at` as one uncompressed element; the end of it.
fn put_literal(packed: &mut [u8], at: usize, piece: &[u8]) -> usize {
    /// Element type "literal" whose length less one follows in two bytes.
    const LITERAL_TWO_BYTES: u8 = 61 << 2;
    let [low, high, ..] = (piece.len() - 1).to_le_bytes();
    let body = at + 3;
    packed[at..body].copy_from_slice(&[LITERAL_TWO_BYTES, low, high]);
    packed[body..body + piece.len()].copy_from_slice(piece);
    body + piece.len()
}

/// Replaces `out` with the content of a snappy block of at most `limit` bytes. The length that the
/// block promises is checked before memory is set aside.
///
/// # Errors
/// When the block is larger than the limit, or is not a valid snappy block; `out` is then empty.
pub fn decode_block(block: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), SnappyError> {
    let decoded = try_decode(block, limit, out);
    if decoded.is_err() {
        out.clear();
    }
    decoded
}

fn try_decode(block: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), SnappyError> {
    if block.is_empty() {
        return Err(SnappyError::Corrupt("it is empty".to_owned()));
    }
    let corrupt = |error: snap::Error| SnappyError::Corrupt(error.to_string());
    let len = decompress_len(block).map_err(corrupt)?;
    if len > limit {
        return Err(SnappyError::OverLimit { len, limit });
    }
    if len > block.len().saturating_mul(MAX_EXPANSION) {
        return Err(SnappyError::Impossible { len, compressed: block.len() });
    }
    out.resize(len, 0);
    let written = Decoder::new().decompress(block, out).map_err(corrupt)?;
    out.truncate(written);
    Ok(())
}

#[cfg(test)]
mod tests;
