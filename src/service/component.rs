//! One component on its way from its configuration to its task.

use super::error::ServiceError;
use super::graph::{Slot, Vertex};
use pipeline::component::{
    Build, BuildContext, ComponentError, Connector, ConnectorContext, Exporter, ExporterContext, Extension,
    ExtensionContext, Processor, ProcessorContext, Program, Receiver, ReceiverContext, ServiceStatus, Shared, Signal,
};
use pipeline::config::{ComponentId, Node};
use pipeline::stop::Stop;
use pipeline::telemetry::Telemetry;
use pipeline::{Gate, Input, Output};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tracing::Instrument;

/// What every component of a service is built with.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    pub(super) program: Program,
    pub(super) telemetry: Telemetry,
    pub(super) shared: Shared,
}

/// The object that a factory made.
enum Object {
    Receiver(Box<dyn Receiver>),
    Processor(Box<dyn Processor>),
    Exporter(Box<dyn Exporter>),
    Connector(Box<dyn Connector>),
    Extension(Box<dyn Extension>),
}

/// A component that is built but does not run yet.
pub(super) struct Built {
    pub(super) slot: Slot,
    vertex: Vertex,
    signal: Option<Signal>,
    surroundings: Surroundings,
    /// None after a start that failed: what failed half-way is not asked again, but built anew.
    object: Option<Object>,
    started: bool,
}

/// What a component is given to run with. Which parts are there depends on its kind.
pub(super) struct Surface {
    pub(super) stop: Stop,
    pub(super) input: Option<Input>,
    pub(super) output: Output,
    pub(super) updates: mpsc::Receiver<Node>,
    pub(super) status: watch::Receiver<ServiceStatus>,
}

/// Resolves when a task is gone, however it ended: the task holds the other end.
#[derive(Clone, Debug)]
pub(super) struct Ended(watch::Receiver<()>);

impl Ended {
    pub(super) fn pair() -> (watch::Sender<()>, Self) {
        let (sender, receiver) = watch::channel(());
        (sender, Self(receiver))
    }

    pub(super) async fn wait(&mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

/// How a component's task failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// It did not get as far as running. What waits at its input is handed back.
    Start { error: ServiceError, input: Option<Input> },
    /// It ran.
    Run(ComponentError),
}

impl Built {
    /// Builds the component of `slot`. Nothing is bound or spawned.
    pub(super) fn new(
        slot: &Slot,
        vertex: &Vertex,
        signal: Option<Signal>,
        surroundings: &Surroundings,
    ) -> Result<Self, ServiceError> {
        let object = build(slot, vertex, surroundings).map_err(|cause| ServiceError::Create {
            slot: slot.clone(),
            signal,
            cause,
        })?;
        let (vertex, surroundings) = (vertex.clone(), surroundings.clone());
        Ok(Self { slot: slot.clone(), vertex, signal, surroundings, object: Some(object), started: false })
    }

    /// The gate that a processor puts at the entry of its pipeline.
    pub(super) fn gate(&self) -> Option<Arc<dyn Gate>> {
        match &self.object {
            Some(Object::Processor(processor)) => processor.gate(),
            _ => None,
        }
    }

    /// Whether [`Built::start`] has succeeded.
    pub(super) fn is_started(&self) -> bool {
        self.started
    }

    /// Binds, opens and connects, unless that was done before.
    pub(super) async fn start(&mut self) -> Result<(), ServiceError> {
        if self.started {
            return Ok(());
        }
        let mut object = match self.object.take() {
            Some(object) => object,
            None => build(&self.slot, &self.vertex, &self.surroundings).map_err(|cause| ServiceError::Create {
                slot: self.slot.clone(),
                signal: self.signal,
                cause,
            })?,
        };
        let span = span(&self.slot);
        let result = match &mut object {
            Object::Receiver(receiver) => receiver.start().instrument(span).await,
            Object::Exporter(exporter) => exporter.start().instrument(span).await,
            Object::Extension(extension) => extension.start().instrument(span).await,
            Object::Processor(_) | Object::Connector(_) => Ok(()),
        };
        result.map_err(|cause| ServiceError::Start { slot: self.slot.clone(), cause })?;
        self.object = Some(object);
        self.started = true;
        Ok(())
    }

