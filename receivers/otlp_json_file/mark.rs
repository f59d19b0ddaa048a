//! By what a file is known again: by what is in it where reading stopped, since names and inodes are given anew.

use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// Bytes at the beginning, and before the place where reading stopped, that are compared. Lines of one sender begin
/// alike, but what comes before a certain place has times in it.
const COMPARED: usize = 1024;

/// How far a file has been read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// Where the next line begins.
    pub(super) offset: u64,
    /// How many lines come before it.
    pub(super) lines: u64,
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Mark {
    /// A mark at a place of a file.
    pub(super) fn at(file: &File, offset: u64, lines: u64) -> io::Result<Self> {
        let head = read_at(file, 0, offset)?;
        let before = offset.saturating_sub(COMPARED as u64);
        let tail = read_at(file, before, offset - before)?;
        Ok(Self { offset, lines, head, tail })
    }

    /// Whether a file has what was read up to here.
    pub(super) fn fits(&self, file: &File) -> io::Result<bool> {
        // A mark may have been kept in a file, in which anything may stand.
        let before = self.offset.checked_sub(self.tail.len() as u64);
        let Some(before) = before.filter(|_| self.head.len() <= COMPARED && self.tail.len() <= COMPARED) else {
            return Ok(false);
        };
        if file.metadata()?.len() < self.offset {
            return Ok(false);
        }
        Ok(read_at(file, 0, self.head.len() as u64)? == self.head
            && read_at(file, before, self.tail.len() as u64)? == self.tail)
    }
}

/// Up to [`COMPARED`] bytes, fewer at the end of the file.
fn read_at(file: &File, at: u64, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(most).unwrap_or(COMPARED).min(COMPARED)];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
