//! What goes in comes out, damage costs what it touches, and the size is as promised.

#![expect(clippy::unwrap_used, reason = "tests")]

use super::read::Decoder;
use super::*;
use crate::tests::scratch;
use crate::{Header, Log, Losses, Options, SyncPolicy};
use pipeline::value::{ExemplarValue, ExponentialBuckets, ResetHint};
use pipeline::{
    AttributeValue, AttributesBuilder, Exemplar, ExponentialHistogram, Family, FamilyKind, Histogram, MetricBatch,
    Origin, Part, Point, PointGroup, Resource, Scope, Series, SeriesTable, Source, Summary, Temporality, Value,
};
use proptest::prelude::*;
use std::sync::Arc;

fn options(directory: &std::path::Path) -> Options {
    Options {
        cursors: vec!["a".to_owned()],
        segment_bytes: 1 << 20,
        sync: SyncPolicy::Never,
        ..Options::new(directory)
    }
}

fn origin(name: &str) -> Arc<Origin> {
    let mut attributes = AttributesBuilder::default();
    attributes.push("service.name", AttributeValue::Str(name));
    attributes.push("n", AttributeValue::Int(-3));
    attributes.push("x", AttributeValue::Encoded(&[1, 2, 3]));
    let resource = Resource {
        attributes: attributes.build(),
        schema_url: "https://schema".into(),
        dropped_attributes: 2,
        ..Resource::default()
    };
    attributes.push("zone", AttributeValue::Str("z"));
    let scope = Scope { name: "scope".into(), version: "1".into(), ..Scope::default() };
    Origin::intern(Source::Scrape, resource, scope, attributes.build())
}

fn table(prefix: &str, len: u32) -> Arc<SeriesTable> {
    let kinds = [
        FamilyKind::COUNTER,
        FamilyKind::Gauge,
        FamilyKind::Histogram { temporality: Temporality::Delta },
        FamilyKind::Summary,
    ];
    let series = (0..len).map(|n| {
        let name = format!("{prefix}_{}", n / 4);
        let family = Family { name: name.as_str().into(), kind: kinds[(n / 4) as usize % 4], ..Family::default() };
        let part = match n % 4 {
            0 => Part::Whole,
            1 => Part::Bucket("0.5".into()),
            2 => Part::Sum,
            _ => Part::Quantile("0.9".into()),
        };
        let attributes = pipeline::Attributes::from_pairs([("n", n.to_string().as_str())]);
        Series::intern(Arc::new(family), name.as_str().into(), part, attributes)
    });
    SeriesTable::intern(series.collect())
}

