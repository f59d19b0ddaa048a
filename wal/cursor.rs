//! Where a destination stands, on disk.
//!
//! A cursor file has three slots, far enough apart to be in different pages of the disk: one holds what was forced to the disk, one
//! what is being forced there, and one is written meanwhile, as often as it takes. So writes that are torn or lost leave what was
//! forced. Once something was, the open slot has as much: a slot that goes bad later does not lead back to segments that were deleted
//! because of it. A write is 48 bytes into the page cache, which takes a microsecond, so a process that is killed sends again only
//! what was under way.
//!
//! A slot: generation, segment, offset, record, samples (8 bytes each), checksum (8) seeded with the name.

use crate::disk;
use crate::index::Position;
use crate::record::u64_at;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Distance of the slots.
const APART: u64 = 4096;
const SLOTS: u64 = 3;
const SLOT: usize = 48;
const BEGINNING: &str = "cursor-";

/// A cursor's file.
#[derive(Debug)]
pub(crate) struct CursorFile {
    file: File,
    name_hash: u64,
    generation: u64,
    /// The slot that is written.
    open: u64,
    /// The slot that was written last.
    newest: u64,
    /// What stands in it.
    position: Position,
    /// The slot that was forced to the disk last.
    forced: u64,
}

/// A sync of a cursor's file that has begun.
#[derive(Debug)]
pub(crate) struct CursorSync {
    pub(crate) file: File,
    pub(crate) slot: u64,
    /// Where the destination stands once it has succeeded.
    pub(crate) position: Position,
}

/// What a cursor file said when it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// There was none.
    Missing,
    /// There was one, and none of its slots can be trusted.
    Damaged,
    /// Where the destination stands.
    At(Position),
}

impl CursorFile {
    pub(crate) fn open(directory: &Path, name: &str) -> io::Result<(Self, Stored)> {
        let path = directory.join(file_name(name));
        let (this, stored) = Self::read(disk::open_or_create(&path)?, xxh3_64(name.as_bytes()))?;
        if let Stored::At(_) = stored {
            // It may have been read from the cache, and what is on the disk be in the slot that is written next.
            disk::sync(&this.file)?;
        }
        Ok((this, stored))
    }

    /// Reads the slots of a file that belongs to a name with this hash.
    fn read(file: File, name_hash: u64) -> io::Result<(Self, Stored)> {
        let mut this =
            Self { file, name_hash, generation: 0, open: 0, newest: 0, position: Position::default(), forced: 0 };
        let mut stored = if this.file.metadata()?.len() == 0 { Stored::Missing } else { Stored::Damaged };
        for number in 0..SLOTS {
            let mut slot = [0; SLOT];
            this.file.seek(SeekFrom::Start(number * APART))?;
            match this.file.read_exact(&mut slot) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => continue,
                Err(error) => return Err(error),
            }
            if u64_at(&slot, 40) != xxh3_64_with_seed(&slot[..40], this.name_hash) {
                continue;
            }
            let generation = u64_at(&slot, 0);
            if generation > this.generation {
                this.generation = generation;
                (this.newest, this.forced, this.open) = (number, number, (number + 1) % SLOTS);
                this.position = Position {
                    segment: u64_at(&slot, 8),
                    offset: u64_at(&slot, 16),
                    record: u64_at(&slot, 24),
                    samples: u64_at(&slot, 32),
                };
                stored = Stored::At(this.position);
            }
        }
        Ok((this, stored))
    }

    /// Writes where the destination stands now. Blocks, for a microsecond as a rule.
    pub(crate) fn store(&mut self, position: Position) -> io::Result<()> {
        let generation = self.generation.wrapping_add(1);
        let mut slot = [0; SLOT];
        let numbers = [generation, position.segment, position.offset, position.record, position.samples];
        for (place, number) in slot.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let sum = xxh3_64_with_seed(&slot[..40], self.name_hash);
        slot[40..].copy_from_slice(&sum.to_le_bytes());
        self.file.seek(SeekFrom::Start(self.open * APART))?;
        disk::write_all(&self.file, &slot)?;
        (self.generation, self.newest, self.position) = (generation, self.open, position);
        Ok(())
    }

    /// Begins to sync that the destination stands at a position. What is stored from here on leaves the slot that this is about.
    pub(crate) fn begin_sync(&mut self, position: Position) -> io::Result<CursorSync> {
        if self.position != position {
            self.store(position)?;
        }
        let file = self.file.try_clone()?;
        let third = (0..SLOTS).find(|slot| ![self.newest, self.forced].contains(slot));
        self.open = third.unwrap_or_default();
        Ok(CursorSync { file, slot: self.newest, position })
    }

    /// A sync has succeeded. From here on two slots have its position, or later ones.
    ///
    /// # Errors
    /// If the second one cannot be written.
    pub(crate) fn synced(&mut self, sync: &CursorSync) -> io::Result<()> {
        self.forced = sync.slot;
        if self.newest == sync.slot { self.store(sync.position) } else { Ok(()) }
    }

    /// Writes all slots, of which nothing is worth keeping, so that later writes find their place on a full disk.
    pub(crate) fn begin(&mut self, position: Position) -> io::Result<()> {
        for slot in 0..SLOTS {
            self.open = slot;
            self.store(position)?;
        }
        Ok(())
    }
}

/// The name of the file of a cursor. Names are written so that any text makes a plain file name.
fn file_name(name: &str) -> String {
    let mut out = BEGINNING.to_owned();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            write!(out, "%{byte:02x}").ok();
        }
        if out.len() > 120 {
            // Longer names are told apart by their hash; file names end at 255 bytes.
            write!(out, "~{:016x}", xxh3_64(name.as_bytes())).ok();
            break;
        }
    }
    out
}

/// The text that [`file_name`] was made of, and its hash. Of a long one the beginning is there.
fn name_of(file_name: &str) -> Option<(String, u64)> {
    let mut rest = file_name.strip_prefix(BEGINNING)?.as_bytes();
    let mut name = Vec::new();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'%' => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                name.push(u8::from_str_radix(digits, 16).ok()?);
                rest = rest.get(2..)?;
            }
            b'~' => {
                let hash = u64::from_str_radix(std::str::from_utf8(rest).ok()?, 16).ok()?;
                return Some((format!("{}…", String::from_utf8_lossy(&name)), hash));
            }
            other => name.push(*other),
        }
    }
    let name = String::from_utf8(name).ok()?;
    let hash = xxh3_64(name.as_bytes());
    Some((name, hash))
}

/// Cursors that are not in `names`, as far as these are known, and where they stand.
pub(crate) fn others(directory: &Path, names: &[String]) -> io::Result<Vec<(String, Position)>> {
    let kept: Vec<String> = names.iter().map(|name| file_name(name)).collect();
    let mut positions = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let Some(file) =
            entry.file_name().to_str().filter(|file| !kept.iter().any(|kept| kept == file)).map(str::to_owned)
        else {
            continue;
        };
        let Some((name, hash)) = name_of(&file) else { continue };
        if let (_, Stored::At(position)) = CursorFile::read(File::open(entry.path())?, hash)? {
            positions.push((name, position));
        }
    }
    Ok(positions)
}

/// Removes the files of cursors that are not in `names`.
pub(crate) fn forget_others(directory: &Path, names: &[String]) -> io::Result<()> {
    let kept: Vec<String> = names.iter().map(|name| file_name(name)).collect();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
        if name.starts_with(BEGINNING) && !kept.contains(&name) {
            disk::remove(&entry.path())?;
        }
    }
    Ok(())
}
