//! The built program, which is killed for good.
//!
//! Samples are pushed to it as remote write with `acknowledge: durable`, so that what it has taken over is known exactly, and
//! it scrapes a target whose pages count.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pipeline::AckOutcome;

use super::damage::leave_unfinished;
use super::ledger::{Culprits, Excuses, Fate, Ledger, Tally};
use super::random::Random;
use super::store::{Act, OFFERED, Store};
use super::weather::Weather;
use super::{number, run_seeds};
use crate::support::http::{Reply, Request, Server, post_write};
use crate::support::oxidot::{Oxidot, job};
use crate::support::page::Target;
use crate::support::samples::write_request;
use crate::support::{PATIENCE, free_port, note, wait_until};

/// Series that are pushed.
const PUSHED: u32 = 20;

/// The series of the target.
const SCRAPED: u32 = 1000;

#[derive(Debug)]
struct Plan {
    version_2: bool,
    destinations: usize,
    logged: bool,
    fsync: &'static str,
    shards: u64,
    per_send: u64,
}

/// A program with its stores, its target, and one who pushes.
struct Scene {
    plan: Plan,
    random: Random,
    stores: Vec<(Arc<Mutex<Store>>, Server)>,
    target: Target,
    pushing: Arc<Pushing>,
    life: Arc<AtomicU64>,
    directory: tempfile::TempDir,
    /// Pages up to this one are known to have been taken in.
    safe_page: u64,
    /// Of these it is not known: they were served before the program was ended.
    unsure_pages: Vec<RangeInclusive<u64>>,
    tally: Tally,
}

/// What is shared with the thread that pushes.
struct Pushing {
    port: u16,
    ledger: Mutex<Ledger>,
    /// Pushes that were answered as durable.
    acknowledged: AtomicU64,
    ends: AtomicBool,
}

fn serve(store: &Arc<Mutex<Store>>, began: Instant) -> Server {
    let store = Arc::clone(store);
    Server::start(move |request: Request| {
        let content_type = request.header("content-type").unwrap_or_default();
        let act = store.lock().unwrap().judge(&request.path, content_type, &request.body, began.elapsed());
        match act {
            Act::Answer { status, headers, body } => Reply::Answer { status, headers, body: body.into_bytes() },
            Act::Close => Reply::Close,
            Act::Hang => Reply::Hang,
        }
    })
}

impl Pushing {
    /// Pushes one sample of each series after the other; what is not acknowledged is not pushed again.
    fn run(&self, mut random: Random) {
        let mut n = 0;
        while !self.ends.load(Ordering::SeqCst) {
            n += 1;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
            let fraction = random.below(1 << 20) as f64 / f64::from(1 << 20);
            let values = vec![n as f64 + fraction; PUSHED as usize];
            // It is on the books before it can arrive.
            let enter = |fate| (0..PUSHED).for_each(|series| self.ledger.lock().unwrap().offer(series, n, fate));
            enter(Fate::Unknown);
            let answer = post_write(self.port, &write_request(OFFERED, now, &values));
            if answer.is_some_and(|answer| matches!(answer.status, 200 | 204)) {
                enter(Fate::Known(AckOutcome::Persisted));
                self.acknowledged.fetch_add(1, Ordering::SeqCst);
            }
            std::thread::sleep(Duration::from_millis(5 + random.below(20)));
        }
    }
}

impl Scene {
    fn config(&self) -> String {
        let Plan { version_2, logged, fsync, shards, per_send, .. } = &self.plan;
        let life = self.life.fetch_add(1, Ordering::SeqCst) + 1;
        let endpoints = self.stores.iter().zip(["a", "b"]).map(|((_, server), name)| {
            format!("{{name: {name}, endpoint: \"http://127.0.0.1:{}/api/v1/write?life={life}\"}}", server.port())
        });
        let endpoints: Vec<String> = endpoints.collect();
        let wal = match logged {
            true => format!("wal: {{directory: \"{}\", fsync: {fsync}}}, ", self.directory.path().display()),
            false => String::new(),
        };
        let version = if *version_2 { "protobuf_message: io.prometheus.write.v2.Request, " } else { "" };
        format!(
            "receivers:\n  prometheusremotewrite: {{endpoint: \"127.0.0.1:{port}\", acknowledge: durable}}\n  \
             prometheus: {{config: {{scrape_configs: [{job}]}}}}\n\
             exporters: {{prometheusremotewrite: {{keep_scraped_names: true, timeout: 1s, batch_send_deadline: 50ms, \
             max_samples_per_send: {per_send}, remote_write_queue: {{num_consumers: {shards}, min_shards: {shards}}}, {version}{wal}\
             retry_on_failure: {{initial_interval: 20ms, max_interval: 500ms, max_elapsed_time: 0s}}, endpoints: [{endpoints}]}}}}\n\
             service: {{pipelines: {{metrics: {{receivers: [prometheusremotewrite, prometheus], exporters: [prometheusremotewrite]}}}}}}\n",
            port = self.pushing.port,
            job = job("j", &self.target.address(), "200ms"),
            endpoints = endpoints.join(", "),
        )
    }

