//! Records back into batches.

use super::block::unpack;
use super::bytes::Input;
use super::number;
use super::resolve::{KnownPair, Resolved};
use super::whole;
use super::write::{EXEMPLARS, FLAGS, MILLIS, ONE_TIME, RUN, STARTS_KNOWN};
use super::{DEFINITIONS, MAX_POINTS, POINTS};
use crate::{Header, Log, Position, Read, ReadError, Reader};
use bytes::Bytes;
use pipeline::{MetricBatch, Point, PointGroup};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Reads batches of metrics from a log, for one destination. One reader for each cursor.
#[derive(Debug)]
pub struct MetricReader {
    /// `None` while a thread of the blocking pool has it.
    inner: Option<Inner>,
    busy: Option<JoinHandle<(Inner, Outcome)>>,
    end: watch::Receiver<Position>,
    log: Log,
    cursor: usize,
}

type Outcome = Result<Option<ReadBatch>, ReadError>;

/// The part that reads and decodes.
#[derive(Debug)]
struct Inner {
    reader: Reader,
    log: Log,
    decoder: Decoder,
}

/// A batch as it was read.
#[derive(Clone, Debug)]
pub struct ReadBatch {
    /// The points; nobody waits for them.
    pub batch: MetricBatch,
    /// The header of their record: how many there are, and of which times.
    pub header: Header,
    /// Where their record begins.
    pub start: Position,
    /// The place behind them: what [`Log::ack`] is given once all are delivered.
    pub end: Position,
}

/// Takes records apart. The state is that of one segment.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    segment: u64,
    resolved: Resolved,
    raw: Vec<u8>,
    /// How far the segment was written when its definitions were last looked through.
    looked_through: u64,
}

/// Why a record of points gives no batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undecodable {
    /// It refers to something that was not defined.
    Undefined,
    /// It is none of ours.
    Malformed,
}

impl MetricReader {
    /// A reader for destination `cursor`. It begins at what is not acknowledged.
    pub fn new(log: &Log, cursor: usize) -> Self {
        let inner = Inner { reader: log.reader(cursor), log: log.clone(), decoder: Decoder::default() };
        Self { inner: Some(inner), busy: None, end: log.watch_end(), log: log.clone(), cursor }
    }

    /// The next batch, or `None` if there is none yet. Blocks for the time of a read; where reading begins within a
    /// segment, for that of reading the segment.
    ///
    /// # Errors
    /// If files cannot be read; nothing is skipped then.
    pub fn next_now(&mut self) -> Result<Option<ReadBatch>, ReadError> {
        self.inner.as_mut().map_or(Ok(None), |inner| inner.next(None))
    }

    /// The next batch; waits until there is one. Reads and decodes on the blocking pool. May be dropped at any point
    /// and called again without losing a batch.
    ///
    /// # Errors
    /// As [`MetricReader::next_now`].
    pub async fn next_ready(&mut self) -> Result<ReadBatch, ReadError> {
        loop {
            if self.busy.is_none() {
                // Whatever is appended from here on wakes the wait below.
                self.end.borrow_and_update();
                if self.has_more() {
                    self.begin_read(None);
                }
            }
            if self.busy.is_some() {
                let Some(read) = self.join_read().await else { return std::future::pending().await };
                match read? {
                    Some(read) => return Ok(read),
                    None => continue,
                }
            }
            if self.end.changed().await.is_err() {
                // `self.log` holds the other end.
                std::future::pending().await
            }
        }
    }

    /// The next batch before `until`; `None` once nothing before that is left, and never a later one: what the log did not take
    /// may be due before that. Reads and decodes on the blocking pool. May
    /// be dropped at any point and called again without losing a batch.
    ///
    /// # Errors
    /// As [`MetricReader::next_now`].
    pub async fn next_before(&mut self, until: Position) -> Result<Option<ReadBatch>, ReadError> {
        loop {
            if self.busy.is_none() {
                let stands = self.log.read_up_to(self.cursor).unwrap_or(until);
                if stands.record >= until.record {
                    return Ok(None);
                }
                self.begin_read(Some(until));
            }
            // Without a thread that reads there is nothing to read with: the one before has ended with the runtime.
            let Some(read) = self.join_read().await else { return std::future::pending().await };
            if let Some(read) = read? {
                return Ok(Some(read));
            }
            if !self.has_more() {
                return Ok(None);
            }
        }
    }

