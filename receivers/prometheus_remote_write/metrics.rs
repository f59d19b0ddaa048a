//! What the receiver counts.

use std::sync::Arc;

use parking_lot::Mutex;
use pipeline::telemetry::{Counter, Telemetry};

use super::cache::SeriesCache;

/// The counters of one receiver.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    pub(super) accepted: Counter,
    pub(super) refused: Counter,
    pub(super) failed: Counter,
    pub(super) refused_requests: Counter,
    pub(super) malformed_requests: Counter,
    pub(super) invalid: Counter,
    pub(super) lost_exemplars: Counter,
    pub(super) metadata_left_out: Counter,
}

impl Metrics {
    pub(super) fn new(telemetry: &Telemetry, receiver: &str, cache: &Arc<Mutex<SeriesCache>>) -> Self {
        let labels = [("receiver", receiver), ("transport", "http")];
        let points = |name: &str, help| telemetry.counter(name, help, &labels);
        let dropped = |reason| {
            telemetry.counter(
                "oxidot_receiver_dropped_items",
                "Items of requests that were left out, by reason.",
                &[("receiver", receiver), ("reason", reason)],
            )
        };
        let requests = |reason| {
            telemetry.counter(
                "oxidot_receiver_refused_requests",
                "Requests refused as a whole, by reason.",
                &[("receiver", receiver), ("reason", reason)],
            )
        };
        for (kind, which) in [("series", 0), ("families", 1)] {
            let cache = Arc::downgrade(cache);
            telemetry.read_gauge(
                "oxidot_receiver_cache_entries",
                "Entries in the caches of a receiver, by cache.",
                &[("receiver", receiver), ("cache", kind)],
                move || {
                    let Some(cache) = cache.upgrade() else { return 0.0 };
                    let (series, families) = cache.lock().sizes();
                    (if which == 0 { series } else { families }) as f64
                },
            );
        }
        Self {
            accepted: points(
                "otelcol_receiver_accepted_metric_points",
                "Number of metric points successfully pushed into the pipeline.",
            ),
            refused: points(
                "otelcol_receiver_refused_metric_points",
                "Number of metric points that could not be pushed into the pipeline.",
            ),
            failed: points(
                "otelcol_receiver_failed_metric_points",
                "Number of metric points that failed to be processed by the receiver.",
            ),
            refused_requests: requests("pipeline_refuses"),
            malformed_requests: requests("malformed"),
            invalid: dropped("invalid_sample"),
            lost_exemplars: dropped("exemplar_without_sample"),
            metadata_left_out: dropped("too_many_families"),
        }
    }
}
