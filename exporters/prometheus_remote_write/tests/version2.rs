//! Remote write 2.0: what a store reads is what version 1.0 would have told it, and more.

use super::*;
use pipeline::value::{Exemplar, ExemplarValue};
use pipeline::{ExponentialHistogram, Histogram, Temporality};
use prometheus::remote_write::Batch;
use prometheus::remote_write::wire::{HistogramCount, MetricType};
use proptest::prelude::*;

const V2: &str = "protobuf_message: io.prometheus.write.v2.Request\n";
const COUNTER: FamilyKind = FamilyKind::COUNTER;

/// The decompressed requests that come of batches.
fn raw(encoder: &mut Encoder, batches: Vec<MetricBatch>) -> Vec<(ProtocolVersion, Vec<u8>)> {
    batches.into_iter().for_each(|batch| encoder.encode(batch));
    encoder.seal_all();
    let requests = std::iter::from_fn(|| encoder.next_sealed());
    requests
        .map(|request| {
            let mut plain = Vec::new();
            decode_block(&request.body, 1 << 30, &mut plain).unwrap();
            let batch = Batch::decode(request.version, &plain).unwrap();
            assert_eq!(batch.unreadable, 0);
            let counts = batch.counts(0..batch.len());
            assert_eq!(counts.samples, request.contents.samples);
            assert_eq!(counts.histograms, request.contents.histograms);
            assert_eq!(counts.exemplars, request.contents.exemplars);
            if counts.samples > 0 {
                assert_eq!(counts.newest_ms, Some(request.contents.newest_ms));
                assert_eq!(counts.oldest_ms, Some(request.contents.oldest_ms));
            }
            (request.version, plain)
        })
        .collect()
}

/// The symbols of a request, of which each must be there once, the empty one first.
fn symbols(plain: &[u8]) -> Vec<String> {
    let (mut at, mut all) = (0, Vec::new());
    let varint = |at: &mut usize| {
        let mut value = 0usize;
        for shift in (0..).step_by(7) {
            let byte = plain[*at];
            *at += 1;
            value |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    };
    while at < plain.len() {
        let tag = plain[at];
        at += 1;
        let len = varint(&mut at);
        if tag == 0x22 {
            all.push(String::from_utf8(plain[at..at + len].to_vec()).unwrap());
        }
        at += len;
    }
    assert_eq!(all.first().map(String::as_str), Some(""));
    let distinct: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len(), "a symbol stands twice: {all:?}");
    all
}

fn family(name: &str, kind: FamilyKind, help: &str, unit: &str) -> Arc<Family> {
    Arc::new(Family { name: name.into(), kind, description: help.into(), unit: unit.into(), ..Family::default() })
}

#[test]
fn a_sample_has_its_metadata_and_its_start() {
    let o = origin(Source::Scrape, &[("service.name", "j"), ("service.instance.id", "i")], &[]);
    let requests = family("requests_total", COUNTER, "Requests.", "By");
    let temperature = family("temperature", FamilyKind::Gauge, "", "");
    let series = vec![
        Series::intern(requests, "requests_total".into(), Part::Whole, Attributes::from_pairs([("code", "200")])),
        Series::intern(temperature, "temperature".into(), Part::Whole, Attributes::default()),
    ];
    let points = vec![
        Point { start: 2_000_000_000, ..point(0, 5000, 7.0) },
        Point { start: 2_000_000_000, ..point(1, 5000, 21.5) },
    ];
    let mut encoder = encoder(&format!("{V2}target_info: {{enabled: false}}\nadd_metric_suffixes: false\n"));
    let plain = raw(&mut encoder, vec![batch(&o, series, points)]);
    let all = symbols(&plain[0].1);
    assert!(all.iter().any(|symbol| symbol == "Requests."));
    let got = Batch::decode(ProtocolVersion::V2, &plain[0].1).unwrap();
    let [counter, gauge] = got.series.as_slice() else { panic!("{got:?}") };
    assert_eq!((counter.samples[0].value, counter.samples[0].start_timestamp_ms), (7.0, 2000));
    let told = counter.metadata.unwrap();
    assert_eq!((told.kind, told.help, told.unit), (MetricType::Counter, &b"Requests."[..], &b"bytes"[..]));
    assert_eq!((gauge.samples[0].start_timestamp_ms, gauge.metadata.unwrap().kind), (0, MetricType::Gauge));
    assert_eq!(gauge.metadata.unwrap().help, b"");
}

