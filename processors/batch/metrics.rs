//! What `batch` counts, under the Collector's names.

use pipeline::component::BuildContext;
use pipeline::telemetry::{Counter, Distribution, Gauge};

/// The Collector's buckets of `batch_send_size`, in items.
const SIZE_BOUNDS: [f64; 22] = [
    10., 25., 50., 75., 100., 250., 500., 750., 1000., 2000., 3000., 4000., 5000., 6000., 7000., 8000., 9000., 10000.,
    20000., 30000., 50000., 100000.,
];

/// Why a batch was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trigger {
    /// Enough items are together, or nothing is to wait.
    Size,
    /// The first item waited long enough, or the pipeline stops.
    Timeout,
    /// Somebody waits for the delivery.
    Awaited,
}

#[derive(Debug)]
pub(super) struct BatchMetrics {
    send_size: Distribution,
    by_size: Counter,
    by_timeout: Counter,
    by_awaited: Counter,
    cardinality: Gauge,
}

impl BatchMetrics {
    pub(super) fn new(context: &BuildContext) -> Self {
        let id = context.id.to_string();
        let labels = [("processor", id.as_str())];
        let telemetry = &context.telemetry;
        Self {
            cardinality: telemetry.gauge(
                "otelcol_processor_batch_metadata_cardinality",
                "Number of distinct metadata value combinations being processed.",
                &labels,
            ),
            send_size: telemetry.distribution(
                "otelcol_processor_batch_batch_send_size",
                "Number of items in the batches that were sent.",
                &SIZE_BOUNDS,
                &labels,
            ),
            by_size: telemetry.counter(
                "otelcol_processor_batch_batch_size_trigger_send",
                "Number of batches sent because they were large enough.",
                &labels,
            ),
            by_timeout: telemetry.counter(
                "otelcol_processor_batch_timeout_trigger_send",
                "Number of batches sent because their first item had waited long enough.",
                &labels,
            ),
            by_awaited: telemetry.counter(
                "otelcol_processor_batch_awaited_trigger_send",
                "Number of batches sent because somebody waited for their delivery.",
                &labels,
            ),
        }
    }

    /// How many combinations of metadata have something that waits.
    pub(super) fn combinations(&self, count: usize) {
        self.cardinality.set(count as f64);
    }

    pub(super) fn sent(&self, items: usize, trigger: Trigger) {
        self.send_size.observe(items as f64);
        match trigger {
            Trigger::Size => self.by_size.inc(),
            Trigger::Timeout => self.by_timeout.inc(),
            Trigger::Awaited => self.by_awaited.inc(),
        }
    }
}
