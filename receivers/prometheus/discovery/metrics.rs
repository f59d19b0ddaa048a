//! What discovery counts, under the names that Prometheus' users know.

use pipeline::telemetry::{Counter, Distribution, Gauge, Telemetry};
use std::time::Duration;

/// Bounds of durations in seconds.
const SECONDS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0];

/// The metrics of one receiver's discovery.
#[derive(Clone, Debug)]
pub(super) struct DiscoveryMetrics {
    telemetry: Telemetry,
    receiver: String,
    pub(super) received_updates: Counter,
    pub(super) updates: Counter,
    pub(super) delayed_updates: Counter,
    pub(super) failed_configs: Gauge,
    pub(super) last_update: Gauge,
}

impl DiscoveryMetrics {
    pub(super) fn new(telemetry: &Telemetry, receiver: &str) -> Self {
        let labels = [("receiver", receiver), ("name", "scrape")];
        Self {
            received_updates: telemetry.counter(
                "prometheus_sd_received_updates_total",
                "Updates that discovery mechanisms sent.",
                &labels,
            ),
            updates: telemetry.counter(
                "prometheus_sd_updates_total",
                "Updates that were passed on to scraping.",
                &labels,
            ),
            delayed_updates: telemetry.counter(
                "prometheus_sd_updates_delayed_total",
                "Updates that had to wait because another had just been passed on.",
                &labels,
            ),
            failed_configs: telemetry.gauge(
                "prometheus_sd_failed_configs",
                "Discovery settings that could not be run.",
                &labels,
            ),
            last_update: telemetry.gauge(
                "prometheus_sd_last_update_timestamp_seconds",
                "Unix time of the last update that was passed on to scraping.",
                &labels,
            ),
            telemetry: telemetry.clone(),
            receiver: receiver.to_owned(),
        }
    }

    /// How many targets discovery found for a job, before relabelling.
    pub(super) fn discovered_targets(&self, job: &str) -> Gauge {
        self.telemetry.gauge(
            "prometheus_sd_discovered_targets",
            "Targets that discovery found.",
            &[("receiver", &self.receiver), ("name", "scrape"), ("config", job)],
        )
    }

    /// How many targets of a job could not be used.
    pub(super) fn sync_failed(&self, job: &str) -> Counter {
        self.telemetry.counter(
            "prometheus_target_sync_failed_total",
            "Targets that could not be used.",
            &[("receiver", &self.receiver), ("scrape_job", job)],
        )
    }

    /// The metrics of mechanisms that ask anew from time to time.
    pub(super) fn refresh(&self, mechanism: &'static str) -> RefreshMetrics {
        let labels = [("receiver", self.receiver.as_str()), ("mechanism", mechanism)];
        RefreshMetrics {
            failures: self.telemetry.counter("prometheus_sd_refresh_failures_total", "Refreshes that failed.", &labels),
            duration: self.telemetry.distribution(
                "prometheus_sd_refresh_duration_histogram_seconds",
                "How long refreshes took.",
                &SECONDS,
                &labels,
            ),
        }
    }

    /// The metrics of file discovery.
    pub(super) fn files(&self) -> FileMetrics {
        let labels = [("receiver", self.receiver.as_str())];
        FileMetrics {
            read_errors: self.telemetry.counter(
                "prometheus_sd_file_read_errors_total",
                "Files with targets that could not be read.",
                &labels,
            ),
            watcher_errors: self.telemetry.counter(
                "prometheus_sd_file_watcher_errors_total",
                "Directories that could not be watched.",
                &labels,
            ),
            scan_duration: self.telemetry.distribution(
                "prometheus_sd_file_scan_duration_seconds",
                "How long reading all files took.",
                &SECONDS,
                &labels,
            ),
            telemetry: self.telemetry.clone(),
            receiver: self.receiver.clone(),
        }
    }

    /// How many times an HTTP endpoint did not give targets.
    pub(super) fn http_failures(&self) -> Counter {
        self.telemetry.counter(
            "prometheus_sd_http_failures_total",
            "Refreshes over HTTP that failed.",
            &[("receiver", &self.receiver)],
        )
    }
}

/// See [`DiscoveryMetrics::refresh`].
#[derive(Clone, Debug)]
pub(super) struct RefreshMetrics {
    pub(super) failures: Counter,
    duration: Distribution,
}

impl RefreshMetrics {
    pub(super) fn took(&self, duration: Duration) {
        self.duration.observe(duration.as_secs_f64());
    }
}

/// See [`DiscoveryMetrics::files`].
#[derive(Clone, Debug)]
pub(super) struct FileMetrics {
    pub(super) read_errors: Counter,
    pub(super) watcher_errors: Counter,
    scan_duration: Distribution,
    telemetry: Telemetry,
    receiver: String,
}

impl FileMetrics {
    pub(super) fn scan_took(&self, duration: Duration) {
        self.scan_duration.observe(duration.as_secs_f64());
    }

    /// When a file was last modified, in seconds of Unix time; zero once it is gone.
    pub(super) fn modified(&self, file: &str) -> Gauge {
        self.telemetry.gauge(
            "prometheus_sd_file_mtime_seconds",
            "When a file with targets was last modified.",
            &[("receiver", &self.receiver), ("filename", file)],
        )
    }
}