/// Boxed in parts: as one type, a strategy of all kinds is larger than the stack of a test.
fn value() -> impl Strategy<Value = Value> {
    let count = 0..1000u64;
    let double = prop_oneof![
        (-1000..1000i64).prop_map(|n| n as f64),
        (any::<i32>(), 0..7i32).prop_map(|(n, digits)| f64::from(n) / 10f64.powi(digits)),
        any::<u64>().prop_map(f64::from_bits),
        Just(-0.0),
        Just(f64::INFINITY),
        Just(f64::from_bits(0x7ff0_0000_0000_0002)),
    ];
    let double = double.boxed();
    let counts = proptest::collection::vec(any::<u64>(), 0..5).boxed();
    let fractions = proptest::collection::vec(double.clone(), 0..5).boxed();
    let reset = prop_oneof![Just(ResetHint::Unknown), Just(ResetHint::Reset), Just(ResetHint::Gauge)].boxed();
    let recorded = prop_oneof![
        8 => double.clone().prop_map(Value::Float),
        2 => prop_oneof![any::<i64>(), -5..5i64].prop_map(Value::Int),
        1 => (count.clone(), proptest::option::of(double.clone()), counts.clone()).prop_map(|(count, sum, counts)| {
            let bounds = counts.iter().skip(1).map(|n| *n as f64).collect();
            Value::Histogram(Box::new(Histogram { count, sum, bounds, bucket_counts: counts.into(), ..Histogram::default() }))
        }),
        1 => (count.clone(), double.clone(), counts, reset.clone()).prop_map(|(count, min, counts, reset)| {
            let negative = ExponentialBuckets { offset: -7, counts: counts.into() };
            Value::ExponentialHistogram(Box::new(ExponentialHistogram {
                count,
                min: Some(min),
                reset,
                scale: -2,
                negative,
                ..ExponentialHistogram::default()
            }))
        }),
        1 => (double.clone(), double.clone(), fractions.clone(), reset.clone()).prop_map(|(count, sum, counts, reset)| {
            let bounds = counts.iter().skip(1).copied().collect();
            Value::FloatHistogram(Box::new(Histogram {
                count,
                sum: Some(sum),
                reset,
                bounds,
                bucket_counts: counts.into(),
                ..Histogram::default()
            }))
        }),
        1 => (double.clone(), double.clone(), fractions, reset).prop_map(|(count, zero_count, counts, reset)| {
            Value::FloatExponentialHistogram(Box::new(ExponentialHistogram {
                count,
                reset,
                scale: 8,
                zero_count,
                zero_threshold: 1e-9,
                positive: ExponentialBuckets { offset: i32::MIN, counts: counts.iter().rev().copied().collect() },
                negative: ExponentialBuckets { offset: i32::MAX, counts: counts.into() },
                ..ExponentialHistogram::default()
            }))
        }),
        1 => (count, double).prop_map(|(count, sum)| {
            Value::Summary(Box::new(Summary { count, sum, quantiles: [(0.5, sum)].into() }))
        }),
    ];
    let recorded = recorded.boxed();
    let held = proptest::option::of(recorded.clone()).prop_map(|held| Value::NoRecordedValue(held.map(Box::new)));
    prop_oneof![12 => recorded, 1 => held]
}

fn exemplar(point: u32) -> Exemplar {
    Exemplar {
        point,
        time: 5,
        value: if point.is_multiple_of(2) { ExemplarValue::Float(0.5) } else { ExemplarValue::Int(-1) },
        trace_id: [7; 16].into(),
        span_id: [8; 8].into(),
        attributes: pipeline::Attributes::from_pairs([("k", "v")]),
    }
}

/// A group: which origin and table, in which order, when, and whether exemplars are there.
fn group() -> impl Strategy<Value = PointGroup> {
    let points = proptest::collection::vec((0..40u32, value(), 0..3u32), 0..50);
    (0..3u8, 0..3u8, points, 0..4u8, any::<i32>()).prop_map(|(from, page, points, style, time)| {
        let time = i64::from(time) * if style & 1 == 0 { 1_000_000 } else { 77 };
        let points: Vec<Point> = (0u32..)
            .zip(points)
            .map(|(at, (series, value, noise))| Point {
                series: if style < 2 { at % 40 } else { series },
                flags: if style == 3 { noise } else { 0 },
                time: if noise == 0 { time } else { time + i64::from(noise) * i64::from(style) },
                start: if style == 2 { time - i64::from(series) } else { 0 },
                value,
            })
            .collect();
        let exemplars = (0..points.len() as u32).step_by(7).filter(|_| style == 3).map(exemplar).collect();
        PointGroup {
            origin: origin(&format!("o{from}")),
            table: table(&format!("codec_test_{page}"), 40),
            points,
            exemplars,
        }
    })
}

/// The counts of a histogram of fractions, to the bit.
fn bits_of_counts(value: &Value) -> Vec<u64> {
    let counts: Vec<f64> = match value {
        Value::FloatHistogram(h) => [h.count].into_iter().chain(h.bucket_counts.iter().copied()).collect(),
        Value::FloatExponentialHistogram(h) => {
            let sides = h.positive.counts.iter().chain(&h.negative.counts);
            [h.count, h.zero_count].into_iter().chain(sides.copied()).collect()
        }
        _ => Vec::new(),
    };
    counts.into_iter().map(f64::to_bits).collect()
}

