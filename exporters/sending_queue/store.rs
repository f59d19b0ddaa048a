//! Where requests wait: in memory, or on disk.

use std::collections::VecDeque;
use std::sync::Arc;

use pipeline::component::Signal;
use tokio::time::Instant;
use wal::Log;

use super::config::Sizer;
use super::durable::Durable;
use super::metrics::Metrics;
use super::request::{Claim, Content, Queued, Ticket};

/// What waits.
pub(super) enum Store {
    /// In memory.
    Memory(Memory),
    /// On disk.
    Durable(Box<Durable>),
}

/// What waits in memory.
#[derive(Default)]
pub(super) struct Memory {
    queue: VecDeque<Queued>,
    /// Size of what waits or is under way.
    used: u64,
}

impl Default for Store {
    fn default() -> Self {
        Self::Memory(Memory::default())
    }
}

impl Store {
    pub(super) fn durable(log: Log, signal: Signal, metrics: &Arc<Metrics>) -> Self {
        Self::Durable(Box::new(Durable::new(log, signal, metrics)))
    }

    pub(super) fn is_durable(&self) -> bool {
        matches!(self, Self::Durable(_))
    }

    /// The size of what waits or is under way.
    pub(super) fn used(&self, sizer: Sizer) -> u64 {
        match self {
            Self::Memory(memory) => memory.used,
            Self::Durable(durable) => durable.used(sizer),
        }
    }

    /// Takes a request of this size.
    pub(super) async fn put(&mut self, content: Content, claim: Claim, size: u64) {
        match self {
            Self::Memory(memory) => {
                memory.used += size;
                memory.queue.push_back(Queued { content, ticket: Ticket::Memory(claim, size) });
            }
            Self::Durable(durable) => durable.put(content, claim, size).await,
        }
    }

    /// The next request; waits until there is one. May be dropped at any point and called again without losing one.
    pub(super) async fn next(&mut self) -> Queued {
        match self {
            Self::Memory(memory) => match memory.queue.pop_front() {
                Some(queued) => queued,
                None => std::future::pending().await,
            },
            Self::Durable(durable) => durable.next().await,
        }
    }

    /// Whether [`Store::next`] has nothing to give.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Memory(memory) => memory.queue.is_empty(),
            Self::Durable(durable) => durable.is_empty(),
        }
    }

    /// Whether some of what waits is in memory only.
    pub(super) fn is_at_risk(&self) -> bool {
        match self {
            Self::Memory(memory) => !memory.queue.is_empty(),
            Self::Durable(durable) => durable.is_at_risk(),
        }
    }

    /// A request in memory has come to its end.
    pub(super) fn release(&mut self, size: u64) {
        match self {
            Self::Memory(memory) => memory.used = memory.used.saturating_sub(size),
            Self::Durable(durable) => durable.release(size),
        }
    }

    /// A record of the log has come to its end.
    pub(super) async fn done(&mut self, record: u64) {
        if let Self::Durable(durable) = self {
            durable.done(record).await;
        }
    }

    /// When [`Store::wake`] wants to be called.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        match self {
            Self::Memory(_) => None,
            Self::Durable(durable) => Some(durable.wake_at()),
        }
    }

    /// Does what has become due.
    pub(super) async fn wake(&mut self) {
        if let Self::Durable(durable) = self {
            durable.wake().await;
        }
    }

    /// Publishes how things are on disk.
    pub(super) fn publish(&mut self) {
        if let Self::Durable(durable) = self {
            durable.publish();
        }
    }

    /// Requests on disk that are not delivered.
    pub(super) fn on_disk(&self) -> u64 {
        match self {
            Self::Memory(_) => 0,
            Self::Durable(durable) => durable.on_disk(),
        }
    }
}
