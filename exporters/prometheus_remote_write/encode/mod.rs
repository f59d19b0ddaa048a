//! From points to requests: the exporter's hot path.
//!
//! Each point goes to the shard of its series, where it is appended in wire form to a window that is
//! compressed as it fills. What comes out are sealed requests: exactly the bytes to POST.

mod apart;
mod request;
mod shard;
mod target_info;

use super::account::Mark;
use super::delta::Deltas;
use super::labels::{LabelTables, WireOrigin};
use super::limits::Guard;
use super::metrics::Metrics;
use super::sample::{STALE, Timestamp, sent_value};
use super::spread::{self, shard_of, turn_of};
use super::table::{Form, ReadyTable, Run, WireTable};
use super::translation::Translation;
use super::v2::{Group, Start, SymbolTables};
use super::whole;
use pipeline::{Acks, Exemplar, MetricBatch, Point, PointGroup, Value};
use prometheus::remote_write::protocol::ProtocolVersion;
pub(super) use request::{Contents, Limits, Request};
use shard::{Body, BodyV1, Shard};
use std::collections::VecDeque;
use std::sync::Arc;
use target_info::Infos;
use tokio::time::Instant;

/// Encodes batches into requests.
pub(super) struct Encoder {
    version: ProtocolVersion,
    translation: Arc<Translation>,
    tables: LabelTables,
    /// What of them version 2.0 refers to.
    symbols: SymbolTables,
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
    infos: Infos,
    /// Keeps back what the store does not accept.
    guard: Guard,
    /// Of what is encoded now.
    mark: Mark,
}

impl Encoder {
    /// An encoder of requests of version 1.0, until it is told otherwise.
    pub(super) fn new(translation: Arc<Translation>, limits: Limits, metrics: Arc<Metrics>, guard: Guard) -> Self {
        let version = ProtocolVersion::V1;
        let deltas = Deltas::new(translation.deltas, &metrics);
        Self {
            version,
            guard,
            mark: Mark::default(),
            tables: LabelTables::new(Arc::clone(&translation)),
            symbols: SymbolTables::default(),
            translation,
            limits,
            metrics,
            shards: vec![Shard::new(version, Mark::default())],
            active: 1,
            generation: 0,
            groups: 0,
            sealed: VecDeque::new(),
            opened: None,
            deltas,
            split: whole::SplitSeries::default(),
            infos: Infos::default(),
        }
    }

    /// Writes requests of `version` with names by `translation` from now on. What was encoded so far is sealed.
    pub(super) fn speak(&mut self, version: ProtocolVersion, translation: &Arc<Translation>) {
        if version == self.version && Arc::ptr_eq(translation, &self.translation) {
            return;
        }
        self.seal_all();
        self.version = version;
        let mark = self.mark;
        self.shards.iter_mut().for_each(|shard| *shard = Shard::new(version, mark));
        self.symbols = SymbolTables::default();
        if !Arc::ptr_eq(translation, &self.translation) {
            self.translation = Arc::clone(translation);
            self.tables = LabelTables::new(Arc::clone(translation));
            self.tables.divide(self.active);
            self.infos = Infos::default();
        }
    }

    /// How names and labels are translated now.
    pub(super) fn translation(&self) -> &Translation {
        &self.translation
    }

