//! One seed's exporter, stores, and what is known of them.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use exporters::prometheus_remote_write::FACTORY;
use pipeline::channel::{Entry, channel};
use pipeline::component::{Build, BuildContext, ComponentError, ExporterContext, Program, Shared};
use pipeline::stop::StopSource;
use pipeline::telemetry::Telemetry;
use pipeline::{
    Ack, AckOutcome, Acks, Attributes, Family, FamilyKind, MetricBatch, Origin, Output, Part, Point, PointGroup,
    Resource, Scope, Series, SeriesTable, Source, Value,
};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::super::damage::{Damage, Filler, damage};
use super::super::ledger::{Excuses, Fate, Ledger, Tally};
use super::super::random::{Random, mix};
use super::super::store::{OFFERED, Store};
use super::super::weather::{FOUL, Weather};
use super::plan::{Face, Plan};
use super::serve::serve;
use crate::durable::disk::SmallDisk;

const EXPORTER: &str = "prometheusremotewrite";

/// A batch on its way: what it holds, and where its fate is learnt.
type Pending = (Vec<(u32, u64)>, oneshot::Receiver<AckOutcome>);

/// An exporter that runs.
struct Running {
    telemetry: Telemetry,
    output: Output,
    stop: StopSource,
    task: JoinHandle<Result<(), ComponentError>>,
}

/// What exporters have counted that are no more.
#[derive(Debug, Default)]
struct Counted {
    sent: u64,
    rejected: u64,
    dropped: u64,
}

pub(super) struct World {
    pub(super) plan: Plan,
    random: Random,
    stores: Vec<Arc<Mutex<Store>>>,
    addresses: Vec<std::net::SocketAddr>,
    life: Arc<AtomicU64>,
    exporter: Option<Running>,
    ledger: Ledger,
    pending: Vec<Pending>,
    counted: Counted,
    /// What of that was damage.
    corrupt: u64,
    /// The number of the last step.
    n: u64,
    first_ms: i64,
    excuses: Excuses,
    tally: Tally,
    filler: Option<Filler>,
    directory: PathBuf,
    disk: Option<SmallDisk>,
    _scratch: Option<tempfile::TempDir>,
}

