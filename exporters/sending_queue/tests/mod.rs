//! The queue before a destination that does as the test says.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod delivering;
mod disk;
mod settings;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use pipeline::channel::{Entry, channel};
use pipeline::component::{Program, Shared};
use pipeline::config::{ComponentId, ConfigErrors, parse};
use pipeline::stop::StopSource;
use pipeline::telemetry::Telemetry;
use pipeline::{
    Ack, AckOutcome, Acks, Attributes, Batch, Client, Family, FamilyKind, MessageBatch, MetricBatch, Origin, Output,
    Part, Point, PointGroup, Resource, Scope, Series, SeriesTable, Source, Value,
};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;

/// Far longer than anything here takes: only a test that fails waits for it. Long enough for retries, whose time is not real.
const PATIENCE: Duration = Duration::from_secs(600);

/// An attempt as the destination saw it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) at: Instant,
    pub(super) signal: Signal,
    pub(super) body: Bytes,
}

/// A destination that answers by a script and accepts what goes beyond it.
pub(super) struct Destination {
    script: Mutex<VecDeque<Attempt>>,
    /// What happens beyond the script.
    rest: Mutex<Attempt>,
    pub(super) seen: Mutex<Vec<Seen>>,
    accepted: Mutex<Vec<Bytes>>,
    /// A permit for each attempt, if attempts are held back.
    pub(super) gate: Option<Semaphore>,
    under_way: Mutex<(usize, usize)>,
    /// The items of the largest request that is taken.
    pub(super) most: AtomicUsize,
}

impl Destination {
    pub(super) fn new(script: Vec<Attempt>) -> Arc<Self> {
        Arc::new(Self::parts(script, None))
    }

    /// One whose attempts wait for permits.
    pub(super) fn gated() -> Arc<Self> {
        Arc::new(Self::parts(Vec::new(), Some(Semaphore::new(0))))
    }

    fn parts(script: Vec<Attempt>, gate: Option<Semaphore>) -> Self {
        Self {
            script: Mutex::new(script.into()),
            rest: Mutex::new(Attempt::Accepted(None)),
            seen: Mutex::default(),
            accepted: Mutex::default(),
            gate,
            under_way: Mutex::default(),
            most: AtomicUsize::new(usize::MAX),
        }
    }

    pub(super) fn open(&self, permits: usize) {
        self.gate.as_ref().unwrap().add_permits(permits);
    }

    /// From now on every attempt ends like this.
    pub(super) fn always(&self, attempt: Attempt) {
        *self.rest.lock() = attempt;
    }

    pub(super) fn bodies(&self) -> Vec<Bytes> {
        self.seen.lock().iter().map(|seen| seen.body.clone()).collect()
    }

    /// The names in what was accepted, in order.
    pub(super) fn names(&self) -> Vec<String> {
        self.accepted.lock().iter().flat_map(|body| names(body)).collect()
    }

    /// The most requests that were under way at once.
    pub(super) fn most_at_once(&self) -> usize {
        self.under_way.lock().1
    }

    pub(super) async fn wait_for(&self, attempts: usize) {
        eventually(|| self.seen.lock().len() >= attempts).await;
    }
}

#[async_trait]
impl Transport for Destination {
    fn target(&self, signal: Signal) -> Option<&str> {
        (signal != Signal::Logs).then_some("test")
    }

    fn prepare(&self, _: Signal, request: Bytes) -> Result<Bytes, String> {
        if names(&request).iter().any(|name| name == "unspeakable") { Err("no".to_owned()) } else { Ok(request) }
    }

    fn restore(&self, _: Signal, prepared: Bytes) -> Option<Bytes> {
        Some(prepared)
    }

    async fn send(&self, signal: Signal, prepared: &Bytes) -> Attempt {
        if names(prepared).len() > self.most.load(Ordering::Relaxed) {
            return Attempt::TooLarge { reason: "rejected_413", why: "too large".to_owned() };
        }
        {
            let mut under_way = self.under_way.lock();
            under_way.0 += 1;
            under_way.1 = under_way.1.max(under_way.0);
        }
        self.seen.lock().push(Seen { at: Instant::now(), signal, body: prepared.clone() });
        if let Some(gate) = &self.gate {
            gate.acquire().await.unwrap().forget();
        }
        tokio::task::yield_now().await;
        self.under_way.lock().0 -= 1;
        let attempt = self.script.lock().pop_front().unwrap_or_else(|| self.rest.lock().clone());
        if matches!(attempt, Attempt::Accepted(_)) {
            self.accepted.lock().push(prepared.clone());
        }
        attempt
    }
}

pub(super) fn failed(pause: Option<u64>) -> Attempt {
    Attempt::Failed { why: "busy".to_owned(), pause: pause.map(Duration::from_secs), of_identity: false }
}

pub(super) fn rejected() -> Attempt {
    Attempt::Rejected { reason: "rejected_400", why: "bad".to_owned() }
}

pub(super) async fn eventually(mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();
}

/// A request of traces with spans of these names.
pub(super) fn spans(names: &[&str]) -> Batch {
    let spans: Vec<String> = names.iter().map(|name| format!("{{\"name\":\"{name}\"}}")).collect();
    let json = format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{}]}}]}}]}}", spans.join(","));
    let body = otlp::json::to_protobuf(Signal::Traces, json.as_bytes()).unwrap().into();
    Batch::Messages(MessageBatch { signal: Signal::Traces, body, items: names.len(), acks: Acks::default() })
}

