#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use pipeline::channel::channel;
use pipeline::component::{Build, BuildContext, ExporterContext, Program, Shared, Signal};
use pipeline::config::{ComponentId, parse};
use pipeline::model::Source;
use pipeline::stop::Stop;
use pipeline::telemetry::Telemetry;
use pipeline::value::{
    Exemplar, ExemplarValue, ExponentialBuckets, ExponentialHistogram, Histogram, Point, Summary, Value,
};
use pipeline::{
    Ack, AckOutcome, Acks, Attributes, Family, FamilyKind, MetricBatch, Origin, Output, Part, PointGroup, Resource,
    Scope, Series, SeriesTable, Temporality,
};
use tokio::time::Instant;

use super::config::{DebugConfig, Verbosity};
use super::sampling::Sampler;
use super::tree::Tree;
use super::values::{put_detailed_value, put_normal_value, timestamp};
use super::{FACTORY, messages, text};

fn series(family: &str, kind: FamilyKind, name: &str, part: Part, attributes: &[(&str, &str)]) -> Arc<Series> {
    let family = Family {
        name: family.into(),
        description: "Help.".into(),
        unit: "By".into(),
        kind,
        metadata: Attributes::default(),
    };
    Series::intern(Arc::new(family), name.into(), part, Attributes::from_pairs(attributes.iter().copied()))
}

fn point(series: u32, value: Value) -> Point {
    Point { series, flags: 0, time: 1_581_452_773_000_000_789, start: 1_581_452_772_000_000_321, value }
}

/// One origin with every kind of value.
fn batch() -> MetricBatch {
    let temporality = Temporality::Cumulative;
    let table = SeriesTable::intern(vec![
        series("requests", FamilyKind::COUNTER, "requests", Part::Whole, &[("code", "200")]),
        series("size", FamilyKind::Histogram { temporality }, "size", Part::Whole, &[]),
        series("exp", FamilyKind::ExponentialHistogram { temporality }, "exp", Part::Whole, &[]),
        series("lat", FamilyKind::Summary, "lat", Part::Whole, &[]),
        series("flat", FamilyKind::Histogram { temporality }, "flat_bucket", Part::Bucket("0.5".into()), &[("a", "b")]),
        series("gone", FamilyKind::Gauge, "gone", Part::Whole, &[]),
    ]);
    let histogram = Histogram {
        count: 3,
        sum: Some(4.5),
        min: Some(1.0),
        bounds: [1.0, 2.5].into(),
        bucket_counts: [1, 0, 2].into(),
        ..Histogram::default()
    };
    let exponential = ExponentialHistogram {
        count: 4,
        sum: Some(1.0),
        scale: 0,
        zero_count: 1,
        zero_threshold: 0.5,
        positive: ExponentialBuckets { offset: 0, counts: [1, 0, 1].into() },
        negative: ExponentialBuckets { offset: -1, counts: [1].into() },
        ..ExponentialHistogram::default()
    };
    let summary = Summary { count: 2, sum: 3.0, quantiles: [(0.5, 1.5)].into() };
    let points = vec![
        point(0, Value::Int(123)),
        point(1, Value::Histogram(Box::new(histogram))),
        point(2, Value::ExponentialHistogram(Box::new(exponential))),
        point(3, Value::Summary(Box::new(summary))),
        point(4, Value::Float(7.5)),
        point(5, Value::NONE),
    ];
    let resource = Resource {
        attributes: Attributes::from_pairs([("service.name", "shop")]),
        schema_url: "https://example.com/1".into(),
        ..Resource::default()
    };
    let scope = Scope { name: "lib".into(), version: "1.2".into(), ..Scope::default() };
    let origin = Origin::intern(Source::Otlp, resource, scope, Attributes::from_pairs([("zone", "z1")]));
    let exemplar = Exemplar {
        point: 0,
        time: 1_000_000_000,
        value: ExemplarValue::Float(0.25),
        trace_id: [0xab; 16].into(),
        span_id: Box::default(),
        attributes: Attributes::from_pairs([("user", "u")]),
    };
    MetricBatch::new(vec![PointGroup { exemplars: vec![exemplar], ..PointGroup::new(origin, table, points) }])
}

