//! Staleness markers: sent when a series, a page or a target goes away, and not at an orderly restart.

use crate::support::oxidot::{Oxidot, file_job, job, scrape_and_write, write_targets};
use crate::support::page::Target;
use crate::support::samples::{STALE, Sample};
use crate::support::store::Store;
use crate::support::wait_until;

const QUICK: &str = "batch_send_deadline: 20ms";

fn is_stale(sample: Option<&Sample>) -> bool {
    sample.is_some_and(|(_, bits)| *bits == STALE)
}

fn last_is_stale(store: &Store, parts: &[&str]) -> bool {
    is_stale(store.accepted().of(parts).last())
}

#[test]
fn a_series_that_disappears_is_marked_at_the_time_of_the_scrape_without_it() {
    let store = Store::accepting();
    let target = Target::start(|n| if n <= 3 { "here 1\ngone 2\n".to_owned() } else { "here 1\n".to_owned() });
    let config = scrape_and_write(&job("j", &target.address(), "300ms"), &store.url(), QUICK);
    let _oxidot = Oxidot::start(&config);
    wait_until("the marker", || last_is_stale(&store, &["__name__=\"gone\""]));
    wait_until("another scrape", || target.scrapes() >= 8);
    let samples = store.accepted();
    let gone = samples.of(&["__name__=\"gone\""]);
    assert_eq!(gone.len(), 4, "one marker and no more: {gone:?}");
    let (marked_at, _) = gone[3];
    let here = samples.of(&["__name__=\"here\""]);
    let position = here.iter().position(|(at, _)| *at == marked_at).expect("the time is that of a scrape");
    assert_eq!(position, 3);
    assert!(!here.iter().any(|sample| is_stale(Some(sample))), "{here:?}");
}

#[test]
fn a_target_that_is_down_loses_its_series_but_not_its_report() {
    let store = Store::accepting();
    let target = Target::start(|_| "x 1\n".to_owned());
    let port = target.port();
    let config = scrape_and_write(&job("j", &target.address(), "300ms"), &store.url(), QUICK);
    let mut oxidot = Oxidot::start(&config);
    wait_until("samples", || store.accepted().of(&["__name__=\"x\""]).len() >= 2);
    drop(target);
    wait_until("the marker", || last_is_stale(&store, &["__name__=\"x\""]));
    wait_until("failures", || store.accepted().of(&["__name__=\"up\""]).last().is_some_and(|s| s.1 == 0f64.to_bits()));
    let line = oxidot.wait_for_log("Failed to scrape Prometheus endpoint");
    assert!(line.contains(&format!("http://127.0.0.1:{port}/metrics")), "{line}");
    let before = store.accepted().of(&["__name__=\"x\""]).len();
    let _target = Target::start_on(port, |_| "x 2\n".to_owned());
    wait_until("the series again", || store.accepted().of(&["__name__=\"x\""]).len() > before);
    let samples = store.accepted();
    let up = samples.of(&["__name__=\"up\""]);
    assert!(!up.iter().any(|sample| is_stale(Some(sample))), "{up:?}");
    let x = samples.of(&["__name__=\"x\""]);
    assert_eq!(x.iter().filter(|sample| is_stale(Some(sample))).count(), 1, "{x:?}");
    oxidot.wait_for_log("The target can be scraped again.");
}

#[test]
fn a_target_that_is_no_longer_there_loses_all_its_series() {
    let store = Store::accepting();
    let stays = Target::start(|_| "x 1\n".to_owned());
    let goes = Target::start(|_| "x 1\n".to_owned());
    let directory = tempfile::tempdir().unwrap();
    let targets = directory.path().join("targets.json");
    write_targets(&targets, &[&stays.address(), &goes.address()]);
    let config = scrape_and_write(&file_job("j", &targets, "300ms"), &store.url(), QUICK);
    let _oxidot = Oxidot::start(&config);
    let of = |target: &Target, name: &str| {
        store.accepted().of(&[&format!("__name__=\"{name}\""), &format!("instance=\"{}\"", target.address())])
    };
    wait_until("samples of both", || of(&stays, "x").len() >= 2 && of(&goes, "x").len() >= 2);
    write_targets(&targets, &[&stays.address()]);
    wait_until("the markers", || is_stale(of(&goes, "up").last()));
    let instance = format!("instance=\"{}\"", goes.address());
    let samples = store.accepted();
    let parts = [instance.as_str()];
    let series: Vec<_> = samples.with(&parts).collect();
    assert_eq!(series.len(), 6, "{series:?}");
    for (series, samples) in series {
        assert!(is_stale(samples.last()), "{series} has no marker");
    }
    let before = of(&stays, "x").len();
    wait_until("the other to go on", || of(&stays, "x").len() > before + 2);
    assert!(!of(&stays, "x").iter().any(|sample| is_stale(Some(sample))));
    let scrapes = goes.scrapes();
    wait_until("two more scrapes of the other", || of(&stays, "x").len() > before + 4);
    assert_eq!(goes.scrapes(), scrapes);
}

#[test]
fn an_orderly_restart_leaves_no_hole() {
    let store = Store::accepting();
    let target = Target::start(|_| "x 1\n".to_owned());
    let config = scrape_and_write(&job("j", &target.address(), "300ms"), &store.url(), QUICK);
    let samples = || store.accepted().of(&["__name__=\"x\""]);
    let mut oxidot = Oxidot::start(&config);
    wait_until("samples", || samples().len() >= 3);
    assert_eq!(oxidot.end().code(), Some(0), "{}", oxidot.log());
    let before = samples().len();
    drop(oxidot);
    let mut oxidot = Oxidot::start(&config);
    wait_until("more samples", || samples().len() >= before + 3);
    assert_eq!(oxidot.end().code(), Some(0), "{}", oxidot.log());
    let all = store.accepted();
    assert_eq!(all.stale_markers(), 0);
    all.assert_in_order(&Default::default());
}
