//! The components that run: their tasks, their channels, and what becomes of both when the graph changes.

use super::component::{Built, Ended, Failure, Surface, Surroundings};
use super::error::ServiceError;
use super::graph::{Edge, Graph, Slot};
use super::plan::{Step, plan};
use pipeline::channel::{Entry, channel};
use pipeline::component::{ComponentError, ServiceStatus, Signal};
use pipeline::config::Node;
use pipeline::stop::StopSource;
use pipeline::{Gate, Input, Output};
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::Instant;

/// Configurations that may wait for a receiver that is busy. Reloads come one by one, from people; a receiver
/// that leaves this many untaken hangs.
const UPDATES: usize = 8;

/// What a component has beyond its deadline to count and report what it gives up.
const GRACE: Duration = Duration::from_millis(500);

/// A task that is aborted ends at its next await; one that computes without end is reported again after this.
const ABORT_AGAIN: Duration = Duration::from_secs(5);

/// One running component, as the others see it.
struct Instance {
    /// Its task, once that is spawned.
    task: Option<tokio::task::Id>,
    ended: Ended,
    /// Where an exporter, connector or processor takes batches.
    entry: Option<Entry>,
    /// Where a receiver, connector or processor sends them.
    output: Output,
    gate: Option<Arc<dyn Gate>>,
    updates: mpsc::Sender<Node>,
}

/// Whose task it is, and until when it may run once it is to end.
struct Owner {
    slot: Slot,
    abort: AbortHandle,
    stop: StopSource,
    leaving: Option<Instant>,
}

/// A component that is wired up and only has to be spawned.
struct Ready {
    slot: Slot,
    stop: StopSource,
    task: Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>,
}

/// What a task's end means.
pub(super) enum Outcome {
    /// It was to be expected, or does no harm.
    Fine,
    /// It did as it was told, and had no time to deliver all: so many items are lost.
    Lost(u64),
    /// It could not be started in place of its predecessor.
    NotStarted(ServiceError),
    /// It failed.
    Failed(ServiceError),
}

/// All that runs.
pub(super) struct Running {
    surroundings: Surroundings,
    status: watch::Receiver<ServiceStatus>,
    graph: Graph,
    instances: BTreeMap<Slot, Instance>,
    tasks: JoinSet<Result<(), Failure>>,
    owners: HashMap<tokio::task::Id, Owner>,
    /// Extensions of which another instance was built and never ran: what they offer to others was overwritten,
    /// so they are built anew with the next change.
    overwritten: BTreeSet<Slot>,
    /// What waits for components that could not be started, for whoever comes in their place.
    orphans: BTreeMap<Slot, (Entry, Input)>,
}

/// A change that is ready to be made: all that is new is built, and started where nothing stood in the way.
pub(super) struct Prepared {
    graph: Graph,
    steps: Vec<Step>,
    built: Vec<Built>,
    updates: Vec<(mpsc::OwnedPermit<Node>, Node)>,
}

impl Prepared {
    /// The steps, for the log.
    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }
}

impl Running {
    pub(super) fn new(surroundings: Surroundings, status: watch::Receiver<ServiceStatus>) -> Self {
        Self {
            surroundings,
            status,
            graph: Graph::default(),
            instances: BTreeMap::new(),
            tasks: JoinSet::new(),
            owners: HashMap::new(),
            overwritten: BTreeSet::new(),
            orphans: BTreeMap::new(),
        }
    }

    /// The graph that runs.
    pub(super) fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Builds and starts what `graph` needs beyond what runs. Nothing that runs is touched, and dropping the
    /// result undoes everything.
    ///
    /// Where something is about to leave, a component that cannot be started may only wait for its port; its task
    /// tries again when that is gone.
    pub(super) async fn prepare(&mut self, graph: Graph) -> Result<Prepared, ServiceError> {
        let steps = plan(&self.graph, &graph, &self.overwritten);
        let mut built = Vec::new();
        let mut updates = Vec::new();
        for step in &steps {
            match step {
                Step::Start(slot) | Step::Replace(slot) => {
                    if let Some(vertex) = graph.vertices.get(slot) {
                        if slot.is_extension() {
                            self.overwritten.insert(slot.clone());
                        }
                        built.push(Built::new(slot, vertex, graph.signal(slot), &self.surroundings)?);
                    }
                }
                Step::Update(slot) => updates.extend(self.reserve_update(slot, &graph)?),
                Step::Wire { .. } | Step::Stop(_) => {}
            }
        }
        let something_leaves = steps.iter().any(|step| matches!(step, Step::Replace(_) | Step::Stop(_)));
        for component in &mut built {
            if let Err(error) = component.start().await {
                if !something_leaves {
                    return Err(error);
                }
                tracing::info!(
                    component = %component.slot, %error,
                    "A component cannot be started while its predecessor runs; it is tried again after that."
                );
            }
        }
        Ok(Prepared { graph, steps, built, updates })
    }