#[test]
fn normal_is_one_line_a_point() {
    let batch = batch();
    assert_eq!(
        text::normal(&Tree::of(&batch)),
        "ResourceMetrics #0 [https://example.com/1] service.name=shop\n\
         ScopeMetrics #0 lib@1.2\n\
         requests{code=200,zone=z1} 123\n\
         size{zone=z1} count=3 sum=4.5 min=1 le1=1 le2.5=0 2\n\
         exp{zone=z1} count=4 sum=1 (-1.000000,-0.500000]=1 (-0.500000,0.500000]=1 (1.000000,2.000000]=1 \
         (4.000000,8.000000]=1\n\
         lat{zone=z1} count=2 sum=3.000000 q0.5=1.5\n\
         flat_bucket{a=b,zone=z1,le=0.5} 7.5\n\
         gone{zone=z1} no recorded value\n"
    );
}

#[test]
fn fractions_are_shown_as_they_are() {
    let explicit = Value::FloatHistogram(Box::new(Histogram {
        count: 2.75,
        sum: Some(9.0),
        bounds: [0.5].into(),
        bucket_counts: [0.25, 2.5].into(),
        ..Histogram::default()
    }));
    let exponential = Value::FloatExponentialHistogram(Box::new(ExponentialHistogram {
        count: 1.5,
        zero_count: 0.5,
        zero_threshold: 0.25,
        positive: ExponentialBuckets { offset: 0, counts: [0.0, 1.0].into() },
        ..ExponentialHistogram::default()
    }));
    let (mut normal, mut detailed) = (String::new(), String::new());
    for value in [&explicit, &exponential] {
        put_normal_value(&mut normal, value);
        normal.push('\n');
        put_detailed_value(&mut detailed, value);
    }
    assert_eq!(normal, "count=2.75 sum=9 le0.5=0.25 2.5\ncount=1.5 (-0.250000,0.250000]=0.5 (2.000000,4.000000]=1\n");
    assert_eq!(
        detailed,
        "Count: 2.75\nSum: 9.000000\nExplicitBounds #0: 0.500000\nBuckets #0, Count: 0.25\nBuckets #1, Count: 2.5\n\
         Count: 1.5\nScale: 0\nBucket (-0.250000, 0.250000], Count: 0.5\nBucket (2.000000, 4.000000], Count: 1\n"
    );
}

#[test]
fn detailed_shows_everything() {
    let batch = batch();
    let dump = text::detailed(&Tree::of(&batch));
    let beginning = "ResourceMetrics #0\n\
         Resource SchemaURL: https://example.com/1\n\
         Resource attributes:\n     -> service.name: Str(shop)\n\
         ScopeMetrics #0\n\
         ScopeMetrics SchemaURL: \n\
         InstrumentationScope lib 1.2\n\
         Metric #0\n\
         Descriptor:\n     -> Name: requests\n     -> Description: Help.\n     -> Unit: By\n     -> DataType: Sum\n     \
         -> IsMonotonic: true\n     -> AggregationTemporality: Cumulative\n\
         NumberDataPoints #0\n\
         Data point attributes:\n     -> code: Str(200)\n     -> zone: Str(z1)\n\
         StartTimestamp: 2020-02-11 20:26:12.000000321 +0000 UTC\n\
         Timestamp: 2020-02-11 20:26:13.000000789 +0000 UTC\n\
         Value: 123\n\
         Exemplars:\nExemplar #0\n     -> Trace ID: abababababababababababababababab\n     -> Span ID: \n     \
         -> Timestamp: 1970-01-01 00:00:01 +0000 UTC\n     -> Value: 0.250000\n     -> FilteredAttributes:\n     \
         -> user: Str(u)\n\
         Metric #1\n";
    assert!(dump.starts_with(beginning), "{dump}");
    for part in [
        "HistogramDataPoints #0\n",
        "Count: 3\nSum: 4.500000\nMin: 1.000000\nExplicitBounds #0: 1.000000\nExplicitBounds #1: 2.500000\n\
         Buckets #0, Count: 1\nBuckets #1, Count: 0\nBuckets #2, Count: 2\n",
        "Bucket (-1.000000, -0.500000], Count: 1\nBucket (-0.500000, 0.500000], Count: 1\n\
         Bucket (1.000000, 2.000000], Count: 1\nBucket (4.000000, 8.000000], Count: 1\n",
        "QuantileValue #0: Quantile 0.500000, Value 1.500000\n",
        "Sample name: flat_bucket\nData point attributes:\n     -> a: Str(b)\n     -> zone: Str(z1)\n     -> le: Str(0.5)\n",
        "Value: none (no recorded value)\n",
    ] {
        assert!(dump.contains(part), "{part}\nis not in\n{dump}");
    }
}

