//! What a sample costs in the log: bytes on disk, and nanoseconds to append and to read.
//!
//! `cargo bench -p oxidot-wal [page]`: with the path of an exposition page, its numbers are the first ones; without,
//! those of a made-up page. Targets differ, and with each scrape 40 % of the numbers change: counters grow, gauges
//! wander. Under valgrind, `OXIDOT_BENCH_ROUNDS=<few>` and `OXIDOT_BENCH_READ=no` tell what is counted.

#![expect(clippy::unwrap_used, reason = "a program for measurements")]

use pipeline::{Attributes, Family, FamilyKind, MetricBatch, Origin, Part, Point, PointGroup, Resource, Scope};
use pipeline::{Series, SeriesTable, Source, Value};
use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;
use wal::metrics::{MetricReader, MetricWriter};
use wal::{Log, Options, SyncPolicy};

const TARGETS: usize = 100;

/// Names and first numbers of a page.
fn page() -> Vec<(String, f64)> {
    let file = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let Some(file) = file else {
        return (0..500u32).map(|n| (format!("metric_{n}"), f64::from(n * n % 100_000))).collect();
    };
    let text = std::fs::read_to_string(file).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .filter_map(|line| line.rsplit_once(' ').map(|(name, value)| (name.to_owned(), value.parse().unwrap())))
        .collect()
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// The next number of a series. Of ten, six stay what they are; if `busy`, each stays with that probability, so that
/// all differ after some time.
fn step(index: usize, value: f64, busy: bool, random: &mut Random) -> f64 {
    let still = if busy { random.below(10) < 6 } else { index * 7 % 10 < 6 };
    if still {
        return value;
    }
    match index % 4 {
        // A counter of events, one of bytes, a gauge with two digits, and one with all.
        0 => value + random.below(20) as f64,
        1 => value + random.below(100_000) as f64,
        2 => ((value * 100.0).round() + random.below(101) as f64 - 50.0) / 100.0,
        _ => value * (1.0 + (random.below(2001) as f64 - 1000.0) * 1e-6),
    }
}

fn scrapes(rounds: usize, busy: bool) -> Vec<MetricBatch> {
    let page = page();
    let series = page.iter().map(|(name, _)| {
        let family = Family { name: name.as_str().into(), kind: FamilyKind::Gauge, ..Family::default() };
        Series::intern(Arc::new(family), name.as_str().into(), Part::Whole, Attributes::default())
    });
    let table = SeriesTable::intern(series.collect());
    let mut random = Random(1);
    let mut targets: Vec<(Arc<Origin>, Vec<f64>)> = (0..TARGETS)
        .map(|number| {
            let instance = format!("10.0.{}.{}:9100", number / 250, number % 250);
            let pairs = [("service.name", "node"), ("service.instance.id", instance.as_str())];
            let resource = Resource { attributes: Attributes::from_pairs(pairs), ..Resource::default() };
            let origin = Origin::intern(Source::Scrape, resource, Scope::default(), Attributes::default());
            let scale = 1 + random.below(1000);
            // Ones and zeros mean the same everywhere; others differ, and whole ones stay whole.
            let first = page.iter().map(|(_, value)| if *value <= 1.0 { *value } else { *value * scale as f64 });
            (origin, first.collect())
        })
        .collect();
    let mut batches = Vec::new();
    for round in 0..rounds as i64 {
        for (number, (origin, state)) in targets.iter_mut().enumerate() {
            for (index, value) in state.iter_mut().enumerate() {
                *value = step(index, *value, busy, &mut random);
            }
            let time = (1_700_000_000_000 + round * 15_000 + number as i64 * 150) * 1_000_000;
            let point =
                |(series, value): (u32, &f64)| Point { series, flags: 0, time, start: 0, value: Value::Float(*value) };
            let points = (0u32..).zip(state.iter()).map(point).collect();
            batches.push(MetricBatch::new(vec![PointGroup::new(Arc::clone(origin), Arc::clone(&table), points)]));
        }
    }
    batches
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() {
    for busy in [false, true] {
        measure(busy);
    }
}

fn measure(busy: bool) {
    let batches = scrapes(number("OXIDOT_BENCH_ROUNDS", 40), busy);
    let samples: usize = batches.iter().map(MetricBatch::len).sum();
    let directory = tempfile::tempdir().unwrap();
    let options = Options { cursors: vec!["a".to_owned()], sync: SyncPolicy::Never, ..Options::new(directory.path()) };
    let log = Log::open(options).unwrap();
    let mut writer = MetricWriter::default();
    let start = Instant::now();
    for some in batches.chunks(number("OXIDOT_BENCH_BATCHES", 20)) {
        writer.append(&log, some).unwrap();
    }
    let appended = start.elapsed();
    let mut read = 0;
    let start = Instant::now();
    if std::env::var_os("OXIDOT_BENCH_READ").is_none() {
        let mut reader = MetricReader::new(&log, 0);
        while let Some(batch) = reader.next_now().unwrap() {
            read += batch.batch.len();
        }
        assert_eq!(read, samples);
    }
    let each = |time: std::time::Duration| time.as_nanos() as f64 / samples as f64;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{samples} samples, {}: {:.2} bytes each, {:.1} ns to append, {:.1} ns to read",
        if busy { "every series changes now and then" } else { "six of ten series never change" },
        log.size().1 as f64 / samples as f64,
        each(appended),
        each(start.elapsed()),
    )
    .unwrap();
}
