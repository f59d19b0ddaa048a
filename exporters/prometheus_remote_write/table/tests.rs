#![expect(clippy::unwrap_used, reason = "tests")]

use super::super::labels::LabelTables;
use super::super::sample::{Timestamp, append_sample};
use super::*;
use pipeline::model::{Family, Part, Resource, Scope, Source};
use pipeline::{Attributes, Origin, Point};
use prometheus::remote_write::SnappyBlockWriter;
use prometheus::remote_write::snappy::decode_block;
use proptest::prelude::*;

fn tables() -> LabelTables {
    let node = pipeline::config::parse("endpoint: http://x/\nkeep_scraped_names: true\n", "t.yaml").unwrap();
    let config = super::super::config::Config::read(&node, super::super::config::Dialect::Plain).unwrap();
    LabelTables::new(Arc::new(config.translation))
}

/// A page of series whose names and labels repeat each other in parts.
fn page() -> impl Strategy<Value = Vec<Arc<Series>>> {
    let word =
        prop::sample::select(vec!["a", "node_cpu_seconds_total", "node_memory_bytes", "go_gc_duration_seconds_sum"]);
    let label = prop::sample::select(vec!["cpu", "device", "mode", "zone", "ab", "pod_name"]);
    let value =
        prop::sample::select(vec!["0", "1", "idle", "system", "a-rather-long-value-of-a-label-that-comes-again", "x"]);
    let labels = prop::collection::btree_map(label, value, 0..4);
    let long = prop::option::weighted(0.02, 0usize..900);
    prop::collection::vec((word, labels, long), 1..150).prop_map(|lines| {
        let series = |(name, labels, long): (&str, std::collections::BTreeMap<&str, &str>, Option<usize>)| {
            let family = Arc::new(Family { name: name.into(), ..Family::default() });
            let long = long.map(|len| "y".repeat(len));
            let labels = labels.into_iter().chain(long.as_deref().map(|text| ("long", text)));
            Series::intern(family, name.into(), Part::Whole, Attributes::from_pairs(labels))
        };
        lines.into_iter().map(series).collect()
    })
}

/// Which series of a page are there: all of them, most, or some.
fn present() -> impl Strategy<Value = Vec<bool>> {
    let odds = prop::sample::select(vec![1.0, 0.97, 0.5]);
    odds.prop_flat_map(|odds| prop::collection::vec(prop::bool::weighted(odds), 150))
}

fn origin(labels: &[(&str, &str)]) -> Arc<Origin> {
    let labels = Attributes::from_pairs(labels.iter().copied());
    Origin::intern(Source::Scrape, Resource::default(), Scope::default(), labels)
}

fn point(index: usize, value: f64, time: i64) -> Point {
    Point { series: index as u32, flags: 0, time, start: 0, value: pipeline::Value::Float(value) }
}

fn write(
    trail: &mut Trail,
    writer: &mut SnappyBlockWriter,
    (wire, ready): (&WireTable, Option<&ReadyTable>),
    point: &Point,
    origin: &WireOrigin,
    time: &Timestamp,
) {
    let pipeline::Value::Float(value) = point.value else { unreachable!() };
    let (entry, value) = (wire.entry(point.series).unwrap(), super::super::sample::sent_value(value));
    trail.write(&mut writer.elements(), (wire, ready), (point.series, entry), origin, value, time);
}