#[test]
fn the_summary_counts_resources_metrics_and_points() {
    let batch = batch();
    let tree = Tree::of(&batch);
    let counts =
        [("resource metrics", tree.resource_count()), ("metrics", tree.metric_count()), ("data points", batch.len())];
    let line = text::summary("debug/a", "Metrics", &counts);
    let fields = "{\"exporter\": \"debug/a\", \"resource metrics\": 1, \"metrics\": 6, \"data points\": 6}\n";
    assert!(line.ends_with(&format!("\tinfo\tMetrics\t{fields}")), "{line}");
}

#[test]
fn groups_of_one_resource_and_scope_are_one() {
    let groups: Vec<PointGroup> = batch().groups().iter().chain(batch().groups()).cloned().collect();
    let batch = MetricBatch::new(groups);
    let tree = Tree::of(&batch);
    assert_eq!((tree.resource_count(), tree.metric_count()), (1, 6));
}

#[test]
fn times_are_printed_as_go_prints_them() {
    assert_eq!(timestamp(0), "1970-01-01 00:00:00 +0000 UTC");
    assert_eq!(timestamp(951_782_400_500_000_000), "2000-02-29 00:00:00.5 +0000 UTC");
    assert_eq!(timestamp(-1), "1969-12-31 23:59:59.999999999 +0000 UTC");
    assert_eq!(timestamp(i64::MAX), "2262-04-11 23:47:16.854775807 +0000 UTC");
}

#[test]
fn old_names_mean_what_they_meant() {
    let read = |text: &str| DebugConfig::read(&parse(text, "t.yaml").unwrap());
    let verbosity = |text: &str, logging| read(text).unwrap().settings(logging).verbosity;
    assert_eq!(verbosity("", false), Verbosity::Basic);
    assert_eq!(verbosity("", true), Verbosity::Normal);
    assert_eq!(verbosity("loglevel: DEBUG", false), Verbosity::Detailed);
    assert_eq!(verbosity("loglevel: info", true), Verbosity::Normal);
    assert_eq!(verbosity("loglevel: error", true), Verbosity::Basic);
    assert_eq!(verbosity("verbosity: Detailed", false), Verbosity::Detailed);
    assert_eq!(read("").unwrap().settings(true).sampling_thereafter, 500);
    assert_eq!(read("sampling_thereafter: 7").unwrap().settings(true).sampling_thereafter, 7);
    assert_eq!(
        read("loglevel: info\nverbosity: basic").unwrap_err().to_string(),
        "t.yaml:1:1: loglevel: 'loglevel' and 'verbosity' are incompatible: keep 'verbosity' and remove 'loglevel'"
    );
    assert!(read("loglevel: loud").unwrap_err().to_string().contains("unrecognized level \"loud\""));
    let error = read("verbosity: loud").unwrap_err().to_string();
    assert!(error.contains("verbosity level \"loud\" is not supported"), "{error}");
}

#[test]
fn sampling_begins_anew_each_second() {
    let start = Instant::now();
    let at = |millis| start + Duration::from_millis(millis);
    let mut sampler = Sampler::new(2, 3);
    let shown: Vec<bool> = (0..8).map(|n| sampler.admits(at(n))).collect();
    assert_eq!(shown, [true, true, false, false, true, false, false, true]);
    assert!(sampler.admits(at(1000)));
    let mut nothing_after = Sampler::new(1, 0);
    assert_eq!([1, 2, 3].map(|n| nothing_after.admits(at(n))), [true, false, false]);
    let mut everything = Sampler::new(0, 1);
    assert_eq!([1, 2, 3].map(|n| everything.admits(at(n))), [true, true, true]);
}

#[tokio::test]
async fn delivers_counts_and_ends_with_its_input() {
    let telemetry = Telemetry::default();
    let context = BuildContext {
        id: "debug/x".parse::<ComponentId>().unwrap(),
        program: Program { name: "oxidot", version: "0" },
        telemetry: telemetry.clone(),
        shared: Shared::default(),
        signal: None,
    };
    let node = parse("verbosity: detailed\nuse_internal_logger: true\n", "t.yaml").unwrap();
    (FACTORY.validate)(&node).unwrap();
    let Build::Exporter(build) = FACTORY.build else { panic!("an exporter's factory builds exporters") };
    let exporter = build(&node, &context).unwrap();
    let (entry, input) = channel();
    let output = Output::to(vec![entry]);
    let (ack, waiter) = Ack::channel();
    output.send(MetricBatch::with_acks(batch().into_parts().0, Acks::one(ack))).await.unwrap();
    drop(output);
    exporter.run(ExporterContext { input, stop: Stop::never() }).await.unwrap();
    assert_eq!(waiter.await.unwrap(), AckOutcome::Delivered);
    let sent = telemetry.value("otelcol_exporter_sent_metric_points", &[("exporter", "debug/x")]);
    assert_eq!(sent, Some(6.0));
}

