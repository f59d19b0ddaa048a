//! An outage, faster than life: what waits on disk, what it costs there, and how fast it is delivered afterwards.
//!
//! `cargo bench --bench outage`. The exporter gets 100,000 samples a second of 1.5 million series (3,000 targets of 500, each
//! scraped every 15 seconds, 40 % of the values changing each time) while its store answers 503, only that the seconds
//! pass as fast as they can. Then the store takes everything, and samples go on coming, now at 100,000 in a real second.
//! Ten minutes of outage are the default; `OXIDOT_OUTAGE_SECONDS=3600` makes an hour of it. The program ends with an error if
//! what is promised is not kept: 4 bytes a sample on disk, memory that does not grow, and five times the rate of arrival.

#![expect(clippy::unwrap_used, reason = "a program for measurements")]

use pipeline::channel::{Entry, channel};
use pipeline::component::{Build, BuildContext, ExporterContext, Program, Shared};
use pipeline::stop::StopSource;
use pipeline::telemetry::Telemetry;
use pipeline::{
    Attributes, Family, FamilyKind, MetricBatch, Origin, Output, Part, Point, PointGroup, Resource, Scope, Series,
    SeriesTable, Source, Value,
};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TARGETS: usize = 3_000;
const SERIES: usize = 500;
const INTERVAL: i64 = 15;
/// Samples in a second.
const RATE: f64 = (TARGETS * SERIES) as f64 / INTERVAL as f64;

/// Bytes a sample on disk, at most.
const MOST_BYTES: f64 = 4.0;
/// By how much memory may grow between the first fifth of the outage and its end: what allocators and caches do.
const MOST_GROWTH: f64 = 48e6;
/// By how much memory may grow on top of that while all is delivered: requests under way for five shards, and what a reader
/// has to know of 1.5 million series.
const MOST_UNDER_WAY: f64 = 128e6;
/// How much faster than they come samples are to be delivered.
const LEAST_SPEED: f64 = 5.0;

fn say(line: &str) {
    // Whoever has closed the pipe has seen enough.
    writeln!(std::io::stdout(), "{line}").ok();
}

/// A store that answers 503 while it is closed, and 204 while it is open, and looks at nothing.
#[derive(Clone)]
struct Store {
    port: u16,
    open: Arc<AtomicBool>,
    bytes: Arc<AtomicU64>,
}

impl Store {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let this = Self { port: listener.local_addr().unwrap().port(), open: Arc::default(), bytes: Arc::default() };
        let store = this.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let store = store.clone();
                std::thread::spawn(move || store.converse(stream));
            }
        });
        this
    }

    fn converse(&self, stream: TcpStream) -> Option<()> {
        let mut writer = stream.try_clone().ok()?;
        let mut reader = BufReader::with_capacity(64 << 10, stream);
        let mut body = Vec::new();
        loop {
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
                if line == "\r\n" {
                    break;
                }
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                    length = value.trim().parse().ok()?;
                }
            }
            body.resize(length, 0);
            reader.read_exact(&mut body).ok()?;
            let open = self.open.load(Ordering::Relaxed);
            if open {
                self.bytes.fetch_add(length as u64, Ordering::Relaxed);
            }
            let answer: &[u8] = match open {
                true => b"HTTP/1.1 204 No Content\r\n\r\n",
                false => b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\ndown",
            };
            writer.write_all(answer).ok()?;
        }
    }
}

/// Targets that are scraped in turn.
struct Load {
    table: Arc<SeriesTable>,
    targets: Vec<(Arc<Origin>, Vec<f64>)>,
    random: u64,
    next: usize,
    /// Nanoseconds since the Unix epoch.
    time: i64,
}

