//! Payloads: a snappy block.

use super::MAX_RAW;

/// Compresses payloads, with buffers that are kept.
#[derive(Debug)]
pub(super) struct Packer {
    encoder: snap::raw::Encoder,
    packed: Vec<u8>,
}

impl Default for Packer {
    fn default() -> Self {
        Self { encoder: snap::raw::Encoder::new(), packed: Vec::new() }
    }
}

impl Packer {
    /// The payload of `raw`.
    pub(super) fn pack(&mut self, raw: &[u8]) -> &[u8] {
        let room = snap::raw::max_compress_len(raw.len());
        if self.packed.len() < room {
            self.packed.resize(room, 0);
        }
        // It fails for inputs beyond 4 GiB, and blocks end long before. What is empty is refused by readers.
        let len = self.encoder.compress(raw, &mut self.packed).unwrap_or(0);
        self.packed.get(..len).unwrap_or_default()
    }
}

/// What was compressed into `payload`, in `raw`; `None` if that is no payload of ours.
pub(super) fn unpack<'a>(payload: &[u8], raw: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    let len = snap::raw::decompress_len(payload).ok().filter(|len| *len <= MAX_RAW)?;
    // A block of snappy is at most some 21 times as long as what it is compressed to.
    if len > payload.len().saturating_mul(64) {
        return None;
    }
    raw.clear();
    raw.resize(len, 0);
    let len = snap::raw::Decoder::new().decompress(payload, raw).ok()?;
    raw.get(..len)
}