/// Groups without a point leave no trace.
fn assert_same(read: &[PointGroup], written: &[PointGroup]) {
    let written: Vec<&PointGroup> = written.iter().filter(|group| !group.points.is_empty()).collect();
    assert_eq!(read.len(), written.len());
    for (read, written) in read.iter().zip(written) {
        assert!(Arc::ptr_eq(&read.origin, &written.origin), "identities are interned");
        assert!(Arc::ptr_eq(&read.table, &written.table));
        // By text, in which one NaN is as another, and then by bits.
        assert_eq!(format!("{:?}", read.points), format!("{:?}", written.points));
        for (read, written) in read.points.iter().zip(&written.points) {
            if let (Value::Float(read), Value::Float(written)) = (&read.value, &written.value) {
                assert_eq!(read.to_bits(), written.to_bits());
            }
            assert_eq!(bits_of_counts(&read.value), bits_of_counts(&written.value));
        }
        assert_eq!(format!("{:?}", read.exemplars), format!("{:?}", written.exemplars));
    }
}

fn read_groups(reader: &mut MetricReader) -> Vec<PointGroup> {
    std::iter::from_fn(|| reader.next_now().unwrap()).flat_map(|read| read.batch.into_parts().0).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn batches_come_back_as_they_were(
        batches in proptest::collection::vec(proptest::collection::vec(group(), 0..4), 1..40),
        restart in 0..40usize,
    ) {
        let directory = scratch();
        let small = Options { segment_bytes: 20_000, ..options(directory.path()) };
        let mut log = Log::open(small.clone()).unwrap();
        let mut writer = MetricWriter::default();
        let mut expected = Vec::new();
        for (number, groups) in batches.into_iter().enumerate() {
            if number == restart {
                drop(log);
                log = Log::open(small.clone()).unwrap();
                writer = MetricWriter::default();
            }
            if number % 5 == 3 {
                // A failure in between leaves nothing behind that later records would miss.
                log.leave_room(Some(number as u64 * 7));
                writer.append(&log, &[MetricBatch::new(groups.clone())]).ok();
                log.leave_room(None);
                log.ack(0, log.end()).unwrap();
                expected.clear();
            }
            expected.extend(groups.clone());
            writer.append(&log, &[MetricBatch::new(groups)]).unwrap();
        }
        let mut reader = MetricReader::new(&log, 0);
        assert_same(&read_groups(&mut reader), &expected);
        prop_assert_eq!(log.losses(0), Losses::default());
    }
}

/// A page as scrapes see it: most numbers stay, counters grow by a little, gauges wander.
fn scrape(origin: &Arc<Origin>, table: &Arc<SeriesTable>, state: &mut [f64], time: i64) -> PointGroup {
    let points = (0u32..).zip(state.iter_mut()).map(|(at, value)| {
        let random =
            (u64::from(at) + 1).wrapping_mul(time.cast_unsigned() ^ origin.hash()).wrapping_mul(0x9e37_79b9_7f4a_7c15)
                >> 33;
        match at % 10 {
            0..=5 => {}
            6 | 7 => *value += (random % 500) as f64,
            8 => *value = ((*value * 100.0 + (random % 41) as f64 - 20.0).round()) / 100.0,
            _ => *value *= 1.0 + (random % 100) as f64 * 1e-5,
        }
        Point { series: at, flags: 0, time: time * 1_000_000, start: 0, value: Value::Float(*value) }
    });
    PointGroup::new(Arc::clone(origin), Arc::clone(table), points.collect())
}