    fn reserve_update(
        &self,
        slot: &Slot,
        graph: &Graph,
    ) -> Result<Option<(mpsc::OwnedPermit<Node>, Node)>, ServiceError> {
        let (Some(instance), Some(vertex)) = (self.instances.get(slot), graph.vertices.get(slot)) else {
            return Ok(None);
        };
        match instance.updates.clone().try_reserve_owned() {
            Ok(permit) => Ok(Some((permit, vertex.config.clone()))),
            Err(_) => Err(ServiceError::UpdateNotTaken { slot: slot.clone(), waiting: UPDATES }),
        }
    }

    /// Makes the change. What leaves has until `deadline`.
    pub(super) fn commit(&mut self, prepared: Prepared, deadline: Instant) {
        let Prepared { graph, steps, built, updates } = prepared;
        self.graph = graph;
        self.overwritten.clear();
        let mut leaving: BTreeMap<Slot, Ended> = BTreeMap::new();
        for step in &steps {
            if let Step::Replace(slot) | Step::Stop(slot) = step {
                let succeeded = matches!(step, Step::Replace(_));
                leaving.extend(self.retire(slot, deadline, succeeded).map(|ended| (slot.clone(), ended)));
            }
        }
        // Tasks begin only when all outputs lead somewhere, or the first batches would get lost.
        let ready: Vec<Ready> = built.into_iter().map(|component| self.place(component, &leaving)).collect();
        for step in &steps {
            if let Step::Wire { from, to } = step {
                self.wire(from, to);
            }
        }
        for (permit, config) in updates {
            permit.send(config);
        }
        for Ready { slot, stop, task } in ready {
            let abort = self.tasks.spawn(task);
            if let Some(instance) = self.instances.get_mut(&slot) {
                instance.task = Some(abort.id());
            }
            self.owners.insert(abort.id(), Owner { slot, abort, stop, leaving: None });
        }
        self.drop_orphans();
    }

    /// Lets go of an instance: its channel closes, and it is told to stop if it is of that kind.
    fn retire(&mut self, slot: &Slot, deadline: Instant, succeeded: bool) -> Option<Ended> {
        let instance = self.instances.remove(slot)?;
        if let Some(owner) = instance.task.and_then(|task| self.owners.get_mut(&task)) {
            if succeeded {
                owner.stop.hand_over(deadline)
            } else {
                owner.stop.stop(deadline)
            }
            owner.leaving = Some(deadline + GRACE);
        }
        Some(instance.ended)
    }

    /// Makes the channels of a new component and the task it will be.
    fn place(&mut self, component: Built, leaving: &BTreeMap<Slot, Ended>) -> Ready {
        let slot = component.slot.clone();
        let (entry, input) = match slot.has_input() {
            true => {
                let (entry, input) = self.orphans.remove(&slot).unwrap_or_else(channel);
                (Some(entry), Some(input))
            }
            false => (None, None),
        };
        // One that could not be started waits for all that leave, since any of them may be in its way.
        let predecessors = match component.is_started() {
            true => leaving.get(&slot).cloned().into_iter().collect(),
            false => leaving.values().cloned().collect(),
        };
        let (updates, updates_receiver) = mpsc::channel(UPDATES);
        let (alive, ended) = Ended::pair();
        let (stop, output) = (StopSource::default(), Output::default());
        let instance = Instance { task: None, ended, entry, output: output.clone(), gate: component.gate(), updates };
        self.instances.insert(slot.clone(), instance);
        let surface =
            Surface { stop: stop.handle(), input, output, updates: updates_receiver, status: self.status.clone() };
        let task = Box::pin(async move {
            let result = component.run(predecessors, surface).await;
            drop(alive);
            result
        });
        Ready { slot, stop, task }
    }

    /// Makes the output of `from` lead to `to`.
    fn wire(&self, from: &Slot, to: &[Edge]) {
        let Some(instance) = self.instances.get(from) else { return };
        let mut entries = Vec::new();
        for Edge { pipeline, to } in to {
            let Some(mut entry) = self.instances.get(to).and_then(|target| target.entry.clone()) else { continue };
            // Only where data comes in are there gates, and there those of all processors that it may pass: what is
            // inside already has been paid for.
            if let Slot::Receiver(_) = from {
                let processors = self.graph.processors_behind(pipeline).into_iter();
                entry =
                    entry.with_gates(processors.filter_map(|slot| self.instances.get(&slot)?.gate.clone()).collect());
            }
            entries.push((pipeline.signal, entry));
        }
        instance.output.set(entries);
    }

    /// Gives up, and counts, what waits for components that nobody replaces.
    fn drop_orphans(&mut self) {
        for (slot, (entry, mut input)) in std::mem::take(&mut self.orphans) {
            drop(entry);
            let mut waiting: BTreeMap<Signal, u64> = BTreeMap::new();
            while let Some(batch) = input.try_recv_any() {
                *waiting.entry(batch.signal()).or_default() += batch.len() as u64;
            }
            for (signal, items) in waiting.into_iter().filter(|(_, items)| *items > 0) {
                tracing::error!(
                    component = %slot, signal = signal.name(), items,
                    "Dropped what waited for a component that was not started."
                );
                let id = slot.id().map(ToString::to_string).unwrap_or_default();
                let name = format!("otelcol_{}_enqueue_failed_{}", slot.kind().name(), signal.items());
                let help = "Items that could not be handed over.";
                self.surroundings.telemetry.counter(&name, help, &[(slot.kind().name(), &id)]).add(items);
            }
        }
    }

