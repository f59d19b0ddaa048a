//! The service as configured: which components there are and which pipelines join them.

use std::collections::BTreeMap;
use std::fmt;

use pipeline::component::{ComponentKind, Signal};
use pipeline::config::{ComponentId, ConfigError, ConfigErrors, Entry, Node, Span};

use super::Warning;
use super::authenticators::check_authenticators;
use super::pipelines::{check_connectors, read_pipelines};
use super::telemetry::TelemetryConfig;

/// What the registry knows about a type name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ComponentType {
    /// The name that the Collector uses today, whichever spelling was asked for.
    pub canonical: &'static str,
    /// Signals it handles. Not looked at for extensions.
    pub signals: &'static [Signal],
}

/// The components that this binary has; the table of factories stands behind it.
pub trait ComponentTypes {
    /// Looks up a type by its name or one of its old spellings.
    fn resolve(&self, kind: ComponentKind, type_name: &str) -> Option<ComponentType>;

    /// All names of a kind, for messages.
    fn names(&self, kind: ComponentKind) -> Vec<&'static str>;

    /// Checks a component's own block. Paths in errors are relative to it.
    ///
    /// # Errors
    /// Everything that is wrong in the block.
    fn validate(&self, kind: ComponentKind, canonical: &str, body: &Node) -> Result<(), ConfigErrors>;

    /// Checks what in a component's block depends on the signal of the pipeline that it is used in. Paths in errors are relative to the block.
    ///
    /// # Errors
    /// What the signal does not allow.
    fn validate_in(
        &self,
        kind: ComponentKind,
        canonical: &str,
        body: &Node,
        signal: Signal,
    ) -> Result<(), ConfigErrors> {
        let _ = (kind, canonical, body, signal);
        Ok(())
    }
}

/// A configured component.
#[derive(Debug, Clone)]
pub struct Component {
    /// Its id as written.
    pub id: ComponentId,
    /// Its type.
    pub component_type: ComponentType,
    /// Its own settings; null if nothing was written.
    pub body: Node,
    /// Where its id was written.
    pub span: Span,
}

/// The components of one kind, by id.
pub type Components = BTreeMap<ComponentId, Component>;

/// `metrics`, or `metrics/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PipelineId {
    /// What the pipeline carries.
    pub signal: Signal,
    /// The part after the slash; empty if there is none.
    pub name: String,
}

impl fmt::Display for PipelineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.signal.name())?;
        if self.name.is_empty() { Ok(()) } else { write!(f, "/{}", self.name) }
    }
}

/// A pipeline. Every id names a configured component or, among receivers and exporters, a connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pipeline {
    /// Its id.
    pub id: PipelineId,
    /// Where its id was written.
    pub span: Span,
    /// Where data comes from; at least one.
    pub receivers: Vec<ComponentId>,
    /// What it passes through, in this order; may be empty.
    pub processors: Vec<ComponentId>,
    /// Where it goes; at least one.
    pub exporters: Vec<ComponentId>,
}

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct ServiceConfig {
    /// Where telemetry comes in.
    pub receivers: Components,
    /// What changes it.
    pub processors: Components,
    /// Where it goes.
    pub exporters: Components,
    /// What joins pipelines.
    pub connectors: Components,
    /// What serves the others. Only those in `enabled_extensions` run.
    pub extensions: Components,
    /// `service::extensions`, in order.
    pub enabled_extensions: Vec<ComponentId>,
    /// `service::pipelines`, in the order written.
    pub pipelines: Vec<Pipeline>,
    /// `service::telemetry`.
    pub telemetry: TelemetryConfig,
    /// What the user should know; to be logged.
    pub warnings: Vec<Warning>,
}

/// The sections of a file.
const SECTIONS: &[&str] = &["receivers", "processors", "exporters", "connectors", "extensions", "service"];

