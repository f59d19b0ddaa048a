//! Requests of OTLP as the Collector was seen to translate them.

use super::super::native::buckets;
use super::*;
use otlp::decode::MetricsReader;
use pipeline::value::{Exemplar, ExemplarValue, ExponentialBuckets};
use prometheus::remote_write::wire::{Buckets, HistogramCount, NativeHistogram};
use serde_json::{Value as Json, json};

/// An observed file, or nothing after saying that the test was skipped.
fn vectors(name: &str) -> Option<Json> {
    use std::io::Write as _;
    let beside = || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let path = std::env::var_os("OXIDOT_SHARED").map_or_else(beside, Into::into).join("vectors").join(name);
    match std::fs::read(&path) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).unwrap()),
        Err(error) => {
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

/// Everything of a time series.
#[derive(Debug, Default)]
struct Sent {
    labels: BTreeMap<String, String>,
    samples: Samples,
    histograms: Vec<NativeHistogram>,
    exemplars: Vec<(BTreeMap<String, String>, f64)>,
}

#[derive(Default)]
struct All(Vec<Sent>);

impl<'a> WriteVisitor<'a> for All {
    fn series(&mut self, series: &TimeSeries<'a>) {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let map = |labels: &[(&[u8], &[u8])]| labels.iter().map(|(name, value)| (text(name), text(value))).collect();
        self.0.push(Sent {
            labels: series
                .labels_utf8()
                .map(|label| label.map(|(n, v)| (n.to_owned(), v.to_owned())).unwrap())
                .collect(),
            samples: series.samples.iter().map(|s| (s.timestamp_ms, s.value)).collect(),
            histograms: series.histograms.to_vec(),
            exemplars: series.exemplars.iter().map(|exemplar| (map(&exemplar.labels), exemplar.value)).collect(),
        });
    }

    fn metadata(&mut self, _: FamilyMetadata<'a>) {}

    fn rejected(&mut self, rejection: Rejection) {
        panic!("a store would reject {rejection:?}");
    }
}

fn sent(encoder: &mut Encoder, batch: MetricBatch) -> Vec<Sent> {
    encoder.encode(batch);
    encoder.seal_all();
    let mut all = All::default();
    while let Some(request) = encoder.next_sealed() {
        let mut raw = Vec::new();
        decode_block(&request.body, 1 << 30, &mut raw).unwrap();
        decode_v1(&raw, &DecodeLimits::default(), &mut all).unwrap();
    }
    all.0
}

/// What a request in OTLP/JSON is sent as.
fn translated(keys: &str, request: &Json) -> Vec<Sent> {
    let body = otlp::json::to_protobuf(pipeline::component::Signal::Metrics, request.to_string().as_bytes()).unwrap();
    let taken = MetricsReader::default().read(&body, 0).unwrap();
    sent(&mut encoder(keys), MetricBatch::new(taken.groups))
}

/// A request with these metrics of one scope.
fn request(resource: &Json, scope: &Json, metrics: Vec<Json>) -> Json {
    let attributes = attributes(resource);
    let scopes = json!([{"scope": scope, "metrics": metrics}]);
    json!({"resourceMetrics": [{"resource": {"attributes": attributes}, "scopeMetrics": scopes}]})
}

fn attributes(map: &Json) -> Json {
    let pair = |(key, value): (&String, &Json)| json!({"key": key, "value": {"stringValue": value}});
    map.as_object().into_iter().flatten().map(pair).collect()
}

/// Counts by index.
fn expanded(buckets: &Buckets) -> BTreeMap<i64, i64> {
    let (mut at, mut count, mut deltas) = (0i64, 0i64, buckets.deltas.iter());
    let mut all = BTreeMap::new();
    for span in &buckets.spans {
        at += i64::from(span.offset);
        for _ in 0..span.length {
            count += deltas.next().unwrap();
            all.insert(at, count);
            at += 1;
        }
    }
    assert!(deltas.next().is_none());
    all.retain(|_, count| *count != 0);
    all
}

fn layout(row: &Json, spans: &str, deltas: &str) -> Buckets {
    let number = |value: &Json| value.as_i64().unwrap();
    let span = |span: &Json| prometheus::remote_write::wire::BucketSpan {
        offset: span.get("offset").map_or_else(|| number(&span[0]), number) as i32,
        length: span.get("length").map_or_else(|| number(&span[1]), number) as u32,
    };
    Buckets {
        spans: row[spans].as_array().into_iter().flatten().map(span).collect(),
        deltas: row[deltas].as_array().into_iter().flatten().map(number).collect(),
        counts: Vec::new(),
    }
}

fn exponential(side: &Json) -> ExponentialBuckets {
    ExponentialBuckets {
        offset: side["offset"].as_i64().unwrap_or_default() as i32,
        counts: side["counts"].as_array().into_iter().flatten().map(|count| count.as_u64().unwrap()).collect(),
    }
}

#[test]
fn exponential_buckets_are_laid_out_as_observed() {
    let Some(file) = vectors("exp_histogram_bucket_layout.json") else { return };
    let made = |row: &Json| {
        let side = json!({"offset": row["offset"], "counts": row["bucket_counts"]});
        buckets(&exponential(&side), row["scale_down"].as_i64().unwrap() as i32)
    };
    for row in rows(&file, "derived") {
        assert_eq!(made(row), layout(row, "spans", "deltas"), "{row}");
    }
    for row in rows(&file, "upstream_cases") {
        let (found, expected) = (made(row), layout(row, "spans", "deltas"));
        assert_eq!(expanded(&found), expanded(&expected), "{row}");
        // The Collector begins with empty buckets where its histogram does, which says nothing.
        if expected.deltas.first().is_some_and(|count| *count != 0) {
            assert_eq!(found, expected, "{row}");
        }
    }
    for row in rows(&file, "spec_examples").iter().filter(|row| row["scale_down"].is_number()) {
        assert_eq!(expanded(&made(row)), expanded(&layout(row, "spans", "deltas")), "{row}");
    }
    for row in rows(&file["upstream_bug_cases"], "cases") {
        let correct = row["correct_expanded"].as_object().unwrap().iter();
        let correct: BTreeMap<i64, i64> =
            correct.map(|(index, count)| (index.parse().unwrap(), count.as_i64().unwrap())).collect();
        assert_eq!(expanded(&made(row)), correct, "{row}");
    }
}

fn exponential_point(row: &Json) -> Json {
    let side = |side: &Json| json!({"offset": side["offset"], "bucketCounts": side["counts"]});
    let mut point = json!({"timeUnixNano": "500000000", "scale": row["scale"], "flags": row["flags"]});
    if let Some(time) = row["ts_ms"].as_i64() {
        point["timeUnixNano"] = (time * 1_000_000).to_string().into();
    }
    for (key, from) in [("count", "count"), ("zeroCount", "zero_count"), ("sum", "sum")] {
        point[key] = row[from].clone();
    }
    for key in ["positive", "negative"] {
        if row[key].is_object() {
            point[key] = side(&row[key]);
        }
    }
    if row["exemplar"].is_number() {
        point["exemplars"] = json!([{"asDouble": row["exemplar"], "timeUnixNano": "1"}]);
    }
    point.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    point
}

fn assert_native(found: &NativeHistogram, expected: &Json, row: &Json) {
    let count = |key: &str| expected[key].as_u64().map(HistogramCount::Int);
    assert_eq!(found.count, count("count_int"), "{row}");
    assert_eq!(i64::from(found.schema), expected["schema"].as_i64().unwrap(), "{row}");
    // JSON is read to the last bit but one.
    let threshold = expected["zero_threshold"].as_f64().unwrap_or(1e-128);
    assert!((found.zero_threshold / threshold - 1.0).abs() < 1e-12, "{row}");
    assert_eq!(found.zero_count, count("zero_count_int").or(Some(HistogramCount::Int(0))), "{row}");
    assert_eq!(found.sum, expected["sum"].as_f64().unwrap_or_default(), "{row}");
    assert_eq!(found.positive, layout(expected, "positive_spans", "positive_deltas"), "{row}");
    assert_eq!(found.negative, layout(expected, "negative_spans", "negative_deltas"), "{row}");
    if let Some(time) = expected["timestamp"].as_i64() {
        assert_eq!(found.timestamp_ms, time, "{row}");
    }
}

#[test]
fn exponential_histograms_become_native_ones_as_observed() {
    let Some(file) = vectors("exp_histogram_to_native.json") else { return };
    for row in rows(&file, "cases") {
        let inputs = row["input"].as_array().cloned().unwrap_or_else(|| vec![row["input"].clone()]);
        let points: Vec<Json> = inputs.iter().map(exponential_point).collect();
        let metric = json!({"name": "e", "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": points}});
        let found = translated("", &request(&json!({}), &json!({}), vec![metric]));
        if row["error"].is_string() {
            assert!(found.is_empty(), "{row}: {found:?}");
            continue;
        }
        let natives: Vec<&NativeHistogram> = found.iter().flat_map(|series| &series.histograms).collect();
        if row["expected"]["sum_bits"].is_string() {
            // The specification's form of staleness, where the Collector puts the bits of its sum into the count as well.
            let [stale] = natives[..] else { panic!("{row}: {found:?}") };
            assert!(is_stale(stale.sum) && stale.count == Some(HistogramCount::Int(0)), "{row}");
            continue;
        }
        let expected = row["expected"].as_array().cloned().unwrap_or_else(|| vec![row["expected"].clone()]);
        assert_eq!(natives.len(), expected.len(), "{row}");
        for (native, expected) in natives.iter().zip(&expected) {
            assert_native(native, expected, row);
        }
        let exemplars: Vec<f64> = found.iter().flat_map(|series| &series.exemplars).map(|(_, value)| *value).collect();
        let given: Vec<f64> = inputs.iter().filter_map(|input| input["exemplar"].as_f64()).collect();
        assert_eq!(exemplars, given, "{row}");
    }
}

#[test]
fn exemplars_are_cut_to_their_ids_as_observed() {
    let Some(file) = vectors("exemplar_limits.json") else { return };
    let hex = |text: &Json| -> Box<[u8]> {
        let text = text.as_str().unwrap();
        (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
    };
    let texts = |map: &Json| -> BTreeMap<String, String> {
        map.as_object().unwrap().iter().map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned())).collect()
    };
    for row in rows(&file, "cases") {
        let filtered = texts(&row["filtered"]);
        let exemplar = Exemplar {
            point: 1,
            time: 1_000_000,
            value: ExemplarValue::Float(2.5),
            trace_id: hex(&row["trace_id"]),
            span_id: hex(&row["span_id"]),
            attributes: Attributes::from_pairs(filtered.iter().map(|(k, v)| (k.as_str(), v.as_str()))),
        };
        let kind = FamilyKind::COUNTER;
        let all = vec![series("a_total", kind, &[]), series("b_total", kind, &[])];
        let from = origin(Source::Otlp, &[("service.name", "j")], &[]);
        let batch = batch(&from, all, vec![point(0, 1, 1.0), point(1, 1, 1.0)]);
        let (mut groups, _) = batch.into_parts();
        groups[0].exemplars.push(exemplar);
        let found = sent(&mut encoder("target_info: {enabled: false}"), MetricBatch::new(groups));
        let with: Vec<_> = found.iter().filter(|series| !series.exemplars.is_empty()).collect();
        let [series] = with[..] else { panic!("{row}: {found:?}") };
        assert_eq!(series.labels["__name__"], "b_total");
        assert_eq!(series.exemplars, [(texts(&row["expected"]), 2.5)], "{row}");
    }
}

