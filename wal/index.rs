//! What is in the log and who has had what: the part of the state that is in memory.
//!
//! Everything here is arithmetic on positions; files are the business of the modules around it.

use crate::cursor::{CursorFile, CursorSync};
use crate::segment::START;
use std::collections::VecDeque;
use std::io;

/// A place between two records, with what lies before it.
///
/// Ordered by segment and offset. [`Position::record`] and [`Position::samples`] count from the log's beginning and
/// tell how much is missing where records are damaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Position {
    /// Number of the segment.
    pub segment: u64,
    /// Offset in the segment's file.
    pub offset: u64,
    /// Number of the record that begins here.
    pub record: u64,
    /// Samples in all records before it.
    pub samples: u64,
}

impl Ord for Position {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.segment, self.offset).cmp(&(other.segment, other.offset))
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// What a destination did not get, by reason, since the log was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Records that could not be read back.
    pub corrupt_records: u64,
    /// Their samples.
    pub corrupt_samples: u64,
    /// Records dropped because the log had reached its limit of bytes.
    pub size_records: u64,
    /// Their samples.
    pub size_samples: u64,
    /// Records dropped because they were too old.
    pub age_records: u64,
    /// Their samples.
    pub age_samples: u64,
    /// Records at the end that were cut off when the log was opened, as far as they could be told.
    pub torn_records: u64,
    /// Their samples.
    pub torn_samples: u64,
}

/// Why records are not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Corrupt,
    Size,
    Age,
    Torn,
}

/// What waits for a destination: everything that it has not acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Records.
    pub records: u64,
    /// Samples.
    pub samples: u64,
    /// Bytes on disk, headers included.
    pub bytes: u64,
    /// Timestamp of the oldest sample in the segments it is in, in milliseconds since the Unix epoch, where that is
    /// known. A segment goes back further than what waits of it.
    pub oldest_ms: Option<i64>,
}

/// A segment as far as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    /// Where its records end.
    pub(crate) len: u64,
    pub(crate) first_record: u64,
    pub(crate) samples_before: u64,
    /// `i64::MAX` while nothing is known.
    pub(crate) oldest_ms: i64,
    /// `i64::MIN` while nothing is known.
    pub(crate) newest_ms: i64,
}

impl Segment {
    fn start(&self) -> Position {
        Position { segment: self.number, offset: START, record: self.first_record, samples: self.samples_before }
    }
}

/// A destination.
#[derive(Debug)]
pub(crate) struct Cursor {
    pub(crate) name: String,
    /// Up to here it has everything.
    pub(crate) acked: Position,
    /// Up to here it will be known to have everything, whatever becomes of a machine or of one slot of its file.
    pub(crate) settled: Position,
    /// Up to here it was handed everything.
    pub(crate) read: Position,
    pub(crate) losses: Losses,
    pub(crate) file: CursorFile,
    /// Written since the last sync.
    pub(crate) dirty: bool,
}

/// Segments and cursors.
#[derive(Debug)]
pub(crate) struct Index {
    /// Ascending; the last one may be the active one.
    pub(crate) segments: VecDeque<Segment>,
    pub(crate) end: Position,
    pub(crate) cursors: Vec<Cursor>,
}

/// What a reader has to know to read on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    pub(crate) at: Position,
    /// Where the records of that segment end for now.
    pub(crate) limit: u64,
    /// The segment after it, if it is complete.
    pub(crate) next: Option<Position>,
    /// The end of the log.
    pub(crate) end: Position,
}

impl Cursor {
    /// Begins to sync where it stands.
    pub(crate) fn begin_sync(&mut self) -> io::Result<CursorSync> {
        let begun = self.file.begin_sync(self.acked)?;
        self.dirty = false;
        Ok(begun)
    }

    /// The sync has ended; `done` says how.
    pub(crate) fn end_sync(&mut self, sync: &CursorSync, done: bool) {
        if done && self.file.synced(sync).is_ok() {
            self.settled = self.settled.max(sync.position);
        } else {
            self.dirty = true;
        }
    }

    /// Goes to a later place where something is, over a gap in which nothing can be read.
    pub(crate) fn go_to(&mut self, place: Position) {
        if self.read < place {
            self.lose(Reason::Corrupt, self.read, place);
            self.read = place;
        }
    }

    /// Counts what lies between `from` and `to` as lost.
    pub(crate) fn lose(&mut self, reason: Reason, from: Position, to: Position) {
        let (records, samples) = (to.record.saturating_sub(from.record), to.samples.saturating_sub(from.samples));
        let (all_records, all_samples) = match reason {
            Reason::Corrupt => (&mut self.losses.corrupt_records, &mut self.losses.corrupt_samples),
            Reason::Size => (&mut self.losses.size_records, &mut self.losses.size_samples),
            Reason::Age => (&mut self.losses.age_records, &mut self.losses.age_samples),
            Reason::Torn => (&mut self.losses.torn_records, &mut self.losses.torn_samples),
        };
        *all_records = all_records.saturating_add(records);
        *all_samples = all_samples.saturating_add(samples);
    }
}

