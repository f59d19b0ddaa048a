//! Whatever is sent comes out as it was; whatever cannot be read is refused.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod usual;

use proptest::prelude::*;
use proptest::test_runner::TestRng;

use pipeline::component::Signal;
use pipeline::{AttributeValue, FamilyKind, MetricBatch, Source};

use super::*;
use crate::encode;
use crate::json::{from_protobuf, to_protobuf};
use crate::schema::{Field, Kind, METRICS, Message};
use crate::wire;

fn read(body: &[u8]) -> Taken {
    MetricsReader::default().read(body, 0).unwrap()
}

fn request(json: &str) -> Vec<u8> {
    to_protobuf(Signal::Metrics, json.as_bytes()).unwrap()
}

/// A request with this metric.
fn metric(json: &str) -> Vec<u8> {
    request(&format!("{{\"resourceMetrics\":[{{\"scopeMetrics\":[{{\"metrics\":[{json}]}}]}}]}}"))
}

/// Writes random messages of the schema in the order in which encoders write them.
struct Generator {
    rng: TestRng,
    /// Resources, scopes and metrics are told apart by it, since those that are alike are put together.
    serial: u32,
    /// Whether the flags to come have to say that there is no value.
    nothing: bool,
}

impl Generator {
    fn new(rng: TestRng) -> Self {
        Self { rng, serial: 0, nothing: false }
    }

    fn below(&mut self, limit: u32) -> u32 {
        self.rng.next_u32() % limit
    }

    fn text(&mut self) -> String {
        ["", "a", "service.name", "é\u{0}\u{10ffff}", &"long ".repeat(40)][self.below(5) as usize].to_owned()
    }

    fn word(&mut self) -> u64 {
        [0, 1, u64::MAX, 1 << 63, 0x3ff0_0000_0000_0000, self.rng.next_u64()][self.below(6) as usize]
    }

    fn message(&mut self, message: &'static Message, depth: u32, out: &mut Vec<u8>) {
        let mut fields: Vec<&'static Field> = message.fields.iter().collect();
        fields.sort_by_key(|field| field.number);
        // Of a metric's data, a point's value and an attribute's value there is one.
        let alternatives: &[u32] = match message.name {
            "Metric" => &[5, 7, 9, 10, 11],
            "NumberDataPoint" => &[4, 6],
            "Exemplar" => &[3, 6],
            "AnyValue" => &[1, 2, 3, 4, 5, 6, 7],
            _ => &[],
        };
        let mut chosen = alternatives.get(self.below(alternatives.len().max(1) as u32) as usize).copied();
        if message.name == "NumberDataPoint" && self.below(4) == 0 {
            chosen = None;
            self.nothing = true;
        }
        for field in fields {
            if alternatives.contains(&field.number) && chosen != Some(field.number) {
                continue;
            }
            self.field(message, field, chosen == Some(field.number), depth, out);
        }
    }

    fn field(&mut self, message: &'static Message, field: &'static Field, chosen: bool, depth: u32, out: &mut Vec<u8>) {
        let always =
            matches!(field.name, "resource" | "scope" | "scopeMetrics" | "metrics" | "dataPoints" | "resourceMetrics")
                || (message.name == "KeyValue");
        let optional =
            matches!(field.name, "min" | "max") || (field.name == "sum" && message.name != "SummaryDataPoint");
        if field.repeated {
            let most = if matches!(field.kind, Kind::Message(inner) if inner.name == "AnyValue" || inner.name == "KeyValue")
            {
                3
            } else {
                4
            };
            let count = if always { 1 + self.below(2) } else { self.below(most) };
            if field.kind.wire_type() != wire::BYTES {
                self.packed(field, count, out);
                return;
            }
            for at in 0..count {
                self.value(field, at, depth, out);
            }
        } else if always || chosen || (optional && self.below(2) == 0) {
            self.value(field, 0, depth, out);
        } else if !optional {
            let before = out.len();
            self.value(field, 0, depth, out);
            // Encoders leave out what has its default, and so do we.
            let value = out.get(before + 1..).unwrap().to_vec();
            if value.iter().all(|byte| *byte == 0) {
                out.truncate(before);
            }
        }
    }

