//! Batches: what travels in channels.

use crate::ack::Acks;
use crate::component::Signal;
use crate::model::{Origin, SeriesTable};
use crate::value::{Exemplar, Point};
use bytes::Bytes;
use std::sync::Arc;

/// Points of one origin whose series are in one table.
#[derive(Clone, Debug)]
pub struct PointGroup {
    /// Where the points come from.
    pub origin: Arc<Origin>,
    /// What [`Point::series`] indexes.
    pub table: Arc<SeriesTable>,
    /// The points, in order of arrival.
    pub points: Vec<Point>,
    /// Examples of some of the points.
    pub exemplars: Vec<Exemplar>,
}

impl PointGroup {
    /// A group without exemplars.
    pub fn new(origin: Arc<Origin>, table: Arc<SeriesTable>, points: Vec<Point>) -> Self {
        Self { origin, table, points, exemplars: Vec::new() }
    }

    /// Keeps the points for which `keep` says so, which may change them. Exemplars stay with their points, and go with them.
    pub fn retain_mut(&mut self, mut keep: impl FnMut(&mut Point) -> bool) {
        if self.exemplars.is_empty() {
            return self.points.retain_mut(keep);
        }
        const GONE: u32 = u32::MAX;
        let mut places = Vec::with_capacity(self.points.len());
        let mut next = 0;
        self.points.retain_mut(|point| {
            let kept = keep(point);
            places.push(if kept { next } else { GONE });
            next += u32::from(kept);
            kept
        });
        self.exemplars.retain_mut(|exemplar| {
            let place = places.get(exemplar.point as usize).copied().unwrap_or(GONE);
            exemplar.point = place;
            place != GONE
        });
    }
}

/// Groups of points in order of arrival, and who waits to hear what became of them.
///
/// A clone shares the groups; [`MetricBatch::groups_mut`] copies them only if somebody else holds them too.
#[derive(Clone, Debug, Default)]
pub struct MetricBatch {
    groups: Arc<Vec<PointGroup>>,
    points: usize,
    /// Handles to answer when the batch is delivered, written to disk, or dropped.
    pub acks: Acks,
}

impl MetricBatch {
    /// A batch that nobody waits for.
    pub fn new(groups: Vec<PointGroup>) -> Self {
        let points = groups.iter().map(|g| g.points.len()).sum();
        Self { groups: Arc::new(groups), points, acks: Acks::default() }
    }

    /// A batch whose fate is reported to `acks`.
    pub fn with_acks(groups: Vec<PointGroup>, acks: Acks) -> Self {
        Self { acks, ..Self::new(groups) }
    }

    /// Its groups.
    pub fn groups(&self) -> &[PointGroup] {
        &self.groups
    }

    /// Number of points.
    pub fn len(&self) -> usize {
        self.points
    }

    /// Whether there is no point.
    pub fn is_empty(&self) -> bool {
        self.points == 0
    }

    /// Changes the groups in place, copying them first if they are shared.
    pub fn groups_mut<R>(&mut self, change: impl FnOnce(&mut Vec<PointGroup>) -> R) -> R {
        let groups = Arc::make_mut(&mut self.groups);
        let result = change(groups);
        self.points = groups.iter().map(|g| g.points.len()).sum();
        result
    }

    /// The groups and the acknowledgements, copying the groups only if they are shared.
    pub fn into_parts(self) -> (Vec<PointGroup>, Acks) {
        (Arc::try_unwrap(self.groups).unwrap_or_else(|shared| (*shared).clone()), self.acks)
    }
}

/// Traces or logs, as they came: nothing here has a use for their contents, so their bytes are handed on.
#[derive(Clone, Debug)]
pub struct MessageBatch {
    /// Traces or logs.
    pub signal: Signal,
    /// A serialized OTLP `ExportTraceServiceRequest` or `ExportLogsServiceRequest`. Several of them one after the
    /// other are one as well.
    pub body: Bytes,
    /// Spans or log records in it.
    pub items: usize,
    /// Handles to answer when the batch is delivered, written to disk, or dropped.
    pub acks: Acks,
}

/// What travels in a channel.
#[derive(Clone, Debug)]
pub enum Batch {
    /// Metrics.
    Metrics(MetricBatch),
    /// Traces or logs.
    Messages(MessageBatch),
}

impl Batch {
    /// What it carries.
    pub fn signal(&self) -> Signal {
        match self {
            Self::Metrics(_) => Signal::Metrics,
            Self::Messages(batch) => batch.signal,
        }
    }

    /// Number of points, spans or log records.
    pub fn len(&self) -> usize {
        match self {
            Self::Metrics(batch) => batch.len(),
            Self::Messages(batch) => batch.items,
        }
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Who waits to hear what becomes of it.
    pub fn acks(&self) -> &Acks {
        match self {
            Self::Metrics(batch) => &batch.acks,
            Self::Messages(batch) => &batch.acks,
        }
    }

    /// The same, to be changed.
    pub fn acks_mut(&mut self) -> &mut Acks {
        match self {
            Self::Metrics(batch) => &mut batch.acks,
            Self::Messages(batch) => &mut batch.acks,
        }
    }

    /// Its acknowledgements, without the rest.
    pub fn into_acks(self) -> Acks {
        match self {
            Self::Metrics(batch) => batch.acks,
            Self::Messages(batch) => batch.acks,
        }
    }
}

impl From<MetricBatch> for Batch {
    fn from(batch: MetricBatch) -> Self {
        Self::Metrics(batch)
    }
}

impl From<MessageBatch> for Batch {
    fn from(batch: MessageBatch) -> Self {
        Self::Messages(batch)
    }
}
