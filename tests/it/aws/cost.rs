//! What signing adds to the processor time of a sample.

use std::time::Duration;

use super::keys::Key;
use super::scene::{Home, environment};
use super::store::REGION;
use crate::support::http::{Reply, Server};
use crate::support::note;
use crate::support::oxidot::{Oxidot, job, scrape_and_write};
use crate::support::page::{Target, counters};

/// Targets, and series of each.
const TARGETS: usize = 20;
const SERIES: usize = 1000;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(20);

/// Nanoseconds of processor time for each sample that is sent.
fn nanoseconds(targets: &[Target], url: &str, exporter: &str) -> f64 {
    let jobs: Vec<String> =
        targets.iter().enumerate().map(|(at, target)| job(&format!("job{at}"), &target.address(), "200ms")).collect();
    let config = scrape_and_write(&jobs.join(", "), url, exporter);
    let variables = Key::temporary().variables();
    let oxidot = Oxidot::start_with(&config, |command| environment(command, &Home::new(), &variables));
    // Series are new at first.
    std::thread::sleep(Duration::from_secs(5));
    let now = || (oxidot.cpu_seconds(), oxidot.own("otelcol_exporter_sent_metric_points", &[]));
    let before = now();
    std::thread::sleep(ROUND);
    let after = now();
    assert_eq!(oxidot.own("otelcol_exporter_send_failed_metric_points", &[]), 0.0);
    (after.0 - before.0) * 1e9 / (after.1 - before.1)
}

#[test]
#[ignore = "measures for minutes, and says something of a program that is built with optimisation only"]
fn signing_adds_little_to_the_processor_time_of_a_sample() {
    let targets: Vec<Target> = (0..TARGETS).map(|_| Target::start(|n| counters(SERIES, n))).collect();
    let store = Server::start(|_| Reply::status(200, ""));
    let url = format!("http://127.0.0.1:{}/api/v1/write", store.port());
    let (mut unsigned, mut signed) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        unsigned.push(nanoseconds(&targets, &url, ""));
        signed.push(nanoseconds(&targets, &url, &format!("sigv4: {{region: {REGION}}}")));
    }
    let least = |all: &[f64]| all.iter().copied().fold(f64::INFINITY, f64::min);
    let added = least(&signed) / least(&unsigned) - 1.0;
    note(&format!("unsigned {unsigned:.0?}, signed {signed:.0?} ns/sample: {:+.1} %", added * 100.0));
    assert!(added < 0.1, "signing adds {:.1} %", added * 100.0);
}
