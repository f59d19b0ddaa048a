//! The log: appending, acknowledging, syncing.

mod limits;
mod sync;

use crate::disk;
use crate::index::{Backlog, Index, Losses, Position, Segment};
use crate::lock::DirectoryLock;
use crate::options::{Options, SyncPolicy};
use crate::record::{HEADER_LEN, Header, MAX_PAYLOAD, Record};
use crate::recover::{self, Abandoned, OpenError, Recovered};
use crate::segment::{self, START, SegmentHeader};
use parking_lot::Mutex;
use std::fs::File;
use std::io;
use std::sync::Arc;
use tokio::sync::watch;

/// Why a record was not appended. Nothing of it is in the log then.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The disk is full, or fails. The next append tries again, in a new segment.
    #[error("the log in {directory} cannot be written: {source}")]
    Io {
        /// The log's directory.
        directory: String,
        /// What the system says.
        source: io::Error,
    },
    /// The record was made for another segment than the one that is next: make it anew for
    /// [`Log::upcoming_segment`].
    #[error("the log has begun another segment")]
    OtherSegment,
    /// The payload is longer than [`MAX_PAYLOAD`].
    #[error("a record of {0} bytes is longer than the log takes")]
    TooLong(usize),
}

/// A durable log. Clones are the same log; the last one that is dropped gives the directory free.
#[derive(Clone, Debug)]
pub struct Log(Arc<Inner>);

/// Lock order: the writer before the index. The index is never held during I/O on segments.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) options: Options,
    writer: Mutex<Writer>,
    pub(crate) index: Mutex<Index>,
    /// Held by a sync, as a cursor's file has room for one at a time.
    syncing: Mutex<()>,
    pub(crate) end: watch::Sender<Position>,
    torn_bytes: u64,
    abandoned: Vec<Abandoned>,
    _lock: DirectoryLock,
}

#[derive(Debug, Default)]
struct Writer {
    /// The segment that records go to; `None` before the first record and after a failure.
    active: Option<Active>,
    /// Handles to what has been written and not synced.
    unsynced: Vec<Arc<File>>,
    /// A segment was created or removed since the directory was synced.
    directory_changed: bool,
    buffer: Vec<u8>,
    #[cfg(test)]
    room: Option<u64>,
}

#[derive(Debug)]
struct Active {
    number: u64,
    file: Arc<File>,
    len: u64,
    oldest_ms: i64,
    newest_ms: i64,
}

/// A buffer beyond this is given back after the append that needed it.
const KEPT: usize = 1 << 20;

impl Log {
    /// Opens the log in a directory: takes the lock, finds the end, cuts off a torn tail, reads the cursors. Reads the
    /// whole last segment. Blocks.
    ///
    /// # Errors
    /// If somebody else has the directory, or it cannot be read or written.
    pub fn open(options: Options) -> Result<Self, OpenError> {
        let Recovered { lock, index, torn_bytes, abandoned } = recover::recover(&options)?;
        let end = watch::Sender::new(index.end);
        let writer = Mutex::new(Writer::default());
        let (index, syncing) = (Mutex::new(index), Mutex::default());
        Ok(Self(Arc::new(Inner { options, writer, index, syncing, end, torn_bytes, abandoned, _lock: lock })))
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.0
    }

    /// The number of the segment that the next record goes to. What a reader of that record has to know from earlier
    /// records is to be in records of the same segment.
    pub fn upcoming_segment(&self) -> u64 {
        let writer = self.0.writer.lock();
        match &writer.active {
            Some(active) if active.len < self.0.options.segment_limit() => active.number,
            _ => self.0.index.lock().end.segment + 1,
        }
    }

    /// Appends a record, and returns the place behind it. After an error nothing that the record would have defined for
    /// later ones is there. Blocks for the time of a write, and of a sync where the policy says so.
    ///
    /// `segment`, if given, is the segment that the record was made for, as [`Log::upcoming_segment`] has said. Several
    /// records may be made for it, which then stand in it together, if it grows a little by that.
    ///
    /// # Errors
    /// If it is not in the log; see [`AppendError`].
    pub fn append(&self, segment: Option<u64>, record: &Record<'_>) -> Result<Position, AppendError> {
        if record.payload.len() > MAX_PAYLOAD {
            return Err(AppendError::TooLong(record.payload.len()));
        }
        let mut writer = self.0.writer.lock();
        let appended = self.0.append(&mut writer, segment, record);
        if let Err(AppendError::Io { .. }) = &appended {
            self.0.abandon(&mut writer);
        }
        drop(writer);
        let end = appended?;
        self.0.enforce_size();
        Ok(end)
    }

