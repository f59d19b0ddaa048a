//! What was scraped, written as OTLP.

use super::*;
use otlp::encode::{MetricsEncoder, metrics_json};

/// Series that a scrape reports of itself.
const REPORT: [&str; 2] = ["up", "scrape_"];

/// Scrapes pages one after the other; the last batch.
fn scraped(options: &str, pages: &[String]) -> MetricBatch {
    let runtime = runtime(options);
    let target = target(&[("job", "job"), ("instance", "instance:80"), ("zone", "z")]);
    let identity = runtime.identity(&target);
    let mut state = TargetState::default();
    let mut last = MetricBatch::default();
    for (at, page) in (1000..).step_by(1000).zip(pages) {
        let format = if page.contains("# EOF") { "application/openmetrics-text; version=1.0.0" } else { "text/plain" };
        let fetched = Fetched::plain(page.clone().into_bytes(), format);
        let (batch, error) = take_apart(&fetched, &runtime, &identity, &mut state, circumstances(at), &mut Vec::new());
        assert!(error.is_none(), "{page}: {error:?}");
        last = batch;
    }
    last
}

/// Resources, scopes and metrics of a batch, those of the report aside.
fn resources(batch: &MetricBatch) -> Vec<Json> {
    let mut request: Json = serde_json::from_str(&metrics_json(batch)).unwrap();
    let mut resources = request["resourceMetrics"].as_array_mut().map(std::mem::take).unwrap_or_default();
    for scopes in resources.iter_mut().filter_map(|resource| resource["scopeMetrics"].as_array_mut()) {
        for metrics in scopes.iter_mut().filter_map(|scope| scope["metrics"].as_array_mut()) {
            metrics.retain(|metric| !REPORT.iter().any(|own| metric["name"].as_str().unwrap().starts_with(own)));
        }
        scopes.retain(|scope| !scope["metrics"].as_array().unwrap().is_empty());
    }
    resources.retain(|resource| !resource["scopeMetrics"].as_array().unwrap().is_empty());
    resources
}

fn attributes(list: &Json) -> BTreeMap<String, String> {
    let list = list.as_array().into_iter().flatten();
    let text = |value: &Json| value["stringValue"].as_str().unwrap().to_owned();
    list.map(|pair| (pair["key"].as_str().unwrap().to_owned(), text(&pair["value"]))).collect()
}

/// A JSON number, which may be a string.
fn number(value: &Json) -> f64 {
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_default()
}

fn numbers(list: &Json) -> Vec<f64> {
    list.as_array().into_iter().flatten().map(number).collect()
}

/// Points with the metric that each is of, and the name of its kind of data.
fn points(batch: &MetricBatch) -> Vec<(Json, String, Json)> {
    let mut points = Vec::new();
    for resource in resources(batch) {
        for scope in resource["scopeMetrics"].as_array().unwrap() {
            for metric in scope["metrics"].as_array().unwrap() {
                let (kind, data) =
                    metric.as_object().unwrap().iter().find(|(_, data)| data["dataPoints"].is_array()).unwrap();
                for point in data["dataPoints"].as_array().unwrap() {
                    points.push((metric.clone(), kind.clone(), point.clone()));
                }
            }
        }
    }
    points
}

fn page(case: &Json, value_of: impl Fn(&Json) -> String) -> String {
    let mut page = String::new();
    for (family, kind) in case["metadata"].as_object().unwrap() {
        page.push_str(&format!("# TYPE {family} {}\n", kind.as_str().unwrap().replace("unknown", "untyped")));
    }
    for sample in case["samples"].as_array().unwrap() {
        let labels: Vec<_> =
            pairs(&sample["labels"]).into_iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        page.push_str(&format!(
            "{}{{{}}} {}\n",
            sample["name"].as_str().unwrap(),
            labels.join(","),
            value_of(&sample["value"])
        ));
    }
    page
}