#[test]
fn created_series_become_start_times() {
    let o = origin(Source::Scrape, &[("service.name", "j")], &[]);
    let counter = family("hits_total", COUNTER, "", "");
    let of = |part: Part, name: &str, zone: &str| {
        Series::intern(Arc::clone(&counter), name.into(), part, Attributes::from_pairs([("zone", zone)]))
    };
    let series = vec![
        of(Part::Whole, "hits_total", "a"),
        of(Part::Created, "hits_created", "a"),
        of(Part::Whole, "hits_total", "b"),
        of(Part::Created, "hits_created", "b"),
    ];
    let points = vec![point(0, 5000, 1.0), point(1, 5000, 1.25), point(2, 5000, 2.0), point(3, 5000, 9.0)];
    let mut encoder = encoder(&format!("{V2}target_info: {{enabled: false}}\n"));
    let plain = raw(&mut encoder, vec![batch(&o, series, points)]);
    let got = Batch::decode(ProtocolVersion::V2, &plain[0].1).unwrap();
    let starts: Vec<i64> = got.series.iter().map(|series| series.samples[0].start_timestamp_ms).collect();
    // The second was created after the sample, which cannot be.
    assert_eq!(starts, [1250, 0]);
}

#[test]
fn histograms_and_exemplars_come_whole() {
    let o = origin(Source::Otlp, &[("service.name", "j")], &[]);
    let temporality = Temporality::Cumulative;
    let exponential = series("exp", FamilyKind::ExponentialHistogram { temporality }, &[("a", "b")]);
    let explicit = series("lat", FamilyKind::Histogram { temporality }, &[]);
    let counter = series("hits_total", COUNTER, &[]);
    let native = Value::ExponentialHistogram(Box::new(ExponentialHistogram {
        count: 3,
        sum: Some(4.5),
        scale: 2,
        positive: pipeline::value::ExponentialBuckets { offset: 1, counts: [1, 2].into() },
        ..ExponentialHistogram::default()
    }));
    let listed = Value::Histogram(Box::new(Histogram {
        count: 6,
        sum: Some(9.0),
        bounds: [0.5, 10.0, 20.0].into(),
        bucket_counts: [1, 0, 0, 5].into(),
        ..Histogram::default()
    }));
    let points = vec![
        Point { series: 0, flags: 0, time: 5_000_000_000, start: 1_000_000_000, value: native },
        Point { series: 1, flags: 0, time: 5_000_000_000, start: 1_000_000_000, value: listed },
        point(2, 5000, 8.0),
    ];
    let exemplar = Exemplar {
        point: 2,
        time: 4_999_000_000,
        value: ExemplarValue::Float(0.5),
        trace_id: (0..16).collect(),
        span_id: Box::default(),
        attributes: Attributes::from_pairs([("a_user", "u")]),
    };
    for (keys, histograms, samples) in [("", 1, 7), ("convert_histograms_to_nhcb: true\n", 2, 1)] {
        let mut group = PointGroup::new(
            Arc::clone(&o),
            SeriesTable::intern(vec![Arc::clone(&exponential), Arc::clone(&explicit), Arc::clone(&counter)]),
            points.clone(),
        );
        group.exemplars = vec![exemplar.clone()];
        let mut encoder = encoder(&format!("{V2}target_info: {{enabled: false}}\n{keys}"));
        let plain = raw(&mut encoder, vec![MetricBatch::new(vec![group])]);
        symbols(&plain[0].1);
        let got = Batch::decode(ProtocolVersion::V2, &plain[0].1).unwrap();
        let counts = got.counts(0..got.len());
        assert_eq!((counts.histograms, counts.samples, counts.exemplars), (histograms, samples, 1), "{keys}");
        let whole: Vec<_> = got.series.iter().flat_map(|series| &series.histograms).collect();
        assert_eq!(
            (whole[0].schema, whole[0].count, whole[0].start_timestamp_ms),
            (2, Some(HistogramCount::Int(3)), 1000)
        );
        if let Some(listed) = whole.get(1) {
            assert_eq!((listed.schema, &listed.custom_values[..]), (-53, &[0.5, 10.0, 20.0][..]));
            assert_eq!(listed.positive.absolute().filter(|(_, n)| *n > 0.0).collect::<Vec<_>>(), [(0, 1.0), (3, 5.0)]);
        }
        let with = got.series.iter().find(|series| !series.exemplars.is_empty()).unwrap();
        assert!(with.exemplars[0].labels.is_sorted() && with.exemplars[0].labels.len() == 2);
        assert_eq!(with.samples.len(), 1);
        assert!(got.series.iter().all(|series| series.samples.is_empty() || series.histograms.is_empty()));
    }
}

