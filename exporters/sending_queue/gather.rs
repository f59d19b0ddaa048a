//! The `batch` block: requests that follow each other in the queue leave as one. Requests in protobuf one after the other are one, so that
//! putting them together is copying.

use bytes::Bytes;
use tokio::time::Instant;

use super::config::BatchSettings;
use super::request::{Body, Queued, Ticket};

/// A request on its way to the destination, for one or several that have waited.
pub(super) struct Parcel {
    pub(super) parts: Vec<Body>,
    pub(super) keys: Box<[u64]>,
    pub(super) tickets: Vec<Ticket>,
}

impl Parcel {
    pub(super) fn items(&self) -> u64 {
        self.tickets.iter().map(Ticket::items).sum()
    }

    /// Whether all of it is on disk too.
    pub(super) fn is_durable(&self) -> bool {
        self.tickets.iter().all(|ticket| matches!(ticket, Ticket::Log(..)))
    }
}

/// One request of several in protobuf.
pub(super) fn joined(parts: &[Bytes]) -> Bytes {
    match parts {
        [one] => one.clone(),
        several => several.concat().into(),
    }
}

/// Requests that wait to leave together.
pub(super) struct Gather {
    settings: Option<BatchSettings>,
    queued: Vec<Queued>,
    size: u64,
    awaited: bool,
    since: Instant,
}

impl Gather {
    pub(super) fn new(settings: Option<BatchSettings>) -> Self {
        Self { settings, queued: Vec::new(), size: 0, awaited: false, since: Instant::now() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queued.is_empty()
    }

    /// Whether another request can go with those that are here.
    pub(super) fn fits(&self, queued: &Queued) -> bool {
        let Some(settings) = &self.settings else { return self.queued.is_empty() };
        self.queued.is_empty()
            || settings.max == 0
            || self.size.saturating_add(queued.batch_size(settings)) <= settings.max
    }

    pub(super) fn push(&mut self, queued: Queued) {
        if self.queued.is_empty() {
            self.since = Instant::now();
        }
        self.size = self.size.saturating_add(self.settings.map_or(0, |settings| queued.batch_size(&settings)));
        self.awaited |= queued.is_awaited();
        self.queued.push(queued);
    }

    /// When what is here leaves if nothing more comes.
    pub(super) fn due(&self) -> Option<Instant> {
        let settings = self.settings.filter(|_| !self.queued.is_empty())?;
        Some(self.since + settings.flush)
    }

    /// Whether what is here is to leave now.
    pub(super) fn is_due(&self) -> bool {
        let Some(settings) = &self.settings else { return !self.queued.is_empty() };
        let waited = || self.due().is_some_and(|due| due <= Instant::now());
        !self.queued.is_empty() && (self.size >= settings.min || self.awaited || waited())
    }

    /// What is here, as one.
    pub(super) fn take(&mut self) -> Option<Parcel> {
        if self.queued.is_empty() {
            return None;
        }
        (self.size, self.awaited) = (0, false);
        let queued = std::mem::take(&mut self.queued);
        let mut parcel = Parcel { parts: Vec::with_capacity(queued.len()), keys: Box::default(), tickets: Vec::new() };
        let mut keys = Vec::new();
        for Queued { content, ticket } in queued {
            keys.extend_from_slice(&content.keys);
            parcel.parts.push(content.body);
            parcel.tickets.push(ticket);
        }
        keys.sort_unstable();
        keys.dedup();
        parcel.keys = keys.into();
        Some(parcel)
    }
}
