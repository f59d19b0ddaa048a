#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::encode::*;
use super::*;
use crate::vectors;

/// Remembers everything visited.
#[derive(Default)]
struct Seen<'a> {
    series: Vec<TimeSeries<'a>>,
    metadata: Vec<FamilyMetadata<'a>>,
    rejected: Vec<Rejection>,
}

impl<'a> WriteVisitor<'a> for Seen<'a> {
    fn series(&mut self, series: &TimeSeries<'a>) {
        self.series.push(series.clone());
    }
    fn metadata(&mut self, metadata: FamilyMetadata<'a>) {
        self.metadata.push(metadata);
    }
    fn rejected(&mut self, rejection: Rejection) {
        self.rejected.push(rejection);
    }
}

fn read_v1(body: &[u8]) -> Result<Seen<'_>, DecodeError> {
    let mut seen = Seen::default();
    decode_v1(body, &DecodeLimits::default(), &mut seen).map(|()| seen)
}

fn read_v2(body: &[u8]) -> Result<Seen<'_>, DecodeError> {
    let mut seen = Seen::default();
    decode_v2(body, &DecodeLimits::default(), &mut seen).map(|()| seen)
}

fn write_v1(seen: &Seen<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    for series in &seen.series {
        let mut labels = Vec::new();
        for (name, value) in &series.labels {
            v1::put_label(&mut labels, name, value);
        }
        v1::put_series(&mut out, &labels, |out| {
            for sample in &series.samples {
                v1::put_sample(out, sample.value, &TimestampField::new(sample.timestamp_ms));
            }
            for exemplar in &series.exemplars {
                v1::put_exemplar(out, exemplar.labels.iter().copied(), exemplar.value, exemplar.timestamp_ms);
            }
            for histogram in &series.histograms {
                v1::put_histogram(out, histogram);
            }
        });
    }
    for metadata in &seen.metadata {
        v1::put_metadata(&mut out, metadata.kind, metadata.family, metadata.help, metadata.unit);
    }
    out
}

fn write_v2(seen: &Seen<'_>, symbols: &mut v2::Symbols) -> Vec<u8> {
    let mut all = Vec::new();
    for series in &seen.series {
        let metadata = series.metadata.unwrap_or_default();
        let (help, unit) = (symbols.reference(metadata.help), symbols.reference(metadata.unit));
        let mut references = |labels: &[LabelBytes<'_>]| -> Vec<u32> {
            labels.iter().flat_map(|(name, value)| [symbols.reference(name), symbols.reference(value)]).collect()
        };
        let labels = references(&series.labels);
        v2::put_series(&mut all, &labels, |out| {
            for sample in &series.samples {
                v2::put_sample(out, sample.value, sample.timestamp_ms, sample.start_timestamp_ms);
            }
            for histogram in &series.histograms {
                v2::put_histogram(out, histogram);
            }
            for exemplar in &series.exemplars {
                v2::put_exemplar(out, &references(&exemplar.labels), exemplar.value, exemplar.timestamp_ms);
            }
            v2::put_metadata(out, metadata.kind, help, unit);
        });
    }
    let mut out = Vec::new();
    symbols.put(&mut out);
    assert!(out.len() <= symbols.encoded_len_bound());
    out.extend_from_slice(&all);
    out
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|index| u8::from_str_radix(&text[2 * index..2 * index + 2], 16).unwrap()).collect()
}

/// `{a="1", b="2"}` as label pairs.
fn braces(text: &str) -> Vec<(String, String)> {
    text.trim_matches(['{', '}'])
        .split(", ")
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()))
        .collect()
}

fn between<'t>(text: &'t str, start: &str, end: &str) -> &'t str {
    let from = text.find(start).unwrap() + start.len();
    let rest = &text[from..];
    &rest[..rest.find(end).unwrap_or(rest.len())]
}