    /// Has a thread of the blocking pool read on, up to a place if one is given.
    fn begin_read(&mut self, until: Option<Position>) {
        if let Some(mut inner) = self.inner.take() {
            self.busy = Some(tokio::task::spawn_blocking(move || {
                let read = inner.next(until);
                (inner, read)
            }));
        }
    }

    /// What that thread has read; `None` if there is none, or it ended with the runtime.
    async fn join_read(&mut self) -> Option<Outcome> {
        let joined = self.busy.as_mut()?.await;
        self.busy = None;
        let (inner, read) = joined.ok()?;
        self.inner = Some(inner);
        Some(read)
    }

    /// Whether there are records that were not read.
    pub fn has_more(&self) -> bool {
        self.log.has_unread(self.cursor)
    }

    /// Goes over the records from `from` to `to`, as [`Log::end`] was before and after they were appended: the caller has
    /// what they hold. False if the reader stands elsewhere, or reads at the moment; nothing is changed then.
    pub fn pass_over(&mut self, from: Position, to: Position) -> bool {
        let Some(inner) = &mut self.inner else { return false };
        // What they define was not read either, so that it is to be looked up before anything else is.
        inner.decoder.segment = 0;
        self.log.inner().index.lock().pass_over(self.cursor, from, to)
    }

    /// As [`Reader::skip_segment`].
    pub fn skip_segment(&mut self) {
        if let Some(inner) = &mut self.inner {
            inner.reader.skip_segment();
        }
    }
}

impl Inner {
    fn next(&mut self, until: Option<Position>) -> Outcome {
        loop {
            // Records of definitions give no batch, and behind the last one may be what is not to be read yet.
            let read = match until {
                Some(until) => self.reader.next_before(until)?,
                None => self.reader.next_now()?,
            };
            let Some(read) = read else { return Ok(None) };
            if let Some(batch) = self.decode(read)? {
                return Ok(Some(batch));
            }
        }
    }

    fn decode(&mut self, read: Read) -> Outcome {
        let Read { header, payload, start, end } = read;
        if self.decoder.segment != start.segment {
            self.decoder.begin(start.segment);
            if start.offset > crate::segment::START {
                self.look_through()?;
            }
        }
        if header.kind == DEFINITIONS {
            if self.decoder.define(&payload).is_none() {
                tracing::error!(
                    segment = start.segment,
                    offset = start.offset,
                    "Definitions in the log are malformed."
                );
            }
            return Ok(None);
        }
        let mut decoded = self.decoder.points(&header, &payload);
        if matches!(decoded, Err(Undecodable::Undefined)) && self.log.end() > self.decoder.looked() {
            // The definitions were damaged. They were written twice, so they may come later.
            self.look_through()?;
            decoded = self.decoder.points(&header, &payload);
        }
        match decoded {
            Ok(groups) => Ok(Some(ReadBatch { batch: MetricBatch::new(groups), header, start, end })),
            Err(reason) => {
                tracing::error!(
                    segment = start.segment,
                    offset = start.offset,
                    samples = header.samples,
                    ?reason,
                    "Samples in the log cannot be read: what they refer to is damaged. They are skipped."
                );
                self.reader.lose(start, end);
                Ok(None)
            }
        }
    }

    /// Takes in all definitions of the segment.
    fn look_through(&mut self) -> Result<(), ReadError> {
        let decoder = &mut self.decoder;
        decoder.looked_through = self.reader.look_through(decoder.segment, DEFINITIONS, |payload: Bytes| {
            // What is malformed is reported when it is read.
            decoder.resolved.define(Input(unpack(&payload, &mut decoder.raw).unwrap_or_default()));
        })?;
        Ok(())
    }
}

