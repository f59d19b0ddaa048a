#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "tests, which say what they skip")]

mod to_otlp;

use super::fetch::Fetched;
use super::job::JobRuntime;
use super::state::{Answer, Circumstances, TargetState};
use super::target_loop::take_apart;
use super::{ReceiverShared, SampleSettings};
use crate::prometheus::config::{PrometheusConfig, ReadOptions};
use crate::prometheus::layout::Reading;
use crate::prometheus::target::{Target, resource_attributes};
use pipeline::telemetry::Telemetry;
use pipeline::{Attributes, MetricBatch, Output, PointGroup, Value};
use prometheus::labels::{Labels, LabelsBuilder};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A committed sample: labels, milliseconds, value as text.
type Sample = (BTreeMap<String, String>, i64, String);

fn vectors(name: &str) -> Option<Json> {
    let shared = std::env::var_os("OXIDOT_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    match std::fs::read_to_string(shared.join("vectors").join(name)) {
        Ok(text) => Some(serde_json::from_str(&text).unwrap()),
        Err(_) => {
            eprintln!("skipped: vectors/{name} is not there (set OXIDOT_SHARED)");
            None
        }
    }
}

fn runtime(options: &str) -> JobRuntime {
    runtime_with(options, Labels::default())
}

fn runtime_with(options: &str, external: Labels) -> JobRuntime {
    let yaml = format!("scrape_configs:\n- job_name: j\n{options}");
    let node = pipeline::config::parse(&yaml, "test.yaml").unwrap();
    let config = PrometheusConfig::read(&node, "config", &ReadOptions::default()).unwrap();
    let job = config.load_jobs().unwrap().remove(0);
    let shared = ReceiverShared::new(Output::default(), &Telemetry::default(), "prometheus", "test".to_owned());
    let settings = SampleSettings { external, trim_suffixes: false };
    JobRuntime::new(&job, &settings, JobRuntime::client(&job).unwrap(), &Arc::new(shared))
}

fn target(labels: &[(&str, &str)]) -> Target {
    let labels: Labels = labels.iter().copied().filter(|(name, _)| !name.starts_with("__")).collect();
    let mut discovered = LabelsBuilder::new();
    discovered.set("__scheme__", "http");
    let get = |name: &str| labels.get(name).unwrap_or_default().to_owned();
    Target {
        resource: resource_attributes(&get("job"), &get("instance"), &discovered.build()),
        labels,
        url: "http://127.0.0.1:1/metrics".into(),
        hash: 1,
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(10),
        unix_socket: None,
        native_histograms: false,
        always_classic_histograms: false,
        classic_histograms_to_nhcb: false,
        discovered: None,
    }
}

/// The labels Prometheus would have for each point of a batch.
fn samples(batch: &MetricBatch) -> Vec<Sample> {
    batch.groups().iter().flat_map(group_samples).collect()
}

fn group_samples(group: &PointGroup) -> Vec<Sample> {
    let put = |labels: &mut BTreeMap<String, String>, attributes: &Attributes| {
        for (name, value) in attributes {
            if let pipeline::AttributeValue::Str(value) = value {
                labels.insert(name.to_owned(), value.to_owned());
            }
        }
    };
    let of = |point: &pipeline::Point| {
        let series = group.table.get(point.series).unwrap();
        let mut labels = BTreeMap::from([("__name__".to_owned(), series.name.to_string())]);
        put(&mut labels, &group.origin.labels);
        put(&mut labels, &series.attributes);
        labels.extend(series.part.label().map(|(name, value)| (name.to_owned(), value.to_owned())));
        for (name, key) in [("job", "service.name"), ("instance", "service.instance.id")] {
            if let Some(value) = group.origin.resource.attributes.get_str(key) {
                labels.insert(name.to_owned(), value.to_owned());
            }
        }
        let value = match point.value {
            Value::Float(value) => prometheus::number::format_go_float(value),
            Value::NoRecordedValue(_) => "StaleNaN".to_owned(),
            _ => "?".to_owned(),
        };
        (labels, point.time / 1_000_000, value)
    };
    group.points.iter().map(of).collect()
}

fn expected(committed: &Json) -> Vec<Sample> {
    let sample = |sample: &Json| {
        let labels = sample["labels"].as_object().unwrap();
        let labels = labels.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
        (labels, sample["t_ms"].as_i64().unwrap(), sample["v"].as_str().unwrap().to_owned())
    };
    committed.as_array().unwrap().iter().map(sample).collect()
}

