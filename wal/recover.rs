//! Opening a log: what is there, where it ends, and who stood where.

use crate::cursor::{self, CursorFile, Stored};
use crate::disk;
use crate::index::{Cursor, Index, Losses, Position, Reason, Segment};
use crate::lock::{DirectoryLock, LockError};
use crate::options::{Options, SyncPolicy};
use crate::record::Header;
use crate::scan::{Found, Window};
use crate::segment::{self, START, SegmentHeader};
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another exporter of this one, has it.
    #[error("the log in {} is in use{}: give every exporter of every process a directory of its own", directory.display(), holder_note(holder))]
    Locked {
        /// The log's directory.
        directory: PathBuf,
        /// The number of the other process, if it is known.
        holder: String,
    },
    /// It was written by a later version of this program.
    #[error("segment {} is of version {version}, this program knows version {}: use the program that wrote it, or another directory", path.display(), segment::VERSION)]
    Version {
        /// The segment's file.
        path: PathBuf,
        /// The version of its format.
        version: u32,
    },
    /// The directory is not there, and is not to be made.
    #[error("directory {} is missing: create it, or set create_directory", directory.display())]
    Missing {
        /// The log's directory.
        directory: PathBuf,
    },
    /// Files cannot be read or written.
    #[error("the log in {} cannot be opened: {source}", directory.display())]
    Io {
        /// The log's directory.
        directory: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

fn holder_note(holder: &str) -> String {
    if holder.is_empty() { String::new() } else { format!(" by process {holder}") }
}

/// What was found.
pub(crate) struct Recovered {
    pub(crate) lock: DirectoryLock,
    pub(crate) index: Index,
    /// Bytes of a torn tail that were cut off.
    pub(crate) torn_bytes: u64,
    /// Destinations that are gone, with what nobody gets in their place.
    pub(crate) abandoned: Vec<Abandoned>,
}

/// A destination that is not configured any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Abandoned {
    /// Its name, or the beginning of a long one.
    pub name: String,
    /// Samples that waited for it and go to nobody.
    pub samples: u64,
}

/// A tail that was cut off.
#[derive(Clone, Copy, Debug, Default)]
struct Torn {
    bytes: u64,
    /// Number of the record, and of samples before it, that would have followed its last one whose header is whole.
    next: (u64, u64),
}

/// Takes the directory and reads what is in it.
pub(crate) fn recover(options: &Options) -> Result<Recovered, OpenError> {
    let directory = &options.directory;
    let failed = |source| OpenError::Io { directory: directory.clone(), source };
    if !directory.is_dir() {
        if !options.create_directory {
            return Err(OpenError::Missing { directory: directory.clone() });
        }
        create_directory(directory, options.permissions).map_err(failed)?;
    }
    let lock = DirectoryLock::take(directory, options.lock_timeout).map_err(|error| match error {
        LockError::Held(holder) => OpenError::Locked { directory: directory.clone(), holder },
        LockError::Io(source) => failed(source),
    })?;
    let (segments, end, torn) = segments(directory)?;
    let mut index = Index { segments, end, cursors: Vec::new() };
    let others = cursor::others(directory, &options.cursors).map_err(failed)?;
    cursor::forget_others(directory, &options.cursors).map_err(failed)?;
    let mut stood: Vec<Position> = others.iter().map(|(_, position)| *position).collect();
    let mut files = Vec::new();
    for name in &options.cursors {
        files.push((name, CursorFile::open(directory, name).map_err(failed)?));
    }
    stood
        .extend(files.iter().filter_map(|(_, (_, stored))| if let Stored::At(at) = stored { Some(*at) } else { None }));
    let replaced = files.iter().any(|(_, (_, stored))| *stored == Stored::Missing);
    let abandoned =
        others.into_iter().filter_map(|(name, at)| abandon(directory, name, at, &index, replaced)).collect();
    if index.segments.is_empty() {
        // Numbers go on where they were, so that no cursor that cannot be written points into segments to come.
        index.end = stood.iter().copied().fold(index.end, Position::max);
    }
    // What everybody had need not go to a destination that is new, perhaps in place of one that is gone.
    let begin = stood.into_iter().min().map_or(index.start(), |slowest| index.settle(slowest));
    for (name, (file, stored)) in files {
        let mut opened = open_cursor(directory, name, file, stored, &index, begin);
        // What was cut off, it may have had all the same.
        let had = if let Stored::At(had) = stored { (had.record, had.samples) } else { (0, 0) };
        let from = Position { record: end.record.max(had.0), samples: end.samples.max(had.1), ..end };
        opened.lose(Reason::Torn, from, Position { record: torn.next.0, samples: torn.next.1, ..end });
        index.cursors.push(opened);
    }
    index.resettle();
    if options.sync != SyncPolicy::Never {
        settle_on_disk(directory, &mut index);
    }
    Ok(Recovered { lock, index, torn_bytes: torn.bytes, abandoned })
}

