//! What becomes of a request's bytes.

use pipeline::value::ExemplarValue;
use pipeline::{FamilyKind, MetricBatch, Part, Point, Series, Temporality, Value};
use prometheus::remote_write::protocol::ProtocolVersion;
use prometheus::remote_write::wire::v1::{put_exemplar, put_metadata, put_sample, put_series};
use prometheus::remote_write::wire::{DecodeLimits, MetricType, TimestampField};
use proptest::prelude::*;
use serde_json::Value as Json;

use super::super::cache::SeriesCache;
use super::super::request::{Taken, read};
use super::{floats, hex, labels, vectors};

fn taken(body: &[u8], cache: &mut SeriesCache) -> Taken {
    read(ProtocolVersion::V1, body, &DecodeLimits::default(), cache, 0).unwrap()
}

/// Every point with its series and the job it came from, as text.
fn shown(taken: &Taken) -> Vec<String> {
    let mut lines = Vec::new();
    for group in &taken.groups {
        let resource = &group.origin.resource.attributes;
        for point in &group.points {
            let series = group.table.get(point.series).unwrap();
            let attributes: Vec<String> = series
                .attributes
                .iter()
                .map(|(k, v)| format!("{k}={v:?}").replace("Str(", "").replace(')', ""))
                .collect();
            lines.push(format!(
                "{}/{} {}{{{}}} {} {}",
                resource.get_str("service.name").unwrap_or("-"),
                resource.get_str("service.instance.id").unwrap_or("-"),
                series.name,
                attributes.join(","),
                value(point),
                point.time / 1_000_000,
            ));
        }
    }
    lines
}

fn value(point: &Point) -> String {
    match &point.value {
        Value::Float(value) => value.to_string(),
        Value::NoRecordedValue(_) => "stale".to_owned(),
        other => format!("{other:?}").chars().take_while(|c| *c != '(').collect(),
    }
}

fn series_of(taken: &Taken, name: &str) -> std::sync::Arc<Series> {
    let mut all = taken.groups.iter().flat_map(|group| group.table.as_slice().iter());
    all.rfind(|series| *series.name == *name).unwrap().clone()
}

#[test]
fn job_and_instance_are_the_origin_and_everything_else_is_the_series() {
    let body = floats(&[
        (&[("__name__", "up"), ("instance", "a:1"), ("job", "ns/node")], 1.0, 5),
        (&[("__name__", "up"), ("instance", "a:1"), ("job", "ns/node"), ("x", "y")], 2.0, 5),
        (&[("__name__", "lonely"), ("empty", "")], 3.0, 6),
    ]);
    let mut cache = SeriesCache::default();
    let first = taken(&body, &mut cache);
    assert_eq!(shown(&first), ["ns/node/a:1 up{} 1 5", "ns/node/a:1 up{x=\"y\"} 2 5", "-/- lonely{} 3 6"]);
    assert_eq!(first.points(), 3);
    assert_eq!(first.invalid.points, 0);
    let origin = &first.groups.first().unwrap().origin;
    assert_eq!(origin.source, pipeline::model::Source::RemoteWrite);
    assert!(origin.labels.is_empty());
}

#[test]
fn labels_need_not_be_sorted_or_come_first() {
    let mut body = Vec::new();
    put_series(&mut body, &labels(&[("z", "1")]), |out| {
        put_sample(out, 1.5, &TimestampField::new(7));
        out.extend(labels(&[("a", "2"), ("__name__", "odd")]));
    });
    body.extend(floats(&[(&[("z", "1"), ("a", "2"), ("__name__", "odd")], 2.5, 8)]));
    let taken = taken(&body, &mut SeriesCache::default());
    assert_eq!(shown(&taken), ["-/- odd{a=\"2\",z=\"1\"} 1.5 7", "-/- odd{a=\"2\",z=\"1\"} 2.5 8"]);
    let indices: Vec<u32> = taken.groups.first().unwrap().points.iter().map(|point| point.series).collect();
    assert_eq!(indices, [0, 0], "both are one series");
}

