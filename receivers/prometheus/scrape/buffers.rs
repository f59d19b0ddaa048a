//! Buffers for bodies, lent for the time of one scrape.
//!
//! A thousand targets have a thousand bodies a minute but only a few at any moment; a buffer per target would
//! keep them all.

use parking_lot::Mutex;

/// Buffers kept for later. More scrapes at once than this find no buffer and allocate.
const KEPT: usize = 16;

/// A buffer that has grown beyond this is given back to the allocator.
const MAX_KEPT_BYTES: usize = 2 << 20;

/// The buffers of a job: one stock for bodies as they come, one for inflated pages, which are several times as large.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    pub(super) bodies: Stock,
    pub(super) pages: Stock,
}

/// A stock of buffers.
#[derive(Debug, Default)]
pub(super) struct Stock(Mutex<Vec<Vec<u8>>>);

impl Stock {
    /// A buffer with whatever it held before: to inflate into it, only what it grows by has to be zeroed.
    pub(super) fn take(&self) -> Vec<u8> {
        self.0.lock().pop().unwrap_or_default()
    }

    pub(super) fn give_back(&self, buffer: Vec<u8>) {
        if buffer.capacity() == 0 || buffer.capacity() > MAX_KEPT_BYTES {
            return;
        }
        let mut kept = self.0.lock();
        if kept.len() < KEPT {
            kept.push(buffer);
        }
    }
}