impl ServiceConfig {
    /// Takes a loaded configuration apart and checks it, blocks of unused components included.
    /// `allow_no_pipelines` is the gate `service.AllowNoPipelines`.
    ///
    /// # Errors
    /// Everything that is wrong, sorted by place.
    pub fn read(root: &Node, types: &dyn ComponentTypes, allow_no_pipelines: bool) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        let mut warnings = Vec::new();
        for entry in entries(root) {
            if !SECTIONS.contains(&entry.key.as_str()) {
                let message = format!("has invalid keys: {}", entry.key);
                let error = ConfigError::new(entry.key_span.clone(), "", message);
                errors.push(error.suggesting(&entry.key, SECTIONS.iter().copied()));
            }
        }
        let mut section = |key: &str, kind| read_components(root, key, kind, types, &mut errors);
        let receivers = section("receivers", ComponentKind::Receiver);
        let processors = section("processors", ComponentKind::Processor);
        let exporters = section("exporters", ComponentKind::Exporter);
        let connectors = section("connectors", ComponentKind::Connector);
        let extensions = section("extensions", ComponentKind::Extension);
        let service = root.get("service");
        if let Some(service) = service {
            check_service_keys(service, &mut errors);
        }
        let telemetry = TelemetryConfig::read(service.and_then(|service| service.get("telemetry")), &mut warnings);
        let mut config = Self {
            receivers,
            processors,
            exporters,
            connectors,
            extensions,
            enabled_extensions: Vec::new(),
            pipelines: Vec::new(),
            telemetry: errors.collect(telemetry).unwrap_or_default(),
            warnings,
        };
        config.check_presence(root, &mut errors);
        config.enabled_extensions = config.read_extensions(root, &mut errors);
        config.pipelines = read_pipelines(root, &config, types, allow_no_pipelines, &mut errors);
        check_connectors(&config, &mut errors);
        check_authenticators(&config, &mut errors);
        errors.into_result(config)
    }

    /// The configured components of a kind.
    pub fn components(&self, kind: ComponentKind) -> &Components {
        match kind {
            ComponentKind::Receiver => &self.receivers,
            ComponentKind::Processor => &self.processors,
            ComponentKind::Exporter => &self.exporters,
            ComponentKind::Connector => &self.connectors,
            ComponentKind::Extension => &self.extensions,
        }
    }

    fn check_presence(&self, root: &Node, errors: &mut ConfigErrors) {
        let written = |key: &str| root.get(key).is_some_and(|node| !entries(node).is_empty());
        if SECTIONS.iter().all(|key| !written(key)) {
            errors.push(ConfigError::new(root.span.clone(), "", "empty configuration file"));
            return;
        }
        for (key, name) in [("receivers", "receiver"), ("exporters", "exporter")] {
            // A connector can stand in for either.
            if !written(key) && !written("connectors") {
                errors.push(root.error_at("", key, format!("no {name} configuration specified in config")));
            }
        }
    }

    fn read_extensions(&self, root: &Node, errors: &mut ConfigErrors) -> Vec<ComponentId> {
        let Some(list) = root.at("service::extensions") else { return Vec::new() };
        let mut enabled = Vec::new();
        for (id, span) in read_ids(list, "service::extensions", errors) {
            if !is_written(root, "extensions", &id) {
                let message = format!("references extension {:?} which is not configured", id.to_string());
                let known: Vec<String> = self.extensions.keys().map(ComponentId::to_string).collect();
                let error = ConfigError::new(span, "service::extensions", message);
                errors.push(error.suggesting(&id.to_string(), known.iter().map(String::as_str)));
            } else if !enabled.contains(&id) {
                enabled.push(id);
            }
        }
        enabled
    }
}

/// The entries of a mapping; none for null and for anything else, which is reported elsewhere.
pub(super) fn entries(node: &Node) -> &[Entry] {
    node.as_mapping().map_or(&[], |mapping| &mapping.entries)
}

/// Whether a component is written in a section, even if its block is wrong: then that is the error to report.
pub(super) fn is_written(root: &Node, section: &str, id: &ComponentId) -> bool {
    root.get(section).is_some_and(|node| entries(node).iter().any(|entry| entry.key.parse().as_ref() == Ok(id)))
}