    /// The end of the log.
    pub fn end(&self) -> Position {
        self.0.index.lock().end
    }

    /// Tells when records are appended.
    pub fn watch_end(&self) -> watch::Receiver<Position> {
        self.0.end.subscribe()
    }

    /// Notes that destination `cursor`, by its place in [`Options::cursors`], has everything before `position`. Writes
    /// that to the disk's cache, which takes microseconds.
    ///
    /// # Errors
    /// If it cannot be written: after a restart, samples would be delivered again.
    pub fn ack(&self, cursor: usize, position: Position) -> io::Result<()> {
        let mut index = self.0.index.lock();
        if !index.ack(cursor, position) {
            return Ok(());
        }
        match index.cursors.get_mut(cursor) {
            Some(cursor) => {
                cursor.dirty = true;
                cursor.file.store(cursor.acked)
            }
            None => Ok(()),
        }
    }

    /// Up to where destination `cursor` has everything.
    pub fn acked(&self, cursor: usize) -> Option<Position> {
        self.0.index.lock().cursors.get(cursor).map(|cursor| cursor.acked)
    }

    /// Up to where destination `cursor` was handed everything.
    pub fn read_up_to(&self, cursor: usize) -> Option<Position> {
        self.0.index.lock().cursors.get(cursor).map(|cursor| cursor.read)
    }

    /// Whether there are records that the reader of destination `cursor` has not read.
    pub fn has_unread(&self, cursor: usize) -> bool {
        let index = self.0.index.lock();
        index.cursors.get(cursor).is_some_and(|cursor| cursor.read < index.end)
    }

    /// What waits for destination `cursor`.
    pub fn backlog(&self, cursor: usize) -> Backlog {
        self.0.index.lock().backlog(cursor)
    }

    /// What destination `cursor` did not get since the log was opened.
    pub fn losses(&self, cursor: usize) -> Losses {
        self.0.index.lock().cursors.get(cursor).map_or_else(Losses::default, |cursor| cursor.losses)
    }

    /// Bytes of a torn tail that were cut off when the log was opened: a record that was being written when the machine
    /// died.
    pub fn torn_bytes(&self) -> u64 {
        self.0.torn_bytes
    }

    /// Destinations that were there when the log was open before, are not configured any more, and had not got everything.
    pub fn abandoned(&self) -> &[Abandoned] {
        &self.0.abandoned
    }

    /// Number of segments, and bytes in them.
    pub fn size(&self) -> (usize, u64) {
        let index = self.0.index.lock();
        (index.segments.len(), index.bytes())
    }

    /// Lets the disk take so many more bytes of records.
    #[cfg(test)]
    pub(crate) fn leave_room(&self, bytes: Option<u64>) {
        self.0.writer.lock().room = bytes;
    }
}

impl Inner {
    pub(crate) fn shown(&self) -> String {
        self.options.directory.display().to_string()
    }

    /// Changes when there is something to maintain. Ages change with time alone, so with a limit of age each minute
    /// differs.
    fn state(&self) -> (Position, u64, i64) {
        let index = self.index.lock();
        let acked = index.cursors.iter().fold(0, |sum: u64, cursor| {
            sum.wrapping_add(cursor.acked.segment).wrapping_mul(31).wrapping_add(cursor.acked.offset)
        });
        (index.end, acked, self.options.age_limit().map_or(0, |limit| limit / 60_000))
    }