    /// Waits for the next task to end, and says what that means. Never returns while nothing runs.
    pub(super) async fn next_end(&mut self) -> (Slot, Outcome) {
        loop {
            match self.tasks.join_next_with_id().await {
                Some(joined) => {
                    if let Some(end) = self.ended(joined) {
                        return end;
                    }
                }
                None => std::future::pending().await,
            }
        }
    }

    fn ended(&mut self, joined: Result<(tokio::task::Id, Result<(), Failure>), JoinError>) -> Option<(Slot, Outcome)> {
        let id = joined.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Owner { slot, leaving, .. } = self.owners.remove(&id)?;
        let outcome = match joined {
            Ok((_, Ok(()))) if leaving.is_some() || slot.is_told_to_stop() => Outcome::Fine,
            Ok((_, Ok(()))) => failed(&slot, ComponentError::new("ended although its input is open")),
            Ok((_, Err(Failure::Start { error, input }))) => {
                let instance = self.instances.remove(&slot);
                let entry = instance.and_then(|instance| instance.entry);
                if let (Some(entry), Some(input)) = (entry, input) {
                    self.orphans.insert(slot.clone(), (entry, input));
                }
                self.graph.vertices.remove(&slot);
                Outcome::NotStarted(error)
            }
            Ok((_, Err(Failure::Run(cause)))) => match cause.lost().filter(|_| leaving.is_some()) {
                Some(lost) => Outcome::Lost(lost),
                None => failed(&slot, cause),
            },
            // It was ended by force. Whatever it held it could not even count.
            Err(error) if error.is_cancelled() && slot.has_input() => Outcome::Lost(0),
            Err(error) if error.is_cancelled() => Outcome::Fine,
            Err(error) => {
                let said = error
                    .try_into_panic()
                    .map_or_else(|error| error.to_string(), |payload| panic_text(payload.as_ref()).to_owned());
                failed(&slot, ComponentError::new(format!("panicked: {said}")))
            }
        };
        self.forget_if_gone(&slot);
        Some((slot, outcome))
    }

    /// Takes the metrics of a component off the endpoint once no instance of it is left.
    fn forget_if_gone(&self, slot: &Slot) {
        let Some(id) = slot.id() else { return };
        let same = |other: &Slot| other.kind() == slot.kind() && other.id() == Some(id);
        if !self.graph.vertices.keys().any(same) && !self.owners.values().any(|owner| same(&owner.slot)) {
            self.surroundings.telemetry.forget(slot.kind().name(), &id.to_string());
        }
    }

    /// When the first of those that leave has to be gone.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.owners.values().filter_map(|owner| owner.leaving).min()
    }

    /// Aborts what should be gone by `now`.
    pub(super) fn abort_overdue(&mut self, now: Instant) {
        for owner in self.owners.values_mut() {
            if owner.leaving.is_some_and(|deadline| deadline <= now) {
                tracing::error!(
                    component = %owner.slot,
                    "A component did not end in time and is ended by force; what it still held is lost."
                );
                owner.abort.abort();
                owner.leaving = Some(now + ABORT_AGAIN);
            }
        }
    }

    /// Tells `which` components of the pipelines to end by `deadline`: receivers stop, the rest ends as inputs close.
    pub(super) fn end_pipelines(&mut self, deadline: Instant, which: impl Fn(&Slot) -> bool) {
        self.end(deadline, |slot| !slot.is_extension() && which(slot));
    }

    /// Tells the extensions to stop by `deadline`.
    pub(super) fn end_extensions(&mut self, deadline: Instant) {
        self.end(deadline, Slot::is_extension);
    }

    fn end(&mut self, deadline: Instant, which: impl Fn(&Slot) -> bool) {
        let slots: Vec<Slot> = self.instances.keys().rev().filter(|slot| which(slot)).cloned().collect();
        for slot in slots {
            self.retire(&slot, deadline, false);
        }
        // A second call brings forward the deadline of what leaves already.
        for owner in self.owners.values_mut().filter(|owner| which(&owner.slot)) {
            owner.stop.stop(deadline);
            owner.leaving = owner.leaving.map(|current| current.min(deadline + GRACE));
        }
        self.orphans.retain(|slot, _| !which(slot));
    }

    /// Whether tasks of `which` components of the pipelines are left.
    pub(super) fn pipelines_run(&self, which: impl Fn(&Slot) -> bool) -> bool {
        self.owners.values().any(|owner| !owner.slot.is_extension() && which(&owner.slot))
    }

    /// Whether any task is left.
    pub(super) fn anything_runs(&self) -> bool {
        !self.owners.is_empty()
    }
}

fn failed(slot: &Slot, cause: ComponentError) -> Outcome {
    Outcome::Failed(ServiceError::Failed { slot: slot.clone(), cause })
}

/// What a panic said.
pub fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}
