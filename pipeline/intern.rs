//! Interning: equal things are one allocation, which lets everybody compare them by pointer and keep
//! side tables under a small dense id.
//!
//! An entry lives as long as somebody holds it. Its table keeps a weak reference only, and the last
//! holder's drop removes it, so tables are bounded by what is alive, without a sweep.

use hashbrown::HashTable;
use parking_lot::Mutex;
use std::sync::{Arc, Weak};

/// What can be interned in a [`Pool`].
pub(crate) trait Interned: Sized + Send + Sync + 'static {
    fn pool() -> &'static Pool<Self>;
    fn hash(&self) -> u64;
    fn same(&self, other: &Self) -> bool;
    fn slot(&mut self) -> &mut Slot;
}

/// A dense id that is given again after its holder is gone, and a number that is never given again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Slot {
    /// Small; at most as large as the largest number of entries that were alive at once.
    pub id: u32,
    /// Distinguishes successive holders of one `id`.
    pub generation: u32,
}

/// The table of all living entries of one type.
pub(crate) struct Pool<T> {
    inner: Mutex<Inner<T>>,
}

struct Inner<T> {
    table: HashTable<(u64, Weak<T>)>,
    free: Vec<u32>,
    next: u32,
    generation: u32,
}

impl<T: Interned> Pool<T> {
    pub(crate) const fn new() -> Self {
        Self { inner: Mutex::new(Inner { table: HashTable::new(), free: Vec::new(), next: 0, generation: 0 }) }
    }

    /// The living entry equal to `value`, or `value` itself with an id of its own.
    pub(crate) fn intern(&self, mut value: T) -> Arc<T> {
        let hash = value.hash();
        // Declared before the guard, hence dropped after it: dropping the last reference to an entry
        // runs `remove`, which takes the lock.
        let mut held = Vec::new();
        let mut inner = self.inner.lock();
        let hit = inner.table.find(hash, |(h, weak)| {
            *h == hash
                && weak.upgrade().is_some_and(|living| {
                    let same = living.same(&value);
                    held.push(living);
                    same
                })
        });
        if hit.is_some()
            && let Some(found) = held.pop()
        {
            return found;
        }
        let id = inner.free.pop().unwrap_or_else(|| {
            inner.next += 1;
            inner.next - 1
        });
        inner.generation = inner.generation.wrapping_add(1);
        *value.slot() = Slot { id, generation: inner.generation };
        let value = Arc::new(value);
        inner.table.insert_unique(hash, (hash, Arc::downgrade(&value)), |(h, _)| *h);
        value
    }

    /// Called by the entry's own `Drop`.
    pub(crate) fn remove(&self, hash: u64, slot: Slot, at: *const T) {
        let mut inner = self.inner.lock();
        if let Ok(entry) = inner.table.find_entry(hash, |(_, weak)| std::ptr::eq(weak.as_ptr(), at)) {
            entry.remove();
            inner.free.push(slot.id);
            if inner.table.is_empty() {
                inner.table.shrink_to_fit(|(h, _)| *h);
            }
        }
    }

    /// How many entries are alive.
    pub(crate) fn len(&self) -> usize {
        self.inner.lock().table.len()
    }
}
