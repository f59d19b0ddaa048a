//! What a store reads is what the pipeline holds.

use super::*;
use proptest::prelude::*;

const COUNTER: FamilyKind = FamilyKind::COUNTER;

#[test]
fn a_scraped_series_gets_the_collectors_labels() {
    let o = origin(
        Source::Scrape,
        &[("service.name", "j"), ("service.instance.id", "i"), ("server.port", "1")],
        &[("env", "prod")],
    );
    let s = series("http_requests_total", COUNTER, &[("code", "200"), ("zone", "z")]);
    let got = encode(&mut encoder(""), batch(&o, vec![s], vec![point(0, 1000, 1.5)]));
    let all: Vec<_> = got.series.iter().map(|(l, s)| (labels(l), s.clone())).collect();
    let sample = BTreeMap::from([
        ("__name__", "http_requests_total"),
        ("code", "200"),
        ("env", "prod"),
        ("instance", "i"),
        ("job", "j"),
        ("zone", "z"),
    ]);
    let info = BTreeMap::from([("__name__", "target_info"), ("instance", "i"), ("job", "j"), ("server_port", "1")]);
    assert_eq!(all, [(sample, vec![(1000, 1.5)]), (info, vec![(1000, 1.0)])]);
}

#[test]
fn many_series_of_many_origins_decode() {
    let mut encoder = encoder("external_labels: {cluster: c}\ntarget_info: {enabled: false}\n");
    let all: Vec<_> = (0..300)
        .map(|i| series("m_total", COUNTER, &[("i", &i.to_string()), ("aaa", "1"), ("zzz", "2"), ("k", "3")]))
        .collect();
    let mut groups = Vec::new();
    for o in 0..20 {
        let o = origin(Source::Scrape, &[("service.name", "j"), ("service.instance.id", &o.to_string())], &[]);
        let points = (0..300).map(|i| point(i, 5, f64::from(i))).collect();
        groups.push(PointGroup::new(o, SeriesTable::intern(all.clone()), points));
    }
    let got = encode(&mut encoder, MetricBatch::new(groups));
    assert_eq!(got.series.len(), 6000);
    for (labels, samples) in &got.series {
        let labels = super::labels(labels);
        assert_eq!(labels.len(), 8, "{labels:?}");
        assert_eq!(samples[0].1, labels["i"].parse::<f64>().unwrap());
    }
}

#[test]
fn a_label_on_both_sides_ends_as_the_reference_says() {
    let o = origin(Source::Otlp, &[("service.name", "svc"), ("service.instance.id", "i")], &[]);
    let s = series("x", FamilyKind::Gauge, &[("job", "mine"), ("a.b", "1"), ("a_b", "2")]);
    for _ in 0..2 {
        let got =
            encode(&mut encoder("target_info: {enabled: false}"), batch(&o, vec![s.clone()], vec![point(0, 1, 1.0)]));
        let got = labels(&got.series[0].0);
        assert_eq!(got["job"], "svc");
        assert_eq!(got["a_b"], "1;2");
    }
}

#[test]
fn stale_and_other_nans_are_kept_apart() {
    let o = origin(Source::Scrape, &[("service.name", "j")], &[]);
    let s = series("x", FamilyKind::Gauge, &[]);
    let mut points = vec![point(0, 1, STALE), point(0, 2, f64::from_bits(0x7ff8_0000_0000_1234)), point(0, 3, 0.0)];
    points[0].value = Value::NONE;
    let got = encode(&mut encoder("target_info: {enabled: false}"), batch(&o, vec![s], points));
    let values: Vec<f64> = got.series.iter().map(|(_, samples)| samples[0].1).collect();
    assert!(is_stale(values[0]));
    assert_eq!(values[1].to_bits(), 0x7ff8_0000_0000_0001);
    assert_eq!(values[2], 0.0);
}

#[test]
fn kept_names_are_those_of_the_scrape() {
    let mut encoder = encoder("keep_scraped_names: true\nexternal_labels: {region: r}\n");
    let o = origin(Source::Scrape, &[("service.name", "j"), ("service.instance.id", "i"), ("url.scheme", "http")], &[]);
    let family =
        Arc::new(Family { name: "weird:Name__x".into(), unit: "s".into(), kind: COUNTER, ..Family::default() });
    let s = Series::intern(family, "weird:Name__x".into(), Part::Whole, Attributes::from_pairs([("__l", "1")]));
    let got = encode(&mut encoder, batch(&o, vec![s], vec![point(0, 1, 1.0)]));
    assert_eq!(got.series.len(), 1, "no target_info is made up: {got:?}");
    let want =
        BTreeMap::from([("__name__", "weird:Name__x"), ("__l", "1"), ("instance", "i"), ("job", "j"), ("region", "r")]);
    assert_eq!(labels(&got.series[0].0), want);
}