impl Decoder {
    fn begin(&mut self, segment: u64) {
        *self = Self { segment, raw: std::mem::take(&mut self.raw), ..Self::default() };
    }

    fn looked(&self) -> Position {
        Position { segment: self.segment, offset: self.looked_through, ..Position::default() }
    }

    /// Takes in a record of definitions.
    pub(super) fn define(&mut self, payload: &[u8]) -> Option<()> {
        self.resolved.define(Input(unpack(payload, &mut self.raw)?))
    }

    /// The points of a record.
    pub(super) fn points(&mut self, header: &Header, payload: &[u8]) -> Result<Vec<PointGroup>, Undecodable> {
        if header.kind != POINTS {
            return Err(Undecodable::Malformed);
        }
        let mut input = Input(unpack(payload, &mut self.raw).ok_or(Undecodable::Malformed)?);
        let mut groups = Vec::new();
        let (mut last_time, mut points) = (0, 0usize);
        while !input.is_empty() {
            let number = input.small().ok_or(Undecodable::Malformed)?;
            let pair = self.resolved.pair_in_use(number).ok_or(Undecodable::Undefined)?;
            let group = group(&mut input, pair, &mut last_time, MAX_POINTS - points).ok_or(Undecodable::Malformed)?;
            points += group.points.len();
            groups.push(group);
        }
        Ok(groups)
    }
}

/// One group, of at most so many points.
fn group(input: &mut Input<'_>, pair: &KnownPair, last_time: &mut i64, most: usize) -> Option<PointGroup> {
    let len = usize::try_from(input.number()?).ok()?;
    let flags = input.byte()?;
    // Each point takes a bit at least.
    if len > most || len / 8 > input.0.len() {
        return None;
    }
    let mut points = Vec::with_capacity(len);
    let empty = Point { series: 0, flags: 0, time: 0, start: 0, value: pipeline::Value::NONE };
    if flags & RUN != 0 {
        let first = input.small()?;
        let end = first.checked_add(u32::try_from(len).ok()?)?;
        points.extend((first..end).map(|series| Point { series, ..empty.clone() }));
    } else {
        let mut expected = 0i64;
        for _ in 0..len {
            let series = expected.checked_add(input.signed()?)?;
            expected = series.checked_add(1)?;
            points.push(Point { series: u32::try_from(series).ok()?, ..empty.clone() });
        }
    }
    times(input, flags, &mut points, last_time)?;
    let marks = input.take(len.div_ceil(8))?;
    let known_starts = flags & STARTS_KNOWN != 0;
    for (at, point) in points.iter_mut().enumerate() {
        let known = pair.known(point.series);
        let differs = marks.get(at / 8)? & (1 << (at % 8)) != 0;
        point.value = if differs { number::value(input, known)? } else { number::same(known)? };
        if known_starts {
            point.start = pair.start(point.series);
        }
    }
    if !known_starts {
        let mut last = 0i64;
        for point in &mut points {
            last = last.wrapping_add(input.signed()?);
            point.start = last;
        }
    }
    if flags & FLAGS != 0 {
        for point in &mut points {
            point.flags = input.small()?;
        }
    }
    let mut exemplars = Vec::new();
    if flags & EXEMPLARS != 0 {
        for _ in 0..input.count(6)? {
            exemplars.push(whole::exemplar(input)?);
        }
    }
    Some(PointGroup { origin: pair.origin.clone(), table: pair.table.clone(), points, exemplars })
}

fn times(input: &mut Input<'_>, flags: u8, points: &mut [Point], last_time: &mut i64) -> Option<()> {
    let unit = if flags & MILLIS != 0 { 1_000_000 } else { 1 };
    let mut last = *last_time / unit;
    let one = flags & ONE_TIME != 0;
    if one {
        last = last.wrapping_add(input.signed()?);
    }
    for point in points {
        if !one {
            last = last.wrapping_add(input.signed()?);
        }
        point.time = last.wrapping_mul(unit);
    }
    *last_time = last.wrapping_mul(unit);
    Some(())
}
