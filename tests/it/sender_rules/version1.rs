//! Version 1.0, by the cases of the suite that came before, and by those of the later one that are about it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::time::Duration;

use super::{QUICK, Receiver, Run, Script, rules, run, take};
use crate::support::http::Reply;
use crate::support::oxidot::{Oxidot, job, scrape_and_write};
use crate::support::page::{TEXT, Target};
use crate::support::samples::STALE;
use crate::support::{wait_for, wait_until};

const V1: &str = "prometheus.WriteRequest";

/// What the cases scrape, on one page.
fn page(scrape: u64) -> String {
    let mut page = format!(
        "# HELP counter A counter.\n# TYPE counter counter\ncounter {}\n# TYPE now gauge\nnow {}\n\
         # TYPE histogram histogram\nhistogram_bucket{{le=\"1\"}} 1\nhistogram_bucket{{le=\"2\"}} 2\n\
         histogram_bucket{{le=\"+Inf\"}} 2\nhistogram_sum 3\nhistogram_count 2\n\
         # TYPE summary summary\nsummary{{quantile=\"0.5\"}} 2\nsummary{{quantile=\"0.9\"}} 3\nsummary{{quantile=\"0.99\"}} 3\n\
         summary_sum 6\nsummary_count 3\n\
         gauge 42\nsorted{{b=\"2\",a=\"1\"}} 1\nempty{{a=\"\"}} 1\n\
         honor{{job=\"original\",instance=\"foo\"}} 1\n",
        scrape - 1,
        super::now_ms(),
    );
    if scrape == 1 {
        page.push_str("stale 1\n");
    }
    page
}

fn of_page() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| run(TEXT, V1, "", page))
}

/// Values of a series, markers left out.
fn values(run: &Run, name: &str, label: Option<(&str, &str)>) -> Vec<f64> {
    run.named(name)
        .filter(|series| label.is_none_or(|(name, value)| series.label(name) == Some(value)))
        .flat_map(|series| &series.samples)
        .filter(|sample| sample.value.to_bits() != STALE)
        .map(|sample| sample.value)
        .collect()
}

fn all_are(run: &Run, name: &str, label: Option<(&str, &str)>, value: f64) -> usize {
    let values = values(run, name, label);
    assert!(!values.is_empty() && values.iter().all(|found| *found == value), "{name} {label:?}: {values:?}");
    values.len()
}

fn header(run: &Run, name: &str, value: &str) {
    assert!(run.seen.iter().all(|seen| seen.request.header(name) == Some(value)));
}

/// What one page alone brings, when only that it brings is of interest.
fn alone(page: fn(u64) -> String, check: impl Fn(&Run) -> bool) {
    let receiver = Receiver::start(take);
    let target = Target::start(page);
    let _oxidot = Oxidot::start(&scrape_and_write(&job("test", &target.address(), "300ms"), &receiver.url(), QUICK));
    wait_until("what is expected", || check(&Run { seen: receiver.seen(), began: 0, ended: 0 }));
}

fn is_down(run: &Run) -> bool {
    run.named("up").any(|series| series.samples[0].value == 0.0)
}