/// Tells of a destination that is gone. What waits for it is lost unless there is a new one in its place.
fn abandon(directory: &Path, name: String, at: Position, index: &Index, replaced: bool) -> Option<Abandoned> {
    let samples = index.end.samples.saturating_sub(at.samples.max(index.start().samples));
    if samples == 0 {
        return None;
    }
    let directory = directory.display();
    if replaced {
        tracing::warn!(%directory, cursor = %name, samples, "A destination is not configured any more; the samples that wait for it go to those that are new.");
    } else {
        tracing::error!(%directory, cursor = %name, samples, "A destination is not configured any more; the samples that wait for it are dropped.");
    }
    (!replaced).then_some(Abandoned { name, samples })
}

/// Forces to the disk where destinations stand, and that their files are there. A destination whose file is lost with the
/// machine's power would begin where others stand, and miss what they had already.
fn settle_on_disk(directory: &Path, index: &mut Index) {
    let cursors = index.cursors.iter_mut().filter(|cursor| cursor.dirty);
    let settle = |cursor: &mut Cursor| {
        let begun = cursor.begin_sync()?;
        let synced = disk::sync(&begun.file);
        cursor.end_sync(&begun, synced.is_ok());
        synced
    };
    let synced = cursors.map(settle).fold(Ok(()), io::Result::and);
    if let Err(error) = synced.and_then(|()| disk::sync_directory(directory)) {
        tracing::warn!(%error, directory = %directory.display(), "The files of a log cannot be synced to the disk.");
    }
}

/// Makes a directory and those above it that are missing, and forces their names to the disk as far as that is possible.
///
/// # Errors
/// If the system refuses.
pub fn create_directory(directory: &Path, permissions: u32) -> io::Result<()> {
    let missing: Vec<&Path> = directory.ancestors().take_while(|path| !path.exists()).collect();
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, permissions);
    builder.create(directory)?;
    for path in missing {
        // Some filesystems sync no directories, and a relative path may end without a name above it.
        let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        disk::sync_directory(above).ok();
    }
    Ok(())
}

fn open_cursor(
    directory: &Path,
    name: &str,
    mut file: CursorFile,
    stored: Stored,
    index: &Index,
    begin: Position,
) -> Cursor {
    let at = match stored {
        Stored::At(position) => index.settle(position),
        Stored::Missing => begin,
        Stored::Damaged => {
            tracing::error!(
                directory = %directory.display(),
                cursor = %name,
                "The cursor of a destination is damaged; everything in the log is delivered to it again."
            );
            index.start()
        }
    };
    if stored != Stored::At(at) {
        let written = if let Stored::At(_) = stored { file.store(at) } else { file.begin(at) };
        if let Err(error) = written {
            tracing::warn!(%error, cursor = %name, "A cursor cannot be written; after a restart, samples may be delivered twice.");
        }
    }
    let stood = if let Stored::At(position) = stored { position } else { at };
    let mut cursor = Cursor {
        name: name.to_owned(),
        acked: at,
        settled: Position::default(),
        read: stood,
        losses: Losses::default(),
        file,
        dirty: true,
    };
    // Whatever is missing before the oldest segment went without being read.
    cursor.go_to(at);
    cursor.read = at;
    cursor
}