/// The metric that a row of the worked example describes.
fn described(metric: &Json, time: &Json) -> Json {
    let point = |point: &Json| {
        let mut made = json!({"timeUnixNano": time, "attributes": attributes(&point["attributes"])});
        for (key, from) in [
            ("asInt", "int"),
            ("asDouble", "double"),
            ("count", "count"),
            ("sum", "sum"),
            ("explicitBounds", "bounds"),
            ("bucketCounts", "bucket_counts"),
            ("scale", "scale"),
            ("zeroCount", "zero_count"),
        ] {
            if !point[from].is_null() {
                made[key] = point[from].clone();
            }
        }
        for key in ["positive", "negative"] {
            if point[key].is_object() {
                made[key] = json!({"offset": point[key]["offset"], "bucketCounts": point[key]["counts"]});
            }
        }
        if let Some(quantiles) = point["quantiles"].as_array() {
            let quantile = |pair: &Json| json!({"quantile": pair[0], "value": pair[1]});
            made["quantileValues"] = quantiles.iter().map(quantile).collect();
        }
        made
    };
    let points = |list: &Json| -> Vec<Json> { list.as_array().unwrap().iter().map(point).collect() };
    let temporality = |of: &Json| if of["temporality"] == "delta" { 1 } else { 2 };
    let mut made = json!({"name": metric["name"], "unit": metric["unit"]});
    for (key, name) in [
        ("gauge", "gauge"),
        ("summary", "summary"),
        ("sum", "sum"),
        ("histogram", "histogram"),
        ("exponential", "exponentialHistogram"),
    ] {
        let data = &metric[key];
        if data.is_array() {
            made[name] = json!({"dataPoints": points(data)});
        } else if data.is_object() {
            made[name] = json!({
                "dataPoints": points(&data["points"]),
                "aggregationTemporality": temporality(data),
                "isMonotonic": data["monotonic"].as_bool().unwrap_or_default(),
            });
            if key != "sum" {
                made[name].as_object_mut().unwrap().remove("isMonotonic");
            }
        }
    }
    made
}

