//! What a component is: the traits it implements, the factory that describes and builds it, and the
//! context it runs in.
//!
//! A component goes through three steps, each with its own rule. *Validate* reads configuration, with what that names
//! as a part of itself, and opens nothing else. *Build* makes the object and spawns nothing. *Start* may bind, open and connect, and its
//! failure stops the service from starting; *run* then owns the component until it ends.
//!
//! Only receivers and extensions are told to stop. Processors and exporters end when their input closes
//! and what they hold is flushed, or when the deadline passes.

use crate::channel::{Gate, Input, Output};
use crate::config::{ComponentId, ConfigErrors, Node};
use crate::stop::Stop;
use crate::telemetry::Telemetry;
use async_trait::async_trait;
use parking_lot::Mutex;
use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// The kinds of components a configuration names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ComponentKind {
    /// Where telemetry comes in.
    Receiver,
    /// What changes, drops or groups it.
    Processor,
    /// Where it goes.
    Exporter,
    /// Joins pipelines.
    Connector,
    /// Serves the others.
    Extension,
}

impl ComponentKind {
    /// Singular, as in messages: `receiver`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Receiver => "receiver",
            Self::Processor => "processor",
            Self::Exporter => "exporter",
            Self::Connector => "connector",
            Self::Extension => "extension",
        }
    }
}

/// The kinds of telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Signal {
    /// Metrics.
    Metrics,
    /// Traces.
    Traces,
    /// Logs.
    Logs,
}

impl Signal {
    /// As in `service::pipelines`: `metrics`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Traces => "traces",
            Self::Logs => "logs",
        }
    }

    /// What is counted of it, as in the Collector's names of metrics: `metric_points`.
    pub fn items(self) -> &'static str {
        match self {
            Self::Metrics => "metric_points",
            Self::Traces => "spans",
            Self::Logs => "log_records",
        }
    }
}

/// Why a component could not be built, started, or go on.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ComponentError {
    message: Box<str>,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    lost: u64,
}

impl ComponentError {
    /// An error that says what is wrong and what to do; lowercase, no full stop.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into().into(), source: None, lost: 0 }
    }

    /// The end of a component that did as it was told and had no time to deliver all: so many items are lost, and
    /// counted.
    pub fn loss(items: u64) -> Self {
        Self { lost: items, ..Self::new(format!("{items} items could not be delivered in time and are lost")) }
    }

    /// How many items were lost, if that is all there is to report.
    pub fn lost(&self) -> Option<u64> {
        (self.lost > 0).then_some(self.lost)
    }

    /// The same with its cause, whose text is appended.
    pub fn caused(message: impl fmt::Display, cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { message: format!("{message}: {cause}").into(), source: Some(Box::new(cause)), lost: 0 }
    }
}

/// Name and version of the program, for `User-Agent` and resources.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// `oxidot`.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

/// Things that components share across crates, by component id and type: authenticators, storages.
#[derive(Clone, Default)]
pub struct Shared(Arc<Mutex<HashMap<ComponentId, Arc<dyn Any + Send + Sync>>>>);

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.lock().keys()).finish()
    }
}

impl Shared {
    /// Offers `value` under the id of the extension that provides it.
    pub fn provide<T: Any + Send + Sync>(&self, id: ComponentId, value: T) {
        self.0.lock().insert(id, Arc::new(value));
    }

    /// Everything of type `T` that extensions provide.
    pub fn all<T: Any + Send + Sync>(&self) -> Vec<(ComponentId, Arc<T>)> {
        let shared = self.0.lock();
        let of_type = |(id, value): (&ComponentId, &Arc<dyn Any + Send + Sync>)| {
            Some((id.clone(), Arc::clone(value).downcast::<T>().ok()?))
        };
        shared.iter().filter_map(of_type).collect()
    }

    /// What extension `id` provides, if it is of type `T`.
    pub fn get<T: Any + Send + Sync>(&self, id: &ComponentId) -> Option<Arc<T>> {
        let value = self.0.lock().get(id).cloned()?;
        value.downcast().ok()
    }
}

/// What a factory is given to build one component.
#[derive(Clone, Debug)]
pub struct BuildContext {
    /// The component's id.
    pub id: ComponentId,
    /// The program.
    pub program: Program,
    /// The metrics registry.
    pub telemetry: Telemetry,
    /// What extensions offer; they are built before all others.
    pub shared: Shared,
    /// For a processor, what its pipeline carries; none for what several pipelines may share.
    pub signal: Option<Signal>,
}

/// Where telemetry comes in.
#[async_trait]
pub trait Receiver: Send {
    /// Binds and opens what the receiver needs.
    ///
    /// # Errors
    /// Stops the service from starting.
    async fn start(&mut self) -> Result<(), ComponentError> {
        Ok(())
    }

    /// Takes in telemetry until told to stop.
    ///
    /// # Errors
    /// Ends the service.
    async fn run(self: Box<Self>, context: ReceiverContext) -> Result<(), ComponentError>;
}

/// What a running receiver is given.
#[derive(Debug)]
pub struct ReceiverContext {
    /// Where batches go.
    pub output: Output,
    /// When to stop.
    pub stop: Stop,
    /// New configurations, already validated, for a receiver whose factory says `live_update`.
    pub updates: mpsc::Receiver<Node>,
}

