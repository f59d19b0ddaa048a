#![expect(clippy::unwrap_used, reason = "tests")]

use super::FACTORY;
use super::adjust::{Adjusted, Adjuster};
use super::config::Config;
use crate::testing::{Running, build, context, node, origin, problems};
use pipeline::value::{ExponentialBuckets, ExponentialHistogram, Histogram, Summary};
use pipeline::{
    Attributes, Family, FamilyKind, MetricBatch, Part, Point, PointGroup, Series, SeriesTable, Temporality, Value,
};
use serde_json::Value as Json;
use std::sync::Arc;
use tokio::time::Instant;

const CUMULATIVE: Temporality = Temporality::Cumulative;

fn adjuster(yaml: &str) -> Adjuster {
    Adjuster::new(Config::read(&node(yaml)).unwrap())
}

fn one(name: &str, kind: FamilyKind, part: Part, point: Point) -> MetricBatch {
    let family = Arc::new(Family { name: name.into(), kind, ..Family::default() });
    let series = Series::intern(family, format!("{name}{}", part.suffix()).into(), part, Attributes::default());
    MetricBatch::new(vec![PointGroup::new(origin("j", "i", &[]), SeriesTable::intern(vec![series]), vec![point])])
}

fn at(millis: i64, value: Value) -> Point {
    Point { series: 0, flags: 0, time: millis * 1_000_000, start: 0, value }
}

/// The one point of a batch after its adjustment, and its start in milliseconds.
fn adjusted(adjuster: &mut Adjuster, mut batch: MetricBatch) -> Option<(Value, i64)> {
    adjuster.adjust(&mut batch, Instant::now());
    let point = batch.groups().first()?.points.first()?.clone();
    Some((point.value, point.start / 1_000_000))
}

/// The observed cases, or none with a visible word where they are missing.
fn vectors() -> Option<Json> {
    let beside = || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let path = std::env::var_os("OXIDOT_SHARED").map_or_else(beside, Into::into);
    let path = path.join("vectors/start_time_adjust.json");
    match std::fs::read(&path) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).unwrap()),
        Err(error) => {
            use std::io::Write as _;
            writeln!(std::io::stderr(), "skipped: {}: {error}", path.display()).unwrap();
            None
        }
    }
}

fn kind(row: &Json) -> FamilyKind {
    match row["kind"].as_str().unwrap() {
        "gauge" => FamilyKind::Gauge,
        "summary" => FamilyKind::Summary,
        "histogram" => FamilyKind::Histogram { temporality: CUMULATIVE },
        "exponential" => FamilyKind::ExponentialHistogram { temporality: CUMULATIVE },
        _ => FamilyKind::COUNTER,
    }
}

fn value(kind: FamilyKind, round: &Json) -> Value {
    let counts: Vec<u64> = round["buckets"].as_array().into_iter().flatten().map(|n| n.as_u64().unwrap()).collect();
    let counted = counts.iter().sum();
    match kind {
        _ if round["no_recorded_value"] == true => Value::NONE,
        FamilyKind::Summary => Value::Summary(Box::new(Summary {
            count: round["count"].as_u64().unwrap(),
            sum: round["sum"].as_f64().unwrap(),
            quantiles: [(0.5, 7.0)].into(),
        })),
        FamilyKind::Histogram { .. } => Value::Histogram(Box::new(Histogram {
            count: counted,
            sum: Some(counted as f64),
            bounds: [1.0, 2.0, 4.0].into(),
            bucket_counts: counts.into(),
            ..Histogram::default()
        })),
        FamilyKind::ExponentialHistogram { .. } => Value::ExponentialHistogram(Box::new(ExponentialHistogram {
            count: counted + 1,
            scale: 3,
            zero_count: 1,
            positive: ExponentialBuckets { offset: -2, counts: counts.into() },
            ..ExponentialHistogram::default()
        })),
        _ => Value::Float(round["v"].as_f64().unwrap()),
    }
}

#[test]
fn true_reset_points_are_found_as_observed() {
    let Some(file) = vectors() else { return };
    for row in file["true_reset_point"].as_array().unwrap() {
        let (kind, mut adjuster) = (kind(row), adjuster("strategy: true_reset_point"));
        for round in row["rounds"].as_array().unwrap() {
            let given = value(kind, round);
            let batch = one("m", kind, Part::Whole, at(round["ts"].as_i64().unwrap(), given.clone()));
            let (found, start) = adjusted(&mut adjuster, batch).unwrap();
            assert_eq!(found, given, "{row}");
            assert_eq!(start, round["start"].as_i64().unwrap_or_default(), "{row}: {round}");
        }
    }
}

