//! Delivery: what becomes of requests whose store fails, and in which order series arrive.

use super::super::send::{Sender, Size, Spoken};
use super::super::shards::Shards;
use super::super::{FACTORY, limits, shards};
use super::*;
use net::auth::Authenticators;
use net::client::HttpClient;
use parking_lot::Mutex;
use pipeline::channel::{Entry, channel};
use pipeline::component::{Build, BuildContext, ComponentError, ExporterContext, Program, Shared};
use pipeline::stop::StopSource;
use pipeline::{Ack, AckOutcome, Acks, Output};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

/// Far longer than anything here takes: only a test that fails waits for it.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// What the store answers to the attempt of this number, after a pause; `None` is no answer at all.
type Script = fn(usize) -> (Duration, Option<&'static str>);

/// A request as the store saw it: the `Retry-Attempt` header and the body.
type Seen = (Option<String>, Vec<u8>);

/// A store that answers by a script.
pub(super) struct Store {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Store {
    async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let keeps = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(converse(stream, Arc::clone(&keeps), script));
            }
        });
        Self { address, seen, task }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    pub(super) async fn wait_for(&self, attempts: usize) {
        let reached = async {
            while self.seen.lock().len() < attempts {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.unwrap();
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn converse(stream: TcpStream, seen: Arc<Mutex<Vec<Seen>>>, script: Script) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut retry, mut length) = (None, 0);
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.ok().filter(|n| *n > 0)?;
            match line.trim_end().to_ascii_lowercase().split_once(": ") {
                Some(("retry-attempt", value)) => retry = Some(value.to_owned()),
                Some(("content-length", value)) => length = value.parse().unwrap(),
                None if line == "\r\n" => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        let number = {
            let mut seen = seen.lock();
            seen.push((retry, body));
            seen.len() - 1
        };
        let (pause, answer) = script(number);
        tokio::time::sleep(pause).await;
        match answer {
            Some(answer) => stream.write_all(answer.as_bytes()).await.ok()?,
            None => std::future::pending().await,
        }
    }
}

pub(super) const ACCEPTED: &str = "HTTP/1.1 204 No Content\r\n\r\n";
pub(super) const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\ndown";
const REJECTED: &str = "HTTP/1.1 400 Bad Request\r\nContent-Length: 11\r\n\r\nBad request";

pub(super) fn at_once(answer: &'static str) -> (Duration, Option<&'static str>) {
    (Duration::ZERO, Some(answer))
}

/// A running exporter.
pub(super) struct Running {
    pub(super) telemetry: Telemetry,
    endpoint: String,
    entry: Option<Entry>,
    pub(super) stop: StopSource,
    task: JoinHandle<Result<(), ComponentError>>,
}

impl Running {
    pub(super) async fn start(store: &Store, keys: &str) -> Self {
        Self::start_at(store.address, keys).await
    }

    /// An exporter that sends to this address.
    pub(super) async fn start_at(address: SocketAddr, keys: &str) -> Self {
        let yaml = format!(
            "endpoint: http://{}/api/v1/write\ntarget_info: {{enabled: false}}\nbatch_send_deadline: 10ms\n{keys}\n",
            address
        );
        let node = pipeline::config::parse(&yaml, "test.yaml").unwrap();
        let Build::Exporter(build) = FACTORY.build else { panic!("the factory builds exporters") };
        let telemetry = Telemetry::default();
        let context = BuildContext {
            id: "prometheusremotewrite".parse().unwrap(),
            program: Program { name: "oxidot", version: "0" },
            telemetry: telemetry.clone(),
            shared: Shared::default(),
            signal: None,
        };
        let mut exporter = build(&node, &context).unwrap();
        exporter.start().await.unwrap();
        let (entry, input) = channel();
        let stop = StopSource::default();
        let task = tokio::spawn(exporter.run(ExporterContext { input, stop: stop.handle() }));
        let endpoint = format!("http://{address}/api/v1/write");
        Self { telemetry, endpoint, entry: Some(entry), stop, task }
    }

    /// Sends a batch of `points` points, and gives the end at which its fate is learnt.
    pub(super) async fn send(&self, points: u32) -> tokio::sync::oneshot::Receiver<AckOutcome> {
        self.send_batch(points_of_one_job(points, 1000)).await
    }

    /// Sends a batch, and gives the end at which its fate is learnt.
    pub(super) async fn send_batch(&self, mut batch: MetricBatch) -> tokio::sync::oneshot::Receiver<AckOutcome> {
        let (ack, fate) = Ack::channel();
        batch.acks = Acks::one(ack);
        Output::to(vec![self.entry.clone().unwrap()]).send(batch).await.unwrap();
        fate
    }

    pub(super) fn counted(&self, name: &str) -> f64 {
        self.telemetry.total(&format!("otelcol_exporter_{name}"))
    }

    pub(super) fn dropped(&self, reason: &str) -> Option<f64> {
        let labels = [("exporter", "prometheusremotewrite"), ("endpoint", &self.endpoint), ("reason", reason)];
        self.telemetry.value("otelcol_exporter_dropped_metric_points", &labels)
    }

    /// Closes the input, and waits for the exporter to end.
    pub(super) async fn end(&mut self) {
        self.ended().await.unwrap();
    }

    /// The same, and what it says at its end.
    pub(super) async fn ended(&mut self) -> Result<(), ComponentError> {
        self.entry = None;
        tokio::time::timeout(PATIENCE, &mut self.task).await.unwrap().unwrap()
    }
}

/// One point of each of `count` series at `millis`.
pub(super) fn points_of_one_job(count: u32, millis: i64) -> MetricBatch {
    let o = origin(Source::Scrape, &[("service.name", "j")], &[]);
    let all = (0..count).map(|i| series("x", FamilyKind::Gauge, &[("i", &i.to_string())])).collect();
    batch(&o, all, (0..count).map(|i| point(i, millis, millis as f64)).collect())
}

pub(super) async fn learn(fate: tokio::sync::oneshot::Receiver<AckOutcome>) -> AckOutcome {
    tokio::time::timeout(PATIENCE, fate).await.unwrap().unwrap()
}

#[tokio::test]
async fn the_same_bytes_are_sent_until_the_store_takes_them() {
    let store = Store::start(|n| at_once(if n < 3 { UNAVAILABLE } else { ACCEPTED })).await;
    let mut exporter = Running::start(&store, "retry_on_failure: {initial_interval: 5ms}").await;
    assert_eq!(learn(exporter.send(3).await).await, AckOutcome::Delivered);
    exporter.end().await;
    let seen = store.seen();
    let attempts: Vec<_> = seen.iter().map(|(attempt, _)| attempt.as_deref()).collect();
    assert_eq!(attempts, [None, Some("1"), Some("2"), Some("3")]);
    assert!(seen.iter().all(|(_, body)| *body == seen[0].1));
    assert_eq!(exporter.counted("prometheusremotewrite_retries"), 3.0);
    assert_eq!(exporter.counted("sent_metric_points"), 3.0);
    assert_eq!(exporter.counted("send_failed_metric_points"), 0.0);
    assert_eq!(exporter.counted("queue_size"), 0.0);
}

#[tokio::test]
async fn what_is_rejected_is_counted_and_the_rest_goes_on() {
    let store = Store::start(|n| at_once(if n == 0 { REJECTED } else { ACCEPTED })).await;
    let mut exporter = Running::start(&store, "").await;
    assert_eq!(learn(exporter.send(3).await).await, AckOutcome::Rejected);
    assert_eq!(learn(exporter.send(2).await).await, AckOutcome::Delivered);
    exporter.end().await;
    assert_eq!(store.seen().len(), 2);
    assert_eq!(exporter.dropped("rejected_400"), Some(3.0));
    assert_eq!(exporter.counted("send_failed_metric_points"), 3.0);
    assert_eq!(exporter.counted("sent_metric_points"), 2.0);
}

#[tokio::test]
async fn a_request_is_given_up_when_its_time_is_over_or_retries_are_off() {
    for keys in ["enabled: false", "initial_interval: 10ms, max_elapsed_time: 50ms"] {
        let store = Store::start(|_| at_once(UNAVAILABLE)).await;
        let mut exporter = Running::start(&store, &format!("retry_on_failure: {{{keys}}}")).await;
        assert_eq!(learn(exporter.send(3).await).await, AckOutcome::Dropped);
        exporter.end().await;
        let retries = exporter.counted("prometheusremotewrite_retries");
        assert_eq!(store.seen().len() as f64, 1.0 + retries, "{keys}");
        assert!(retries == 0.0 || !keys.starts_with("enabled"), "{keys}");
        assert_eq!(exporter.dropped("retries_exhausted"), Some(3.0), "{keys}");
    }
}

#[tokio::test]
async fn without_a_limit_a_request_is_tried_for_ever() {
    let store = Store::start(|n| at_once(if n < 40 { UNAVAILABLE } else { ACCEPTED })).await;
    let keys = "retry_on_failure: {initial_interval: 1ms, max_interval: 2ms, max_elapsed_time: 0s}";
    let exporter = Running::start(&store, keys).await;
    assert_eq!(learn(exporter.send(1).await).await, AckOutcome::Delivered);
}

#[tokio::test]
async fn a_full_queue_makes_the_pipeline_wait_and_loses_nothing() {
    let store = Store::start(|n| at_once(if n < 5 { UNAVAILABLE } else { ACCEPTED })).await;
    let keys = "remote_write_queue: {queue_size: 1, num_consumers: 1}\nmax_samples_per_send: 1\n\
                retry_on_failure: {initial_interval: 10ms}";
    let mut exporter = Running::start(&store, keys).await;
    let mut fates = Vec::new();
    for _ in 0..20 {
        fates.push(exporter.send(3).await);
    }
    exporter.end().await;
    for fate in fates {
        assert_eq!(learn(fate).await, AckOutcome::Delivered);
    }
    assert_eq!(exporter.counted("sent_metric_points"), 60.0);
}

/// Points are everywhere when the deadline comes: under way, in the queue, about to be queued, and in the channel.
#[tokio::test]
async fn everything_that_is_left_at_the_deadline_is_counted() {
    let store = Store::start(|_| (Duration::ZERO, None)).await;
    let keys = "remote_write_queue: {queue_size: 1, num_consumers: 1}\nmax_samples_per_send: 2";
    let mut exporter = Running::start(&store, keys).await;
    let mut fates = Vec::new();
    for _ in 0..12 {
        fates.push(exporter.send(7).await);
    }
    store.wait_for(1).await;
    exporter.stop.stop(Instant::now() + Duration::from_millis(50));
    assert_eq!(exporter.ended().await.unwrap_err().lost(), Some(84));
    for fate in fates {
        assert_eq!(learn(fate).await, AckOutcome::Dropped);
    }
    assert_eq!(exporter.dropped("shutdown"), Some(84.0));
    assert_eq!(exporter.counted("send_failed_metric_points"), 84.0);
    assert_eq!(exporter.counted("queue_size"), 0.0);
}

/// The number of shards changes all the time while answers take long and short, and requests fail now and then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn series_stay_in_order_while_shards_come_and_go() {
    let store = Store::start(|n| {
        let answer = if n % 7 == 3 { UNAVAILABLE } else { ACCEPTED };
        (Duration::from_millis((n * 7 % 13) as u64), Some(answer))
    })
    .await;
    let config = config(
        "max_samples_per_send: 10\nremote_write_queue: {max_shards: 8}\nretry_on_failure: {initial_interval: 3ms}\ntarget_info: {enabled: false}",
    );
    let metrics = Arc::new(Metrics::new(&Telemetry::default(), "prometheusremotewrite", "test"));
    let sender = Arc::new(Sender {
        client: HttpClient::new(&config.client, &Authenticators::default()).unwrap(),
        endpoint: format!("http://{}/", store.address).parse().unwrap(),
        shown_endpoint: "test".to_owned(),
        user_agent: "oxidot/0".to_owned(),
        retry: config.retry,
        auth: None,
        store: config.store,
        metrics: Arc::clone(&metrics),
        spoken: Spoken::new(ProtocolVersion::V1),
        size: Size::default(),
        patience: super::super::send::Patience::default(),
        culprits: super::super::send::Culprits::default(),
        packing: super::super::send::Packing::default(),
        escape_names: false,
    });
    let limits = shards::QueueLimits { shards: config.queue.shards, requests: 64, bytes: 1 << 20 };
    let mut shards = Shards::start(limits, &sender, &metrics, None);
    let mut encoder =
        Encoder::new(Arc::new(config.translation), config.limits, metrics, limits::Guard::new(config.store));
    const ROUNDS: i64 = 60;
    for round in 1..=ROUNDS {
        encoder.spread_over([1, 3, 8, 2][round as usize / 4 % 4]);
        encoder.encode(points_of_one_job(40, round));
        encoder.seal_all();
        while let Some(request) = encoder.next_sealed() {
            shards.enqueue(request).await;
        }
    }
    tokio::time::timeout(PATIENCE, shards.drain()).await.unwrap();
    let mut times: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let mut failed = 0;
    for (number, (_, body)) in store.seen().into_iter().enumerate() {
        if number % 7 == 3 {
            failed += 1;
            continue;
        }
        let request = Request {
            body: body.into(),
            version: ProtocolVersion::V1,
            contents: Default::default(),
            acks: Acks::default(),
            shard: 0,
            generation: 0,
            mark: Default::default(),
        };
        for (of, samples) in received(&[request]).series {
            times.entry(labels(&of)["i"].to_owned()).or_default().extend(samples.iter().map(|(time, _)| *time));
        }
    }
    assert!(failed > 10);
    assert_eq!(times.len(), 40);
    for (series, times) in times {
        assert_eq!(times, (1..=ROUNDS).collect::<Vec<_>>(), "series {series}");
    }
}

