//! The `batch` block: requests that follow each other in the queue leave as one. Requests in protobuf one after the other are one, so that
//! putting them together is copying. Those of different partitions wait beside each other.

use bytes::Bytes;
use tokio::time::Instant;

use super::config::BatchSettings;
use super::partition::Partition;
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

/// Requests that wait for company, those of each partition for their own. There are no more partitions than requests wait, of which
/// the queue has its limit.
pub(super) struct Gathers {
    settings: Option<BatchSettings>,
    /// None is empty. The first has waited longest.
    all: Vec<Gather>,
}

impl Gathers {
    pub(super) fn new(settings: Option<BatchSettings>) -> Self {
        Self { settings, all: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Takes a request; what has to leave before it because both do not fit.
    pub(super) fn push(&mut self, queued: Queued) -> Option<Parcel> {
        let known = self.all.iter().position(|gather| gather.partition == queued.content.partition);
        let settings = self.settings;
        let full = known.filter(|at| self.all.get(*at).is_some_and(|gather| !gather.fits(&queued, settings.as_ref())));
        let leaving = full.map(|at| self.all.remove(at).into_parcel());
        match known.filter(|_| leaving.is_none()).and_then(|at| self.all.get_mut(at)) {
            Some(gather) => gather.push(queued, settings.as_ref()),
            None => self.all.push(Gather::of(queued, settings.as_ref())),
        }
        leaving
    }

    /// When the first leaves if nothing more comes.
    pub(super) fn due(&self) -> Option<Instant> {
        let settings = self.settings.as_ref()?;
        self.all.first().map(|gather| gather.since + settings.flush)
    }

    /// The next that is to leave now; at the `last`, any.
    pub(super) fn take(&mut self, last: bool) -> Option<Parcel> {
        let settings = self.settings.as_ref();
        let at = self.all.iter().position(|gather| last || gather.is_due(settings))?;
        Some(self.all.remove(at).into_parcel())
    }
}

/// Requests that wait to leave together, of which there is one at least.
struct Gather {
    partition: Partition,
    queued: Vec<Queued>,
    size: u64,
    awaited: bool,
    since: Instant,
}

impl Gather {
    fn of(queued: Queued, settings: Option<&BatchSettings>) -> Self {
        let partition = queued.content.partition.clone();
        let mut gather = Self { partition, queued: Vec::new(), size: 0, awaited: false, since: Instant::now() };
        gather.push(queued, settings);
        gather
    }

    /// Whether another request can go with those that are here.
    fn fits(&self, queued: &Queued, settings: Option<&BatchSettings>) -> bool {
        let fits = |settings: &BatchSettings| {
            settings.max == 0 || self.size.saturating_add(queued.batch_size(settings)) <= settings.max
        };
        settings.is_some_and(fits)
    }

    fn push(&mut self, queued: Queued, settings: Option<&BatchSettings>) {
        self.size = self.size.saturating_add(settings.map_or(0, |settings| queued.batch_size(settings)));
        self.awaited |= queued.is_awaited();
        self.queued.push(queued);
    }

    /// Whether what is here is to leave now.
    fn is_due(&self, settings: Option<&BatchSettings>) -> bool {
        let Some(settings) = settings else { return true };
        self.size >= settings.min || self.awaited || self.since + settings.flush <= Instant::now()
    }

    /// What is here, as one.
    fn into_parcel(self) -> Parcel {
        let count = self.queued.len();
        let mut parcel = Parcel { parts: Vec::with_capacity(count), keys: Box::default(), tickets: Vec::new() };
        let mut keys = Vec::new();
        for Queued { content, ticket } in self.queued {
            keys.extend_from_slice(&content.keys);
            parcel.parts.push(content.body);
            parcel.tickets.push(ticket);
        }
        keys.sort_unstable();
        keys.dedup();
        parcel.keys = keys.into();
        parcel
    }
}
