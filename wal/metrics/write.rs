//! Batches into records.

use super::block::Packer;
use super::bytes::{put, put_signed};
use super::define::Definitions;
use super::number::{UNKNOWN, put_value};
use super::whole::put_exemplar;
use super::{BLOCK, DEFINITIONS, MAX_GROUP, MAX_POINTS, MAX_RAW, POINTS};
use crate::{AppendError, Log, Position, Record};
use pipeline::{MetricBatch, Point, PointGroup};

/// Indices follow each other.
pub(super) const RUN: u8 = 1;
/// All points have one time.
pub(super) const ONE_TIME: u8 = 2;
/// Times are whole milliseconds.
pub(super) const MILLIS: u8 = 4;
/// All start times are as known.
pub(super) const STARTS_KNOWN: u8 = 8;
/// Some points have flags.
pub(super) const FLAGS: u8 = 16;
/// Some points have exemplars.
pub(super) const EXEMPLARS: u8 = 32;

/// Why batches are not in the log, or not all of them.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct AppendBatchesError {
    /// How many of the batches are in the log; the others are not.
    pub appended: usize,
    /// Why.
    #[source]
    pub source: AppendError,
}

/// Writes batches of metrics to a log. One for each log.
#[derive(Debug, Default)]
pub struct MetricWriter {
    segment: u64,
    definitions: Definitions,
    /// The payloads of definitions that have been written once.
    again: Vec<Vec<u8>>,
    block: Block,
    packer: Packer,
}

/// Points that are not written yet.
#[derive(Debug, Default)]
struct Block {
    raw: Vec<u8>,
    points: u32,
    oldest: i64,
    newest: i64,
    last_time: i64,
    /// Columns of the group under way.
    marks: Vec<u8>,
    values: Vec<u8>,
}

impl MetricWriter {
    /// Appends batches, all or a number of them from the first one on. Blocks for the time of a write for each 256 KiB
    /// before compression, some hundred thousand points. Small batches are better given several at a time: each call
    /// makes at least one record.
    ///
    /// Acknowledgements are left alone. Returns the place behind the last one.
    ///
    /// # Errors
    /// If the disk is full or fails. What is not appended is to be given again. A part of a batch of millions of points
    /// may be in the log then, and is delivered twice.
    pub fn append(&mut self, log: &Log, batches: &[MetricBatch]) -> Result<Position, AppendBatchesError> {
        let mut appended = 0;
        self.all(log, batches, &mut appended).map_err(|source| {
            // What this segment was to define is not there.
            self.begin(0);
            AppendBatchesError { appended, source }
        })
    }

    fn all(&mut self, log: &Log, batches: &[MetricBatch], appended: &mut usize) -> Result<Position, AppendError> {
        for (number, batch) in batches.iter().enumerate() {
            for group in batch.groups() {
                for (at, points) in group.points.chunks(MAX_GROUP).enumerate() {
                    if self.block.raw.is_empty() {
                        self.prepare(log)?;
                    }
                    self.block.group(&mut self.definitions, group, points, at * MAX_GROUP);
                    if self.block.is_long() {
                        self.write(log)?;
                    }
                }
            }
            if self.block.raw.len() >= BLOCK || number + 1 == batches.len() {
                self.write(log)?;
                *appended = number + 1;
            }
        }
        Ok(log.end())
    }

    /// Begins a block, in the segment that it will go to.
    fn prepare(&mut self, log: &Log) -> Result<(), AppendError> {
        let segment = log.upcoming_segment();
        if segment != self.segment {
            self.begin(segment);
        }
        self.block.clear();
        // The first copies may be damaged; these stand behind another block, hence elsewhere on the disk.
        for again in std::mem::take(&mut self.again) {
            log.append(Some(segment), &definitions(&again))?;
        }
        Ok(())
    }

    fn begin(&mut self, segment: u64) {
        self.segment = segment;
        self.definitions = Definitions::default();
        self.again.clear();
        self.block.clear();
    }

    /// Writes what there is: definitions first, in records of their own.
    fn write(&mut self, log: &Log) -> Result<(), AppendError> {
        if self.block.raw.is_empty() {
            return Ok(());
        }
        for piece in self.definitions.take_unwritten() {
            let payload = self.packer.pack(&piece);
            log.append(Some(self.segment), &definitions(payload))?;
            self.again.push(payload.to_vec());
        }
        let block = &mut self.block;
        let record = Record {
            kind: POINTS,
            samples: block.points,
            oldest_ms: block.oldest.div_euclid(1_000_000),
            newest_ms: block.newest.div_euclid(1_000_000),
            payload: self.packer.pack(&block.raw),
        };
        log.append(Some(self.segment), &record)?;
        block.clear();
        Ok(())
    }
}

