//! Batches of several clients side by side, told apart by the metadata that the configuration names.

use super::pending::Pending;
use pipeline::{Batch, Client};
use std::sync::Arc;
use tokio::time::Instant;

/// The values of the keys that tell clients apart.
type Key = Vec<Option<Vec<Box<str>>>>;

/// What waits of clients that look alike.
#[derive(Debug)]
pub(super) struct Lane {
    key: Key,
    /// The client that batches come from, as far as it is the same for all of them.
    client: Option<Arc<Client>>,
    pub(super) pending: Pending,
    /// When what waits has waited long enough.
    pub(super) due: Option<Instant>,
}

/// All that waits.
#[derive(Debug)]
pub(super) struct Lanes {
    /// Keys of metadata, in lowercase. Without any there is one lane for everybody.
    keys: Vec<String>,
    /// The most lanes there may be.
    limit: usize,
    max_size: usize,
    all: Vec<Lane>,
}

impl Lanes {
    pub(super) fn new(keys: &[String], limit: usize, max_size: usize) -> Self {
        let keys = keys.iter().map(|key| key.to_ascii_lowercase()).collect();
        Self { keys, limit: if limit == 0 { usize::MAX } else { limit }, max_size, all: Vec::new() }
    }

    /// The place of the lane that a batch belongs to; `None` if it would be one too many.
    pub(super) fn of(&mut self, batch: &Batch) -> Option<usize> {
        let client = batch.acks().client();
        let values = |key: &String| client.and_then(|client| client.metadata(key)).map(<[_]>::to_vec);
        let key: Key = self.keys.iter().map(values).collect();
        if let Some(at) = self.all.iter().position(|lane| lane.key == key) {
            return Some(at);
        }
        if self.all.len() >= self.limit {
            return None;
        }
        // What the clients of a lane have in common is what tells them from others.
        let client = (!self.keys.is_empty()).then(|| client.map(|client| Arc::new(client.only(&self.keys)))).flatten();
        self.all.push(Lane { key, client, pending: Pending::new(self.max_size), due: None });
        Some(self.all.len() - 1)
    }

    pub(super) fn get(&mut self, at: usize) -> Option<&mut Lane> {
        self.all.get_mut(at)
    }

    pub(super) fn iter(&mut self) -> impl Iterator<Item = &mut Lane> {
        self.all.iter_mut()
    }

    /// When the first lane is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.all.iter().filter_map(|lane| lane.due).min()
    }

    /// Lets go of lanes in which nothing waits. How many there are.
    pub(super) fn tidy(&mut self) -> usize {
        self.all.retain(|lane| !lane.pending.is_empty());
        self.all.len()
    }
}

impl Lane {
    /// Batches of this lane, with its client.
    pub(super) fn signed(&self, mut batches: Vec<Batch>) -> Vec<Batch> {
        if let Some(client) = &self.client {
            for batch in &mut batches {
                let acks = batch.acks_mut();
                *acks = std::mem::take(acks).from_client(Some(Arc::clone(client)));
            }
        }
        batches
    }
}
