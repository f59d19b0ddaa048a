//! Native histograms: integers and fractions, exponential and listed bounds, as they are sent in both versions.

use super::*;
use pipeline::value::{ExponentialBuckets, ExponentialHistogram, Histogram, ResetHint};
use pipeline::{Temporality, Value};
use prometheus::remote_write::Batch;
use prometheus::remote_write::wire::{self, BucketSpan, HistogramCount, NativeHistogram};
use std::time::{SystemTime, UNIX_EPOCH};

const VERSIONS: [&str; 2] = ["", "protobuf_message: io.prometheus.write.v2.Request\n"];
const CUMULATIVE: Temporality = Temporality::Cumulative;
const EXPONENTIAL: FamilyKind = FamilyKind::ExponentialHistogram { temporality: CUMULATIVE };
const EXPLICIT: FamilyKind = FamilyKind::Histogram { temporality: CUMULATIVE };

/// A sender of Prometheus, and one series there.
fn sender(kind: FamilyKind) -> (Arc<Origin>, Arc<Series>) {
    (origin(Source::RemoteWrite, &[("service.name", "j")], &[]), series("h", kind, &[("a", "b")]))
}

/// What a store reads: native histograms, and samples by name and bound.
fn sent(encoder: &mut Encoder, batch: MetricBatch) -> (Vec<NativeHistogram>, Vec<(String, f64)>) {
    encoder.encode(batch);
    encoder.seal_all();
    let (mut natives, mut samples) = (Vec::new(), Vec::new());
    while let Some(request) = encoder.next_sealed() {
        let mut plain = Vec::new();
        decode_block(&request.body, 1 << 30, &mut plain).unwrap();
        let decoded = Batch::decode(request.version, &plain).unwrap();
        let counts = decoded.counts(0..decoded.len());
        assert_eq!((counts.samples, counts.histograms), (request.contents.samples, request.contents.histograms));
        for series in &decoded.series {
            natives.extend(series.histograms.iter().cloned());
            let label = |wanted: &str| {
                let found = series.labels.iter().find(|(name, _)| *name == wanted.as_bytes());
                found.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
            };
            let name = format!("{}{}", label("__name__"), label("le"));
            samples.extend(series.samples.iter().map(|sample| (name.clone(), sample.value)));
        }
    }
    (natives, samples)
}

fn encoder_of(version: &str) -> Encoder {
    encoder(&format!("{version}target_info: {{enabled: false}}\n"))
}

fn one(value: Value, kind: FamilyKind) -> MetricBatch {
    let (origin, series) = sender(kind);
    batch(&origin, vec![series], vec![Point { series: 0, flags: 0, time: 5_000_000_000, start: 0, value }])
}

fn float_exponential(reset: ResetHint) -> ExponentialHistogram<f64> {
    ExponentialHistogram {
        count: 6.5,
        sum: Some(-3.25),
        reset,
        scale: 3,
        zero_count: 0.5,
        zero_threshold: 0.0,
        positive: ExponentialBuckets { offset: -2, counts: [0.25, 0.0, 0.0, 1.75, 0.0, 0.0, 0.0, f64::NAN].into() },
        negative: ExponentialBuckets { offset: 5, counts: [4.0].into() },
        ..ExponentialHistogram::default()
    }
}

fn float_explicit() -> Histogram<f64> {
    Histogram {
        count: 2.75,
        sum: Some(9.0),
        reset: ResetHint::Gauge,
        bounds: [0.5, 1.0].into(),
        bucket_counts: [0.25, 0.0, 2.5].into(),
        ..Histogram::default()
    }
}

#[test]
fn fractions_are_sent_as_they_came() {
    for version in VERSIONS {
        for (reset, hint) in [
            (ResetHint::Unknown, wire::ResetHint::Unknown),
            (ResetHint::Reset, wire::ResetHint::Yes),
            (ResetHint::Gauge, wire::ResetHint::Gauge),
        ] {
            let mut encoder = encoder_of(version);
            let value = Value::FloatExponentialHistogram(Box::new(float_exponential(reset)));
            let (natives, samples) = sent(&mut encoder, one(value, EXPONENTIAL));
            let [native] = natives.as_slice() else { panic!("{natives:?}") };
            assert!(samples.is_empty());
            assert_eq!((native.count, native.sum, native.schema), (Some(HistogramCount::Float(6.5)), -3.25, 3));
            assert_eq!(native.zero_count, Some(HistogramCount::Float(0.5)));
            assert_eq!(native.zero_threshold, 0.0, "what Prometheus says is not made the default of OTLP");
            assert_eq!((native.reset_hint, native.timestamp_ms), (hint, 5000));
            let spans = [BucketSpan { offset: -1, length: 4 }, BucketSpan { offset: 3, length: 1 }];
            assert_eq!(native.positive.spans, spans);
            assert!(native.positive.deltas.is_empty() && native.negative.deltas.is_empty());
            assert_eq!(native.positive.counts[..4], [0.25, 0.0, 0.0, 1.75]);
            assert!(native.positive.counts[4].is_nan());
            assert_eq!(
                (&native.negative.spans[..], &native.negative.counts[..]),
                (&[BucketSpan { offset: 6, length: 1 }][..], &[4.0][..])
            );
        }
    }
}

