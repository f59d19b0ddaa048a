//! What `relabel` counts.

use crate::outlet::dropped;
use crate::routing::{Dropped, Sizes};
use pipeline::component::{BuildContext, Signal};
use pipeline::telemetry::{Counter, Gauge};

#[derive(Debug)]
pub(super) struct RelabelMetrics {
    by_rule: Counter,
    nameless: Counter,
    unknown_series: Counter,
    evaluated: Counter,
    entries: Gauge,
    mappings: Gauge,
}

impl RelabelMetrics {
    pub(super) fn new(context: &BuildContext) -> Self {
        let id = context.id.to_string();
        let labels = [("processor", id.as_str())];
        let telemetry = &context.telemetry;
        Self {
            by_rule: dropped(telemetry, Signal::Metrics, &id, "relabel_rule"),
            nameless: dropped(telemetry, Signal::Metrics, &id, "relabelled_without_name"),
            unknown_series: dropped(telemetry, Signal::Metrics, &id, "internal_error"),
            evaluated: telemetry.counter(
                "otelcol_processor_relabel_evaluated_series",
                "Number of times the rules were applied to a series; steady once all series are known.",
                &labels,
            ),
            entries: telemetry.gauge(
                "otelcol_processor_relabel_cache_entries",
                "Number of pairs of an origin and a series table whose relabelling is remembered.",
                &labels,
            ),
            mappings: telemetry.gauge(
                "otelcol_processor_relabel_cache_tables",
                "Number of series tables with remembered verdicts, each shared by origins that look the same.",
                &labels,
            ),
        }
    }

    pub(super) fn dropped(&self, dropped: Dropped) {
        self.by_rule.add(dropped.rule);
        self.nameless.add(dropped.nameless);
        self.unknown_series.add(dropped.unknown_series);
    }

    /// `total` is the number of evaluations since the processor was made.
    pub(super) fn cache(&self, sizes: Sizes, new_evaluations: u64) {
        self.entries.set(sizes.entries as f64);
        self.mappings.set(sizes.mappings as f64);
        self.evaluated.add(new_evaluations);
    }
}
