//! `service::pipelines`: what they refer to, and that connectors join them without a circle.

use std::collections::BTreeMap;

use pipeline::component::{ComponentKind, Signal};
use pipeline::config::{ComponentId, ConfigError, ConfigErrors, Entry, Node, Span};

use super::service::{ComponentTypes, Pipeline, PipelineId, ServiceConfig, entries, is_written, read_ids};

/// Signals that a pipeline may carry.
const SIGNALS: &[Signal] = &[Signal::Metrics, Signal::Traces, Signal::Logs];

/// Reads and checks all pipelines. Those with errors are left out.
pub(super) fn read_pipelines(
    root: &Node,
    config: &ServiceConfig,
    types: &dyn ComponentTypes,
    allow_none: bool,
    errors: &mut ConfigErrors,
) -> Vec<Pipeline> {
    let written = root.at("service::pipelines");
    if let Some(node) = written.filter(|node| !node.is_null() && node.as_mapping().is_none()) {
        errors.push(node.error_at("service::pipelines", "", "expected a mapping of pipeline ids to pipelines"));
        return Vec::new();
    }
    let list = written.map_or(&[][..], entries);
    // An empty file has an error of its own.
    if list.is_empty() && !allow_none && !entries(root).is_empty() {
        let message = "service must have at least one pipeline";
        let mut error = root.error_at("", "service::pipelines", message);
        "service::pipelines".clone_into(&mut error.path);
        errors.push(error);
    }
    let reader = PipelineReader { root, config, types };
    list.iter().filter_map(|entry| reader.read(entry, errors)).collect()
}

struct PipelineReader<'a> {
    root: &'a Node,
    config: &'a ServiceConfig,
    types: &'a dyn ComponentTypes,
}