#[test]
fn the_worked_example_comes_out_whole() {
    let Some(file) = vectors("prw_worked_example.json") else { return };
    let input = &file["input"];
    let metrics = rows(input, "metrics").iter().map(|metric| described(metric, &input["timestamp_ns"])).collect();
    let request = request(&input["resource"], &input["scope"], metrics);
    for (keys, delta) in [("", true), ("delta_to_cumulative: {enabled: false}", false)] {
        let found = translated(keys, &request);
        let name = |series: &Sent| series.labels["__name__"].clone();
        assert_eq!(
            found.iter().any(|series| name(series) == "dropped_delta_total"),
            delta,
            "the Collector drops deltas"
        );
        let find = |labels: &Json| {
            let is = |series: &&Sent| {
                labels.as_object().unwrap().iter().all(|(k, v)| series.labels.get(k).map(String::as_str) == v.as_str())
                    && series.labels.len() == labels.as_object().unwrap().len()
            };
            let found: Vec<&Sent> = found.iter().filter(is).collect();
            let [only] = found[..] else { panic!("{labels}: {found:?}") };
            only
        };
        for expected in rows(&file, "expected_series") {
            let series = find(&expected["labels"]);
            let samples: Samples = expected["samples"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|pair| (pair[0].as_i64().unwrap(), pair[1].as_f64().unwrap()))
                .collect();
            assert_eq!(series.samples, samples, "{expected}");
            let natives = expected["histograms"].as_array().cloned().unwrap_or_default();
            assert_eq!(series.histograms.len(), natives.len(), "{expected}");
            for (found, expected) in series.histograms.iter().zip(&natives) {
                assert_native(found, expected, expected);
            }
        }
    }
}