proptest! {
    /// Whatever the page, and whichever of its series are there: the block holds what plain appending writes.
    #[test]
    fn references_say_the_same_as_the_bytes(
        series in page(),
        scrapes in prop::collection::vec((0usize..3, present(), any::<bool>()), 1..9),
        wide in prop::sample::select(vec![usize::MAX, 60, 100]),
        values in prop::collection::vec(prop::sample::select(vec![0.0, 1.0, 2.5, 1e300, 65_536.0, f64::NAN]), 150),
        classes in prop::sample::select(vec![1usize, 1, 2, 5]),
    ) {
        let origins = [
            origin(&[("instance", "host-1:9100"), ("job", "node")]),
            origin(&[("instance", "host-22:9100"), ("job", "node")]),
            origin(&[("az", "x"), ("cluster", "a-cluster-with-a-long-name"), ("instance", "i"), ("job", "node"), ("zz", "z")]),
        ];
        let mut tables = tables();
        let table = SeriesTable::intern(series);
        let block = || [(); 2].map(|()| (SnappyBlockWriter::new(), Trail::default()));
        let mut blocks: Vec<_> = (0..classes).map(|_| (block(), Vec::new())).collect();
        for (number, (at, present, later)) in scrapes.iter().enumerate() {
            let origin = &origins[*at];
            // Tables are made anew for another number of classes, and again for this one.
            tables.divide(if number == 2 { 3 } else { classes });
            let wire_origin = tables.prepare(origin);
            if number == 2 {
                tables.table(&table, &wire_origin, true);
                tables.divide(classes);
            }
            let wire = tables.table(&table, &wire_origin, true);
            let later = *later && number > 0;
            let time = Timestamp::new(1_700_000_000_000_000_000 + i64::from(later) * 5_000_000_000);
            let ready = tables.ready((&table, &wire), &wire_origin, true, time.sample_len());
            let there = (0..table.len()).filter(|index| present[*index]);
            let points: Vec<_> = there.map(|index| point(index, values[index], time.nanos)).collect();
            let mut next = 0;
            while next < points.len() {
                let (first, of_a_class) = wire.of_a_class(&points[next..]).unwrap();
                let ([(writer, trail), _], _) = &mut blocks[usize::from(first.class())];
                trail.enter(number as u64 + 1);
                let written = ready.as_deref().map_or(0, |ready| {
                    let run = Run { ready, first, time: &time, wide, raw_bytes: usize::MAX, packed_bytes: usize::MAX };
                    trail.write_run(writer, run, of_a_class)
                });
                if written == 0 {
                    write(trail, writer, (&wire, ready.as_deref()), &points[next], &wire_origin, &time);
                }
                next += written.max(1);
            }
            for point in &points {
                let entry = wire.entry(point.series).unwrap();
                prop_assert_ne!(entry.form(), Form::Apart);
                let labels = tables.labels(origin, table.get(point.series).unwrap(), true).unwrap();
                prop_assert!(classes == 1 || entry.class() == class_of(labels.kin(), classes));
                let ([_, (writer, trail)], expected) = &mut blocks[usize::from(entry.class())];
                trail.enter(number as u64 + 1);
                write(trail, writer, (&wire, ready.as_deref()), point, &wire_origin, &time);
                append_sample(expected, &labels, values[point.series as usize], &time);
            }
            for (writers, expected) in &mut blocks {
                // What is appended in between is compressed on its own.
                writers.iter_mut().for_each(|(writer, _)| writer.put(b"something else"));
                expected.extend_from_slice(b"something else");
            }
        }
        for ([(mut writer, _), (mut single, _)], expected) in blocks {
            let (mut block, mut raw, mut alone) = (Vec::new(), Vec::new(), Vec::new());
            writer.finish(&mut block).unwrap();
            single.finish(&mut alone).unwrap();
            prop_assert!(block == alone, "what is written in a run is, byte for byte, what is written one by one");
            decode_block(&block, expected.len(), &mut raw).unwrap();
            prop_assert_eq!(raw, expected);
        }
    }
}

#[test]
fn a_page_becomes_small() {
    let series: Vec<_> = (0..500)
        .map(|number: i32| {
            let family = Arc::new(Family { name: "node_cpu_seconds_total".into(), ..Family::default() });
            let (cpu, mode) = ((number / 8).to_string(), ["idle", "user", "system", "nice"][number as usize % 4]);
            let attributes = Attributes::from_pairs([("cpu", cpu.as_str()), ("mode", mode)]);
            Series::intern(Arc::clone(&family), "node_cpu_seconds_total".into(), Part::Whole, attributes)
        })
        .collect();
    let table = SeriesTable::intern(series);
    let mut tables = tables();
    let origin = tables.prepare(&origin(&[("instance", "host-1:9100"), ("job", "node")]));
    let wire = tables.table(&table, &origin, true);
    let mut writer = SnappyBlockWriter::new();
    let time = Timestamp::new(1_700_000_000_000_000_000);
    let mut blocks = Vec::new();
    for _ in 0..3 {
        let ready = tables.ready((&table, &wire), &origin, true, time.sample_len());
        let mut trail = Trail::default();
        trail.enter(1);
        for index in 0..wire.len() as u32 {
            let entry = wire.entry(index).unwrap();
            let value = 1.1 * f64::from(index);
            trail.write(&mut writer.elements(), (&wire, ready.as_deref()), (index, entry), &origin, value, &time);
        }
        let (mut block, raw) = (Vec::new(), writer.raw_len());
        writer.finish(&mut block).unwrap();
        assert!(block.len() < 500 * 36 && raw > 500 * 110, "{} of {raw}", block.len());
        blocks.push(block);
    }
    // What stands ready is, byte for byte, what is worked out each time.
    assert!(blocks.iter().all(|block| *block == blocks[0]));
}

#[test]
fn labels_of_a_series_move_from_table_to_table_and_dead_tables_go() {
    let mut tables = tables();
    let origin = tables.prepare(&origin(&[("job", "moving")]));
    let series = |name: String| {
        let family = Arc::new(Family { name: name.as_str().into(), ..Family::default() });
        Series::intern(family, name.as_str().into(), Part::Whole, Attributes::default())
    };
    let kept: Vec<_> = (0..10).map(|number| series(format!("kept_{number}"))).collect();
    for churn in 0..1000 {
        let mut page = kept.clone();
        page.push(series(format!("new_{churn}")));
        let table = SeriesTable::intern(page);
        let wire = tables.table(&table, &origin, true);
        let labels = wire.labels(3).unwrap();
        assert!(labels.ends_with(b"kept_3"), "{labels:?}");
    }
    assert!(tables.sizes().1 < 11 * 100, "{:?}", tables.sizes());
}
