//! What every component of the table has to do, whatever it is for.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use super::*;
use crate::config::{ConfigArgs, FeatureGates, HttpAnswer, ServiceConfig};
use crate::config::{Loaded, Providers, UriReader, load};
use pipeline::channel::{channel, channel_of};
use pipeline::component::{
    Build, BuildContext, ConnectorContext, ExporterContext, ExtensionContext, ProcessorContext, Program,
    ReceiverContext, ServiceStatus, Shared,
};
use pipeline::config::{ComponentId, Entry, Span, Value, parse};
use pipeline::model::{Family, Part, Source};
use pipeline::stop::StopSource;
use pipeline::telemetry::Telemetry;
use pipeline::{MetricBatch, Origin, Output, Point, PointGroup, Series, SeriesTable};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

const ALL: Components = Components::new(TABLE);

struct NoNetwork;

impl UriReader for NoNetwork {
    fn get(&self, uri: &str) -> Result<HttpAnswer, String> {
        Err(format!("{uri}: a ready configuration reads nothing from the network"))
    }
}

/// The ready configurations, by file name, without any environment.
fn ready_configurations() -> Vec<(String, ServiceConfig)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("configs");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    let read = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let args = ConfigArgs { uris: vec![path.to_string_lossy().into_owned()], sets: Vec::new() };
        let providers = Providers { env: &|_| None, http: &NoNetwork };
        let Loaded { root, .. } =
            load(&args, None, &FeatureGates::default(), &providers).unwrap_or_else(|errors| panic!("{errors}"));
        let config = ServiceConfig::read(&root, &ALL, false).unwrap_or_else(|errors| panic!("{errors}"));
        (name, config)
    };
    files.iter().map(read).collect()
}

/// A block of a ready configuration for each component, listening on free ports of this host only.
fn samples() -> Vec<(&'static Factory, Node)> {
    let configurations = ready_configurations();
    let sample = |factory: &'static Factory| {
        let components = configurations.iter().flat_map(|(_, config)| config.components(factory.kind()).values());
        let mut uses = components.filter(|component| component.component_type.canonical == factory.type_name);
        let component = uses.next().unwrap_or_else(|| panic!("{factory:?} is in a file of configs/"));
        (factory, in_a_folder_of_its_own(on_free_ports(component.body.clone())))
    };
    TABLE.iter().map(sample).collect()
}

fn on_free_ports(mut body: Node) -> Node {
    if let Value::Mapping(mapping) = &mut body.value {
        for entry in &mut mapping.entries {
            if entry.key == "protocols" || ["grpc", "http"].contains(&entry.key.as_str()) {
                entry.value = on_free_ports(std::mem::replace(&mut entry.value, Node::null(Span::whole(""))));
            }
            let listens = entry.key == "endpoint" && !entry.value.as_text().unwrap_or_default().contains("://");
            if listens {
                entry.value = Node::text(entry.value.span.clone(), "127.0.0.1:0");
            }
        }
    }
    body
}

/// The same with paths in a folder of this process, and without the storage and the authenticator of extensions that are not there.
fn in_a_folder_of_its_own(mut body: Node) -> Node {
    match &mut body.value {
        Value::Mapping(mapping) => {
            mapping.entries.retain(|entry| !["storage", "auth"].contains(&entry.key.as_str()));
            for entry in &mut mapping.entries {
                entry.value = in_a_folder_of_its_own(std::mem::replace(&mut entry.value, Node::null(Span::whole(""))));
            }
        }
        Value::Sequence(items) => {
            *items = std::mem::take(items).into_iter().map(in_a_folder_of_its_own).collect();
        }
        Value::Scalar(scalar) => {
            if let Some(rest) = scalar.text.strip_prefix("/var/") {
                let folder = std::env::temp_dir().join(format!("oxidot-components-{}", std::process::id()));
                body = Node::text(body.span.clone(), folder.join(rest).to_string_lossy());
            }
        }
    }
    body
}

fn id(factory: &Factory) -> ComponentId {
    format!("{}/sample", factory.type_name).parse().unwrap()
}

fn context(factory: &Factory, telemetry: &Telemetry) -> BuildContext {
    let program = Program { name: "oxidot", version: "0.0.0" };
    let signal = (factory.kind() == ComponentKind::Processor).then_some(Signal::Metrics);
    BuildContext { id: id(factory), program, telemetry: telemetry.clone(), shared: Shared::default(), signal }
}

/// A component that runs.
struct Running {
    stop: StopSource,
    /// Dropped to close the input.
    entry: Option<pipeline::channel::Entry>,
    output: Option<pipeline::Input>,
    _status: watch::Sender<ServiceStatus>,
    _updates: mpsc::Sender<Node>,
    task: JoinHandle<Result<(), pipeline::component::ComponentError>>,
}

