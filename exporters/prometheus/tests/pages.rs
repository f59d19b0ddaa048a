//! What is on a page.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use pipeline::model::Source;
use pipeline::value::{Exemplar, ExemplarValue, Histogram, Point, Summary, Value};
use pipeline::{
    Attributes, FamilyKind, MetricBatch, Origin, Part, PointGroup, Resource, Scope, SeriesTable, Temporality,
};

use super::super::page::{PageForm, wants_gzip};
use super::{OPEN_METRICS, Shop, TEXT, dropped, family, origin, part, samples, whole};

const HISTOGRAM: FamilyKind = FamilyKind::Histogram { temporality: Temporality::Cumulative };

fn shop_with_everything(settings: &str) -> Shop {
    let mut shop = Shop::new(settings);
    let resource = Resource {
        attributes: Attributes::from_pairs([
            ("service.namespace", "ns"),
            ("service.name", "shop"),
            ("service.instance.id", "i1"),
            ("host.name", "h"),
        ]),
        ..Resource::default()
    };
    let scope = Scope { name: "lib".into(), version: "1".into(), ..Scope::default() };
    let origin = Origin::intern(Source::Otlp, resource, scope, Attributes::default());
    let histogram = Histogram {
        count: 5,
        sum: Some(12.5),
        bounds: [0.5, 1000000.0].into(),
        bucket_counts: [1, 2, 2].into(),
        ..Histogram::default()
    };
    let summary = Summary { count: 2, sum: 3.0, quantiles: [(0.5, 1.0), (0.99, f64::NAN)].into() };
    let points = vec![
        (
            whole("http.requests", "1", FamilyKind::COUNTER, &[("http.code", "200"), ("path", "a\"\\\nb")]),
            1,
            Value::Int(1_000_000),
        ),
        (whole("temp", "Cel", FamilyKind::Gauge, &[]), 2, Value::Float(-0.5)),
        (whole("latency", "s", HISTOGRAM, &[("x", "y")]), 3, Value::Histogram(Box::new(histogram))),
        (whole("rpc", "ms", FamilyKind::Summary, &[]), 4, Value::Summary(Box::new(summary))),
    ];
    assert_eq!(shop.take(&origin, points).shown, 4);
    shop
}

#[test]
fn otlp_metrics_are_shown_as_the_collector_shows_them() {
    let page = shop_with_everything("").page(TEXT);
    let of = "job=\"ns/shop\",instance=\"i1\",otel_scope_name=\"lib\",otel_scope_version=\"1\"";
    let of = {
        // Labels of an origin are sorted.
        let mut labels: Vec<&str> = of.split(',').collect();
        labels.sort_unstable();
        labels.join(",")
    };
    let expected = format!(
        "# HELP http_requests_total Help of http.requests.\n\
         # TYPE http_requests_total counter\n\
         http_requests_total{{http_code=\"200\",path=\"a\\\"\\\\\\nb\",{of}}} 1e+06\n\
         # HELP latency_seconds Help of latency.\n\
         # TYPE latency_seconds histogram\n\
         latency_seconds_bucket{{x=\"y\",{of},le=\"0.5\"}} 1\n\
         latency_seconds_bucket{{x=\"y\",{of},le=\"1e+06\"}} 3\n\
         latency_seconds_bucket{{x=\"y\",{of},le=\"+Inf\"}} 5\n\
         latency_seconds_sum{{x=\"y\",{of}}} 12.5\n\
         latency_seconds_count{{x=\"y\",{of}}} 5\n\
         # HELP rpc_milliseconds Help of rpc.\n\
         # TYPE rpc_milliseconds summary\n\
         rpc_milliseconds{{{of},quantile=\"0.5\"}} 1\n\
         rpc_milliseconds{{{of},quantile=\"0.99\"}} NaN\n\
         rpc_milliseconds_sum{{{of}}} 3\n\
         rpc_milliseconds_count{{{of}}} 2\n\
         # HELP target_info Target metadata\n\
         # TYPE target_info gauge\n\
         target_info{{host_name=\"h\",instance=\"i1\",job=\"ns/shop\"}} 1\n\
         # HELP temp_celsius Help of temp.\n\
         # TYPE temp_celsius gauge\n\
         temp_celsius{{{of}}} -0.5\n"
    );
    assert_eq!(page, expected);
}