impl PipelineReader<'_> {
    fn read(&self, entry: &Entry, errors: &mut ConfigErrors) -> Option<Pipeline> {
        let before = errors.len();
        let path = format!("service::pipelines::{}", entry.key.trim());
        let id = read_pipeline_id(entry, errors)?;
        if !entry.value.is_null() && entry.value.as_mapping().is_none() {
            let message = "expected a mapping of receivers, processors and exporters";
            errors.push(ConfigError::new(entry.key_span.clone(), path, message));
            return None;
        }
        let known = ["receivers", "processors", "exporters"];
        for part in entries(&entry.value) {
            if !known.contains(&part.key.as_str()) {
                let message = format!("has invalid keys: {}", part.key);
                errors.push(ConfigError::new(part.key_span.clone(), &path, message).suggesting(&part.key, known));
            }
        }
        let mut ids = |section, kind| self.read_references(entry, section, kind, id.signal, &path, errors);
        let receivers = ids("receivers", ComponentKind::Receiver);
        let processors = ids("processors", ComponentKind::Processor);
        let exporters = ids("exporters", ComponentKind::Exporter);
        let pipeline = Pipeline { id, span: entry.key_span.clone(), receivers, processors, exporters };
        (errors.len() == before).then_some(pipeline)
    }

    fn read_references(
        &self,
        entry: &Entry,
        section: &str,
        kind: ComponentKind,
        signal: Signal,
        path: &str,
        errors: &mut ConfigErrors,
    ) -> Vec<ComponentId> {
        let none = Node::null(entry.key_span.clone());
        let list = entry.value.get(section).unwrap_or(&none);
        let before = errors.len();
        let references = read_ids(list, &format!("{path}::{section}"), errors);
        if references.is_empty() && errors.len() == before && kind != ComponentKind::Processor {
            let message = format!("must have at least one {}", kind.name());
            errors.push(entry.value_error(path, section, message));
        }
        let mut ids = Vec::new();
        for (id, span) in references {
            let repeated = ids.contains(&id);
            if repeated && kind == ComponentKind::Processor {
                let message = format!("references processor {:?} multiple times", id.to_string());
                errors.push(ConfigError::new(span, path, message));
            } else if !repeated {
                match self.check_reference(&id, span, section, kind, signal, path) {
                    Ok(()) => self.check_settings(&id, section, kind, signal, path, errors),
                    Err(error) => errors.push(error),
                }
                ids.push(id);
            }
        }
        ids
    }

    fn check_reference(
        &self,
        id: &ComponentId,
        span: Span,
        section: &str,
        kind: ComponentKind,
        signal: Signal,
        path: &str,
    ) -> Result<(), ConfigError> {
        let is_connector = kind != ComponentKind::Processor && is_written(self.root, "connectors", id);
        if !is_connector && !is_written(self.root, section, id) {
            let message = format!("references {} {:?} which is not configured", kind.name(), id.to_string());
            let known = self.known_ids(kind);
            let error = ConfigError::new(span, path, message);
            return Err(error.suggesting(&id.to_string(), known.iter().map(String::as_str)));
        }
        // What is written but of an unknown type has an error already. An id that is written twice has one too.
        let of_kind = if is_connector { ComponentKind::Connector } else { kind };
        match self.config.components(of_kind).get(id) {
            Some(component) if !component.component_type.signals.contains(&signal) => {
                let message = format!(
                    "failed to create {:?} {} for data type {:?}: telemetry type is not supported",
                    id.to_string(),
                    of_kind.name(),
                    signal.name()
                );
                Err(ConfigError::new(span, path, message))
            }
            _ => Ok(()),
        }
    }

    /// Checks what in a component's own block depends on the pipeline's signal.
    fn check_settings(
        &self,
        id: &ComponentId,
        section: &str,
        kind: ComponentKind,
        signal: Signal,
        path: &str,
        errors: &mut ConfigErrors,
    ) {
        let Some(component) = self.config.components(kind).get(id) else { return };
        let canonical = component.component_type.canonical;
        if let Err(problems) = self.types.validate_in(kind, canonical, &component.body, signal) {
            let used = path.rsplit("::").next().unwrap_or(path);
            for mut problem in problems.under(&format!("{section}::{id}")).iter().cloned() {
                problem.message.push_str(&format!(", and {used:?} uses it"));
                errors.push(problem);
            }
        }
    }

    /// Ids that may stand in a list, for suggestions: only those whose type exists.
    fn known_ids(&self, kind: ComponentKind) -> Vec<String> {
        let mut ids: Vec<String> = self.config.components(kind).keys().map(ComponentId::to_string).collect();
        if kind != ComponentKind::Processor {
            ids.extend(self.config.connectors.keys().map(ComponentId::to_string));
        }
        ids
    }
}

/// Errors about a part of a pipeline are placed at the part if it was written.
trait ValueError {
    fn value_error(&self, path: &str, section: &str, message: String) -> ConfigError;
}

impl ValueError for Entry {
    fn value_error(&self, path: &str, section: &str, message: String) -> ConfigError {
        let written = self.value.as_mapping().and_then(|mapping| mapping.entry(section));
        ConfigError::new(written.map_or(&self.key_span, |entry| &entry.key_span).clone(), path, message)
    }
}

fn read_pipeline_id(entry: &Entry, errors: &mut ConfigErrors) -> Option<PipelineId> {
    let error = |message: String| ConfigError::new(entry.key_span.clone(), "service::pipelines", message);
    let id: ComponentId = match entry.key.parse() {
        Ok(id) => id,
        Err(problem) => {
            errors.push(error(problem.to_string()));
            return None;
        }
    };
    let signal = SIGNALS.iter().find(|signal| signal.name() == id.type_name());
    if signal.is_none() {
        let message = format!(
            "pipeline {:?}: unknown signal {:?} (valid values: metrics, traces, logs)",
            id.to_string(),
            id.type_name()
        );
        errors.push(error(message).suggesting(id.type_name(), SIGNALS.iter().map(|signal| signal.name())));
    }
    Some(PipelineId { signal: *signal?, name: id.name().to_owned() })
}

