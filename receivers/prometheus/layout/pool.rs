//! Shares layouts between the targets of a job.

use super::{Layout, ReadOptions, Reading};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// Layouts tried on a target that has none of its own yet. Jobs have one page in a few variants (versions,
/// machine types); trying one costs little, since a wrong one usually differs within its first lines.
const CANDIDATES: usize = 4;

/// All living layouts of a job, for targets whose labels cannot tell them apart.
#[derive(Debug, Default)]
pub(in super::super) struct LayoutPool {
    classes: Mutex<HashMap<u64, Class>>,
}

#[derive(Debug, Default)]
struct Class {
    by_hash: HashMap<u64, Vec<Weak<Layout>>>,
    recent: Vec<Weak<Layout>>,
}

impl LayoutPool {
    /// Reads `body` by a layout that another target of the same class has.
    pub(in super::super) fn adopt(
        &self,
        class: u64,
        body: &[u8],
        options: ReadOptions,
        reading: &mut Reading,
    ) -> Option<Arc<Layout>> {
        let candidates: Vec<Arc<Layout>> =
            self.classes.lock().get(&class)?.recent.iter().filter_map(Weak::upgrade).collect();
        candidates.into_iter().rev().find(|layout| layout.read(body, options, reading).is_some())
    }

    /// The living layout equal to `layout`, or `layout` itself, from now on known to others.
    pub(in super::super) fn share(&self, class: u64, layout: Layout) -> Arc<Layout> {
        let mut classes = self.classes.lock();
        let class = classes.entry(class).or_default();
        let same_hash = class.by_hash.entry(layout.hash).or_default();
        same_hash.retain(|weak| weak.strong_count() > 0);
        if let Some(known) = same_hash.iter().filter_map(Weak::upgrade).find(|known| known.same(&layout)) {
            return known;
        }
        let layout = Arc::new(layout);
        same_hash.push(Arc::downgrade(&layout));
        if layout.slots.iter().any(|slot| slot.origin.is_some()) {
            // Its samples have origins of their own, which depend on more than the class says.
            return layout;
        }
        class.recent.retain(|weak| weak.strong_count() > 0);
        if class.recent.len() >= CANDIDATES {
            class.recent.remove(0);
        }
        class.recent.push(Arc::downgrade(&layout));
        // Under churn every scrape leaves a dead entry behind: sweep when they may be the most.
        if class.by_hash.len() > 64 && class.by_hash.len().is_power_of_two() {
            class.by_hash.retain(|_, all| all.iter().any(|weak| weak.strong_count() > 0));
        }
        layout
    }
}
