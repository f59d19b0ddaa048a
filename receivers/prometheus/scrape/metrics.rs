//! The receiver's own metrics about scraping, under the names of the Collector and of Prometheus.

use parking_lot::Mutex;
use pipeline::telemetry::{Counter, Distribution, Gauge, Telemetry};
use std::collections::HashMap;

/// See [`Metrics::new`] for what each counts.
#[derive(Debug)]
pub(super) struct Metrics {
    telemetry: Telemetry,
    receiver: String,
    pub(super) accepted: Counter,
    pub(super) refused: Counter,
    pub(super) failed_scrapes: Counter,
    pub(super) missed_ticks: Counter,
    pub(super) duplicates: Counter,
    pub(super) out_of_bounds: Counter,
    pub(super) over_sample_limit: Counter,
    pub(super) over_body_size: Counter,
    pub(super) layouts_built: Counter,
    pub(super) duration: Distribution,
    pub(super) targets: Gauge,
    failures: Mutex<HashMap<&'static str, Counter>>,
}

impl Metrics {
    pub(super) fn new(telemetry: &Telemetry, receiver: &str) -> Self {
        let points = [("receiver", receiver), ("transport", "http")];
        let own = [("receiver", receiver)];
        let counter = |name: &str, help| telemetry.counter(name, help, &own);
        Self {
            accepted: telemetry.counter(
                "otelcol_receiver_accepted_metric_points",
                "Data points that were pushed into the pipeline.",
                &points,
            ),
            refused: telemetry.counter(
                "otelcol_receiver_refused_metric_points",
                "Data points that the pipeline did not take.",
                &points,
            ),
            failed_scrapes: counter("oxidot_receiver_failed_scrapes", "Scrapes that failed."),
            missed_ticks: counter(
                "oxidot_receiver_missed_scrapes",
                "Scrapes that were not made because the one before, or the pipeline behind it, took too long.",
            ),
            duplicates: counter(
                "prometheus_target_scrapes_sample_duplicate_timestamp_total",
                "Samples that repeat a series of the same scrape without a timestamp of their own, and are dropped.",
            ),
            out_of_bounds: counter(
                "prometheus_target_scrapes_sample_out_of_bounds_total",
                "Samples whose timestamp is more than ten minutes in the future, and are dropped.",
            ),
            over_sample_limit: counter(
                "prometheus_target_scrapes_exceeded_sample_limit_total",
                "Scrapes that failed because of sample_limit.",
            ),
            over_body_size: counter(
                "prometheus_target_scrapes_exceeded_body_size_limit_total",
                "Scrapes that failed because of body_size_limit.",
            ),
            layouts_built: counter(
                "oxidot_receiver_pages_parsed",
                "Pages that differed from the one before and were parsed in full.",
            ),
            duration: telemetry.distribution(
                "prometheus_target_scrape_duration_seconds",
                "Seconds that scrapes took.",
                &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0],
                &own,
            ),
            targets: telemetry.gauge("oxidot_receiver_targets", "Targets that are scraped.", &own),
            failures: Mutex::new(HashMap::new()),
            telemetry: telemetry.clone(),
            receiver: receiver.to_owned(),
        }
    }

    /// Counts a failed scrape by its cause.
    pub(super) fn failure(&self, cause: &'static str) {
        self.failed_scrapes.inc();
        let counter = || {
            self.telemetry.counter(
                "oxidot_receiver_scrape_failures",
                "Scrapes that failed, by cause.",
                &[("receiver", &self.receiver), ("cause", cause)],
            )
        };
        self.failures.lock().entry(cause).or_insert_with(counter).inc();
    }
}
