//! SIGHUP: what did not change goes on as if nothing had happened, and a bad file changes nothing.

use crate::support::oxidot::{Oxidot, job, scrape_and_write};
use crate::support::page::Target;
use crate::support::samples::Sample;
use crate::support::store::Store;
use crate::support::wait_until;

const QUICK: &str = "batch_send_deadline: 20ms";
/// Milliseconds between two scrapes.
const INTERVAL: i64 = 1000;

/// Samples of one series of one target.
fn of(store: &Store, target: &Target, name: &str) -> Vec<Sample> {
    store.accepted().of(&[&format!("__name__=\"{name}\""), &format!("instance=\"{}\"", target.address())])
}

/// How far behind its place in the interval the middle one of these samples is.
fn phase(samples: &[Sample]) -> i64 {
    let mut phases: Vec<i64> = samples.iter().map(|(at, _)| at % INTERVAL).collect();
    phases.sort_unstable();
    phases[phases.len() / 2]
}

/// The shorter way round between two phases.
fn distance(a: i64, b: i64) -> i64 {
    let apart = (a - b).abs();
    apart.min(INTERVAL - apart)
}

#[test]
fn a_target_that_did_not_change_keeps_its_schedule_and_its_series() {
    let store = Store::accepting();
    let old = Target::start(|n| format!("x {n}\n"));
    let new = Target::start(|n| format!("x {n}\n"));
    let another = Target::start(|n| format!("x {n}\n"));
    let first = scrape_and_write(&job("j", &old.address(), "1s"), &store.url(), QUICK);
    let mut oxidot = Oxidot::start(&first);
    wait_until("scrapes", || of(&store, &old, "up").len() >= 4);
    let before = of(&store, &old, "up");

    // A second target in the same job, and a second job.
    let both = format!("{}\", \"{}", old.address(), new.address());
    let jobs = format!("{}, {}", job("j", &both, "1s"), job("other", &another.address(), "1s"));
    oxidot.reload(&scrape_and_write(&jobs, &store.url(), QUICK));
    wait_until("the new targets", || of(&store, &new, "up").len() >= 2 && of(&store, &another, "up").len() >= 2);
    wait_until("more scrapes", || of(&store, &old, "up").len() >= before.len() + 4);

    // And back again.
    oxidot.reload(&first);
    oxidot.wait_for_logs("Component takes over what changed for it", 2);
    let so_far = of(&store, &old, "up").len();
    wait_until("more scrapes", || of(&store, &old, "up").len() >= so_far + 4);
    wait_until("the end of the new targets", || {
        [&new, &another]
            .iter()
            .all(|gone| of(&store, gone, "up").last().is_some_and(|(_, bits)| f64::from_bits(*bits).is_nan()))
    });

    let samples = of(&store, &old, "up");
    let moved = distance(phase(&before), phase(&samples[before.len()..]));
    assert!(moved < INTERVAL / 10, "the schedule moved by {moved} ms: {samples:?}");
    for name in ["up", "x"] {
        let samples = of(&store, &old, name);
        assert!(
            !samples.iter().any(|(_, bits)| f64::from_bits(*bits).is_nan()),
            "{name} was marked stale: {samples:?}"
        );
    }
    // A loop that had begun anew would count all its series as added.
    let added = of(&store, &old, "scrape_series_added");
    assert!(added[1..].iter().all(|(_, bits)| f64::from_bits(*bits) == 0.0), "{added:?}");
    // Every page is there: no scrape was left out, and none was made twice.
    let values: Vec<f64> = of(&store, &old, "x").iter().map(|(_, bits)| f64::from_bits(*bits)).collect();
    assert!(values.is_sorted_by(|a, b| *b == *a + 1.0), "{values:?}");
}

#[test]
fn a_broken_file_leaves_the_former_configuration_in_force() {
    let store = Store::accepting();
    let target = Target::start(|n| format!("x {n}\n"));
    let config = scrape_and_write(&job("j", &target.address(), "300ms"), &store.url(), QUICK);
    let mut oxidot = Oxidot::start(&config);
    wait_until("scrapes", || of(&store, &target, "up").len() >= 2);
    let broken = "receivers:\n  prometheus:\n    config:\n      scrape_configs:\n        - job_name: j\n          scrape_intervall: 1s\n";
    oxidot.reload(&config.replacen("receivers:", "receiverz:", 1));
    oxidot.wait_for_log("The former configuration stays in force.");
    oxidot.reload(&format!("{broken}exporters: {{debug: null}}\nservice: {{pipelines: {{metrics: {{receivers: [prometheus], exporters: [debug]}}}}}}\n"));
    let line = oxidot.wait_for_log("scrape_intervall");
    let place = format!("{}:6:11", oxidot.config_file().display());
    assert!(line.contains(&place), "{place} is not in {line}");
    oxidot.wait_for_logs("The former configuration stays in force.", 2);
    let so_far = of(&store, &target, "up").len();
    wait_until("scrapes to go on", || of(&store, &target, "up").len() >= so_far + 3);
    let samples = store.accepted();
    assert_eq!(samples.stale_markers(), 0);
    let added = of(&store, &target, "scrape_series_added");
    assert!(added[1..].iter().all(|(_, bits)| f64::from_bits(*bits) == 0.0), "{added:?}");
}

#[test]
fn another_endpoint_takes_over_without_loss() {
    let (first, second) = (Store::accepting(), Store::accepting());
    let target = Target::start(|n| format!("x {n}\n"));
    let jobs = job("j", &target.address(), "300ms");
    let mut oxidot = Oxidot::start(&scrape_and_write(&jobs, &first.url(), QUICK));
    wait_until("scrapes", || of(&first, &target, "up").len() >= 3);
    oxidot.reload(&scrape_and_write(&jobs, &second.url(), QUICK));
    oxidot.wait_for_log("Changed component is replaced.");
    wait_until("scrapes at the new store", || of(&second, &target, "up").len() >= 3);
    let values =
        |store: &Store| -> Vec<f64> { of(store, &target, "x").iter().map(|(_, bits)| f64::from_bits(*bits)).collect() };
    let all = [values(&first), values(&second)].concat();
    assert!(all.is_sorted_by(|a, b| *b == *a + 1.0), "{all:?}");
}
