//! Remote write 2.0.

use std::sync::Arc;

use pipeline::{FamilyKind, Part, PointGroup, Series, Temporality, Value};
use prometheus::remote_write::protocol::ProtocolVersion;
use prometheus::remote_write::wire::v2::{Symbols, put_exemplar, put_histogram, put_metadata, put_sample, put_series};
use prometheus::remote_write::wire::{
    BucketSpan, Buckets, DecodeLimits, HistogramCount, MetricType, NativeHistogram, v1,
};

use super::super::cache::SeriesCache;
use super::super::request::{Taken, read};
use super::http::{Running, WRITE, send, snappy};
use super::{floats, hex, vectors};

/// A request while it is put together.
#[derive(Default)]
struct Request {
    symbols: Symbols,
    series: Vec<u8>,
}

impl Request {
    fn add(&mut self, labels: &[(&str, &str)], body: impl FnOnce(&mut Symbols, &mut Vec<u8>)) -> &mut Self {
        let references: Vec<u32> = labels
            .iter()
            .flat_map(|(name, value)| [name, value])
            .map(|text| self.symbols.reference(text.as_bytes()))
            .collect();
        let symbols = &mut self.symbols;
        put_series(&mut self.series, &references, |out| body(symbols, out));
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.symbols.put(&mut out);
        out.extend_from_slice(&self.series);
        out
    }
}

fn taken(body: &[u8], cache: &mut SeriesCache) -> Taken {
    read(ProtocolVersion::V2, body, &DecodeLimits::default(), cache, 0).unwrap()
}

fn find<'t>(taken: &'t Taken, name: &str) -> (&'t PointGroup, u32, Arc<Series>) {
    let all =
        taken.groups.iter().flat_map(|group| (0u32..).zip(group.table.as_slice()).map(move |(i, s)| (group, i, s)));
    let (group, index, series) = all.into_iter().find(|(_, _, series)| *series.name == *name).unwrap();
    (group, index, Arc::clone(series))
}

fn native(schema: i32, custom_values: Vec<f64>) -> NativeHistogram {
    NativeHistogram {
        count: Some(HistogramCount::Int(3)),
        sum: 4.5,
        schema,
        positive: Buckets { spans: vec![BucketSpan { offset: 0, length: 2 }], deltas: vec![1, 1], counts: Vec::new() },
        timestamp_ms: 5000,
        start_timestamp_ms: 1000,
        custom_values,
        ..NativeHistogram::default()
    }
}

#[test]
fn metadata_and_start_times_come_with_the_series() {
    let mut request = Request::default();
    for (name, kind, more) in [
        ("requests_total", MetricType::Counter, None),
        ("lat_bucket", MetricType::Histogram, Some(("le", "0.5"))),
        ("lat_count", MetricType::Histogram, None),
        ("rpc", MetricType::Summary, Some(("quantile", "0.9"))),
        ("rpc_sum", MetricType::Summary, None),
        ("build_info", MetricType::Info, None),
        ("plain", MetricType::Gauge, None),
    ] {
        let mut labels = vec![("__name__", name), ("job", "v2")];
        labels.extend(more);
        labels.sort_unstable();
        request.add(&labels, |symbols, out| {
            put_sample(out, 2.5, 5000, 1000);
            put_metadata(out, kind, symbols.reference(b"Help."), symbols.reference(b"seconds"));
        });
    }
    request.add(&[("__name__", "untold")], |_, out| {
        put_sample(out, 1.0, 5000, 0);
        put_metadata(out, MetricType::Unknown, 0, 0);
    });
    let taken = taken(&request.bytes(), &mut SeriesCache::default());
    assert_eq!((taken.written.samples, taken.points(), taken.invalid.points), (8, 8, 0));
    let temporality = Temporality::Cumulative;
    for (name, family, kind, part) in [
        ("requests_total", "requests_total", FamilyKind::COUNTER, Part::Whole),
        ("lat_bucket", "lat", FamilyKind::Histogram { temporality }, Part::Bucket("0.5".into())),
        ("lat_count", "lat", FamilyKind::Histogram { temporality }, Part::Count),
        ("rpc", "rpc", FamilyKind::Summary, Part::Quantile("0.9".into())),
        ("rpc_sum", "rpc", FamilyKind::Summary, Part::Sum),
        ("build_info", "build", FamilyKind::Info, Part::Whole),
        ("plain", "plain", FamilyKind::Gauge, Part::Whole),
        ("untold", "untold", FamilyKind::Unknown, Part::Whole),
    ] {
        let (group, index, series) = find(&taken, name);
        assert_eq!((&*series.family.name, series.family.kind, &series.part), (family, kind, &part), "{name}");
        let point = group.points.iter().find(|point| point.series == index).unwrap();
        let told = name != "untold";
        assert_eq!((point.time, point.start), (5_000_000_000, if told { 1_000_000_000 } else { 0 }), "{name}");
        assert_eq!((&*series.family.description, &*series.family.unit), if told { ("Help.", "s") } else { ("", "") });
    }
}