#[test]
fn the_scope_of_scraped_series_is_said_only_when_asked() {
    let scope = Scope { name: "receiver".into(), ..Scope::default() };
    let o = Origin::intern(Source::Scrape, Resource::default(), scope.clone(), Attributes::default());
    let otlp = Origin::intern(Source::Otlp, Resource::default(), scope, Attributes::default());
    let s = series("x", FamilyKind::Gauge, &[]);
    for (keys, origin, want) in
        [("", &o, None), ("scraped_scope_info: true", &o, Some("receiver")), ("", &otlp, Some("receiver"))]
    {
        let got = encode(&mut encoder(keys), batch(origin, vec![s.clone()], vec![point(0, 1, 1.0)]));
        assert_eq!(labels(&got.series[0].0).get("otel_scope_name").copied(), want);
    }
}

#[test]
fn classic_parts_are_named_after_the_translated_family() {
    let o = origin(Source::Scrape, &[("service.name", "j")], &[]);
    let family = Arc::new(Family {
        name: "rpc".into(),
        unit: "s".into(),
        kind: FamilyKind::Histogram { temporality: pipeline::Temporality::Cumulative },
        ..Family::default()
    });
    let part = |name: &str, part| Series::intern(Arc::clone(&family), name.into(), part, Attributes::default());
    let all = vec![
        part("rpc_bucket", Part::Bucket("1.0".into())),
        part("rpc_sum", Part::Sum),
        part("rpc_count", Part::Count),
    ];
    let points = (0..3).map(|i| point(i, 1, 1.0)).collect();
    let got = encode(&mut encoder("target_info: {enabled: false}"), batch(&o, all, points));
    let names: Vec<_> =
        got.series.iter().map(|(l, _)| (labels(l)["__name__"].to_owned(), labels(l).get("le").copied())).collect();
    let want = [("rpc_seconds_bucket", Some("1")), ("rpc_seconds_sum", None), ("rpc_seconds_count", None)];
    assert_eq!(names, want.map(|(n, le)| (n.to_owned(), le)));
}

#[test]
fn whole_histograms_are_taken_apart_and_native_ones_kept() {
    let o = origin(Source::Otlp, &[("service.name", "j")], &[]);
    let kind = FamilyKind::Histogram { temporality: pipeline::Temporality::Cumulative };
    let exponential = FamilyKind::ExponentialHistogram { temporality: pipeline::Temporality::Cumulative };
    let all = vec![series("h", kind, &[]), series("e", exponential, &[])];
    let histogram = pipeline::Histogram {
        count: 6,
        sum: Some(40.5),
        bounds: [0.5, 10.0].into(),
        bucket_counts: [1, 2, 3].into(),
        ..Default::default()
    };
    let native = pipeline::ExponentialHistogram { count: 1, scale: 1, ..Default::default() };
    let mut points = vec![point(0, 1, 0.0), point(1, 1, 0.0), point(0, 2, 0.0)];
    points[0].value = Value::Histogram(Box::new(histogram));
    points[1].value = Value::ExponentialHistogram(Box::new(native));
    points[2].value = Value::NONE;
    let got = encode(&mut encoder("target_info: {enabled: false}"), batch(&o, all, points));
    assert_eq!(got.histograms, 1);
    let flat: Vec<_> = got.series.iter().filter(|(_, s)| !s.is_empty()).collect();
    assert_eq!(flat.len(), 10, "sum, count and three buckets, then a marker for each");
    assert_eq!(flat.iter().filter(|(_, s)| is_stale(s[0].1)).count(), 5);
    let buckets: Vec<_> =
        flat.iter().filter_map(|(l, s)| labels(l).get("le").map(|le| ((*le).to_owned(), s[0].1))).take(3).collect();
    assert_eq!(buckets, [("0.5".to_owned(), 1.0), ("10".to_owned(), 3.0), ("+Inf".to_owned(), 6.0)]);
}

