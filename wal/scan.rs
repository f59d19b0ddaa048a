//! Finding records in a segment, whole or damaged.

use crate::record::{HEADER_LEN, Header, MAGIC, Sealed};
use memchr::memmem::Finder;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// How much is read at once: several records, and little enough to stay in a core's cache.
const CHUNK: u64 = 128 << 10;

/// A buffer beyond this is given back once the record that needed it is done.
const KEPT: usize = 1 << 20;

/// What stands at an offset.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found {
    /// A whole record.
    Whole(Header),
    /// A header that is whole, with a payload that is not: the next record is behind it.
    Damaged(Header),
    /// Nothing that can be trusted, or no room for a record.
    Nothing,
}

/// A segment and the part of it that is in memory.
#[derive(Debug)]
pub(crate) struct Window {
    file: File,
    segment: u64,
    buffer: Vec<u8>,
    /// Where the buffer's first byte stands.
    start: u64,
}

impl Window {
    pub(crate) fn open(path: &Path, segment: u64) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, segment, buffer: Vec::new(), start: 0 })
    }

    /// The number of the segment.
    pub(crate) fn segment(&self) -> u64 {
        self.segment
    }

    /// What stands at `offset` of a segment whose records end at `limit`.
    pub(crate) fn find(&mut self, offset: u64, limit: u64) -> io::Result<Found> {
        let segment = self.segment;
        let Some(sealed) = Sealed::decode(self.bytes(offset, HEADER_LEN as u64, limit)?, segment, offset) else {
            return Ok(Found::Nothing);
        };
        let total = sealed.header.total();
        if total > limit.saturating_sub(offset) {
            return Ok(Found::Nothing);
        }
        let whole = self.bytes(offset, total, limit)?;
        let payload = whole.get(HEADER_LEN..total as usize).unwrap_or_default();
        Ok(if sealed.fits(payload, segment, offset) {
            Found::Whole(sealed.header)
        } else {
            Found::Damaged(sealed.header)
        })
    }

    /// The header at `offset`, if it can be trusted, whatever became of its payload.
    pub(crate) fn header(&mut self, offset: u64, limit: u64) -> io::Result<Option<Header>> {
        let segment = self.segment;
        let sealed = Sealed::decode(self.bytes(offset, HEADER_LEN as u64, limit)?, segment, offset);
        Ok(sealed.map(|sealed| sealed.header))
    }

    /// The payload of the record that [`Window::find`] has found at `offset`.
    pub(crate) fn payload(&mut self, offset: u64, header: &Header) -> io::Result<&[u8]> {
        let total = header.total();
        Ok(self.bytes(offset, total, offset + total)?.get(HEADER_LEN..total as usize).unwrap_or_default())
    }

    /// Where the next header is that can be trusted, from `from` on.
    pub(crate) fn resync(&mut self, mut from: u64, limit: u64) -> io::Result<Option<u64>> {
        let magic = Finder::new(&MAGIC);
        let segment = self.segment;
        while limit.saturating_sub(from) >= HEADER_LEN as u64 {
            let bytes = self.bytes(from, CHUNK.min(limit - from), limit)?;
            if bytes.len() < HEADER_LEN {
                break;
            }
            for at in magic.find_iter(bytes) {
                let rest = bytes.get(at..).unwrap_or_default();
                if Sealed::decode(rest, segment, from + at as u64).is_some() {
                    return Ok(Some(from + at as u64));
                }
            }
            // A header may begin in the bytes that are too few for one: they are looked at again.
            from += (bytes.len() - (HEADER_LEN - 1)) as u64;
        }
        Ok(None)
    }

    /// At least `want` bytes from `offset`, or as many as there are before `limit` and the end of the file.
    fn bytes(&mut self, offset: u64, want: u64, limit: u64) -> io::Result<&[u8]> {
        let want = want.min(limit.saturating_sub(offset));
        let have = self.start + self.buffer.len() as u64;
        if offset < self.start || offset + want > have {
            if self.buffer.capacity() > KEPT {
                self.buffer = Vec::new();
            }
            self.buffer.clear();
            self.start = offset;
            let size = want.max(CHUNK).min(limit.saturating_sub(offset));
            self.file.seek(SeekFrom::Start(offset))?;
            self.buffer.reserve(usize::try_from(size).unwrap_or(0));
            (&self.file).take(size).read_to_end(&mut self.buffer)?;
        }
        let at = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        let bytes = self.buffer.get(at..).unwrap_or_default();
        let most = usize::try_from(limit.saturating_sub(offset)).unwrap_or(usize::MAX);
        Ok(bytes.get(..most).unwrap_or(bytes))
    }
}
