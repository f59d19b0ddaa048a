//! What a target says of itself: `target_info` is not a metric in OTLP, its labels are attributes of the resource.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use pipeline::{AttributesBuilder, Origin, PointGroup, Resource, Series, SeriesTable, Slot, Source};

/// The name of the series whose labels describe its target.
pub(super) const TARGET_INFO: &str = "target_info";

/// Resources of targets that describe themselves.
#[derive(Debug, Default)]
pub(super) struct Targets {
    /// By the slot of the table: which of its series are `target_info`. Each entry is replaced when its slot has a new holder, so
    /// that this is as long as the most tables that were alive at once.
    tables: Vec<Option<(Slot, Box<[u32]>)>>,
    /// By the resource that job and instance give. Series of one target may be of several origins.
    described: HashMap<Resource, Described>,
    /// At how many targets those are let go whose series are gone.
    swept_at: usize,
}

#[derive(Debug)]
struct Described {
    by: Vec<Weak<Series>>,
    resource: Resource,
}

/// The least number of targets for which it pays to look which are gone.
const FEW_TARGETS: usize = 1024;

impl Targets {
    /// Takes note of what the table of a group says of its origin, whether or not a point of it is in the group: a batch may
    /// have been cut.
    pub(super) fn note(&mut self, group: &PointGroup) {
        if group.origin.source == Source::Otlp {
            return;
        }
        let Some(entry) = place(&mut self.tables, group.table.slot()) else { return };
        let found = match entry {
            Some((of, found)) if *of == group.table.slot() => found,
            stale => &mut stale.insert((group.table.slot(), infos_of(&group.table))).1,
        };
        if found.is_empty() {
            return;
        }
        let by: Vec<&Arc<Series>> = found.iter().filter_map(|at| group.table.get(*at)).collect();
        let known = self.described.get(&group.origin.resource).is_some_and(|described| {
            described.by.len() == by.len()
                && described.by.iter().zip(&by).all(|(known, now)| std::ptr::eq(known.as_ptr(), Arc::as_ptr(now)))
        });
        if known {
            return;
        }
        if self.described.len() >= self.swept_at.max(FEW_TARGETS) {
            self.described.retain(|_, described| described.by.iter().all(|series| series.strong_count() > 0));
            self.swept_at = 2 * self.described.len();
        }
        let resource = described_resource(&group.origin, &by);
        let by = by.into_iter().map(Arc::downgrade).collect();
        self.described.insert(group.origin.resource.clone(), Described { by, resource });
    }

    /// The resource of an origin, with what its target says of itself.
    pub(super) fn resource<'a>(&'a self, origin: &'a Origin) -> &'a Resource {
        if origin.source == Source::Otlp || self.described.is_empty() {
            return &origin.resource;
        }
        self.described.get(&origin.resource).map_or(&origin.resource, |described| &described.resource)
    }
}

/// The entry of a slot, for which the list is made long enough.
fn place<T>(list: &mut Vec<Option<T>>, slot: Slot) -> Option<&mut Option<T>> {
    let index = slot.id as usize;
    if list.len() <= index {
        list.resize_with(index + 1, || None);
    }
    list.get_mut(index)
}

fn infos_of(table: &SeriesTable) -> Box<[u32]> {
    let named = (0u32..).zip(table.as_slice()).filter(|(_, series)| &*series.name == TARGET_INFO);
    named.map(|(at, _)| at).collect()
}

/// The labels unaltered, over what is known of the target otherwise, as the Collector's receiver has it.
fn described_resource(origin: &Origin, by: &[&Arc<Series>]) -> Resource {
    let mut builder = AttributesBuilder::default();
    let told = by.iter().flat_map(|series| &series.attributes);
    for (key, value) in origin.resource.attributes.iter().chain(told) {
        builder.push(key, value);
    }
    Resource { attributes: builder.build(), ..origin.resource.clone() }
}
