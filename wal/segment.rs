//! Segments: files of records. A segment begins with a header of its own:
//!
//! | Offset | Bytes | |
//! |---|---|---|
//! | 0 | 8 | [`MAGIC`] |
//! | 8 | 4 | version of the format |
//! | 12 | 4 | zero |
//! | 16 | 8 | number of the segment, as in its name |
//! | 24 | 8 | number of its first record |
//! | 32 | 8 | samples in all segments before it |
//! | 40 | 8 | checksum of the 40 bytes before |

use crate::disk;
use crate::record::{u32_at, u64_at};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: [u8; 8] = *b"oxidotwl";

/// The version of the format that is written and read.
pub(crate) const VERSION: u32 = 1;

/// Where the first record of a segment stands.
pub(crate) const START: u64 = 48;

const ENDING: &str = ".segment";

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) version: u32,
    pub(crate) number: u64,
    pub(crate) first_record: u64,
    pub(crate) samples_before: u64,
}

impl SegmentHeader {
    fn encode(self) -> [u8; START as usize] {
        let mut out = [0; START as usize];
        out[..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&self.version.to_le_bytes());
        out[16..24].copy_from_slice(&self.number.to_le_bytes());
        out[24..32].copy_from_slice(&self.first_record.to_le_bytes());
        out[32..40].copy_from_slice(&self.samples_before.to_le_bytes());
        let sum = xxh3_64(&out[..40]);
        out[40..].copy_from_slice(&sum.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8; START as usize]) -> Option<Self> {
        (bytes[..8] == MAGIC && u64_at(bytes, 40) == xxh3_64(&bytes[..40])).then(|| Self {
            version: u32_at(bytes, 8),
            number: u64_at(bytes, 16),
            first_record: u64_at(bytes, 24),
            samples_before: u64_at(bytes, 32),
        })
    }
}

/// The file of a segment.
pub(crate) fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:016x}{ENDING}"))
}

/// The segment that a file of this name holds.
fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(ENDING)?;
    let plain = digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let number = plain.then(|| u64::from_str_radix(digits, 16).ok()).flatten()?;
    // Numbers count up from 1; a name beyond this was not given by a log and would leave no room above.
    (number < u64::MAX / 2).then_some(number)
}

/// The numbers of all segments in a directory, ascending.
pub(crate) fn list(directory: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        if let Some(number) = entry?.file_name().to_str().and_then(number_of) {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Makes a new segment with its header; nothing is left of it if that fails.
pub(crate) fn create(directory: &Path, header: SegmentHeader) -> io::Result<File> {
    let path = path(directory, header.number);
    let file = disk::create_new(&path)?;
    if let Err(error) = disk::write_all(&file, &header.encode()) {
        // If even this fails, opening the log finds a segment without records.
        disk::remove(&path).ok();
        return Err(error);
    }
    Ok(file)
}

/// The header of a segment; `None` if it is damaged or missing.
pub(crate) fn header(file: &mut File) -> io::Result<Option<SegmentHeader>> {
    let mut bytes = [0; START as usize];
    match file.read_exact(&mut bytes) {
        Ok(()) => Ok(SegmentHeader::decode(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}
