//! Series that a store was found to mind.
//!
//! What it minds of a series today (a label that is too long, a clock that is wrong) it will most likely mind in the next request
//! too. To find it costs some thirty requests each time; to send it last, when something in a request is refused, costs two.

use parking_lot::Mutex;
use prometheus::remote_write::wire::LabelBytes;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio::time::Instant;
use xxhash_rust::xxh3::Xxh3Default;

/// How many are remembered: more than are found in a minute of requests. Then they are forgotten together, and found again.
const MOST: usize = 1024;

/// How long one is remembered that was not refused again.
const REMEMBERED: Duration = Duration::from_secs(600);

/// Those that are remembered, by a hash: whoever is taken for one is sent a little later, and nothing else.
#[derive(Debug, Default)]
pub(crate) struct Culprits(Mutex<HashMap<u64, Instant>>);

/// Those that are remembered at one moment.
pub(super) struct Known(HashSet<u64>);

impl Culprits {
    /// The series with these labels was refused by itself.
    pub(super) fn note(&self, labels: &[LabelBytes<'_>]) {
        let mut known = self.0.lock();
        if known.len() >= MOST {
            known.retain(|_, since| since.elapsed() < REMEMBERED);
        }
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(hash(labels), Instant::now());
    }

    /// A sample of the series was accepted.
    pub(super) fn forget(&self, labels: &[LabelBytes<'_>]) {
        self.0.lock().remove(&hash(labels));
    }

    /// Those that are remembered now, if any are.
    pub(super) fn known(&self) -> Option<Known> {
        let known = self.0.lock();
        let living: HashSet<u64> =
            known.iter().filter(|(_, since)| since.elapsed() < REMEMBERED).map(|(hash, _)| *hash).collect();
        (!living.is_empty()).then_some(Known(living))
    }
}

impl Known {
    /// Whether the series with these labels is one of them.
    pub(super) fn has(&self, labels: &[LabelBytes<'_>]) -> bool {
        self.0.contains(&hash(labels))
    }
}

fn hash(labels: &[LabelBytes<'_>]) -> u64 {
    let mut hasher = Xxh3Default::new();
    for text in labels.iter().flat_map(|(name, value)| [name, value]) {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text);
    }
    hasher.digest()
}
