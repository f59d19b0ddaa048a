//! What the file exporter counts.

use otlp::encode::Dropped;
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
pub(super) struct FileMetrics {
    signals: [OfSignal; 3],
    /// Samples that OTLP has no place for, by reason.
    left_out: [Counter; 3],
}

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
        let dropped = |signal: Signal, reason| {
            let name = format!("otelcol_exporter_dropped_{}", signal.items());
            let help = "Items that were not delivered, by reason.";
            context.telemetry.counter(&name, help, &[("exporter", &id), ("reason", reason)])
        };
        let signals = [Signal::Metrics, Signal::Traces, Signal::Logs].map(|signal| {
            let counter = |what: &str, help| {
                let name = format!("otelcol_exporter_{what}_{}", signal.items());
                context.telemetry.counter(&name, help, &[("exporter", &id)])
            };
            OfSignal {
                sent: counter("sent", "Number of items successfully sent to destination."),
                failed: counter("send_failed", "Number of items in failed attempts to send to destination."),
                dropped_on_error: dropped(signal, "write_error"),
                dropped_ungrouped: dropped(signal, "no_path_segment"),
            }
        });
        let left_out = Dropped::default().by_reason().map(|(reason, _)| dropped(Signal::Metrics, reason));
        Self { signals, left_out }
    }

    fn of(&self, signal: Signal) -> &OfSignal {
        let [metrics, traces, logs] = &self.signals;
        match signal {
            Signal::Metrics => metrics,
            Signal::Traces => traces,
            Signal::Logs => logs,
        }
    }

    pub(super) fn written(&self, signal: Signal, items: usize) {
        self.of(signal).sent.add(items as u64);
    }

    /// Counts samples that are in no request, since OTLP has no place for them.
    pub(super) fn left_out(&self, dropped: Dropped) {
        for (counter, (_, samples)) in self.left_out.iter().zip(dropped.by_reason()) {
            counter.add(samples);
        }
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