#[test]
fn open_metrics_differs_where_it_has_to() {
    let settings = "without_scope_info: true\nconst_labels: {env: dev, http.code: none}\nsend_timestamps: true\n";
    let page = shop_with_everything(settings).page(PageForm { timestamps: true, ..OPEN_METRICS });
    let lines: Vec<&str> = page.lines().collect();
    for line in [
        "# TYPE http_requests counter",
        "http_requests_total{http_code=\"200\",path=\"a\\\"\\\\\\nb\",env=\"dev\",http_code=\"none\",instance=\"i1\",job=\"ns/shop\"} 1e+06 1.000",
        "# UNIT latency_seconds seconds",
        "latency_seconds_bucket{x=\"y\",env=\"dev\",http_code=\"none\",instance=\"i1\",job=\"ns/shop\",le=\"1e+06\"} 3.0 3.000",
        "rpc_milliseconds{env=\"dev\",http_code=\"none\",instance=\"i1\",job=\"ns/shop\",quantile=\"0.5\"} 1.0 4.000",
    ] {
        let of_own = line.replace(",http_code=\"none\",instance", ",instance");
        // The series that has the label itself keeps its own.
        let wanted = if line.contains("http_code=\"200\"") {
            "http_requests_total{env=\"dev\",http_code=\"200\",instance=\"i1\",job=\"ns/shop\",path=\"a\\\"\\\\\\nb\"} 1e+06 1.000"
        } else if lines.contains(&line) {
            line
        } else {
            &of_own
        };
        assert!(lines.contains(&wanted), "{wanted}\nis not in\n{page}");
    }
    assert_eq!(lines.last(), Some(&"# EOF"));
}

#[test]
fn remote_written_series_keep_their_names_and_flat_histograms_are_one_family() {
    let mut shop = Shop::new("namespace: other\n");
    let from = origin(Source::RemoteWrite, &[("service.name", "j"), ("service.instance.id", "a:1")]);
    let lat = family("lat", "s", HISTOGRAM);
    let gauge_histogram = family("gh", "", FamilyKind::GaugeHistogram);
    let total = family("om_total", "", FamilyKind::COUNTER);
    let float = |series, value| (series, 1, Value::Float(value));
    shop.take(
        &from,
        vec![
            float(part(&lat, "lat_count", Part::Count, &[("p", "1")]), 4.0),
            float(part(&lat, "lat_bucket", Part::Bucket("+Inf".into()), &[("p", "1")]), 4.0),
            float(part(&lat, "lat_bucket", Part::Bucket("10".into()), &[("p", "1")]), 3.0),
            float(part(&lat, "lat_bucket", Part::Bucket("2".into()), &[("p", "1")]), 2.0),
            float(part(&lat, "lat_sum", Part::Sum, &[("p", "1")]), 9.5),
            float(part(&lat, "lat_created", Part::Created, &[("p", "1")]), 1.5),
            float(part(&lat, "lat_count", Part::Count, &[("p", "0")]), 7.0),
            float(part(&gauge_histogram, "gh_bucket", Part::Whole, &[("le", "1")]), 1.0),
            float(part(&total, "om_total", Part::Whole, &[]), 8.0),
            float(part(&total, "om_created", Part::Created, &[]), 2.5),
            float(whole("raw:rule_MiB", "By", FamilyKind::Unknown, &[("_x__y", "1")]), 6.0),
        ],
    );
    let of = "instance=\"a:1\",job=\"j\"";
    assert_eq!(
        shop.page(TEXT),
        format!(
            "# HELP gh_bucket Help of gh.\n# TYPE gh_bucket gauge\ngh_bucket{{le=\"1\",{of}}} 1\n\
             # HELP lat Help of lat.\n# TYPE lat histogram\n\
             lat_count{{p=\"0\",{of}}} 7\n\
             lat_bucket{{p=\"1\",{of},le=\"2\"}} 2\nlat_bucket{{p=\"1\",{of},le=\"10\"}} 3\n\
             lat_bucket{{p=\"1\",{of},le=\"+Inf\"}} 4\nlat_sum{{p=\"1\",{of}}} 9.5\nlat_count{{p=\"1\",{of}}} 4\n\
             # TYPE lat_created gauge\nlat_created{{p=\"1\",{of}}} 1.5\n\
             # HELP om_total Help of om_total.\n# TYPE om_total counter\nom_total{{{of}}} 8\n\
             # TYPE om_created gauge\nom_created{{{of}}} 2.5\n\
             # HELP raw:rule_MiB Help of raw:rule_MiB.\n# TYPE raw:rule_MiB untyped\n\
             raw:rule_MiB{{_x__y=\"1\",{of}}} 6\n"
        )
    );
    let page = shop.page(OPEN_METRICS);
    assert!(page.contains("# TYPE om counter\nom_total{instance=\"a:1\",job=\"j\"} 8.0\nom_created{"), "{page}");
}

