//! What is to run, as plain data: which components, with which configuration, and who sends to whom.
//!
//! Components that no pipeline uses are not here; they are validated and nothing more.

use crate::components::Components;
pub use crate::config::PipelineId;
use crate::config::ServiceConfig;
use pipeline::component::{ComponentKind, Factory, Signal};
use pipeline::config::{ComponentId, Node, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// One instance of a component. The order of this type is the order of starting; stopping goes the other way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Slot {
    /// The endpoint that serves the program's own metrics.
    OwnMetrics,
    /// An extension.
    Extension(ComponentId),
    /// An exporter: one for all pipelines that use its id.
    Exporter(ComponentId),
    /// A connector: one for all pipelines that use its id, at either end.
    Connector(ComponentId),
    /// A processor: one in each pipeline that uses its id.
    Processor(PipelineId, ComponentId),
    /// A receiver: one for all pipelines that use its id.
    Receiver(ComponentId),
}

impl Slot {
    /// The kind of component.
    pub fn kind(&self) -> ComponentKind {
        match self {
            Self::OwnMetrics | Self::Extension(_) => ComponentKind::Extension,
            Self::Exporter(_) => ComponentKind::Exporter,
            Self::Connector(_) => ComponentKind::Connector,
            Self::Processor(..) => ComponentKind::Processor,
            Self::Receiver(_) => ComponentKind::Receiver,
        }
    }

    /// The component's id as the file has it.
    pub fn id(&self) -> Option<&ComponentId> {
        match self {
            Self::OwnMetrics => None,
            Self::Extension(id)
            | Self::Exporter(id)
            | Self::Connector(id)
            | Self::Processor(_, id)
            | Self::Receiver(id) => Some(id),
        }
    }

    /// Whether it ends when told to, and not when its input closes.
    pub fn is_told_to_stop(&self) -> bool {
        !self.has_input()
    }

    /// Whether batches are sent to it.
    pub fn has_input(&self) -> bool {
        matches!(self, Self::Exporter(_) | Self::Connector(_) | Self::Processor(..))
    }

    /// Whether it serves the others and so outlives the pipelines.
    pub fn is_extension(&self) -> bool {
        matches!(self, Self::OwnMetrics | Self::Extension(_))
    }
}

impl fmt::Display for Slot {
    /// As in messages: `"batch" processor in pipeline "metrics"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnMetrics => f.write_str("service::telemetry::metrics"),
            Self::Extension(id) => write!(f, "\"{id}\" extension"),
            Self::Exporter(id) => write!(f, "\"{id}\" exporter"),
            Self::Connector(id) => write!(f, "\"{id}\" connector"),
            Self::Processor(pipeline, id) => write!(f, "\"{id}\" processor in pipeline \"{pipeline}\""),
            Self::Receiver(id) => write!(f, "\"{id}\" receiver"),
        }
    }
}

/// A component to run: what builds it, and its configuration.
#[derive(Clone, Debug)]
pub struct Vertex {
    /// Builds it.
    pub factory: Factory,
    /// Its block of the file.
    pub config: Node,
}

impl PartialEq for Vertex {
    /// Whether a running instance of one may stay for the other. Where a block was written does not count.
    fn eq(&self, other: &Self) -> bool {
        self.factory.type_name == other.factory.type_name
            && self.factory.kind() == other.factory.kind()
            && self.config == other.config
    }
}

/// Who takes part in a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// Where it begins.
    pub receivers: Vec<ComponentId>,
    /// What it passes, in this order.
    pub processors: Vec<ComponentId>,
    /// Where it ends.
    pub exporters: Vec<ComponentId>,
}

/// A way that batches take from one component to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The pipeline that it belongs to, and whose signal takes it.
    pub pipeline: PipelineId,
    /// Where it leads.
    pub to: Slot,
}

/// All that is to run.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// The components.
    pub vertices: BTreeMap<Slot, Vertex>,
    /// The pipelines that join them.
    pub pipelines: BTreeMap<PipelineId, Pipeline>,
}

impl Graph {
    /// The graph of a checked configuration, whose types `table` knows: what is enabled and used.
    pub fn of(config: &ServiceConfig, table: Components) -> Self {
        let mut graph = Self::default();
        let mut add = |slot: Slot, id: &ComponentId| {
            let Some(component) = config.components(slot.kind()).get(id) else { return };
            if let Some(factory) = table.find(slot.kind(), component.component_type.canonical) {
                graph.vertices.insert(slot, Vertex { factory: *factory, config: component.body.clone() });
            }
        };
        for id in &config.enabled_extensions {
            add(Slot::Extension(id.clone()), id);
        }
        let is_connector = |id: &ComponentId| config.connectors.contains_key(id);
        for pipeline in &config.pipelines {
            for id in &pipeline.receivers {
                add(if is_connector(id) { Slot::Connector(id.clone()) } else { Slot::Receiver(id.clone()) }, id);
            }
            for id in &pipeline.processors {
                add(Slot::Processor(pipeline.id.clone(), id.clone()), id);
            }
            for id in &pipeline.exporters {
                add(if is_connector(id) { Slot::Connector(id.clone()) } else { Slot::Exporter(id.clone()) }, id);
            }
        }
        for pipeline in &config.pipelines {
            let members = Pipeline {
                receivers: pipeline.receivers.clone(),
                processors: pipeline.processors.clone(),
                exporters: pipeline.exporters.clone(),
            };
            graph.pipelines.insert(pipeline.id.clone(), members);
        }
        graph
    }