impl Load {
    fn new(start: i64) -> Self {
        let series = (0..SERIES).map(|n| {
            let name = format!("metric_{}_total", n / 10);
            let family = Family { name: name.as_str().into(), kind: FamilyKind::Gauge, ..Family::default() };
            let labels = Attributes::from_pairs([("handler", format!("/api/{}", n % 10).as_str()), ("code", "200")]);
            Series::intern(Arc::new(family), name.as_str().into(), Part::Whole, labels)
        });
        let mut this =
            Self { table: SeriesTable::intern(series.collect()), targets: Vec::new(), random: 1, next: 0, time: start };
        for number in 0..TARGETS {
            let instance = format!("10.0.{}.{}:9100", number / 250, number % 250);
            let pairs = [("service.name", "node"), ("service.instance.id", instance.as_str())];
            let resource = Resource { attributes: Attributes::from_pairs(pairs), ..Resource::default() };
            let origin = Origin::intern(Source::Scrape, resource, Scope::default(), Attributes::default());
            let first = (0..SERIES).map(|n| this.below(1 << (n % 30)) as f64).collect();
            this.targets.push((origin, first));
        }
        this
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % bound
    }

    /// The next scrape of the next target.
    fn scrape(&mut self) -> MetricBatch {
        let at = self.next;
        self.next = (at + 1) % TARGETS;
        self.time += INTERVAL * 1_000_000_000 / TARGETS as i64;
        let time = self.time / 1_000_000 * 1_000_000;
        let mut values = std::mem::take(&mut self.targets[at].1);
        for (n, value) in values.iter_mut().enumerate() {
            if self.below(10) < 6 {
                continue;
            }
            // A counter of events, one of bytes, a gauge with two digits, and one with all.
            *value = match n % 4 {
                0 => *value + self.below(20) as f64,
                1 => *value + self.below(100_000) as f64,
                2 => ((*value * 100.0).round() + self.below(101) as f64 - 50.0) / 100.0,
                _ => *value * (1.0 + (self.below(2001) as f64 - 1000.0) * 1e-6),
            };
        }
        let point =
            |(series, value): (u32, &f64)| Point { series, flags: 0, time, start: 0, value: Value::Float(*value) };
        let points = (0u32..).zip(&values).map(point).collect();
        let (origin, own) = &mut self.targets[at];
        *own = values;
        MetricBatch::new(vec![PointGroup::new(Arc::clone(origin), Arc::clone(&self.table), points)])
    }
}

fn resident_bytes() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).unwrap_or(0.0) * 4096.0
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

/// What is measured.
struct Run {
    telemetry: Telemetry,
    entry: Output,
    load: Load,
    store: Store,
}

impl Run {
    fn of_log(&self, name: &str) -> f64 {
        self.telemetry.total(&format!("otelcol_exporter_prometheusremotewrite_wal_{name}"))
    }

    fn sent(&self) -> f64 {
        self.telemetry.total("otelcol_exporter_sent_metric_points")
    }

