//! How large a request may be, as far as the store has said.

use parking_lot::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// How long what a 413 has taught is kept. Then a larger request is tried again: limits are raised, and proxies exchanged.
const BELIEVED_FOR: Duration = Duration::from_secs(600);

/// Requests are not made smaller than this for a 413, in compressed bytes: some hundred samples, which any store takes that is
/// one. A proxy that takes less is met by halving each request.
const SMALLEST: usize = 16 * 1024;

/// The size that a store was found to take.
#[derive(Debug, Default)]
pub(crate) struct Size(Mutex<Option<(usize, Instant)>>);

impl Size {
    /// The most bytes of a request, if `own` are the most that the configuration allows.
    pub(crate) fn limit(&self, own: usize) -> usize {
        let mut learnt = self.0.lock();
        match *learnt {
            Some((bytes, since)) if since.elapsed() < BELIEVED_FOR => own.min(bytes),
            _ => {
                *learnt = None;
                own
            }
        }
    }

    /// The store has refused `bytes` as too many.
    pub(super) fn refused(&self, bytes: usize) {
        let mut learnt = self.0.lock();
        let half = (bytes / 2).max(SMALLEST);
        let now = learnt.map_or(half, |(known, _)| known.min(half));
        *learnt = Some((now, Instant::now()));
    }
}