#[test]
fn families_leave_as_the_collectors_receiver_makes_them() {
    let Some(vectors) = vectors("prom_to_otlp_families.json") else { return };
    for case in vectors["cases"].as_array().unwrap().iter().filter(|case| case["samples"].is_array()) {
        let stale = case["samples"].as_array().unwrap().iter().any(|sample| sample["value"] == "StaleNaN");
        let first = page(case, |value| if stale { "1".to_owned() } else { value.to_string() });
        let pages = if stale { vec![first, String::new()] } else { vec![first] };
        let batch = scraped("", &pages);
        let found = points(&batch);
        let expected = case["expected"].as_array().cloned().unwrap_or_default();
        assert_eq!(found.len(), expected.len(), "{case}: {found:?}");
        for (want, (metric, kind, point)) in expected.iter().zip(&found) {
            assert_eq!(metric["name"], want["metric"], "{case}");
            assert_eq!(kind, want["type"].as_str().unwrap(), "{case}");
            if let Some(of_prometheus) = want["prometheus_type"].as_str() {
                assert_eq!(attributes(&metric["metadata"])["prometheus.type"], of_prometheus, "{case}");
            }
            let mut labels = attributes(&point["attributes"]);
            assert_eq!(labels.remove("zone").as_deref(), Some("z"), "labels of the target");
            assert_eq!(
                labels,
                pairs(&want["attributes"]).into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
                "{case}"
            );
            assert_eq!(number(&point["flags"]), number(&want["flags"]), "{case}");
            assert_eq!(number(&point["count"]), number(&want["count"]), "{case}");
            assert_eq!(number(&point["sum"]), number(&want["sum"]), "{case}");
            if kind == "histogram" {
                assert_eq!(point.get("sum").is_some(), !want["sum"].is_null(), "{case}");
            }
            assert_eq!(number(&point["asDouble"]), number(&want["value"]), "{case}");
            assert_eq!(numbers(&point["explicitBounds"]), numbers(&want["bounds"]), "{case}");
            assert_eq!(numbers(&point["bucketCounts"]), numbers(&want["bucket_counts"]), "{case}");
            let quantiles: Vec<_> = point["quantileValues"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|q| vec![number(&q["quantile"]), number(&q["value"])])
                .collect();
            let wanted: Vec<_> = want["quantiles"].as_array().into_iter().flatten().map(numbers).collect();
            assert_eq!(quantiles, wanted, "{case}");
            assert_eq!(number(&point["startTimeUnixNano"]), number(&want["start_time_unix_seconds"]) * 1e9, "{case}");
        }
    }
}

