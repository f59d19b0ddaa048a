//! What the file receiver counts.

use pipeline::telemetry::{Counter, Gauge, Telemetry};

use crate::otlp_requests::TransportMetrics;

/// The counters of every way in, and what only files have.
#[derive(Debug)]
pub(super) struct FileMetrics {
    pub(super) requests: TransportMetrics,
    pub(super) ignored: Counter,
    pub(super) open: Gauge,
}

impl FileMetrics {
    pub(super) fn new(telemetry: &Telemetry, id: &str) -> Self {
        let labels = [("receiver", id)];
        Self {
            requests: TransportMetrics::new(telemetry, id, "file"),
            ignored: telemetry.counter(
                "oxidot_receiver_ignored_lines",
                "Lines with a signal that no pipeline of the receiver carries.",
                &labels,
            ),
            open: telemetry.gauge("oxidot_receiver_open_files", "Files that are being read.", &labels),
        }
    }
}