impl World {
    pub(super) async fn begin(plan: Plan, disk: Option<SmallDisk>) -> Result<Self, String> {
        let began = Instant::now();
        let life = Arc::new(AtomicU64::new(0));
        let (mut stores, mut addresses) = (Vec::new(), Vec::new());
        for number in 0..plan.destinations as u64 {
            let store = Store::new(plan.seed, 100 + 10 * number, 10_000, plan.culprits, Arc::clone(&life));
            let store = Arc::new(Mutex::new(store));
            addresses.push(serve(Arc::clone(&store), Random::new(plan.seed, 200 + number), began).await);
            stores.push(store);
        }
        let memory = std::path::Path::new("/dev/shm");
        let scratch = match &disk {
            Some(_) => None,
            // Syncs take no time there.
            None if memory.is_dir() => Some(tempfile::tempdir_in(memory).unwrap()),
            None => Some(tempfile::tempdir().unwrap()),
        };
        let directory = match (&disk, &scratch) {
            (Some(disk), _) => disk.0.path().to_owned(),
            (None, Some(scratch)) => scratch.path().to_owned(),
            (None, None) => return Err("there is no place for a log".to_owned()),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        let mut world = Self {
            random: Random::new(plan.seed, 2),
            plan,
            stores,
            addresses,
            life,
            exporter: None,
            ledger: Ledger::default(),
            pending: Vec::new(),
            counted: Counted::default(),
            corrupt: 0,
            n: 0,
            first_ms: now - 1_000_000,
            excuses: Excuses::default(),
            tally: Tally::default(),
            filler: None,
            directory,
            disk,
            _scratch: scratch,
        };
        world.excuses.gaps_in_replay = world.plan.face == Face::FullDisk;
        world.start().await?;
        Ok(world)
    }

    fn log(&self) -> PathBuf {
        self.directory.join("exporter_prometheusremotewrite_")
    }

    /// Starts an exporter. Threads of the one before it may still finish a write, and have the log until then.
    pub(super) async fn start(&mut self) -> Result<(), String> {
        let life = self.life.fetch_add(1, Ordering::SeqCst) + 1;
        let yaml = self.plan.yaml(&self.addresses, life, &self.directory);
        let node = pipeline::config::parse(&yaml, "seed.yaml").map_err(|error| error.to_string())?;
        let Build::Exporter(build) = FACTORY.build else { return Err("the factory builds exporters".to_owned()) };
        let mut attempts = 0;
        loop {
            let telemetry = Telemetry::default();
            let context = BuildContext {
                id: EXPORTER.parse().unwrap(),
                program: Program { name: "oxidot", version: "0" },
                telemetry: telemetry.clone(),
                shared: Shared::default(),
                signal: None,
            };
            let mut exporter = build(&node, &context).map_err(|error| error.to_string())?;
            if let Err(error) = exporter.start().await {
                attempts += 1;
                if attempts > 1000 {
                    return Err(format!("life {life} does not begin: {error:?}"));
                }
                tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(5))).await.unwrap();
                continue;
            }
            let (entry, input): (Entry, _) = channel();
            let stop = StopSource::default();
            let task = tokio::spawn(exporter.run(ExporterContext { input, stop: stop.handle() }));
            self.exporter = Some(Running { telemetry, output: Output::to(vec![entry]), stop, task });
            return Ok(());
        }
    }

    /// Offers a sample of most series.
    pub(super) async fn offer(&mut self) {
        self.n += 1;
        for origin in 0..self.plan.origins {
            let (mut batch, samples) = self.batch(origin);
            let (ack, fate) = Ack::channel();
            batch.acks = Acks::one(ack);
            if let Some(running) = &self.exporter {
                // It fails once the exporter has ended, which is then known from the fate.
                running.output.send(batch).await.ok();
            }
            self.pending.push((samples, fate));
        }
        self.learn();
    }

    fn batch(&mut self, origin: u32) -> (MetricBatch, Vec<(u32, u64)>) {
        // Half of the series come later.
        let count = if self.n * 2 < self.plan.steps { self.plan.series.div_ceil(2) } else { self.plan.series };
        let first = origin * self.plan.series;
        let family = Arc::new(Family { name: OFFERED.into(), kind: FamilyKind::Gauge, ..Family::default() });
        let series = (first..first + count).map(|i| {
            let own = Attributes::from_pairs([("i", i.to_string().as_str())]);
            Series::intern(Arc::clone(&family), OFFERED.into(), Part::Whole, own)
        });
        let table = SeriesTable::intern(series.collect());
        let resource = Attributes::from_pairs([("service.name", format!("job-{origin}").as_str())]);
        let resource = Resource { attributes: resource, ..Resource::default() };
        let origin =
            Origin::intern(Source::Scrape, resource, Scope::default(), Attributes::from_pairs([("zone", "z")]));
        let (mut points, mut samples) = (Vec::new(), Vec::new());
        for i in 0..count {
            if self.random.one_in(8) {
                continue;
            }
            // Values that do not compress to nothing.
            let fraction = (mix(u64::from(first + i) << 32 | self.n) >> 44) as f64 / f64::from(1 << 20);
            let time = (self.first_ms + self.n as i64 * 1000) * 1_000_000;
            points.push(Point { series: i, flags: 0, time, start: 0, value: Value::Float(self.n as f64 + fraction) });
            samples.push((first + i, self.n));
        }
        (MetricBatch::new(vec![PointGroup::new(origin, table, points)]), samples)
    }

    /// Notes what has become known of batches.
    fn learn(&mut self) {
        let ledger = &mut self.ledger;
        self.pending.retain_mut(|(samples, fate)| match fate.try_recv() {
            Ok(outcome) => {
                samples.iter().for_each(|(series, n)| ledger.offer(*series, *n, Fate::Known(outcome)));
                false
            }
            Err(_) => true,
        });
    }

    /// Ends the exporter on the spot.
    pub(super) async fn kill(&mut self) {
        // What is acknowledged afterwards, nobody gets to know.
        self.learn();
        let Some(running) = self.exporter.take() else { return };
        for (samples, _) in std::mem::take(&mut self.pending) {
            samples.iter().for_each(|(series, n)| self.ledger.offer(*series, *n, Fate::Unknown));
        }
        running.task.abort();
        running.task.await.ok();
        self.tally.count("kills", 1);
        self.count(&running.telemetry);
    }

    /// Ends the exporter as the service does, which gives it so much time.
    pub(super) async fn end(&mut self, deadline: Duration) {
        let Some(running) = self.exporter.take() else { return };
        let Running { telemetry, output, stop, task } = running;
        drop(output);
        stop.stop(Instant::now() + deadline);
        // A loss is counted as well.
        task.await.unwrap().ok();
        self.learn();
        assert!(self.pending.is_empty(), "everybody who waits is told at the end");
        self.tally.count("ends", 1);
        self.count(&telemetry);
    }

    fn count(&mut self, telemetry: &Telemetry) {
        let rejected = value(telemetry, "rejected_400");
        self.counted.rejected += rejected;
        self.counted.dropped += telemetry.total("otelcol_exporter_dropped_metric_points") as u64 - rejected;
        self.counted.sent += telemetry.total("otelcol_exporter_sent_metric_points") as u64;
    }

    fn force(&self, weather: Option<Weather>) {
        self.stores.iter().for_each(|store| store.lock().unwrap().force(weather));
    }

    /// Waits until stores have everything, and the log knows.
    async fn settle(&mut self) -> Result<(), String> {
        for _ in 0..1000 {
            self.learn();
            tokio::time::sleep(Duration::from_millis(1100)).await;
            let Some(running) = &self.exporter else { break };
            let waiting = ["wal_lag_samples", "wal_in_memory_samples", "queue_samples"];
            let total = |name| running.telemetry.total(&format!("otelcol_exporter_prometheusremotewrite_{name}"));
            if self.pending.is_empty() && waiting.iter().all(|name| total(name) == 0.0) {
                return Ok(());
            }
        }
        let telemetry = self.exporter.as_ref().map(|running| running.telemetry.render()).unwrap_or_default();
        let of_log = |line: &&str| line.contains("_wal_") && !line.starts_with('#');
        let log: Vec<&str> = telemetry.lines().filter(of_log).collect();
        Err(format!(
            "stores that accept everything do not get everything: {} batches wait; {}",
            self.pending.len(),
            log.join("\n")
        ))
    }

    /// The disk is full for a while.
    pub(super) fn fill_disk(&mut self) {
        match (self.filler.take(), &self.disk) {
            (None, Some(disk)) => {
                self.filler = Some(Filler::fill(disk.0.path()));
                self.tally.count("full disks", 1);
            }
            (freed, _) => drop(freed),
        }
    }

    /// Damages the log while samples wait in it, and weighs what that has cost.
    pub(super) async fn damage(&mut self) -> Result<(), String> {
        // From here on, nothing is delivered of what is offered, so that what is counted as corrupt is what is missing.
        self.force(Some(Weather::Fair));
        self.settle().await?;
        let foul = self.random.pick(&FOUL);
        self.force(Some(foul));
        let first = self.n + 1;
        for _ in 0..self.random.between(3..=30) {
            self.offer().await;
            tokio::time::sleep(Duration::from_millis(self.random.below(200))).await;
        }
        while !self.pending.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            self.learn();
        }
        let last = self.n;
        if self.random.one_in(2) {
            self.kill().await
        } else {
            self.end(Duration::from_millis(100)).await
        }
        // The files are nobody's once it can be opened; that is waited for here.
        tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(20))).await.unwrap();
        let done = damage(&self.log(), &mut self.random);
        self.tally.count("damages", 1);
        self.start().await?;
        self.force(Some(Weather::Fair));
        self.settle().await?;
        self.force(None);
        let telemetry = self.exporter.as_ref().map(|running| running.telemetry.clone()).unwrap_or_default();
        let corrupt = value(&telemetry, "wal_corrupt");
        let cut = value(&telemetry, "wal_torn");
        let torn = telemetry.total("otelcol_exporter_prometheusremotewrite_wal_torn_bytes") as u64;
        let missing: Vec<Vec<(u32, u64)>> = self
            .stores
            .iter()
            .map(|store| self.ledger.missing_of(&store.lock().unwrap().arrivals, &self.plan.culprits, first, last))
            .collect();
        let lost: u64 = missing.iter().map(|missing| missing.len() as u64).sum();
        self.tally.count("samples lost to damage", lost);
        let told = format!(
            "{done:?}: {lost} samples are missing, {corrupt} counted as corrupt, {cut} and {torn} bytes as torn"
        );
        let fits = match done {
            Damage::Unfinished(bytes) => lost == 0 && corrupt + cut == 0 && torn == bytes,
            Damage::Cursor => lost == 0 && corrupt + cut + torn == 0,
            // So few bytes are missing that the header is whole.
            Damage::Torn => torn > 0 && lost == cut && lost > 0 && corrupt == 0,
            // Of a record whose header is changed, nobody knows what it held, unless another one follows.
            Damage::Flipped => lost == corrupt + cut || (torn > 0 && lost > corrupt + cut),
        };
        let corrupt = corrupt + cut;
        if !fits {
            return Err(told);
        }
        if lost > corrupt {
            // What was cut off at the end is the end.
            let rest: u64 = missing.iter().map(|missing| self.trailing(missing, last)).sum();
            if rest < lost - corrupt {
                return Err(format!("{told}; only {rest} of them stood at the end"));
            }
        }
        self.corrupt += corrupt;
        missing.iter().flatten().for_each(|(series, n)| self.ledger.offer(*series, *n, Fate::Damaged));
        Ok(())
    }

    /// How many of these are, for their series, the last ones up to `last`.
    fn trailing(&self, missing: &[(u32, u64)], last: u64) -> u64 {
        let mut series: Vec<u32> = missing.iter().map(|one| one.0).collect();
        series.dedup();
        let of = |series: &u32| {
            let newest = self.ledger.numbers(*series, last).rev();
            newest.take_while(|n| missing.contains(&(*series, *n))).count() as u64
        };
        series.iter().map(of).sum()
    }

    /// The weather clears up, all is delivered, and the books are closed.
    pub(super) async fn finish(mut self) -> Result<Tally, String> {
        self.filler = None;
        self.force(Some(Weather::Fair));
        self.end(Duration::from_secs(3 * 3600)).await;
        let stores: Vec<_> = self.stores.iter().map(|store| store.lock().unwrap()).collect();
        let mut tally = std::mem::take(&mut self.tally);
        tally.count("samples", self.ledger.len());
        let (mut culprits, mut all_culprits, mut dropped) = (0, 0, 0);
        for (store, name) in stores.iter().zip(["a", "b"]) {
            let seen = self.ledger.check(&store.arrivals, &self.plan.culprits, &self.excuses);
            let seen = seen.map_err(|why| format!("store {name}: {why}; {:?}", self.plan))?;
            dropped += seen.get("dropped");
            culprits += self.ledger.culprits(&self.plan.culprits);
            all_culprits += self.ledger.all_culprits(&self.plan.culprits);
            tally.add(&seen);
            for (status, n) in &store.answers {
                tally.count(answers(*status), *n);
            }
        }
        let sum = |of: fn(&Store) -> u64| stores.iter().map(|store| of(store)).sum::<u64>();
        let (said, unsaid, refused) = (sum(|store| store.said), sum(Store::unsaid), sum(|store| store.refused));
        let uninterrupted = self.life.load(Ordering::SeqCst) == 1;
        let under_way = self.life.load(Ordering::SeqCst) * stores.len() as u64 * self.plan.shards * self.plan.per_send;
        let Counted { sent, rejected, dropped: counted } = self.counted;
        let counted = counted - self.corrupt;
        let slack = if uninterrupted { unsaid } else { unsaid + under_way + tally.get("lost unacknowledged") };
        // Culprits that no store has refused were dropped as others are: there was no time for them. What was under way when
        // the program was killed, nobody counts.
        let unrefused = all_culprits.saturating_sub(rejected);
        let least = if uninterrupted { unrefused } else { 0 };
        let rules = [
            ("samples sent", if uninterrupted { sent == said } else { sent <= said }),
            ("culprits", (culprits..=refused).contains(&rejected) && (rejected <= all_culprits || !uninterrupted)),
            ("samples dropped", (dropped + least..=dropped + unrefused + slack).contains(&counted)),
        ];
        let story = format!(
            "sent {sent} of {said} said and {unsaid} unsaid, rejected {rejected} of {culprits} culprits ({refused} refusals), dropped {counted} where {dropped} are missing; {tally}; {:?}",
            self.plan
        );
        match rules.iter().find(|(_, holds)| !holds) {
            Some((what, _)) => Err(format!("{what} are not counted right: {story}")),
            None => Ok(tally),
        }
    }
}

fn answers(status: u16) -> &'static str {
    match status {
        0 => "no answers",
        200 | 204 => "answers 200",
        400 => "answers 400",
        413 => "answers 413",
        415 => "answers 415",
        429 => "answers 429",
        500 => "answers 500",
        503 => "answers 503",
        _ => "other answers",
    }
}

fn value(telemetry: &Telemetry, reason: &str) -> u64 {
    let (name, reason) = ("otelcol_exporter_dropped_metric_points", format!("reason=\"{reason}\""));
    crate::support::oxidot::total(&telemetry.render(), name, &[&reason]) as u64
}