#[test]
fn bad_label_sets_are_left_out_and_the_first_is_named() {
    let mut body = floats(&[
        (&[("__name__", "good"), ("job", "j")], 1.0, 1),
        (&[("job", "nameless")], 2.0, 1),
        (&[("__name__", "twice"), ("a", "1"), ("a", "2")], 3.0, 1),
        (&[("__name__", "")], 4.0, 1),
        (&[("__name__", "x"), ("", "v")], 5.0, 1),
    ]);
    put_series(&mut body, &labels(&[]), |_| {});
    let mut bytes = Vec::new();
    prometheus::remote_write::wire::v1::put_label(&mut bytes, b"__name__", &[0xff]);
    put_series(&mut body, &bytes, |out| put_sample(out, 6.0, &TimestampField::new(1)));
    let taken = taken(&body, &mut SeriesCache::default());
    assert_eq!(shown(&taken), ["j/- good{} 1 1"]);
    assert_eq!(taken.invalid.points, 5);
    assert_eq!(
        taken.invalid.first.as_deref(),
        Some("invalid labels {job=\"nameless\"}: label \"__name__\" is missing")
    );
}

#[test]
fn long_label_sets_are_shortened_in_messages() {
    let body = floats(&[(&[("job", "é".repeat(5000).as_str())], 2.0, 1)]);
    let first = taken(&body, &mut SeriesCache::default()).invalid.first.unwrap();
    assert!(first.len() < 700 && first.contains('…'), "{first}");
}

#[test]
fn a_malformed_request_is_refused_and_the_place_is_named() {
    let mut body = floats(&[(&[("__name__", "good")], 1.0, 1)]);
    body.extend([0x0a, 0x05, 0x0a, 0x7f, 1, 2, 3]);
    let error = read(ProtocolVersion::V1, &body, &DecodeLimits::default(), &mut SeriesCache::default(), 0)
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("malformed write request, time series 1, series: "), "{error}");
    let mut v2 = Vec::new();
    v2.extend([0x22, 0x00]);
    let error = read(ProtocolVersion::V1, &v2, &DecodeLimits::default(), &mut SeriesCache::default(), 0)
        .unwrap_err()
        .to_string();
    assert!(error.contains("2.0"), "{error}");
}

#[test]
fn metadata_makes_families_of_series_that_come_later() {
    let mut cache = SeriesCache::default();
    let early = floats(&[(&[("__name__", "early_total")], 1.0, 1)]);
    taken(&early, &mut cache);
    let mut body = Vec::new();
    for (kind, name, unit) in [
        (MetricType::Counter, "early_total", ""),
        (MetricType::Counter, "late_total", ""),
        (MetricType::Counter, "om", "seconds"),
        (MetricType::Histogram, "lat", "seconds"),
        (MetricType::Summary, "sum", ""),
        (MetricType::Info, "build", ""),
    ] {
        put_metadata(&mut body, kind, name.as_bytes(), b"Help.", unit.as_bytes());
    }
    body.extend(early);
    body.extend(floats(&[
        (&[("__name__", "late_total")], 1.0, 1),
        (&[("__name__", "om_total")], 1.0, 1),
        (&[("__name__", "om_created")], 1.0, 1),
        (&[("__name__", "lat_bucket"), ("le", "0.5")], 1.0, 1),
        (&[("__name__", "lat_sum")], 1.0, 1),
        (&[("__name__", "lat_count")], 1.0, 1),
        (&[("__name__", "sum"), ("quantile", "0.9")], 1.0, 1),
        (&[("__name__", "sum_count")], 1.0, 1),
        (&[("__name__", "build_info")], 1.0, 1),
        (&[("__name__", "other_sum")], 1.0, 1),
    ]));
    let taken = taken(&body, &mut cache);
    assert_eq!(taken.points(), 11);
    let histogram = FamilyKind::Histogram { temporality: Temporality::Cumulative };
    for (name, family, kind, part) in [
        ("early_total", "early_total", FamilyKind::Unknown, Part::Whole),
        ("late_total", "late_total", FamilyKind::COUNTER, Part::Whole),
        ("om_total", "om_total", FamilyKind::COUNTER, Part::Whole),
        ("om_created", "om_total", FamilyKind::COUNTER, Part::Created),
        ("lat_bucket", "lat", histogram, Part::Bucket("0.5".into())),
        ("lat_sum", "lat", histogram, Part::Sum),
        ("lat_count", "lat", histogram, Part::Count),
        ("sum", "sum", FamilyKind::Summary, Part::Quantile("0.9".into())),
        ("sum_count", "sum", FamilyKind::Summary, Part::Count),
        ("build_info", "build", FamilyKind::Info, Part::Whole),
        ("other_sum", "other_sum", FamilyKind::Unknown, Part::Whole),
    ] {
        let series = series_of(&taken, name);
        assert_eq!((&*series.family.name, series.family.kind, &series.part), (family, kind, &part), "{name}");
        assert!(series.attributes.is_empty(), "{name}");
    }
    let family = series_of(&taken, "lat_sum").family.clone();
    assert_eq!((&*family.description, &*family.unit), ("Help.", "s"));
    assert_eq!(family.metadata.get_str("prometheus.type"), Some("histogram"));
}