impl Index {
    /// Bytes of all segments.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len).sum()
    }

    /// The oldest place that is kept.
    pub(crate) fn start(&self) -> Position {
        self.segments.front().map_or(self.end, Segment::start)
    }

    /// A place where something is: within what is kept, and not at the end of a segment that another follows.
    pub(crate) fn settle(&self, at: Position) -> Position {
        let at = at.max(self.start()).min(self.end);
        let (place, next) = self.around(at.segment);
        match (place, next) {
            (Some(segment), Some(next)) if at.offset >= segment.len => next.start(),
            (None, Some(next)) => next.start(),
            _ => at,
        }
    }

    /// The segment of this number, and the one after it.
    fn around(&self, number: u64) -> (Option<&Segment>, Option<&Segment>) {
        let at = self.segments.partition_point(|segment| segment.number < number);
        let place = self.segments.get(at).filter(|segment| segment.number == number);
        (place, self.segments.get(at + usize::from(place.is_some())))
    }

    /// What cursor `which` is to read on from.
    pub(crate) fn view(&self, which: usize) -> Option<View> {
        let at = self.cursors.get(which)?.read;
        let (place, next) = self.around(at.segment);
        let limit = place.map_or(at.offset, |segment| segment.len);
        Some(View { at, limit, next: next.map(Segment::start), end: self.end })
    }

    /// Moves the reader on from `from` to `to`, unless the place was dropped meanwhile. What lies between the two and
    /// is not part of what was read, up to `found`, is lost.
    pub(crate) fn advance(
        &mut self,
        which: usize,
        from: Position,
        found: Position,
        to: Position,
        reason: Option<Reason>,
    ) -> bool {
        let Some(cursor) = self.cursors.get_mut(which) else { return false };
        if cursor.read != from {
            return false;
        }
        cursor.lose(Reason::Corrupt, from, found);
        if let Some(reason) = reason {
            cursor.lose(reason, found, to);
        }
        cursor.read = to;
        true
    }

    /// Moves the reader from the beginning of a record to a later place, if it stands there: somebody has what lies
    /// between.
    pub(crate) fn pass_over(&mut self, which: usize, from: Position, to: Position) -> bool {
        match self.cursors.get_mut(which) {
            Some(cursor) if cursor.read.record == from.record => {
                cursor.read = to;
                true
            }
            _ => false,
        }
    }

    /// Notes that a destination has everything before `position`; true if that is news.
    pub(crate) fn ack(&mut self, which: usize, position: Position) -> bool {
        let settled = self.settle(position);
        let Some(cursor) = self.cursors.get_mut(which) else { return false };
        if settled <= cursor.acked {
            return false;
        }
        cursor.acked = settled;
        // Somebody who knows more than was read to them: then that need not be read.
        cursor.read = cursor.read.max(position);
        cursor.go_to(settled);
        true
    }

    /// The segments that no destination needs any more, the active one aside.
    pub(crate) fn take_done(&mut self, active: Option<u64>) -> Vec<u64> {
        let needed = self.cursors.iter().map(|cursor| cursor.settled).min().unwrap_or_else(|| self.start());
        let mut done = Vec::new();
        while let Some(first) = self.segments.front().copied() {
            let read = first.number < needed.segment || needed.offset >= first.len && first.number == needed.segment;
            if !read || Some(first.number) == active {
                break;
            }
            self.segments.pop_front();
            done.push(first.number);
        }
        self.resettle();
        done
    }

    /// Drops the oldest segment, which is counted for every destination that has not read it.
    pub(crate) fn drop_oldest(&mut self, reason: Reason) -> Option<(Segment, u64)> {
        let dropped = self.segments.pop_front()?;
        let end = self.start();
        let mut most = 0;
        for cursor in &mut self.cursors {
            let from = cursor.read.max(dropped.start());
            if from < end {
                most = most.max(end.samples.saturating_sub(from.samples));
                cursor.lose(reason, from, end);
            }
            cursor.read = cursor.read.max(end);
            if cursor.acked < end {
                cursor.acked = end;
                cursor.dirty = true;
            }
        }
        Some((dropped, most))
    }

    /// Leads cursors out of segments that are gone or complete.
    pub(crate) fn resettle(&mut self) {
        for at in 0..self.cursors.len() {
            let acked = self.cursors.get(at).map(|cursor| self.settle(cursor.acked));
            if let (Some(acked), Some(cursor)) = (acked, self.cursors.get_mut(at)) {
                cursor.acked = acked;
                cursor.go_to(acked);
            }
        }
    }

    /// What waits for cursor `which`.
    pub(crate) fn backlog(&self, which: usize) -> Backlog {
        let Some(acked) = self.cursors.get(which).map(|cursor| cursor.acked) else { return Backlog::default() };
        let waiting = || self.segments.iter().filter(|segment| segment.number >= acked.segment);
        let bytes = waiting()
            .map(|segment| {
                let from = if segment.number == acked.segment { acked.offset } else { START };
                segment.len.saturating_sub(from)
            })
            .sum();
        let records = self.end.record.saturating_sub(acked.record);
        let oldest = waiting().map(|segment| segment.oldest_ms).min().filter(|oldest| *oldest != i64::MAX);
        Backlog {
            records,
            samples: self.end.samples.saturating_sub(acked.samples),
            bytes,
            oldest_ms: oldest.filter(|_| records > 0),
        }
    }
}
