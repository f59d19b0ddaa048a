//! What the file exporter counts.

use pipeline::component::{BuildContext, Signal};
use pipeline::telemetry::Counter;

/// Items of one signal.
#[derive(Debug)]
struct OfSignal {
    sent: Counter,
    failed: Counter,
    dropped_on_error: Counter,
    dropped_ungrouped: Counter,
}

#[derive(Debug)]
pub(super) struct FileMetrics([OfSignal; 3]);

/// Why something was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unwritten {
    /// The system refused.
    Error,
    /// Its resource lacks the attribute that says which file it goes to.
    Ungrouped,
}

impl FileMetrics {
    pub(super) fn new(context: &BuildContext) -> Self {
        let id = context.id.to_string();
        Self([Signal::Metrics, Signal::Traces, Signal::Logs].map(|signal| {
            let counter = |what: &str, help| {
                let name = format!("otelcol_exporter_{what}_{}", signal.items());
                context.telemetry.counter(&name, help, &[("exporter", &id)])
            };
            let dropped = |reason| {
                let name = format!("otelcol_exporter_dropped_{}", signal.items());
                let help = "Items that were not delivered, by reason.";
                context.telemetry.counter(&name, help, &[("exporter", &id), ("reason", reason)])
            };
            OfSignal {
                sent: counter("sent", "Number of items successfully sent to destination."),
                failed: counter("send_failed", "Number of items in failed attempts to send to destination."),
                dropped_on_error: dropped("write_error"),
                dropped_ungrouped: dropped("no_path_segment"),
            }
        }))
    }

    fn of(&self, signal: Signal) -> &OfSignal {
        let [metrics, traces, logs] = &self.0;
        match signal {
            Signal::Metrics => metrics,
            Signal::Traces => traces,
            Signal::Logs => logs,
        }
    }

    pub(super) fn written(&self, signal: Signal, items: usize) {
        self.of(signal).sent.add(items as u64);
    }

    pub(super) fn unwritten(&self, signal: Signal, items: usize, why: Unwritten) {
        let of = self.of(signal);
        match why {
            Unwritten::Error => {
                of.failed.add(items as u64);
                of.dropped_on_error.add(items as u64);
            }
            Unwritten::Ungrouped => of.dropped_ungrouped.add(items as u64),
        }
    }
}
