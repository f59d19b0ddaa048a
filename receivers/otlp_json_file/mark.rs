//! By what a file is known again: by what is in it where reading stopped, since names and inodes are given anew.

use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use xxhash_rust::xxh3::xxh3_128;

/// Bytes at the beginning, and before the place where reading stopped, that are compared. Lines of one sender begin
/// alike, but what comes before a certain place has times in it.
const COMPARED: u64 = 1024;

/// How far a file has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// Where the next line begins.
    pub(super) offset: u64,
    /// How many lines come before it.
    pub(super) lines: u64,
    head: Sum,
    tail: Sum,
}

/// Some bytes, by their number and hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sum {
    len: u64,
    hash: (u64, u64),
}

impl Mark {
    /// A mark at a place of a file.
    pub(super) fn at(file: &File, offset: u64, lines: u64) -> io::Result<Self> {
        let before = offset.saturating_sub(COMPARED);
        Ok(Self { offset, lines, head: Sum::of(file, 0, offset)?, tail: Sum::of(file, before, offset - before)? })
    }

    /// Whether a file has what was read up to here.
    pub(super) fn fits(&self, file: &File) -> io::Result<bool> {
        // A mark may have been kept in a file, in which anything may stand.
        let Some(before) = self.offset.checked_sub(self.tail.len) else { return Ok(false) };
        Ok(file.metadata()?.len() >= self.offset
            && Sum::of(file, 0, self.head.len)? == self.head
            && Sum::of(file, before, self.tail.len)? == self.tail)
    }
}

impl Sum {
    /// Of up to [`COMPARED`] bytes, fewer at the end of the file.
    fn of(file: &File, at: u64, most: u64) -> io::Result<Self> {
        let mut bytes = [0; COMPARED as usize];
        let most = usize::try_from(most.min(COMPARED)).unwrap_or_default();
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..most).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, at + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if filled == 0 {
            // As where nothing was read yet.
            return Ok(Self::default());
        }
        let hash = xxh3_128(bytes.get(..filled).unwrap_or_default());
        Ok(Self { len: filled as u64, hash: ((hash >> 64) as u64, hash as u64) })
    }
}
