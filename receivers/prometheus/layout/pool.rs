//! Shares layouts between the targets of a job.

use super::{Layout, ReadOptions, Reading};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// Layouts tried on a target that has none of its own yet. Jobs have one page in a few variants (versions,
/// machine types); trying one costs little, since a wrong one usually differs within its first lines.
const CANDIDATES: usize = 4;

/// All living layouts of a job.
#[derive(Debug, Default)]
pub(in super::super) struct LayoutPool(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Equal layouts are one, whatever targets they were made for.
    by_hash: HashMap<u64, Vec<Weak<Layout>>>,
    /// The last ones made for targets whose labels cannot tell them apart, by the class of those targets.
    recent: HashMap<u64, Vec<Weak<Layout>>>,
}

/// Under churn every scrape leaves a dead entry behind; they are swept when the maps reach this size, and
/// then at each doubling.
const SWEEP_AT: usize = 64;

impl LayoutPool {
    /// Reads `body` by a layout that another target of the same class has.
    pub(in super::super) fn adopt(
        &self,
        class: u64,
        body: &[u8],
        options: ReadOptions,
        reading: &mut Reading,
    ) -> Option<Arc<Layout>> {
        let candidates: Vec<Arc<Layout>> = self.0.lock().recent.get(&class)?.iter().filter_map(Weak::upgrade).collect();
        candidates.into_iter().rev().find(|layout| layout.read(body, options, reading).is_some())
    }

    /// The living layout equal to `layout`, or `layout` itself, from now on known to others.
    pub(in super::super) fn share(&self, class: u64, layout: Layout) -> Arc<Layout> {
        let mut known = self.0.lock();
        let Known { by_hash, recent } = &mut *known;
        if by_hash.len() >= SWEEP_AT && by_hash.len().is_power_of_two() {
            by_hash.retain(|_, all| all.iter().any(|weak| weak.strong_count() > 0));
            recent.retain(|_, all| all.iter().any(|weak| weak.strong_count() > 0));
        }
        let same_hash = by_hash.entry(layout.hash).or_default();
        same_hash.retain(|weak| weak.strong_count() > 0);
        if let Some(known) = same_hash.iter().filter_map(Weak::upgrade).find(|known| known.same(&layout)) {
            return known;
        }
        let adoptable = layout.slots.iter().all(|slot| slot.origin.is_none());
        let layout = Arc::new(layout);
        same_hash.push(Arc::downgrade(&layout));
        // Samples with origins of their own depend on more than the class says.
        if adoptable {
            let recent = recent.entry(class).or_default();
            recent.retain(|weak| weak.strong_count() > 0);
            if recent.len() >= CANDIDATES {
                recent.remove(0);
            }
            recent.push(Arc::downgrade(&layout));
        }
        layout
    }
}
