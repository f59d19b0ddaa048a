#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value as Json;
use tokio::time::Instant;

use super::exponential::{self, index_of, upper_bound};
use super::*;
use crate::value::{
    Exemplar, ExemplarValue, ExponentialBuckets, ExponentialHistogram, Histogram, Point, ResetHint, Value,
};
use crate::{Attributes, Family, FamilyKind, Origin, Part, PointGroup, Series, SeriesTable, Source, Temporality};

/// The observed cases, or none with a visible word where they are missing.
fn vectors() -> Option<Json> {
    let beside = || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let path = std::env::var_os("OXIDOT_SHARED").map_or_else(beside, Into::into);
    let path = path.join("vectors/deltatocumulative_exphist.json");
    match std::fs::read(&path) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).unwrap()),
        Err(error) => {
            use std::io::Write as _;
            writeln!(std::io::stderr(), "skipped: {}: {error}", path.display()).unwrap();
            None
        }
    }
}

fn rows<'a>(file: &'a Json, key: &str) -> &'a [Json] {
    let rows = file[key].as_array().unwrap();
    assert!(!rows.is_empty(), "{key}");
    rows
}

fn counts(list: &Json) -> Box<[u64]> {
    list.as_array().into_iter().flatten().map(|count| count.as_u64().unwrap()).collect()
}

fn buckets(row: &Json) -> ExponentialBuckets {
    let offset = row["offset"].as_i64().unwrap_or_default();
    ExponentialBuckets { offset: offset.try_into().unwrap(), counts: counts(&row["counts"]) }
}

fn exponential_histogram(row: &Json) -> ExponentialHistogram {
    let both = buckets(&row["positive_and_negative"]);
    ExponentialHistogram {
        count: row["count"].as_u64().unwrap_or_default(),
        sum: row["sum"].as_f64(),
        min: row["min"].as_f64(),
        max: row["max"].as_f64(),
        reset: ResetHint::Unknown,
        scale: row["scale"].as_i64().unwrap_or_default() as i32,
        zero_count: row["zero_count"].as_u64().unwrap_or_default(),
        zero_threshold: row["zero_threshold"].as_f64().unwrap_or_default(),
        positive: both.clone(),
        negative: both,
    }
}

/// Buckets by index, those that are empty aside.
fn full(buckets: &ExponentialBuckets) -> Vec<(i64, u64)> {
    exponential::indexed(buckets).filter(|(_, count)| *count > 0).collect()
}

fn assert_same(found: &ExponentialHistogram, expected: &ExponentialHistogram, name: &Json) {
    assert_eq!(full(&found.positive), full(&expected.positive), "{name}");
    assert_eq!(full(&found.negative), full(&expected.negative), "{name}");
    let close = |a: Option<f64>, b: Option<f64>| a.zip(b).map_or(a == b, |(a, b)| (a - b).abs() < 1e-9);
    assert!(
        close(found.sum, expected.sum) && close(found.min, expected.min) && close(found.max, expected.max),
        "{name}"
    );
    let rest = |h: &ExponentialHistogram| (h.count, h.zero_count, h.zero_threshold, h.scale);
    assert_eq!(rest(found), rest(expected), "{name}");
}

#[test]
fn buckets_are_joined_and_merged_as_observed() {
    let Some(file) = vectors() else { return };
    for row in rows(&file, "downscale") {
        let mut found = buckets(&row["input"]);
        let by = row["from_scale"].as_i64().unwrap() - row["to_scale"].as_i64().unwrap();
        exponential::downscale(&mut found, by.try_into().unwrap());
        assert_eq!(found, buckets(&row["expected"]), "{row}");
    }
    for row in rows(&file, "merge") {
        let mut found = buckets(&row["a"]);
        exponential::merge(&mut found, &buckets(&row["b"]));
        assert_eq!(found, buckets(&row["expected"]), "{row}");
    }
    assert_eq!(file["max_buckets"].as_u64().unwrap(), exponential::MAX_BUCKETS as u64);
}

#[test]
fn zero_buckets_widen_as_observed() {
    let Some(file) = vectors() else { return };
    for row in rows(&file, "widen_zero") {
        let mut found = exponential_histogram(&row["hist"]);
        let before = found.clone();
        if exponential::widen_zero(&mut found, row["min"].as_f64().unwrap()) {
            assert_same(&found, &exponential_histogram(&row["expected"]), row);
        } else {
            assert!(row["error"].is_string(), "{row}");
            assert_eq!(found, before, "{row}");
        }
    }
}

