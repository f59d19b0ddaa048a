//! Reading the log for one destination.

use crate::index::{Position, Reason, View};
use crate::log::{Inner, Log};
use crate::record::Header;
use crate::scan::{Found, Window};
use crate::segment;
use bytes::Bytes;
use std::io;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Why a record cannot be read at the moment. The next call tries again.
#[derive(Debug, thiserror::Error)]
#[error("the log in {directory} cannot be read: {source}")]
pub struct ReadError {
    directory: String,
    source: io::Error,
}

/// A record that was read.
#[derive(Clone, Debug)]
pub struct Read {
    /// What stands before the payload.
    pub header: Header,
    /// The payload, as it was appended.
    pub payload: Bytes,
    /// Where the record begins.
    pub start: Position,
    /// The place behind it: what [`Log::ack`] is given once it is delivered.
    pub end: Position,
}

/// Reads the records that a destination has not acknowledged, in order. One reader for each cursor.
///
/// What is damaged is skipped and counted in [`Log::losses`].
#[derive(Debug)]
pub struct Reader {
    /// `None` while a thread of the blocking pool has it.
    files: Option<Files>,
    busy: Option<JoinHandle<(Files, Outcome)>>,
    end: watch::Receiver<Position>,
    log: Log,
    cursor: usize,
}

type Outcome = Result<Option<Read>, ReadError>;

/// The part that does I/O.
#[derive(Debug)]
struct Files {
    log: Arc<Inner>,
    cursor: usize,
    window: Option<Window>,
}

impl Log {
    /// A reader for destination `cursor`, by its place in [`crate::Options::cursors`]. It begins at what is not
    /// acknowledged.
    pub fn reader(&self, cursor: usize) -> Reader {
        {
            let mut index = self.inner().index.lock();
            if let Some(cursor) = index.cursors.get_mut(cursor) {
                cursor.read = cursor.acked;
            }
        }
        let files = Files { log: Arc::clone(self.inner()), cursor, window: None };
        Reader { files: Some(files), busy: None, end: self.watch_end(), log: self.clone(), cursor }
    }
}

impl Reader {
    /// The next record, or `None` if there is none yet. Blocks for the time of a read.
    ///
    /// # Errors
    /// If files cannot be read; nothing is skipped then.
    pub fn next_now(&mut self) -> Result<Option<Read>, ReadError> {
        match &mut self.files {
            Some(files) => files.next(None),
            None => Ok(None),
        }
    }

    /// The next record before `until`, or `None` if there is none. Whatever has to be skipped on the way, no later record is
    /// read: somebody may have to have something else first. Blocks for the time of a read.
    ///
    /// # Errors
    /// As [`Reader::next_now`].
    pub fn next_before(&mut self, until: Position) -> Result<Option<Read>, ReadError> {
        match &mut self.files {
            Some(files) => files.next(Some(until)),
            None => Ok(None),
        }
    }

    /// The next record; waits until there is one. Reads on the blocking pool. May be dropped at any point and called
    /// again without losing a record.
    ///
    /// # Errors
    /// As [`Reader::next_now`].
    pub async fn next_ready(&mut self) -> Result<Read, ReadError> {
        loop {
            if self.busy.is_none() {
                // Whatever is appended from here on wakes the wait below.
                self.end.borrow_and_update();
                if self.has_more()
                    && let Some(mut files) = self.files.take()
                {
                    self.busy = Some(tokio::task::spawn_blocking(move || {
                        let read = files.next(None);
                        (files, read)
                    }));
                }
            }
            if let Some(busy) = &mut self.busy {
                let joined = busy.await;
                self.busy = None;
                match joined {
                    Ok((files, read)) => {
                        self.files = Some(files);
                        if let Some(read) = read? {
                            return Ok(read);
                        }
                        continue;
                    }
                    // The runtime is ending, and this future with it.
                    Err(_) => std::future::pending().await,
                }
            }
            if self.end.changed().await.is_err() {
                // `self.log` holds the other end.
                std::future::pending().await
            }
        }
    }

    /// Whether there are records that were not read.
    pub fn has_more(&self) -> bool {
        self.log.has_unread(self.cursor)
    }

    /// Passes the payloads of all whole records of a kind that a segment holds by now, read or not, to `each`. Returns
    /// where the segment ended. Blocks.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn look_through(&self, segment: u64, kind: u8, mut each: impl FnMut(Bytes)) -> Result<u64, ReadError> {
        let log = self.log.inner();
        let failed = |source| ReadError { directory: log.shown(), source };
        let index = log.index.lock();
        let limit = index.segments.iter().find(|place| place.number == segment).map_or(0, |place| place.len);
        drop(index);
        let mut window = match Window::open(&segment::path(&log.options.directory, segment), segment) {
            Ok(window) => window,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(limit),
            Err(error) => return Err(failed(error)),
        };
        let mut offset = segment::START;
        while offset < limit {
            match window.find(offset, limit).map_err(failed)? {
                Found::Whole(header) => {
                    if header.kind == kind {
                        each(Bytes::copy_from_slice(window.payload(offset, &header).map_err(failed)?));
                    }
                    offset += header.total();
                }
                Found::Damaged(header) => offset += header.total(),
                Found::Nothing => match window.resync(offset + 1, limit).map_err(failed)? {
                    Some(found) => offset = found,
                    None => break,
                },
            }
        }
        Ok(limit)
    }

    /// Counts a record that was read as corrupt: its contents could not be understood.
    pub fn lose(&mut self, start: Position, end: Position) {
        let mut index = self.log.inner().index.lock();
        if let Some(cursor) = index.cursors.get_mut(self.cursor) {
            cursor.lose(Reason::Corrupt, start, end);
        }
    }

    /// Gives up the rest of the segment that is being read, which is counted as corrupt: for a disk that returns errors
    /// for good.
    pub fn skip_segment(&mut self) {
        let mut index = self.log.inner().index.lock();
        if let Some(view) = index.view(self.cursor) {
            let to = view.next.unwrap_or(view.end);
            index.advance(self.cursor, view.at, to, to, None);
        }
    }
}

