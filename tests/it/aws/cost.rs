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
/// Of each round the two services run side by side, so that whatever else the machine does slows both of them.
const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_secs(10);

/// Starts a service that scrapes the targets and writes with these keys in the exporter.
fn start(targets: &[Target], url: &str, exporter: &str) -> Oxidot {
    let jobs: Vec<String> =
        targets.iter().enumerate().map(|(at, target)| job(&format!("job{at}"), &target.address(), "200ms")).collect();
    let config = scrape_and_write(&jobs.join(", "), url, exporter);
    let variables = Key::temporary().variables();
    Oxidot::start_with(&config, |command| environment(command, &Home::new(), &variables))
}

/// Seconds of processor time, and samples that are sent, until now.
fn used(oxidot: &Oxidot) -> (f64, f64) {
    (oxidot.cpu_seconds(), oxidot.own("otelcol_exporter_sent_metric_points", &[]))
}

/// Nanoseconds of processor time for each sample that was sent between the two.
fn nanoseconds(before: (f64, f64), after: (f64, f64)) -> f64 {
    (after.0 - before.0) * 1e9 / (after.1 - before.1)
}

#[test]
#[ignore = "measures for minutes, and says something of a program that is built with optimisation only"]
fn signing_adds_little_to_the_processor_time_of_a_sample() {
    let targets: Vec<Target> = (0..TARGETS).map(|_| Target::start(|n| counters(SERIES, n))).collect();
    let store = Server::start(|_| Reply::status(200, ""));
    let url = format!("http://127.0.0.1:{}/api/v1/write", store.port());
    let both = ["", &format!("sigv4: {{region: {REGION}}}")].map(|exporter| start(&targets, &url, exporter));
    // Series are new at first.
    std::thread::sleep(Duration::from_secs(5));
    let mut rounds: Vec<[f64; 2]> = (0..ROUNDS)
        .map(|_| {
            let before = both.each_ref().map(used);
            std::thread::sleep(ROUND);
            let [unsigned, signed] = both.each_ref().map(used);
            [nanoseconds(before[0], unsigned), nanoseconds(before[1], signed)]
        })
        .collect();
    for oxidot in &both {
        assert_eq!(oxidot.own("otelcol_exporter_send_failed_metric_points", &[]), 0.0);
    }
    let added = |round: &[f64; 2]| (round[1] / round[0] - 1.0) * 100.0;
    rounds.sort_by(|a, b| added(a).total_cmp(&added(b)));
    let shown: Vec<String> = rounds.iter().map(|round| format!("{:.0}+{:.0}", round[0], round[1] - round[0])).collect();
    let median = added(&rounds[ROUNDS / 2]);
    note(&format!("unsigned+signing, ns/sample: {}; median {median:+.1} %", shown.join(" ")));
    assert!(median < 10.0, "signing adds {median:.1} %");
}