#[test]
fn a_sample_takes_less_than_the_promised_four_bytes() {
    let directory = scratch();
    let log = Log::open(Options { segment_bytes: 64 << 20, ..options(directory.path()) }).unwrap();
    let mut writer = MetricWriter::default();
    let origins: Vec<Arc<Origin>> = (0..50).map(|n| origin(&format!("target-{n}"))).collect();
    let table = table("size_test", 500);
    let mut states: Vec<Vec<f64>> =
        (0..50).map(|n| (0..500u32).map(|at| f64::from(at * 37 % 1000) * f64::from(n + 1)).collect()).collect();
    let (mut samples, mut expected) = (0, Vec::new());
    for round in 0..60 {
        for (origin, state) in origins.iter().zip(&mut states) {
            let group = scrape(origin, &table, state, 1_700_000_000_000 + round * 15_000);
            samples += group.points.len();
            writer.append(&log, &[MetricBatch::new(vec![group.clone()])]).unwrap();
            expected.push(group);
        }
    }
    let each = log.size().1 as f64 / samples as f64;
    assert!(each < 2.5, "{each} bytes a sample");
    assert_same(&read_groups(&mut MetricReader::new(&log, 0)), &expected);
}

#[test]
fn reading_may_begin_anywhere_and_survives_damaged_definitions() {
    let directory = scratch();
    let mut ends = Vec::new();
    let mut groups = Vec::new();
    {
        let log = Log::open(options(directory.path())).unwrap();
        let mut writer = MetricWriter::default();
        let table = table("damage_test", 100);
        let mut state: Vec<f64> = (0..100u32).map(f64::from).collect();
        for round in 0..40 {
            let group =
                scrape(&origin(&format!("t{}", round % 3)), &table, &mut state, 1_700_000_000_000 + round * 1000);
            ends.push(writer.append(&log, &[MetricBatch::new(vec![group.clone()])]).unwrap());
            groups.push(group);
        }
        for at in [0, 1, 17, 38] {
            log.ack(0, ends[at]).unwrap();
            assert_same(&read_groups(&mut MetricReader::new(&log, 0)), &groups[at + 1..]);
        }
    }
    // The first record of all defines nearly everything.
    let path = crate::segment::path(directory.path(), 1);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[200] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    std::fs::remove_file(directory.path().join("cursor-a")).unwrap();
    let log = Log::open(options(directory.path())).unwrap();
    assert_same(&read_groups(&mut MetricReader::new(&log, 0)), &groups);
    assert_eq!((log.losses(0).corrupt_records, log.losses(0).corrupt_samples), (1, 0));
}

#[test]
fn what_is_defined_nowhere_is_skipped_and_counted() {
    let directory = scratch();
    let log = Log::open(options(directory.path())).unwrap();
    let mut writer = MetricWriter::default();
    let group = scrape(&origin("lost"), &table("lost_test", 10), &mut [1.0; 10], 1000);
    let first = writer.append(&log, &[MetricBatch::new(vec![group.clone()])]).unwrap();
    // Only what comes behind is kept, in another segment that misses the definitions.
    let mut reader = log.reader(0);
    let points = std::iter::from_fn(|| reader.next_now().unwrap()).find(|read| read.header.kind == POINTS).unwrap();
    log.ack(0, first).unwrap();
    log.leave_room(Some(0));
    writer.append(&log, &[MetricBatch::new(vec![group])]).unwrap_err();
    log.leave_room(None);
    let record = crate::Record { kind: POINTS, samples: 10, payload: &points.payload, ..crate::Record::default() };
    log.append(None, &record).unwrap();
    assert!(read_groups(&mut MetricReader::new(&log, 0)).is_empty());
    assert_eq!((log.losses(0).corrupt_records, log.losses(0).corrupt_samples), (1, 10));
}

/// A value of each kind that has more than a number.
fn whole_values() -> Vec<Value> {
    let reset = ResetHint::Gauge;
    let exponential = ExponentialHistogram { count: 3, sum: Some(-1.5), reset, scale: -4, ..Default::default() };
    let positive = ExponentialBuckets { offset: -2, counts: [1.0, 0.25].into() };
    vec![
        Value::Summary(Box::new(Summary { count: 1, sum: 2.0, quantiles: [(0.1, 0.2)].into() })),
        Value::Histogram(Box::new(Histogram {
            count: 300,
            bounds: [0.5].into(),
            bucket_counts: [300, 0].into(),
            reset: ResetHint::Reset,
            ..Histogram::default()
        })),
        Value::ExponentialHistogram(Box::new(exponential)),
        Value::FloatHistogram(Box::new(Histogram {
            count: 0.5,
            bounds: [f64::MIN_POSITIVE].into(),
            bucket_counts: [0.5, -0.0].into(),
            ..Histogram::default()
        })),
        Value::FloatExponentialHistogram(Box::new(ExponentialHistogram {
            count: 1.25,
            positive,
            ..Default::default()
        })),
    ]
}