/// A record of definitions. It has no age: records of points in its segment need it.
fn definitions(payload: &[u8]) -> Record<'_> {
    Record { kind: DEFINITIONS, samples: 0, oldest_ms: i64::MAX, newest_ms: i64::MAX, payload }
}

impl Block {
    fn clear(&mut self) {
        self.raw.clear();
        (self.points, self.last_time) = (0, 0);
        (self.oldest, self.newest) = (i64::MAX, i64::MIN);
    }

    /// Whether the block is to be written although its last batch goes on.
    fn is_long(&self) -> bool {
        self.raw.len() >= MAX_RAW / 8 || self.points as usize >= MAX_POINTS / 2
    }

    /// Appends points of a group, the first of which is number `first` of the group.
    fn group(&mut self, definitions: &mut Definitions, group: &PointGroup, points: &[Point], first: usize) {
        let Some((head, last)) = points.first().zip(points.last()) else { return };
        let pair = definitions.pair(group, points);
        let run = u64::from(last.series) == u64::from(head.series) + points.len() as u64 - 1;
        let mut flags = RUN | ONE_TIME | MILLIS | STARTS_KNOWN;
        self.marks.clear();
        self.marks.resize(points.len().div_ceil(8), 0);
        self.values.clear();
        for ((index, at), point) in (head.series..).zip(0usize..).zip(points) {
            if point.series != index {
                flags &= !RUN;
            }
            if point.time != head.time {
                flags &= !ONE_TIME;
                self.oldest = self.oldest.min(point.time);
                self.newest = self.newest.max(point.time);
            }
            let known = pair.known(point.series);
            // Readers may know by then what is not known yet, so only what is known counts.
            if known.form == UNKNOWN || point.start != pair.start(point.series) {
                flags &= !STARTS_KNOWN;
            }
            if point.flags != 0 {
                flags |= FLAGS;
            }
            if put_value(&mut self.values, &point.value, known)
                && let Some(mark) = self.marks.get_mut(at / 8)
            {
                *mark |= 1 << (at % 8);
            }
        }
        self.oldest = self.oldest.min(head.time);
        self.newest = self.newest.max(head.time);
        if !run {
            flags &= !RUN;
        }
        let all_millis = flags & ONE_TIME != 0 && head.time % 1_000_000 == 0
            || flags & ONE_TIME == 0 && points.iter().all(|point| point.time % 1_000_000 == 0);
        if !all_millis {
            flags &= !MILLIS;
        }
        let exemplars = group
            .exemplars
            .iter()
            .filter(|exemplar| (exemplar.point as usize).checked_sub(first).is_some_and(|at| at < points.len()));
        if exemplars.clone().next().is_some() {
            flags |= EXEMPLARS;
        }
        put(&mut self.raw, pair.number.into());
        put(&mut self.raw, points.len() as u64);
        self.raw.push(flags);
        self.columns(flags, points);
        self.raw.extend_from_slice(&self.marks);
        self.raw.extend_from_slice(&self.values);
        if flags & STARTS_KNOWN == 0 {
            let mut last = 0i64;
            for point in points {
                put_signed(&mut self.raw, point.start.wrapping_sub(last));
                last = point.start;
            }
        }
        if flags & FLAGS != 0 {
            points.iter().for_each(|point| put(&mut self.raw, point.flags.into()));
        }
        if flags & EXEMPLARS != 0 {
            put(&mut self.raw, exemplars.clone().count() as u64);
            for exemplar in exemplars {
                put_exemplar(&mut self.raw, exemplar, (exemplar.point as usize - first) as u32);
            }
        }
        self.points += points.len() as u32;
    }

    /// Which series, and when.
    fn columns(&mut self, flags: u8, points: &[Point]) {
        let Some(head) = points.first() else { return };
        if flags & RUN != 0 {
            put(&mut self.raw, head.series.into());
        } else {
            let mut expected = 0;
            for point in points {
                put_signed(&mut self.raw, i64::from(point.series) - expected);
                expected = i64::from(point.series) + 1;
            }
        }
        let unit = if flags & MILLIS != 0 { 1_000_000 } else { 1 };
        let mut last = self.last_time / unit;
        let timed = if flags & ONE_TIME != 0 { points.get(..1).unwrap_or_default() } else { points };
        for point in timed {
            let time = point.time / unit;
            put_signed(&mut self.raw, time.wrapping_sub(last));
            last = time;
        }
        self.last_time = last.wrapping_mul(unit);
    }
}
