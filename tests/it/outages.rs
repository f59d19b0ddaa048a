//! Stores that fail: what was taken in arrives complete and in order, and what cannot arrive is counted.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::support::oxidot::{Oxidot, file_job, scrape_and_write, write_targets};
use crate::support::page::{Target, counters};
use crate::support::samples::{STALE, Samples};
use crate::support::store::{Attempt, Store, Verdict};
use crate::support::wait_until;

/// Series of the target, besides those that every scrape has.
const SERIES: usize = 20;

/// Quick requests and retries, so that seconds stand for minutes.
const QUICK: &str = "batch_send_deadline: 50ms, retry_on_failure: {initial_interval: 50ms, max_interval: 400ms}";

/// A service that scrapes a target and writes to a store.
struct Scene {
    oxidot: Oxidot,
    target: Target,
    store: Store,
    targets: PathBuf,
    _directory: tempfile::TempDir,
}

impl Scene {
    fn start(store: Store, series: usize, exporter: &str) -> Self {
        let target = Target::start(move |n| counters(series, n));
        let directory = tempfile::tempdir().unwrap();
        let targets = directory.path().join("targets.json");
        write_targets(&targets, &[&target.address()]);
        let job = file_job("work", &targets, "200ms");
        let oxidot = Oxidot::start(&scrape_and_write(&job, &store.url(), exporter));
        Self { oxidot, target, store, targets, _directory: directory }
    }

    fn wait_for_attempts(&self, count: usize) {
        wait_until(&format!("{count} attempts"), || self.attempts().len() >= count);
    }

    fn attempts(&self) -> Vec<Attempt> {
        self.store.know(|known| known.attempts.clone())
    }

    /// Takes the target away, and waits until all is done. Everything that was scraped must be accepted or rejected,
    /// once each, and in order.
    fn check_complete(&self) {
        write_targets(&self.targets, &[]);
        wait_until("the last staleness marker", || {
            let up = self.store.accepted().of(&["__name__=\"up\""]);
            up.last().is_some_and(|(_, bits)| *bits == STALE)
        });
        let taken_in = self.oxidot.wait_until_settled();
        self.store.know(|known| {
            known.accepted.assert_in_order(&known.unsaid);
            assert_eq!((known.accepted.distinct() + known.rejected.len()) as u64, taken_in);
        });
    }
}

/// Fails unless every scrape that was a success has a sample of each series.
fn assert_scrapes_are_whole(samples: &Samples) {
    for (at, up) in samples.of(&["__name__=\"up\""]) {
        if f64::from_bits(up) == 1.0 {
            for (series, samples) in samples.with(&["__name__=\"work_total\""]) {
                assert!(samples.iter().any(|(time, _)| *time == at), "{series} has no sample at {at}");
            }
        }
    }
}

#[test]
fn a_store_that_is_unavailable_for_a_while_gets_everything_afterwards() {
    let started = Instant::now();
    let store = Store::start(move |number| match (started.elapsed() < Duration::from_secs(4), number % 3) {
        (true, 0) => Verdict::refuse(503, "the ingester is restarting"),
        (true, 1) => Verdict::refuse(500, "internal error"),
        (true, _) => Verdict::refuse(502, "bad gateway"),
        (false, _) => Verdict::Accept(200),
    });
    let mut scene = Scene::start(store, SERIES, QUICK);
    scene.oxidot.wait_for_log("The store accepts requests again.");
    scene.check_complete();
    assert_scrapes_are_whole(&scene.store.accepted());
    let log = scene.oxidot.wait_for_log("Will retry the request after interval");
    assert!(log.contains("server returned HTTP status 503 Service Unavailable: the ingester is restarting"), "{log}");
    let retries = scene.attempts().iter().filter(|attempt| attempt.retry.is_some()).count();
    assert!(retries > 3, "{retries}");
    assert_eq!(scene.oxidot.own("otelcol_exporter_prometheusremotewrite_retries", &[]), retries as f64);
    assert_eq!(scene.oxidot.own("otelcol_exporter_dropped_metric_points", &[]), 0.0);
}

