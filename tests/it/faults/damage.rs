//! Damage to the files of a log that nobody has open, and disks that are full.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::random::Random;
use crate::durable::disk::segments;

/// What was done to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damage {
    /// Bytes of segments were changed.
    Flipped,
    /// The last segment was cut within its last record.
    Torn,
    /// Behind the last record stands something that is none, as after a crash within a write; so many bytes.
    Unfinished(u64),
    /// A slot of a cursor was changed.
    Cursor,
}

/// Damages the log in this directory.
pub(super) fn damage(directory: &Path, random: &mut Random) -> Damage {
    match random.below(8) {
        0..=3 => {
            for _ in 0..random.between(1..=3) {
                let all = segments(directory);
                let segment = &all[random.below(all.len() as u64) as usize];
                flip(segment, random);
            }
            Damage::Flipped
        }
        4 => {
            let last = segments(directory).pop().unwrap();
            let len = std::fs::metadata(&last).unwrap().len();
            OpenOptions::new().write(true).open(&last).unwrap().set_len(len - random.between(1..=20)).unwrap();
            Damage::Torn
        }
        5..=6 => Damage::Unfinished(leave_unfinished(directory, random)),
        _ => {
            let cursors = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
            let cursor =
                cursors.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("cursor-")).min();
            let cursor = cursor.unwrap();
            let mut bytes = std::fs::read(&cursor).unwrap();
            let at = random.pick(&[0, 4096, 8192]) + random.below(48) as usize;
            bytes[at] ^= 1 << random.below(8);
            std::fs::write(&cursor, bytes).unwrap();
            Damage::Cursor
        }
    }
}

/// Writes what a write that was never finished leaves: a part of a record, or zeros.
pub(super) fn leave_unfinished(directory: &Path, random: &mut Random) -> u64 {
    let last = segments(directory).pop().unwrap();
    let bytes = std::fs::read(&last).unwrap();
    let len = random.between(1..=200) as usize;
    let rest = if random.one_in(3) {
        vec![0; len]
    } else {
        let from = random.below(bytes.len() as u64) as usize;
        bytes[from..(from + len).min(bytes.len())].to_vec()
    };
    OpenOptions::new().append(true).open(&last).unwrap().write_all(&rest).unwrap();
    rest.len() as u64
}

fn flip(file: &Path, random: &mut Random) {
    let mut bytes = std::fs::read(file).unwrap();
    let at = random.below(bytes.len() as u64) as usize;
    bytes[at] ^= 1 << random.below(8);
    std::fs::write(file, bytes).unwrap();
}

/// Somebody else's file, which takes all the room there is.
pub(super) struct Filler(PathBuf);

impl Filler {
    pub(super) fn fill(directory: &Path) -> Self {
        let path = directory.join("somebody-elses-file");
        let mut file = File::create(&path).unwrap();
        while file.write_all(&[7; 4096]).is_ok() {}
        Self(path)
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}
