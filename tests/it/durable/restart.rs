//! Ends, orderly and not, and starts after them.

use super::{QUICK, SERIES, Scene, down, missing, up};
use crate::support::oxidot::Oxidot;
use crate::support::samples::{Samples, write_request};
use crate::support::store::{Store, Verdict};
use crate::support::{free_port, http, wait_until};

#[test]
fn what_was_scraped_survives_kill_9_again_and_again() {
    let mut scene = Scene::start(Store::start(down));
    for round in 0..4 {
        scene.wait_for_scrapes(5);
        // In some rounds the store takes things for a while, in some it answers after it was asked again.
        if round % 2 == 1 {
            scene.store.change(|number| if number % 3 == 0 { down(number) } else { up(number) });
            scene.wait_for_scrapes(5);
        }
        scene.kill();
        scene.store.change(down);
        scene.start_again();
    }
    scene.store.change(up);
    let safe = std::mem::take(&mut scene.safe);
    wait_until("all that was in the log", || missing(&scene.store.accepted(), safe.clone()).is_empty());
    scene.wait_for_scrapes(2);
    assert_eq!(scene.oxidot.end().code(), Some(0));
    scene.store.accepted().assert_in_order_of_first_arrival();
}

#[test]
fn an_orderly_restart_in_an_outage_loses_nothing_and_repeats_nothing() {
    let mut scene = Scene::start(Store::start(down));
    scene.wait_for_scrapes(5);
    scene.end_at_once();
    assert!(!scene.oxidot.log().contains("what was left is lost"), "{}", scene.oxidot.log());
    let scraped = scene.target.scrapes();
    scene.store.change(up);
    scene.start_again();
    scene.oxidot.wait_for_log("The log holds samples that were not delivered yet");
    scene.wait_for_delivery(scraped - 1);
    wait_until("the end of the replay", || scene.of_log("replay_samples") == 0.0);
    scene.wait_for_scrapes(3);
    assert_eq!(scene.oxidot.end().code(), Some(0));
    let samples = scene.store.accepted();
    samples.assert_in_order(&Samples::default());
    assert_eq!(samples.stale_markers(), 0, "series go on after an orderly restart");
    // The last scrape before each end may have been under way.
    assert!(missing(&samples, 1..=scene.target.scrapes()).len() <= 2 * SERIES);
    // Its end waited for what was under way, so a third start has nothing to send.
    let config = scene.config.replace(&scene.target.address(), "127.0.0.1:1");
    let mut idle = Oxidot::start(&config);
    assert_eq!(idle.end().code(), Some(0));
    assert!(!idle.log().contains("The log holds samples"), "{}", idle.log());
}

#[test]
fn a_sender_that_was_told_so_need_not_send_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::start(down);
    let port = free_port();
    let config = format!(
        "receivers: {{prometheusremotewrite: {{endpoint: \"127.0.0.1:{port}\", acknowledge: durable}}}}\n\
         exporters: {{prometheusremotewrite: {{endpoint: \"{}\", {QUICK}, wal: {{directory: \"{}\"}}}}}}\n\
         service: {{pipelines: {{metrics: {{receivers: [prometheusremotewrite], exporters: [prometheusremotewrite]}}}}}}\n",
        store.url(),
        directory.path().display()
    );
    let mut oxidot = Oxidot::start(&config);
    for time in 1..=20 {
        let body = write_request("sent", time * 1000, &[time as f64; 7]);
        let answer = http::post_write(port, &body).unwrap();
        assert_eq!(answer.status, 204, "{}", answer.body);
    }
    // At once after the last answer.
    oxidot.signal("KILL");
    oxidot.wait();
    store.change(up);
    let oxidot = Oxidot::start(&config);
    let sent =
        |samples: &Samples| samples.with(&["__name__=\"sent\""]).map(|(_, samples)| samples.len()).sum::<usize>();
    wait_until("all that was acknowledged", || sent(&store.accepted()) >= 140);
    store.accepted().assert_in_order(&Samples::default());
    drop(oxidot);
}

#[test]
fn the_second_of_two_processes_says_so_and_stops() {
    let scene = Scene::start(Store::start(up));
    let (code, output) = Oxidot::fails(&scene.config);
    assert_eq!(code, Some(1));
    let words = format!("is in use by process {}", scene.oxidot.id());
    assert!(output.contains(&words), "{words:?} is not in {output}");
    scene.wait_for_scrapes(3);
    scene.wait_for_delivery(scene.target.scrapes() - 1);
}

#[test]
fn a_changed_exporter_goes_on_with_the_log_of_its_predecessor() {
    let mut scene = Scene::start(Store::start(down));
    scene.wait_for_scrapes(5);
    let changed = scene.config.replace("max_interval: 400ms", "max_interval: 300ms");
    scene.oxidot.reload(&changed);
    scene.oxidot.wait_for_log("Changed component is replaced.");
    scene.oxidot.wait_for_log("The log holds samples that were not delivered yet");
    scene.wait_for_scrapes(3);
    scene.store.change(up);
    scene.wait_for_scrapes(3);
    // And once more, while everything is well.
    scene.oxidot.reload(&scene.config);
    scene.oxidot.wait_for_logs("Changed component is replaced.", 2);
    scene.wait_for_scrapes(5);
    let scraped = scene.target.scrapes() - 1;
    scene.wait_for_delivery(scraped);
    let samples = scene.store.accepted();
    samples.assert_in_order(&Samples::default());
    assert_eq!(samples.stale_markers(), 0);
    assert_eq!(scene.oxidot.own("otelcol_exporter_dropped_metric_points", &[]), 0.0);
    assert_eq!(scene.oxidot.end().code(), Some(0), "{}", scene.oxidot.log());
}

#[test]
fn what_waits_is_sent_before_the_end_if_the_store_is_back_in_time() {
    let mut scene = Scene::start(Store::start(down));
    scene.wait_for_scrapes(5);
    scene.oxidot.signal("TERM");
    scene.oxidot.wait_for_log("Starting shutdown");
    scene.store.change(|number| if number % 4 == 3 { Verdict::refuse(500, "not yet") } else { up(number) });
    assert_eq!(scene.oxidot.wait().code(), Some(0), "{}", scene.oxidot.log());
    let samples = scene.store.accepted();
    samples.assert_in_order(&Samples::default());
    assert_eq!(missing(&samples, 1..=scene.target.scrapes() - 1), [0; 0]);
}