#[test]
fn histograms_add_as_observed() {
    let Some(file) = vectors() else { return };
    for row in rows(&file, "add") {
        let [state, delta, expected] = ["state", "dp", "expected"].map(|key| exponential_histogram(&row[key]));
        let mut orders = vec![(state.clone(), delta.clone())];
        if row["symmetric"] == true {
            orders.push((delta, state));
        }
        for (state, delta) in orders {
            let mut found = Value::ExponentialHistogram(Box::new(state));
            assert_eq!(add(&mut found, &Value::ExponentialHistogram(Box::new(delta))), Added::Both);
            let Value::ExponentialHistogram(found) = found else { unreachable!("{row}") };
            assert_same(&found, &expected, &row["name"]);
        }
    }
    for row in rows(&file, "explicit_histogram_add") {
        let histogram = |row: &Json| Histogram {
            count: row["count"].as_u64().unwrap_or_else(|| counts(row).iter().sum()),
            sum: row["sum"].as_f64(),
            min: row["min"].as_f64(),
            max: row["max"].as_f64(),
            bucket_counts: counts(row),
            ..Histogram::default()
        };
        if row["state"].is_null() {
            continue;
        }
        let mut expected = histogram(&row["expected"]);
        expected.count = row["count"].as_u64().unwrap_or(expected.count);
        let mut found = Value::Histogram(Box::new(histogram(&row["state"])));
        assert_eq!(add(&mut found, &Value::Histogram(Box::new(histogram(&row["dp"])))), Added::Both);
        let Value::Histogram(found) = found else { unreachable!("{row}") };
        assert_eq!(found.bucket_counts, expected.bucket_counts, "{row}");
        assert_eq!((found.count, found.min, found.max), (expected.count, expected.min, expected.max), "{row}");
        assert_eq!(found.sum.map(|sum| (sum * 100.0).round()), expected.sum.map(|sum| (sum * 100.0).round()), "{row}");
    }
}

#[test]
fn histograms_of_other_bounds_and_values_of_another_kind_begin_anew() {
    let histogram = |bound| {
        let bounds = [bound].into();
        Value::Histogram(Box::new(Histogram { count: 1, bounds, bucket_counts: [1, 0].into(), ..Histogram::default() }))
    };
    let mut state = histogram(1.0);
    assert_eq!(add(&mut state, &histogram(2.0)), Added::Replaced);
    assert_eq!(state, histogram(2.0));
    assert_eq!(add(&mut state, &Value::Int(1)), Added::Replaced);
    let mut large = Value::Int(i64::MAX);
    assert_eq!(add(&mut large, &Value::Int(1)), Added::Both);
    assert_eq!(large, Value::Float(i64::MAX as f64 + 1.0));
}

#[test]
fn differences_undo_additions_and_tell_resets() {
    let exponential = |scale, offset, list: &[u64], zero_threshold| {
        let side = ExponentialBuckets { offset, counts: list.into() };
        Value::ExponentialHistogram(Box::new(ExponentialHistogram {
            count: list.iter().sum(),
            sum: Some(1.0),
            scale,
            zero_threshold,
            positive: side,
            ..ExponentialHistogram::default()
        }))
    };
    let before = exponential(1, 0, &[1, 2, 3], 0.0);
    let after = exponential(0, 0, &[4, 4], 0.0);
    let Ok(Value::ExponentialHistogram(delta)) = difference(&before, &after) else { unreachable!() };
    assert_eq!((delta.count, delta.sum, full(&delta.positive)), (2, Some(0.0), vec![(0, 1), (1, 1)]));
    // The zero bucket took in what was in the first bucket before.
    let mut wider = after.clone();
    if let Value::ExponentialHistogram(wider) = &mut wider {
        assert!(exponential::widen_zero(wider, 2.0));
    }
    let Ok(Value::ExponentialHistogram(delta)) = difference(&before, &wider) else { unreachable!() };
    assert_eq!((delta.zero_count, full(&delta.positive)), (1, vec![(1, 1)]));
    for reset in [exponential(2, 0, &[9; 4], 0.0), exponential(0, 0, &[1], 0.0), exponential(1, 0, &[0, 9], 0.0)] {
        assert_eq!(difference(&before, &reset), Err(NotComparable::Reset), "{reset:?}");
    }
    assert_eq!(difference(&Value::Int(5), &Value::Int(7)), Ok(Value::Int(2)));
    assert_eq!(difference(&Value::Float(5.0), &Value::Int(4)), Err(NotComparable::Reset));
    assert_eq!(difference(&Value::Float(5.0), &before), Err(NotComparable::Buckets));
}

