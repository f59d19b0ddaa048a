//! The queue on disk: what it has is delivered, whatever happens to the program, the store and the disk in between.

pub(crate) mod disk;
mod fan_out;
mod limits;
mod peers;
mod restart;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::oxidot::{Oxidot, job, scrape_and_write};
use crate::support::page::{Target, counters};
use crate::support::samples::{STALE, Samples};
use crate::support::store::{Store, Verdict};
use crate::support::wait_until;

/// Quick requests and retries, so that seconds stand for minutes.
const QUICK: &str = "batch_send_deadline: 50ms, retry_on_failure: {initial_interval: 50ms, max_interval: 400ms}";

/// Series of the target, besides those that every scrape has.
const SERIES: usize = 20;

/// What a scrape needs at most until the log has it, and the log until the disk has it, with a margin for a busy machine.
const LONGER_THAN_A_SYNC: Duration = Duration::from_secs(3);

/// A service that scrapes a target and writes to a store over a log, which outlives it.
struct Scene {
    oxidot: Oxidot,
    target: Target,
    store: Store,
    config: String,
    log: PathBuf,
    /// Pages that were in the log before the program was killed.
    safe: Vec<u64>,
    /// Pages that were served before the program was started.
    before: u64,
    _directory: Option<tempfile::TempDir>,
}

impl Scene {
    fn start(store: Store) -> Self {
        Self::start_with(store, "", |_| {})
    }

    /// With further keys of the log, and a change to the command.
    fn start_with(store: Store, log_keys: &str, change: impl FnOnce(&mut Command)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut scene = Self::start_in(directory.path(), store, log_keys, change);
        scene._directory = Some(directory);
        scene
    }

    fn start_in(directory: &Path, store: Store, log_keys: &str, change: impl FnOnce(&mut Command)) -> Self {
        let target = Target::start(move |n| counters(SERIES, n));
        let wal = format!("{QUICK}, wal: {{directory: \"{}\"{log_keys}}}", directory.display());
        let config = scrape_and_write(&job("work", &target.address(), "200ms"), &store.url(), &wal);
        let oxidot = Oxidot::start_with(&config, change);
        let log = directory.join("exporter_prometheusremotewrite_");
        Self { oxidot, target, store, config, log, safe: Vec::new(), before: 0, _directory: None }
    }

    fn wait_for_scrapes(&self, more: u64) {
        let so_far = self.target.scrapes();
        wait_until("scrapes", || self.target.scrapes() >= so_far + more);
    }

    /// Kills the program, which gets no chance to do anything more, some time after a scrape.
    fn kill(&mut self) {
        self.safe.extend(self.before + 1..=self.target.scrapes());
        std::thread::sleep(LONGER_THAN_A_SYNC);
        self.oxidot.signal("KILL");
        self.oxidot.wait();
        self.before = self.target.scrapes();
    }

    /// Ends the program without waiting for the store.
    fn end_at_once(&mut self) {
        self.oxidot.signal("TERM");
        self.oxidot.wait_for_log("Starting shutdown");
        self.oxidot.signal("TERM");
        assert_eq!(self.oxidot.wait().code(), Some(0), "{}", self.oxidot.log());
    }

    fn start_again(&mut self) {
        self.oxidot = Oxidot::start(&self.config);
    }

    /// Waits until the store has everything of the first `scrapes` scrapes.
    fn wait_for_delivery(&self, scrapes: u64) {
        wait_until("all that was scraped", || missing(&self.store.accepted(), 1..=scrapes).is_empty());
    }

    /// A gauge or counter of the log.
    fn of_log(&self, name: &str) -> f64 {
        self.oxidot.own(&format!("otelcol_exporter_prometheusremotewrite_wal_{name}"), &[])
    }

    fn dropped(&self, reason: &str) -> f64 {
        self.oxidot.own("otelcol_exporter_dropped_metric_points", &[&format!("reason=\"{reason}\"")])
    }
}

/// Those of the pages that are not there for a series, once for each series.
fn missing(samples: &Samples, pages: impl IntoIterator<Item = u64> + Clone) -> Vec<u64> {
    let mut missing: Vec<u64> = Vec::new();
    for i in 0..SERIES {
        let own = format!("i=\"{i}\"");
        let values: std::collections::BTreeSet<u64> = samples
            .of(&["__name__=\"work_total\"", &own])
            .into_iter()
            .filter(|(_, bits)| *bits != STALE)
            .map(|(_, bits)| f64::from_bits(bits) as u64)
            .collect();
        missing.extend(pages.clone().into_iter().filter(|page| !values.contains(page)));
    }
    missing
}

fn down(_: usize) -> Verdict {
    Verdict::refuse(503, "down")
}

fn up(_: usize) -> Verdict {
    Verdict::Accept(204)
}
