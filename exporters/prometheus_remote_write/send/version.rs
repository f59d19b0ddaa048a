//! Which version of remote write a store is spoken to in.

use parking_lot::Mutex;
use prometheus::remote_write::protocol::ProtocolVersion;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// How long a store that does not know version 2.0 is spoken to in 1.0 before it is asked again: long enough that the one
/// request which is encoded twice does not matter, short enough that an upgrade of the store is noticed the same day.
pub(crate) const FALL_BACK_FOR: Duration = Duration::from_secs(3600);

/// The version that is wanted, and whether the store knows it.
#[derive(Debug)]
pub(crate) struct Spoken {
    wanted: ProtocolVersion,
    fallen_back: Mutex<Option<Instant>>,
    /// The store has accepted a request of version 2.0 once.
    understood: AtomicBool,
}

impl Spoken {
    pub(crate) fn new(wanted: ProtocolVersion) -> Self {
        Self { wanted, fallen_back: Mutex::default(), understood: AtomicBool::new(false) }
    }

    /// The version to use now.
    pub(crate) fn now(&self) -> ProtocolVersion {
        let mut fallen_back = self.fallen_back.lock();
        match *fallen_back {
            Some(since) if since.elapsed() < FALL_BACK_FOR => ProtocolVersion::V1,
            _ => {
                *fallen_back = None;
                self.wanted
            }
        }
    }

    /// The store has accepted a request of this version.
    pub(crate) fn understood(&self, version: ProtocolVersion) {
        if version == ProtocolVersion::V2 && !self.is_understood() {
            self.understood.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the store has accepted a request of version 2.0.
    pub(crate) fn is_understood(&self) -> bool {
        self.understood.load(Ordering::Relaxed)
    }

    /// The store does not know the version that is wanted; whether that is news.
    pub(crate) fn fall_back(&self) -> bool {
        self.fallen_back.lock().replace(Instant::now()).is_none()
    }
}
