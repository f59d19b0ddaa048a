//! Relabelling: rules on one label set, as for each new series, and the processor in steady state.

use crate::harness::Bench;
use crate::page::SAMPLES;
use pipeline::channel::{Input, Output, channel};
use pipeline::component::{Build, BuildContext, Factory, ProcessorContext, Program, Shared};
use pipeline::config::{ComponentId, parse};
use pipeline::telemetry::Telemetry;
use pipeline::{
    Attributes, Family, FamilyKind, MetricBatch, Origin, Part, Point, PointGroup, Resource, Scope, Series, SeriesTable,
    Source, Value,
};
use prometheus::labels::{Labels, LabelsBuilder};
use prometheus::names::ValidationScheme;
use prometheus::relabel::{RelabelConfig, RelabelRules};
use std::error::Error;
use std::sync::Arc;

/// A usual set: one rule drops, one rewrites, one takes a label away.
const RULES: &str = r"
rules:
  - {source_labels: [__name__], regex: 'app_requests_1\d_total', action: drop}
  - {source_labels: [handler], regex: '/api/v1/([^/]+)/.*', target_label: resource}
  - {regex: 'code', action: labeldrop}
";

pub(crate) fn run(bench: &Bench) -> Result<(), Box<dyn Error>> {
    rules(bench)?;
    let batch = Batch::new();
    for (name, factory, config) in [
        ("relabel: processor, series known", processors::relabel::FACTORY, RULES),
        ("relabel: for comparison, batch processor", processors::batch::FACTORY, "timeout: 0s"),
    ] {
        let running = Running::start(factory, config)?;
        let (input, mut output) = running.ends;
        bench.measure(name, SAMPLES, || {
            running.runtime.block_on(async {
                input.send(batch.make()).await.ok()?;
                output.recv().await.map(|batch| batch.len())
            })
        });
    }
    Ok(())
}

fn rules(bench: &Bench) -> Result<(), Box<dyn Error>> {
    let text = |text: &str| Some(text.to_owned());
    let labels = |labels: &[&str]| Some(labels.iter().map(|label| (*label).to_owned()).collect());
    let drop = RelabelConfig {
        source_labels: labels(&["__name__"]),
        regex: text(r"app_requests_1\d_total"),
        action: text("drop"),
        ..RelabelConfig::default()
    };
    let replace = RelabelConfig {
        source_labels: labels(&["handler"]),
        regex: text("/api/v1/([^/]+)/.*"),
        target_label: text("resource"),
        ..RelabelConfig::default()
    };
    let take = RelabelConfig { regex: text("code"), action: text("labeldrop"), ..RelabelConfig::default() };
    let rules = RelabelRules::compile(&[drop, replace, take], ValidationScheme::Utf8)?;
    let set: Labels = [
        ("__name__", "app_requests_7_total"),
        ("code", "200"),
        ("handler", "/api/v1/items/3"),
        ("instance", "10.0.0.1:9100"),
        ("job", "app"),
        ("method", "get"),
    ]
    .into_iter()
    .collect();
    let mut builder = LabelsBuilder::new();
    bench.measure("relabel: three rules on one label set", 1, || {
        builder.reset(&set);
        rules.apply(&mut builder)
    });
    Ok(())
}

/// What a scrape of one target gives.
struct Batch {
    origin: Arc<Origin>,
    table: Arc<SeriesTable>,
    points: Vec<Point>,
}

impl Batch {
    fn new() -> Self {
        let resource = Resource {
            attributes: Attributes::from_pairs([("service.name", "app"), ("service.instance.id", "10.0.0.1:9100")]),
            ..Resource::default()
        };
        let origin = Origin::intern(Source::Scrape, resource, Scope::default(), Attributes::default());
        let series = (0..SAMPLES).map(|at| {
            let name: Arc<str> = format!("app_requests_{}_total", at / 20).into();
            let family = Family { name: Arc::clone(&name), kind: FamilyKind::COUNTER, ..Family::default() };
            let handler = format!("/api/v1/items/{}", at % 20);
            let attributes =
                Attributes::from_pairs([("code", "200"), ("handler", handler.as_str()), ("method", "get")]);
            Series::intern(Arc::new(family), name, Part::Whole, attributes)
        });
        let table = SeriesTable::intern(series.collect());
        let point = |series| Point { series, flags: 0, time: 1, start: 0, value: Value::Float(1.0) };
        Self { origin, table, points: (0..SAMPLES as u32).map(point).collect() }
    }

    fn make(&self) -> MetricBatch {
        let points = self.points.clone();
        MetricBatch::new(vec![PointGroup::new(Arc::clone(&self.origin), Arc::clone(&self.table), points)])
    }
}

/// A processor at work, and both ends of its channels.
struct Running {
    runtime: tokio::runtime::Runtime,
    ends: (Output, Input),
}

impl Running {
    fn start(factory: Factory, config: &str) -> Result<Self, Box<dyn Error>> {
        let context = BuildContext {
            id: ComponentId::new(factory.type_name, "")?,
            program: Program { name: "bench", version: "0" },
            telemetry: Telemetry::default(),
            shared: Shared::default(),
            signal: None,
        };
        let Build::Processor(build) = factory.build else { return Err("not a processor".into()) };
        let processor = build(&parse(config, "bench.yaml")?, &context)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (entry, input) = channel();
        let (exit, outcome) = channel();
        runtime.spawn(processor.run(ProcessorContext { input, output: Output::to(vec![exit]) }));
        Ok(Self { runtime, ends: (Output::to(vec![entry]), outcome) })
    }
}