    fn packed(&mut self, field: &'static Field, count: u32, out: &mut Vec<u8>) {
        if count == 0 {
            return;
        }
        wire::put_message(out, field.number, |out| {
            for _ in 0..count {
                match field.kind.wire_type() {
                    wire::VARINT => wire::put_varint(out, self.word()),
                    _ => out.extend_from_slice(&self.word().to_le_bytes()),
                }
            }
        });
    }

    /// One value with its tag.
    fn value(&mut self, field: &'static Field, at: u32, depth: u32, out: &mut Vec<u8>) {
        self.serial += 1;
        match field.kind {
            Kind::Message(inner) if inner.name == "KeyValue" => {
                // Keys are unique and in order, as the model keeps them. Those of a list within a value stay as they are.
                let (mut key, mut value) = (format!("k{at}"), self.any_value(depth));
                if field.name == "metadata" && at > 0 {
                    // A type of Prometheus, on whatever it comes.
                    "prometheus.type".clone_into(&mut key);
                    let known = ["unknown", "info", "stateset", "histogram"][self.below(4) as usize];
                    value.clear();
                    wire::put_bytes(&mut value, 1, known.as_bytes());
                }
                wire::put_message(out, field.number, |out| {
                    wire::put_bytes(out, 1, key.as_bytes());
                    wire::put_bytes(out, 2, &value);
                });
            }
            Kind::Message(inner) => {
                let mut body = Vec::new();
                self.message(inner, depth + 1, &mut body);
                wire::put_bytes(out, field.number, &body);
            }
            Kind::Text if field.name == "name" || field.name == "schemaUrl" => {
                let text = self.text();
                wire::put_bytes(out, field.number, format!("{}{text}", self.serial).as_bytes());
            }
            Kind::Text => {
                let text = self.text();
                wire::put_bytes(out, field.number, text.as_bytes());
            }
            Kind::Bytes => wire::put_bytes(out, field.number, &[0, 255]),
            Kind::Id => wire::put_bytes(out, field.number, &[7; 16][..self.below(17) as usize]),
            Kind::Bool => wire::put_number(out, field.number, u64::from(self.below(2))),
            Kind::Enum(_) => wire::put_number(out, field.number, u64::from(self.below(3))),
            // Of flags the first says that there is no value, with whatever else the point has.
            Kind::Int32 => {
                let nothing = field.name == "flags" && std::mem::take(&mut self.nothing);
                wire::put_number(out, field.number, u64::from(self.below(1000) | u32::from(nothing)));
            }
            Kind::Sint32 => wire::put_number(out, field.number, u64::from(self.rng.next_u32())),
            Kind::Int64 { .. } => wire::put_number(out, field.number, self.word()),
            Kind::Fixed32 => panic!("metrics have none"),
            Kind::Fixed64 { .. } | Kind::Double => wire::put_fixed64(out, field.number, self.word()),
        }
    }

