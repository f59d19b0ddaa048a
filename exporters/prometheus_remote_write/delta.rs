//! Deltas made cumulative, since remote write knows totals only.
//!
//! Statsd and clients of OpenTelemetry that prefer deltas say what was added since their last point. The Collector's exporter
//! drops such points; here they are added up for each series ([`pipeline::temporality`]) before they are encoded.

use std::sync::Arc;

use pipeline::MetricBatch;
use pipeline::temporality::{Accumulator, StreamLimits};
use tokio::time::Instant;

use super::metrics::Metrics;

/// The totals of one exporter.
pub(super) struct Deltas {
    /// None if deltas are to be dropped.
    accumulator: Option<Accumulator>,
    metrics: Arc<Metrics>,
}

impl Deltas {
    pub(super) fn new(limits: Option<StreamLimits>, metrics: &Arc<Metrics>) -> Self {
        Self { accumulator: limits.map(Accumulator::new), metrics: Arc::clone(metrics) }
    }

    /// How many series are being added up.
    pub(super) fn streams(&self) -> usize {
        self.accumulator.as_ref().map_or(0, Accumulator::streams)
    }

    /// The batch with totals for deltas. Points that cannot be added up are taken out and counted.
    pub(super) fn cumulative(&mut self, mut batch: MetricBatch) -> MetricBatch {
        let Some(accumulator) = &mut self.accumulator else { return batch };
        if !batch.groups().iter().any(|group| accumulator.concerns(group)) {
            return batch;
        }
        let now = Instant::now();
        accumulator.tidy(now);
        let metrics = &self.metrics;
        batch.groups_mut(|groups| {
            for group in groups {
                accumulator.accumulate(group, now, |reason, _| metrics.dropped(reason.as_str(), 1));
            }
        });
        batch
    }
}
