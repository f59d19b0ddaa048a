//! Native histograms of every kind through the program, in both versions of remote write and through the log on disk, beside
//! the same ones written to a Prometheus server directly.

use prometheus::remote_write::wire::v1::{put_histogram, put_label, put_series};
use prometheus::remote_write::wire::{BucketSpan, Buckets, HistogramCount, NativeHistogram, ResetHint};

use crate::support::oxidot::Oxidot;
use crate::support::prometheus::prometheus;
use crate::support::{free_port, http, require, wait_until};

fn spans(spans: &[(i32, u32)]) -> Vec<BucketSpan> {
    spans.iter().map(|&(offset, length)| BucketSpan { offset, length }).collect()
}

/// A histogram of each kind at step `n`, by name.
fn histograms(n: u32) -> Vec<(&'static str, NativeHistogram)> {
    let n = i64::from(n);
    let whole = NativeHistogram {
        count: Some(HistogramCount::Int(8 * n as u64)),
        sum: 18.4 * n as f64,
        schema: 1,
        zero_threshold: 1e-5,
        zero_count: Some(HistogramCount::Int(n as u64)),
        positive: Buckets { spans: spans(&[(-1, 2), (4, 1)]), deltas: vec![n, n, -n], counts: Vec::new() },
        negative: Buckets { spans: spans(&[(3, 2)]), deltas: vec![n, n], counts: Vec::new() },
        ..NativeHistogram::default()
    };
    let fractions = NativeHistogram {
        count: Some(HistogramCount::Float(2.75 * n as f64)),
        sum: -0.125 * n as f64,
        schema: 3,
        zero_threshold: 0.001,
        zero_count: Some(HistogramCount::Float(0.25 * n as f64)),
        positive: Buckets {
            spans: spans(&[(-3, 1), (9, 2)]),
            deltas: Vec::new(),
            counts: vec![0.5 * n as f64, 1.0, n as f64],
        },
        ..NativeHistogram::default()
    };
    let gauge = NativeHistogram {
        count: Some(HistogramCount::Float(5.5 / n as f64)),
        reset_hint: ResetHint::Gauge,
        positive: Buckets { spans: spans(&[(2, 1)]), deltas: Vec::new(), counts: vec![5.5 / n as f64] },
        sum: 3.0,
        schema: -2,
        zero_count: Some(HistogramCount::Float(0.0)),
        ..NativeHistogram::default()
    };
    vec![("whole", whole), ("fractions", fractions), ("gauge", gauge)]
}

/// A request of version 1.0 with histograms of one job.
fn request(job: &str, time_ms: i64, histograms: &[(&str, NativeHistogram)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, histogram) in histograms {
        let mut labels = Vec::new();
        put_label(&mut labels, b"__name__", name.as_bytes());
        put_label(&mut labels, b"job", job.as_bytes());
        let histogram = NativeHistogram { timestamp_ms: time_ms, ..histogram.clone() };
        put_series(&mut body, &labels, |out| put_histogram(out, &histogram));
    }
    snap::raw::Encoder::new().compress_vec(&body).unwrap()
}

#[test]
fn all_kinds_arrive_as_if_nothing_were_in_between() {
    require!("prometheus");
    let store = prometheus("");
    let (first, second) = (free_port(), free_port());
    let directory = tempfile::tempdir().unwrap();
    let exporter = "batch_send_deadline: 50ms, target_info: {enabled: false}";
    let oxidot = Oxidot::start(&format!(
        "receivers:\n  \
           prometheusremotewrite/first: {{endpoint: \"127.0.0.1:{first}\"}}\n  \
           prometheusremotewrite/second: {{endpoint: \"127.0.0.1:{second}\"}}\n\
         exporters:\n  \
           prometheusremotewrite/second: {{endpoint: \"http://127.0.0.1:{second}/api/v1/write\", {exporter}, protobuf_message: io.prometheus.write.v2.Request}}\n  \
           prometheusremotewrite/store: {{endpoint: \"{}\", {exporter}, wal: {{directory: \"{}\"}}}}\n\
         service:\n  pipelines:\n    \
           metrics/first: {{receivers: [prometheusremotewrite/first], exporters: [prometheusremotewrite/second]}}\n    \
           metrics/second: {{receivers: [prometheusremotewrite/second], exporters: [prometheusremotewrite/store]}}\n",
        store.write_url(),
        directory.path().display()
    ));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    let write = |step: u32, histograms: &[(&str, NativeHistogram)]| {
        let time = now - 60_000 + i64::from(step) * 5_000;
        for (port, job) in [(store.port(), "direct"), (first, "through")] {
            let answer = http::post_write(port, &request(job, time, histograms)).expect("an answer");
            assert!(answer.status < 300, "{}: {}", answer.status, answer.body);
        }
    };
    for step in 1..=3 {
        write(step, &histograms(step));
    }
    for name in ["whole", "fractions", "gauge"] {
        // Each sample, count and sum, quantiles, and whether the server takes it for a gauge.
        for query in [
            format!("{name}{{JOB}}[5m]"),
            format!("histogram_quantile(0.7, {name}{{JOB}})"),
            format!("delta({name}{{JOB}}[5m])"),
            format!("resets({name}{{JOB}}[5m])"),
        ] {
            let of = |job: &str| store.results(&query.replace("JOB", &format!("job=\"{job}\"")));
            let direct = of("direct");
            assert_eq!(direct.len(), 1, "{query}: {direct:?}");
            wait_until(&format!("{query} through the program, as {direct:?}"), || of("through") == direct);
        }
    }
    // The end of each.
    let marker = f64::from_bits(prometheus::number::STALE_NAN_BITS);
    let stale: Vec<_> = histograms(4)
        .into_iter()
        .map(|(name, last)| {
            let count = match last.count {
                Some(HistogramCount::Float(_)) => HistogramCount::Float(0.0),
                _ => HistogramCount::Int(0),
            };
            (name, NativeHistogram { count: Some(count), sum: marker, ..NativeHistogram::default() })
        })
        .collect();
    write(4, &stale);
    wait_until("the end of all", || store.results("{job=\"through\"}").is_empty());
    assert_eq!(oxidot.own("otelcol_exporter_dropped_metric_points", &[]), 0.0, "{}", oxidot.log());
    assert_eq!(oxidot.own("otelcol_receiver_refused_metric_points", &[]), 0.0, "{}", oxidot.log());
    assert!(!store.log().contains("out of order"), "{}", store.log());
}