    fn any_value(&mut self, depth: u32) -> Vec<u8> {
        let mut out = Vec::new();
        if depth < 12 && self.below(10) > 0 {
            self.message(&crate::schema::ANY_VALUE, depth + 3, &mut out);
        }
        out
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// Byte for byte, a second time (when everything is remembered) as well as the first.
    #[test]
    fn any_request_comes_out_as_it_was(rng in Just(()).prop_perturb(|(), rng| rng)) {
        let mut body = Vec::new();
        Generator::new(rng).message(&METRICS, 0, &mut body);
        prop_assert!(crate::request::check(Signal::Metrics, &body).is_ok());
        let mut reader = MetricsReader::default();
        for now in 0..2 {
            let taken = reader.read(&body, now).unwrap();
            prop_assert_eq!(&taken.rejected, &Rejected::default());
            prop_assert_eq!(taken.points, crate::request::count(Signal::Metrics, &body));
            let out = encode::metrics(&MetricBatch::new(taken.groups));
            let text = |body: &[u8]| from_protobuf(Signal::Metrics, body).unwrap();
            prop_assert_eq!(text(&out), text(&body));
            prop_assert!(out == body, "the JSON is the same, the bytes are not: {}", text(&body));
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        MetricsReader::default().read(&bytes, 0).ok();
    }

    /// Requests with a few bytes changed reach further into the reader than noise does.
    #[test]
    fn damaged_requests_are_read_without_panic(
        rng in Just(()).prop_perturb(|(), rng| rng),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut body = Vec::new();
        Generator::new(rng).message(&METRICS, 0, &mut body);
        for (at, byte) in damage {
            let at = at.index(body.len());
            body[at] = byte;
        }
        body.truncate(cut.index(body.len()) + 1);
        let mut reader = MetricsReader::default();
        if let Ok(taken) = reader.read(&body, 0) {
            drop(encode::metrics(&MetricBatch::new(taken.groups)));
        }
    }
}

#[test]
fn the_same_identity_is_one_series_and_one_table() {
    let body = metric(
        r#"{"name":"m","sum":{"isMonotonic":true,"aggregationTemporality":2,"dataPoints":[
        {"attributes":[{"key":"a","value":{"stringValue":"1"}}],"timeUnixNano":"1","asInt":"5"},
        {"timeUnixNano":"1","asDouble":0.5,"attributes":[{"key":"a","value":{"stringValue":"2"}}]}]}}"#,
    );
    let mut reader = MetricsReader::default();
    let first = reader.read(&body, 0).unwrap();
    let second = reader.read(&body, 1).unwrap();
    let [group] = first.groups.as_slice() else { panic!("one group") };
    assert!(Arc::ptr_eq(&group.table, &second.groups.first().unwrap().table));
    assert_eq!((group.table.len(), reader.sizes()), (2, (2, 1)));
    assert_eq!(group.origin.source, Source::Otlp);
    let series = group.table.get(1).unwrap();
    assert_eq!(series.attributes.get_str("a"), Some("2"));
    assert_eq!(series.family.kind, FamilyKind::COUNTER);
    // Written in another order, with numbers between the attributes, it is still the same series.
    let mut point = Vec::new();
    crate::attributes::put(&mut point, 7, [("b", AttributeValue::Bool(true))]);
    wire::put_fixed64(&mut point, 4, 0);
    crate::attributes::put(&mut point, 7, [("a", AttributeValue::Str("2"))]);
    let whole = metric(
        r#"{"name":"m","gauge":{"dataPoints":[{"asDouble":0,"attributes":[
        {"key":"a","value":{"stringValue":"2"}},{"key":"b","value":{"boolValue":true}}]}]}}"#,
    );
    let mut scattered = Vec::new();
    wire::put_message(&mut scattered, 1, |out| {
        wire::put_message(out, 2, |out| {
            wire::put_message(out, 2, |out| {
                wire::put_message(out, 5, |out| wire::put_bytes(out, 1, &point));
                wire::put_bytes(out, 1, b"m");
            })
        })
    });
    let series = |body: &[u8]| Arc::clone(read(body).groups.first().unwrap().table.get(0).unwrap());
    assert!(Arc::ptr_eq(&series(&whole), &series(&scattered)));
}

#[test]
fn what_differs_in_any_part_is_another_series() {
    let whole = |resource: &str, scope: &str, unit: &str, kind: &str| {
        request(&format!(
            "{{\"resourceMetrics\":[{{\"schemaUrl\":\"{resource}\",\"scopeMetrics\":[{{\"scope\":{{\"name\":\"{scope}\"}},\"metrics\":[\
             {{\"name\":\"m\",\"unit\":\"{unit}\",\"{kind}\":{{\"dataPoints\":[{{\"asInt\":1}}]}}}}]}}]}}]}}"
        ))
    };
    let mut reader = MetricsReader::default();
    let bodies = [
        whole("", "", "", "gauge"),
        whole("x", "", "", "gauge"),
        whole("", "x", "", "gauge"),
        whole("", "", "x", "gauge"),
        whole("", "", "", "sum"),
    ];
    for body in &bodies {
        assert_eq!(reader.read(body, 0).unwrap().points, 1);
    }
    assert_eq!(reader.sizes().0, bodies.len());
}