/// Checks that every connector that is used joins pipelines, and that following them never leads back.
pub(super) fn check_connectors(config: &ServiceConfig, errors: &mut ConfigErrors) {
    for id in config.connectors.keys() {
        for (kind, other) in
            [(ComponentKind::Exporter, ComponentKind::Receiver), (ComponentKind::Receiver, ComponentKind::Exporter)]
        {
            let Some(component) = config.connectors.get(id) else { continue };
            if config.components(kind).contains_key(id) {
                let message = format!(
                    "ambiguous ID: Found both {0:?} {1} and {0:?} connector. Change one of the components' IDs to \
                     eliminate ambiguity (e.g. rename {0:?} connector to \"{0}/connector\")",
                    id.to_string(),
                    kind.name()
                );
                errors.push(ConfigError::new(component.span.clone(), format!("connectors::{id}"), message));
            }
            for signal in SIGNALS {
                let of_signal = || config.pipelines.iter().filter(|pipeline| pipeline.id.signal == *signal);
                let used: Vec<String> = of_signal().filter(|p| p.uses(id, kind)).map(|p| p.id.to_string()).collect();
                // What goes into a connector comes out of it as the same signal.
                if used.is_empty() || of_signal().any(|pipeline| pipeline.uses(id, other)) {
                    continue;
                }
                let message = format!(
                    "connector {:?} used as {} in [{}] pipeline but not used in any supported {} pipeline",
                    id.to_string(),
                    kind.name(),
                    used.join(" "),
                    other.name()
                );
                errors.push(ConfigError::new(component.span.clone(), format!("connectors::{id}"), message));
            }
        }
    }
    if let Some((first, cycle)) = find_cycle(config) {
        let message = format!("cycle detected: {}", cycle.join(" -> "));
        errors.push(ConfigError::new(first.span.clone(), format!("service::pipelines::{}", first.id), message));
    }
}

impl Pipeline {
    /// Whether a connector stands among the receivers or the exporters.
    fn uses(&self, id: &ComponentId, kind: ComponentKind) -> bool {
        match kind {
            ComponentKind::Receiver => self.receivers.contains(id),
            _ => self.exporters.contains(id),
        }
    }
}

/// A way through connectors from a pipeline back to itself, in the Collector's words: it begins and ends with a
/// connector.
fn find_cycle(config: &ServiceConfig) -> Option<(&Pipeline, Vec<String>)> {
    let mut next: BTreeMap<&PipelineId, Vec<(&ComponentId, &Pipeline)>> = BTreeMap::new();
    for pipeline in &config.pipelines {
        for connector in pipeline.exporters.iter().filter(|id| config.connectors.contains_key(id)) {
            let takes =
                |other: &&Pipeline| other.receivers.contains(connector) && other.id.signal == pipeline.id.signal;
            let behind = config.pipelines.iter().filter(takes);
            next.entry(&pipeline.id).or_default().extend(behind.map(|other| (connector, other)));
        }
    }
    for start in &config.pipelines {
        // Breadth first, remembering how each pipeline was reached.
        let mut reached: BTreeMap<&PipelineId, (&ComponentId, &Pipeline, &Pipeline)> = BTreeMap::new();
        let mut queue = std::collections::VecDeque::from([start]);
        while let Some(pipeline) = queue.pop_front() {
            for (connector, other) in next.get(&pipeline.id).into_iter().flatten() {
                if !reached.contains_key(&other.id) {
                    reached.insert(&other.id, (connector, pipeline, other));
                    queue.push_back(other);
                }
            }
        }
        let mut steps = Vec::new();
        let mut at = &start.id;
        while let Some((connector, from, to)) = reached.get(at) {
            steps.push((*connector, *to));
            at = &from.id;
            if *at == start.id {
                steps.reverse();
                return Some((start, cycle_names(&steps)));
            }
        }
    }
    None
}

/// The connectors and processors that are passed; the first once more at the end.
fn cycle_names(steps: &[(&ComponentId, &Pipeline)]) -> Vec<String> {
    let mut names = Vec::new();
    for (connector, pipeline) in steps {
        let (id, signal) = (connector.to_string(), pipeline.id.signal.name());
        names.push(format!("connector {id:?} ({signal} to {signal})"));
        let place = pipeline.id.to_string();
        names.extend(
            pipeline.processors.iter().map(|id| format!("processor {:?} in pipeline {place:?}", id.to_string())),
        );
    }
    names.extend(names.first().cloned());
    names
}