/// Metadata is due at the moment at which the number of shards changes, and what is encoded for the former number waits yet.
#[tokio::test(start_paused = true)]
async fn metadata_does_not_stand_in_the_way_of_requests_from_before_a_change_of_shards() {
    // The clock does not leap over what takes the network a moment.
    let ticks = tokio::spawn(async {
        loop {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let store = Store::start(|_| (Duration::from_secs(10), Some(ACCEPTED))).await;
    let keys = "send_metadata: true\nmax_samples_per_send: 1\ntimeout: 30s\n\
                remote_write_queue: {min_shards: 1, num_consumers: 4, queue_size: 400}";
    let mut exporter = Running::start(&store, keys).await;
    // Metadata is that of series which live.
    let batches = [points_of_one_job(12, 1000), points_of_one_job(12, 2000)];
    let first = exporter.send_batch(batches[0].clone()).await;
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(exporter.counted("prometheusremotewrite_shards"), 1.0);
    let second = exporter.send_batch(batches[1].clone()).await;
    let both = async { (first.await.unwrap(), second.await.unwrap()) };
    let both = tokio::time::timeout(Duration::from_secs(3600), both).await;
    assert_eq!(both.unwrap(), (AckOutcome::Delivered, AckOutcome::Delivered));
    assert!(exporter.counted("prometheusremotewrite_shards") > 1.0);
    exporter.end().await;
    // Metadata went at the beginning and at the change at least.
    assert!(store.seen().len() >= 12 + 12 + 2);
    ticks.abort();
}

/// Waits by the settings: the Collector's spread where it is set, full jitter where it is not.
#[test]
fn waits_grow_up_to_their_limit_and_are_spread() {
    let mut own = config("").retry.backoff();
    assert_eq!(own.interval(), Duration::from_millis(50));
    assert_eq!(own.next_wait(|| 1.0), Duration::from_millis(50));
    assert_eq!(own.next_wait(|| 0.0), Duration::from_millis(1));
    assert_eq!(own.next_wait(|| 0.5), Duration::from_micros(56_250));
    let keys = "retry_on_failure: {randomization_factor: 0.5, max_interval: 100ms, multiplier: 3}";
    let mut spread = config(keys).retry.backoff();
    assert_eq!(spread.next_wait(|| 0.0), Duration::from_millis(25));
    assert_eq!(spread.next_wait(|| 1.0), Duration::from_millis(150));
    assert_eq!(spread.interval(), Duration::from_millis(100));
}
