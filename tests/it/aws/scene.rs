//! A service that scrapes a target and writes, signed, to a store; and a home directory of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::store::{AwsStore, REGION};
use crate::support::oxidot::{Oxidot, file_job, scrape_and_write, write_targets};
use crate::support::page::{Target, counters};
use crate::support::samples::{STALE, Samples};
use crate::support::wait_until;

/// Series of the target, besides those that every scrape has.
pub(crate) const SERIES: usize = 100;

/// Quick requests and retries, so that seconds stand for minutes; and patience with a busy machine, since what times out may
/// have been accepted and comes again.
pub(crate) const QUICK: &str =
    "timeout: 60s, batch_send_deadline: 50ms, retry_on_failure: {initial_interval: 50ms, max_interval: 300ms}";

/// A home directory without anything in it.
pub(crate) struct Home(tempfile::TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join(".aws")).unwrap();
        Self(directory)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn credentials(&self) -> PathBuf {
        self.path().join(".aws/credentials")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path().join(".aws/config")
    }
}

/// Gives a program this home and these variables, and nothing of AWS beside them.
pub(crate) fn environment(command: &mut Command, home: &Home, variables: &[(String, String)]) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") || name.to_string_lossy().to_ascii_lowercase().ends_with("_proxy")
        {
            command.env_remove(name);
        }
    }
    command.env("HOME", home.path()).env("AWS_EC2_METADATA_DISABLED", "true");
    command.envs(variables.iter().map(|(name, value)| (name, value)));
}

/// Checks all cases at the same time, since each of them mostly waits.
pub(crate) fn at_once<T: Send>(cases: impl IntoIterator<Item = T>, check: impl Fn(T) + Sync) {
    std::thread::scope(|scope| {
        for case in cases {
            let check = &check;
            scope.spawn(move || check(case));
        }
    });
}

/// A variable.
pub(crate) fn variable(name: &str, value: impl ToString) -> (String, String) {
    (name.to_owned(), value.to_string())
}

pub(crate) struct Scene {
    pub(crate) oxidot: Oxidot,
    pub(crate) home: Home,
    pub(crate) store: AwsStore,
    target: Target,
    targets: PathBuf,
}

impl Scene {
    /// Starts with Prometheus' `sigv4` block in the exporter.
    pub(crate) fn start(store: AwsStore, home: Home, variables: &[(String, String)]) -> Self {
        Self::start_with(store, home, variables, &format!("sigv4: {{region: {REGION}}}"))
    }

    /// Starts with these keys in the exporter.
    pub(crate) fn start_with(store: AwsStore, home: Home, variables: &[(String, String)], exporter: &str) -> Self {
        Self::start_as(store, home, variables, |job, url| scrape_and_write(job, url, &format!("{QUICK}, {exporter}")))
    }

    /// Starts with the configuration that is made of a job and the store's URL.
    pub(crate) fn start_as(
        store: AwsStore,
        home: Home,
        variables: &[(String, String)],
        config: impl FnOnce(&str, &str) -> String,
    ) -> Self {
        let target = Target::start(|n| counters(SERIES, n));
        let targets = home.path().join("targets.json");
        write_targets(&targets, &[&target.address()]);
        let config = config(&file_job("work", &targets, "100ms"), &store.url());
        let oxidot = Oxidot::start_with(&config, |command| environment(command, &home, variables));
        Self { oxidot, home, store, target, targets }
    }

    /// Number of pages that were scraped.
    pub(crate) fn scrapes(&self) -> u64 {
        self.target.scrapes()
    }

    /// Waits until this many requests that are signed with the key have been accepted.
    pub(crate) fn wait_for_signed(&self, key: &str, count: usize) {
        wait_until(&format!("{count} requests signed with {key}"), || {
            let signed = |known: &super::store::Known| {
                known.attempts.iter().filter(|attempt| attempt.status == 200 && attempt.key == key).count()
            };
            self.store.know(signed) >= count
        });
    }

    /// Number of log lines with this text.
    pub(crate) fn lines(&self, text: &str) -> usize {
        self.oxidot.log().lines().filter(|line| line.contains(text)).count()
    }

    /// Takes the target away, and waits until all is done. Everything that was taken in must have been accepted, once each
    /// and in order.
    pub(crate) fn check_complete(&self) {
        write_targets(&self.targets, &[]);
        wait_until("the last staleness marker", || {
            let up = self.store.know(|known| known.accepted.of(&["__name__=\"up\""]));
            up.last().is_some_and(|(_, bits)| *bits == STALE)
        });
        let taken_in = self.oxidot.wait_until_settled();
        let accepted = self.store.accepted();
        accepted.assert_in_order(&Samples::default());
        assert_eq!(accepted.distinct() as u64, taken_in);
        assert_eq!(self.oxidot.own("otelcol_exporter_send_failed_metric_points", &[]), 0.0);
        assert_eq!(self.oxidot.own("otelcol_exporter_dropped_metric_points", &[]), 0.0);
        self.store.assert_nothing_bad();
    }
}
