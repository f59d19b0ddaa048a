//! Components to test a service with. What they do is written down in a [`Probe`], which they find by the name
//! in their configuration; through it a test also tells them what to do.

use crate::components::Components;
use async_trait::async_trait;
use parking_lot::Mutex;
use pipeline::component::{
    Build, BuildContext, ComponentError, Connector, ConnectorContext, Exporter, ExporterContext, Extension,
    ExtensionContext, Factory, Processor, ProcessorContext, Receiver, ReceiverContext, Signal, Stability,
};
use pipeline::config::{ConfigErrors, Node};
use pipeline::model::Source;
use pipeline::{Gate, MetricBatch, Origin, Point, PointGroup, SeriesTable, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use tokio::sync::{mpsc, watch};

/// What a test tells a receiver.
#[derive(Clone, Debug)]
pub(super) enum Order {
    Send(i64),
    Fail,
    Panic,
    End,
}

/// What the components of one test share with it.
pub(super) struct Probe {
    events: watch::Sender<Vec<String>>,
    ports: Mutex<BTreeSet<String>>,
    feeds: Mutex<BTreeMap<String, mpsc::UnboundedSender<Order>>>,
    pub(super) closed: AtomicBool,
    pub(super) refused: AtomicUsize,
    /// Exporters that are told to keep what they have do not end before this is set.
    pub(super) released: watch::Sender<bool>,
}

static PROBES: LazyLock<Mutex<BTreeMap<String, Arc<Probe>>>> = LazyLock::new(Mutex::default);

impl Probe {
    pub(super) fn new(name: &str) -> Arc<Self> {
        let probe = Arc::new(Self {
            events: watch::Sender::default(),
            ports: Mutex::default(),
            feeds: Mutex::default(),
            closed: AtomicBool::new(false),
            refused: AtomicUsize::new(0),
            released: watch::Sender::new(false),
        });
        PROBES.lock().insert(name.to_owned(), Arc::clone(&probe));
        probe
    }

    fn note(&self, event: String) {
        self.events.send_modify(|events| events.push(event));
    }

    pub(super) fn events(&self) -> Vec<String> {
        self.events.borrow().clone()
    }

    pub(super) fn count(&self, event: &str) -> usize {
        self.events.borrow().iter().filter(|seen| *seen == event).count()
    }

    pub(super) fn position(&self, event: &str) -> Option<usize> {
        self.events.borrow().iter().position(|seen| seen == event)
    }

    /// Waits until `event` has happened `times` times.
    pub(super) async fn until(&self, event: &str, times: usize) {
        let mut events = self.events.subscribe();
        let enough = |events: &Vec<String>| events.iter().filter(|seen| *seen == event).count() >= times;
        drop(events.wait_for(enough).await);
    }

    /// Tells the running receiver `id`.
    pub(super) fn tell(&self, id: &str, order: Order) {
        if let Some(feed) = self.feeds.lock().get(id) {
            drop(feed.send(order));
        }
    }

    /// Takes a port as a program outside of the service would.
    pub(super) fn occupy(&self, port: &str) {
        self.ports.lock().insert(port.to_owned());
    }
}

/// What every test component holds.
struct Part {
    probe: Arc<Probe>,
    id: String,
    config: Node,
    port: Option<String>,
    asked_to_start: bool,
}

impl Part {
    fn build(config: &Node, context: &BuildContext) -> Result<Self, ComponentError> {
        let name = config.get("probe").and_then(Node::as_text).unwrap_or_default();
        let probe = PROBES.lock().get(name).cloned().ok_or_else(|| ComponentError::new("no such probe"))?;
        let part =
            Self { probe, id: context.id.to_string(), config: config.clone(), port: None, asked_to_start: false };
        if part.says("mode", "unbuildable") {
            return Err(ComponentError::new("cannot be made"));
        }
        part.note("built");
        Ok(part)
    }

    fn note(&self, what: &str) {
        self.probe.note(format!("{} {what}", self.id));
    }

    fn says(&self, key: &str, value: &str) -> bool {
        self.config.get(key).and_then(Node::as_text) == Some(value)
    }

    /// Takes the configured port, as a server does.
    fn start(&mut self) -> Result<(), ComponentError> {
        if std::mem::replace(&mut self.asked_to_start, true) {
            return Err(ComponentError::new("was started twice"));
        }
        if let Some(port) = self.config.get("port").and_then(Node::as_text) {
            if !self.probe.ports.lock().insert(port.to_owned()) {
                return Err(ComponentError::new(format!("port {port} is in use")));
            }
            self.port = Some(port.to_owned());
        }
        self.note("started");
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(port) = &self.port {
            self.probe.ports.lock().remove(port);
        }
        self.note("gone");
    }
}

struct Feed(Part);

#[async_trait]
impl Receiver for Feed {
    async fn start(&mut self) -> Result<(), ComponentError> {
        self.0.start()
    }

    async fn run(self: Box<Self>, mut context: ReceiverContext) -> Result<(), ComponentError> {
        let (sender, mut orders) = mpsc::unbounded_channel();
        self.0.probe.feeds.lock().insert(self.0.id.clone(), sender);
        self.0.note("runs");
        loop {
            tokio::select! {
                Some(order) = orders.recv() => match order {
                    Order::Send(value) => match context.output.send(batch(value)).await {
                        Ok(()) => self.0.note(&format!("sent {value}")),
                        Err(error) => self.0.note(&format!("could not send {value}: {error}")),
                    },
                    Order::Fail => return Err(ComponentError::new("lost its socket")),
                    Order::Panic => std::panic::panic_any("index out of range"),
                    Order::End => return Ok(()),
                },
                Some(config) = context.updates.recv() => {
                    let word = config.get("word").and_then(Node::as_text).unwrap_or_default();
                    self.0.note(&format!("updated {word}"));
                }
                () = context.stop.requested() => return Ok(()),
            }
        }
    }
}

struct Tap(Part);

/// Closed while the probe says so.
struct TapGate(Arc<Probe>);

impl Gate for TapGate {
    fn admit(&self) -> Result<(), &'static str> {
        if self.0.closed.load(Ordering::Relaxed) { Err("the gate is closed") } else { Ok(()) }
    }

    fn refused(&self, points: usize) {
        self.0.refused.fetch_add(points, Ordering::Relaxed);
    }
}

