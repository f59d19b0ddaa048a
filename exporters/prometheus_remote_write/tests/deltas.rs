//! Deltas on their way to totals.

use super::*;
use pipeline::Temporality;
use pipeline::temporality::with_temporality;

const DELTA: FamilyKind = FamilyKind::Sum { monotonic: true, temporality: Temporality::Delta };

/// An encoder and what it counts.
fn counted(keys: &str) -> (Encoder, Telemetry) {
    let (config, telemetry) = (config(keys), Telemetry::default());
    let metrics = Arc::new(Metrics::new(&telemetry, "prometheusremotewrite", "test"));
    let guard = limits::Guard::new(config.store);
    (Encoder::new(Arc::new(config.translation), config.limits, metrics, guard), telemetry)
}

fn dropped(telemetry: &Telemetry, reason: &str) -> u64 {
    let labels = [("exporter", "prometheusremotewrite"), ("endpoint", "test"), ("reason", reason)];
    telemetry
        .counter("otelcol_exporter_dropped_metric_points", "Data points that were dropped, by reason.", &labels)
        .get()
}

/// Points of a series, each from one second to another.
fn deltas(kind: FamilyKind, points: &[(i64, i64, Value)]) -> MetricBatch {
    let from = origin(Source::Otlp, &[("service.name", "j")], &[]);
    let point = |(start, time, value): &(i64, i64, Value)| Point {
        start: start * 1_000_000_000,
        value: value.clone(),
        ..super::point(0, time * 1000, 0.0)
    };
    batch(&from, vec![series("hits", kind, &[("path", "/a")])], points.iter().map(point).collect())
}

#[test]
fn deltas_are_added_up_and_cannot_be_told_from_totals() {
    let (mut encoder, telemetry) = counted("target_info: {enabled: false}");
    let delta = |start, time, value| deltas(DELTA, &[(start, time, Value::Int(value))]);
    let mut values = Vec::new();
    for batch in [delta(1, 2, 5), delta(2, 3, 6), delta(2, 3, 6), delta(0, 9, 1), delta(3, 4, 1)] {
        values.extend(encode(&mut encoder, batch).series);
    }
    let cumulative = deltas(with_temporality(DELTA, Temporality::Cumulative), &[(1, 5, Value::Int(20))]);
    values.extend(encode(&mut encoder, cumulative).series);
    let samples: Vec<_> = values.iter().flat_map(|(_, samples)| samples.clone()).collect();
    assert_eq!(samples, [(2000, 5.0), (3000, 11.0), (4000, 12.0), (5000, 20.0)]);
    assert!(
        values.iter().all(|(labels, _)| *labels == values[0].0 && super::labels(labels)["__name__"] == "hits_total")
    );
    assert_eq!((dropped(&telemetry, "delta_out_of_order"), dropped(&telemetry, "delta_older_start")), (1, 1));
}

#[test]
fn histograms_of_deltas_are_added_up_and_end_as_such() {
    let (mut encoder, _) = counted("target_info: {enabled: false}");
    let kind = FamilyKind::Histogram { temporality: Temporality::Delta };
    let histogram = |counts: [u64; 2]| {
        Value::Histogram(Box::new(pipeline::Histogram {
            count: counts.iter().sum(),
            sum: Some(1.5),
            bounds: [1.0].into(),
            bucket_counts: counts.into(),
            ..Default::default()
        }))
    };
    let points = [(1, 2, histogram([1, 0])), (2, 3, histogram([2, 3])), (3, 4, Value::NONE)];
    let got = encode(&mut encoder, deltas(kind, &points)).series;
    let at = |millis: i64| -> Vec<f64> {
        got.iter()
            .flat_map(|(_, samples)| samples)
            .filter(|(time, _)| *time == millis)
            .map(|(_, value)| *value)
            .collect()
    };
    assert_eq!((at(2000), at(3000)), (vec![1.5, 1.0, 1.0, 1.0], vec![3.0, 6.0, 3.0, 6.0]));
    assert!(at(4000).len() == 4 && at(4000).iter().all(|value| is_stale(*value)));

    let kind = FamilyKind::ExponentialHistogram { temporality: Temporality::Delta };
    let native =
        || Value::ExponentialHistogram(Box::new(pipeline::ExponentialHistogram { count: 1, ..Default::default() }));
    let got = encode(&mut encoder, deltas(kind, &[(1, 2, native()), (2, 3, native())]));
    assert_eq!(got.histograms, 2);
}

#[test]
fn what_is_over_the_limit_or_not_wanted_is_counted() {
    let (mut encoder, telemetry) = counted("delta_to_cumulative: {max_streams: 0}");
    assert!(encode(&mut encoder, deltas(DELTA, &[(1, 2, Value::Int(1))])).series.is_empty());
    assert_eq!(dropped(&telemetry, "delta_streams_limit"), 1);

    let (mut encoder, telemetry) = counted("delta_to_cumulative: {enabled: false}");
    let histogram = FamilyKind::Histogram { temporality: Temporality::Delta };
    for kind in [DELTA, histogram] {
        let value = match kind {
            DELTA => Value::Int(1),
            _ => Value::Histogram(Box::default()),
        };
        assert!(encode(&mut encoder, deltas(kind, &[(1, 2, value)])).series.is_empty());
    }
    assert_eq!(dropped(&telemetry, "delta_temporality"), 2);
    let unspecified = with_temporality(DELTA, Temporality::Unspecified);
    assert!(encode(&mut encoder, deltas(unspecified, &[(1, 2, Value::Int(1))])).series.is_empty());
    assert_eq!(dropped(&telemetry, "unspecified_temporality"), 1);
}

#[test]
fn settings_of_deltas_are_checked() {
    let read = |keys: &str| {
        let yaml = format!("endpoint: http://127.0.0.1:9/\ndelta_to_cumulative: {{{keys}}}\n");
        Config::read(&pipeline::config::parse(&yaml, "test.yaml").unwrap(), config::Dialect::Plain)
    };
    let limits = |keys: &str| {
        read(keys).unwrap().translation.deltas.map(|limits| (limits.max_streams, limits.max_stale.as_secs()))
    };
    assert_eq!(limits(""), Some((1_000_000, 3600)));
    assert_eq!(limits("max_streams: 5, max_stale: 90s"), Some((5, 90)));
    assert_eq!(limits("enabled: false"), None);
    assert!(read("max_stale: 0s").unwrap_err().to_string().contains("positive duration"));
    assert!(read("max_idle: 1s").is_err());
}
