//! From points to requests: the exporter's hot path.
//!
//! Each point goes to the shard of its series, where it is appended in wire form to a window that is
//! compressed as it fills. What comes out are sealed requests: exactly the bytes to POST.

use super::delta::Deltas;
use super::labels::{LabelTables, Untranslatable};
use super::limits::Guard;
use super::metrics::Metrics;
use super::sample::{STALE, Timestamp, append_sample, append_sample_body, sent_value};
use super::table::{Form, Trail};
use super::translation::{Translation, unsendable};
use super::whole;
use bytes::Bytes;
use pipeline::{Acks, Exemplar, MetricBatch, Origin, Point, PointGroup, Series, Slot, Value};
use prometheus::remote_write::SnappyBlockWriter;
use prometheus::remote_write::wire::v1::{put_histogram, put_series};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::time::Instant;

/// When a request is full.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Samples, histograms included.
    pub(super) samples: usize,
    /// Bytes before compression.
    pub(super) raw_bytes: usize,
    /// Bytes after compression, without what still waits to be compressed.
    pub(super) packed_bytes: usize,
}

/// What a request carries, for counters and for answers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Contents {
    /// Data points as the pipeline counts them.
    pub(super) points: u64,
    /// Float samples.
    pub(super) samples: u64,
    /// Native histograms.
    pub(super) histograms: u64,
    /// Exemplars.
    pub(super) exemplars: u64,
    /// Timestamp of the newest sample, in milliseconds since the Unix epoch.
    pub(super) newest_ms: i64,
}

/// A request that is complete: the body to POST, and who waits for it.
#[derive(Debug)]
pub(super) struct Request {
    /// Snappy block of a `WriteRequest`.
    pub(super) body: Bytes,
    pub(super) contents: Contents,
    pub(super) acks: Acks,
    /// Shard it belongs to, of `generation`'s number of shards.
    pub(super) shard: usize,
    /// Requests of one generation are all done before one of the next is sent: see [`super::shards`].
    pub(super) generation: u64,
}

struct Shard {
    writer: SnappyBlockWriter,
    trail: Trail,
    contents: Contents,
    acks: Acks,
}

/// Encodes batches into requests.
pub(super) struct Encoder {
    translation: Arc<Translation>,
    tables: LabelTables,
    limits: Limits,
    metrics: Arc<Metrics>,
    shards: Vec<Shard>,
    active: usize,
    generation: u64,
    /// Number of groups so far: tells the marks of one from those of another.
    groups: u64,
    sealed: VecDeque<Request>,
    opened: Option<Instant>,
    deltas: Deltas,
    split: whole::SplitSeries,
    /// By the slot of the origin they describe.
    infos: Vec<Option<Info>>,
    /// Keeps back what the store does not accept.
    guard: Guard,
}

/// The `target_info` of an origin.
struct Info {
    of: Slot,
    /// What the target says of itself.
    scraped: Option<Arc<Series>>,
    series: Option<(Arc<Origin>, Arc<Series>)>,
    /// Time of the last sample sent, in nanoseconds since the Unix epoch.
    last: i64,
}

impl Encoder {
    pub(super) fn new(translation: Arc<Translation>, limits: Limits, metrics: Arc<Metrics>, guard: Guard) -> Self {
        Self {
            guard,
            deltas: Deltas::new(translation.deltas, &metrics),
            tables: LabelTables::new(Arc::clone(&translation)),
            translation,
            limits,
            metrics,
            shards: vec![Shard::new()],
            active: 1,
            generation: 0,
            groups: 0,
            sealed: VecDeque::new(),
            opened: None,
            split: whole::SplitSeries::default(),
            infos: Vec::new(),
        }
    }

    /// Number of shards that samples are spread over now.
    pub(super) fn active(&self) -> usize {
        self.active
    }

    /// Since when the oldest unsealed sample waits.
    pub(super) fn opened(&self) -> Option<Instant> {
        self.opened
    }

    /// The generation of requests that are sealed now.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Publishes how many shards are in use and what the label tables hold.
    pub(super) fn publish(&self) {
        self.metrics.state(self.active, self.tables.sizes());
        self.metrics.delta_streams(self.deltas.streams());
    }