#[test]
fn native_histograms_are_left_out_on_demand_and_counted() {
    let o = origin(Source::Otlp, &[("service.name", "j")], &[]);
    let temporality = Temporality::Cumulative;
    let value = Value::ExponentialHistogram(Box::default());
    let points = vec![Point { series: 0, flags: 0, time: 1, start: 0, value }];
    for version in ["", V2] {
        let mut encoder =
            encoder(&format!("{version}target_info: {{enabled: false}}\nsend_native_histograms: false\n"));
        let all = vec![series("exp", FamilyKind::ExponentialHistogram { temporality }, &[])];
        assert!(raw(&mut encoder, vec![batch(&o, all, points.clone())]).is_empty());
    }
}

#[test]
fn utf8_names_are_allowed_only_here() {
    let o = origin(Source::Otlp, &[("service.name", "j")], &[]);
    let all = vec![series("http.größe", FamilyKind::Gauge, &[("käse.art", "gouda")])];
    let keys = "target_info: {enabled: false}\ntranslation_strategy: NoTranslation\n";
    let mut encoder = encoder(&format!("{V2}{keys}"));
    let plain = raw(&mut encoder, vec![batch(&o, all.clone(), vec![point(0, 1, 1.0)])]);
    let all_symbols = symbols(&plain[0].1);
    assert!(all_symbols.contains(&"http.größe".to_owned()) && all_symbols.contains(&"käse.art".to_owned()));
    // For a store that turns out not to know version 2.0 they are escaped.
    let escaped = Arc::new(config(&format!("{V2}{keys}")).translation.escaping());
    encoder.speak(ProtocolVersion::V1, &escaped);
    let got = encode(&mut encoder, batch(&o, all, vec![point(0, 1, 1.0)]));
    assert_eq!(labels(&got.series[0].0)["k_se_art"], "gouda");
    assert_eq!(labels(&got.series[0].0)["__name__"], "http_gr_e");
}

/// Steady state: the same series at many targets, in one request and in the next.
#[test]
fn known_series_are_written_as_references() {
    let keys = "external_labels: {cluster: c, zz: last}\ntarget_info: {enabled: false}\n";
    let mut encoders = [encoder(keys), encoder(&format!("{V2}{keys}"))];
    let all: Vec<_> = (0..400)
        .map(|i| {
            series(
                &format!("metric_{}_total", i / 8),
                COUNTER,
                &[("code", &(i % 8).to_string()), ("path", "/api"), ("zone", "z")],
            )
        })
        .collect();
    for round in 0..3i64 {
        let mut groups = Vec::new();
        for o in 0..20 {
            let o = origin(
                Source::Scrape,
                &[("service.name", "j"), ("service.instance.id", &format!("10.0.0.{o}:9100"))],
                &[],
            );
            let points = (0..400)
                .map(|i| point(i, 1_760_000_000_000 + round * 15_000 + i64::from(i / 100), f64::from(i) * 1.1))
                .collect();
            groups.push(PointGroup::new(o, SeriesTable::intern(all.clone()), points));
        }
        let mut sizes = Vec::new();
        let mut contents = Vec::new();
        for encoder in &mut encoders {
            encoder.encode(MetricBatch::new(groups.clone()));
            encoder.seal_all();
            let requests: Vec<_> = std::iter::from_fn(|| encoder.next_sealed()).collect();
            sizes.push(requests.iter().map(|request| request.body.len()).sum::<usize>());
            contents.push(received(&requests).series);
        }
        assert_eq!(contents[0], contents[1]);
        assert_eq!(contents[0].len(), 8000);
        assert!(sizes[1] < sizes[0], "version 2.0 takes {} bytes, 1.0 {}", sizes[1], sizes[0]);
    }
}

/// A group as the strategies below make them.
#[derive(Clone, Debug)]
struct Some_ {
    target: u8,
    source: u8,
    table: Vec<(u8, u8, bool)>,
    points: Vec<(u8, i64, i64, f64)>,
}