/// What changes, drops or groups telemetry.
#[async_trait]
pub trait Processor: Send {
    /// The gate that this processor puts at the entry of its pipeline.
    fn gate(&self) -> Option<Arc<dyn Gate>> {
        None
    }

    /// Passes telemetry on until the input closes.
    ///
    /// # Errors
    /// Ends the service.
    async fn run(self: Box<Self>, context: ProcessorContext) -> Result<(), ComponentError>;
}

/// What a running processor is given.
#[derive(Debug)]
pub struct ProcessorContext {
    /// Where batches come from.
    pub input: Input,
    /// Where they go.
    pub output: Output,
}

/// Joins pipelines: what comes out of some goes into others that carry the same signal.
#[async_trait]
pub trait Connector: Send {
    /// Passes telemetry on until the input closes.
    ///
    /// # Errors
    /// Ends the service.
    async fn run(self: Box<Self>, context: ConnectorContext) -> Result<(), ComponentError>;
}

/// What a running connector is given.
#[derive(Debug)]
pub struct ConnectorContext {
    /// The end of the pipelines that name it as exporter, with batches of each signal that they carry.
    pub input: Input,
    /// The beginning of the pipelines that name it as receiver.
    pub output: Output,
}

/// Where telemetry goes.
#[async_trait]
pub trait Exporter: Send {
    /// Binds and opens what the exporter needs.
    ///
    /// # Errors
    /// Stops the service from starting.
    async fn start(&mut self) -> Result<(), ComponentError> {
        Ok(())
    }

    /// Delivers until the input closes and everything is delivered, or the deadline of `stop` passes.
    ///
    /// # Errors
    /// Ends the service.
    async fn run(self: Box<Self>, context: ExporterContext) -> Result<(), ComponentError>;
}

/// What a running exporter is given.
#[derive(Debug)]
pub struct ExporterContext {
    /// Where batches come from: those of all pipelines that name the exporter, whatever they carry.
    pub input: Input,
    /// Its deadline bounds the drain; an exporter does not stop before its input closes.
    pub stop: Stop,
}

/// What the service tells extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceStatus {
    /// Not all components run yet.
    Starting,
    /// All components run.
    Ready,
    /// The service is stopping.
    Stopping,
}

/// Serves the other components.
#[async_trait]
pub trait Extension: Send {
    /// Binds and opens what the extension needs.
    ///
    /// # Errors
    /// Stops the service from starting.
    async fn start(&mut self) -> Result<(), ComponentError> {
        Ok(())
    }

    /// Serves until told to stop.
    ///
    /// # Errors
    /// Ends the service.
    async fn run(self: Box<Self>, context: ExtensionContext) -> Result<(), ComponentError>;
}

/// What a running extension is given.
#[derive(Debug)]
pub struct ExtensionContext {
    /// When to stop.
    pub stop: Stop,
    /// How the service is.
    pub status: watch::Receiver<ServiceStatus>,
}

/// How settled a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stability {
    /// Its configuration may change.
    Beta,
    /// Its configuration is kept.
    Stable,
}

/// How a component of kind `T` is made of its configuration.
pub type BuildFn<T> = fn(&Node, &BuildContext) -> Result<Box<T>, ComponentError>;

/// How a factory builds its component.
#[derive(Clone, Copy)]
pub enum Build {
    /// A receiver.
    Receiver(BuildFn<dyn Receiver>),
    /// A processor.
    Processor(BuildFn<dyn Processor>),
    /// An exporter.
    Exporter(BuildFn<dyn Exporter>),
    /// A connector.
    Connector(BuildFn<dyn Connector>),
    /// An extension.
    Extension(BuildFn<dyn Extension>),
}

/// Describes a component and builds it: constant data, listed in the program's one table.
#[derive(Clone, Copy)]
pub struct Factory {
    /// Type name as the Collector writes it today.
    pub type_name: &'static str,
    /// Other spellings that configurations use.
    pub aliases: &'static [&'static str],
    /// One line for `oxidot components`.
    pub summary: &'static str,
    /// Signals it handles; empty for extensions.
    pub signals: &'static [Signal],
    /// How settled it is.
    pub stability: Stability,
    /// Whether a running instance takes a new configuration and keeps its state.
    pub live_update: bool,
    /// Checks a configuration; reports everything that is wrong. Reads files only where they are a part of it.
    pub validate: fn(&Node) -> Result<(), ConfigErrors>,
    /// Makes the component without spawning.
    pub build: Build,
}

impl Factory {
    /// The kind of component it builds.
    pub fn kind(&self) -> ComponentKind {
        match self.build {
            Build::Receiver(_) => ComponentKind::Receiver,
            Build::Processor(_) => ComponentKind::Processor,
            Build::Exporter(_) => ComponentKind::Exporter,
            Build::Connector(_) => ComponentKind::Connector,
            Build::Extension(_) => ComponentKind::Extension,
        }
    }

    /// Whether configurations may call it `name`.
    pub fn is_called(&self, name: &str) -> bool {
        self.type_name == name || self.aliases.contains(&name)
    }
}

impl fmt::Debug for Factory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Factory")
            .field("kind", &self.kind())
            .field("type_name", &self.type_name)
            .finish_non_exhaustive()
    }
}
