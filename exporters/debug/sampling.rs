//! Sampling of batches: the first few of each second, then every n-th.

use std::time::Duration;

use tokio::time::Instant;

/// Counts the batches of the current second.
#[derive(Debug)]
pub(super) struct Sampler {
    initial: u64,
    thereafter: u64,
    second: Option<Instant>,
    seen: u64,
}

impl Sampler {
    /// `thereafter` 1 lets everything through; 0 lets nothing through after the initial ones.
    pub(super) fn new(initial: u64, thereafter: u64) -> Self {
        Self { initial, thereafter, second: None, seen: 0 }
    }

    /// Whether the batch that arrives at `now` is to be shown.
    pub(super) fn admits(&mut self, now: Instant) -> bool {
        let over = self.second.is_none_or(|start| now.duration_since(start) >= Duration::from_secs(1));
        if over {
            self.second = Some(now);
            self.seen = 0;
        }
        self.seen += 1;
        match self.seen.checked_sub(self.initial) {
            None | Some(0) => true,
            Some(beyond) => self.thereafter != 0 && beyond % self.thereafter == 0,
        }
    }
}
