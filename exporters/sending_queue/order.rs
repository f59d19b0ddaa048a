//! Which requests may be under way at once.
//!
//! A series belongs to a resource, so two requests whose resources differ have no series in common and may overtake each other. A
//! resource is known by a hash of its bytes: should two hashes agree, a request waits that need not.

use std::collections::HashMap;

use otlp::view::View;
use pipeline::component::Signal;
use xxhash_rust::xxh3::xxh3_64;

/// The resources of a request, each once; none for signals that have no order to keep.
pub(super) fn keys(signal: Signal, request: &[u8]) -> Box<[u64]> {
    if signal != Signal::Metrics {
        return Box::default();
    }
    let resources = View::of(request).messages(1);
    let mut keys: Vec<u64> = resources.map(|resource| xxh3_64(resource.bytes(1))).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into()
}

/// The resources of all requests that are under way.
#[derive(Default)]
pub(super) struct Order(HashMap<u64, u32>);

impl Order {
    /// Whether a request with these resources has to wait.
    pub(super) fn is_taken(&self, keys: &[u64]) -> bool {
        !self.0.is_empty() && keys.iter().any(|key| self.0.contains_key(key))
    }

    /// A request with these resources is under way.
    pub(super) fn begin(&mut self, keys: &[u64]) {
        for key in keys {
            *self.0.entry(*key).or_default() += 1;
        }
    }

    /// It has ended.
    pub(super) fn end(&mut self, keys: &[u64]) {
        for key in keys {
            if let Some(count) = self.0.get_mut(key) {
                *count -= 1;
                if *count == 0 {
                    self.0.remove(key);
                }
            }
        }
    }
}