/// All segments, the place where the next record goes, and a torn tail that was cut off.
fn segments(directory: &Path) -> Result<(VecDeque<Segment>, Position, Torn), OpenError> {
    let failed = |source| OpenError::Io { directory: directory.to_owned(), source };
    let mut numbers = segment::list(directory).map_err(failed)?;
    let mut torn = remove_unborn(directory, &mut numbers).map_err(failed)?;
    let mut found: VecDeque<Segment> = VecDeque::new();
    let mut end = Position { segment: numbers.first().copied().unwrap_or(0), offset: START, record: 0, samples: 0 };
    for (at, number) in numbers.iter().copied().enumerate() {
        let path = segment::path(directory, number);
        let mut file = File::open(&path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let header = segment::header(&mut file).map_err(failed)?;
        if let Some(SegmentHeader { version, .. }) = header.filter(|header| header.version != segment::VERSION) {
            return Err(OpenError::Version { path, version });
        }
        let header = header.filter(|header| header.number == number);
        let written = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let written = written.and_then(|since| i64::try_from(since.as_millis()).ok());
        let mut segment = Segment {
            number,
            len: metadata.len().max(START),
            first_record: 0,
            samples_before: 0,
            oldest_ms: i64::MAX,
            // Nothing in it is newer than its last write, clocks of targets aside.
            newest_ms: written.unwrap_or(i64::MAX),
        };
        // Only the last one can be torn, as the others were complete when it was begun. If one is, readers see it.
        let last = at + 1 == numbers.len();
        let scanned = match header {
            Some(_) if !last => None,
            _ => Some(scan(&path, number, segment.len).map_err(failed)?),
        };
        let begins = match (header, &scanned) {
            (Some(header), _) => (header.first_record, header.samples_before),
            (None, Some(Scan { first: Some(first), .. })) => *first,
            (None, _) => counts_before(directory, found.back()).map_err(failed)?,
        };
        if header.is_none() {
            tracing::error!(segment = %path.display(), "The header of a segment is damaged; its records are looked for one by one.");
        }
        (segment.first_record, segment.samples_before) = begins;
        if let Some(scan) = scanned {
            let (record, samples) = scan.next.unwrap_or(begins);
            if scan.end < segment.len && last {
                torn.bytes += segment.len - scan.end;
                let told = scan.told.unwrap_or_default();
                torn.next = torn.next.max(told);
                cut(&path, scan.end, segment.len, told.1.saturating_sub(samples));
                segment.len = scan.end;
            }
            segment.oldest_ms = scan.oldest_ms;
            end = Position { segment: number, offset: segment.len, record, samples };
        }
        found.push_back(segment);
    }
    Ok((found, end, torn))
}

/// Deletes segments at the end in which neither the header is whole nor any record: the machine died when they were begun, or
/// the disk has gone bad, which may have cost something.
fn remove_unborn(directory: &Path, numbers: &mut Vec<u64>) -> io::Result<Torn> {
    let mut torn = Torn::default();
    while let Some(number) = numbers.last().copied() {
        let path = segment::path(directory, number);
        let mut file = File::open(&path)?;
        let len = file.metadata()?.len();
        if segment::header(&mut file)?.is_some() {
            break;
        }
        let scan = scan(&path, number, len)?;
        if scan.next.is_some() {
            break;
        }
        torn.bytes += len.saturating_sub(START);
        torn.next = torn.next.max(scan.told.unwrap_or_default());
        tracing::warn!(segment = %path.display(), "The last segment of the log holds nothing whole; it is deleted.");
        disk::remove(&path)?;
        numbers.pop();
    }
    Ok(torn)
}

/// Number of the record, and of samples before it, that is to follow a segment's last one.
fn counts_before(directory: &Path, segment: Option<&Segment>) -> io::Result<(u64, u64)> {
    let Some(segment) = segment else { return Ok((0, 0)) };
    let scan = scan(&segment::path(directory, segment.number), segment.number, segment.len)?;
    Ok(scan.next.unwrap_or((segment.first_record, segment.samples_before)))
}

/// What a look at all records of a segment gives.
#[derive(Debug)]
struct Scan {
    /// Number of the first record, and samples before it.
    first: Option<(u64, u64)>,
    /// The same for the record that is to follow the last one.
    next: Option<(u64, u64)>,
    /// The same by the last header that is whole, even if its record is not.
    told: Option<(u64, u64)>,
    /// The end of the last record.
    end: u64,
    oldest_ms: i64,
}

fn scan(path: &Path, number: u64, len: u64) -> io::Result<Scan> {
    let mut window = Window::open(path, number)?;
    let mut scan = Scan { first: None, next: None, told: None, end: START, oldest_ms: i64::MAX };
    let mut offset = START;
    let behind = |header: &Header| {
        let samples = header.samples_before.saturating_add(u64::from(header.samples));
        Some((header.number.saturating_add(1), samples))
    };
    loop {
        match window.find(offset, len)? {
            Found::Whole(header) => {
                offset += header.total();
                scan.end = offset;
                scan.first = scan.first.or(Some((header.number, header.samples_before)));
                scan.next = behind(&header);
                scan.told = scan.next;
                scan.oldest_ms = scan.oldest_ms.min(header.oldest_ms);
            }
            Found::Damaged(header) => {
                offset += header.total();
                scan.told = behind(&header);
            }
            Found::Nothing => {
                // The payload may be longer than what was written of it.
                scan.told = window.header(offset, len)?.as_ref().and_then(behind).or(scan.told);
                match window.resync(offset.saturating_add(1), len)? {
                    Some(found) => offset = found,
                    None => return Ok(scan),
                }
            }
        }
    }
}

/// Takes a torn tail away.
fn cut(path: &Path, end: u64, len: u64, samples: u64) {
    tracing::warn!(
        segment = %path.display(),
        bytes = len - end,
        samples,
        "The log ends within a record, as after a crash; it is cut off at the last whole one."
    );
    // Once other segments follow, a tail that came back would count as damage.
    let cut = OpenOptions::new().write(true).open(path).and_then(|file| {
        disk::set_len(&file, end)?;
        disk::sync(&file)
    });
    if let Err(error) = cut {
        // It is not read in any case: the end is known.
        tracing::warn!(%error, segment = %path.display(), "The torn tail of a segment cannot be cut off.");
    }
}