#[test]
fn histograms_and_exemplars_are_values_of_the_pipeline() {
    let mut request = Request::default();
    request
        .add(&[("__name__", "exponential")], |_, out| put_histogram(out, &native(3, Vec::new())))
        .add(&[("__name__", "listed")], |_, out| put_histogram(out, &native(-53, vec![1.0, 2.0])))
        .add(&[("__name__", "float")], |_, out| {
            let positive = Buckets { deltas: Vec::new(), counts: vec![1.0, 2.0], ..native(0, Vec::new()).positive };
            let count = Some(HistogramCount::Float(3.0));
            put_histogram(out, &NativeHistogram { count, positive, ..native(0, Vec::new()) });
        })
        .add(&[("__name__", "with_exemplar")], |symbols, out| {
            put_sample(out, 7.0, 5000, 0);
            put_exemplar(
                out,
                &[symbols.reference(b"trace_id"), symbols.reference(b"0af7651916cd43dd8448eb211c80319c")],
                0.5,
                4999,
            );
        });
    let taken = taken(&request.bytes(), &mut SeriesCache::default());
    assert_eq!((taken.written.samples, taken.written.histograms, taken.written.exemplars), (1, 3, 1));
    let point = |name: &str| {
        let (group, index, _) = find(&taken, name);
        let point = group.points.iter().find(|point| point.series == index).unwrap();
        assert_eq!(point.start, 1_000_000_000);
        point.value.clone()
    };
    let Value::ExponentialHistogram(histogram) = point("exponential") else { panic!("{taken:?}") };
    assert_eq!((histogram.count, &*histogram.positive.counts), (3, &[1, 2][..]));
    let Value::FloatExponentialHistogram(histogram) = point("float") else { panic!("{taken:?}") };
    assert_eq!((histogram.count, &*histogram.positive.counts), (3.0, &[1.0, 2.0][..]));
    let (group, index, _) = find(&taken, "listed");
    let point = group.points.iter().find(|point| point.series == index).unwrap();
    let Value::Histogram(histogram) = &point.value else { panic!("{point:?}") };
    assert_eq!((&*histogram.bounds, &*histogram.bucket_counts), (&[1.0, 2.0][..], &[1, 2, 0][..]));
    let (group, _, _) = find(&taken, "with_exemplar");
    assert_eq!(group.exemplars.first().unwrap().trace_id.len(), 16);
}

#[test]
fn a_series_is_the_same_in_both_versions() {
    let mut cache = SeriesCache::default();
    let labels = [("__name__", "both_versions"), ("job", "v2"), ("zone", "z")];
    let old = floats(&[(&labels, 1.0, 1)]);
    let first = read(ProtocolVersion::V1, &old, &DecodeLimits::default(), &mut cache, 0).unwrap();
    let mut request = Request::default();
    request.add(&labels, |_, out| put_sample(out, 2.0, 2, 0));
    let second = taken(&request.bytes(), &mut cache);
    let (first, second) = (first.groups.first().unwrap(), second.groups.first().unwrap());
    assert!(Arc::ptr_eq(&first.table, &second.table));
}

