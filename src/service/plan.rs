//! What has to be done so that one graph runs in place of another. Pure: starting a service is the plan from
//! nothing to its graph, a reload the plan between two graphs.

use super::graph::{Edge, Graph, Slot, mentions};
use std::collections::{BTreeMap, BTreeSet};

/// One thing to do. The list that [`plan`] gives is in order: all of one kind before the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Build and start what did not exist.
    Start(Slot),
    /// Build and start anew what is configured differently; it takes over when its predecessor has ended.
    Replace(Slot),
    /// Hand a running component its configuration, for it to find out what changed.
    Update(Slot),
    /// Make a component's output lead there.
    Wire {
        /// Whose output: a receiver's, a processor's or a connector's.
        from: Slot,
        /// Where it leads, in order.
        to: Vec<Edge>,
    },
    /// End what is no longer wanted.
    Stop(Slot),
}

/// How a component of the new graph relates to the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Kept,
    Updated,
    New,
    Replaced,
}

impl Change {
    /// Whether there is another object at the end of the channel afterwards.
    fn moves(self) -> bool {
        matches!(self, Self::New | Self::Replaced)
    }
}

/// The steps from `old` to `new`: starts and replacements in the order of starting, then updates, then wiring,
/// then stops in the order of stopping. What is in `renew` is replaced even if its configuration is the same.
pub fn plan(old: &Graph, new: &Graph, renew: &BTreeSet<Slot>) -> Vec<Step> {
    let changes = changes(old, new, renew);
    let with = |wanted: Change| move |(slot, change): (&Slot, &Change)| (*change == wanted).then(|| slot.clone());
    let mut steps: Vec<Step> = Vec::new();
    for (slot, change) in &changes {
        match change {
            Change::New => steps.push(Step::Start(slot.clone())),
            Change::Replaced => steps.push(Step::Replace(slot.clone())),
            Change::Kept | Change::Updated => {}
        }
    }
    steps.extend(changes.iter().filter_map(with(Change::Updated)).map(Step::Update));
    for (from, change) in &changes {
        let to = new.downstream(from);
        let moved = |slot: &Slot| changes.get(slot).is_some_and(|change| change.moves());
        // A receiver also holds the gates of all processors behind it, wherever they stand.
        let gates_moved = match from {
            Slot::Receiver(id) => {
                let behind = new.processors_after(id);
                behind.iter().any(moved) || behind != old.processors_after(id)
            }
            _ => false,
        };
        if !to.is_empty()
            && (change.moves() || gates_moved || to.iter().any(|edge| moved(&edge.to)) || to != old.downstream(from))
        {
            steps.push(Step::Wire { from: from.clone(), to });
        }
    }
    let gone = old.vertices.keys().rev().filter(|slot| !new.vertices.contains_key(slot));
    steps.extend(gone.cloned().map(Step::Stop));
    steps
}

fn changes(old: &Graph, new: &Graph, renew: &BTreeSet<Slot>) -> BTreeMap<Slot, Change> {
    let mut renewed = reordered(old, new);
    renewed.extend(renew.iter().cloned());
    let mut renewed_extensions = Vec::new();
    let mut changes = BTreeMap::new();
    // Extensions come first in the order of slots, so what depends on them is judged after them.
    for (slot, vertex) in &new.vertices {
        let depends_on_renewed = || renewed_extensions.iter().any(|id| mentions(&vertex.config, id));
        let change = match old.vertices.get(slot) {
            None => Change::New,
            Some(_) if renewed.contains(slot) || depends_on_renewed() => Change::Replaced,
            // Even if its block is the same: it may name files that are not, such as `scrape_config_files`.
            Some(before) if vertex.factory.live_update && before.factory.type_name == vertex.factory.type_name => {
                Change::Updated
            }
            Some(before) if before == vertex => Change::Kept,
            Some(_) => Change::Replaced,
        };
        if let (Slot::Extension(id), true) = (slot, change.moves()) {
            renewed_extensions.push(id.clone());
        }
        changes.insert(slot.clone(), change);
    }
    changes
}

/// Processors that both graphs have but in another order. Rewiring them in place could send what is on its way
/// through one of them twice, so all of that pipeline are replaced.
fn reordered(old: &Graph, new: &Graph) -> BTreeSet<Slot> {
    let mut slots = BTreeSet::new();
    for id in new.pipelines.keys() {
        let before: Vec<Slot> = old.processors(id).filter(|slot| new.vertices.contains_key(slot)).collect();
        let after: Vec<Slot> = new.processors(id).filter(|slot| old.vertices.contains_key(slot)).collect();
        if before != after {
            slots.extend(after);
        }
    }
    slots
}