/// Points of metrics of these names from a resource.
pub(super) fn points(resource: &str, names: &[&str]) -> Batch {
    let attributes = Attributes::from_pairs([("service.name", resource)]);
    let resource = Resource { attributes, ..Resource::default() };
    let origin = Origin::intern(Source::Otlp, resource, Scope::default(), Attributes::default());
    let series = |name: &&str| {
        let family = Family { name: (*name).into(), kind: FamilyKind::Gauge, ..Family::default() };
        Series::intern(Arc::new(family), (*name).into(), Part::Whole, Attributes::default())
    };
    let table = SeriesTable::intern(names.iter().map(series).collect::<Vec<_>>());
    let point = |at| Point { series: at, flags: 0, time: 1, start: 0, value: Value::Int(1) };
    let points = (0..names.len() as u32).map(point).collect();
    Batch::Metrics(MetricBatch::new(vec![PointGroup::new(origin, table, points)]))
}

/// The same batch as a client with these request headers has sent it.
pub(super) fn sent_by(headers: &[(&str, &str)], mut batch: Batch) -> Batch {
    let client = Arc::new(Client::new(None, headers.iter().copied()));
    let acks = batch.acks_mut();
    *acks = std::mem::take(acks).from_client(Some(client));
    batch
}

/// The names of spans, or of metrics, in a request.
pub(super) fn names(body: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    for scope in otlp::view::View::of(body).messages(1).flat_map(|resource| resource.messages(2)) {
        for item in scope.messages(2) {
            // A span's name is its field 5, where a metric has a gauge.
            let gauge = item.message(5).messages(1).count() > 0;
            names.push(item.text(if gauge { 1 } else { 5 }).into_owned());
        }
    }
    names
}

/// A queue that runs.
pub(super) struct Running {
    pub(super) entry: Option<Entry>,
    pub(super) telemetry: Telemetry,
    stop: StopSource,
    task: JoinHandle<Result<(), ComponentError>>,
}

pub(super) fn delivery(yaml: &str) -> Result<Delivery, ConfigErrors> {
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Keys {
        sending_queue: QueueKeys,
        retry_on_failure: crate::retry::RetryKeys,
    }
    let node = parse(yaml, "test.yaml").unwrap();
    let keys: Keys = pipeline::config::decode(&node, "")?;
    let mut errors = ConfigErrors::new();
    let delivery = Delivery::read(&keys.sending_queue, &keys.retry_on_failure, &node, &mut errors);
    errors.into_result(delivery)
}

pub(super) fn context(shared: &Shared) -> BuildContext {
    BuildContext {
        id: ComponentId::new("otlp", "").unwrap(),
        program: Program { name: "oxidot", version: "0" },
        telemetry: Telemetry::default(),
        shared: shared.clone(),
        signal: None,
    }
}

impl Running {
    pub(super) async fn start(yaml: &str, destination: &Arc<Destination>) -> Self {
        Self::start_with(yaml, destination, &Shared::default()).await
    }

    pub(super) async fn start_with(yaml: &str, destination: &Arc<Destination>, shared: &Shared) -> Self {
        let Delivery { queue, retry } = delivery(yaml).unwrap_or_else(|errors| panic!("{errors}"));
        let context = context(shared);
        let transport = Arc::clone(destination) as Arc<dyn Transport>;
        let queue = SendingQueue::open(queue, retry, transport, &context).await.unwrap();
        let (entry, input) = channel();
        let stop = StopSource::default();
        let task = tokio::spawn(queue.run(ExporterContext { input, stop: stop.handle() }));
        Self { entry: Some(entry), telemetry: context.telemetry, stop, task }
    }

    pub(super) async fn send(&self, batch: Batch) {
        Output::to(vec![self.entry.clone().unwrap()]).send(batch).await.unwrap();
    }

    /// Sends, and gives the end at which the batch's fate is learnt.
    pub(super) async fn send_awaited(&self, mut batch: Batch) -> oneshot::Receiver<AckOutcome> {
        let (ack, outcome) = Ack::channel();
        match &mut batch {
            Batch::Metrics(batch) => batch.acks = Acks::one(ack),
            Batch::Messages(batch) => batch.acks = Acks::one(ack),
        }
        self.send(batch).await;
        outcome
    }

    pub(super) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels: Vec<(&str, &str)> = [("exporter", "otlp")].into_iter().chain(labels.iter().copied()).collect();
        self.telemetry.value(&format!("otelcol_exporter_{name}"), &labels).unwrap_or_default()
    }

    /// Sent, failed, and refused spans.
    pub(super) fn spans(&self) -> (f64, f64, f64) {
        let of = |what: &str| self.value(&format!("{what}_spans"), &[]);
        (of("sent"), of("send_failed"), of("enqueue_failed"))
    }

    pub(super) fn size(&self, signal: &str) -> f64 {
        self.value("queue_size", &[("data_type", signal)])
    }

    /// Closes the input and waits for the end.
    pub(super) async fn finish(&mut self) {
        self.entry = None;
        tokio::time::timeout(PATIENCE, &mut self.task).await.unwrap().unwrap().unwrap();
    }

    /// Lets the deadline pass.
    pub(super) async fn cut_off(&mut self) {
        self.stop.stop(Instant::now());
        self.finish().await;
    }

    /// Ends without a word, as a process that is killed.
    pub(super) async fn kill(self) {
        self.task.abort();
        self.task.await.unwrap_err();
    }
}
