//! One file that is read line by line while it grows.

use super::mark::Mark;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Bytes that are read at once.
const CHUNK: usize = 256 << 10;
/// Bytes of one file that are read before others have their turn.
const TURN: usize = 1 << 20;

/// A line, or what stands in its place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line without its end.
    Text(Vec<u8>),
    /// A line that is longer than may be, which was passed over.
    TooLong,
}

/// A line and where it stood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) line: Line,
    /// From 1.
    pub(super) number: u64,
    /// Where the next one begins.
    pub(super) end: u64,
}

/// A file that is being read.
#[derive(Debug)]
pub(super) struct Tail {
    file: File,
    pub(super) path: PathBuf,
    /// Device and inode.
    pub(super) identity: (u64, u64),
    /// How far it has been read.
    offset: u64,
    /// Where the line that is being read began.
    line_start: u64,
    /// Lines before that.
    pub(super) lines: u64,
    /// The beginning of a line whose end is not there yet.
    partial: Vec<u8>,
    /// The line that is being read is not to be taken: it is too long, or its beginning was not read.
    passing: Option<Passing>,
    /// Whether no name leads to it any more.
    pub(super) gone: bool,
    /// Size and time of change when nothing was left to be read.
    seen: Option<(u64, SystemTime)>,
    /// What it was known by then.
    mark: Mark,
}

/// Why a line is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passing {
    TooLong,
    /// Reading began in the middle of it.
    NotFromItsBeginning,
}

impl Tail {
    /// Opens a file; nothing of it has been read.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        Ok(Self {
            file,
            path: path.to_owned(),
            identity: (metadata.dev(), metadata.ino()),
            offset: 0,
            line_start: 0,
            lines: 0,
            partial: Vec::new(),
            passing: None,
            gone: false,
            seen: None,
            mark: Mark::default(),
        })
    }

    /// Goes to a place where a line begins.
    pub(super) fn resume(&mut self, mark: &Mark) {
        (self.offset, self.line_start, self.lines) = (mark.offset, mark.offset, mark.lines);
        self.mark = *mark;
    }

    /// Goes to the end, passing over what is there, the beginning of an unfinished line included.
    pub(super) fn skip_to_end(&mut self) -> io::Result<()> {
        let size = self.file.metadata()?.len();
        let mut last = [0];
        if size > 0 && self.file.read_at(&mut last, size - 1)? == 1 && last != *b"\n" {
            self.passing = Some(Passing::NotFromItsBeginning);
        }
        (self.offset, self.line_start) = (size, size);
        self.mark = Mark::at(&self.file, size, 0)?;
        Ok(())
    }

    /// Whether this mark was made in this file.
    pub(super) fn is_marked_by(&self, mark: &Mark) -> io::Result<bool> {
        mark.fits(&self.file)
    }

    /// How far lines have been read whole.
    pub(super) fn mark(&self) -> Mark {
        self.mark
    }

    /// A mark at a place up to which lines were read.
    pub(super) fn mark_at(&self, offset: u64, lines: u64) -> io::Result<Mark> {
        Mark::at(&self.file, offset, lines)
    }

    /// Begins anew if what was read is not there any more: somebody has cut the file off, and perhaps written to it again.
    /// Says so if it has.
    pub(super) fn notice_truncation(&mut self) -> io::Result<bool> {
        let metadata = self.file.metadata()?;
        let now = (metadata.len(), metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH));
        if self.seen == Some(now) {
            return Ok(false);
        }
        self.seen = Some(now);
        if metadata.len() >= self.offset && self.mark.fits(&self.file)? {
            return Ok(false);
        }
        (self.offset, self.line_start, self.lines) = (0, 0, 0);
        self.partial = Vec::new();
        self.passing = None;
        self.mark = Mark::default();
        Ok(true)
    }

    /// Reads lines, not more than fit a turn. Says whether there may be more.
    pub(super) fn read(&mut self, max_line: usize, found: &mut VecDeque<Found>) -> io::Result<bool> {
        let mut chunk = vec![0; CHUNK];
        let mut taken = 0;
        while taken < TURN {
            let count = match self.file.read_at(&mut chunk, self.offset) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if count == 0 {
                self.remember()?;
                return Ok(false);
            }
            // Asked behind the bytes: what was cut off and written to again since the last look has others at this place.
            if !self.mark.fits(&self.file)? {
                self.seen = None;
                return Ok(false);
            }
            taken += count;
            self.split(chunk.get(..count).unwrap_or_default(), max_line, found);
        }
        self.remember()?;
        Ok(true)
    }

    /// What this file is known by after what was read.
    fn remember(&mut self) -> io::Result<()> {
        if self.mark.offset != self.line_start {
            let mark = Mark::at(&self.file, self.line_start, self.lines)?;
            if self.mark.fits(&self.file)? {
                self.mark = mark;
            } else {
                // It was made of other bytes than were read. The next look finds that out by the old one.
                self.seen = None;
            }
        }
        Ok(())
    }

    fn split(&mut self, chunk: &[u8], max_line: usize, found: &mut VecDeque<Found>) {
        let mut rest = chunk;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (head, tail) = (rest.get(..end).unwrap_or_default(), rest.get(end + 1..).unwrap_or_default());
            self.offset += end as u64 + 1;
            self.append(head, max_line);
            self.finish(found);
            rest = tail;
        }
        self.offset += rest.len() as u64;
        self.append(rest, max_line);
    }

    fn append(&mut self, part: &[u8], max_line: usize) {
        if self.passing.is_some() {
            return;
        }
        if self.partial.len() + part.len() > max_line {
            self.partial = Vec::new();
            self.passing = Some(Passing::TooLong);
            return;
        }
        self.partial.extend_from_slice(part);
    }

    /// A line has ended at the current offset.
    fn finish(&mut self, found: &mut VecDeque<Found>) {
        self.lines += 1;
        self.line_start = self.offset;
        let mut text = std::mem::take(&mut self.partial);
        let line = match self.passing.take() {
            Some(Passing::NotFromItsBeginning) => return,
            Some(Passing::TooLong) => Line::TooLong,
            None => {
                if text.last() == Some(&b'\r') {
                    text.pop();
                }
                Line::Text(text)
            }
        };
        found.push_back(Found { line, number: self.lines, end: self.offset });
    }

    /// The last line if it lacks only its end, and `is_whole` says that nothing else is missing. To be asked when nothing more
    /// comes.
    pub(super) fn finish_last(&mut self, is_whole: impl FnOnce(&[u8]) -> bool) -> Option<Found> {
        if self.partial.is_empty() || !is_whole(&self.partial) {
            return None;
        }
        let mut found = VecDeque::new();
        self.finish(&mut found);
        // A line's end that comes later ends an empty line, which is none.
        self.remember().ok()?;
        found.pop_front()
    }

    /// Whether nothing is left to be read, as far as is known.
    pub(super) fn is_at_end(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.len() <= self.offset)
    }

    /// Bytes of a line whose end never came.
    pub(super) fn unfinished(&self) -> usize {
        self.partial.len()
    }
}