/// Durations are not repeatable; an explicit timestamp may be in the past, where sorting puts it.
fn comparable(mut samples: Vec<Sample>) -> Vec<Sample> {
    for (labels, _, value) in &mut samples {
        if labels.get("__name__").is_some_and(|name| name == "scrape_duration_seconds") && value != "StaleNaN" {
            "<duration>".clone_into(value);
        }
    }
    samples.sort();
    samples
}

fn circumstances(now_ms: i64) -> Circumstances {
    Circumstances { now_ms, duration_seconds: 0.01, timeout_seconds: 10.0 }
}

/// Makes one step of a scripted sequence.
fn step(state: &mut TargetState, runtime: &JobRuntime, target: &Target, step: &Json) -> MetricBatch {
    let at = circumstances(step["at_ms"].as_i64().unwrap());
    let identity = runtime.identity(target);
    if step.get("scrape_error").is_some() || step.get("forced_error").is_some() {
        let answer = Answer::Failed { over_size: false };
        return state.scrape(&answer, &runtime.rules, &identity, &runtime.pool, at, &mut Reading::default()).batch;
    }
    let body = step["body"].as_str().unwrap().as_bytes().to_vec();
    let fetched = Fetched::plain(body, step["content_type"].as_str().unwrap());
    take_apart(&fetched, runtime, &identity, state, at, &mut Vec::new()).0
}