fn check_against_description(series: &TimeSeries<'_>, line: &str, start_times: bool) {
    let owned = |labels: &[LabelBytes<'_>]| -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        labels.iter().map(|(name, value)| (text(name), text(value))).collect()
    };
    assert_eq!(owned(&series.labels), braces(&line[..=line.find('}').unwrap()]), "{line}");
    let timestamp_ms: i64 = between(line, " t=", " ").parse().unwrap();
    let start: i64 = if start_times { between(line, " st=", " ").parse().unwrap() } else { 0 };
    let value: f64 = between(line, " v=", " ").parse().unwrap();
    let kind = between(line, " type=", " ");
    let counts = (series.samples.len(), series.exemplars.len(), series.histograms.len());
    match kind {
        "0" => {
            assert_eq!(counts, (1, 0, 0), "{line}");
            let sample = series.samples[0];
            assert!(sample.value == value || sample.value.is_nan() && value.is_nan(), "{line}");
            assert_eq!((sample.timestamp_ms, sample.start_timestamp_ms), (timestamp_ms, start), "{line}");
        }
        "1" => {
            assert_eq!(counts, (0, 1, 0), "{line}");
            let exemplar = &series.exemplars[0];
            assert_eq!((exemplar.value, exemplar.timestamp_ms), (value, timestamp_ms), "{line}");
            assert_eq!(owned(&exemplar.labels), braces(&format!("{{{}}}", between(line, "exemplar_labels={", "}"))));
        }
        _ => {
            assert_eq!(counts, (0, 0, 1), "{line}");
            let histogram = &series.histograms[0];
            let count: f64 = between(line, "count:", ",").parse().unwrap();
            let sum: f64 = between(line, "sum:", ",").parse().unwrap();
            let expected = if kind == "2" { HistogramCount::Int(count as u64) } else { HistogramCount::Float(count) };
            assert_eq!((histogram.count, histogram.sum), (Some(expected), sum), "{line}");
            assert_eq!((histogram.timestamp_ms, histogram.start_timestamp_ms), (timestamp_ms, start), "{line}");
        }
    }
}

#[test]
fn prometheus_requests_are_read_and_written_byte_for_byte() {
    let Some(file) = vectors::json("vectors/remote_write_vectors.json") else { return };
    let wire = &file["wire"];
    let (_, batch) = wire.as_object().unwrap().iter().find(|(key, _)| key.starts_with("batch")).unwrap();
    let batch: Vec<&str> = batch.as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();

    let body = hex(vectors::text(wire, "v1_uncompressed_protobuf_hex"));
    let seen = read_v1(&body).unwrap();
    assert_eq!(seen.series.len(), batch.len());
    for (series, line) in seen.series.iter().zip(&batch) {
        check_against_description(series, line, false);
        assert_eq!(series.check_labels(), Ok(()));
    }
    assert_eq!(write_v1(&seen), body);
    let stale = u64::from_str_radix(vectors::text(wire, "stale_nan_bits"), 16).unwrap();
    assert!(seen.series.iter().flat_map(|series| &series.samples).any(|sample| sample.value.to_bits() == stale));

    let body = hex(vectors::text(wire, "v1_metadata_only_uncompressed_protobuf_hex"));
    let seen = read_v1(&body).unwrap();
    assert!(seen.series.is_empty() && !seen.metadata.is_empty());
    assert_eq!(write_v1(&seen), body);

    let body = hex(vectors::text(wire, "v2_uncompressed_protobuf_hex"));
    let seen = read_v2(&body).unwrap();
    assert_eq!(seen.rejected, []);
    assert_eq!(seen.series.len(), batch.len());
    let mut with_metadata = 0;
    for (series, line) in seen.series.iter().zip(&batch) {
        check_against_description(series, line, true);
        if let Some(metadata) = series.metadata {
            with_metadata += 1;
            let help = between(line, "Help:", "}");
            assert_eq!(metadata.help, help.as_bytes());
            assert_eq!(metadata.unit, between(line, "Unit:", " Help").as_bytes());
            assert_eq!(format!("{:?}", metadata.kind).to_lowercase(), between(line, "Type:", " "));
        }
    }
    assert_eq!(with_metadata, batch.iter().filter(|line| line.contains("Type:")).count());
    let mut symbols = v2::Symbols::new();
    for symbol in wire["v2_symbols"].as_array().unwrap() {
        symbols.reference(symbol.as_str().unwrap().as_bytes());
    }
    assert_eq!(write_v2(&seen, &mut symbols), body);
}

fn one_series_v2(symbols: &[&str], labels: &[u32], body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    for symbol in symbols {
        put_bytes_field(&mut out, 4, symbol.as_bytes());
    }
    v2::put_series(&mut out, labels, body);
    out
}

