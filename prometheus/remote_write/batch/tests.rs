#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::remote_write::wire::MetricType;
use crate::remote_write::wire::{BucketSpan, Buckets, Exemplar, HistogramCount, Sample, SeriesMetadata};

const LABELS: [LabelBytes<'static>; 3] = [(b"__name__", b"m"), (b"job", b"j"), (b"zone", b"z")];

fn series<'a>(times: &[i64]) -> TimeSeries<'a> {
    TimeSeries {
        labels: LABELS.to_vec(),
        samples: times.iter().map(|t| Sample { value: 1.5, timestamp_ms: *t, start_timestamp_ms: 1 }).collect(),
        exemplars: vec![Exemplar { labels: vec![(b"trace_id", b"abc")], value: 0.5, timestamp_ms: 4 }],
        histograms: Vec::new(),
        metadata: Some(SeriesMetadata { kind: MetricType::Counter, help: b"Help.", unit: b"" }),
    }
}

fn listed() -> NativeHistogram {
    NativeHistogram {
        count: Some(HistogramCount::Int(6)),
        sum: 4.5,
        schema: CUSTOM_BUCKETS,
        positive: Buckets {
            spans: vec![BucketSpan { offset: 0, length: 1 }, BucketSpan { offset: 1, length: 2 }],
            deltas: vec![1, 1, 1],
            counts: Vec::new(),
        },
        timestamp_ms: 9,
        start_timestamp_ms: 2,
        custom_values: vec![0.5, 1.0, 2.5],
        ..NativeHistogram::default()
    }
}

fn again(batch: &Batch<'_>, version: ProtocolVersion, range: Range<usize>, check: impl FnOnce(Batch<'_>)) {
    let mut bytes = Vec::new();
    batch.encode(version, Names::AsTheyAre, range, &mut bytes);
    check(Batch::decode(version, &bytes).unwrap());
}

#[test]
fn parts_of_a_request_are_requests() {
    let batch = Batch { series: vec![series(&[1]), series(&[2, 3]), series(&[5])], ..Batch::default() };
    again(&batch, ProtocolVersion::V2, 1..3, |part| assert_eq!(part.series, batch.series[1..3]));
    again(&batch, ProtocolVersion::V2, 0..3, |all| assert_eq!(all, batch));
    again(&batch, ProtocolVersion::V1, 1..2, |part| {
        assert_eq!(part.series.len(), 1);
        assert_eq!(part.series[0].labels, LABELS);
        assert_eq!(part.series[0].samples[1].timestamp_ms, 3);
        assert_eq!(part.series[0].samples[1].start_timestamp_ms, 0, "version 1.0 has no place for it");
        assert_eq!((part.series[0].exemplars.len(), part.series[0].metadata), (1, None));
    });
    let counts = batch.counts(1..3);
    assert_eq!((counts.samples, counts.exemplars, counts.oldest_ms, counts.newest_ms), (3, 2, Some(2), Some(5)));
    assert_eq!(batch.counts(7..9), Counts::default());
}

#[test]
fn families_stand_behind_the_series() {
    let family = FamilyMetadata { kind: MetricType::Gauge, family: b"f", help: b"h", unit: b"u" };
    let batch = Batch { series: vec![series(&[1])], metadata: vec![family; 3], unreadable: 0 };
    assert_eq!(batch.len(), 4);
    again(&batch, ProtocolVersion::V1, 0..2, |part| assert_eq!((part.series.len(), part.metadata.len()), (1, 1)));
    again(&batch, ProtocolVersion::V1, 2..4, |part| assert_eq!((part.series.len(), part.metadata.len()), (0, 2)));
}

#[test]
fn what_is_too_old_is_left_out() {
    let mut batch = Batch { series: vec![series(&[1, 5]), series(&[2])], ..Batch::default() };
    batch.series[1].histograms = vec![listed()];
    batch.series.push(series(&[3]));
    assert_eq!(batch.drop_before(4), 3);
    assert_eq!((batch.series[0].samples.len(), batch.series[1].histograms.len()), (1, 1));
    assert!(batch.series[2].exemplars.is_empty());
    again(&batch, ProtocolVersion::V1, 0..3, |rest| assert!(rest.series.iter().all(|s| !s.labels.is_empty())));
    batch.series.remove(1);
    again(&batch, ProtocolVersion::V2, 0..2, |rest| assert_eq!(rest.series.len(), 1));
}

#[test]
fn listed_bounds_are_a_classic_histogram_in_version_1() {
    let mut one = series(&[]);
    one.exemplars.clear();
    one.histograms = vec![listed()];
    let batch = Batch { series: vec![one], ..Batch::default() };
    again(&batch, ProtocolVersion::V1, 0..1, |classic| {
        let shown: Vec<String> = classic
            .series
            .iter()
            .map(|series| {
                assert!(series.check_labels().is_ok());
                let labels: Vec<String> =
                    series.labels_utf8().map(|label| label.map(|(n, v)| format!("{n}={v}")).unwrap()).collect();
                format!("{} {}", labels.join(","), series.samples[0].value)
            })
            .collect();
        assert_eq!(
            shown,
            [
                "__name__=m_sum,job=j,zone=z 4.5",
                "__name__=m_count,job=j,zone=z 6",
                "__name__=m_bucket,job=j,le=0.5,zone=z 1",
                "__name__=m_bucket,job=j,le=1,zone=z 1",
                "__name__=m_bucket,job=j,le=2.5,zone=z 3",
                "__name__=m_bucket,job=j,le=+Inf,zone=z 6",
            ]
        );
    });
    again(&batch, ProtocolVersion::V2, 0..1, |same| assert_eq!(same, batch));
}

#[test]
fn names_that_version_1_does_not_allow_are_escaped_on_demand() {
    let labels: Vec<LabelBytes<'_>> = vec![
        (b"9lives", b"1"),
        (b"__name__", "http.größe:sum".as_bytes()),
        (b"a.b", b"first"),
        (b"a_b", b"second"),
        (b"ok", b"x.y"),
    ];
    let batch = Batch { series: vec![TimeSeries { labels, ..series(&[1]) }], ..Batch::default() };
    let mut bytes = Vec::new();
    batch.encode(ProtocolVersion::V1, Names::Legacy, 0..1, &mut bytes);
    let again = Batch::decode(ProtocolVersion::V1, &bytes).unwrap();
    let expected: Vec<LabelBytes<'_>> =
        vec![(b"_9lives", b"1"), (b"__name__", b"http_gr__e:sum"), (b"a_b", b"first"), (b"ok", b"x.y")];
    assert_eq!(again.series[0].labels, expected);
    assert!(again.series[0].check_labels().is_ok());
}