    /// Spreads samples over `shards` from now on. What was encoded so far is sealed, and its generation
    /// ends, so that no series is in two shards at once.
    pub(super) fn spread_over(&mut self, shards: usize) {
        self.seal_all();
        self.active = shards.max(1);
        self.generation += 1;
        self.shards.resize_with(self.active, Shard::new);
    }

    /// Encodes all points of `batch`; full requests are to be fetched with [`Encoder::next_sealed`].
    pub(super) fn encode(&mut self, batch: MetricBatch) {
        if self.opened.is_none() {
            self.opened = Some(Instant::now());
        }
        let awaited = batch.acks.awaited();
        self.guard.tick();
        let batch = self.deltas.cumulative(batch);
        for group in batch.groups() {
            self.group(group, &batch.acks);
        }
        self.target_info(&batch);
        batch.acks.resolve(pipeline::AckOutcome::Delivered);
        if awaited {
            self.seal_all();
        }
    }

    /// Seals what is open, however little it is.
    pub(super) fn seal_all(&mut self) {
        for shard in 0..self.shards.len() {
            self.seal(shard);
        }
        self.opened = None;
    }

    /// The next request that is ready to be sent, in the order in which they were sealed.
    pub(super) fn next_sealed(&mut self) -> Option<Request> {
        self.sealed.pop_front()
    }

    /// What counts this encoder's points.
    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn group(&mut self, group: &PointGroup, acks: &Acks) {
        let origin = self.tables.prepare(&group.origin);
        let table = self.tables.table(&group.table, &origin, self.translation.keeps_names(group.origin.source));
        self.groups += 1;
        let mut time = Timestamp::new(0);
        let mut exemplars = in_order(&group.exemplars).into_iter().peekable();
        for (index, point) in group.points.iter().enumerate() {
            let (Some(entry), Some(series)) = (table.entry(point.series), group.table.get(point.series)) else {
                self.metrics.dropped("unknown_series", 1);
                continue;
            };
            if point.time < self.guard.oldest {
                self.guard.too_old(&self.metrics, point.time, &series.name);
                continue;
            }
            if point.time != time.nanos {
                time = Timestamp::new(point.time);
            }
            let value = match &point.value {
                Value::Float(value) => *value,
                Value::Int(value) => *value as f64,
                Value::NoRecordedValue if entry.form() == Form::Steps || whole::is_flat(series) => STALE,
                _ => {
                    self.whole(group, point, series, &time, acks, &of_point(index, &mut exemplars));
                    continue;
                }
            };
            if exemplars.peek().is_some_and(|e| e.point as usize <= index) {
                let own = of_point(index, &mut exemplars);
                self.with_exemplars(&group.origin, series, value, &time, acks, &own);
                continue;
            }
            if entry.form() == Form::Apart || entry.len() + origin.len() >= self.guard.wide {
                self.sample(&group.origin, series, value, &time, acks);
                continue;
            }
            let at = shard_of(&group.origin, series, self.active);
            let Some(shard) = self.shards.get_mut(at) else { continue };
            shard.trail.enter(self.groups);
            let mut out = shard.writer.elements();
            shard.trail.write(&mut out, &table, (point.series, entry), &origin, sent_value(value), &time);
            drop(out);
            shard.took_sample(&time, acks);
            if shard.full(self.limits) {
                self.seal(at);
            }
        }
    }

    /// Appends one float sample.
    #[inline]
    fn sample(&mut self, origin: &Arc<Origin>, series: &Arc<Series>, value: f64, time: &Timestamp, acks: &Acks) {
        let at = shard_of(origin, series, self.active);
        let keeps_names = self.translation.keeps_names(origin.source);
        let labels = match self.tables.labels(origin, series, keeps_names) {
            Ok(labels) => labels,
            Err(Untranslatable::TargetInfo) => return self.note_target_info(origin, series),
            Err(reason) => return self.metrics.dropped(reason.as_str(), 1),
        };
        if labels.len() >= self.guard.wide && self.guard.refuses(&self.metrics, &labels) {
            return;
        }
        let Some(shard) = self.shards.get_mut(at) else { return };
        shard.writer.write(|out| append_sample(out, &labels, value, time));
        shard.took_sample(time, acks);
        if shard.full(self.limits) {
            self.seal(at);
        }
    }