#[test]
fn as_many_series_come_out_as_observed() {
    let Some(file) = vectors("prw_push_counts.json") else { return };
    let time = json!("1000000");
    let histogram = |bounds: usize, counts: usize, sum: bool| {
        let mut point = json!({"timeUnixNano": time, "count": 9, "explicitBounds": (1..=bounds).collect::<Vec<_>>(), "bucketCounts": vec![1; counts]});
        if sum {
            point["sum"] = json!(1.5);
        }
        point
    };
    let summary = || json!({"timeUnixNano": time, "count": 2, "sum": 1.0, "quantileValues": [{"quantile": 0.1, "value": 1}, {"quantile": 0.5, "value": 1}, {"quantile": 1, "value": 1}]});
    let data = |kind: &str, points: Vec<Json>| match kind {
        "gauge" | "summary" => json!({"name": "m", kind: {"dataPoints": points}}),
        _ => json!({"name": "m", kind: {"dataPoints": points, "aggregationTemporality": 2}}),
    };
    let two = |kind: &str, point: Json| {
        let point = |label: &str| {
            let mut point = point.clone();
            point["attributes"] = attributes(&json!({"label": label}));
            point
        };
        data(kind, vec![point("1"), point("2")])
    };
    // Such a point alone, before anything else was met of its series.
    let stale = |mut point: Json| {
        point["flags"] = json!(1);
        vec![point]
    };
    for row in rows(&file, "cases") {
        let name = row["name"].as_str().unwrap();
        let metric = match name {
            "2 double sums, distinct labels" => two("sum", json!({"timeUnixNano": time, "asDouble": 1.0})),
            _ if name.starts_with("2 histograms, 3 bounds") => two("histogram", histogram(3, 4, true)),
            _ if name.starts_with("2 histograms no buckets, no sum") => two("histogram", histogram(0, 0, false)),
            _ if name.starts_with("2 histograms w/o sum") => two("histogram", histogram(3, 4, false)),
            _ if name.starts_with("2 summaries") => two("summary", summary()),
            _ if name.starts_with("histogram with 3 bounds but only 2") => {
                data("histogram", vec![histogram(3, 2, true)])
            }
            "gauge with 0 points" | "sum with 0 points" | "histogram with 0 points" | "summary with 0 points" => {
                data(name.split(' ').next().unwrap(), Vec::new())
            }
            _ if name.starts_with("stale histogram") => data("histogram", stale(histogram(3, 4, true))),
            // Of what was never seen before, there are the parts that all have.
            _ if name.starts_with("stale empty histogram") => {
                data("histogram", vec![json!({"timeUnixNano": time, "flags": 1})])
            }
            "stale summary" => data("summary", stale(summary())),
            "stale gauge/sum" => data("gauge", stale(json!({"timeUnixNano": time, "asInt": 1}))),
            other => panic!("an unknown case: {other}"),
        };
        let found = translated("", &request(&json!({}), &json!({}), vec![metric]));
        let is_marker = |series: &&Sent| series.samples.iter().all(|(_, value)| is_stale(*value));
        let count = match row["stale"].as_bool() {
            Some(true) => {
                let markers: std::collections::BTreeSet<_> =
                    found.iter().filter(is_marker).map(|series| &series.labels).collect();
                markers.len()
            }
            _ => found.len(),
        };
        assert_eq!(count as u64, row["series"].as_u64().unwrap(), "{row}: {found:?}");
    }
}