/// Builds and starts; `run` says whether to run as well.
async fn start(factory: &Factory, config: &Node, telemetry: &Telemetry, run: bool) -> Option<Running> {
    let context = context(factory, telemetry);
    let stop = StopSource::default();
    let (entry, input) = channel();
    let (next, output) = channel_of(1);
    let (status_sender, status) = watch::channel(ServiceStatus::Ready);
    let (updates_sender, updates) = mpsc::channel(1);
    let handle = stop.handle();
    let task = match factory.build {
        Build::Receiver(build) => {
            let mut receiver = build(config, &context).unwrap();
            receiver.start().await.unwrap();
            let output = Output::to(vec![next]);
            run.then(|| tokio::spawn(receiver.run(ReceiverContext { output, stop: handle, updates })))
        }
        Build::Processor(build) => {
            let processor = build(config, &context).unwrap();
            let output = Output::to(vec![next]);
            run.then(|| tokio::spawn(processor.run(ProcessorContext { input, output })))
        }
        Build::Exporter(build) => {
            let mut exporter = build(config, &context).unwrap();
            exporter.start().await.unwrap();
            run.then(|| tokio::spawn(exporter.run(ExporterContext { input, stop: handle })))
        }
        Build::Connector(build) => {
            let connector = build(config, &context).unwrap();
            let output = Output::to(vec![next]);
            run.then(|| tokio::spawn(connector.run(ConnectorContext { input, output })))
        }
        Build::Extension(build) => {
            let mut extension = build(config, &context).unwrap();
            extension.start().await.unwrap();
            run.then(|| tokio::spawn(extension.run(ExtensionContext { stop: handle, status })))
        }
    };
    Some(Running {
        stop,
        entry: Some(entry),
        output: Some(output),
        _status: status_sender,
        _updates: updates_sender,
        task: task?,
    })
}

/// One point of one series.
fn batch(value: i64) -> MetricBatch {
    let origin = Origin::intern(Source::Scrape, Default::default(), Default::default(), Default::default());
    let family = Arc::new(Family { name: "compliance".into(), ..Family::default() });
    let series = Series::intern(family, "compliance".into(), Part::Whole, Default::default());
    let point = Point { series: 0, flags: 0, time: value, start: 0, value: pipeline::Value::Int(value) };
    MetricBatch::new(vec![PointGroup::new(origin, SeriesTable::intern(vec![series]), vec![point])])
}

#[test]
fn names_are_unique_within_a_kind() {
    let mut seen = BTreeMap::new();
    for factory in TABLE {
        for name in std::iter::once(&factory.type_name).chain(factory.aliases) {
            assert!(seen.insert((factory.kind(), *name), ()).is_none(), "{name} is there twice");
            assert_eq!(ALL.find(factory.kind(), name).map(|found| found.type_name), Some(factory.type_name));
            assert!(name.parse::<ComponentId>().is_ok(), "{name} can be an id");
        }
        assert!(!factory.summary.is_empty() && !factory.summary.ends_with('.'), "{factory:?}");
        assert_eq!(factory.signals.is_empty(), factory.kind() == ComponentKind::Extension, "{factory:?}");
    }
}

#[test]
fn unknown_keys_and_wrong_types_are_refused_by_name() {
    let nothing_takes_this = parse("value: [[{nothing: takes}, [this]]]", "sample.yaml").unwrap();
    for (factory, sample) in samples() {
        let span = Span::whole("sample.yaml");
        let mut unknown = sample.clone();
        if !matches!(unknown.value, Value::Mapping(_)) {
            unknown = Node::empty_mapping(span.clone());
        }
        if let Value::Mapping(mapping) = &mut unknown.value {
            let value = Node::text(span.clone(), "x");
            mapping.entries.push(Entry { key: "no_such_key".to_owned(), key_span: span.clone(), value });
        }
        let errors = (factory.validate)(&unknown).expect_err("an unknown key").to_string();
        assert!(errors.contains("no_such_key"), "{factory:?}: {errors}");
        for at in 0..sample.as_mapping().map_or(0, |mapping| mapping.entries.len()) {
            let mut wrong = sample.clone();
            let Value::Mapping(mapping) = &mut wrong.value else { continue };
            let entry = mapping.entries.get_mut(at).unwrap();
            entry.value = nothing_takes_this.get("value").cloned().unwrap();
            let key = entry.key.clone();
            let errors = (factory.validate)(&wrong).expect_err("a wrong type").to_string();
            assert!(errors.contains(&key), "{factory:?}: {key}: {errors}");
        }
        assert!((factory.validate)(&sample).is_ok(), "{factory:?}");
    }
}

#[test]
fn what_the_signal_of_a_pipeline_does_not_allow_is_said_with_its_place() {
    let text = "receivers: {otlp: {protocols: {grpc: }}}\n\
                processors:\n  attributes/spans:\n    actions: [{key: a, action: delete}]\n    include:\n      match_type: strict\n      span_names: [x]\n\
                exporters: {debug: }\n\
                service:\n  pipelines:\n    traces: {receivers: [otlp], processors: [attributes/spans], exporters: [debug]}\n    \
                metrics/m: {receivers: [otlp], processors: [attributes/spans], exporters: [debug]}\n";
    let errors = ServiceConfig::read(&parse(text, "sample.yaml").unwrap(), &ALL, false).unwrap_err().to_string();
    let expected = "sample.yaml:7:7: processors::attributes/spans::include::span_names: \
                    span_names cannot be used in a pipeline of metrics, and \"metrics/m\" uses it";
    assert_eq!(errors, expected);
}