fn check_service_keys(service: &Node, errors: &mut ConfigErrors) {
    let known = ["extensions", "pipelines", "telemetry"];
    if !service.is_null() && service.as_mapping().is_none() {
        errors.push(service.error_at("service", "", "expected a mapping of extensions, pipelines and telemetry"));
    }
    for entry in entries(service) {
        if !known.contains(&entry.key.as_str()) {
            let message = format!("has invalid keys: {}", entry.key);
            errors.push(ConfigError::new(entry.key_span.clone(), "service", message).suggesting(&entry.key, known));
        }
    }
}

fn read_components(
    root: &Node,
    section: &str,
    kind: ComponentKind,
    types: &dyn ComponentTypes,
    errors: &mut ConfigErrors,
) -> Components {
    let mut components = Components::new();
    let Some(node) = root.get(section).filter(|node| !node.is_null()) else { return components };
    if node.as_mapping().is_none() {
        let message = format!("expected a mapping of {} ids to their settings", kind.name());
        errors.push(root.error_at("", section, message));
    }
    for entry in entries(node) {
        let span = entry.key_span.clone();
        let id: ComponentId = match entry.key.parse() {
            Ok(id) => id,
            Err(error) => {
                errors.push(ConfigError::new(span, section, error.to_string()));
                continue;
            }
        };
        let Some(component_type) = types.resolve(kind, id.type_name()) else {
            errors.push(unknown_type(&id, section, kind, span, &types.names(kind)));
            continue;
        };
        let path = format!("{section}::{id}");
        let body = entry.value.clone();
        if body.is_null() || body.as_mapping().is_some() {
            if let Err(problems) = types.validate(kind, component_type.canonical, &body) {
                errors.extend(problems.under(&path));
            }
        } else {
            let message = format!("error reading configuration for {:?}: expected a mapping", id.to_string());
            errors.push(ConfigError::new(span.clone(), path.clone(), message));
        }
        if components.contains_key(&id) {
            let message = format!("duplicate name {:?} after trimming spaces", id.to_string());
            errors.push(ConfigError::new(span, path, message));
        } else {
            components.insert(id.clone(), Component { id, component_type, body, span });
        }
    }
    components
}

/// Types that older configurations name and that exist nowhere any more, with what took their place.
const RETIRED: &[(ComponentKind, &str, &str)] = &[(
    ComponentKind::Extension,
    "memory_ballast",
    "the ballast was a device for Go's garbage collector; leave it out, here and in service::extensions",
)];

fn unknown_type(id: &ComponentId, section: &str, kind: ComponentKind, span: Span, names: &[&str]) -> ConfigError {
    let mut message = format!(
        "unknown type: {:?} for id: {:?} (valid values: [{}])",
        id.type_name(),
        id.to_string(),
        names.join(" ")
    );
    match RETIRED.iter().find(|(of, name, _)| *of == kind && *name == id.type_name()) {
        Some((_, _, advice)) => {
            message.push_str(": ");
            message.push_str(advice);
            ConfigError::new(span, section, message)
        }
        None => ConfigError::new(span, section, message).suggesting(id.type_name(), names.iter().copied()),
    }
}

/// Reads a list of component ids with their places; a single text with commas is a list as well.
pub(super) fn read_ids(node: &Node, path: &str, errors: &mut ConfigErrors) -> Vec<(ComponentId, Span)> {
    let mut ids = Vec::new();
    let mut read = |text: Option<&str>, span: &Span, errors: &mut ConfigErrors| match text.map(str::parse) {
        Some(Ok(id)) => ids.push((id, span.clone())),
        Some(Err(error)) => errors.push(ConfigError::new(span.clone(), path, format!("{error}"))),
        None => errors.push(ConfigError::new(span.clone(), path, "expected the id of a component")),
    };
    if let Some(items) = node.as_sequence() {
        for item in items {
            read(item.as_text(), &item.span, errors);
        }
    } else if let Some(text) = node.as_scalar().and(node.as_text()) {
        for part in text.split(',').filter(|_| !text.is_empty()) {
            read(Some(part), &node.span, errors);
        }
    } else if !node.is_null() {
        errors.push(ConfigError::new(node.span.clone(), path, "expected a list of component ids"));
    }
    ids
}
