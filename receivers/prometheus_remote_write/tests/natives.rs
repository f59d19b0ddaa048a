//! Native histograms.

use pipeline::Value;
use pipeline::value::{self, ExponentialBuckets};
use prometheus::remote_write::wire::{BucketSpan, Buckets, HistogramCount, NativeHistogram, ResetHint};
use serde_json::Value as Json;

use super::super::native::{NativeError, value};
use super::vectors;

fn buckets(input: &Json, sign: &str) -> Buckets {
    let list = |name: &str| input.get(format!("{sign}_{name}")).and_then(Json::as_array).cloned().unwrap_or_default();
    let span = |span: &Json| BucketSpan {
        offset: i32::try_from(span[0].as_i64().unwrap()).unwrap(),
        length: u32::try_from(span[1].as_u64().unwrap()).unwrap(),
    };
    Buckets {
        spans: list("spans").iter().map(span).collect(),
        deltas: list("deltas").iter().map(|delta| delta.as_i64().unwrap()).collect(),
        counts: list("counts").iter().map(|count| count.as_f64().unwrap()).collect(),
    }
}

fn native(input: &Json) -> NativeHistogram {
    let count = |key: &str| input.get(key).and_then(Json::as_u64).map(HistogramCount::Int);
    let mut native = NativeHistogram {
        count: count("count"),
        sum: input.get("sum").and_then(Json::as_f64).unwrap_or_default(),
        schema: input.get("schema").and_then(Json::as_i64).map_or(0, |schema| i32::try_from(schema).unwrap()),
        zero_threshold: input.get("zero_threshold").and_then(Json::as_f64).unwrap_or_default(),
        zero_count: count("zero_count"),
        negative: buckets(input, "negative"),
        positive: buckets(input, "positive"),
        ..NativeHistogram::default()
    };
    if let Some(bits) = input.get("sum_bits").and_then(Json::as_str) {
        native.sum = f64::from_bits(u64::from_str_radix(bits.trim_start_matches("0x"), 16).unwrap());
    }
    native
}

