//! What all processors have in common at their ends: counting what comes in and what goes out, and saying so
//! when something that goes out is not taken.

use pipeline::Batch;
use pipeline::channel::{Output, SendError};
use pipeline::component::{BuildContext, Signal};
use pipeline::telemetry::{Counter, Telemetry};
use std::time::Duration;
use tokio::time::Instant;

/// A message of one cause is logged no more often than this: an outage repeats it for every batch.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// The Collector's counters of a processor's two ends.
#[derive(Clone, Debug)]
pub(crate) struct ItemMetrics {
    /// Items that came in.
    pub(crate) incoming: Counter,
    /// Items that were passed on and taken.
    pub(crate) outgoing: Counter,
}

impl ItemMetrics {
    pub(crate) fn new(context: &BuildContext) -> Self {
        let id = context.id.to_string();
        let labels = [("processor", id.as_str()), ("otel_signal", signal(context).name())];
        let counter = |name, help| context.telemetry.counter(name, help, &labels);
        Self {
            incoming: counter("otelcol_processor_incoming_items", "Items that came into the processor."),
            outgoing: counter("otelcol_processor_outgoing_items", "Items that left the processor."),
        }
    }
}

/// What the pipeline of a processor carries.
pub(crate) fn signal(context: &BuildContext) -> Signal {
    context.signal.unwrap_or(Signal::Metrics)
}

/// The counter of items that processor `id` dropped for `reason`.
pub(crate) fn dropped(telemetry: &Telemetry, signal: Signal, id: &str, reason: &str) -> Counter {
    telemetry.counter(
        &format!("otelcol_processor_dropped_{}", signal.items()),
        "Items that the processor did not pass on, by reason.",
        &[("processor", id), ("reason", reason)],
    )
}

/// Lets a message through at most once a second and counts the others.
#[derive(Debug, Default)]
pub(crate) struct LogThrottle {
    last: Option<Instant>,
    suppressed: u64,
}

impl LogThrottle {
    /// How often the message was held back since it was last let through, if it may be logged now.
    pub(crate) fn admit(&mut self) -> Option<u64> {
        let now = Instant::now();
        if self.last.is_some_and(|last| now.duration_since(last) < LOG_INTERVAL) {
            self.suppressed += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

/// The way out of a processor, before it is joined to the next component.
#[derive(Clone, Debug)]
pub(crate) struct OutletMetrics {
    id: String,
    outgoing: Counter,
    refused: Counter,
    closed: Counter,
}

impl OutletMetrics {
    pub(crate) fn new(context: &BuildContext, items: &ItemMetrics) -> Self {
        let id = context.id.to_string();
        Self {
            refused: dropped(&context.telemetry, signal(context), &id, "refused_downstream"),
            closed: dropped(&context.telemetry, signal(context), &id, "pipeline_stopped"),
            outgoing: items.outgoing.clone(),
            id,
        }
    }

    pub(crate) fn into_outlet(self, output: Output) -> Outlet {
        Outlet { output, metrics: self, throttle: LogThrottle::default() }
    }
}

/// The way out of a processor.
#[derive(Debug)]
pub(crate) struct Outlet {
    output: Output,
    metrics: OutletMetrics,
    throttle: LogThrottle,
}

impl Outlet {
    /// Waits until the next component has taken the batch. What is not taken is counted and logged: its
    /// acknowledgement says `dropped`, and nobody else could do more about it.
    pub(crate) async fn send(&mut self, batch: impl Into<Batch>) {
        let batch = batch.into();
        let items = batch.len() as u64;
        let Err(error) = self.output.send(batch).await else {
            self.metrics.outgoing.add(items);
            return;
        };
        match error {
            SendError::Refused(_) => self.metrics.refused.add(items),
            SendError::Closed => self.metrics.closed.add(items),
        }
        if let Some(suppressed) = self.throttle.admit() {
            let processor = self.metrics.id.as_str();
            tracing::error!(processor, %error, items, suppressed, "The next component did not take a batch; it is dropped.");
        }
    }
}
