//! What `deltatocumulative` counts: the Collector's metrics, and what it drops.

use crate::outlet::dropped;
use pipeline::component::{BuildContext, Signal};
use pipeline::telemetry::{Counter, Gauge};
use pipeline::temporality::{Refused, StreamLimits};

#[derive(Debug)]
pub(super) struct DeltaMetrics {
    processed: Counter,
    refused: Box<[(Refused, Counter, Counter)]>,
    tracked: Gauge,
}

impl DeltaMetrics {
    pub(super) fn new(context: &BuildContext, limits: StreamLimits) -> Self {
        let id = context.id.to_string();
        let telemetry = &context.telemetry;
        let of = ("processor", id.as_str());
        let datapoints = |labels: &[(&str, &str)]| {
            telemetry.counter(
                "otelcol_deltatocumulative_datapoints",
                "Number of delta points, with the error of those that could not be added up.",
                labels,
            )
        };
        let refused = [
            (Refused::OlderStart, "delta.ErrOlderStart"),
            (Refused::OutOfOrder, "delta.ErrOutOfOrder"),
            (Refused::Limit, "limit"),
            (Refused::NotFinite, "not_finite"),
        ];
        let refused = refused.map(|(reason, error)| {
            let counted = datapoints(&[of, ("error", error)]);
            (reason, counted, dropped(telemetry, Signal::Metrics, &id, reason.as_str()))
        });
        let gauge = |name, help| telemetry.gauge(name, help, &[of]);
        gauge("otelcol_deltatocumulative_streams_limit", "The largest number of streams that are remembered.")
            .set(limits.max_streams as f64);
        gauge(
            "otelcol_deltatocumulative_streams_max_stale",
            "Seconds without a point after which a stream is forgotten.",
        )
        .set(limits.max_stale.as_secs_f64());
        Self {
            processed: datapoints(&[of]),
            refused: refused.into(),
            tracked: gauge("otelcol_deltatocumulative_streams_tracked", "Number of streams that are remembered."),
        }
    }

    /// So many points of groups with deltas came in.
    pub(super) fn processed(&self, points: usize) {
        self.processed.add(points as u64);
    }

    pub(super) fn refused(&self, reason: Refused) {
        if let Some((_, counted, dropped)) = self.refused.iter().find(|(known, ..)| *known == reason) {
            counted.inc();
            dropped.inc();
        }
    }

    pub(super) fn tracked(&self, streams: usize) {
        self.tracked.set(streams as f64);
    }
}