#[test]
fn a_store_that_asks_for_patience_gets_it() {
    let store = Store::start(|number| match number {
        1 => Verdict::Refuse { status: 429, headers: vec![("Retry-After", "2".to_owned())], text: "too many samples" },
        3 => Verdict::Refuse { status: 503, headers: vec![("Retry-After", "1".to_owned())], text: "later" },
        _ => Verdict::Accept(204),
    });
    let scene = Scene::start(store, SERIES, &format!("{QUICK}, max_batch_request_parallelism: 1"));
    scene.wait_for_attempts(6);
    let attempts = scene.attempts();
    // The pause begins when the answer arrives, which is after the request did.
    assert!(attempts[2].at - attempts[1].at >= Duration::from_secs(2), "{attempts:?}");
    assert_eq!(attempts[2].body, attempts[1].body);
    assert!(attempts[4].at - attempts[3].at >= Duration::from_secs(1), "{attempts:?}");
    assert_eq!(attempts[4].body, attempts[3].body);
    scene.check_complete();
    assert_eq!(scene.oxidot.own("otelcol_exporter_dropped_metric_points", &[]), 0.0);
}

#[test]
fn connections_that_break_lose_nothing_and_repeat_only_what_was_not_acknowledged() {
    let store = Store::start(|number| match number % 6 {
        1 => Verdict::Close,
        4 => Verdict::AcceptUnsaid,
        _ => Verdict::Accept(200),
    });
    let scene = Scene::start(store, SERIES, QUICK);
    scene.wait_for_attempts(25);
    scene.check_complete();
    assert_scrapes_are_whole(&scene.store.accepted());
    assert!(scene.store.know(|known| known.unsaid.len()) > 0);
}

#[test]
fn a_store_that_hangs_is_asked_again_after_the_timeout() {
    let store = Store::start(|number| match number {
        0 | 1 | 4 => Verdict::Hang,
        _ => Verdict::Accept(200),
    });
    let mut scene = Scene::start(store, SERIES, &format!("{QUICK}, timeout: 500ms"));
    scene.wait_for_attempts(10);
    let attempts = scene.attempts();
    assert_eq!(attempts[1].body, attempts[0].body);
    assert_eq!(attempts[2].body, attempts[0].body);
    assert!(attempts[2].at - attempts[0].at >= Duration::from_millis(1000), "{attempts:?}");
    scene.check_complete();
    scene.oxidot.wait_for_log("Will retry the request after interval");
}

#[test]
fn what_a_store_rejects_is_counted_and_told_and_the_rest_arrives() {
    const WORDS: &str = "out of order sample for series work_total{i=\"3\"}";
    const BAD: [&str; 2] = ["__name__=\"work_total\"", "i=\"3\""];
    // One series is refused whenever it comes, with all that comes in a request with it. Another request is refused for
    // being too large, its halves are not.
    let store = Store::start_judging(|number, body| match number {
        0 | 1 => Verdict::Accept(204),
        5 => Verdict::refuse(413, "the request is too large"),
        _ if Samples::of_request(body).with(&BAD).next().is_some() => Verdict::refuse(400, WORDS),
        _ => Verdict::Accept(204),
    });
    let mut scene = Scene::start(store, SERIES, QUICK);
    scene.wait_for_attempts(60);
    write_targets(&scene.targets, &[]);
    wait_until("the last staleness marker", || {
        let up = scene.store.accepted().of(&["__name__=\"up\""]);
        up.last().is_some_and(|(_, bits)| *bits == STALE)
    });
    let taken_in = scene.oxidot.wait_until_settled();
    let line = scene.oxidot.wait_for_log("The store rejects samples for good; they are dropped.");
    assert!(line.contains("out of order sample for series work_total{i=\\\"3\\\"}"), "{line}");
    assert!(line.contains("400"), "{line}");
    let accepted = scene.store.accepted();
    accepted.assert_in_order(&Samples::default());
    let rejected = taken_in - accepted.distinct() as u64;
    assert!(rejected > 0);
    assert_eq!(scene.oxidot.own("otelcol_exporter_dropped_metric_points", &[]), rejected as f64);
    assert_eq!(
        scene.oxidot.own("otelcol_exporter_dropped_metric_points", &["reason=\"rejected_400\""]),
        rejected as f64
    );
    assert_eq!(scene.oxidot.own("otelcol_exporter_send_failed_metric_points", &[]), rejected as f64);
    // Every other series has all its samples: as many as the series beside it.
    let count = |i: &str| accepted.of(&["__name__=\"work_total\"", &format!("i=\"{i}\"")]).len();
    assert!(["0", "2", "4", "19"].map(count).windows(2).all(|pair| pair[0] == pair[1] && pair[0] > 0));
    assert_eq!((count("3") as u64) + rejected, count("2") as u64);
}