fn sample(out: &mut Vec<u8>) {
    v2::put_sample(out, 1.0, 1000, 0);
}

#[test]
fn every_rule_of_version_two_is_checked() {
    const SYMBOLS: [&str; 5] = ["", "__name__", "up", "job", "node"];
    let error_of = |labels: &[u32], body: fn(&mut Vec<u8>)| {
        let request = one_series_v2(&SYMBOLS, labels, body);
        let mut seen = read_v2(&request).unwrap();
        assert!(seen.series.is_empty());
        seen.rejected.pop().unwrap().to_string()
    };
    let cases: [(&str, String); 10] = [
        ("time series 0: it has no labels", error_of(&[], sample)),
        (
            "time series 0: series has 3 references, which do not make pairs of name and value",
            error_of(&[1, 2, 3], sample),
        ),
        ("time series 0: series references symbol 5, but the request has 5 symbols", error_of(&[1, 5], sample)),
        ("time series 0: a label has an empty name", error_of(&[0, 2], sample)),
        ("time series 0: label \"__name__\" has an empty value", error_of(&[1, 0], sample)),
        ("time series 0: label \"job\" occurs more than once", error_of(&[1, 2, 3, 4, 3, 4], sample)),
        ("time series 0: labels are not sorted: \"__name__\" comes too late", error_of(&[3, 4, 1, 2], sample)),
        ("time series 0: it has neither samples nor histograms", error_of(&[1, 2], |_| {})),
        (
            "time series 0: it has both samples and histograms",
            error_of(&[1, 2], |out| {
                sample(out);
                v2::put_histogram(out, &NativeHistogram::default());
            }),
        ),
        (
            "time series 0: timestamp 999 comes after 1000",
            error_of(&[1, 2], |out| {
                sample(out);
                v2::put_sample(out, 1.0, 999, 0);
            }),
        ),
    ];
    for (expected, found) in cases {
        assert_eq!(found, expected);
    }
}

#[test]
fn bad_series_do_not_take_good_ones_with_them() {
    let mut request = one_series_v2(&["", "__name__", "up"], &[1, 9], |out| {
        sample(out);
        v2::put_sample(out, 2.0, 2000, 0);
        v2::put_exemplar(out, &[], 1.0, 1);
    });
    v2::put_series(&mut request, &[1, 2], |out| {
        sample(out);
        v2::put_exemplar(out, &[1, 7], 1.0, 1);
        v2::put_exemplar(out, &[1, 2], 1.0, 1);
        v2::put_metadata(out, MetricType::Gauge, 8, 0);
    });
    let seen = read_v2(&request).unwrap();
    assert_eq!(seen.series.len(), 1);
    assert_eq!(seen.series[0].exemplars.len(), 1);
    assert_eq!(seen.series[0].metadata, None);
    let lost: Vec<_> = seen.rejected.iter().map(|lost| (lost.series, lost.samples, lost.exemplars)).collect();
    assert_eq!(lost, [(0, 2, 1), (1, 0, 1), (1, 0, 0)]);
}

#[test]
fn symbols_are_checked_and_may_come_last() {
    let first = one_series_v2(&["up"], &[], sample);
    assert_eq!(read_v2(&first).err(), Some(DecodeError::FirstSymbolNotEmpty));
    assert_eq!(read_v2(&one_series_v2(&[], &[], sample)).err(), Some(DecodeError::FirstSymbolNotEmpty));
    assert!(read_v2(&[]).unwrap().series.is_empty());

    let mut late = one_series_v2(&[], &[1, 2], sample);
    for symbol in ["", "__name__", "up"] {
        put_bytes_field(&mut late, 4, symbol.as_bytes());
    }
    assert_eq!(read_v2(&late).unwrap().series[0].labels, [(&b"__name__"[..], &b"up"[..])]);
}

#[test]
fn a_body_of_the_other_version_is_not_taken_for_an_empty_one() {
    let mut one = Vec::new();
    v1::put_float_series(&mut one, b"", 1.0, &TimestampField::new(1));
    assert_eq!(read_v2(&one).err(), Some(DecodeError::OtherVersion { found: "1.0", announced: "2.0" }));
    let two = one_series_v2(&["", "a"], &[1, 1], sample);
    assert_eq!(read_v1(&two).err(), Some(DecodeError::OtherVersion { found: "2.0", announced: "1.0" }));
}

