//! What the log reports of itself. Where the Collector has a metric for its log, this has its name.

use super::super::account::Account;
use super::super::metrics::Metrics;
use super::inbox::Inbox;
use parking_lot::Mutex;
use pipeline::telemetry::{Counter, Distribution, Gauge, Telemetry};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wal::{Abandoned, Log, Losses, Position};

/// Of the log as a whole.
pub(super) struct LogMetrics {
    writes: Counter,
    write_failures: Counter,
    write_latency: Distribution,
    fallback: Gauge,
    segments: Gauge,
    bytes: Gauge,
    torn: Counter,
}

impl LogMetrics {
    pub(super) fn new(telemetry: &Telemetry, exporter: &str) -> Self {
        let own = [("exporter", exporter)];
        let name = |name: &str| format!("otelcol_exporter_prometheusremotewrite_wal_{name}");
        let counter = |short: &str, help| telemetry.counter(&name(short), help, &own);
        let gauge = |short: &str, help| telemetry.gauge(&name(short), help, &own);
        Self {
            writes: counter("writes", "Times that batches were appended to the log."),
            write_failures: counter("writes_failures", "Times that the log did not take batches."),
            write_latency: telemetry.distribution(
                &name("write_latency"),
                "Milliseconds that appending took.",
                &[5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10000.0],
                &own,
            ),
            fallback: gauge("fallback", "1 while the log takes nothing and samples are kept in memory, else 0."),
            segments: gauge("segments", "Segments of the log."),
            bytes: gauge("size_bytes", "Bytes of the log on disk."),
            torn: counter("torn_bytes", "Bytes of a record torn by a crash that were cut off at the start."),
        }
    }

    pub(super) fn appended(&self, took: Duration) {
        self.writes.inc();
        self.write_latency.observe(took.as_secs_f64() * 1000.0);
    }

    pub(super) fn refused(&self) {
        self.write_failures.inc();
    }

    pub(super) fn falls_back(&self, now: bool) {
        self.fallback.set(f64::from(u8::from(now)));
    }

    /// Counts what was found when the log was opened.
    pub(super) fn opened(&self, log: &Log, telemetry: &Telemetry, exporter: &str) {
        self.torn.add(log.torn_bytes());
        for Abandoned { name, samples } in log.abandoned() {
            Metrics::abandoned(telemetry, exporter, name, *samples);
        }
    }

    fn publish(&self, log: &Log) {
        let (segments, bytes) = log.size();
        self.segments.set(segments as f64);
        self.bytes.set(bytes as f64);
    }
}

/// Of one destination.
pub(super) struct Lag {
    cursor: usize,
    metrics: Arc<Metrics>,
    account: Arc<Account>,
    inbox: Arc<Inbox>,
    /// The end of the log when it was opened.
    replays_to: Position,
    told: Mutex<Losses>,
    records: Gauge,
    samples: Gauge,
    bytes: Gauge,
    seconds: Gauge,
    oldest: Gauge,
    replay: Gauge,
    in_memory: Gauge,
}

impl Lag {
    pub(super) fn new(
        log: &Log,
        cursor: usize,
        metrics: Arc<Metrics>,
        account: Arc<Account>,
        inbox: Arc<Inbox>,
    ) -> Self {
        let gauge = |short: &str, help| metrics.destination_gauge(&format!("wal_{short}"), help);
        Self {
            records: gauge("lag", "Records of the log that wait for the destination."),
            samples: gauge("lag_samples", "Samples in the log that wait for the destination."),
            bytes: gauge("lag_bytes", "Bytes of the log that wait for the destination."),
            seconds: gauge("lag_seconds", "Age of the oldest sample that waits for the destination; 0 if none does."),
            oldest: gauge(
                "oldest_unsent_timestamp_seconds",
                "Timestamp of the oldest sample that waits for the destination; 0 if none does.",
            ),
            replay: gauge(
                "replay_samples",
                "Samples that the log held at the start and the destination still has to get.",
            ),
            in_memory: gauge("in_memory_samples", "Samples that wait in memory since the log does not take them."),
            replays_to: log.end(),
            told: Mutex::default(),
            cursor,
            metrics,
            account,
            inbox,
        }
    }

    fn publish(&self, log: &Log) {
        let backlog = log.backlog(self.cursor);
        self.records.set(backlog.records as f64);
        self.samples.set(backlog.samples as f64);
        self.bytes.set(backlog.bytes as f64);
        self.in_memory.set(self.inbox.kept() as f64);
        // What was read is known to the sample, what was not to the segment.
        let oldest = self.account.oldest_ms().or(backlog.oldest_ms.filter(|_| backlog.samples > 0));
        let oldest = oldest.filter(|oldest| *oldest != i64::MAX);
        self.oldest.set(oldest.map_or(0.0, |oldest| oldest as f64 / 1000.0));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        self.seconds.set(oldest.map_or(0.0, |oldest| (now - oldest as f64 / 1000.0).max(0.0)));
        let acked = log.acked(self.cursor).unwrap_or_default();
        self.replay.set(self.replays_to.samples.saturating_sub(acked.samples) as f64);
        self.count_losses(log.losses(self.cursor));
    }

    fn count_losses(&self, losses: Losses) {
        let mut told = self.told.lock();
        let of = [
            ("wal_corrupt", losses.corrupt_samples, told.corrupt_samples),
            ("wal_torn", losses.torn_samples, told.torn_samples),
            ("wal_max_bytes", losses.size_samples, told.size_samples),
            ("wal_max_age", losses.age_samples, told.age_samples),
        ];
        for (reason, now, before) in of {
            let new = now.saturating_sub(before);
            if new > 0 {
                self.metrics.dropped(reason, new);
                self.metrics.failed(new);
            }
        }
        *told = losses;
    }
}

/// Publishes all there is to say about the log.
pub(super) fn publish(log: &Log, metrics: &LogMetrics, lags: &[Lag]) {
    metrics.publish(log);
    lags.iter().for_each(|lag| lag.publish(log));
}