#[test]
fn a_slow_store_is_written_to_by_several_shards_and_every_series_stays_in_order() {
    let store = Store::start_slow(Duration::from_millis(150), |_| Verdict::Accept(204));
    // One shard delivers 330 samples a second at most, of the 625 that are scraped.
    let scene = Scene::start(store, 120, &format!("{QUICK}, max_samples_per_send: 50"));
    let shards = || scene.oxidot.own("otelcol_exporter_prometheusremotewrite_shards", &[]);
    wait_until("more shards", || shards() >= 4.0);
    wait_until("several requests at once", || scene.store.know(|known| known.most_at_once) > 2);
    scene.check_complete();
    assert_scrapes_are_whole(&scene.store.accepted());
    assert_eq!(scene.oxidot.own("otelcol_exporter_dropped_metric_points", &[]), 0.0);
}

#[test]
fn a_service_that_ends_during_an_outage_delivers_when_the_store_is_back() {
    let store = Store::start(|_| Verdict::refuse(503, "down"));
    let mut scene = Scene::start(store, SERIES, QUICK);
    wait_until("some scrapes", || scene.target.scrapes() >= 5);
    scene.oxidot.signal("TERM");
    scene.oxidot.wait_for_log("Starting shutdown");
    scene.store.change(|_| Verdict::Accept(204));
    assert_eq!(scene.oxidot.wait().code(), Some(0), "{}", scene.oxidot.log());
    let samples = scene.store.accepted();
    samples.assert_in_order(&Samples::default());
    assert_eq!(samples.stale_markers(), 0);
    let scrapes = samples.of(&["__name__=\"up\""]).len() as u64;
    // The last one may have been under way when the service was asked to end.
    assert!(scrapes + 1 >= scene.target.scrapes(), "{scrapes} of {}", scene.target.scrapes());
    assert_scrapes_are_whole(&samples);
    scene.oxidot.wait_for_log("Shutdown complete.");
}

#[test]
fn a_service_that_ends_during_an_endless_outage_tells_what_is_lost() {
    let store = Store::start(|_| Verdict::refuse(503, "down"));
    let mut scene = Scene::start(store, SERIES, QUICK);
    wait_until("some scrapes", || scene.target.scrapes() >= 5);
    scene.oxidot.signal("TERM");
    assert_eq!(scene.oxidot.wait().code(), Some(3), "{}", scene.oxidot.log());
    let line = scene.oxidot.wait_for_log("The deadline has passed before all was delivered");
    let lost: u64 = line.split("\"points\":").nth(1).unwrap().split(['}', ',']).next().unwrap().parse().unwrap();
    assert!(lost >= 4 * (SERIES as u64 + 5), "{line}");
    scene.oxidot.wait_for_log("Shutdown complete.");
}

#[test]
fn a_second_request_to_end_does_not_wait_for_the_store() {
    let store = Store::start(|_| Verdict::Hang);
    let mut scene = Scene::start(store, SERIES, QUICK);
    scene.wait_for_attempts(1);
    scene.oxidot.signal("TERM");
    scene.oxidot.wait_for_log("Starting shutdown");
    scene.oxidot.signal("INT");
    assert_eq!(scene.oxidot.wait().code(), Some(3), "{}", scene.oxidot.log());
    scene.oxidot.wait_for_log("Asked a second time to stop");
    scene.oxidot.wait_for_log("The deadline has passed before all was delivered");
}
