//! Native histograms. Text formats have none, so they come as OTLP's exponential ones.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::reading::{Buckets, Native};
use super::{QUICK, Receiver, Run, V2, now_ms, rules, take};
use crate::support::oxidot::Oxidot;
use crate::support::{free_port, http, wait_until};

/// A push of three histograms: with buckets on both sides of zero and gaps between them, without any observation, with counts
/// beyond 32 bits.
fn push(time_ms: i64, start_ms: i64) -> String {
    let point = |fields: &str| {
        format!("{{\"timeUnixNano\":\"{time_ms}000000\",\"startTimeUnixNano\":\"{start_ms}000000\",{fields}}}")
    };
    let metric = |name: &str, fields: &str| {
        format!(
            "{{\"name\":\"{name}\",\"unit\":\"s\",\"description\":\"Duration.\",\"exponentialHistogram\":\
             {{\"aggregationTemporality\":2,\"dataPoints\":[{}]}}}}",
            point(fields)
        )
    };
    let metrics = [
        metric(
            "spread",
            "\"count\":\"21\",\"sum\":12.5,\"scale\":2,\"zeroCount\":\"4\",\"zeroThreshold\":0.001,\
             \"positive\":{\"offset\":-3,\"bucketCounts\":[\"1\",\"0\",\"0\",\"0\",\"0\",\"5\",\"3\"]},\
             \"negative\":{\"offset\":1,\"bucketCounts\":[\"2\",\"6\"]}",
        ),
        metric("idle", "\"count\":\"0\",\"sum\":0,\"scale\":5,\"zeroCount\":\"0\""),
        metric(
            "busy",
            "\"count\":\"9000000000000\",\"sum\":9e12,\"scale\":-1,\"zeroCount\":\"0\",\
             \"positive\":{\"offset\":0,\"bucketCounts\":[\"9000000000000\"]}",
        ),
    ];
    format!("{{\"resourceMetrics\":[{{\"scopeMetrics\":[{{\"metrics\":[{}]}}]}}]}}", metrics.join(","))
}

/// What became of three pushes.
fn of_natives() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| {
        let (receiver, port, began) = (Receiver::start(take), free_port(), now_ms());
        let mut oxidot = Oxidot::start(&format!(
            "receivers: {{otlp: {{protocols: {{http: {{endpoint: \"127.0.0.1:{port}\"}}}}}}}}\n\
             exporters: {{prometheusremotewrite: {{endpoint: \"{}\", protobuf_message: {V2}, {QUICK}}}}}\n\
             service: {{pipelines: {{metrics: {{receivers: [otlp], exporters: [prometheusremotewrite]}}}}}}\n",
            receiver.url()
        ));
        for _ in 0..3 {
            let body = push(now_ms(), began - 60_000);
            let answer = http::post(port, "/v1/metrics", "application/json", body.as_bytes()).unwrap();
            assert_eq!(answer.status, 200);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        wait_until("what was pushed", || {
            let histograms = |seen: &super::Seen| seen.message.series.iter().map(|s| s.histograms).sum::<usize>();
            receiver.seen().iter().map(|seen| histograms(seen)).sum::<usize>() >= 9
        });
        assert_eq!(oxidot.end().code(), Some(0), "{}", oxidot.log());
        Run { seen: receiver.seen(), began, ended: now_ms() }
    })
}

/// The three of one name.
fn natives<'r>(run: &'r Run, name: &'r str) -> Vec<&'r Native> {
    let all: Vec<&Native> = run.named(name).flat_map(|series| &series.natives).collect();
    assert_eq!(all.len(), 3, "{name}");
    all
}

/// Counts by the number of the bucket, of which number `n` ends at two to the power of `n` by two to the power of the schema: OTLP
/// numbers buckets by where they begin.
fn counts(buckets: &Buckets) -> BTreeMap<i64, i64> {
    buckets.counts().into_iter().filter(|(_, count)| *count != 0).collect()
}

rules! { of_natives();
    histograms_native_histogram_structure => |run| {
        for name in ["spread_seconds", "idle_seconds", "busy_seconds"] {
            for native in natives(run, name) {
                let sum = |buckets: &Buckets| buckets.counts().iter().map(|(_, count)| *count).sum::<i64>();
                let observed = sum(&native.positive) + sum(&native.negative) + native.zero_count.unwrap_or(0).cast_signed();
                assert_eq!(Some(observed.cast_unsigned()), native.count, "{native:?}");
                assert!((run.began..=run.ended).contains(&native.time), "{native:?}");
                assert_eq!(native.start, run.began - 60_000);
                // Gaps are left out, and spans follow each other.
                assert!(native.positive.spans.iter().chain(&native.negative.spans).all(|(_, length)| *length > 0), "{native:?}");
                assert!(native.positive.spans.iter().skip(1).all(|(offset, _)| *offset > 0), "{native:?}");
            }
            assert!(run.named(name).all(|series| series.samples.is_empty()), "nothing but histograms");
            assert!(run.named(name).all(|series| series.metadata.as_ref().is_some_and(|metadata| metadata.kind == 3)));
            assert!(run.named(&format!("{name}_count")).next().is_none());
        }
        assert_eq!(natives(run, "spread_seconds")[0].sum, 12.5);
        assert_eq!(natives(run, "busy_seconds")[0].count, Some(9_000_000_000_000));
        assert_eq!(natives(run, "idle_seconds")[0].count, Some(0));
    };
    histograms_histogram_positive_buckets => |run| {
        for native in natives(run, "spread_seconds") {
            assert_eq!(counts(&native.positive), BTreeMap::from([(-2, 1), (3, 5), (4, 3)]));
        }
        assert_eq!(counts(&natives(run, "busy_seconds")[2].positive), BTreeMap::from([(1, 9_000_000_000_000)]));
    };
    histograms_histogram_negative_buckets => |run| {
        for native in natives(run, "spread_seconds") {
            assert_eq!(counts(&native.negative), BTreeMap::from([(2, 2), (3, 6)]));
        }
        assert!(counts(&natives(run, "busy_seconds")[0].negative).is_empty());
    };
    histograms_histogram_zero_bucket => |run| {
        let native = natives(run, "spread_seconds")[0];
        assert_eq!((native.zero_count, native.zero_threshold), (Some(4), 0.001));
        assert_eq!(natives(run, "busy_seconds")[0].zero_count, Some(0));
    };
    histograms_histogram_schema => |run| {
        for (name, schema) in [("spread_seconds", 2), ("idle_seconds", 5), ("busy_seconds", -1)] {
            assert!(natives(run, name).iter().all(|native| native.schema == schema), "{name}");
        }
    };
}