    /// Waits until the pages that have been served by now are where a push is that was acknowledged: they go the same way,
    /// and the target is not asked for a page before the one before it was handed on.
    fn secure_pages(&mut self) {
        let pages = self.target.scrapes();
        wait_until("two more pages", || self.target.scrapes() >= pages + 2);
        let pushes = self.pushing.acknowledged.load(Ordering::SeqCst);
        // The first may have been under way already.
        wait_until("acknowledged pushes", || self.pushing.acknowledged.load(Ordering::SeqCst) >= pushes + 2);
        self.safe_page = pages;
    }

    fn force(&self, weather: Option<Weather>) {
        self.stores.iter().for_each(|(store, _)| store.lock().unwrap().force(weather));
    }

    /// Ends the program in one way or the other, and starts it again.
    fn interrupt(&mut self, oxidot: &mut Oxidot) {
        if self.random.one_in(2) {
            self.secure_pages();
        }
        if self.plan.logged && !self.random.one_in(4) {
            oxidot.signal("KILL");
            oxidot.wait();
            self.tally.count("kills", 1);
            if self.random.one_in(3) {
                leave_unfinished(&self.directory.path().join("exporter_prometheusremotewrite_"), &mut self.random);
                self.tally.count("torn tails", 1);
            }
        } else {
            if self.plan.logged {
                // Without waiting for the stores.
                oxidot.signal("TERM");
                oxidot.wait_for_log("Starting shutdown");
                oxidot.signal("TERM");
            } else {
                self.force(Some(Weather::Fair));
                oxidot.signal("TERM");
            }
            assert_eq!(oxidot.wait().code(), Some(0), "{}", oxidot.log());
            self.force(None);
            self.tally.count("ends", 1);
        }
        self.unsure_pages.push(self.safe_page + 1..=self.target.scrapes());
        *oxidot = Oxidot::start(&self.config());
    }

    /// What was scraped, on the books.
    fn enter_pages(&self) {
        // Where the machine was too busy for a scrape, a page was served for nothing.
        let all_taken = self.stores.iter().all(|(store, _)| store.lock().unwrap().failed_scrapes == 0);
        let mut ledger = self.pushing.ledger.lock().unwrap();
        for n in 1..=self.target.scrapes() {
            let known = all_taken && n <= self.safe_page && !self.unsure_pages.iter().any(|pages| pages.contains(&n));
            ledger.offer(SCRAPED, n, if known { Fate::Known(AckOutcome::Persisted) } else { Fate::Unknown });
        }
    }