rules! { of_page();
    counter => |run| {
        let values = values(run, "counter", None);
        assert!(values.iter().zip(0u32..).all(|(value, n)| *value == f64::from(n)) && values.len() >= 3, "{values:?}");
    };
    gauge => |run| {
        let all: Vec<_> = run.named("now").flat_map(|s| &s.samples).filter(|s| s.value.to_bits() != STALE).collect();
        assert!(!all.is_empty() && all.iter().all(|s| (s.value / s.time as f64 - 1.0).abs() < 0.01));
    };
    histogram => |run| {
        let counts = [
            all_are(run, "histogram_bucket", Some(("le", "1.0")), 1.0),
            all_are(run, "histogram_bucket", Some(("le", "2.0")), 2.0),
            all_are(run, "histogram_bucket", Some(("le", "+Inf")), 2.0),
            all_are(run, "histogram_sum", None, 3.0),
            all_are(run, "histogram_count", None, 2.0),
        ];
        assert!(counts.windows(2).all(|pair| pair[0] == pair[1]), "{counts:?}");
    };
    summary => |run| {
        let counts = [
            all_are(run, "summary", Some(("quantile", "0.5")), 2.0),
            all_are(run, "summary", Some(("quantile", "0.9")), 3.0),
            all_are(run, "summary", Some(("quantile", "0.99")), 3.0),
            all_are(run, "summary_sum", None, 6.0),
            all_are(run, "summary_count", None, 3.0),
        ];
        assert!(counts.windows(2).all(|pair| pair[0] == pair[1]), "{counts:?}");
    };
    up => |run| assert!(all_are(run, "up", Some(("job", "test")), 1.0) > 0);
    invalid => |_| alone(|_| "1234notvali}{ 444".to_owned(), is_down);
    joblabel => |run| assert!(all_are(run, "gauge", Some(("job", "test")), 42.0) > 0);
    instancelabel => |run| {
        assert!(run.series().all(|series| series.label("instance").is_some_and(|instance| instance.starts_with("127.0.0.1:"))));
    };
    sortedlabels => |run| {
        assert!(run.series().all(|series| series.labels.is_sorted_by(|(a, _), (b, _)| a < b)));
        all_are(run, "sorted", Some(("a", "1")), 1.0);
    };
    repeatedlabels => |_| alone(|_| "test{a=\"1\",a=\"1\"} 1\n".to_owned(), |run| {
        assert!(run.named("test").next().is_none());
        is_down(run)
    });
    emptylabels => |run| {
        assert!(run.series().all(|series| series.labels.iter().all(|(_, value)| !value.is_empty())));
        all_are(run, "empty", None, 1.0);
    };
    namelabel => |_| alone(|_| "{label=\"value\"} 1.0\n".to_owned(), |run| {
        assert!(run.series().all(|series| series.label("__name__").is_some()));
        is_down(run)
    });
    honorlabels => |run| {
        all_are(run, "honor", Some(("exported_job", "original")), 1.0);
        all_are(run, "honor", Some(("exported_instance", "foo")), 1.0);
    };
    staleness => |run| {
        assert!(run.named("stale").any(|series| series.samples[0].value.to_bits() == STALE));
    };
    timestamp => |run| {
        let times: Vec<i64> = run.series().flat_map(|series| &series.samples).map(|sample| sample.time).collect();
        assert!(times.iter().all(|time| (run.began..=run.ended).contains(time)));
        assert!(times.is_sorted());
    };
    headers => |run| {
        header(run, "content-encoding", "snappy");
        header(run, "content-type", "application/x-protobuf");
        header(run, "x-prometheus-remote-write-version", "0.1.0");
        all_are(run, "gauge", None, 42.0);
    };
    ordering => |_| slow_receivers_see_series_in_order();
    retries500 => |_| retried(500, true);
    retries400 => |_| retried(400, false);
    rw1_compat_rw1_version_header => |run| header(run, "x-prometheus-remote-write-version", "0.1.0");
    rw1_compat_rw1_content_type => |run| header(run, "content-type", "application/x-protobuf");
    rw1_compat_rw1_samples_encoding => |run| assert!(values(run, "counter", None).len() >= 3);
    rw1_compat_rw1_labels_encoding => |run| assert!(all_are(run, "sorted", Some(("b", "2")), 1.0) > 0);
    rw1_compat_rw1_no_native_histograms => |run| assert!(run.series().all(|series| series.histograms == 0));
    rw1_compat_rw1_no_start_timestamp => |run| {
        assert!(run.series().flat_map(|series| &series.samples).all(|sample| sample.start == 0));
    };
    rw1_compat_rw1_metadata_handling => |_| {
        let run = run(TEXT, V1, ", send_metadata: true", page);
        let families: BTreeSet<_> = run.seen.iter().flat_map(|seen| &seen.message.families).map(String::as_str).collect();
        assert!(["counter", "histogram", "summary"].iter().all(|family| families.contains(family)), "{families:?}");
        assert!(run.series().all(|series| series.metadata.is_none()));
    };
    rw1_compat_rw1_symbol_table_not_used => |run| assert!(run.seen.iter().all(|seen| seen.message.symbols.is_empty()));
    rw1_compat_remote_write1_configuration => |run| header(run, "x-prometheus-remote-write-version", "0.1.0");
}

/// A thousand series, and a receiver that takes its time now and then.
fn slow_receivers_see_series_in_order() {
    let script: Script = |number, seen| {
        std::thread::sleep(Duration::from_millis((number * 7 % 5 * 60) as u64));
        take(number, seen)
    };
    let receiver = Receiver::start(script);
    let target = Target::start(|_| (0..1000).map(|n| format!("test_{n} 1\n")).collect());
    let keys = format!("max_samples_per_send: 100, remote_write_queue: {{min_shards: 3, max_shards: 8}}, {QUICK}");
    let _oxidot = Oxidot::start(&scrape_and_write(&job("test", &target.address(), "300ms"), &receiver.url(), &keys));
    receiver.wait_for(80);
    let mut last: BTreeMap<Vec<(String, String)>, i64> = BTreeMap::new();
    for seen in receiver.seen() {
        for series in &seen.message.series {
            for sample in &series.samples {
                let before = last.insert(series.labels.clone(), sample.time);
                assert!(before.is_none_or(|before| before < sample.time), "{:?}", series.labels);
            }
        }
    }
    assert!(last.len() >= 1000);
}

/// Whether samples of a first request that was answered so come again.
fn retried(status: u16, again: bool) {
    let script: Script = match status {
        500 => |number, seen| if number == 0 { Reply::status(500, "error") } else { take(number, seen) },
        _ => |number, seen| if number == 0 { Reply::status(400, "Bad request") } else { take(number, seen) },
    };
    let receiver = Receiver::start(script);
    let target = Target::start(page);
    let _oxidot = Oxidot::start(&scrape_and_write(&job("test", &target.address(), "300ms"), &receiver.url(), QUICK));
    let time = |seen: &super::Seen| -> Vec<i64> {
        let now = seen.message.series.iter().filter(|series| series.label("__name__") == Some("now"));
        now.flat_map(|series| &series.samples).map(|sample| sample.time).collect()
    };
    let first = wait_for("the first request", || receiver.seen().first().map(|seen| time(seen)));
    receiver.wait_for(6);
    let later: Vec<i64> = receiver.seen().iter().skip(1).flat_map(|seen| time(seen)).collect();
    assert!(!first.is_empty() && first.iter().all(|time| later.contains(time) == again), "{first:?} {later:?}");
}