    /// The version of requests that are sealed now.
    pub(super) fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// Requests have at most this many compressed bytes from now on.
    pub(super) fn limit_packed_bytes(&mut self, bytes: usize) {
        self.limits.packed_bytes = bytes;
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

    /// What is encoded from now on is accounted under `mark`.
    pub(super) fn mark(&mut self, mark: Mark) {
        self.mark = mark;
        for shard in self.shards.iter_mut().filter(|shard| shard.is_empty()) {
            shard.mark = mark;
        }
    }

    /// The earliest number that something is accounted under which is not sealed yet.
    pub(super) fn oldest_open(&self) -> Option<u64> {
        self.shards.iter().filter(|shard| !shard.is_empty()).map(|shard| shard.mark.number).min()
    }

    /// Publishes how many shards are in use and what the label tables hold.
    pub(super) fn publish(&self) {
        self.metrics.state(self.active, self.tables.sizes());
        self.metrics.delta_streams(self.deltas.streams());
    }

    /// Spreads samples over `shards` from now on. What was encoded so far is sealed, and its generation
    /// ends, so that no series is in two shards at once.
    pub(super) fn spread_over(&mut self, shards: usize) {
        if shards.clamp(1, spread::MOST) == self.active {
            return;
        }
        self.seal_all();
        self.active = shards.clamp(1, spread::MOST);
        self.tables.divide(self.active);
        self.generation += 1;
        let (version, mark) = (self.version, self.mark);
        self.shards.resize_with(self.active, || Shard::new(version, mark));
    }

    /// Encodes all points of `batch`; full requests are to be fetched with [`Encoder::next_sealed`].
    pub(super) fn encode(&mut self, batch: MetricBatch) {
        if self.opened.is_none() {
            self.opened = Some(Instant::now());
        }
        let awaited = batch.acks.awaited();
        self.guard.tick();
        if self.symbols.is_overgrown() {
            // What is being filled refers to it.
            self.seal_all();
            self.symbols = SymbolTables::default();
            self.opened = Some(Instant::now());
        }
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
        let keeps_names = self.translation.keeps_names(group.origin.source);
        let table = self.tables.table(&group.table, &origin, keeps_names);
        let references = (self.version == ProtocolVersion::V2)
            .then(|| self.symbols.group(group, &table, &origin, keeps_names, self.translation.send_metadata));
        self.groups += 1;
        let mut time = Timestamp::new(group.points.first().map_or(0, |point| point.time));
        let of = (&*group.table, &*table);
        let ready =
            references.is_none().then(|| self.tables.ready(of, &origin, keeps_names, time.sample_len())).flatten();
        let turn = turn_of(&group.origin, self.active);
        let mut start = Start::default();
        let mut exemplars = in_order(&group.exemplars).into_iter().peekable();
        let mut next = 0;
        while let Some(point) = group.points.get(next) {
            let index = next;
            if ready.is_some() || references.is_some() {
                let end = exemplars.peek().map_or(group.points.len(), |exemplar| exemplar.point as usize);
                let points = group.points.get(index..end).unwrap_or_default();
                let of = Known { table: &table, origin: &origin, ready: ready.as_deref(), group: references.as_ref() };
                next += self.run(&of, turn, (&time, &mut start), points, acks);
                if next > index {
                    continue;
                }
            }
            next += 1;
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
            let Some(value) = flat_value(&point.value, entry.form(), series) else {
                self.whole(group, point, series, &time, acks, &of_point(index, &mut exemplars));
                continue;
            };
            let due = exemplars.peek().is_some_and(|e| e.point as usize <= index);
            if due || entry.form() == Form::Apart || entry.len() + origin.len() >= self.guard.wide {
                let own = of_point(index, &mut exemplars);
                let start_ms = references.as_ref().map_or(0, |group| group.start_ms(&mut start, point, &time));
                self.with_exemplars(&group.origin, series, (value, start_ms), &time, acks, &own);
                continue;
            }
            let at = shard_of(entry.class(), turn, self.active);
            let Some(shard) = self.shards.get_mut(at) else { continue };
            match (&mut shard.body, &references) {
                (Body::V1(body), _) => {
                    let BodyV1 { writer, trail } = &mut **body;
                    trail.enter(self.groups);
                    let mut out = writer.elements();
                    trail.write(
                        &mut out,
                        (&table, ready.as_deref()),
                        (point.series, entry),
                        &origin,
                        sent_value(value),
                        &time,
                    );
                }
                (Body::V2(body), Some(group)) => {
                    let start_ms = group.start_ms(&mut start, point, &time);
                    body.write(&self.symbols, group, point.series, sent_value(value), &time, start_ms);
                }
                (Body::V2(_), None) => continue,
            }
            shard.took_samples(1, &time, acks);
            if shard.full(self.limits) {
                self.seal(at);
            }
        }
    }

    /// Encodes the first of `points` as long as they are what nearly all are: see [`super::table::Trail::write_run`] and
    /// [`super::v2::Body::write_run`]. Says how many.
    #[inline]
    fn run(
        &mut self,
        of: &Known<'_>,
        turn: usize,
        (time, start): (&Timestamp, &mut Start),
        points: &[Point],
        acks: &Acks,
    ) -> usize {
        let Some((entry, points)) = of.table.of_a_class(points).filter(|_| time.nanos >= self.guard.oldest) else {
            return 0;
        };
        let at = shard_of(entry.class(), turn, self.active);
        let Some(shard) = self.shards.get_mut(at) else { return 0 };
        let room = self.limits.samples.saturating_sub(shard.contents.values() as usize);
        let points = points.get(..room).unwrap_or(points);
        let Limits { raw_bytes, packed_bytes, .. } = self.limits;
        let wide = self.guard.wide;
        let written = match (&mut shard.body, of.ready, of.group) {
            (Body::V1(body), Some(ready), _) => {
                let BodyV1 { writer, trail } = &mut **body;
                trail.enter(self.groups);
                trail.write_run(writer, Run { ready, first: entry, time, wide, raw_bytes, packed_bytes }, points)
            }
            (Body::V2(body), _, Some(group)) if group.widest() + of.origin.len() < wide => {
                body.write_run((&self.symbols, group), points, (time, start), (raw_bytes, packed_bytes))
            }
            _ => 0,
        };
        if written > 0 {
            shard.took_samples(written, time, acks);
            if shard.full(self.limits) {
                self.seal(at);
            }
        }
        written
    }

    fn seal(&mut self, at: usize) {
        let Some(shard) = self.shards.get_mut(at).filter(|s| !s.is_empty()) else { return };
        let contents = std::mem::take(&mut shard.contents);
        let acks = std::mem::take(&mut shard.acks);
        let mark = std::mem::replace(&mut shard.mark, self.mark);
        let version = shard.body.version();
        self.metrics.translated(&contents);
        match shard.finish() {
            Ok(body) => self.sealed.push_back(Request {
                body: body.into(),
                version,
                contents,
                acks,
                shard: at,
                generation: self.generation,
                mark,
            }),
            Err(error) => {
                tracing::error!(%error, "A request could not be compressed.");
                self.metrics.dropped("encoding_failed", contents.points);
                acks.resolve(pipeline::AckOutcome::Rejected);
            }
        }
    }
}

/// The value of a point that is one sample.
#[inline]
fn flat_value(value: &Value, form: Form, series: &pipeline::Series) -> Option<f64> {
    match value {
        Value::Float(value) => Some(*value),
        Value::Int(value) => Some(*value as f64),
        Value::NoRecordedValue(_) if form == Form::Steps || whole::is_flat(series) => Some(STALE),
        _ => None,
    }
}

/// What is known of the series of a group: in both versions, in version 1.0, and in version 2.0.
struct Known<'a> {
    table: &'a WireTable,
    origin: &'a WireOrigin,
    ready: Option<&'a ReadyTable>,
    group: Option<&'a Group>,
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