/// What was sent before ends, whatever the point says; and so does what the point says, whatever was sent before.
#[test]
fn markers_reach_what_was_sent_and_what_the_point_names() {
    let point = |bounds: &[u64], sum: Option<f64>, flags: u64| {
        let counts = vec![1; if bounds.is_empty() { 0 } else { bounds.len() + 1 }];
        let mut point = json!({"timeUnixNano": (flags + 1).to_string() + "000000", "count": 2, "explicitBounds": bounds, "bucketCounts": counts, "flags": flags});
        sum.into_iter().for_each(|sum| point["sum"] = json!(sum));
        point
    };
    let markers = |points: Vec<Json>| {
        let metric = json!({"name": "m", "histogram": {"dataPoints": points, "aggregationTemporality": 2}});
        let found = translated("", &request(&json!({}), &json!({}), vec![metric]));
        let is_marked = |series: &Sent| series.samples.last().is_some_and(|(_, value)| is_stale(*value));
        let name = |series: Sent| match series.labels.get("le") {
            Some(le) => le.clone(),
            None => series.labels["__name__"].clone(),
        };
        found.into_iter().filter(is_marked).map(name).collect::<std::collections::BTreeSet<_>>()
    };
    let expected = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let alone = |point| markers(vec![point]);
    assert_eq!(alone(point(&[1, 2], Some(1.0), 1)), expected(&["m_sum", "m_count", "1", "2", "+Inf"]));
    assert_eq!(alone(point(&[1, 2], None, 1)), expected(&["m_count", "1", "2", "+Inf"]));
    let after = |first, point| markers(vec![first, point]);
    let all = ["m_sum", "m_count", "1", "2", "+Inf"];
    assert_eq!(after(point(&[1, 2], Some(1.0), 0), json!({"timeUnixNano": "2000000", "flags": 1})), expected(&all));
    assert_eq!(after(point(&[1, 2], Some(1.0), 0), point(&[1, 2], None, 1)), expected(&all));
    assert_eq!(after(point(&[1, 2], None, 0), point(&[2, 3], None, 1)), expected(&["m_count", "1", "2", "3", "+Inf"]));
}

#[test]
fn exemplars_of_a_whole_histogram_go_to_their_buckets() {
    let exemplar =
        |value: f64| json!({"asDouble": value, "timeUnixNano": "1", "traceId": "0123456789abcdef0123456789abcdef"});
    let point = json!({
        "timeUnixNano": "1000000", "count": 3, "sum": 1.0, "explicitBounds": [1, 5], "bucketCounts": [1, 1, 1],
        "exemplars": [exemplar(9.0), exemplar(1.0), exemplar(0.5)],
    });
    let old = json!({"timeUnixNano": "1000000", "asInt": 1, "exemplars": [exemplar(3.0)]});
    // Gauges have none in this version.
    let metrics = vec![
        json!({"name": "g", "gauge": {"dataPoints": [old]}}),
        json!({"name": "n", "sum": {"aggregationTemporality": 2, "dataPoints": [old]}}),
        json!({"name": "h", "histogram": {"aggregationTemporality": 2, "dataPoints": [point]}}),
        json!({"name": "c", "sum": {"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [old]}}),
    ];
    let request = request(&json!({}), &json!({}), metrics);
    let mut found = Vec::new();
    for series in translated("", &request).into_iter().filter(|series| !series.exemplars.is_empty()) {
        let values: Vec<f64> = series.exemplars.iter().map(|(_, value)| *value).collect();
        found.push((series.labels["__name__"].clone(), series.labels.get("le").cloned().unwrap_or_default(), values));
    }
    let expected = [
        ("n", "", vec![3.0]),
        ("h_bucket", "1", vec![1.0, 0.5]),
        ("h_bucket", "+Inf", vec![9.0]),
        ("c_total", "", vec![3.0]),
    ];
    assert_eq!(found, expected.map(|(name, le, values)| (name.to_owned(), le.to_owned(), values)));
    assert!(translated("send_exemplars: false", &request).iter().all(|series| series.exemplars.is_empty()));
}