#[test]
fn what_is_taken_apart_is_compressed_together() {
    let o = origin(Source::Otlp, &[("service.name", "a-service"), ("service.instance.id", "an-instance")], &[]);
    let kind = FamilyKind::Histogram { temporality: pipeline::Temporality::Cumulative };
    let mut all = vec![series("before", FamilyKind::Gauge, &[])];
    all.extend((0..50).map(|i| series("request_duration_seconds", kind, &[("path", &i.to_string())])));
    let histogram = pipeline::Histogram {
        count: 6,
        sum: Some(40.5),
        bounds: [0.5, 10.0].into(),
        bucket_counts: [1, 2, 3].into(),
        ..Default::default()
    };
    let mut encoder = encoder("target_info: {enabled: false}");
    let table = SeriesTable::intern(all);
    let mut lengths = Vec::new();
    for time in [1, 2, 3] {
        let mut points: Vec<_> = (0..51).map(|series| point(series, time, 1.5)).collect();
        for point in &mut points[1..] {
            point.value = Value::Histogram(Box::new(histogram.clone()));
        }
        encoder.encode(MetricBatch::new(vec![PointGroup::new(Arc::clone(&o), Arc::clone(&table), points)]));
        encoder.seal_all();
        let request = encoder.next_sealed().unwrap();
        assert_eq!(request.contents.samples, 1 + 50 * 5);
        lengths.push(request.body.len());
    }
    // From the second time on there are label sets that stand ready, which is of no use here and should do no harm.
    assert!(lengths.iter().all(|len| *len == lengths[0]), "{lengths:?}");
}

#[test]
fn a_scraped_target_info_is_merged_into_the_one_made() {
    let mut encoder = encoder("");
    let o = origin(Source::Scrape, &[("service.name", "j"), ("service.instance.id", "i"), ("server.port", "1")], &[]);
    let all = vec![series("target_info", FamilyKind::Gauge, &[("version", "9")]), series("x", FamilyKind::Gauge, &[])];
    let got = encode(&mut encoder, batch(&o, all, vec![point(0, 1, 1.0), point(1, 1, 2.0)]));
    let infos: Vec<_> = got.series.iter().filter(|(l, _)| labels(l)["__name__"] == "target_info").collect();
    assert_eq!(infos.len(), 1);
    assert_eq!(labels(&infos[0].0)["version"], "9");
}

#[test]
fn a_full_request_is_sealed_and_shards_keep_series_together() {
    let mut encoder = encoder("max_samples_per_send: 100\ntarget_info: {enabled: false}\n");
    encoder.spread_over(4);
    let o = origin(Source::Otlp, &[("service.name", "j")], &[]);
    let all: Vec<_> = (0..50).map(|i| series("x", FamilyKind::Gauge, &[("i", &i.to_string())])).collect();
    let mut shard_of = BTreeMap::new();
    for round in 0..40 {
        encoder.encode(batch(&o, all.clone(), (0..50).map(|i| point(i, round, 1.0)).collect()));
        while let Some(request) = encoder.next_sealed() {
            assert_eq!(request.contents.samples, 100);
            for (labels, _) in received(std::slice::from_ref(&request)).series {
                assert_eq!(*shard_of.entry(labels).or_insert(request.shard), request.shard);
            }
        }
    }
    assert_eq!(shard_of.len(), 50);
    assert!(shard_of.values().collect::<std::collections::BTreeSet<_>>().len() > 1);
}

proptest! {
    /// The joined wire form equals the plain statement of the rules, whatever the labels are.
    #[test]
    fn joining_equals_the_reference(
        shared in prop::collection::btree_map("[a-d._]{1,3}", "[x-z]{1,2}", 0..4),
        own in prop::collection::btree_map("[a-d._]{1,3}|job|instance|zz", "[x-z]{1,2}", 0..5),
        external in prop::collection::btree_map("[a-d]{1,2}|job|cluster", "[x-z]{1,2}", 0..3),
        to_telemetry in any::<bool>(),
        scope in "[a-z]{0,2}",
    ) {
        prop_assume!(own.keys().all(|key| !shared.contains_key(key)));
        let external: Vec<String> = external.iter().map(|(k, v)| format!("{k}: {v}")).collect();
        let keys = format!(
            "target_info: {{enabled: false}}\nresource_to_telemetry_conversion: {{enabled: {to_telemetry}}}\nexternal_labels: {{{}}}\n",
            external.join(", ")
        );
        let pairs = |map: &BTreeMap<String, String>| Attributes::from_pairs(map.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        let resource = Resource { attributes: Attributes::from_pairs([("service.name", "s"), ("a", "r"), ("zz", "q")]), ..Resource::default() };
        let o = Origin::intern(Source::Otlp, resource, Scope { name: scope.as_str().into(), ..Scope::default() }, pairs(&shared));
        let family = Arc::new(Family { name: "m".into(), kind: FamilyKind::Gauge, ..Family::default() });
        let s = Series::intern(family, "m".into(), Part::Whole, pairs(&own));
        let want = translation(&keys).all_labels(&o, &s);
        let mut encoder = encoder(&keys);
        for _ in 0..2 {
            let got = encode(&mut encoder, batch(&o, vec![Arc::clone(&s)], vec![point(0, 1, 1.0)]));
            prop_assert_eq!(got.series.first().map(|(labels, _)| labels.clone()), want.clone());
        }
    }
}
