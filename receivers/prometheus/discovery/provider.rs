//! What a discovery mechanism does, and how it says what it found.

use async_trait::async_trait;
use pipeline::telemetry::Counter;
use std::sync::Arc;
use tokio::sync::{Notify, watch};

use super::group::TargetGroup;

/// All groups that one discoverer knows of at a time.
pub type Groups = Arc<[Arc<TargetGroup>]>;

/// Finds targets in one way with one setting.
#[async_trait]
pub trait Discoverer: Send {
    /// Publishes what there is, and again whenever it changes. Runs until it is dropped; must not hold on to
    /// anything that does not end with it.
    async fn run(self: Box<Self>, publisher: Publisher);
}

/// Takes what a discoverer finds. Only what is published last counts.
#[derive(Clone, Debug)]
pub struct Publisher {
    /// `None` until the first attempt has ended.
    groups: watch::Sender<Option<Groups>>,
    changed: Arc<Notify>,
    received: Counter,
}

impl Publisher {
    /// A publisher that calls on `changed` and counts in `received`, and where its groups can be read.
    pub(super) fn new(changed: Arc<Notify>, received: Counter) -> (Self, watch::Receiver<Option<Groups>>) {
        let (groups, latest) = watch::channel(None);
        (Self { groups, changed, received }, latest)
    }

    /// Replaces everything published before.
    pub fn publish(&self, groups: Groups) {
        self.received.inc();
        let modified = self.groups.send_if_modified(|latest| {
            let differs = latest.as_ref() != Some(&groups);
            if differs {
                *latest = Some(groups);
            }
            differs
        });
        if modified {
            self.changed.notify_one();
        }
    }

    /// Says that an attempt failed: what was found before stays, and if there is nothing yet, nobody waits for it.
    pub fn failed(&self) {
        let first = self.groups.send_if_modified(|latest| {
            let first = latest.is_none();
            latest.get_or_insert_with(|| Arc::new([]));
            first
        });
        if first {
            self.changed.notify_one();
        }
    }
}