#[test]
fn exponential_ones_become_what_the_collector_makes_of_them() {
    let Some(file) = vectors("native_to_exp_histogram.json") else { return };
    for case in file["cases"].as_array().unwrap() {
        // Some cases are about what else is known of a scraped family.
        let Some(input) = case.get("input") else { continue };
        let expected = &case["expected"];
        let histogram = match value(&native(input)).unwrap() {
            Value::NoRecordedValue(_) => {
                assert_eq!(expected["flags"], 1, "{case}");
                continue;
            }
            Value::ExponentialHistogram(histogram) => histogram,
            other => panic!("{other:?} of {case}"),
        };
        let number = |key: &str| expected[key].as_f64().unwrap();
        assert_eq!(f64::from(histogram.scale), number("scale"), "{case}");
        assert_eq!(histogram.count as f64, number("count"), "{case}");
        assert_eq!(histogram.sum, Some(number("sum")), "{case}");
        assert_eq!(histogram.zero_count as f64, number("zero_count"), "{case}");
        assert_eq!(histogram.zero_threshold, number("zero_threshold"), "{case}");
        for (sign, side) in [("positive", &histogram.positive), ("negative", &histogram.negative)] {
            let expected = expected.get(sign).map_or_else(ExponentialBuckets::default, |side| ExponentialBuckets {
                offset: i32::try_from(side["offset"].as_i64().unwrap()).unwrap(),
                counts: side["counts"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect(),
            });
            assert_eq!(*side, expected, "{case}");
        }
    }
}

fn custom(bounds: &[f64], spans: &[(i32, u32)], deltas: &[i64]) -> Result<Value, NativeError> {
    value(&NativeHistogram {
        count: Some(HistogramCount::Int(6)),
        sum: 4.5,
        schema: -53,
        positive: Buckets {
            spans: spans.iter().map(|&(offset, length)| BucketSpan { offset, length }).collect(),
            deltas: deltas.to_vec(),
            counts: Vec::new(),
        },
        custom_values: bounds.to_vec(),
        ..NativeHistogram::default()
    })
}

#[test]
fn custom_bounds_become_an_explicit_histogram() {
    let Ok(Value::Histogram(histogram)) = custom(&[1.0, 2.0, 5.0], &[(1, 1), (1, 1)], &[4, -2]) else {
        panic!("an explicit histogram is expected")
    };
    assert_eq!((histogram.count, histogram.sum), (6, Some(4.5)));
    assert_eq!((&*histogram.bounds, &*histogram.bucket_counts), (&[1.0, 2.0, 5.0][..], &[0, 4, 0, 2][..]));
    assert_eq!(custom(&[1.0], &[(2, 1)], &[4]), Err(NativeError::BeyondBounds(1)));
    assert_eq!(custom(&[2.0, 1.0], &[], &[]), Err(NativeError::Unsorted));
    assert_eq!(custom(&[f64::NAN, 1.0], &[], &[]), Err(NativeError::Unsorted));
}

#[test]
fn fractions_stay_fractions_and_bad_histograms_are_refused() {
    let float = |counts: &[f64], spans: &[(i32, u32)], schema| {
        value(&NativeHistogram {
            count: Some(HistogramCount::Float(2.6)),
            schema,
            positive: Buckets {
                spans: spans.iter().map(|&(offset, length)| BucketSpan { offset, length }).collect(),
                deltas: Vec::new(),
                counts: counts.to_vec(),
            },
            ..NativeHistogram::default()
        })
    };
    let Ok(Value::FloatExponentialHistogram(histogram)) = float(&[0.4, 2.2], &[(3, 2)], 2) else {
        panic!("an exponential histogram of fractions is expected")
    };
    assert_eq!((histogram.count, histogram.positive.offset), (2.6, 2));
    assert_eq!(*histogram.positive.counts, [0.4, 2.2]);
    // As in Prometheus: results of arithmetic may be no numbers.
    assert!(matches!(float(&[f64::NAN], &[(0, 1)], 0), Ok(Value::FloatExponentialHistogram(_))));
    assert_eq!(float(&[1.0], &[(0, 2)], 0), Err(NativeError::Spans { spans: 2, counts: 1 }));
    assert_eq!(float(&[-1.0], &[(0, 1)], 0), Err(NativeError::Count));
    assert_eq!(float(&[1.0, 2.0, 3.0], &[(0, 3)], -53), Err(NativeError::BeyondBounds(0)));
    assert_eq!(float(&[1.0, 1.0], &[(0, 1), (i32::MAX, 1)], 0), Err(NativeError::TooWide));
    assert_eq!(float(&[1.0], &[(i32::MIN, 1)], 0), Err(NativeError::TooWide));
    assert_eq!(float(&[], &[], 9), Err(NativeError::Schema(9)));
}

#[test]
fn the_kind_of_the_total_is_the_kind_of_all_counts() {
    let mixed = |count, zero_count, deltas: &[i64], counts: &[f64]| {
        value(&NativeHistogram {
            count: Some(count),
            zero_count: Some(zero_count),
            positive: Buckets {
                spans: vec![BucketSpan { offset: 0, length: 1 }],
                deltas: deltas.to_vec(),
                counts: counts.to_vec(),
            },
            ..NativeHistogram::default()
        })
    };
    let (int, float) = (HistogramCount::Int, HistogramCount::Float);
    assert!(matches!(mixed(int(1), int(0), &[1], &[7.5]), Ok(Value::ExponentialHistogram(_))));
    assert!(matches!(mixed(float(1.0), int(0), &[1], &[1.0]), Ok(Value::FloatExponentialHistogram(_))));
    assert_eq!(mixed(int(1), float(0.5), &[1], &[]), Err(NativeError::Mixed));
    assert_eq!(mixed(int(1), int(0), &[], &[1.0]), Err(NativeError::Spans { spans: 1, counts: 0 }));
    assert_eq!(mixed(float(1.0), float(0.0), &[1], &[]), Err(NativeError::Spans { spans: 1, counts: 0 }));
    assert_eq!(mixed(float(1.0), float(-1.0), &[], &[1.0]), Err(NativeError::Count));
}

#[test]
fn hints_are_kept_but_for_promises() {
    for (sent, kept) in [
        (ResetHint::Unknown, value::ResetHint::Unknown),
        (ResetHint::Yes, value::ResetHint::Reset),
        (ResetHint::No, value::ResetHint::Unknown),
        (ResetHint::Gauge, value::ResetHint::Gauge),
    ] {
        for count in [HistogramCount::Int(0), HistogramCount::Float(0.0)] {
            for schema in [3, -53] {
                let native =
                    NativeHistogram { count: Some(count), schema, reset_hint: sent, ..NativeHistogram::default() };
                let got = match value(&native).unwrap() {
                    Value::Histogram(histogram) => histogram.reset,
                    Value::FloatHistogram(histogram) => histogram.reset,
                    Value::ExponentialHistogram(histogram) => histogram.reset,
                    Value::FloatExponentialHistogram(histogram) => histogram.reset,
                    other => panic!("{other:?}"),
                };
                assert_eq!(got, kept, "{native:?}");
            }
        }
    }
}