#[test]
fn initial_points_are_subtracted_as_observed() {
    let Some(file) = vectors() else { return };
    for row in file["subtract_initial_point"].as_array().unwrap() {
        let (kind, mut adjuster) = (kind(row), adjuster("strategy: subtract_initial_point"));
        for round in row["rounds"].as_array().unwrap() {
            let batch = one("m", kind, Part::Whole, at(round["ts"].as_i64().unwrap(), value(kind, round)));
            let found = adjusted(&mut adjuster, batch);
            if round["out"].is_null() {
                assert_eq!(found, None, "{row}");
                continue;
            }
            let (found, start) = found.unwrap();
            match &found {
                Value::Summary(summary) => {
                    assert_eq!(Some(summary.count), round["out"]["count"].as_u64(), "{row}: {round}");
                    assert_eq!(Some(summary.sum), round["out"]["sum"].as_f64(), "{row}: {round}");
                    assert_eq!(*summary.quantiles, [(0.5, 7.0)], "{row}");
                }
                found => assert_eq!(*found, Value::Float(round["out"].as_f64().unwrap()), "{row}: {round}"),
            }
            // A number, or a text that begins with it.
            let expected = &round["start"];
            let text = expected.as_str().and_then(|text| text.split(' ').next()?.parse().ok());
            if let Some(expected) = expected.as_i64().or(text) {
                assert_eq!(start, expected, "{row}: {round}");
            }
        }
    }
}

#[test]
fn parts_of_scraped_histograms_count_from_their_first_samples() {
    let mut adjuster = adjuster("");
    let kind = FamilyKind::Histogram { temporality: CUMULATIVE };
    let mut start = |part: Part, millis, value| {
        adjusted(&mut adjuster, one("h", kind, part, at(millis, Value::Float(value)))).unwrap().1
    };
    assert_eq!((start(Part::Count, 5, 3.0), start(Part::Count, 6, 4.0), start(Part::Count, 9, 1.0)), (5, 5, 8));
    assert_eq!((start(Part::Bucket("1".into()), 5, 3.0), start(Part::Bucket("1".into()), 6, 4.0)), (5, 5));
    assert_eq!(start(Part::Created, 5, 3.0), 0);
}

#[test]
fn a_start_that_is_known_stays() {
    let mut adjuster = adjuster("");
    let known = Point { start: 2_000_000, ..at(5, Value::Int(1)) };
    assert_eq!(adjusted(&mut adjuster, one("m", FamilyKind::COUNTER, Part::Whole, known)).unwrap().1, 2);
    let delta = FamilyKind::Sum { monotonic: true, temporality: Temporality::Delta };
    assert_eq!(adjusted(&mut adjuster, one("m", delta, Part::Whole, at(5, Value::Int(1)))).unwrap().1, 0);
}

#[test]
fn the_source_may_tell_its_start() {
    let told = |yaml: &str, name: &str| {
        let mut adjuster = adjuster(yaml);
        let mut batch = one("m", FamilyKind::COUNTER, Part::Whole, at(5000, Value::Int(1)));
        let start = one(name, FamilyKind::Gauge, Part::Whole, at(5000, Value::Float(3.5)));
        batch.groups_mut(|groups| groups.extend(start.into_parts().0));
        adjusted(&mut adjuster, batch).unwrap().1
    };
    assert_eq!(told("strategy: start_time_metric", "process_start_time_seconds"), 3500);
    assert_ne!(told("strategy: start_time_metric", "my_process_start_time_seconds"), 3500);
    let regex = "strategy: start_time_metric\nstart_time_metric_regex: '.*_start_time_seconds'";
    assert_eq!(told(regex, "my_process_start_time_seconds"), 3500);
}

#[test]
fn what_there_is_no_room_for_passes_and_is_counted() {
    let mut adjuster = adjuster("max_streams: 0");
    let mut batch = one("m", FamilyKind::COUNTER, Part::Whole, at(5, Value::Int(1)));
    assert_eq!(adjuster.adjust(&mut batch, Instant::now()), Adjusted { initial: 0, over_limit: 1 });
    assert_eq!((batch.len(), batch.groups()[0].points[0].start), (1, 0));
}

#[test]
fn configuration_problems_are_told() {
    assert_eq!(problems(&FACTORY, ""), [""; 0]);
    assert_eq!(problems(&FACTORY, "gc_interval: 0s"), ["gc_interval must be positive"]);
    assert!(problems(&FACTORY, "strategy: x")[0].starts_with("\"x\" is not a valid strategy"));
    assert_eq!(
        problems(&FACTORY, "start_time_metric_regex: x"),
        ["start_time_metric_regex can only be used with the start_time_metric strategy"]
    );
    assert_eq!(problems(&FACTORY, "strategy: start_time_metric\nstart_time_metric_regex: '('").len(), 1);
}

#[tokio::test]
async fn first_points_are_dropped_and_counted() {
    let context = context("metricstarttime");
    let running = Running::start(build(&FACTORY, "strategy: subtract_initial_point", &context), 4);
    for (millis, value) in [(1, 5), (2, 7)] {
        running.send(one("m", FamilyKind::COUNTER, Part::Whole, at(millis, Value::Int(value)))).await;
    }
    let out = running.finish().await;
    let values: Vec<_> =
        out.iter().flat_map(|batch| batch.groups()[0].points.clone()).map(|point| point.value).collect();
    assert_eq!(values, [Value::Int(2)]);
    let labels = [("processor", "metricstarttime"), ("reason", "initial_point")];
    assert_eq!(context.telemetry.value("otelcol_processor_dropped_metric_points", &labels), Some(1.0));
}