#[async_trait]
impl Processor for Tap {
    fn gate(&self) -> Option<Arc<dyn Gate>> {
        self.0.says("mode", "gate").then(|| Arc::new(TapGate(Arc::clone(&self.0.probe))) as Arc<dyn Gate>)
    }

    async fn run(self: Box<Self>, mut context: ProcessorContext) -> Result<(), ComponentError> {
        self.0.note("runs");
        let mut held = Vec::new();
        while let Some(batch) = context.input.recv().await {
            for value in values(&batch) {
                self.0.note(&format!("passes {value}"));
            }
            if self.0.says("mode", "hold") {
                held.push(batch);
            } else if context.output.send(batch).await.is_err() {
                return Err(ComponentError::new("nobody takes what it sends"));
            }
        }
        for batch in held {
            if context.output.send(batch).await.is_err() {
                return Err(ComponentError::new("nobody takes what it held"));
            }
        }
        Ok(())
    }
}

struct Joint(Part);

#[async_trait]
impl Connector for Joint {
    async fn run(self: Box<Self>, mut context: ConnectorContext) -> Result<(), ComponentError> {
        self.0.note("runs");
        while let Some(batch) = context.input.recv().await {
            for value in values(&batch) {
                self.0.note(&format!("passes {value}"));
            }
            if let Err(error) = context.output.send(batch).await {
                self.0.note(&format!("could not pass on: {error}"));
            }
        }
        Ok(())
    }
}

struct Sink(Part);

#[async_trait]
impl Exporter for Sink {
    async fn start(&mut self) -> Result<(), ComponentError> {
        self.0.start()
    }

    async fn run(self: Box<Self>, mut context: ExporterContext) -> Result<(), ComponentError> {
        self.0.note("runs");
        let word = self.0.config.get("word").and_then(Node::as_text).unwrap_or("got").to_owned();
        while let Some(batch) = context.input.recv().await {
            for value in values(&batch) {
                self.0.note(&format!("{word} {value}"));
            }
        }
        self.0.note("drains");
        let mut released = self.0.probe.released.subscribe();
        if self.0.says("mode", "keep") {
            tokio::select! {
                _ = released.wait_for(|released| *released) => {}
                () = context.stop.deadline_passed() => self.0.note("gives up"),
            }
        }
        if self.0.says("mode", "hang") {
            drop(released.wait_for(|released| *released).await);
        }
        Ok(())
    }
}

struct Note(Part);

#[async_trait]
impl Extension for Note {
    async fn start(&mut self) -> Result<(), ComponentError> {
        self.0.start()
    }

    async fn run(self: Box<Self>, mut context: ExtensionContext) -> Result<(), ComponentError> {
        loop {
            self.0.note(&format!("sees {:?}", *context.status.borrow_and_update()));
            tokio::select! {
                changed = context.status.changed() => if changed.is_err() { return Ok(()) },
                () = context.stop.requested() => return Ok(()),
            }
        }
    }
}

fn batch(value: i64) -> MetricBatch {
    let origin = Origin::intern(Source::default(), Default::default(), Default::default(), Default::default());
    let point = Point { series: 0, flags: 0, time: 1, start: 0, value: Value::Int(value) };
    MetricBatch::new(vec![PointGroup::new(origin, SeriesTable::intern(Vec::new()), vec![point])])
}

fn values(batch: &MetricBatch) -> Vec<i64> {
    let points = batch.groups().iter().flat_map(|group| &group.points);
    points.filter_map(|point| if let Value::Int(value) = point.value { Some(value) } else { None }).collect()
}

fn anything(_: &Node) -> Result<(), ConfigErrors> {
    Ok(())
}

const fn factory(type_name: &'static str, live_update: bool, build: Build) -> Factory {
    Factory {
        type_name,
        aliases: &[],
        summary: "for tests",
        signals: &[Signal::Metrics, Signal::Traces],
        stability: Stability::Stable,
        live_update,
        validate: anything,
        build,
    }
}

/// `feed` and `live` are receivers, `tap` is a processor, `joint` a connector, `sink` an exporter, `note` an extension.
pub(super) const PARTS: Components = Components::new(&[
    factory("feed", false, Build::Receiver(|config, context| Ok(Box::new(Feed(Part::build(config, context)?))))),
    factory("live", true, Build::Receiver(|config, context| Ok(Box::new(Feed(Part::build(config, context)?))))),
    factory("tap", false, Build::Processor(|config, context| Ok(Box::new(Tap(Part::build(config, context)?))))),
    factory("joint", false, Build::Connector(|config, context| Ok(Box::new(Joint(Part::build(config, context)?))))),
    factory("sink", false, Build::Exporter(|config, context| Ok(Box::new(Sink(Part::build(config, context)?))))),
    factory("note", false, Build::Extension(|config, context| Ok(Box::new(Note(Part::build(config, context)?))))),
]);