    #[cold]
    fn with_exemplars(
        &mut self,
        origin: &Arc<Origin>,
        series: &Arc<Series>,
        value: f64,
        time: &Timestamp,
        acks: &Acks,
        own: &[&Exemplar],
    ) {
        if !self.translation.send_exemplars || own.is_empty() {
            return self.sample(origin, series, value, time, acks);
        }
        let contents = Contents { samples: 1, exemplars: own.len() as u64, ..Contents::default() };
        self.message(origin, series, time, acks, contents, |out| {
            append_sample_body(out, value, time);
            own.iter().for_each(|exemplar| whole::append_exemplar(out, exemplar));
        });
    }

    /// Appends a time series whose body is more than one sample.
    fn message(
        &mut self,
        origin: &Arc<Origin>,
        series: &Arc<Series>,
        time: &Timestamp,
        acks: &Acks,
        contents: Contents,
        body: impl FnOnce(&mut Vec<u8>),
    ) {
        let at = shard_of(origin, series, self.active);
        let keeps_names = self.translation.keeps_names(origin.source);
        let labels = match self.tables.labels(origin, series, keeps_names) {
            Ok(labels) => labels,
            Err(reason) => return self.metrics.dropped(reason.as_str(), 1),
        };
        if labels.len() >= self.guard.wide && self.guard.refuses(&self.metrics, &labels) {
            return;
        }
        let Some(shard) = self.shards.get_mut(at) else { return };
        let mut bytes = Vec::with_capacity(labels.len() + 64);
        labels.append_to(&mut bytes);
        shard.writer.write(|out| put_series(out, &bytes, body));
        shard.contents.points += 1;
        shard.contents.samples += contents.samples;
        shard.contents.histograms += contents.histograms;
        shard.contents.exemplars += contents.exemplars;
        shard.contents.newest_ms = shard.contents.newest_ms.max(time.millis);
        shard.wait_for(acks);
        if shard.full(self.limits) {
            self.seal(at);
        }
    }

    /// Sends a histogram or summary that travels whole in the form that remote write has for it.
    #[cold]
    fn whole(
        &mut self,
        group: &PointGroup,
        point: &Point,
        series: &Arc<Series>,
        time: &Timestamp,
        acks: &Acks,
        exemplars: &[&Exemplar],
    ) {
        if let Some(reason) = unsendable(series).filter(|_| !self.translation.keeps_names(group.origin.source)) {
            return self.metrics.dropped(reason.as_str(), 1);
        }
        match self.split.parts(group.origin.slot(), series, &point.value) {
            whole::Parts::Samples(samples) => {
                let mut below = None;
                for (part, value) in samples.iter() {
                    if exemplars.is_empty() {
                        self.sample(&group.origin, part, value, time, acks);
                        continue;
                    }
                    let own = whole::exemplars_of(&part.part, &mut below, exemplars);
                    self.with_exemplars(&group.origin, part, value, time, acks, &own);
                }
                self.split.done(samples);
            }
            whole::Parts::Native(mut native) => {
                native.timestamp_ms = time.millis;
                let exemplars = if self.translation.send_exemplars { exemplars } else { &[] };
                let contents = Contents { histograms: 1, exemplars: exemplars.len() as u64, ..Contents::default() };
                self.message(&group.origin, series, time, acks, contents, |out| {
                    exemplars.iter().for_each(|exemplar| whole::append_exemplar(out, exemplar));
                    put_histogram(out, &native);
                });
            }
            whole::Parts::Unsendable(reason) => self.metrics.dropped(reason, 1),
        }
    }

    /// Adds the `target_info` sample of each origin of the batch that has one, at the newest time of its
    /// points.
    fn target_info(&mut self, batch: &MetricBatch) {
        if !self.translation.target_info {
            return;
        }
        let oldest = self.guard.oldest;
        for group in batch.groups() {
            let alive = group.points.iter().filter(|point| point.value != Value::NoRecordedValue);
            let Some(newest) = alive.map(|point| point.time).max() else { continue };
            let Some(info) = self.info(&group.origin) else { continue };
            // Several groups of one origin, or one scrape split over two batches, make one sample.
            if newest <= info.last || newest < oldest {
                continue;
            }
            info.last = newest;
            let Some((origin, series)) = info.series.clone() else { continue };
            self.tables.prepare(&origin);
            self.sample(&origin, &series, 1.0, &Timestamp::new(newest), &batch.acks);
        }
    }

