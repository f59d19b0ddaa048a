//! What the tests of all processors need: a context, telemetry, and a pipeline of one processor.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use pipeline::channel::{Input, Output, channel_of};
use pipeline::component::{Build, BuildContext, Factory, Processor, ProcessorContext, Program, Shared, Signal};
use pipeline::config::{Node, parse};
use pipeline::telemetry::Telemetry;
use pipeline::{
    Acks, Attributes, Batch, Exemplar, Family, MessageBatch, MetricBatch, Origin, Part, Point, PointGroup, Resource,
    Scope, Series, SeriesTable, Source, Value,
};
use std::sync::Arc;

/// A context for a component called `id`.
pub(crate) fn context(id: &str) -> BuildContext {
    BuildContext {
        id: id.parse().unwrap(),
        program: Program { name: "oxidot", version: "0" },
        telemetry: Telemetry::default(),
        shared: Shared::default(),
        signal: Some(Signal::Metrics),
    }
}

/// A configuration block.
pub(crate) fn node(yaml: &str) -> Node {
    parse(yaml, "test.yaml").unwrap()
}

/// The problems of a configuration block, without their places.
pub(crate) fn problems(factory: &Factory, yaml: &str) -> Vec<String> {
    match (factory.validate)(&node(yaml)) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.iter().map(|error| error.message.clone()).collect(),
    }
}

/// The processor of a configuration block.
pub(crate) fn build(factory: &Factory, yaml: &str, context: &BuildContext) -> Box<dyn Processor> {
    let Build::Processor(build) = factory.build else { panic!("a processor") };
    build(&node(yaml), context).unwrap()
}

/// A processor that runs, with both its ends.
pub(crate) struct Running {
    pub(crate) input: Option<Output>,
    pub(crate) output: Input,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    /// Starts it between channels that hold `capacity` batches.
    pub(crate) fn start(processor: Box<dyn Processor>, capacity: usize) -> Self {
        let gates = processor.gate().into_iter().collect();
        let (entry, input) = channel_of(capacity);
        let (out, output) = channel_of(capacity);
        let context = ProcessorContext { input, output: Output::to(vec![out]) };
        let task = tokio::spawn(async move { processor.run(context).await.unwrap() });
        Self { input: Some(Output::to(vec![entry.with_gates(gates)])), output, task }
    }

    /// Sends one batch.
    pub(crate) async fn send(&self, batch: impl Into<Batch>) {
        self.input.as_ref().expect("not closed").send(batch).await.unwrap();
    }

    /// Closes the input and takes everything that still comes out.
    pub(crate) async fn finish(self) -> Vec<MetricBatch> {
        let metrics = |batch| match batch {
            Batch::Metrics(batch) => batch,
            Batch::Messages(_) => panic!("metrics"),
        };
        self.finish_any().await.into_iter().map(metrics).collect()
    }

    /// The same with any signal.
    pub(crate) async fn finish_any(mut self) -> Vec<Batch> {
        self.input = None;
        let mut out = Vec::new();
        while let Some(batch) = self.output.recv_any().await {
            out.push(batch);
        }
        self.task.await.unwrap();
        out
    }
}

/// An origin with `job` and `instance`, and labels that all its points have.
pub(crate) fn origin(job: &str, instance: &str, labels: &[(&str, &str)]) -> Arc<Origin> {
    let attributes = Attributes::from_pairs([("service.name", job), ("service.instance.id", instance)]);
    let resource = Resource { attributes, ..Resource::default() };
    Origin::intern(Source::Scrape, resource, Scope::default(), Attributes::from_pairs(labels.iter().copied()))
}

/// A series that is a family of its own.
pub(crate) fn series(name: &str, attributes: &[(&str, &str)]) -> Arc<Series> {
    let family = Arc::new(Family { name: name.into(), ..Family::default() });
    Series::intern(family, name.into(), Part::Whole, Attributes::from_pairs(attributes.iter().copied()))
}

/// A table of series `{prefix}_0` and so on.
pub(crate) fn table(prefix: &str, series_count: u32) -> Arc<SeriesTable> {
    SeriesTable::intern((0..series_count).map(|i| series(&format!("{prefix}_{i}"), &[])).collect())
}

/// A point of series `index`.
pub(crate) fn point(index: u32, time: i64) -> Point {
    Point { series: index, flags: 0, time, start: 0, value: Value::Float(time as f64) }
}

/// An exemplar of the point at `point`; `time` makes it recognisable.
pub(crate) fn exemplar(point: u32, time: i64) -> Exemplar {
    Exemplar {
        point,
        time,
        value: pipeline::value::ExemplarValue::Int(time),
        trace_id: Box::default(),
        span_id: Box::default(),
        attributes: Attributes::default(),
    }
}

/// A group of points.
pub(crate) fn group(origin: &Arc<Origin>, table: &Arc<SeriesTable>, points: Vec<Point>) -> PointGroup {
    PointGroup::new(Arc::clone(origin), Arc::clone(table), points)
}

/// A request from its JSON.
pub(crate) fn request(signal: Signal, json: &serde_json::Value) -> Vec<u8> {
    otlp::json::to_protobuf(signal, json.to_string().as_bytes()).unwrap()
}

/// A request as JSON.
pub(crate) fn json(signal: Signal, request: &[u8]) -> serde_json::Value {
    serde_json::from_str(&otlp::json::from_protobuf(signal, request).unwrap()).unwrap()
}

/// The metrics of a request from its JSON.
pub(crate) fn metrics(json: &serde_json::Value) -> MetricBatch {
    let taken = otlp::decode::MetricsReader::default().read(&request(Signal::Metrics, json), 0).unwrap();
    assert_eq!(taken.rejected, otlp::decode::Rejected::default());
    MetricBatch::new(taken.groups)
}

/// Traces or logs of a request from its JSON.
pub(crate) fn messages(signal: Signal, json: &serde_json::Value) -> MessageBatch {
    let body = request(signal, json);
    let items = otlp::request::check(signal, &body).unwrap();
    MessageBatch { signal, body: body.into(), items, acks: Acks::default() }
}

/// What a processor makes of some batches.
pub(crate) async fn process(
    factory: &Factory,
    yaml: &str,
    signal: Signal,
    batches: impl IntoIterator<Item = impl Into<Batch>>,
) -> (Vec<Batch>, Telemetry) {
    let context = BuildContext { signal: Some(signal), ..context(factory.type_name) };
    let running = Running::start(build(factory, yaml, &context), 64);
    for batch in batches {
        running.send(batch).await;
    }
    (running.finish_any().await, context.telemetry)
}

/// The folder of shared test material: `OXIDOT_SHARED`, or `shared` beside the workspace. A file of it, or `None` after
/// printing that the test was skipped.
pub(crate) fn shared(path: &str) -> Option<serde_json::Value> {
    use std::io::Write as _;
    let shared = std::env::var_os("OXIDOT_SHARED").map_or_else(
        || std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        std::path::PathBuf::from,
    );
    let full = shared.join(path);
    match std::fs::read(&full) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).unwrap()),
        Err(error) => {
            // Unlike eprintln, this is seen without asking for output.
            writeln!(std::io::stderr(), "skipped: {}: {error}", full.display()).unwrap();
            None
        }
    }
}