fn series(kind: FamilyKind) -> Arc<Series> {
    let family = Arc::new(Family { name: "f".into(), kind, ..Family::default() });
    Series::intern(family, "f".into(), Part::Whole, Attributes::default())
}

const DELTA: FamilyKind = FamilyKind::Sum { monotonic: true, temporality: Temporality::Delta };

fn group(points: &[(u32, i64, i64, Value)]) -> PointGroup {
    let origin = Origin::intern(Source::Otlp, Default::default(), Default::default(), Default::default());
    let table = SeriesTable::intern(vec![series(DELTA), series(FamilyKind::Gauge)]);
    let point = |(series, start, time, value): &(u32, i64, i64, Value)| Point {
        series: *series,
        flags: 0,
        time: *time,
        start: *start,
        value: value.clone(),
    };
    PointGroup::new(origin, table, points.iter().map(point).collect())
}

fn limits(max_streams: usize) -> StreamLimits {
    StreamLimits { max_streams, max_stale: Duration::from_secs(300) }
}

#[tokio::test(start_paused = true)]
async fn deltas_of_a_group_become_totals_and_the_rest_stays() {
    let mut accumulator = Accumulator::new(limits(10));
    let mut refused = Vec::new();
    let mut pass = |points: &[(u32, i64, i64, Value)]| {
        let mut group = group(points);
        for point in 0..points.len() as u32 {
            let (trace_id, span_id) = (Box::default(), Box::default());
            let value = ExemplarValue::Int(point.into());
            let attributes = Attributes::default();
            group.exemplars.push(Exemplar { point, time: 0, value, trace_id, span_id, attributes });
        }
        assert!(accumulator.concerns(&group));
        accumulator.accumulate(&mut group, Instant::now(), |reason, _| refused.push(reason));
        let kinds: Vec<_> = group.table.as_slice().iter().map(|series| series.family.kind).collect();
        assert_eq!(kinds, [FamilyKind::COUNTER, FamilyKind::Gauge]);
        let exemplars: Vec<_> = group.exemplars.iter().map(|e| (e.point, e.value)).collect();
        let points: Vec<_> = group.points.into_iter().map(|p| (p.start, p.time, p.value)).collect();
        (points, exemplars)
    };
    let int = Value::Int;
    let (points, _) = pass(&[(0, 1, 2, int(5)), (1, 0, 2, int(5)), (0, 2, 3, int(6))]);
    assert_eq!(points, [(1, 2, int(5)), (0, 2, int(5)), (1, 3, int(11))]);
    // Once more, too old, infinite: gone, and exemplars stay with their points.
    let stale = Value::NONE;
    let late = [(0, 2, 3, int(1)), (0, 0, 9, int(1)), (0, 3, 4, Value::Float(f64::INFINITY)), (0, 3, 4, int(1))];
    let (points, exemplars) = pass(&[&late[..], &[(0, 0, 5, stale.clone())]].concat());
    assert_eq!(points, [(1, 4, int(12)), (0, 5, stale)]);
    assert_eq!(exemplars, [(0, ExemplarValue::Int(3)), (1, ExemplarValue::Int(4))]);
    assert_eq!(refused, [Refused::OutOfOrder, Refused::OlderStart, Refused::NotFinite]);
}

#[tokio::test(start_paused = true)]
async fn streams_are_bounded_and_forgotten_when_idle() {
    let mut accumulator = Accumulator::new(limits(0));
    let mut refused = Vec::new();
    let mut over = group(&[(0, 1, 2, Value::Int(5)), (1, 1, 2, Value::Int(5))]);
    accumulator.accumulate(&mut over, Instant::now(), |reason, _| refused.push(reason));
    assert_eq!((over.points.len(), refused), (1, vec![Refused::Limit]));

    let mut accumulator = Accumulator::new(limits(1));
    let total = |accumulator: &mut Accumulator, time| {
        let mut group = group(&[(0, 1, time, Value::Int(5))]);
        accumulator.accumulate(&mut group, Instant::now(), |reason, _| unreachable!("{reason:?}"));
        group.points.pop().unwrap().value
    };
    assert_eq!(total(&mut accumulator, 2), Value::Int(5));
    tokio::time::advance(Duration::from_secs(200)).await;
    assert_eq!(accumulator.tidy(Instant::now()), 0);
    assert_eq!(total(&mut accumulator, 3), Value::Int(10));
    tokio::time::advance(Duration::from_secs(301)).await;
    assert_eq!((accumulator.tidy(Instant::now()), accumulator.streams()), (1, 0));
    assert_eq!(total(&mut accumulator, 4), Value::Int(5));
}