/// Groups with a value of each kind.
fn every_kind_of_value() -> Vec<PointGroup> {
    let group = scrape(&origin("f"), &table("fuzz_test", 30), &mut [0.5; 30], 1000);
    let mut other = group.clone();
    other.points.reverse();
    other.exemplars = vec![exemplar(3)];
    for (point, value) in other.points.iter_mut().skip(4).zip(whole_values()) {
        point.value = value;
    }
    vec![group, other]
}

/// Where the corpus has a segment with a value of each kind.
fn segment_of_the_corpus() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/wal/values")
}

/// Logs outlive the program that has written them.
#[test]
fn what_was_written_earlier_is_still_read() {
    let directory = scratch();
    std::fs::copy(segment_of_the_corpus(), crate::segment::path(directory.path(), 1)).unwrap();
    let log = Log::open(options(directory.path())).unwrap();
    assert_same(&read_groups(&mut MetricReader::new(&log, 0)), &every_kind_of_value());
    assert_eq!(log.losses(0), Losses::default());
}

/// Writes it. Run by hand when kinds of values are added; what is there already is to be read for ever.
#[test]
#[ignore = "makes a file that is part of the sources"]
fn write_segment_of_the_corpus() {
    let directory = scratch();
    let log = Log::open(options(directory.path())).unwrap();
    MetricWriter::default().append(&log, &[MetricBatch::new(every_kind_of_value())]).unwrap();
    std::fs::copy(crate::segment::path(directory.path(), 1), segment_of_the_corpus()).unwrap();
}

/// Payloads of definitions and of points.
fn payloads() -> (Vec<u8>, Vec<u8>) {
    let directory = scratch();
    let log = Log::open(options(directory.path())).unwrap();
    MetricWriter::default().append(&log, &[MetricBatch::new(every_kind_of_value())]).unwrap();
    let mut reader = log.reader(0);
    let mut next = || reader.next_now().unwrap().unwrap().payload.to_vec();
    (next(), next())
}

#[test]
fn arbitrary_payloads_neither_panic_nor_ask_for_memory() {
    use proptest::test_runner::{RngAlgorithm, TestRng};
    let limit = std::time::Duration::from_secs(crate::tests::fuzz_seconds().unwrap_or(1));
    let (definitions, points) = payloads();
    let plain = |payload: &[u8]| snap::raw::Decoder::new().decompress_vec(payload).unwrap();
    let (plain_definitions, plain_points) = (plain(&definitions), plain(&points));
    let header = Header { kind: POINTS, ..Header::default() };
    let mut rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let started = std::time::Instant::now();
    let mut understood = 0;
    while started.elapsed() < limit || understood < 50 {
        let mut pack = |plain: &[u8]| {
            let mut bytes = plain.to_vec();
            for _ in 0..rng.next_u32() % 4 {
                let at = rng.next_u64() as usize % bytes.len().max(1);
                match rng.next_u32() % 4 {
                    0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (at % 8)),
                    1 => bytes.truncate(at),
                    2 => bytes.iter_mut().skip(at).take(9).for_each(|byte| *byte = 0xff),
                    _ => drop(bytes.splice(at.min(bytes.len())..at.min(bytes.len()), [0x80, 0x01])),
                }
            }
            snap::raw::Encoder::new().compress_vec(&bytes).unwrap()
        };
        let (definitions, mut points) = (pack(&plain_definitions), pack(&plain_points));
        if let Some(byte) = points.first_mut().filter(|_| rng.next_u32().is_multiple_of(8)) {
            *byte = 0xff;
        }
        let mut decoder = Decoder::default();
        decoder.define(&definitions);
        if let Ok(groups) = decoder.points(&header, &points) {
            assert!(groups.iter().map(|group| group.points.len()).sum::<usize>() <= MAX_POINTS);
            understood += 1;
        }
    }
}