#[test]
fn scraped_series_are_renamed_unless_their_names_are_kept() {
    let from = origin(Source::Scrape, &[("service.name", "j"), ("service.instance.id", "i"), ("os", "linux")]);
    let lat = family("lat", "", HISTOGRAM);
    let points = vec![
        (whole("node__x_total", "", FamilyKind::COUNTER, &[]), 1, Value::Float(1.0)),
        (part(&lat, "lat_bucket", Part::Bucket("1.0".into()), &[]), 1, Value::Float(1.0)),
        (part(&lat, "lat_created", Part::Created, &[]), 1, Value::Float(5.0)),
        (whole("target_info", "", FamilyKind::Gauge, &[("version", "3")]), 1, Value::Float(1.0)),
    ];
    let mut shop = Shop::new("without_scope_info: true");
    assert_eq!(dropped(&shop.take(&from, points.clone())), [("created_series", 1)]);
    assert_eq!(
        samples(&shop.page(TEXT)),
        [
            "lat_bucket{instance=\"i\",job=\"j\",le=\"1\"} 1",
            "node_x_total{instance=\"i\",job=\"j\"} 1",
            "target_info{instance=\"i\",job=\"j\",os=\"linux\",version=\"3\"} 1",
        ]
    );
    let mut shop = Shop::new("keep_scraped_names: true");
    assert_eq!(shop.take(&from, points).shown, 4);
    assert_eq!(
        samples(&shop.page(TEXT)),
        [
            "lat_bucket{instance=\"i\",job=\"j\",le=\"1.0\"} 1",
            "lat_created{instance=\"i\",job=\"j\"} 5",
            "node__x_total{instance=\"i\",job=\"j\"} 1",
            "target_info{version=\"3\",instance=\"i\",job=\"j\"} 1",
        ]
    );
}

#[test]
fn one_family_has_one_type() {
    let mut shop = Shop::new("");
    let from = origin(Source::Otlp, &[]);
    let value = || Value::Float(1.0);
    shop.take(&from, vec![(whole("a", "", FamilyKind::Unknown, &[("n", "1")]), 1, value())]);
    shop.take(&from, vec![(whole("a", "", FamilyKind::Gauge, &[("n", "2")]), 1, value())]);
    let conflicting = || vec![(whole("a", "", HISTOGRAM, &[("n", "3")]), 1, value())];
    assert_eq!(dropped(&shop.take(&from, conflicting())), [("conflicting_type", 1)]);
    assert_eq!(dropped(&shop.take(&from, conflicting())), [("conflicting_type", 1)]);
    assert_eq!(
        shop.page(TEXT),
        "# HELP a Help of a.\n# TYPE a gauge\na{n=\"1\"} 1\na{n=\"2\"} 1\n",
        "the known type counts for all"
    );
    shop.pass(301);
    assert_eq!(shop.take(&from, conflicting()).shown, 1, "the name is free again");
    assert!(shop.page(TEXT).contains("# TYPE a histogram"));
}

