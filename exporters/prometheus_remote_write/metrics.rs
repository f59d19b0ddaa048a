//! The exporter's own metrics, under the Collector's names.

use parking_lot::Mutex;
use pipeline::telemetry::{Counter, Distribution, Gauge, Telemetry};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::encode::Contents;
use super::shards::Progress;
use prometheus::remote_write::protocol::Written;

/// The reason of points that are lost because the program ends.
const SHUTDOWN: &str = "shutdown";

const GIVEN_UP: &str = "Data points that were given up.";

fn dropped_counter(telemetry: &Telemetry, exporter: &str, endpoint: &str, reason: &str) -> Counter {
    telemetry.counter(
        "otelcol_exporter_dropped_metric_points",
        "Data points that were dropped, by reason.",
        &[("exporter", exporter), ("endpoint", endpoint), ("reason", reason)],
    )
}

/// See [`Metrics::new`] for what each counts.
pub(super) struct Metrics {
    telemetry: Telemetry,
    exporter: String,
    endpoint: String,
    sent_points: Counter,
    failed_points: Counter,
    translated: Counter,
    sent_requests: Counter,
    written_samples: Counter,
    written_histograms: Counter,
    written_exemplars: Counter,
    sent_bytes: Counter,
    retries: Counter,
    taken_apart: Counter,
    fallbacks: Counter,
    send_seconds: Distribution,
    newest_sent: Gauge,
    dropped: Mutex<HashMap<&'static str, Counter>>,
    /// Points for which there was no time at the end.
    lost: AtomicU64,
}