    /// Where batches go that enter pipeline `id` behind processor number `passed`.
    fn next(&self, id: &PipelineId, pipeline: &Pipeline, passed: usize) -> Vec<Edge> {
        let edge = |to: Slot| Edge { pipeline: id.clone(), to };
        match pipeline.processors.get(passed) {
            Some(processor) => vec![edge(Slot::Processor(id.clone(), processor.clone()))],
            None => pipeline.exporters.iter().map(|exporter| edge(self.end(exporter))).collect(),
        }
    }

    /// What an id among the exporters of a pipeline stands for.
    fn end(&self, id: &ComponentId) -> Slot {
        let connector = Slot::Connector(id.clone());
        if self.vertices.contains_key(&connector) { connector } else { Slot::Exporter(id.clone()) }
    }

    /// What a component sends to, in the order of the pipelines.
    pub fn downstream(&self, slot: &Slot) -> Vec<Edge> {
        match slot {
            Slot::Receiver(id) | Slot::Connector(id) => {
                self.fed_by(id).flat_map(|(pipeline_id, pipeline)| self.next(pipeline_id, pipeline, 0)).collect()
            }
            Slot::Processor(pipeline_id, id) => {
                let Some(pipeline) = self.pipelines.get(pipeline_id) else { return Vec::new() };
                let Some(place) = pipeline.processors.iter().position(|processor| processor == id) else {
                    return Vec::new();
                };
                self.next(pipeline_id, pipeline, place + 1)
            }
            Slot::OwnMetrics | Slot::Extension(_) | Slot::Exporter(_) => Vec::new(),
        }
    }

    /// The pipelines that a receiver or connector feeds.
    fn fed_by<'a>(&'a self, id: &'a ComponentId) -> impl Iterator<Item = (&'a PipelineId, &'a Pipeline)> {
        self.pipelines.iter().filter(move |(_, pipeline)| pipeline.receivers.contains(id))
    }

    /// The processors of a pipeline, in order.
    pub fn processors<'a>(&'a self, id: &'a PipelineId) -> impl Iterator<Item = Slot> + 'a {
        let processors = self.pipelines.get(id).map_or(&[][..], |pipeline| &pipeline.processors);
        processors.iter().map(|processor| Slot::Processor(id.clone(), processor.clone()))
    }

    /// The processors of a pipeline and of those behind it, which connectors join to it.
    pub fn processors_behind(&self, id: &PipelineId) -> BTreeSet<Slot> {
        let mut reached = BTreeSet::from([id]);
        let mut waiting = vec![id];
        while let Some(from) = waiting.pop() {
            let exporters = self.pipelines.get(from).map_or(&[][..], |pipeline| &pipeline.exporters);
            for (next, _) in exporters.iter().flat_map(|exporter| self.fed_by(exporter)) {
                if next.signal == id.signal && reached.insert(next) {
                    waiting.push(next);
                }
            }
        }
        reached.into_iter().flat_map(|id| self.processors(id)).collect()
    }

    /// The processors of all pipelines that what a receiver takes in may pass.
    pub fn processors_after(&self, receiver: &ComponentId) -> BTreeSet<Slot> {
        self.fed_by(receiver).flat_map(|(id, _)| self.processors_behind(id)).collect()
    }

    /// The signal that a component handles, for messages: that of the first pipeline that uses it.
    pub fn signal(&self, slot: &Slot) -> Option<Signal> {
        let mut pipelines = self.pipelines.iter();
        let found = match slot {
            Slot::Receiver(id) => pipelines.find(|(_, pipeline)| pipeline.receivers.contains(id)),
            Slot::Exporter(id) | Slot::Connector(id) => pipelines.find(|(_, pipeline)| pipeline.exporters.contains(id)),
            Slot::Processor(pipeline_id, _) => pipelines.find(|(id, _)| *id == pipeline_id),
            Slot::OwnMetrics | Slot::Extension(_) => None,
        };
        found.map(|(id, _)| id.signal)
    }
}

/// Whether the text of `id` occurs as a value anywhere in `config`: the component may then hold what extension
/// `id` provides (`auth: {authenticator: sigv4auth}`, `storage: file_storage`). One that only looks like it costs
/// no more than a restart of that component when the extension changes.
pub fn mentions(config: &Node, id: &ComponentId) -> bool {
    match &config.value {
        Value::Scalar(scalar) => scalar.text == id.to_string(),
        Value::Sequence(items) => items.iter().any(|item| mentions(item, id)),
        Value::Mapping(mapping) => mapping.entries.iter().any(|entry| mentions(&entry.value, id)),
    }
}