fn groups() -> impl Strategy<Value = Vec<Some_>> {
    let value =
        prop_oneof![Just(0.0), Just(1.0), Just(f64::NAN), Just(-0.0), (0u32..1000).prop_map(f64::from), any::<f64>()];
    let start = prop_oneof![Just(0i64), Just(1000i64), Just(1_759_000_000_000), Just(i64::MAX / 1_000_000)];
    let group = (
        0..4u8,
        0..3u8,
        prop_oneof![
            prop::collection::vec((0..6u8, 0..6u8, any::<bool>()), 1..12),
            // As pages are: what stands side by side is alike.
            (0..6u8, 0..100u8, any::<bool>(), 2..12u8).prop_map(|(name, first, wide, number)| {
                (0..number).map(|i| (name + i / 8, first + i, wide)).collect()
            }),
        ],
        prop_oneof![
            prop::collection::vec(
                (0..12u8, prop_oneof![Just(1_760_000_000_000i64), 0..3000i64], start.clone(), value.clone()),
                0..20
            ),
            (prop_oneof![Just(1_760_000_000_000i64), 0..3000i64], start, prop::collection::vec(value, 1..12)).prop_map(
                |(time, start, values)| (0u8..).zip(values).map(|(i, value)| (i, time, start, value)).collect()
            ),
        ],
    );
    let group = group.prop_map(|(target, source, table, points)| Some_ { target, source, table, points });
    prop::collection::vec(group, 0..8)
}

/// Series that are alike, so many that numbers of strings need more than a byte.
fn many(number: u8) -> Some_ {
    Some_ {
        target: 0,
        source: 0,
        table: (0..number).map(|i| (7, i, false)).collect(),
        points: (0..number).map(|i| (i, 1_760_000_000_000, 0, f64::from(i))).collect(),
    }
}

fn made(some: &Some_) -> PointGroup {
    let source = [Source::Scrape, Source::Otlp, Source::RemoteWrite][usize::from(some.source)];
    let target = format!("t{}", some.target);
    let resource = [("service.name", "j"), ("service.instance.id", target.as_str()), ("attr", "x")];
    let labels: &[(&str, &str)] = if some.target == 3 { &[("a", "shared"), ("k", "v")] } else { &[] };
    let o = origin(source, &resource, labels);
    let table: Vec<_> = some
        .table
        .iter()
        .map(|(name, value, wide)| {
            let value = if *value == 0 { String::new() } else { format!("v{value}") };
            let mut attributes = vec![("b", value.as_str()), ("zone", "z")];
            if *wide {
                attributes.extend([("cluster", "own"), ("instance", "odd"), ("m", "middle")]);
            }
            let kind = if *wide { COUNTER } else { FamilyKind::Gauge };
            let family = family(&format!("m{name}"), kind, &format!("Help of {name}."), "");
            Series::intern(family, format!("m{name}").as_str().into(), Part::Whole, Attributes::from_pairs(attributes))
        })
        .collect();
    let len = table.len() as u32;
    let points = some.points.iter().map(|(at, time, start, value)| Point {
        start: start * 1_000_000,
        ..point(u32::from(*at) % len, *time, *value)
    });
    PointGroup::new(o, SeriesTable::intern(table), points.collect())
}

/// When each point of a counter began to count, for version 2.0, with the help of its family; in the order of the points.
fn told(groups: &[Some_]) -> Vec<(i64, String, MetricType)> {
    let of_group = |group: &Some_| {
        let of_point = |(at, time, start, _): &(u8, i64, i64, f64)| {
            let (name, _, counts) = group.table[usize::from(*at) % group.table.len()];
            let start = if counts && (1..=*time).contains(start) { *start } else { 0 };
            (start, format!("Help of {name}."), if counts { MetricType::Counter } else { MetricType::Gauge })
        };
        group.points.iter().map(of_point).collect::<Vec<_>>()
    };
    groups.iter().flat_map(of_group).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever comes, both versions tell the same samples, in the same order for each shard, and version 2.0 what else there
    /// is to each.
    #[test]
    fn both_versions_say_the_same(
        batches in prop::collection::vec(groups(), 1..4),
        first in prop_oneof![Just(0u8), 90..140u8],
        shards in 1..4usize,
        most in prop_oneof![Just(3usize), Just(10_000)],
        telling in any::<bool>(),
    ) {
        let keys = format!("max_samples_per_send: {most}\nexternal_labels: {{cluster: c, lll: mm}}\nresource_to_telemetry_conversion: {{enabled: true}}\nadd_metric_suffixes: false\n");
        let mut old = encoder(&keys);
        let mut new = encoder(&format!("{V2}send_metadata: {telling}\n{keys}"));
        old.spread_over(shards);
        new.spread_over(shards);
        for mut groups in batches {
            if first > 0 {
                groups.insert(0, many(first));
            }
            let mut seen = [Vec::new(), Vec::new()];
            let mut about = Vec::new();
            for (encoder, seen) in [&mut old, &mut new].into_iter().zip(&mut seen) {
                let batch = MetricBatch::new(groups.iter().map(made).collect());
                for (version, plain) in raw(encoder, vec![batch]) {
                    if version == ProtocolVersion::V2 {
                        symbols(&plain);
                    }
                    let batch = Batch::decode(version, &plain).unwrap();
                    for one in &batch.series {
                        prop_assert!(one.check_labels().is_ok());
                        let is_made = one.labels.contains(&(b"__name__", b"target_info"));
                        if version == ProtocolVersion::V2 && !is_made {
                            prop_assert_eq!(one.metadata.is_some(), telling);
                            let told = one.metadata.map(|told| (told.help.to_vec(), told.kind));
                            about.push((one.samples[0].start_timestamp_ms, told));
                        }
                        let labels: Vec<_> = one.labels.iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
                        let samples: Vec<_> = one.samples.iter().map(|s| (s.timestamp_ms, s.value.to_bits())).collect();
                        seen.push((labels, samples));
                    }
                }
            }
            let [old, new] = seen;
            prop_assert_eq!(old, new);
            let mut expected: Vec<_> = told(&groups)
                .into_iter()
                .map(|(start, help, kind)| (start, telling.then(|| (help.into_bytes(), kind))))
                .collect();
            if shards > 1 {
                // Each shard has its part of them in this order.
                let by_text = |a: &(i64, Option<(Vec<u8>, MetricType)>)| format!("{a:?}");
                expected.sort_by_key(by_text);
                about.sort_by_key(by_text);
            }
            prop_assert_eq!(about, expected);
        }
    }
}

