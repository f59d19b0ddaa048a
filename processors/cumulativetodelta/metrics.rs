//! What `cumulativetodelta` counts: the Collector's metrics, and what it drops.

use super::config::MetricType;
use super::convert::Outcome;
use crate::outlet::dropped;
use pipeline::component::{BuildContext, Signal};
use pipeline::telemetry::{Counter, Gauge, Telemetry};

#[derive(Debug)]
pub(super) struct CumulativeMetrics {
    converted: ByType,
    dropped: Box<[Dropped]>,
    tracked: Gauge,
}

/// A counter for each type of metric.
type ByType = [Counter; 3];

/// The counters of one outcome.
#[derive(Debug)]
struct Dropped {
    outcome: Outcome,
    /// The Collector's, where it has one.
    upstream: Option<ByType>,
    ours: Counter,
}

/// What is dropped, under which reason it is counted, and the Collector's reason for it.
const DROPPED: [(Outcome, &str, Option<&str>); 6] = [
    (Outcome::Initial, "initial_value", Some("initial")),
    (Outcome::Reset, "cumulative_reset", Some("reset")),
    (Outcome::Buckets, "bucket_mismatch", Some("bucket_mismatch")),
    (Outcome::OutOfOrder, "out_of_order", None),
    (Outcome::NotRecorded, "no_recorded_value", None),
    (Outcome::Limit, "streams_limit", None),
];

impl CumulativeMetrics {
    pub(super) fn new(context: &BuildContext) -> Self {
        let id = context.id.to_string();
        let telemetry = &context.telemetry;
        let dropped = DROPPED.map(|(outcome, reason, upstream)| {
            let upstream = upstream.map(|reason| by_type(telemetry, &id, Some(reason)));
            Dropped { outcome, upstream, ours: dropped(telemetry, Signal::Metrics, &id, reason) }
        });
        Self {
            converted: by_type(telemetry, &id, None),
            dropped: dropped.into(),
            tracked: telemetry.gauge(
                "otelcol_cumulativetodelta_streams_tracked",
                "Number of streams that are remembered.",
                &[("processor", &id)],
            ),
        }
    }

    pub(super) fn count(&self, kind: MetricType, outcome: Outcome) {
        let of = |counters: &ByType| {
            counters.iter().zip(MetricType::ALL).filter(|(_, of)| *of == kind).for_each(|(c, _)| c.inc())
        };
        if outcome == Outcome::Converted {
            of(&self.converted);
        } else if let Some(dropped) = self.dropped.iter().find(|dropped| dropped.outcome == outcome) {
            dropped.upstream.iter().for_each(of);
            dropped.ours.inc();
        }
    }

    pub(super) fn tracked(&self, streams: usize) {
        self.tracked.set(streams as f64);
    }
}

/// The Collector's counter for each type of metric: of points that were converted, or were dropped for a reason.
fn by_type(telemetry: &Telemetry, id: &str, reason: Option<&str>) -> ByType {
    MetricType::ALL.map(|kind| {
        let labels = [("processor", id), ("metric_type", kind.name())];
        match reason {
            None => telemetry.counter(
                "otelcol_cumulativetodelta_datapoints",
                "Number of points that were converted.",
                &labels,
            ),
            Some(reason) => telemetry.counter(
                "otelcol_cumulativetodelta_datapoints_dropped",
                "Number of points that could not be converted, by reason.",
                &[labels[0], labels[1], ("reason", reason)],
            ),
        }
    })
}
