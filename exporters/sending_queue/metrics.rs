//! What a queue counts, under the Collector's names: one set for each signal of an exporter.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use pipeline::component::Signal;
use pipeline::telemetry::{Counter, Gauge, Telemetry};

/// The reason of items that are lost because the program ends.
const SHUTDOWN: &str = "shutdown";

/// Counters and gauges of one signal.
pub(super) struct Metrics {
    telemetry: Telemetry,
    exporter: String,
    items: &'static str,
    sent: Counter,
    failed: Counter,
    refused: Counter,
    retries: Counter,
    partial: Counter,
    size: Gauge,
    in_flight: Gauge,
    dropped: Mutex<HashMap<&'static str, Counter>>,
    lost: AtomicU64,
}

impl Metrics {
    pub(super) fn new(telemetry: &Telemetry, exporter: &str, signal: Signal, capacity: u64) -> Self {
        let own = [("exporter", exporter)];
        let both = [("exporter", exporter), ("data_type", signal.name())];
        let items = signal.items();
        let counter = |what: &str, help| telemetry.counter(&format!("otelcol_exporter_{what}_{items}"), help, &own);
        telemetry
            .gauge("otelcol_exporter_queue_capacity", "Requests, items or bytes that may wait.", &both)
            .set(capacity as f64);
        Self {
            sent: counter("sent", "Items that the destination has accepted."),
            failed: counter("send_failed", "Items that were given up."),
            refused: counter("enqueue_failed", "Items that were refused because the queue was full."),
            retries: telemetry.counter("otelcol_exporter_retries", "Attempts after the first one.", &both),
            partial: telemetry.counter(
                "otelcol_exporter_partial_successes",
                "Requests that the destination has accepted without some of their items, or with a warning.",
                &both,
            ),
            size: telemetry.gauge(
                "otelcol_exporter_queue_size",
                "Requests, items or bytes that wait or are under way.",
                &both,
            ),
            in_flight: telemetry.gauge("otelcol_exporter_in_flight_requests", "Requests that are under way.", &both),
            dropped: Mutex::default(),
            lost: AtomicU64::new(0),
            telemetry: telemetry.clone(),
            exporter: exporter.to_owned(),
            items,
        }
    }

    /// Counts items that are not delivered, by reason.
    #[cold]
    pub(super) fn dropped(&self, reason: &'static str, items: u64) {
        let new = || {
            let labels = [("exporter", self.exporter.as_str()), ("reason", reason)];
            let name = format!("otelcol_exporter_dropped_{}", self.items);
            self.telemetry.counter(&name, "Items that were dropped, by reason.", &labels)
        };
        self.dropped.lock().entry(reason).or_insert_with(new).add(items);
    }

    /// Counts items that were given up, by reason.
    pub(super) fn failed(&self, reason: &'static str, items: u64) {
        self.dropped(reason, items);
        self.failed.add(items);
    }

    /// Counts items that there was no time for when the program ended.
    pub(super) fn lost(&self, items: u64) {
        if items > 0 {
            self.failed(SHUTDOWN, items);
            self.lost.fetch_add(items, Ordering::Relaxed);
        }
    }

    /// What [`Metrics::lost`] has counted.
    pub(super) fn lost_so_far(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(super) fn refused(&self, items: u64) {
        self.refused.add(items);
        self.dropped("queue_full", items);
    }

    pub(super) fn sent(&self, items: u64) {
        self.sent.add(items);
    }

    pub(super) fn partial(&self) {
        self.partial.inc();
    }

    pub(super) fn retried(&self) {
        self.retries.inc();
    }

    /// Publishes what waits, and what of it is under way.
    pub(super) fn state(&self, size: u64, in_flight: usize) {
        self.size.set(size as f64);
        self.in_flight.set(in_flight as f64);
    }

    /// A gauge of this signal beyond the usual ones.
    pub(super) fn gauge(&self, name: &str, help: &'static str, signal: Signal) -> Gauge {
        let labels = [("exporter", self.exporter.as_str()), ("data_type", signal.name())];
        self.telemetry.gauge(&format!("otelcol_exporter_{name}"), help, &labels)
    }
}
