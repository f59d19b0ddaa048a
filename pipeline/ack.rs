//! Acknowledgement: a receiver that can answer its sender learns what became of a batch.
//!
//! A batch carries a handle. Every component that takes over responsibility (splits, merges, fans out)
//! clones it; whoever ends a copy says how. The last holder's answer resolves the waiter with the worst
//! outcome of all.

use crate::client::Client;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use tokio::sync::oneshot;

/// What became of a batch, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum AckOutcome {
    /// Every destination has it.
    Delivered = 1,
    /// What is not delivered is in a log on disk.
    Persisted = 2,
    /// Part of it was given up; sending it again would not help.
    Rejected = 3,
    /// Part of it was given up; the sender may try again.
    Dropped = 4,
}

#[derive(Debug)]
struct Shared {
    worst: AtomicU8,
    waiter: Mutex<Option<oneshot::Sender<AckOutcome>>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        let outcome = match self.worst.load(Ordering::Acquire) {
            1 => AckOutcome::Delivered,
            2 => AckOutcome::Persisted,
            3 => AckOutcome::Rejected,
            _ => AckOutcome::Dropped,
        };
        if let Some(waiter) = self.waiter.get_mut().take() {
            // The waiter may have given up; then nobody is interested.
            waiter.send(outcome).ok();
        }
    }
}

/// One holder's share in a batch's acknowledgement. Dropping it without a word counts as
/// [`AckOutcome::Dropped`].
#[derive(Debug)]
pub struct Ack {
    shared: Option<Arc<Shared>>,
}

impl Ack {
    /// A handle and the end at which its fate is learnt.
    pub fn channel() -> (Self, oneshot::Receiver<AckOutcome>) {
        let (sender, receiver) = oneshot::channel();
        let shared = Shared { worst: AtomicU8::new(0), waiter: Mutex::new(Some(sender)) };
        (Self { shared: Some(Arc::new(shared)) }, receiver)
    }

    /// Says how this share ended.
    pub fn resolve(mut self, outcome: AckOutcome) {
        self.end(outcome);
    }

    fn end(&mut self, outcome: AckOutcome) {
        if let Some(shared) = self.shared.take() {
            shared.worst.fetch_max(outcome as u8, Ordering::AcqRel);
        }
    }
}

impl Clone for Ack {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl Drop for Ack {
    fn drop(&mut self) {
        self.end(AckOutcome::Dropped);
    }
}

/// Who a batch came from: the handles of those who wait, and what is known about the client. Empty (and free) when
/// nobody waits and no receiver was asked to hand anything on.
#[derive(Clone, Debug, Default)]
pub struct Acks {
    handles: Vec<Ack>,
    client: Option<Arc<Client>>,
}

impl Acks {
    /// The set of one handle.
    pub fn one(ack: Ack) -> Self {
        Self { handles: vec![ack], client: None }
    }

    /// The same, saying who sent the batch.
    #[must_use]
    pub fn from_client(self, client: Option<Arc<Client>>) -> Self {
        Self { client, ..self }
    }

    /// Who sent the batch, if all of it came from one client and its receiver hands that on.
    pub fn client(&self) -> Option<&Arc<Client>> {
        self.client.as_ref()
    }

    /// Whether somebody waits: then batching does not hold the data back for its timer.
    pub fn awaited(&self) -> bool {
        !self.handles.is_empty()
    }

    /// Takes the handles of another batch as well. What came from several clients came from none in particular.
    pub fn merge(&mut self, other: Self) {
        self.handles.extend(other.handles);
        if self.client != other.client {
            self.client = None;
        }
    }

    /// Says how all shares ended.
    pub fn resolve(self, outcome: AckOutcome) {
        for ack in self.handles {
            ack.resolve(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_worst_outcome_is_reported_once_all_are_done() {
        let (ack, mut waiter) = Ack::channel();
        let other = ack.clone();
        ack.resolve(AckOutcome::Delivered);
        assert!(waiter.try_recv().is_err());
        other.resolve(AckOutcome::Persisted);
        assert_eq!(waiter.await.ok(), Some(AckOutcome::Persisted));
    }

    #[tokio::test]
    async fn silence_counts_as_dropped() {
        let (ack, waiter) = Ack::channel();
        let acks = Acks::one(ack);
        let copy = acks.clone();
        acks.resolve(AckOutcome::Delivered);
        drop(copy);
        assert_eq!(waiter.await.ok(), Some(AckOutcome::Dropped));
    }
}