const EVERYTHING: &str = "\
# HELP requests_seconds How long.
# TYPE requests_seconds histogram
# UNIT requests_seconds seconds
requests_seconds_bucket{path=\"/a\",le=\"0.1\"} 2 # {trace_id=\"174137cab66dc880\",user=\"u\"} 0.05
requests_seconds_bucket{path=\"/a\",le=\"+Inf\"} 3
requests_seconds_count{path=\"/a\"} 3
requests_seconds_sum{path=\"/a\"} 1.5
requests_seconds_created{path=\"/a\"} 100.25
requests_seconds_bucket{path=\"/b\",le=\"0.1\"} 0
requests_seconds_bucket{path=\"/b\",le=\"+Inf\"} 0
requests_seconds_count{path=\"/b\"} 0
requests_seconds_sum{path=\"/b\"} 0
# TYPE jobs counter
jobs_total{otel_scope_name=\"lib\",otel_scope_version=\"2\",otel_scope_schema_url=\"u\",otel_scope_kind=\"x\",q=\"1\"} 5
jobs_created{otel_scope_name=\"lib\",otel_scope_version=\"2\",otel_scope_schema_url=\"u\",otel_scope_kind=\"x\",q=\"1\"} 200
# TYPE build info
build_info{version=\"9\"} 1
# TYPE feature stateset
feature{feature=\"a\"} 1
# TYPE sizes gaugehistogram
sizes_bucket{le=\"1\"} 2
sizes_bucket{le=\"+Inf\"} 2
sizes_gcount 2
sizes_gsum 1
# TYPE target info
target_info{service_version=\"7\",zone=\"mine\"} 1
# EOF
";

#[test]
fn a_page_of_everything_leaves_as_the_specification_says() {
    let batch = scraped("", &[EVERYTHING.to_owned()]);
    let found = resources(&batch);
    assert_eq!(found.len(), 1, "{found:?}");
    let resource = attributes(&found[0]["resource"]["attributes"]);
    assert_eq!(resource["service.name"], "job");
    assert_eq!(resource["server.port"], "80");
    assert_eq!((resource["service_version"].as_str(), resource["exported_zone"].as_str()), ("7", "mine"));
    let scopes = found[0]["scopeMetrics"].as_array().unwrap();
    let of_library = scopes.iter().find(|scope| scope["scope"]["name"] == "lib").unwrap();
    assert_eq!((of_library["scope"]["version"].as_str(), of_library["schemaUrl"].as_str()), (Some("2"), Some("u")));
    assert_eq!(attributes(&of_library["scope"]["attributes"]), [("kind".to_owned(), "x".to_owned())].into());
    let all = points(&batch);
    let of = |name: &str| -> Vec<&(Json, String, Json)> { all.iter().filter(|(m, ..)| m["name"] == name).collect() };
    let [(metric, kind, point)] = of("jobs_total")[..] else { panic!("{all:?}") };
    assert_eq!((kind.as_str(), metric["sum"]["isMonotonic"].as_bool()), ("sum", Some(true)));
    assert_eq!(number(&point["startTimeUnixNano"]), 200e9);
    assert_eq!(
        attributes(&point["attributes"]),
        [("q", "1"), ("zone", "z")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    );

    let [(metric, kind, a), (.., b)] = of("requests_seconds")[..] else { panic!("{all:?}") };
    assert_eq!(
        (kind.as_str(), metric["unit"].as_str(), metric["description"].as_str()),
        ("histogram", Some("s"), Some("How long."))
    );
    assert_eq!(metric["histogram"]["aggregationTemporality"], 2);
    assert_eq!((number(&a["startTimeUnixNano"]), b.get("startTimeUnixNano")), (100.25e9, None));
    assert_eq!((numbers(&a["bucketCounts"]), numbers(&b["bucketCounts"])), (vec![2.0, 1.0], vec![0.0, 0.0]));
    assert_eq!(a["exemplars"][0]["traceId"], "0000000000000000174137cab66dc880");
    assert_eq!(attributes(&a["exemplars"][0]["filteredAttributes"]), [("user".to_owned(), "u".to_owned())].into());
    for (name, kind) in [("build", "info"), ("feature", "stateset")] {
        let [(metric, data, _)] = of(name)[..] else { panic!("{name}: {all:?}") };
        assert_eq!((data.as_str(), metric["sum"].get("isMonotonic")), ("sum", None));
        assert_eq!(attributes(&metric["metadata"])["prometheus.type"], kind);
    }
    assert!(all.iter().all(|(metric, ..)| metric["name"] != "sizes" && metric["name"] != "sizes_bucket"), "{all:?}");

    let encoded = MetricsEncoder::default().encode(&batch);
    assert_eq!(encoded.dropped.gauge_histograms, 2, "its buckets");
    assert_eq!((encoded.dropped.incomplete, encoded.dropped.malformed), (0, 0));
    assert_eq!(encoded.data_points, all.len() + 5, "and those of the report");
}

#[test]
fn what_a_target_says_of_itself_stays_with_its_later_batches() {
    let mut encoder = MetricsEncoder::default();
    let says = |encoded: &[u8]| String::from_utf8_lossy(encoded).contains("service_version");
    let batch = scraped("", &[EVERYTHING.to_owned()]);
    let (groups, _) = batch.into_parts();
    let (page, report): (Vec<_>, Vec<_>) = groups.into_iter().partition(|group| group.points.len() > 5);
    let (page, report) = (MetricBatch::new(page), MetricBatch::new(report));
    assert!(!says(&encoder.encode(&report).body), "nothing is known yet");
    assert!(says(&encoder.encode(&page).body));
    assert!(says(&encoder.encode(&report).body));
}

#[test]
fn buckets_that_end_leave_the_others_alone() {
    let page = |buckets: &[&str]| {
        let lines: String = buckets.iter().map(|le| format!("h_bucket{{le=\"{le}\"}} 1\n")).collect();
        format!("# TYPE h histogram\n{lines}h_count 1\nh_sum 2\n")
    };
    let batch = scraped("", &[page(&["1", "2", "+Inf"]), page(&["2", "+Inf"])]);
    let [(_, _, point)] = &points(&batch)[..] else { panic!("{batch:?}") };
    assert_eq!((number(&point["flags"]), numbers(&point["explicitBounds"])), (0.0, vec![2.0]));
    assert_eq!((number(&point["count"]), number(&point["sum"])), (1.0, 2.0));
}