#[test]
fn malformed_bytes_are_located() {
    let cases: [(&[u8], &str); 9] = [
        (&[0x0a], "malformed write request, request: it ends in the middle of a field"),
        (&[0x0a, 5, 1], "malformed write request, request: it ends in the middle of a field"),
        (
            &[0x08, 1],
            "malformed write request, time series 0, series: field 1 does not have the wire type that the protocol defines for it",
        ),
        (
            &[0x0a, 2, 0x10, 1],
            "malformed write request, time series 0, sample: field 2 does not have the wire type that the protocol defines for it",
        ),
        (
            &[0x0a, 0, 0x0a, 3, 0x0a, 1, 0x0a],
            "malformed write request, time series 1, label: it ends in the middle of a field",
        ),
        (&[0x00, 1], "malformed write request, request: field number 0 is not allowed"),
        (&[0x16, 1], "malformed write request, request: field 2 has the undefined wire type 6"),
        (
            &[0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
            "malformed write request, request: a varint is longer than 64 bits",
        ),
        (&[0x14], "malformed write request, request: groups are not balanced or nested too deeply"),
    ];
    for (body, expected) in cases {
        assert_eq!(read_v1(body).err().map(|error| error.to_string()).as_deref(), Some(expected), "{body:x?}");
    }
}

#[test]
fn protobuf_leaves_senders_some_freedom() {
    // Unknown fields of every wire type, among them a nested group; a length longer than needed.
    let mut body = vec![0x10, 1, 0x31, 1, 2, 3, 4, 5, 6, 7, 8, 0x3d, 1, 2, 3, 4, 0x42, 1, 9];
    body.extend_from_slice(&[0x4b, 0x53, 0x08, 1, 0x54, 0x4c]);
    body.extend_from_slice(&[0x0a, 0x84, 0x00, 0x0a, 0x02, 0x0a, 0x00]);
    assert_eq!(read_v1(&body).unwrap().series[0].labels, [(&b""[..], &b""[..])]);

    // Repeated numbers that are not packed.
    let request = one_series_v2(&["", "a", "b"], &[], |out| {
        put_varint_field(out, 1, 1);
        put_varint_field(out, 1, 2);
        put_message_field(out, 3, |out| {
            put_varint_field(out, 12, zigzag(-3));
            put_varint_field(out, 12, zigzag(4));
            put_double_field(out, 16, 0.5);
        });
    });
    let seen = read_v2(&request).unwrap();
    assert_eq!(seen.series[0].labels.len(), 1);
    assert_eq!(seen.series[0].histograms[0].positive.deltas, [-3, 4]);
    assert_eq!(seen.series[0].histograms[0].custom_values, [0.5]);
}

type Piece<'p> = &'p dyn Fn(&mut Vec<u8>);

#[test]
fn limits_hold() {
    let tight = DecodeLimits {
        series: 1,
        metadata: 1,
        symbols: 3,
        labels: 1,
        samples: 1,
        histograms: 1,
        exemplars: 1,
        buckets: 2,
    };
    let error_of = |body: &[u8]| decode_v1(body, &tight, &mut Seen::default()).unwrap_err().to_string();
    let series = |body: Piece<'_>| {
        let mut out = Vec::new();
        v1::put_series(&mut out, b"", |out| body(out));
        out
    };
    let at = TimestampField::new(1);
    let twice = |one: Vec<u8>| [one.clone(), one].concat();
    assert!(error_of(&twice(series(&|_| {}))).ends_with("request: more than 1 time series"));
    let mut metadata = Vec::new();
    v1::put_metadata(&mut metadata, MetricType::Gauge, b"a", b"", b"");
    assert!(error_of(&twice(metadata)).ends_with("more than 1 metadata"));
    let pieces: [(&str, Piece<'_>); 4] = [
        ("labels", &|out| v1::put_label(out, b"a", b"b")),
        ("samples", &|out| v1::put_sample(out, 1.0, &at)),
        ("exemplars", &|out| v1::put_exemplar(out, [], 1.0, 1)),
        ("histograms", &|out| v1::put_histogram(out, &NativeHistogram::default())),
    ];
    for (what, piece) in pieces {
        let message = error_of(&series(&|out| {
            piece(out);
            piece(out);
        }));
        assert_eq!(message, format!("write request over the limit, time series 0, series: more than 1 {what}"));
    }
    let wide = [
        NativeHistogram { custom_values: vec![0.0; 3], ..Default::default() },
        NativeHistogram { positive: Buckets { deltas: vec![1; 3], ..Default::default() }, ..Default::default() },
        NativeHistogram { negative: Buckets { counts: vec![1.0; 3], ..Default::default() }, ..Default::default() },
        NativeHistogram {
            positive: Buckets { spans: vec![BucketSpan::default(); 3], ..Default::default() },
            ..Default::default()
        },
    ];
    for histogram in wide {
        assert!(error_of(&series(&|out| v1::put_histogram(out, &histogram))).contains("histogram: more than 2 "));
    }
    let error_of = |body: &[u8]| decode_v2(body, &tight, &mut Seen::default()).unwrap_err().to_string();
    assert!(error_of(&one_series_v2(&["", "a", "b", "c"], &[], |_| {})).ends_with("more than 3 symbols"));
    assert!(error_of(&one_series_v2(&["", "a"], &[1, 1, 1, 1], |_| {})).ends_with("more than 1 labels"));
}

#[test]
fn labels_that_are_not_text_are_named() {
    let series = TimeSeries { labels: vec![(b"ok", b"yes"), (b"bad", b"\xff")], ..Default::default() };
    let labels: Vec<_> = series.labels_utf8().collect();
    assert_eq!(labels, [Ok(("ok", "yes")), Err(SeriesError::NotUtf8 { name: "bad".to_owned() })]);
}

fn any_double() -> impl Strategy<Value = f64> {
    // Not NaN, which is not equal to itself; NaNs have a test of their own above.
    prop_oneof![Just(0.0), Just(-0.0), Just(f64::INFINITY), any::<f64>().prop_filter("NaN", |value| !value.is_nan())]
}

fn any_count() -> impl Strategy<Value = Option<HistogramCount>> {
    prop_oneof![
        Just(None),
        any::<u64>().prop_map(|count| Some(HistogramCount::Int(count))),
        any_double().prop_map(|count| Some(HistogramCount::Float(count))),
    ]
}

fn any_buckets() -> impl Strategy<Value = Buckets> {
    let span = (any::<i32>(), any::<u32>()).prop_map(|(offset, length)| BucketSpan { offset, length });
    (
        proptest::collection::vec(span, 0..4),
        proptest::collection::vec(any::<i64>(), 0..40),
        proptest::collection::vec(any_double(), 0..4),
    )
        .prop_map(|(spans, deltas, counts)| Buckets { spans, deltas, counts })
}

prop_compose! {
    fn any_histogram()(
        (count, zero_count) in (any_count(), any_count()),
        (sum, zero_threshold) in (any_double(), any_double()),
        schema in any::<i32>(),
        (negative, positive) in (any_buckets(), any_buckets()),
        reset_hint in (0_u64..4).prop_map(ResetHint::from_number),
        (timestamp_ms, start_timestamp_ms) in (any::<i64>(), any::<i64>()),
        custom_values in proptest::collection::vec(any_double(), 0..4),
    ) -> NativeHistogram {
        NativeHistogram {
            count, sum, schema, zero_threshold, zero_count, negative, positive, reset_hint, timestamp_ms,
            custom_values, start_timestamp_ms,
        }
    }
}

type OwnedLabels = std::collections::BTreeMap<String, String>;

#[derive(Clone, Debug)]
struct OwnedSeries {
    labels: OwnedLabels,
    samples: Vec<(f64, i64, i64)>,
    histograms: Vec<NativeHistogram>,
    exemplars: Vec<(OwnedLabels, f64, i64)>,
    metadata: (u64, String, String),
}

fn any_labels(least: usize) -> impl Strategy<Value = OwnedLabels> {
    proptest::collection::btree_map("[a-z_]{1,6}|[ä.]{1,80}", "[a-z0-9/]{1,9}|[ö ]{1,200}", least..5)
}

fn any_series() -> impl Strategy<Value = OwnedSeries> {
    let values = prop_oneof![
        proptest::collection::vec((any_double(), any::<i64>(), any::<i64>()), 1..4)
            .prop_map(|samples| (samples, vec![])),
        proptest::collection::vec(any_histogram(), 1..3).prop_map(|histograms| (vec![], histograms)),
    ];
    let exemplars = proptest::collection::vec((any_labels(0), any_double(), any::<i64>()), 0..3);
    (any_labels(1), values, exemplars, (0_u64..8, ".{0,9}", ".{0,9}")).prop_map(
        |(labels, (mut samples, mut histograms), exemplars, metadata)| {
            samples.sort_by_key(|sample| sample.1);
            histograms.sort_by_key(|histogram| histogram.timestamp_ms);
            OwnedSeries { labels, samples, histograms, exemplars, metadata }
        },
    )
}

fn borrow_labels(labels: &OwnedLabels) -> Vec<LabelBytes<'_>> {
    labels.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
}

