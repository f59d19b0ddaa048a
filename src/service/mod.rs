//! A service: builds the components of a [`Graph`], runs them, exchanges what a new configuration changes, and
//! ends them in order.
//!
//! A reload goes through the same steps as a start. First everything new is built and started, while all that
//! runs is left alone: what fails here leaves the old configuration running. Then the change is made at once. A
//! component in place of another begins when that has flushed what it held, so the samples of a series stay in
//! order. One that needs its predecessor's port is started only then; should that fail, the service goes back to
//! the configuration it had.

mod component;
mod error;
mod graph;
mod plan;
mod running;
mod signals;

#[cfg(test)]
mod tests;

pub use self::error::ServiceError;
pub use self::graph::{Edge, Graph, Pipeline, PipelineId, Slot, Vertex, mentions};
pub use self::plan::{Step, plan};
pub use self::running::panic_text;
pub use self::signals::OsSignals;

use self::component::Surroundings;
use self::running::{Outcome, Prepared, Running};
use pipeline::component::{Program, ServiceStatus, Shared};
use pipeline::telemetry::Telemetry;
use std::fmt;
use std::future::Future;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// How long a service drains before it ends by force: ECS and Kubernetes kill 30 seconds after they have asked.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(25);

/// What somebody asks of a running service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Drain and end. Asked a second time: end at once.
    Stop,
    /// Read the configuration again.
    Reload,
}

/// Where requests come from.
pub trait Requests {
    /// Waits for the next request; never returns if none can come any more. Nothing is lost when the future is
    /// dropped.
    fn next(&mut self) -> impl Future<Output = Request>;
}

impl Requests for mpsc::Receiver<Request> {
    async fn next(&mut self) -> Request {
        match self.recv().await {
            Some(request) => request,
            None => std::future::pending().await,
        }
    }
}

/// Where the configuration comes from.
pub trait Source {
    /// Why a configuration is refused; prints one problem a line.
    type Error: fmt::Display;

    /// Resolves and validates the configuration anew.
    fn load(&mut self) -> impl Future<Output = Result<Graph, Self::Error>>;

    /// What [`Source::load`] gave last is in force now.
    fn in_force(&mut self);
}

/// A service that is about to run.
#[derive(Debug)]
pub struct Service {
    surroundings: Surroundings,
    drain: Duration,
    ends_last: fn(&Slot) -> bool,
}

impl Service {
    /// A service of this program, with its metrics in `telemetry`, that drains within `drain`.
    pub fn new(program: Program, telemetry: Telemetry, drain: Duration) -> Self {
        let surroundings = Surroundings { program, telemetry, shared: Shared::default() };
        Self { surroundings, drain, ends_last: |_| false }
    }

    /// What of the pipelines is told to stop when all the rest of them has ended: what the rest delivers to.
    #[must_use]
    pub fn ending_last(self, ends_last: fn(&Slot) -> bool) -> Self {
        Self { ends_last, ..self }
    }

    /// Runs `graph` until it is asked to stop.
    ///
    /// # Errors
    /// A component could not be built or started, or failed while running.
    pub async fn run(
        self,
        graph: Graph,
        source: &mut impl Source,
        requests: &mut impl Requests,
    ) -> Result<(), ServiceError> {
        let program = self.surroundings.program;
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        tracing::info!("Version" = program.version, "NumCPU" = cpus, "Starting {}...", program.name);
        let (status, status_receiver) = watch::channel(ServiceStatus::Starting);
        let mut running = Running::new(self.surroundings, status_receiver);
        let started = tokio::select! {
            prepared = running.prepare(graph) => prepared?,
            () = stop_asked(requests) => return Ok(()),
        };
        running.commit(started, Instant::now());
        status.send_replace(ServiceStatus::Ready);
        tracing::info!("Everything is ready. Begin running and processing data.");
        let mut supervisor = Supervisor { running, drain: self.drain, ends_last: self.ends_last, previous: None };
        let result = supervisor.watch(source, requests).await;
        if let Err(error) = &result {
            tracing::error!(%error, "Asynchronous error received, terminating process");
        }
        status.send_replace(ServiceStatus::Stopping);
        tracing::info!("Starting shutdown...");
        let drained = supervisor.shut_down(requests).await;
        tracing::info!("Shutdown complete.");
        result.and(drained)
    }
}

async fn stop_asked(requests: &mut impl Requests) {
    while requests.next().await != Request::Stop {}
}

/// Watches over what runs.
struct Supervisor {
    running: Running,
    drain: Duration,
    ends_last: fn(&Slot) -> bool,
    /// What ran before the last reload, to go back to.
    previous: Option<Graph>,
}

impl Supervisor {
    /// Returns when a stop is asked for, or with the error that ends the service.
    async fn watch(&mut self, source: &mut impl Source, requests: &mut impl Requests) -> Result<(), ServiceError> {
        loop {
            let overdue = self.running.next_deadline();
            tokio::select! {
                request = requests.next() => match request {
                    Request::Stop => return Ok(()),
                    Request::Reload => if self.reload_while_asked(source, requests).await == Request::Stop {
                        return Ok(());
                    },
                },
                (slot, outcome) = self.running.next_end() => match outcome {
                    Outcome::Fine => tracing::debug!(component = %slot, "A component has ended."),
                    Outcome::Lost(items) => tracing::error!(
                        component = %slot, items, "A component that was replaced could not deliver all in time."
                    ),
                    Outcome::Failed(error) => return Err(error),
                    Outcome::NotStarted(error) => self.go_back(error).await?,
                },
                () = sleep_until(overdue) => self.running.abort_overdue(Instant::now()),
            }
        }
    }