/// A request from its JSON.
fn message(signal: Signal, json: &str) -> Vec<u8> {
    otlp::json::to_protobuf(signal, json.as_bytes()).unwrap()
}

const TRACES: &str = r#"{"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "s"}}]},
  "scopeSpans": [{"scope": {"name": "lib", "version": "1"}, "spans": [{"traceId": "5B8EFFF798038103D269B633813FC60C",
  "spanId": "EEE19B7EC3C1B174", "parentSpanId": "EEE19B7EC3C1B173", "name": "work", "kind": 2,
  "startTimeUnixNano": "1544712660000000000", "endTimeUnixNano": "1544712661000000000",
  "attributes": [{"key": "tags", "value": {"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": "1"}]}}}],
  "events": [{"timeUnixNano": "1544712660500000000", "name": "half"}], "status": {"code": 2, "message": "no"},
  "links": [{"traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "EEE19B7EC3C1B175"}]}]}]}]}"#;

const LOGS: &str = r#"{"resourceLogs": [{"scopeLogs": [{"schemaUrl": "https://x", "logRecords": [{"timeUnixNano": "1544712660300000000",
  "severityNumber": 10, "severityText": "Information", "body": {"stringValue": "Example"},
  "attributes": [{"key": "n", "value": {"boolValue": true}}]}]}]}]}"#;

#[test]
fn spans_are_shown_in_the_collectors_shape() {
    let body = message(Signal::Traces, TRACES);
    assert_eq!(
        messages::normal(Signal::Traces, &body),
        "ResourceTraces #0 service.name=s\nScopeTraces #0 lib@1\n\
         work 5b8efff798038103d269b633813fc60c eee19b7ec3c1b174 tags=[\"a\",1]\n"
    );
    assert_eq!(
        messages::detailed(Signal::Traces, &body),
        "ResourceSpans #0\nResource SchemaURL: \nResource attributes:\n     -> service.name: Str(s)\n\
         ScopeSpans #0\nScopeSpans SchemaURL: \nInstrumentationScope lib 1\nSpan #0\n    \
         Trace ID       : 5b8efff798038103d269b633813fc60c\n    Parent ID      : eee19b7ec3c1b173\n    \
         ID             : eee19b7ec3c1b174\n    Name           : work\n    Kind           : Server\n    \
         Start time     : 2018-12-13 14:51:00 +0000 UTC\n    End time       : 2018-12-13 14:51:01 +0000 UTC\n    \
         Status code    : Error\n    Status message : no\n\
         Attributes:\n     -> tags: Slice([\"a\",1])\n\
         Events:\nSpanEvent #0\n     -> Name: half\n     -> Timestamp: 2018-12-13 14:51:00.5 +0000 UTC\n     \
         -> DroppedAttributesCount: 0\nLinks:\nSpanLink #0\n     \
         -> Trace ID: 5b8efff798038103d269b633813fc60c\n     -> ID: eee19b7ec3c1b175\n     -> TraceState: \n     \
         -> DroppedAttributesCount: 0\n"
    );
}

#[test]
fn log_records_are_shown_in_the_collectors_shape() {
    let body = message(Signal::Logs, LOGS);
    assert_eq!(messages::normal(Signal::Logs, &body), "ResourceLog #0\nScopeLog #0 [https://x]\nExample n=true\n");
    assert_eq!(
        messages::detailed(Signal::Logs, &body),
        "ResourceLog #0\nResource SchemaURL: \nScopeLogs #0\nScopeLogs SchemaURL: https://x\nInstrumentationScope  \n\
         LogRecord #0\nObservedTimestamp: 1970-01-01 00:00:00 +0000 UTC\n\
         Timestamp: 2018-12-13 14:51:00.3 +0000 UTC\nSeverityText: Information\nSeverityNumber: Info2(10)\n\
         Body: Str(Example)\nAttributes:\n     -> n: Bool(true)\nTrace ID: \nSpan ID: \nFlags: 0\n"
    );
}