#[test]
fn series_that_look_the_same_are_shown_once() {
    let mut shop = Shop::new("");
    let series = || whole("same", "", FamilyKind::Gauge, &[]);
    let one = |pod| origin(Source::Otlp, &[("service.name", "j"), ("service.instance.id", "i"), ("pod", pod)]);
    shop.take(&one("old"), vec![(series(), 5, Value::Float(5.0))]);
    shop.take(&one("new"), vec![(series(), 6, Value::Float(6.0))]);
    shop.take(&one("older"), vec![(series(), 4, Value::Float(4.0))]);
    let page = shop.store.page(TEXT);
    assert_eq!(page.duplicates, 2);
    assert_eq!(
        samples(&page.text),
        ["same{instance=\"i\",job=\"j\"} 6", "target_info{instance=\"i\",job=\"j\",pod=\"older\"} 1"],
        "and a target has one target_info"
    );
}

#[test]
fn attributes_never_stand_twice() {
    let mut shop = Shop::new("resource_to_telemetry_conversion: {enabled: true}\nconst_labels: {c: const}\n");
    let from = origin(Source::Otlp, &[("service.name", "j"), ("zone", "of.resource")]);
    let attributes = [("job", "own"), ("zone", "own"), ("a.b", "1"), ("a_b", "2"), ("c", "own"), ("e", "")];
    shop.take(&from, vec![(whole("m", "", FamilyKind::Gauge, &attributes), 1, Value::Float(1.0))]);
    assert_eq!(
        samples(&shop.page(TEXT)),
        ["m{a_b=\"1;2\",c=\"own\",job=\"j\",service_name=\"j\",zone=\"of.resource\"} 1"]
    );
}

#[test]
fn utf8_names_are_quoted_or_escaped() {
    let mut shop = Shop::new("translation_strategy: NoTranslation");
    let from = origin(Source::Otlp, &[("service.name", "j")]);
    shop.take(&from, vec![(whole("m.x", "", FamilyKind::Gauge, &[("l.y", "1")]), 1, Value::Float(1.0))]);
    assert_eq!(shop.page(TEXT), "# HELP m_x Help of m.x.\n# TYPE m_x gauge\nm_x{job=\"j\",l_y=\"1\"} 1\n");
    assert_eq!(
        shop.page(PageForm { utf8: true, ..TEXT }),
        "# HELP \"m.x\" Help of m.x.\n# TYPE \"m.x\" gauge\n{\"m.x\",\"l.y\"=\"1\",job=\"j\"} 1\n"
    );
}