    /// Runs to the end: waits for its predecessors, starts if that is still to be done, then runs.
    ///
    /// Predecessors are what it replaces. While they flush, what comes in waits in the channel, so the samples of
    /// a series stay in order.
    pub(super) async fn run(mut self, mut predecessors: Vec<Ended>, mut surface: Surface) -> Result<(), Failure> {
        let told_to_stop = self.slot.is_told_to_stop();
        let span = span(&self.slot);
        let gone = async {
            for predecessor in &mut predecessors {
                predecessor.wait().await;
            }
        };
        tokio::select! {
            biased;
            () = gone => {}
            // What only waits has nothing to stop.
            () = surface.stop.requested(), if told_to_stop => return Ok(()),
        }
        if let Err(error) = self.start().await {
            return Err(Failure::Start { error, input: surface.input });
        }
        let Surface { stop, input, output, updates, status } = surface;
        let no_input = || Failure::Run(ComponentError::new("has no input"));
        let Some(object) = self.object else { return Ok(()) };
        let ran = match object {
            Object::Receiver(receiver) => {
                receiver.run(ReceiverContext { output, stop, updates }).instrument(span).await
            }
            Object::Processor(processor) => {
                let input = input.ok_or_else(no_input)?;
                processor.run(ProcessorContext { input, output }).instrument(span).await
            }
            Object::Connector(connector) => {
                let input = input.ok_or_else(no_input)?;
                connector.run(ConnectorContext { input, output }).instrument(span).await
            }
            Object::Exporter(exporter) => {
                let input = input.ok_or_else(no_input)?;
                exporter.run(ExporterContext { input, stop }).instrument(span).await
            }
            Object::Extension(extension) => extension.run(ExtensionContext { stop, status }).instrument(span).await,
        };
        ran.map_err(Failure::Run)
    }
}

/// Has the factory make the object.
fn build(slot: &Slot, vertex: &Vertex, surroundings: &Surroundings) -> Result<Object, ComponentError> {
    let id = match slot.id() {
        Some(id) => id.clone(),
        None => ComponentId::new("telemetry", "metrics").map_err(|error| ComponentError::new(error.to_string()))?,
    };
    let Surroundings { program, telemetry, shared } = surroundings.clone();
    let signal = match slot {
        Slot::Processor(pipeline, _) => Some(pipeline.signal),
        _ => None,
    };
    let context = BuildContext { id, program, telemetry, shared, signal };
    let config = &vertex.config;
    Ok(match vertex.factory.build {
        Build::Receiver(build) => Object::Receiver(build(config, &context)?),
        Build::Processor(build) => Object::Processor(build(config, &context)?),
        Build::Exporter(build) => Object::Exporter(build(config, &context)?),
        Build::Connector(build) => Object::Connector(build(config, &context)?),
        Build::Extension(build) => Object::Extension(build(config, &context)?),
    })
}

/// The span that puts a component's id and kind on each of its log lines.
fn span(slot: &Slot) -> tracing::Span {
    match slot {
        Slot::Processor(pipeline, id) => tracing::error_span!(
            "component",
            "otelcol.component.id" = %id,
            "otelcol.component.kind" = slot.kind().name(),
            "otelcol.pipeline.id" = %pipeline,
        ),
        Slot::OwnMetrics => tracing::Span::none(),
        Slot::Receiver(id) | Slot::Exporter(id) | Slot::Connector(id) | Slot::Extension(id) => tracing::error_span!(
            "component",
            "otelcol.component.id" = %id,
            "otelcol.component.kind" = slot.kind().name(),
        ),
    }
}