    /// Feeds `seconds` of samples as fast as they are taken; returns the memory after a fifth, and after all.
    async fn outage(&mut self, seconds: usize) -> (f64, f64) {
        let scrapes = seconds * TARGETS / INTERVAL as usize;
        let mut after_a_fifth = 0.0;
        let started = (Instant::now(), cpu_seconds());
        for number in 0..scrapes {
            self.entry.send(self.load.scrape()).await.unwrap();
            if number == scrapes / 5 {
                after_a_fifth = resident_bytes();
            }
            if number % (scrapes / 5) == scrapes / 5 - 1 {
                say(&format!(
                    "  {:>5} s of outage: {:>4.0} MB resident, {:>5.0} MB on disk",
                    (number + 1) * INTERVAL as usize / TARGETS,
                    resident_bytes() / 1e6,
                    self.of_log("size_bytes") / 1e6
                ));
            }
        }
        let samples = (scrapes * SERIES) as f64;
        while self.of_log("lag_samples") < samples {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        say(&format!(
            "  taken in at {:.2} million samples a second, {:.0} ns of processor time each, their making included",
            samples / started.0.elapsed().as_secs_f64() / 1e6,
            (cpu_seconds() - started.1) * 1e9 / samples
        ));
        (after_a_fifth, resident_bytes())
    }

    /// Delivers all while as much as before comes in each second; returns samples delivered in a second, and the most
    /// memory on the way.
    async fn drain(&mut self) -> (f64, f64) {
        self.store.open.store(true, Ordering::Relaxed);
        let (started, cpu, before) = (Instant::now(), cpu_seconds(), self.sent());
        let mut fed = 0.0;
        let mut most_memory: f64 = 0.0;
        loop {
            while fed < started.elapsed().as_secs_f64() * RATE {
                self.entry.send(self.load.scrape()).await.unwrap();
                fed += SERIES as f64;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            most_memory = most_memory.max(resident_bytes());
            // Two seconds of samples are always on their way.
            if self.of_log("lag_samples") < 3.0 * RATE {
                break;
            }
        }
        let (took, sent) = (started.elapsed().as_secs_f64(), self.sent() - before);
        say(&format!(
            "  {:.0} million samples in {took:.1} s, {:.0} ns of processor time each, {:.1} bytes each on the wire",
            sent / 1e6,
            (cpu_seconds() - cpu) * 1e9 / sent,
            self.store.bytes.load(Ordering::Relaxed) as f64 / sent
        ));
        (sent / took, most_memory)
    }
}

async fn start(directory: &std::path::Path) -> (Run, StopSource, tokio::task::JoinHandle<()>) {
    let store = Store::start();
    let yaml = format!(
        "endpoint: http://127.0.0.1:{}/api/v1/write\nkeep_scraped_names: true\ntarget_info: {{enabled: false}}\n\
         wal: {{directory: {}, max_bytes: 100000000000}}\nretry_on_failure: {{max_interval: 1s}}\n",
        store.port,
        directory.display()
    );
    let node = pipeline::config::parse(&yaml, "outage.yaml").unwrap();
    let telemetry = Telemetry::default();
    let context = BuildContext {
        id: "prometheusremotewrite".parse().unwrap(),
        program: Program { name: "oxidot", version: "0" },
        telemetry: telemetry.clone(),
        shared: Shared::default(),
        signal: None,
    };
    let Build::Exporter(build) = exporters::prometheus_remote_write::FACTORY.build else { unreachable!() };
    let mut exporter = build(&node, &context).unwrap();
    exporter.start().await.unwrap();
    let (entry, input): (Entry, _) = channel();
    let stop = StopSource::default();
    let handle = stop.handle();
    let task = tokio::spawn(async move { exporter.run(ExporterContext { input, stop: handle }).await.unwrap() });
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64;
    (Run { telemetry, entry: Output::to(vec![entry]), load: Load::new(now), store }, stop, task)
}

fn main() {
    let seconds = std::env::var("OXIDOT_OUTAGE_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(600);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let kept = runtime.block_on(async {
        let (mut run, stop, task) = start(directory.path()).await;
        say(&format!("An outage of {seconds} s at {RATE:.0} samples a second, {} series:", TARGETS * SERIES));
        let (fifth, end) = run.outage(seconds).await;
        let bytes = run.of_log("size_bytes") / run.of_log("lag_samples");
        say(&format!(
            "  {bytes:.2} bytes a sample on disk; {:.0} MB resident after a fifth, {:.0} at the end",
            fifth / 1e6,
            end / 1e6
        ));
        say("The store is back, and as many samples go on coming:");
        let (rate, most) = run.drain().await;
        say(&format!(
            "  delivered {rate:.0} a second, {:.1} times as many as come; at most {:.0} MB resident",
            rate / RATE,
            most / 1e6
        ));
        drop(run);
        stop.stop(tokio::time::Instant::now() + Duration::from_secs(25));
        task.await.unwrap();
        bytes <= MOST_BYTES
            && end - fifth <= MOST_GROWTH
            && most - fifth <= MOST_GROWTH + MOST_UNDER_WAY
            && rate >= LEAST_SPEED * RATE
    });
    assert!(kept, "what is promised was not kept");
}
