//! What the exporter counts.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use pipeline::telemetry::{Counter, Gauge, Telemetry};

use super::render::Page;
use super::store::{Store, Taken};

/// The metrics of one exporter.
#[derive(Debug)]
pub(super) struct Metrics {
    telemetry: Telemetry,
    exporter: String,
    sent: Counter,
    duplicates: Gauge,
    page_bytes: Gauge,
    page_seconds: Gauge,
    dropped: Mutex<HashMap<&'static str, Counter>>,
}

impl Metrics {
    pub(super) fn new(telemetry: &Telemetry, exporter: &str, store: &Arc<Mutex<Store>>) -> Self {
        let own = [("exporter", exporter)];
        let gauge = |name: &str, help| telemetry.gauge(&format!("otelcol_exporter_prometheus_{name}"), help, &own);
        let store = Arc::downgrade(store);
        telemetry.read_gauge(
            "otelcol_exporter_prometheus_series",
            "Series that are shown to scrapes.",
            &own,
            move || store.upgrade().map_or(0.0, |store| store.lock().len() as f64),
        );
        Self {
            telemetry: telemetry.clone(),
            exporter: exporter.to_owned(),
            sent: telemetry.counter(
                "otelcol_exporter_sent_metric_points",
                "Number of metric points successfully sent to destination.",
                &own,
            ),
            duplicates: gauge(
                "duplicate_series",
                "Series that the last scrape was not shown, because another has the same name and labels.",
            ),
            page_bytes: gauge("page_bytes", "Bytes of the last page before compression."),
            page_seconds: gauge("page_seconds", "Seconds that making the last page took."),
            dropped: Mutex::default(),
        }
    }

    pub(super) fn taken(&self, taken: &Taken) {
        self.sent.add(taken.shown);
        for (reason, points) in &taken.dropped {
            let counter = || {
                self.telemetry.counter(
                    "otelcol_exporter_dropped_metric_points",
                    "Data points that were dropped, by reason.",
                    &[("exporter", &self.exporter), ("reason", reason)],
                )
            };
            self.dropped.lock().entry(reason).or_insert_with(counter).add(*points);
        }
    }

    pub(super) fn scraped(&self, page: &Page) {
        self.duplicates.set(page.duplicates as f64);
        self.page_bytes.set(page.text.len() as f64);
        self.page_seconds.set(page.seconds);
    }
}