#[test]
fn tables_without_deltas_are_left_alone() {
    let mut accumulator = Accumulator::new(limits(1));
    let mut group = group(&[(0, 1, 2, Value::Int(1))]);
    group.table = SeriesTable::intern(vec![series(FamilyKind::COUNTER)]);
    assert!(!accumulator.concerns(&group));
    let table = Arc::clone(&group.table);
    accumulator.accumulate(&mut group, Instant::now(), |reason, _| unreachable!("{reason:?}"));
    assert!(Arc::ptr_eq(&table, &group.table));
}

fn any_histogram() -> impl Strategy<Value = ExponentialHistogram> {
    let side = || {
        let offset = prop_oneof![-300..300i32, Just(i32::MIN), Just(i32::MAX)];
        (offset, proptest::collection::vec(0..9u64, 0..200))
            .prop_map(|(offset, counts)| ExponentialBuckets { offset, counts: counts.into() })
    };
    let threshold = prop_oneof![Just(0.0), 0.0..8.0f64, Just(f64::NAN), Just(f64::INFINITY), Just(5e-324)];
    let scale = prop_oneof![-10..20i32, any::<i32>()];
    (scale, threshold, side(), side()).prop_map(|(scale, zero_threshold, positive, negative)| {
        let count = positive.counts.iter().chain(&negative.counts).sum();
        ExponentialHistogram { count, scale, zero_threshold, positive, negative, ..ExponentialHistogram::default() }
    })
}

/// The same with counts that are fractions, if whole ones.
fn float(value: &Value) -> Value {
    let Value::ExponentialHistogram(h) = value else { unreachable!("{value:?}") };
    let side = |side: &ExponentialBuckets| ExponentialBuckets {
        offset: side.offset,
        counts: side.counts.iter().map(|count| *count as f64).collect(),
    };
    Value::FloatExponentialHistogram(Box::new(ExponentialHistogram {
        count: h.count as f64,
        sum: h.sum,
        min: h.min,
        max: h.max,
        reset: h.reset,
        scale: h.scale,
        zero_count: h.zero_count as f64,
        zero_threshold: h.zero_threshold,
        positive: side(&h.positive),
        negative: side(&h.negative),
    }))
}

fn observations(histogram: &ExponentialHistogram) -> u64 {
    histogram.zero_count + histogram.positive.counts.iter().chain(&histogram.negative.counts).sum::<u64>()
}

proptest! {
    #[test]
    fn no_observation_is_lost_and_buckets_are_few(a in any_histogram(), b in any_histogram()) {
        let both = observations(&a) + observations(&b);
        let mut sum = Value::ExponentialHistogram(Box::new(a));
        prop_assert_eq!(add(&mut sum, &Value::ExponentialHistogram(Box::new(b.clone()))), Added::Both);
        let Value::ExponentialHistogram(sum) = sum else { unreachable!() };
        prop_assert_eq!(observations(&sum), both);
        prop_assert_eq!(sum.count, both);
        // A side that only one of them has is taken as it is.
        let most = exponential::MAX_BUCKETS.max(200);
        prop_assert!(sum.positive.counts.len() <= most && sum.negative.counts.len() <= most);
        let _whatever = difference(&Value::ExponentialHistogram(Box::new(b)), &Value::ExponentialHistogram(sum));
    }

    #[test]
    fn fractions_are_added_and_taken_away_as_whole_numbers_are(a in any_histogram(), b in any_histogram()) {
        let (a, b) = (Value::ExponentialHistogram(Box::new(a)), Value::ExponentialHistogram(Box::new(b)));
        let (mut sum, mut float_sum) = (a.clone(), float(&a));
        prop_assert_eq!(add(&mut sum, &b), add(&mut float_sum, &float(&b)));
        // By text, in which a threshold that is no number is like itself.
        prop_assert_eq!(format!("{float_sum:?}"), format!("{:?}", float(&sum)));
        let (rest, float_rest) = (difference(&b, &sum), difference(&float(&b), &float_sum));
        prop_assert_eq!(format!("{float_rest:?}"), format!("{:?}", rest.map(|rest| float(&rest))));
    }

    #[test]
    fn a_value_lies_within_its_bucket(value in prop_oneof![1e-300..1e300f64, 0.5..4.0f64], scale in -10..=20i32) {
        let index = index_of(value, scale);
        prop_assert!(value <= upper_bound(index, scale));
        prop_assert!(upper_bound(index - 1, scale) < value);
    }
}