/// What a sample costs in either version: run by hand, with optimisation.
#[test]
#[ignore = "a measurement: cargo test --release -p oxidot-exporters what_a_sample_costs -- --ignored --nocapture"]
fn what_a_sample_costs() {
    use std::io::Write as _;
    const TARGETS: i64 = 100;
    const SERIES: u32 = 500;
    const ROUNDS: i64 = 20;
    for own_pages in [false, true] {
        let page = |target: i64| -> Vec<_> {
            let own = if own_pages { target.to_string() } else { String::new() };
            let one = |i: u32| {
                let name = format!("http_server_requests_{}_total", i / 10);
                let code = (200 + i % 10).to_string();
                let handler = format!("/api/v1/items{own}/{}", i % 7);
                series(&name, COUNTER, &[("code", &code), ("handler", &handler), ("method", "get")])
            };
            (0..SERIES).map(one).collect()
        };
        let pages: Vec<_> = (0..TARGETS).map(|target| SeriesTable::intern(page(target))).collect();
        let target = |n: i64| {
            let instance = format!("10.0.{}.{}:9100", n / 250, n % 250);
            origin(Source::Scrape, &[("service.name", "node"), ("service.instance.id", &instance)], &[])
        };
        let targets: Vec<_> = (0..TARGETS).map(target).collect();
        let round = |round: i64| -> Vec<MetricBatch> {
            let group = |n: i64| {
                let time = 1_760_000_000_000 + round * 15_000 + n * 150;
                let value =
                    |i: u32| (round * 1000 + n) as f64 + f64::from(i) * if i.is_multiple_of(3) { 0.37 } else { 1.0 };
                let points = (0..SERIES).map(|i| point(i, time, value(i))).collect();
                MetricBatch::new(vec![PointGroup::new(
                    Arc::clone(&targets[n as usize]),
                    Arc::clone(&pages[n as usize]),
                    points,
                )])
            };
            (0..TARGETS).map(group).collect()
        };
        for version in ["", V2] {
            let mut encoder =
                encoder(&format!("{version}target_info: {{enabled: false}}\nsend_metadata: {}\n", !version.is_empty()));
            let (mut bytes, mut least) = (0, std::time::Duration::MAX);
            for n in 0..ROUNDS {
                let batches = round(n);
                let started = std::time::Instant::now();
                for batch in batches {
                    encoder.encode(batch);
                    bytes +=
                        std::iter::from_fn(|| encoder.next_sealed()).map(|request| request.body.len()).sum::<usize>();
                }
                // The first rounds meet everything for the first time, and others are interrupted.
                least = least.min(started.elapsed());
            }
            encoder.seal_all();
            bytes += std::iter::from_fn(|| encoder.next_sealed()).map(|request| request.body.len()).sum::<usize>();
            let samples = (TARGETS * i64::from(SERIES)) as f64;
            writeln!(
                std::io::stderr(),
                "own pages {own_pages}, {}: {:.1} ns and {:.1} bytes a sample",
                if version.is_empty() { "1.0" } else { "2.0" },
                least.as_nanos() as f64 / samples,
                bytes as f64 / (samples * ROUNDS as f64),
            )
            .unwrap();
        }
    }
}