    /// Waits until nothing is missing that was acknowledged, and says what is if that does not come about.
    fn wait_for_delivery(&self, culprits: &Culprits) -> Result<(), String> {
        let began = Instant::now();
        loop {
            self.enter_pages();
            let ledger = self.pushing.ledger.lock().unwrap();
            let missing = self.stores.iter().find_map(|(store, _)| {
                let store = store.lock().unwrap();
                let seen = ledger.check(&store.arrivals, culprits, &Excuses::default());
                seen.err().filter(|why| why.contains("is lost")).map(|why| format!("{why}; {:?}", store.answers))
            });
            drop(ledger);
            match missing {
                None => return Ok(()),
                Some(why) if began.elapsed() > PATIENCE => return Err(why),
                Some(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }
}

fn run(seed: u64) -> Result<Tally, String> {
    let mut random = Random::new(seed, 1000);
    // The first seeds have a log, as most others do.
    let logged = seed < 2 || !random.one_in(4);
    let plan = Plan {
        version_2: random.one_in(2),
        destinations: 1 + random.below(2) as usize,
        logged,
        fsync: random.pick(&["interval", "always", "never"]),
        shards: random.between(1..=4),
        per_send: random.pick(&[5, 50, 500]),
    };
    // Without a log, whoever pushes is told of a culprit, so that nothing is known of the rest of the push.
    let culprits = Culprits { seed, one_in: if logged { random.pick(&[0, 200, 500]) } else { 0 }, series: None };
    let life = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let store = |number: usize| {
        let store = Store::new(seed, 2000 + 10 * number as u64, 1000, culprits, Arc::clone(&life));
        let store = Arc::new(Mutex::new(store));
        let server = serve(&store, began);
        (store, server)
    };
    let pushing = Arc::new(Pushing {
        port: free_port(),
        ledger: Mutex::default(),
        acknowledged: AtomicU64::new(0),
        ends: AtomicBool::new(false),
    });
    let mut scene = Scene {
        stores: (0..plan.destinations).map(store).collect(),
        plan,
        random,
        target: Target::start(|n| format!("# TYPE {OFFERED} gauge\n{OFFERED}{{i=\"{SCRAPED}\"}} {n}\n")),
        pushing: Arc::clone(&pushing),
        life,
        directory: tempfile::tempdir().unwrap(),
        safe_page: 0,
        unsure_pages: Vec::new(),
        tally: Tally::default(),
    };
    let mut oxidot = Oxidot::start(&scene.config());
    let pushes = Random::new(seed, 1001);
    let pusher = std::thread::spawn({
        let pushing = Arc::clone(&pushing);
        move || pushing.run(pushes)
    });
    let offering = Duration::from_secs(number("OXIDOT_FAULT_SECONDS").unwrap_or(4));
    loop {
        std::thread::sleep(Duration::from_millis(scene.random.between(100..=1500)));
        if began.elapsed() >= offering {
            break;
        }
        scene.interrupt(&mut oxidot);
    }
    scene.force(Some(Weather::Fair));
    scene.secure_pages();
    pushing.ends.store(true, Ordering::SeqCst);
    pusher.join().unwrap();
    if let Err(why) = scene.wait_for_delivery(&culprits) {
        return Err(format!("{why}; {:?}\n{}", scene.plan, oxidot.log()));
    }
    let uninterrupted = scene.life.load(Ordering::SeqCst) == 1;
    let page = oxidot.own_page();
    let dropped = |part: &str| crate::support::oxidot::total(&page, "otelcol_exporter_dropped_metric_points", &[part]) as u64;
    let (all, rejected) = (dropped(""), dropped("reason=\"rejected_400\""));
    assert_eq!(oxidot.end().code(), Some(0), "{}", oxidot.log());
    scene.enter_pages();
    let ledger = pushing.ledger.lock().unwrap();
    let mut tally = std::mem::take(&mut scene.tally);
    tally.count("samples", ledger.len());
    let (mut refused, mut culprits_known) = (0, 0);
    for ((store, _), name) in scene.stores.iter().zip(["a", "b"]) {
        let store = store.lock().unwrap();
        let seen = ledger.check(&store.arrivals, &culprits, &Excuses::default());
        tally.add(&seen.map_err(|why| format!("store {name}: {why}\n{}", oxidot.log()))?);
        refused += store.refused;
        tally.count("failed scrapes", store.failed_scrapes);
        culprits_known += ledger.culprits(&culprits);
    }
    if all != rejected || rejected > refused || (uninterrupted && rejected < culprits_known) {
        return Err(format!(
            "{all} samples were counted as dropped, {rejected} of them as rejected, where {culprits_known} culprits were refused {refused} times; {tally}"
        ));
    }
    Ok(tally)
}

#[test]
fn program() {
    let (seeds, seen) = run_seeds("program", number("OXIDOT_FAULT_PROGRAM_SEEDS").unwrap_or(5), 2, run);
    note(&format!("faults::program: {seeds} seeds; {seen}"));
    if seeds >= 5 {
        for what in ["delivered", "delivered again", "kills"] {
            assert!(seen.get(what) > 0, "no seed came to {what}: {seen}");
        }
    }
}