    fn append(&self, writer: &mut Writer, segment: Option<u64>, record: &Record<'_>) -> Result<Position, AppendError> {
        let failed = |source| AppendError::Io { directory: self.shown(), source };
        let at = self.index.lock().end;
        let limit = self.options.segment_limit();
        // Whoever has asked for the upcoming segment may write to it some more: several records may belong together.
        let goes_on = |active: &&Active| active.len < limit || segment == Some(active.number);
        let goes_on = writer.active.as_ref().filter(goes_on).map(|active| active.number);
        if segment.is_some_and(|segment| segment != goes_on.unwrap_or(at.segment + 1)) {
            return Err(AppendError::OtherSegment);
        }
        if goes_on.is_none() {
            writer.active = None;
            writer.active = Some(self.begin(writer, at).map_err(failed)?);
        }
        let header = Header {
            len: u32::try_from(record.payload.len()).unwrap_or(u32::MAX),
            number: at.record,
            samples_before: at.samples,
            oldest_ms: record.oldest_ms,
            newest_ms: record.newest_ms,
            samples: record.samples,
            kind: record.kind,
        };
        let Some(active) = &mut writer.active else { return Err(AppendError::OtherSegment) };
        let buffer = &mut writer.buffer;
        buffer.clear();
        buffer.reserve(HEADER_LEN + record.payload.len());
        buffer.extend_from_slice(&header.encode(record.payload, active.number, active.len));
        buffer.extend_from_slice(record.payload);
        #[cfg(test)]
        let written = write_within(&active.file, buffer, &mut writer.room);
        #[cfg(not(test))]
        let written = disk::write_all(&active.file, buffer);
        if buffer.capacity() > KEPT {
            *buffer = Vec::new();
        }
        let synced = written.and_then(|()| match self.options.sync {
            SyncPolicy::Always => disk::sync(&active.file),
            _ => Ok(()),
        });
        if let Err(error) = synced {
            // What was written of it is no whole record, or not to be believed; readers know where the segment ends.
            disk::set_len(&active.file, active.len).ok();
            writer.note_unsynced();
            return Err(failed(error));
        }
        active.len += header.total();
        active.oldest_ms = active.oldest_ms.min(record.oldest_ms);
        active.newest_ms = active.newest_ms.max(record.newest_ms);
        let end = self.announce(active, &header);
        writer.note_unsynced();
        Ok(end)
    }

    /// Makes the record known to readers.
    fn announce(&self, active: &Active, header: &Header) -> Position {
        let end = Position {
            segment: active.number,
            offset: active.len,
            record: header.number.saturating_add(1),
            samples: header.samples_before.saturating_add(u64::from(header.samples)),
        };
        let mut index = self.index.lock();
        if let Some(last) = index.segments.back_mut().filter(|last| last.number == active.number) {
            last.len = active.len;
            last.oldest_ms = active.oldest_ms;
            last.newest_ms = active.newest_ms;
        }
        index.end = end;
        drop(index);
        self.end.send_replace(end);
        end
    }

    /// Ends the active segment after a failure. One without a record is taken back, so that a disk which stays full
    /// does not fill with empty ones.
    fn abandon(&self, writer: &mut Writer) {
        let Some(active) = writer.active.take().filter(|active| active.len == START) else { return };
        let mut index = self.index.lock();
        if index.segments.back().is_some_and(|last| last.number == active.number) {
            index.segments.pop_back();
            let at = index.end;
            let len = index.segments.back().map_or(START, |last| last.len);
            index.end = Position { segment: active.number - 1, offset: len, ..at };
        }
        drop(index);
        self.remove(active.number);
    }

    /// Begins a segment behind `at`.
    fn begin(&self, writer: &mut Writer, at: Position) -> io::Result<Active> {
        let number = at.segment + 1;
        let header =
            SegmentHeader { version: segment::VERSION, number, first_record: at.record, samples_before: at.samples };
        #[cfg(test)]
        if writer.room.is_some_and(|room| room < START) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.make_room_for_handles(writer)?;
        let file = Arc::new(segment::create(&self.options.directory, header)?);
        writer.directory_changed = true;
        if self.options.sync == SyncPolicy::Always {
            disk::sync_directory(&self.options.directory)?;
        }
        let mut index = self.index.lock();
        index.segments.push_back(Segment {
            number,
            len: START,
            first_record: at.record,
            samples_before: at.samples,
            oldest_ms: i64::MAX,
            newest_ms: i64::MIN,
        });
        index.end = Position { segment: number, offset: START, ..at };
        Ok(Active { number, file, len: START, oldest_ms: i64::MAX, newest_ms: i64::MIN })
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // What is done need not be there at the next start; what is not synced, the kernel has.
        let active = self.writer.get_mut().active.as_ref().map(|active| active.number);
        for number in self.index.get_mut().take_done(active) {
            self.remove(number);
        }
    }
}

/// Writes what there is room for, as a full disk does.
#[cfg(test)]
fn write_within(file: &File, bytes: &[u8], room: &mut Option<u64>) -> io::Result<()> {
    let Some(left) = room else { return disk::write_all(file, bytes) };
    let fits = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
    *left -= fits as u64;
    disk::write_all(file, bytes.get(..fits).unwrap_or_default())?;
    if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
}
