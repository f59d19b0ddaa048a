//! Changes of identity, decided once for each series and remembered: where each point of an origin and a table goes.
//!
//! A processor that renames, drops or relabels series implements [`Judge`]. What it decides is kept here for as long as
//! the series lives, shared by origins that look the same to it, and in steady state a point costs one look at a list.

mod cache;
mod decisions;
mod mapping;
mod route;

pub(crate) use self::cache::{Cache, Sizes};
pub(crate) use self::route::Dropped;

#[cfg(test)]
pub(crate) use self::cache::Entry;
#[cfg(test)]
pub(crate) use self::mapping::Routes;

use pipeline::{MetricBatch, Origin, Series};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

/// How often ended and idle series are looked for.
pub(crate) const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// Decides what becomes of series.
pub(crate) trait Judge: Debug {
    /// As much of an origin as decisions depend on.
    type View: Clone + Eq + Hash + Debug;
    /// What is worked out once for all origins with one view.
    type Projection: Debug;
    /// The way from an incoming origin to an outgoing one.
    type Edit: Edit;

    /// What matters of an origin.
    fn view(&self, origin: &Origin) -> Self::View;

    /// What is to be known of all origins with this view.
    fn project(&self, view: &Self::View) -> Self::Projection;

    /// What becomes of a series at an origin with this projection.
    fn judge(&mut self, projection: &Self::Projection, series: &Series) -> Verdict<Self::Edit>;

    /// Lets go of what only spares work within one table.
    fn finish_table(&mut self) {}
}

/// The difference between two origins.
pub(crate) trait Edit: Eq + Hash + Debug {
    /// The origin with these changes; `None` if that is the same one.
    fn apply(&self, origin: &Arc<Origin>) -> Option<Arc<Origin>>;
}

/// Why a point does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DropReason {
    /// A rule says so.
    Rule,
    /// The rules left no name.
    Nameless,
    /// The point's series is not in its table: a defect of its receiver.
    UnknownSeries,
}

/// What becomes of a series.
#[derive(Debug)]
pub(crate) enum Verdict<E> {
    /// It is dropped.
    Drop(DropReason),
    /// It goes on.
    Keep {
        /// At the origin that these changes lead to.
        edit: Arc<E>,
        /// As this series; `None` if it is the same.
        series: Option<Arc<Series>>,
    },
}

/// Leads batches along what was decided.
#[derive(Debug)]
pub(crate) struct Router<J: Judge> {
    pub(crate) cache: Cache<J>,
}

impl<J: Judge> Router<J> {
    pub(crate) fn new(judge: J) -> Self {
        Self { cache: Cache::new(judge) }
    }

    /// The batch that comes out, and what was dropped on the way.
    pub(crate) fn lead(&mut self, batch: MetricBatch) -> (MetricBatch, Dropped) {
        self.cache.sweep_if_grown();
        let mut dropped = Dropped::default();
        // Groups that others share are copied when they are changed; so first see whether they are.
        if batch.groups().iter().all(|group| self.cache.entry(group).is_unchanged()) {
            return (batch, dropped);
        }
        let (groups, acks) = batch.into_parts();
        let mut out = Vec::with_capacity(groups.len());
        for group in groups {
            let entry = self.cache.entry(&group);
            route::lead(group, entry, &mut out, &mut dropped);
        }
        (MetricBatch::with_acks(out, acks), dropped)
    }
}