    /// Reloads, and once more for every request that comes meanwhile: what it asks for may be newer than what was
    /// read. Says whether a stop was asked for instead.
    async fn reload_while_asked(&mut self, source: &mut impl Source, requests: &mut impl Requests) -> Request {
        let mut waiting = 1_u32;
        while waiting > 0 {
            waiting -= 1;
            let reload = self.reload(source);
            let mut reload = std::pin::pin!(reload);
            loop {
                tokio::select! {
                    () = &mut reload => break,
                    request = requests.next() => match request {
                        Request::Stop => return Request::Stop,
                        Request::Reload => waiting = waiting.saturating_add(1),
                    },
                }
            }
        }
        Request::Reload
    }

    async fn reload(&mut self, source: &mut impl Source) {
        tracing::info!("Reading the configuration again.");
        let graph = match source.load().await {
            Ok(graph) => graph,
            Err(errors) => {
                for error in errors.to_string().lines() {
                    tracing::error!(error, "The new configuration is refused.");
                }
                tracing::error!("The former configuration stays in force.");
                return;
            }
        };
        let previous = self.running.graph().clone();
        match self.running.prepare(graph).await {
            Ok(prepared) => {
                report(&prepared);
                self.running.commit(prepared, Instant::now() + self.drain);
                self.previous = Some(previous);
                source.in_force();
            }
            Err(error) => {
                tracing::error!(%error, "The new configuration is refused; the former one stays in force.");
            }
        }
    }

    /// Returns to what ran before the last reload, since a part of the new graph could not be started.
    async fn go_back(&mut self, error: ServiceError) -> Result<(), ServiceError> {
        let Some(previous) = self.previous.take() else { return Err(error) };
        tracing::error!(%error, "The new configuration cannot be started; the service goes back to the former one.");
        let prepared = self.running.prepare(previous).await?;
        report(&prepared);
        self.running.commit(prepared, Instant::now() + self.drain);
        Ok(())
    }

    /// Ends the pipelines, then the extensions. The first failure on the way is the result.
    async fn shut_down(mut self, requests: &mut impl Requests) -> Result<(), ServiceError> {
        let mut result = Ok(());
        let (deadline, ends_last) = (Instant::now() + self.drain, self.ends_last);
        self.running.end_pipelines(deadline, |slot| !ends_last(slot));
        let first_run = |running: &Running| running.pipelines_run(|slot| !ends_last(slot));
        let mut hurried = self.finish(requests, first_run, &mut result).await;
        self.running.end_pipelines(deadline, ends_last);
        hurried |= self.finish(requests, |running| running.pipelines_run(|_| true), &mut result).await;
        // Extensions only close what they serve.
        let rest = if hurried { Duration::ZERO } else { Duration::from_secs(2) };
        self.running.end_extensions(Instant::now() + rest);
        hurried |= self.finish(requests, Running::anything_runs, &mut result).await;
        if hurried {
            tracing::warn!("Asked a second time to stop: what was not delivered by then is lost, unless a log has it.");
        }
        result
    }

    /// Waits until `runs` no longer holds; says whether it was asked to hurry.
    async fn finish(
        &mut self,
        requests: &mut impl Requests,
        runs: impl Fn(&Running) -> bool,
        result: &mut Result<(), ServiceError>,
    ) -> bool {
        let mut hurried = false;
        while runs(&self.running) {
            let overdue = self.running.next_deadline();
            tokio::select! {
                (slot, outcome) = self.running.next_end() => match outcome {
                    Outcome::Fine => tracing::debug!(component = %slot, "A component has ended."),
                    Outcome::Lost(items) => {
                        let all = if let Err(ServiceError::Lost { items }) = result { *items } else { 0 };
                        if result.is_ok() || matches!(result, Err(ServiceError::Lost { .. })) {
                            *result = Err(ServiceError::Lost { items: all + items });
                        }
                    }
                    Outcome::Failed(error) | Outcome::NotStarted(error) => {
                        tracing::error!(%error, "A component failed during shutdown.");
                        if matches!(result, Ok(()) | Err(ServiceError::Lost { .. })) {
                            *result = Err(error);
                        }
                    }
                },
                () = stop_asked(requests) => {
                    hurried = true;
                    self.running.end_pipelines(Instant::now(), |_| true);
                }
                () = sleep_until(overdue) => self.running.abort_overdue(Instant::now()),
            }
        }
        hurried
    }
}

/// Waits until `deadline`, for ever if there is none.
async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn report(prepared: &Prepared) {
    let changes = |step: &Step| !matches!(step, Step::Wire { .. } | Step::Update(_));
    if !prepared.steps().iter().any(changes) {
        tracing::info!("All components keep running.");
    }
    for step in prepared.steps() {
        match step {
            Step::Start(slot) => tracing::info!(component = %slot, "New component is started."),
            Step::Replace(slot) => tracing::info!(component = %slot, "Changed component is replaced."),
            Step::Update(slot) => tracing::info!(component = %slot, "Component takes over what changed for it."),
            Step::Stop(slot) => tracing::info!(component = %slot, "Component is no longer used and ends."),
            Step::Wire { .. } => {}
        }
    }
}
