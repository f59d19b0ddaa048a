//! A log that is full, and requests that no store takes.

use super::{QUICK, Scene, down, up};
use crate::support::oxidot::Oxidot;
use crate::support::samples::{Samples, write_request};
use crate::support::store::{Store, Verdict};
use crate::support::{free_port, http, wait_until};

/// Values without a pattern, so that they take their room on disk.
fn noise(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from_bits(0x3ff0_0000_0000_0000 | state >> 12)
    };
    (0..count).map(|_| next()).collect()
}

#[test]
fn a_log_at_its_limit_drops_the_oldest_first_and_counts_it() {
    const SERIES: usize = 5_000;
    const REQUESTS: i64 = 60;
    let directory = tempfile::tempdir().unwrap();
    let store = Store::start(down);
    let port = free_port();
    let config = format!(
        "receivers: {{prometheusremotewrite: {{endpoint: \"127.0.0.1:{port}\", acknowledge: durable}}}}\n\
         exporters: {{prometheusremotewrite: {{endpoint: \"{}\", {QUICK}, remote_write_queue: {{queue_size: 1, num_consumers: 1}}, \
           wal: {{directory: \"{}\", max_bytes: 1048576}}}}}}\n\
         service: {{pipelines: {{metrics: {{receivers: [prometheusremotewrite], exporters: [prometheusremotewrite]}}}}}}\n",
        store.url(),
        directory.path().display()
    );
    let oxidot = Oxidot::start(&config);
    for time in 1..=REQUESTS {
        let body = write_request("noise", time * 1000, &noise(SERIES, time as u64));
        assert_eq!(http::post_write(port, &body).unwrap().status, 204);
        let bytes = oxidot.own("otelcol_exporter_prometheusremotewrite_wal_size_bytes", &[]);
        assert!(bytes <= 1_300_000.0, "{bytes}");
    }
    let dropped = || oxidot.own("otelcol_exporter_dropped_metric_points", &["reason=\"wal_max_bytes\""]);
    wait_until("samples to be dropped", || dropped() > 0.0);
    store.change(up);
    let newest = |samples: &Samples| samples.of(&["i=\"7\""]).last().is_some_and(|(time, _)| *time == REQUESTS * 1000);
    wait_until("the newest samples", || newest(&store.accepted()));
    let delivered = || store.accepted().len() as f64;
    wait_until("all to be accounted for", || delivered() + dropped() == (SERIES as i64 * REQUESTS) as f64);
    store.accepted().assert_in_order(&Samples::default());
    assert!(oxidot.log().contains("its oldest segment is dropped"), "{}", oxidot.log());
}

#[test]
fn a_request_that_is_always_refused_does_not_block_what_follows() {
    // One sample is refused whenever it comes, with all that comes in a request with it.
    let store = Store::start_judging(move |number, body| {
        let poison = Samples::of_request(body)
            .with(&["work_total", "i=\"7\""])
            .any(|(_, samples)| samples.iter().any(|(_, bits)| f64::from_bits(*bits) == 2.0));
        if poison { Verdict::refuse(400, "this is refused for ever") } else { up(number) }
    });
    let mut scene = Scene::start(store);
    scene.wait_for_scrapes(8);
    let missing = || super::missing(&scene.store.accepted(), 1..=8);
    wait_until("all but that", || missing() == [2]);
    scene.oxidot.wait_for_log("this is refused for ever");
    assert_eq!(scene.dropped("rejected_400"), 1.0);
    assert_eq!(scene.oxidot.end().code(), Some(0));
    // Nothing of it waits in the log: it was given up, and is not sent again after a restart.
    scene.start_again();
    assert!(!scene.oxidot.log().contains("The log holds samples"), "{}", scene.oxidot.log());
}