#[test]
fn no_body_is_read_as_defaults_or_refused_with_a_reason() {
    for factory in TABLE {
        let null = Node::null(Span::whole("sample.yaml"));
        let empty = Node::empty_mapping(Span::whole("sample.yaml"));
        let told = |node: &Node| (factory.validate)(node).map_err(|errors| errors.to_string());
        assert_eq!(told(&null), told(&empty), "{factory:?}");
        let built = match factory.build {
            Build::Receiver(build) => build(&null, &context(factory, &Telemetry::default())).map(drop),
            Build::Processor(build) => build(&null, &context(factory, &Telemetry::default())).map(drop),
            Build::Exporter(build) => build(&null, &context(factory, &Telemetry::default())).map(drop),
            Build::Connector(build) => build(&null, &context(factory, &Telemetry::default())).map(drop),
            Build::Extension(build) => build(&null, &context(factory, &Telemetry::default())).map(drop),
        };
        assert_eq!(built.is_ok(), told(&null).is_ok(), "{factory:?}: what is valid can be built");
    }
}

#[tokio::test]
async fn what_is_built_or_started_and_never_run_leaves_nothing_behind() {
    for (factory, sample) in samples() {
        let telemetry = Telemetry::default();
        assert!(start(factory, &sample, &telemetry, false).await.is_none());
        assert!(start(factory, &sample, &telemetry, false).await.is_none(), "{factory:?} a second time");
    }
}

#[tokio::test]
async fn ends_when_its_input_closes_or_it_is_told_to_stop_however_often() {
    for (factory, sample) in samples() {
        let mut running = start(factory, &sample, &Telemetry::default(), true).await.unwrap();
        drop(running.output.take());
        let deadline = Instant::now() + Duration::from_secs(5);
        running.stop.stop(deadline);
        running.stop.stop(deadline);
        drop(running.entry.take());
        let ended = running.task.await.unwrap();
        assert!(ended.is_ok(), "{factory:?}: {ended:?}");
    }
}

#[tokio::test]
async fn its_metrics_carry_its_id() {
    for (factory, sample) in samples().into_iter().filter(|(factory, _)| factory.kind() != ComponentKind::Extension) {
        let telemetry = Telemetry::default();
        let mut running = start(factory, &sample, &telemetry, true).await.unwrap();
        if let Some(entry) = &running.entry {
            // Receivers have no input; their end of the channel is gone.
            Output::to(vec![entry.clone()]).send(batch(1)).await.unwrap_or_default();
        }
        let output = running.output.take();
        drop(running.entry.take());
        running.stop.stop(Instant::now());
        // There is no time to deliver anything: an exporter may say that it has lost it.
        let ended = running.task.await.unwrap();
        assert!(ended.as_ref().err().is_none_or(|error| error.lost() == Some(1)), "{factory:?}: {ended:?}");
        drop(output);
        let label = format!("{}=\"{}\"", factory.kind().name(), id(factory));
        let page = telemetry.render();
        assert!(page.contains(&label), "{factory:?} has a metric with {label}:\n{page}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_processor_waits_when_nobody_takes_what_it_sends() {
    for (factory, sample) in samples().into_iter().filter(|(factory, _)| factory.kind() == ComponentKind::Processor) {
        let mut running = start(factory, &sample, &Telemetry::default(), true).await.unwrap();
        let into = Output::to(running.entry.take().into_iter().collect());
        // The clock stands still while anything can run, so this waits exactly if the processor does.
        let flood = async {
            for value in 0..1_000_000 {
                into.send(batch(value)).await.unwrap();
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(3600), flood).await.is_err(), "{factory:?} holds a million");
        drop(into);
        let mut output = running.output.take().unwrap();
        let mut last = 0;
        while let Some(batch) = output.recv().await {
            last = batch.groups().iter().flat_map(|group| &group.points).map(|point| point.time).max().unwrap_or(last);
        }
        running.task.await.unwrap().unwrap();
        assert!(last > 0, "{factory:?} passes what it held when its input closes");
    }
}

#[test]
fn the_list_of_components_is_yaml_with_all_of_them() {
    let text = ALL.describe("1.2.3");
    let list = parse(&text, "components").unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    assert_eq!(list.at("buildinfo::version").and_then(Node::as_text), Some("1.2.3"));
    let mut count = 0;
    for kind in ["receivers", "processors", "exporters", "connectors", "extensions"] {
        for item in list.get(kind).and_then(Node::as_sequence).unwrap() {
            assert!(item.get("name").and_then(Node::as_text).is_some());
            count += 1;
        }
    }
    assert_eq!(count, TABLE.len());
}