#[test]
fn exemplars_find_their_sample_in_this_request_or_a_later_one() {
    let mut cache = SeriesCache::default();
    let names = [("__name__", "c_total"), ("job", "j")];
    let sample = floats(&[(&names, 1.0, 1000)]);
    let mut exemplar = Vec::new();
    put_series(&mut exemplar, &labels(&names), |out| {
        let pairs: [(&[u8], &[u8]); 3] = [(b"trace_id", b"174137cab66dc880"), (b"span_id", b"xyz"), (b"user", b"u")];
        put_exemplar(out, pairs, 0.5, 990);
    });
    let both = taken(&[sample.clone(), sample.clone(), exemplar.clone()].concat(), &mut cache);
    let group = both.groups.first().unwrap();
    let found = group.exemplars.first().unwrap();
    assert_eq!((found.point, found.time, found.value), (1, 990_000_000, ExemplarValue::Float(0.5)));
    assert_eq!(*found.trace_id, hex("0000000000000000174137cab66dc880"));
    assert!(found.span_id.is_empty());
    assert_eq!((found.attributes.get_str("span_id"), found.attributes.get_str("user")), (Some("xyz"), Some("u")));

    let alone = taken(&exemplar, &mut cache);
    assert_eq!((alone.groups.len(), alone.invalid.exemplars), (0, 0));
    let later = taken(&sample, &mut cache);
    assert_eq!(later.groups.first().unwrap().exemplars.len(), 1);
    taken(&exemplar, &mut cache);
    let too_late = read(ProtocolVersion::V1, &[], &DecodeLimits::default(), &mut cache, 200).unwrap();
    assert_eq!(too_late.invalid.exemplars, 1);
    assert_eq!(too_late.invalid.first, None, "a lost exemplar is no reason to refuse a request");
}

#[test]
fn ids_of_exemplars_are_read_as_the_collector_reads_them() {
    let Some(file) = vectors("exemplar_id_decode.json") else { return };
    let text = |value: Option<&Json>| value.and_then(Json::as_str).map(str::to_owned);
    for case in file["cases"].as_array().unwrap() {
        let mut sent: Vec<(String, String)> = Vec::new();
        for name in ["trace_id", "span_id"] {
            sent.extend(text(case.get(name)).map(|value| (name.to_owned(), value)));
        }
        if let Some(more) = case.get("labels").and_then(Json::as_object) {
            sent.extend(more.iter().map(|(name, value)| (name.clone(), text(Some(value)).unwrap())));
        }
        let wire = prometheus::remote_write::wire::Exemplar {
            labels: sent.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect(),
            ..Default::default()
        };
        let exemplar = super::super::exemplars::exemplar(&wire, 0).unwrap();
        let id = |key: &str| text(case.get(key)).map(|id| hex(&id)).unwrap_or_default();
        assert_eq!(*exemplar.trace_id, id("expected_trace"), "{case}");
        assert_eq!(*exemplar.span_id, id("expected_span"), "{case}");
        let filtered = case.get("filtered").and_then(Json::as_object).cloned().unwrap_or_default();
        assert_eq!(exemplar.attributes.len(), filtered.len(), "{case}");
        for (name, value) in filtered {
            assert_eq!(exemplar.attributes.get_str(&name), value.as_str(), "{case}");
        }
    }
}