#[tokio::test]
async fn a_reader_waits_for_batches() {
    let directory = scratch();
    let log = Log::open(options(directory.path())).unwrap();
    let mut reader = MetricReader::new(&log, 0);
    let group = scrape(&origin("w"), &table("wait_test", 10), &mut [1.0; 10], 1000);
    let written = group.clone();
    let writing = log.clone();
    let write = tokio::task::spawn_blocking(move || {
        MetricWriter::default().append(&writing, &[MetricBatch::new(vec![written])]).unwrap()
    });
    let read = reader.next_ready().await.unwrap();
    assert_eq!(read.end, write.await.unwrap());
    assert_eq!((read.header.samples, read.header.oldest_ms, read.header.newest_ms), (10, 1000, 1000));
    assert_same(read.batch.groups(), &[group]);
    assert!(!reader.has_more());
}

#[tokio::test]
async fn what_is_at_hand_can_be_passed_over() {
    let directory = scratch();
    let log = Log::open(options(directory.path())).unwrap();
    let mut writer = MetricWriter::default();
    let mut reader = MetricReader::new(&log, 0);
    let table = table("pass_test", 20);
    let mut state = vec![1.0; 20];
    let mut append = |target: &str, time: i64| {
        let group = scrape(&origin(target), &table, &mut state, time);
        let from = log.end();
        let to = writer.append(&log, &[MetricBatch::new(vec![group.clone()])]).unwrap();
        (group, from, to)
    };
    let (first, _, end_of_first) = append("a", 1000);
    let (_, from, to) = append("b", 2000);
    // It stands before the first one.
    assert!(!reader.pass_over(from, to));
    let read = reader.next_before(end_of_first).await.unwrap().unwrap();
    assert_same(read.batch.groups(), &[first]);
    assert!(reader.next_before(end_of_first).await.unwrap().is_none());
    assert!(reader.pass_over(from, to));
    assert_eq!(log.read_up_to(0), Some(to));
    // What the one that was passed over has defined is known all the same.
    let (third, _, end) = append("b", 3000);
    let read = reader.next_before(end).await.unwrap().unwrap();
    assert_same(read.batch.groups(), &[third]);
    assert!(reader.next_before(end).await.unwrap().is_none());
    assert_eq!(log.losses(0), Losses::default());
}

/// Where the disk becomes full between definitions and the samples that need them, the definitions stay. Whatever comes
/// later in the log is behind what memory has had to take in between.
#[tokio::test]
async fn reading_up_to_a_place_does_not_go_beyond_it() {
    let directory = scratch();
    let log = Log::open(options(directory.path())).unwrap();
    let mut writer = MetricWriter::default();
    let mut reader = MetricReader::new(&log, 0);
    let table = table("bound_test", 20);
    let mut state = vec![1.0; 20];
    let mut next = |target: &str, time: i64| MetricBatch::new(vec![scrape(&origin(target), &table, &mut state, time)]);
    let first = writer.append(&log, &[next("a", 1000)]).unwrap();
    let kept = next("b", 2000);
    let mut until = first;
    for room in 0.. {
        log.leave_room(Some(room));
        writer.append(&log, std::slice::from_ref(&kept)).unwrap_err();
        until = log.end();
        if until.record > first.record {
            break;
        }
    }
    log.leave_room(None);
    let later = next("b", 3000);
    let end = writer.append(&log, std::slice::from_ref(&later)).unwrap();
    assert_eq!(reader.next_before(until).await.unwrap().unwrap().end, first);
    assert!(reader.next_before(until).await.unwrap().is_none());
    assert_eq!(log.read_up_to(0).unwrap().record, until.record);
    let read = reader.next_before(end).await.unwrap().unwrap();
    assert_same(read.batch.groups(), later.groups());
    assert!(reader.next_before(end).await.unwrap().is_none());
    assert_eq!(log.losses(0), Losses::default());
}