#[test]
fn scripted_sequences_give_what_prometheus_commits() {
    let Some(vectors) = vectors("scrape_vectors.json") else { return };
    let mut failures = Vec::new();
    for case in vectors["scrape_sequences"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let mut options = String::new();
        for (key, value) in case["options"].as_object().into_iter().flatten() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            options.push_str(&format!("  {key}: {value}\n"));
        }
        let runtime = runtime(&options);
        let labels = case["target_labels"].as_object().unwrap();
        let labels: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
        let target = target(&labels);
        let mut state = TargetState::default();
        let steps = case["steps"].as_array().unwrap().iter().zip(case["results"].as_array().unwrap());
        for (i, (input, result)) in steps.enumerate() {
            let got = comparable(samples(&step(&mut state, &runtime, &target, input)));
            let want = comparable(expected(&result["committed"]));
            if got != want {
                failures.push(format!("{name}, step {i}:\n  got  {got:?}\n  want {want:?}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Exposed labels as a page in the quoted form, in which every name can be written.
fn page_of(labels: &serde_json::Map<String, Json>) -> String {
    let quote = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"));
    let mut parts = vec![quote(labels["__name__"].as_str().unwrap())];
    for (name, value) in labels.iter().filter(|(name, _)| *name != "__name__") {
        parts.push(format!("{}={}", quote(name), quote(value.as_str().unwrap())));
    }
    format!("{{{}}} 1\n", parts.join(","))
}

fn pairs(labels: &Json) -> Vec<(&str, &str)> {
    labels.as_object().unwrap().iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect()
}

#[test]
fn label_conflicts_end_as_in_prometheus() {
    let Some(vectors) = vectors("scrape_vectors.json") else { return };
    for case in vectors["label_conflicts"].as_array().unwrap() {
        let mut options = format!("  honor_labels: {}\n", case["honor_labels"]);
        let rules = case["metric_relabel_configs"].as_str().unwrap();
        if !rules.is_empty() {
            options.push_str(&format!("  metric_relabel_configs: {rules}\n"));
        }
        let runtime = runtime(&options);
        let target = target(&pairs(&case["target"]));
        let body = page_of(case["exposed"].as_object().unwrap());
        let fetched = Fetched::plain(body.into_bytes(), "text/plain; version=1.0.0");
        let mut state = TargetState::default();
        let identity = runtime.identity(&target);
        let (batch, error) =
            take_apart(&fetched, &runtime, &identity, &mut state, circumstances(1000), &mut Vec::new());
        assert!(error.is_none(), "{case}: {error:?}");
        let reports = [
            "up",
            "scrape_duration_seconds",
            "scrape_samples_scraped",
            "scrape_samples_post_metric_relabeling",
            "scrape_series_added",
        ];
        let got: Vec<_> =
            samples(&batch).into_iter().map(|s| s.0).filter(|s| !reports.contains(&s["__name__"].as_str())).collect();
        let want: Vec<BTreeMap<String, String>> = match case["dropped"].as_bool() {
            Some(true) => Vec::new(),
            _ => vec![pairs(&case["result"]).into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect()],
        };
        assert_eq!(got, want, "{case}");
    }
}

#[test]
fn label_limits_fail_the_scrape_in_prometheus_words() {
    let Some(vectors) = vectors("scrape_vectors.json") else { return };
    for case in vectors["label_limits"].as_array().unwrap() {
        let keys = ["label_limit", "label_name_length_limit", "label_value_length_limit"];
        let options: String = keys.iter().map(|key| format!("  {key}: {}\n", case[*key])).collect();
        let runtime = runtime(&options);
        let body = page_of(case["labels"].as_object().unwrap());
        let fetched = Fetched::plain(body.into_bytes(), "text/plain; version=1.0.0");
        let identity = runtime.identity(&target(&[]));
        let mut state = TargetState::default();
        let (_, error) = take_apart(&fetched, &runtime, &identity, &mut state, circumstances(1000), &mut Vec::new());
        assert_eq!(error.map(|e| e.message).unwrap_or_default(), case["error"].as_str().unwrap(), "{case}");
    }
}

fn scrape(state: &mut TargetState, runtime: &JobRuntime, target: &Target, now_ms: i64, body: &str) -> Vec<Sample> {
    let fetched = Fetched::plain(body.as_bytes().to_vec(), "text/plain; version=0.0.4");
    let identity = runtime.identity(target);
    samples(&take_apart(&fetched, runtime, &identity, state, circumstances(now_ms), &mut Vec::new()).0)
}

fn values_of(samples: &[Sample], name: &str) -> Vec<String> {
    samples.iter().filter(|(labels, ..)| labels["__name__"] == name).map(|(.., value)| value.clone()).collect()
}

#[test]
fn a_second_target_adopts_the_layout_of_the_first() {
    let runtime = runtime("");
    let page = "# TYPE a counter\na{x=\"1\"} 1\na{x=\"2\"} 2\n";
    let (mut first, mut second) = (TargetState::default(), TargetState::default());
    let a = target(&[("job", "j"), ("instance", "a")]);
    let b = target(&[("job", "j"), ("instance", "b")]);
    scrape(&mut first, &runtime, &a, 1000, page);
    let got = scrape(&mut second, &runtime, &b, 1000, page);
    assert!(first.shares_layout_with(&second));
    assert_eq!(values_of(&got, "a"), ["1", "2"]);
    assert_eq!(values_of(&got, "scrape_series_added"), ["2"]);
    assert!(got.iter().all(|(labels, ..)| labels["instance"] == "b"));
    // One of them changes: they part, and the other is not disturbed.
    let got = scrape(&mut second, &runtime, &b, 2000, "# TYPE a counter\na{x=\"1\"} 1\na{x=\"3\"} 2\n");
    assert_eq!(values_of(&got, "a"), ["1", "2", "StaleNaN"]);
    assert!(!first.shares_layout_with(&second));
}

#[test]
fn rules_that_read_the_targets_labels_are_not_shared_wrongly() {
    let runtime = runtime(
        "  metric_relabel_configs:\n  - source_labels: [instance]\n    target_label: copy\n  - source_labels: [instance]\n    regex: drop-me\n    action: drop\n",
    );
    let page = "a 1\n";
    for (instance, want) in [("one", 1), ("two", 1), ("drop-me", 0)] {
        let t = target(&[("job", "j"), ("instance", instance)]);
        let got = scrape(&mut TargetState::default(), &runtime, &t, 1000, page);
        let copies: Vec<_> = got.iter().filter_map(|(labels, ..)| labels.get("copy")).collect();
        assert_eq!(copies.len(), want, "{instance}");
        assert!(copies.iter().all(|copy| *copy == instance));
    }
}

#[test]
fn honoured_job_labels_move_series_to_their_own_origin() {
    let runtime = runtime("  honor_labels: true\n");
    let t = target(&[("job", "push"), ("instance", "gw:1"), ("env", "prod")]);
    let page = "a{job=\"batch\",instance=\"\"} 1\na{job=\"push\"} 2\na{env=\"dev\"} 3\n";
    let mut state = TargetState::default();
    for now in [1000, 2000] {
        let got = scrape(&mut state, &runtime, &t, now, page);
        let mut all: Vec<_> =
            got.iter().filter(|(l, ..)| l["__name__"] == "a").map(|(l, _, v)| (v.as_str(), l)).collect();
        all.sort_by_key(|(value, _)| *value);
        assert_eq!(all.len(), 3);
        assert_eq!(all[0].1["job"], "batch");
        assert!(!all[0].1.contains_key("instance"));
        assert_eq!(all[0].1["env"], "prod");
        assert_eq!((all[1].1["job"].as_str(), all[1].1["instance"].as_str()), ("push", "gw:1"));
        assert_eq!(all[2].1["env"], "dev");
    }
}

#[test]
fn a_page_of_more_origins_than_sixteen_bits_count_keeps_them_apart() {
    let runtime = runtime("  honor_labels: true\n");
    let t = target(&[("job", "gateway"), ("instance", "gw:1")]);
    let page: String = (0..66_000).map(|i| format!("pushed{{instance=\"host-{i}\"}} {i}\n")).collect();
    let mut state = TargetState::default();
    for now in [1000, 2000] {
        let got = scrape(&mut state, &runtime, &t, now, &page);
        let pushed: Vec<_> = got.iter().filter(|(labels, ..)| labels["__name__"] == "pushed").collect();
        assert_eq!(pushed.len(), 66_000);
        assert!(pushed.iter().all(|(labels, _, value)| labels["instance"] == format!("host-{value}")));
    }
}

#[test]
fn external_labels_stand_on_every_sample() {
    let external: Labels = [("cluster", "c1")].into_iter().collect();
    let runtime = runtime_with("", external);
    let t = target(&[("job", "j"), ("instance", "i")]);
    let got = scrape(&mut TargetState::default(), &runtime, &t, 1000, "a{cluster=\"other\"} 1\nb 1\n");
    assert!(got.iter().all(|(labels, ..)| labels["cluster"] == "c1"), "{got:?}");
}

#[test]
fn changed_rules_mark_what_does_not_come_out_again() {
    let before = runtime("");
    let after = runtime("  metric_relabel_configs: [{source_labels: [__name__], regex: b, action: drop}]\n");
    let t = target(&[("job", "j"), ("instance", "i")]);
    let mut state = TargetState::default();
    scrape(&mut state, &before, &t, 1000, "a 1\nb 1\n");
    state.rules_changed();
    let got = scrape(&mut state, &after, &t, 2000, "a 2\nb 2\n");
    assert_eq!(values_of(&got, "a"), ["2"]);
    assert_eq!(values_of(&got, "b"), ["StaleNaN"]);
}

#[test]
fn a_target_that_is_gone_leaves_markers_for_all_it_had() {
    let runtime = runtime("");
    let t = target(&[("job", "j"), ("instance", "i")]);
    let mut state = TargetState::default();
    let identity = runtime.identity(&t);
    assert!(state.ended(&runtime.rules, &identity, 500).is_empty());
    scrape(&mut state, &runtime, &t, 1000, "a 1\nb 1\n");
    let got = samples(&state.ended(&runtime.rules, &identity, 3000));
    assert_eq!(got.len(), 7);
    assert!(got.iter().all(|(_, time, value)| *time == 3000 && value == "StaleNaN"));
}

#[test]
fn exemplars_keep_to_their_points() {
    let runtime = runtime("");
    let t = target(&[("job", "j"), ("instance", "i")]);
    let identity = runtime.identity(&t);
    let mut state = TargetState::default();
    let page = "# TYPE a counter\na_total 1\na_total{x=\"1\"} 2 # {trace_id=\"0123456789abcdef0123456789abcdef\",k=\"v\"} 0.5 1.5\n# EOF\n";
    for now in [1000, 2000] {
        let fetched = Fetched::plain(page.as_bytes().to_vec(), "application/openmetrics-text; version=1.0.0");
        let (batch, error) = take_apart(&fetched, &runtime, &identity, &mut state, circumstances(now), &mut Vec::new());
        assert!(error.is_none(), "{error:?}");
        let group = batch.groups().iter().find(|group| !group.exemplars.is_empty()).unwrap();
        let exemplar = &group.exemplars[0];
        assert_eq!((exemplar.point, exemplar.time, exemplar.trace_id.len()), (1, 1_500_000_000, 16));
        assert_eq!(exemplar.attributes.get_str("k"), Some("v"));
    }
}