#[test]
fn listed_bounds_with_fractions_are_native_in_version_2_and_classic_in_version_1() {
    let value = Value::FloatHistogram(Box::new(float_explicit()));
    let (natives, samples) = sent(&mut encoder_of(VERSIONS[1]), one(value.clone(), EXPLICIT));
    assert!(samples.is_empty());
    let [native] = natives.as_slice() else { panic!("{natives:?}") };
    assert_eq!((native.schema, native.count), (-53, Some(HistogramCount::Float(2.75))));
    assert_eq!((&native.custom_values[..], native.reset_hint), (&[0.5, 1.0][..], wire::ResetHint::Gauge));
    assert_eq!(native.positive.counts, [0.25, 0.0, 2.5]);

    let (natives, samples) = sent(&mut encoder_of(VERSIONS[0]), one(value, EXPLICIT));
    assert!(natives.is_empty());
    let told: Vec<(&str, f64)> = samples.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(
        told,
        [("h_sum", 9.0), ("h_count", 2.75), ("h_bucket0.5", 0.25), ("h_bucket1", 0.25), ("h_bucket+Inf", 2.75)]
    );
}

#[test]
fn a_store_that_takes_no_listed_bounds_gets_classic_histograms_in_either_version() {
    let value = Value::FloatHistogram(Box::new(float_explicit()));
    let mut encoder = encoder_of(&format!("{}limits: amp\nconvert_histograms_to_nhcb: true\n", VERSIONS[1]));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64;
    let (origin, series) = sender(EXPLICIT);
    let point = Point { series: 0, flags: 0, time: now, start: 0, value };
    let (natives, samples) = sent(&mut encoder, batch(&origin, vec![series], vec![point]));
    assert!(natives.is_empty() && samples.len() == 5, "{natives:?} {samples:?}");
}

#[test]
fn whole_numbers_keep_their_hints() {
    let exponential = ExponentialHistogram {
        count: 3,
        sum: Some(1.0),
        reset: ResetHint::Gauge,
        zero_count: 3,
        ..ExponentialHistogram::default()
    };
    for version in VERSIONS {
        let value = Value::ExponentialHistogram(Box::new(exponential.clone()));
        let (natives, _) = sent(&mut encoder_of(version), one(value, FamilyKind::GaugeHistogram));
        let [native] = natives.as_slice() else { panic!("{natives:?}") };
        assert_eq!((native.reset_hint, native.count), (wire::ResetHint::Gauge, Some(HistogramCount::Int(3))));
        assert_eq!(native.zero_threshold, 0.0);
    }
}

#[test]
fn a_marker_is_of_the_kind_of_what_ended() {
    let float = || Value::FloatExponentialHistogram(Box::new(float_exponential(ResetHint::Unknown)));
    let int =
        || Value::ExponentialHistogram(Box::new(ExponentialHistogram { count: 1, ..ExponentialHistogram::default() }));
    let listed = || Value::FloatHistogram(Box::new(float_explicit()));
    for version in VERSIONS {
        for (kind, before, float) in [
            (EXPONENTIAL, vec![float()], true),
            (FamilyKind::GaugeHistogram, vec![float()], true),
            (FamilyKind::GaugeHistogram, vec![int()], false),
            (EXPONENTIAL, vec![float(), int()], false),
            (EXPONENTIAL, vec![], false),
            (EXPLICIT, vec![float()], true),
        ] {
            // What is remembered is remembered of a series as long as somebody has it.
            let _alive = sender(kind);
            let mut encoder = encoder_of(version);
            for value in before {
                assert_eq!(sent(&mut encoder, one(value, kind)).0.len(), 1);
            }
            let (natives, samples) = sent(&mut encoder, one(Value::NONE, kind));
            assert!(samples.is_empty(), "{kind:?}: {samples:?}");
            let [native] = natives.as_slice() else { panic!("{kind:?}: {natives:?}") };
            let count = if float { HistogramCount::Float(0.0) } else { HistogramCount::Int(0) };
            let expected = NativeHistogram { count: Some(count), timestamp_ms: 5000, ..NativeHistogram::default() };
            assert!(is_stale(native.sum));
            assert_eq!(NativeHistogram { sum: 0.0, ..native.clone() }, expected, "{kind:?}");
        }
    }
    // What was sent flat ends flat, whatever the family is said to be.
    let _alive = sender(FamilyKind::GaugeHistogram);
    let mut encoder = encoder_of(VERSIONS[0]);
    assert_eq!(sent(&mut encoder, one(listed(), FamilyKind::GaugeHistogram)).1.len(), 5);
    let (natives, samples) = sent(&mut encoder, one(Value::NONE, FamilyKind::GaugeHistogram));
    assert!(natives.is_empty() && samples.len() == 5 && samples.iter().all(|(_, value)| is_stale(*value)));
}