#[test]
fn points_that_cannot_be_taken_are_counted_with_a_reason() {
    let mut body = metric(r#"{"name":"m","gauge":{"dataPoints":[{"timeUnixNano":"1"},{"asInt":1},{"flags":1}]}}"#);
    let taken = read(&body);
    assert_eq!((taken.points, taken.rejected.points), (2, 1));
    assert_eq!(taken.rejected.first.unwrap(), "a data point of metric \"m\" is left out: it has no value");
    let mut point = Vec::new();
    wire::put_fixed64(&mut point, 4, 0);
    wire::put_message(&mut point, 7, |out| wire::put_bytes(out, 1, &[0xff]));
    wire::put_message(&mut body, 1, |out| {
        wire::put_message(out, 2, |out| {
            wire::put_message(out, 2, |out| {
                wire::put_message(out, 5, |out| wire::put_bytes(out, 1, &point));
            })
        })
    });
    let taken = read(&body);
    assert_eq!((taken.points, taken.rejected.points), (2, 2));
    assert_eq!(taken.groups.iter().map(|group| group.points.len()).sum::<usize>(), 2);
}

/// The attributes that were read before the one that is wrong are nobody else's.
#[test]
fn a_point_that_is_left_out_leaves_nothing_behind() {
    let point = |attributes: &[(&str, &[u8])]| {
        let mut point = Vec::new();
        wire::put_fixed64(&mut point, 4, 0);
        for (key, value) in attributes {
            wire::put_message(&mut point, 7, |out| {
                wire::put_bytes(out, 1, key.as_bytes());
                wire::put_message(out, 2, |out| wire::put_bytes(out, 1, value));
            });
        }
        point
    };
    let mut body = Vec::new();
    wire::put_message(&mut body, 1, |out| {
        wire::put_message(out, 2, |out| {
            wire::put_message(out, 2, |out| {
                wire::put_message(out, 5, |out| {
                    wire::put_bytes(out, 1, &point(&[("secret", b"1"), ("broken", &[0xff])]));
                    wire::put_bytes(out, 1, &point(&[("own", b"2")]));
                });
            })
        })
    });
    let taken = read(&body);
    let [group] = taken.groups.as_slice() else { panic!("one group") };
    let attributes: Vec<_> = group.table.as_slice().iter().map(|series| series.attributes.clone()).collect();
    assert_eq!((taken.rejected.points, attributes), (1, vec![pipeline::Attributes::from_pairs([("own", "2")])]));
}

#[test]
fn what_is_idle_is_let_go() {
    let mut reader = MetricsReader::default();
    reader.read(&metric(r#"{"name":"idle","gauge":{"dataPoints":[{"asInt":1}]}}"#), 0).unwrap();
    assert_eq!(reader.sizes(), (1, 1));
    reader.read(&metric(r#"{"name":"other","gauge":{"dataPoints":[{"asInt":1}]}}"#), 300).unwrap();
    assert_eq!(reader.sizes(), (2, 2));
    reader.read(b"", 420).unwrap();
    assert_eq!(reader.sizes().0, 1);
    let mut small = MetricsReader::with_max_series(10);
    for name in 0..100 {
        small
            .read(&metric(&format!("{{\"name\":\"{name}\",\"gauge\":{{\"dataPoints\":[{{\"asInt\":1}}]}}}}")), 0)
            .unwrap();
        assert!(small.sizes().0 <= 11);
    }
}

/// What producers that mark the end of a series leave in it: the bounds, mostly.
#[test]
fn points_without_a_value_keep_what_else_they_say() {
    let body = request(
        r#"{"resourceMetrics":[{"resource":{},"scopeMetrics":[{"scope":{},"metrics":[
            {"name":"h","histogram":{"aggregationTemporality":2,"dataPoints":[
                {"timeUnixNano":"1","flags":1,"explicitBounds":[1,2],"bucketCounts":["0","0","0"]},{"timeUnixNano":"2","flags":1}]}},
            {"name":"e","exponentialHistogram":{"aggregationTemporality":2,"dataPoints":[{"timeUnixNano":"1","flags":1,"scale":3,"zeroThreshold":-0.0}]}},
            {"name":"s","summary":{"dataPoints":[{"timeUnixNano":"1","flags":1,"quantileValues":[{"quantile":0.5}]}]}},
            {"name":"g","gauge":{"dataPoints":[{"timeUnixNano":"1","flags":1,"asInt":"7"},{"timeUnixNano":"2","flags":3,"asDouble":0},{"timeUnixNano":"3","flags":1}]}}
        ]}]}]}"#,
    );
    let taken = read(&body);
    let recorded = taken.groups.iter().flat_map(|group| &group.points).filter(|point| point.value.is_recorded());
    assert_eq!((taken.points, recorded.count()), (7, 0));
    let out = encode::metrics(&MetricBatch::new(taken.groups));
    let text = |body: &[u8]| from_protobuf(Signal::Metrics, body).unwrap();
    assert_eq!(text(&out), text(&body));
}