#[test]
fn exemplars_stand_where_they_belong() {
    let mut shop = Shop::new("enable_open_metrics: true");
    let table = SeriesTable::intern(vec![
        whole("c", "", FamilyKind::COUNTER, &[]),
        whole("h", "", HISTOGRAM, &[]),
        whole("g", "", FamilyKind::Gauge, &[]),
    ]);
    let histogram = Histogram { count: 2, bounds: [1.0].into(), bucket_counts: [1, 1].into(), ..Histogram::default() };
    let point = |series, value| Point { series, flags: 0, time: 1, start: 0, value };
    let points =
        vec![point(0, Value::Float(1.0)), point(1, Value::Histogram(Box::new(histogram))), point(2, Value::Float(1.0))];
    let exemplar = |point, value, attributes: Attributes| Exemplar {
        point,
        time: 1_500_000_000,
        value: ExemplarValue::Float(value),
        trace_id: [0xab; 16].into(),
        span_id: Box::default(),
        attributes,
    };
    let long = Attributes::from_pairs([("long", "x".repeat(120).as_str())]);
    let exemplars = vec![
        exemplar(0, 0.5, Attributes::from_pairs([("k", "v")])),
        exemplar(1, 7.0, long),
        exemplar(2, 0.5, Attributes::default()),
    ];
    let group = PointGroup { exemplars, ..PointGroup::new(origin(Source::Otlp, &[]), table, points) };
    shop.store.take(MetricBatch::new(vec![group]), shop.now);
    let page = shop.page(OPEN_METRICS);
    let id = "abababababababababababababababab";
    for line in [
        format!("c_total 1.0 # {{trace_id=\"{id}\",k=\"v\"}} 0.5 1.500"),
        "h_bucket{le=\"1.0\"} 1.0".to_owned(),
        format!("h_bucket{{le=\"+Inf\"}} 2.0 # {{trace_id=\"{id}\"}} 7.0 1.500"),
        "g 1.0".to_owned(),
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\nis not in\n{page}");
    }
    assert!(!shop.page(TEXT).contains(" # {"), "the text format has none");
}

#[test]
fn readers_get_the_form_they_ask_for() {
    let form = |accept: &str, may| {
        let mut headers = HeaderMap::new();
        if !accept.is_empty() {
            headers.insert("accept", HeaderValue::from_str(accept).unwrap());
        }
        PageForm::wanted(&headers, may, false).content_type()
    };
    let text = "text/plain; version=0.0.4; charset=utf-8";
    let open_metrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                        text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                        text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,*/*;q=0.1";
    assert_eq!(form("", true), text);
    assert_eq!(form("*/*", true), text);
    assert_eq!(form("image/png", true), text);
    assert_eq!(form(prometheus_2, true), open_metrics);
    assert_eq!(form(prometheus_2, false), text);
    assert_eq!(form(prometheus_3, true), format!("{open_metrics}; escaping=allow-utf-8"));
    assert_eq!(form(prometheus_3, false), "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8");
    assert_eq!(form("application/openmetrics-text;version=2.0.0,text/plain;q=0.1", true), text);
    assert_eq!(form("application/openmetrics-text;q=0.1,text/plain;q=0.2", true), text);

    let gzip = |coding: &'static str| {
        wants_gzip(&HeaderMap::from_iter([(http::header::ACCEPT_ENCODING, HeaderValue::from_static(coding))]))
    };
    assert!(gzip("gzip") && gzip("deflate, gzip;q=0.5") && gzip("*"));
    assert!(!gzip("identity") && !gzip("gzip;q=0") && !gzip("br"));
}

#[test]
fn promtool_finds_nothing_wrong() {
    let page = shop_with_everything("").page(TEXT);
    let Ok(mut child) =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()
    else {
        writeln!(std::io::stderr(), "skipped: promtool is not installed").unwrap();
        return;
    };
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // It also judges style, which is up to the source: only what cannot be read is an error here.
    assert!(!said.contains("error while linting"), "{said}");
}

#[test]
fn tables_and_origins_are_let_go() {
    let mut shop = Shop::new("");
    let from = origin(Source::Otlp, &[("service.name", "gone"), ("service.instance.id", "i"), ("x", "y")]);
    let series = whole("gone_m", "", FamilyKind::Gauge, &[]);
    shop.take(&from, vec![(Arc::clone(&series), 1, Value::Float(1.0))]);
    assert!(Arc::strong_count(&series) > 1 && Arc::strong_count(&from) > 1);
    shop.pass(301);
    assert_eq!((Arc::strong_count(&series), Arc::strong_count(&from)), (1, 1));
    assert_eq!((shop.store.len(), shop.page(TEXT).as_str()), (0, ""));
}