#[test]
fn the_wire_of_a_prometheus_server_is_understood_in_version_2_too() {
    let Some(file) = vectors("remote_write_vectors.json") else { return };
    let body = hex(file["wire"]["v2_uncompressed_protobuf_hex"].as_str().unwrap());
    let taken = taken(&body, &mut SeriesCache::default());
    assert_eq!(taken.invalid.points + taken.invalid.exemplars, 0, "{:?}", taken.invalid);
    assert_eq!((taken.written.samples, taken.written.histograms, taken.written.exemplars), (4, 3, 1));
    let (group, index, series) = find(&taken, "http_requests_total");
    assert_eq!(series.family.kind, FamilyKind::COUNTER);
    assert_eq!(&*series.family.description, "Total requests.");
    let point = group.points.iter().find(|point| point.series == index).unwrap();
    assert_eq!(point.start, 1_699_990_000_000 * 1_000_000);
    assert_eq!(group.exemplars.len(), 1);
}

#[tokio::test]
async fn answers_say_how_much_was_written() {
    let mut running = Running::start("").await;
    let head = WRITE.to_owned() + ";proto=io.prometheus.write.v2.Request\r\nX-Prometheus-Remote-Write-Version: 2.0.0";
    let written = |head: &str| -> Vec<Option<u64>> {
        ["samples", "histograms", "exemplars"]
            .iter()
            .map(|kind| {
                let name = format!("x-prometheus-remote-write-{kind}-written: ");
                head.lines().find_map(|line| line.strip_prefix(&name)?.trim().parse().ok())
            })
            .collect()
    };
    let mut good = Request::default();
    good.add(&[("__name__", "a")], |symbols, out| {
        put_sample(out, 1.0, 1, 0);
        put_exemplar(out, &[symbols.reference(b"id"), symbols.reference(b"1")], 0.5, 1);
    });
    good.add(&[("__name__", "h")], |_, out| put_histogram(out, &native(0, Vec::new())));
    let (status, answer, _) = send(running.address, &head, &snappy(&good.bytes())).await;
    assert_eq!((status, written(&answer)), (204, vec![Some(1), Some(1), Some(1)]));
    assert_eq!(running.input.recv().await.unwrap().len(), 2);

    // One series is not sorted, one has a histogram that cannot be: the rest is written, and the answer says what not.
    good.add(&[("z", "1"), ("__name__", "b")], |_, out| put_sample(out, 1.0, 1, 0));
    good.add(&[("__name__", "h")], |_, out| put_histogram(out, &native(9, Vec::new())));
    let (status, answer, text) = send(running.address, &head, &snappy(&good.bytes())).await;
    assert_eq!((status, written(&answer)), (400, vec![Some(1), Some(1), Some(1)]));
    assert!(text.contains("labels are not sorted") && text.contains("2 samples"), "{text}");
    assert_eq!(running.input.recv().await.unwrap().len(), 2);

    let (status, answer, _) = send(running.address, &head, &snappy(b"junk")).await;
    assert_eq!((status, written(&answer)), (400, vec![Some(0); 3]));
    // Senders of version 1.0 are not told.
    let (status, answer, _) = send(running.address, WRITE, &snappy(&floats(&[(&[("__name__", "a")], 1.0, 1)]))).await;
    assert_eq!((status, written(&answer)), (204, vec![None; 3]));
    // What the header calls 1.0 and is 2.0 is refused as 1.0 has it, so that nothing is lost unseen.
    let mut old = Vec::new();
    v1::put_metadata(&mut old, MetricType::Gauge, b"a", b"", b"");
    let (status, _, text) = send(running.address, &head, &snappy(&old)).await;
    assert!(status == 415 && text.contains("remote-write 1.0 request"), "{status} {text}");
    running.stop().await;
}
