//! What `forward` counts.

use pipeline::component::{BuildContext, Signal};
use pipeline::telemetry::{Counter, Telemetry};

/// Counters of one connector.
#[derive(Debug)]
pub(super) struct Metrics {
    telemetry: Telemetry,
    id: String,
    /// For metrics, traces and logs.
    consumed: [Counter; 3],
}

impl Metrics {
    pub(super) fn new(context: &BuildContext) -> Self {
        let id = context.id.to_string();
        let consumed = [Signal::Metrics, Signal::Traces, Signal::Logs].map(|signal| {
            context.telemetry.counter(
                "otelcol_connector_consumed_items",
                "Items that went into the connector.",
                &[("connector", &id), ("otel_signal", signal.name())],
            )
        });
        Self { telemetry: context.telemetry.clone(), id, consumed }
    }

    pub(super) fn consumed(&self, signal: Signal, items: usize) {
        let [metrics, traces, logs] = &self.consumed;
        let counter = match signal {
            Signal::Metrics => metrics,
            Signal::Traces => traces,
            Signal::Logs => logs,
        };
        counter.add(items as u64);
    }

    pub(super) fn dropped(&self, signal: Signal, items: usize) {
        let name = format!("otelcol_connector_dropped_{}", signal.items());
        let labels = [("connector", self.id.as_str()), ("reason", "pipeline_stopped")];
        self.telemetry.counter(&name, "Items that the next pipeline did not take.", &labels).add(items as u64);
    }
}