    fn info(&mut self, origin: &Arc<Origin>) -> Option<&mut Info> {
        let slot = origin.slot();
        let index = slot.id as usize;
        if self.infos.len() <= index {
            self.infos.resize_with(index + 1, || None);
        }
        let place = self.infos.get_mut(index)?;
        if place.as_ref().is_none_or(|info| info.of != slot) {
            let series = self.translation.target_info_of(origin, None);
            *place = Some(Info { of: slot, scraped: None, series, last: 0 });
        }
        place.as_mut()
    }

    /// Takes the labels of a scraped `target_info` into the one that is made for its origin.
    #[cold]
    fn note_target_info(&mut self, origin: &Arc<Origin>, series: &Arc<Series>) {
        let translation = Arc::clone(&self.translation);
        let Some(info) = self.info(origin) else { return };
        if info.scraped.as_ref().is_none_or(|known| !Arc::ptr_eq(known, series)) {
            info.series = translation.target_info_of(origin, Some(series));
            info.scraped = Some(Arc::clone(series));
        }
    }

    fn seal(&mut self, at: usize) {
        let Some(shard) = self.shards.get_mut(at).filter(|s| !s.writer.is_empty()) else { return };
        let mut body = Vec::new();
        let contents = std::mem::take(&mut shard.contents);
        let acks = std::mem::take(&mut shard.acks);
        shard.trail = Trail::default();
        match shard.writer.finish(&mut body) {
            Ok(()) => self.sealed.push_back(Request {
                body: body.into(),
                contents,
                acks,
                shard: at,
                generation: self.generation,
            }),
            Err(error) => {
                tracing::error!(%error, "A request could not be compressed.");
                self.metrics.dropped("encoding_failed", contents.points);
                acks.resolve(pipeline::AckOutcome::Rejected);
            }
        }
    }
}

impl Shard {
    fn new() -> Self {
        Self {
            writer: SnappyBlockWriter::new(),
            trail: Trail::default(),
            contents: Contents::default(),
            acks: Acks::default(),
        }
    }

    #[inline]
    fn full(&self, limits: Limits) -> bool {
        (self.contents.samples + self.contents.histograms) as usize >= limits.samples
            || self.writer.raw_len() >= limits.raw_bytes
            || self.writer.compressed_len() >= limits.packed_bytes
    }

    /// Counts one float sample that was written.
    #[inline]
    fn took_sample(&mut self, time: &Timestamp, acks: &Acks) {
        self.contents.points += 1;
        self.contents.samples += 1;
        self.contents.newest_ms = self.contents.newest_ms.max(time.millis);
        self.wait_for(acks);
    }

    #[inline]
    fn wait_for(&mut self, acks: &Acks) {
        // One share per request, however many of the batch's points are in it.
        if acks.awaited() && !self.acks.awaited() {
            self.acks = acks.clone();
        }
    }
}

/// The shard of a series: a function of its identity alone.
#[inline]
fn shard_of(origin: &Origin, series: &Series, shards: usize) -> usize {
    if shards == 1 {
        return 0;
    }
    place_of(origin.hash() ^ series.hash().rotate_left(32), shards)
}

fn place_of(hash: u64, shards: usize) -> usize {
    ((u128::from(hash.wrapping_mul(0x9e37_79b9_7f4a_7c15)) * shards as u128) >> 64) as usize
}

/// Exemplars in the order of their points.
fn in_order(exemplars: &[Exemplar]) -> Vec<&Exemplar> {
    let mut all: Vec<&Exemplar> = exemplars.iter().collect();
    all.sort_by_key(|exemplar| exemplar.point);
    all
}

/// Those of a point. What belongs to points before it, which were not sent, is passed over.
#[cold]
fn of_point<'a>(
    index: usize,
    exemplars: &mut std::iter::Peekable<impl Iterator<Item = &'a Exemplar>>,
) -> Vec<&'a Exemplar> {
    let up_to = std::iter::from_fn(|| exemplars.next_if(|exemplar| exemplar.point as usize <= index));
    up_to.filter(|exemplar| exemplar.point as usize == index).collect()
}