impl Metrics {
    pub(super) fn new(telemetry: &Telemetry, exporter: &str, endpoint: &str) -> Self {
        let own = [("exporter", exporter)];
        let both = [("exporter", exporter), ("endpoint", endpoint)];
        let counter = |name: &str, help| telemetry.counter(&format!("otelcol_exporter_{name}"), help, &own);
        let detail = |name: &str, help| {
            telemetry.counter(&format!("otelcol_exporter_prometheusremotewrite_{name}"), help, &both)
        };
        Self {
            sent_points: counter("sent_metric_points", "Data points that the store has accepted."),
            failed_points: counter("send_failed_metric_points", GIVEN_UP),
            translated: detail("translated_time_series", "Series and parts of series that were put into requests."),
            sent_requests: detail("sent_batches", "Requests that the store has accepted."),
            written_samples: detail("written_samples", "Samples that the store has accepted."),
            written_histograms: detail("written_histograms", "Native histograms that the store has accepted."),
            written_exemplars: detail("written_exemplars", "Exemplars that the store has accepted."),
            sent_bytes: detail("sent_bytes", "Compressed bytes of accepted requests."),
            retries: detail("retries", "Attempts after the first one."),
            taken_apart: detail(
                "split_requests",
                "Requests that were sent in parts, since the store did not take them whole.",
            ),
            fallbacks: detail("fallbacks", "Times that the store was found not to know remote write 2.0."),
            send_seconds: telemetry.distribution(
                "otelcol_exporter_prometheusremotewrite_send_seconds",
                "Seconds that one attempt took.",
                &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0],
                &both,
            ),
            newest_sent: telemetry.gauge(
                "otelcol_exporter_prometheusremotewrite_highest_sent_timestamp_seconds",
                "Timestamp of the newest sample that the store has accepted.",
                &both,
            ),
            dropped: Mutex::new(HashMap::new()),
            lost: AtomicU64::new(0),
            telemetry: telemetry.clone(),
            exporter: exporter.to_owned(),
            endpoint: endpoint.to_owned(),
        }
    }

    /// Publishes what waits.
    /// The Collector's two gauges have no label for the endpoint, which they need if there are several.
    pub(super) fn watch(&self, progress: &Arc<Progress>, capacity: usize, several: bool) {
        let mut own = vec![("exporter", self.exporter.as_str()), ("data_type", "metrics")];
        if several {
            own.push(("endpoint", &self.endpoint));
        }
        let both = [("exporter", self.exporter.as_str()), ("endpoint", self.endpoint.as_str())];
        let gauge = |name: &str, help, labels: &[(&str, &str)], read: fn(&Progress) -> f64| {
            let progress = Arc::clone(progress);
            self.telemetry.read_gauge(&format!("otelcol_exporter_{name}"), help, labels, move || read(&progress));
        };
        gauge("queue_size", "Requests that wait or are under way.", &own, |p| p.waiting() as f64);
        gauge("prometheusremotewrite_queue_bytes", "Compressed bytes of requests that wait.", &both, |p| {
            p.waiting_bytes() as f64
        });
        gauge("prometheusremotewrite_queue_samples", "Samples in requests that wait.", &both, |p| {
            p.waiting_samples() as f64
        });
        self.telemetry.gauge("otelcol_exporter_queue_capacity", "Requests that may wait.", &own).set(capacity as f64);
    }

    /// Counts what was put into a request.
    pub(super) fn translated(&self, contents: &Contents) {
        self.translated.add(contents.samples + contents.histograms);
    }

    /// Publishes how many shards are in use and what the label tables hold.
    pub(super) fn state(&self, shards: usize, (origins, series): (usize, usize)) {
        let both = [("exporter", self.exporter.as_str()), ("endpoint", self.endpoint.as_str())];
        let gauge = |name: &str, help, value: usize| {
            self.telemetry
                .gauge(&format!("otelcol_exporter_prometheusremotewrite_{name}"), help, &both)
                .set(value as f64);
        };
        gauge("shards", "Shards that samples are spread over.", shards);
        // Under the Collector's name.
        gauge("consumers", "Requests that may be under way at once.", shards);
        gauge("cached_origins", "Origins whose labels are kept in wire form.", origins);
        gauge("cached_series", "Series whose labels are kept in wire form.", series);
    }

    /// A gauge of this destination.
    pub(super) fn destination_gauge(&self, name: &str, help: &'static str) -> Gauge {
        let both = [("exporter", self.exporter.as_str()), ("endpoint", self.endpoint.as_str())];
        self.telemetry.gauge(&format!("otelcol_exporter_prometheusremotewrite_{name}"), help, &both)
    }

    /// Publishes how many series' deltas are being added up.
    pub(super) fn delta_streams(&self, streams: usize) {
        let both = [("exporter", self.exporter.as_str()), ("endpoint", self.endpoint.as_str())];
        let name = "otelcol_exporter_prometheusremotewrite_delta_streams";
        self.telemetry.gauge(name, "Series whose deltas are being added up.", &both).set(streams as f64);
    }

    /// Counts points that are not sent, by reason.
    #[cold]
    pub(super) fn dropped(&self, reason: &'static str, points: u64) {
        let counter = || dropped_counter(&self.telemetry, &self.exporter, &self.endpoint, reason);
        self.dropped.lock().entry(reason).or_insert_with(counter).add(points);
    }

    /// Counts exemplars that are not sent with their samples, by reason.
    #[cold]
    pub(super) fn dropped_exemplars(&self, reason: &'static str, exemplars: u64) {
        if exemplars == 0 {
            return;
        }
        let labels = [("exporter", self.exporter.as_str()), ("endpoint", self.endpoint.as_str()), ("reason", reason)];
        let help = "Exemplars that were dropped, by reason.";
        self.telemetry.counter("otelcol_exporter_dropped_exemplars", help, &labels).add(exemplars);
    }

    /// Counts points that a log held for an endpoint that is not configured any more.
    pub(super) fn abandoned(telemetry: &Telemetry, exporter: &str, endpoint: &str, points: u64) {
        dropped_counter(telemetry, exporter, endpoint, "endpoint_removed").add(points);
        let own = [("exporter", exporter)];
        telemetry.counter("otelcol_exporter_send_failed_metric_points", GIVEN_UP, &own).add(points);
    }

    /// Counts points that there was no time for when the program ended.
    pub(super) fn lost(&self, points: u64) {
        if points == 0 {
            return;
        }
        self.lost.fetch_add(points, Ordering::Relaxed);
        self.dropped(SHUTDOWN, points);
        self.failed(points);
    }

    /// What [`Metrics::lost`] has counted.
    pub(super) fn lost_at_shutdown(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(super) fn failed(&self, points: u64) {
        self.failed_points.add(points);
    }

    pub(super) fn retried(&self) {
        self.retries.inc();
    }

    pub(super) fn taken_apart(&self) {
        self.taken_apart.inc();
    }

    pub(super) fn fell_back(&self) {
        self.fallbacks.inc();
    }

    /// Counts what a store has written of a request that it has refused.
    pub(super) fn partly_sent(&self, points: u64, written: &Written) {
        self.sent_points.add(points);
        self.written_samples.add(written.samples);
        self.written_histograms.add(written.histograms);
        self.written_exemplars.add(written.exemplars);
    }

    pub(super) fn attempt(&self, seconds: f64) {
        self.send_seconds.observe(seconds);
    }

    pub(super) fn sent(&self, contents: &Contents, bytes: usize) {
        self.sent_points.add(contents.points);
        self.sent_requests.inc();
        self.written_samples.add(contents.samples);
        self.written_histograms.add(contents.histograms);
        self.written_exemplars.add(contents.exemplars);
        self.sent_bytes.add(bytes as u64);
        let newest = contents.newest_ms as f64 / 1000.0;
        if contents.newest_ms > i64::MIN && newest > self.newest_sent.get() {
            self.newest_sent.set(newest);
        }
    }
}
