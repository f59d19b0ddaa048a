//! Stores of others get what the log has.

use super::{QUICK, SERIES};
use crate::support::oxidot::{Oxidot, job, scrape_and_write};
use crate::support::page::{Target, counters};
use crate::support::prometheus::{QueryServer, prometheus_on, victoria_metrics_on};
use crate::support::{free_port, require, wait_until};

/// Scrapes while the store is away, is killed and started again, and delivers all when the store comes.
fn fills_the_gap(port: u16, start: impl FnOnce(u16) -> QueryServer) {
    let directory = tempfile::tempdir().unwrap();
    let target = Target::start(move |n| counters(SERIES, n));
    let config = scrape_and_write(
        &job("work", &target.address(), "500ms"),
        &format!("http://127.0.0.1:{port}/api/v1/write"),
        &format!("{QUICK}, wal: {{directory: \"{}\"}}", directory.path().display()),
    );
    let mut oxidot = Oxidot::start(&config);
    wait_until("scrapes", || target.scrapes() >= 5);
    let scraped = target.scrapes();
    std::thread::sleep(super::LONGER_THAN_A_SYNC);
    oxidot.signal("KILL");
    oxidot.wait();
    let oxidot = Oxidot::start(&config);
    let so_far = target.scrapes();
    wait_until("more scrapes", || target.scrapes() >= so_far + 3);
    let store = start(port);
    let all = || {
        let samples = store.samples("work_total[1h]");
        samples.len() == SERIES
            && samples.values().all(|points| {
                let values: Vec<u64> = points.iter().map(|(_, value)| value.parse::<f64>().unwrap() as u64).collect();
                assert!(values.is_sorted_by(|a, b| a < b), "{values:?}");
                (1..=scraped).all(|page| values.contains(&page)) && values.last() > Some(&so_far)
            })
    };
    wait_until("all that was scraped", all);
    assert_eq!(oxidot.own("otelcol_exporter_dropped_metric_points", &[]), 0.0, "{}", oxidot.log());
}

#[test]
fn victoria_metrics_gets_what_was_scraped_while_it_was_away() {
    require!("victoria-metrics");
    fills_the_gap(free_port(), victoria_metrics_on);
}

#[test]
fn prometheus_gets_what_was_scraped_while_it_was_away() {
    require!("prometheus");
    fills_the_gap(free_port(), |port| prometheus_on(port, ""));
}