#[test]
fn the_wire_of_a_prometheus_server_is_understood() {
    let Some(file) = vectors("remote_write_vectors.json") else { return };
    let wire = &file["wire"];
    let body = hex(wire["v1_uncompressed_protobuf_hex"].as_str().unwrap());
    let first = taken(&body, &mut SeriesCache::default());
    assert_eq!(first.invalid.points + first.invalid.exemplars, 0, "{:?}", first.invalid);
    let mut lines = shown(&first);
    lines.sort();
    assert_eq!(
        lines,
        [
            "-/- neg{} -inf -5",
            "node/- gone{} stale 1700000000123",
            "node/- latf{} FloatExponentialHistogram 1700000000123",
            "node/- lat{} ExponentialHistogram 1700000000123",
            "node/- nhcb{} Histogram 1700000000123",
            "node/a:1 http_requests_total{code=\"200\"} 1027.5 1700000000123",
            "node/a:1 up{} 1 1700000000123",
        ]
    );
    assert_eq!(first.groups.iter().map(|group| group.exemplars.len()).sum::<usize>(), 1);
    let mut cache = SeriesCache::default();
    let metadata = hex(wire["v1_metadata_only_uncompressed_protobuf_hex"].as_str().unwrap());
    assert_eq!(taken(&metadata, &mut cache).points(), 0);
    let up = taken(&floats(&[(&[("__name__", "up")], 1.0, 1)]), &mut cache);
    assert_eq!(series_of(&up, "up").family.kind, FamilyKind::Gauge);
}

proptest! {
    /// The quick look and the full decoder agree on what is a request, whatever the bytes.
    #[test]
    fn any_bytes_are_taken_or_refused_as_by_the_full_decoder(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
        prefix in any::<bool>(),
    ) {
        if prefix {
            let mut body = floats(&[(&[("__name__", "a"), ("b", "c")], 1.0, 1)]);
            let at = bytes.first().map_or(0, |byte| usize::from(*byte) % body.len());
            bytes.truncate(8);
            body.splice(at..(at + bytes.len()).min(body.len()), bytes);
            bytes = body;
        }
        struct Ignore;
        impl<'a> prometheus::remote_write::wire::WriteVisitor<'a> for Ignore {
            fn series(&mut self, _: &prometheus::remote_write::wire::TimeSeries<'a>) {}
            fn metadata(&mut self, _: prometheus::remote_write::wire::FamilyMetadata<'a>) {}
            fn rejected(&mut self, _: prometheus::remote_write::wire::Rejection) {}
        }
        let limits = DecodeLimits::default();
        let full = prometheus::remote_write::wire::decode_v1(&bytes, &limits, &mut Ignore).is_ok();
        let mut cache = SeriesCache::default();
        let first = read(ProtocolVersion::V1, &bytes, &limits, &mut cache, 0);
        prop_assert_eq!(first.is_ok(), full);
        // The second time some of it is known.
        let second = read(ProtocolVersion::V1, &bytes, &limits, &mut cache, 0);
        prop_assert_eq!(second.as_ref().ok().map(Taken::points), first.as_ref().ok().map(Taken::points));
        if let (Ok(first), Ok(second)) = (first, second) {
            prop_assert_eq!(format!("{:?}", shown(&first)), format!("{:?}", shown(&second)));
            let points = second.points();
            let batch = MetricBatch::new(second.groups);
            prop_assert_eq!(batch.len() as u64, points);
        }
    }
}