impl Files {
    fn next(&mut self, until: Option<Position>) -> Result<Option<Read>, ReadError> {
        let log = Arc::clone(&self.log);
        self.read(&log, until).map_err(|source| ReadError { directory: log.shown(), source })
    }

    fn read(&mut self, log: &Inner, until: Option<Position>) -> io::Result<Option<Read>> {
        loop {
            let Some(view) = log.index.lock().view(self.cursor) else { return Ok(None) };
            if until.is_some_and(|until| view.at.record >= until.record) {
                return Ok(None);
            }
            if view.at.offset >= view.limit {
                if !self.leave(log, &view) {
                    return Ok(None);
                }
                continue;
            }
            let Some((start, header)) = self.find(log, &view)? else {
                self.give_up_rest(log, &view);
                continue;
            };
            if let Some(until) = until.filter(|until| start.record >= until.record) {
                // All that was to be read is damaged.
                self.report_damage(log, view.at, until);
                log.index.lock().advance(self.cursor, view.at, until, until, None);
                return Ok(None);
            }
            let samples = header.samples_before.saturating_add(u64::from(header.samples));
            let end = Position {
                segment: start.segment,
                offset: start.offset + header.total(),
                record: header.number.saturating_add(1),
                samples,
            };
            let old = log.options.age_limit().is_some_and(|limit| header.newest_ms < limit);
            let Some(window) = &mut self.window else { continue };
            let payload =
                if old { Bytes::new() } else { Bytes::copy_from_slice(window.payload(start.offset, &header)?) };
            if start.record > view.at.record || start.offset > view.at.offset {
                self.report_damage(log, view.at, start);
            }
            let reason = old.then_some(Reason::Age);
            let taken = log.index.lock().advance(self.cursor, view.at, start, end, reason);
            if taken && !old {
                return Ok(Some(Read { header, payload, start, end }));
            }
        }
    }

    /// The next whole record of the segment.
    fn find(&mut self, log: &Inner, view: &View) -> io::Result<Option<(Position, Header)>> {
        let number = view.at.segment;
        if self.window.as_ref().is_none_or(|window| window.segment() != number) {
            self.window = None;
            match Window::open(&segment::path(&log.options.directory, number), number) {
                Ok(window) => self.window = Some(window),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let Some(window) = &mut self.window else { return Ok(None) };
        let mut offset = view.at.offset;
        while offset < view.limit {
            match window.find(offset, view.limit)? {
                Found::Whole(header) => {
                    let start =
                        Position { segment: number, offset, record: header.number, samples: header.samples_before };
                    return Ok(Some((start, header)));
                }
                Found::Damaged(header) => offset += header.total(),
                Found::Nothing => match window.resync(offset + 1, view.limit)? {
                    Some(found) => offset = found,
                    None => return Ok(None),
                },
            }
        }
        Ok(None)
    }

    /// Goes on to the next segment; false if there is none.
    fn leave(&mut self, log: &Inner, view: &View) -> bool {
        let Some(next) = view.next else { return false };
        self.window = None;
        if next.record > view.at.record {
            self.report_damage(log, view.at, next);
        }
        log.index.lock().advance(self.cursor, view.at, next, next, None);
        true
    }

    /// There is nothing whole in the rest of the segment as far as it is written.
    fn give_up_rest(&mut self, log: &Inner, view: &View) {
        self.window = None;
        let to = match view.next {
            Some(next) => next,
            None => Position { segment: view.at.segment, offset: view.limit, ..view.end },
        };
        if to.record > view.at.record {
            self.report_damage(log, view.at, to);
        }
        log.index.lock().advance(self.cursor, view.at, to, to, None);
    }

    fn report_damage(&self, log: &Inner, from: Position, to: Position) {
        let index = log.index.lock();
        let cursor = index.cursors.get(self.cursor).map(|cursor| cursor.name.clone()).unwrap_or_default();
        drop(index);
        tracing::error!(
            directory = %log.shown(),
            cursor = %cursor,
            segment = from.segment,
            offset = from.offset,
            records = to.record.saturating_sub(from.record),
            samples = to.samples.saturating_sub(from.samples),
            "The log is damaged; what cannot be read is skipped, and reading goes on at the next whole record."
        );
    }
}