fn borrow(series: &OwnedSeries) -> TimeSeries<'_> {
    let (kind, help, unit) = &series.metadata;
    let metadata =
        SeriesMetadata { kind: MetricType::from_number(*kind), help: help.as_bytes(), unit: unit.as_bytes() };
    TimeSeries {
        labels: borrow_labels(&series.labels),
        samples: series
            .samples
            .iter()
            .map(|&(value, timestamp_ms, start_timestamp_ms)| Sample { value, timestamp_ms, start_timestamp_ms })
            .collect(),
        exemplars: series
            .exemplars
            .iter()
            .map(|(labels, value, timestamp_ms)| Exemplar {
                labels: borrow_labels(labels),
                value: *value,
                timestamp_ms: *timestamp_ms,
            })
            .collect(),
        histograms: series.histograms.clone(),
        metadata: (metadata != SeriesMetadata::default()).then_some(metadata),
    }
}

fn without_start_times(mut series: TimeSeries<'_>) -> TimeSeries<'_> {
    series.samples.iter_mut().for_each(|sample| sample.start_timestamp_ms = 0);
    series.histograms.iter_mut().for_each(|histogram| histogram.start_timestamp_ms = 0);
    series.metadata = None;
    series
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_written_is_read_back(owned in proptest::collection::vec(any_series(), 0..4)) {
        let series: Vec<TimeSeries<'_>> = owned.iter().map(borrow).collect();
        let metadata: Vec<FamilyMetadata<'_>> = owned
            .iter()
            .map(|one| FamilyMetadata {
                kind: MetricType::from_number(one.metadata.0),
                family: b"family",
                help: one.metadata.1.as_bytes(),
                unit: one.metadata.2.as_bytes(),
            })
            .collect();

        let two = Seen { series: series.clone(), ..Seen::default() };
        let body = write_v2(&two, &mut v2::Symbols::new());
        let found = read_v2(&body).unwrap();
        prop_assert_eq!(&found.rejected, &[]);
        prop_assert_eq!(&found.series, &two.series);

        let one = Seen { series: series.into_iter().map(without_start_times).collect(), metadata, rejected: vec![] };
        let body = write_v1(&one);
        let found = read_v1(&body).unwrap();
        prop_assert_eq!(&found.series, &one.series);
        prop_assert_eq!(&found.metadata, &one.metadata);
    }

    #[test]
    fn no_bytes_make_the_decoders_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _one = read_v1(&body).is_ok();
        let _two = read_v2(&body).is_ok();
    }

    #[test]
    fn no_damage_makes_the_decoders_panic(
        owned in proptest::collection::vec(any_series(), 1..3),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let seen = Seen { series: owned.iter().map(borrow).collect(), ..Seen::default() };
        for mut body in [write_v1(&seen), write_v2(&seen, &mut v2::Symbols::new())] {
            for (place, byte) in &damage {
                let place = place.index(body.len());
                body[place] = *byte;
            }
            let _one = read_v1(&body).is_ok();
            let _two = read_v2(&body).is_ok();
            let cut = cut.index(body.len());
            let _one = read_v1(&body[..cut]).is_ok();
            let _two = read_v2(&body[..cut]).is_ok();
        }
    }
}
