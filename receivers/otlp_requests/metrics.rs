//! What the receiver counts, under the Collector's names where it has them.

use std::sync::Arc;

use otlp::decode::MetricsReader;
use parking_lot::Mutex;
use pipeline::component::Signal;
use pipeline::telemetry::{Counter, Telemetry};

/// Items of one signal.
#[derive(Clone, Debug)]
pub(crate) struct SignalMetrics {
    pub(crate) accepted: Counter,
    pub(crate) refused: Counter,
    pub(crate) failed: Counter,
}

/// The counters of one protocol.
#[derive(Clone, Debug)]
pub(crate) struct TransportMetrics {
    metrics: SignalMetrics,
    traces: SignalMetrics,
    logs: SignalMetrics,
    pub(crate) invalid: Counter,
    pub(crate) refused_requests: Counter,
    pub(crate) malformed_requests: Counter,
}

impl TransportMetrics {
    pub(crate) fn new(telemetry: &Telemetry, receiver: &str, transport: &str) -> Self {
        let labels = [("receiver", receiver), ("transport", transport)];
        let of = |signal: Signal| {
            let counter = |what: &str, help| {
                telemetry.counter(&format!("otelcol_receiver_{what}_{}", signal.items()), help, &labels)
            };
            SignalMetrics {
                accepted: counter("accepted", "Number of items successfully pushed into the pipeline."),
                refused: counter("refused", "Number of items that could not be pushed into the pipeline."),
                failed: counter("failed", "Number of items that failed to be processed by the receiver."),
            }
        };
        let requests = |reason| {
            telemetry.counter(
                "oxidot_receiver_refused_requests",
                "Requests refused as a whole, by reason.",
                &[("receiver", receiver), ("transport", transport), ("reason", reason)],
            )
        };
        Self {
            metrics: of(Signal::Metrics),
            traces: of(Signal::Traces),
            logs: of(Signal::Logs),
            invalid: telemetry.counter(
                "oxidot_receiver_dropped_items",
                "Items of requests that were left out, by reason.",
                &[("receiver", receiver), ("transport", transport), ("reason", "invalid_data_point")],
            ),
            refused_requests: requests("pipeline_refuses"),
            malformed_requests: requests("malformed"),
        }
    }

    pub(crate) fn of(&self, signal: Signal) -> &SignalMetrics {
        match signal {
            Signal::Metrics => &self.metrics,
            Signal::Traces => &self.traces,
            Signal::Logs => &self.logs,
        }
    }
}

/// The sizes of the cache, which are read when somebody asks.
#[derive(Debug)]
pub(crate) struct CacheMetrics;

impl CacheMetrics {
    pub(crate) fn new(telemetry: &Telemetry, receiver: &str, reader: &Arc<Mutex<MetricsReader>>) -> Self {
        for (kind, which) in [("series", 0), ("families", 1)] {
            let reader = Arc::downgrade(reader);
            telemetry.read_gauge(
                "oxidot_receiver_cache_entries",
                "Entries in the caches of a receiver, by cache.",
                &[("receiver", receiver), ("cache", kind)],
                move || {
                    let Some(reader) = reader.upgrade() else { return 0.0 };
                    let (series, families) = reader.lock().sizes();
                    (if which == 0 { series } else { families }) as f64
                },
            );
        }
        Self
    }
}