/// As the examples of the OTLP specification are written: 64-bit numbers without quotes, fields in any order, and a
/// histogram with more counts than its bounds have room for.
#[test]
fn requests_in_the_style_of_the_specifications_examples_are_read() {
    let body = request(
        r#"{"resourceMetrics": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "one"}}]},
          "scopeMetrics": [{"scope": {"name": "lib", "version": "1.0.0", "attributes": [{"key": "s", "value": {"stringValue": "t"}}]},
          "metrics": [
            {"name": "a.counter", "unit": "1", "description": "A counter", "sum": {"aggregationTemporality": 1, "isMonotonic": true,
              "dataPoints": [{"asDouble": 5, "startTimeUnixNano": 1544712660300000000, "timeUnixNano": 1544712661300000000,
                "attributes": [{"key": "x", "value": {"stringValue": "y"}}]}]}},
            {"name": "a.gauge", "gauge": {"dataPoints": [{"asInt": 10, "timeUnixNano": "1544712660300000000"}]}},
            {"name": "a.histogram", "histogram": {"aggregationTemporality": 2, "dataPoints": [{"count": 3, "sum": 3,
              "bucketCounts": [1, 1, 1], "explicitBounds": [1], "min": 1, "max": 1}]}},
            {"name": "an.exponential.histogram", "exponentialHistogram": {"aggregationTemporality": "AGGREGATION_TEMPORALITY_DELTA",
              "dataPoints": [{"count": "3", "sum": 10, "scale": 0, "zeroCount": 1, "positive": {"offset": 1, "bucketCounts": [0, 2]}}]}},
            {"name": "a.summary", "summary": {"dataPoints": [{"count": 2, "sum": 4.5, "quantileValues": [{"quantile": 0.5, "value": 2}]}]}}
          ]}]}]}"#,
    );
    let taken = read(&body);
    let [group] = taken.groups.as_slice() else { panic!("one group") };
    assert_eq!(group.origin.resource.attributes.get_str("service.name"), Some("one"));
    assert_eq!(group.origin.scope.attributes.get_str("s"), Some("t"));
    let families: Vec<_> =
        group.table.as_slice().iter().map(|series| (&*series.family.name, series.family.kind)).collect();
    let (delta, cumulative) = (pipeline::Temporality::Delta, pipeline::Temporality::Cumulative);
    assert_eq!(
        families,
        [
            ("a.counter", FamilyKind::Sum { monotonic: true, temporality: delta }),
            ("a.gauge", FamilyKind::Gauge),
            ("a.histogram", FamilyKind::Histogram { temporality: cumulative }),
            ("an.exponential.histogram", FamilyKind::ExponentialHistogram { temporality: delta }),
            ("a.summary", FamilyKind::Summary),
        ]
    );
    let values: Vec<_> = group.points.iter().map(|point| &point.value).collect();
    let [
        pipeline::Value::Float(counter),
        pipeline::Value::Int(gauge),
        pipeline::Value::Histogram(histogram),
        pipeline::Value::ExponentialHistogram(exponential),
        pipeline::Value::Summary(summary),
    ] = values.as_slice()
    else {
        panic!("{values:?}")
    };
    assert_eq!((*counter, *gauge, histogram.count, histogram.sum), (5.0, 10, 3, Some(3.0)));
    assert_eq!((&*histogram.bucket_counts, &*histogram.bounds), (&[1, 1, 1][..], &[1.0][..]));
    assert_eq!(
        (exponential.zero_count, exponential.positive.offset, &*exponential.positive.counts),
        (1, 1, &[0, 2][..])
    );
    assert_eq!((summary.count, summary.sum, &*summary.quantiles), (2, 4.5, &[(0.5, 2.0)][..]));
    let first = group.points.first().unwrap();
    assert_eq!((first.start, first.time), (1_544_712_660_300_000_000, 1_544_712_661_300_000_000));
}
