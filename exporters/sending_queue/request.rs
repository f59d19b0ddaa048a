//! Requests: made of batches, cut to size, and who is to be told of their end.

use std::sync::Arc;

use bytes::Bytes;
use otlp::encode::MetricsEncoder;
use otlp::request;
use parking_lot::Mutex;
use pipeline::component::Signal;
use pipeline::{AckOutcome, Acks, Batch, Client};

use super::Transport;
use super::config::{BatchSettings, Sizer};
use super::metrics::Metrics;
use super::order;
use super::partition::Partition;

/// The most bytes of protobuf in a request; larger ones are cut. Receivers take 20 MiB by default and a record of the log
/// 16 MiB after compression, which this stays below whatever it is made of.
pub(super) const MAX_BYTES: usize = 15 << 20;

/// The responsibility for some items. Dropped before it is settled, they count as lost because the program ends.
pub(super) struct Claim {
    items: u64,
    acks: Acks,
    metrics: Arc<Metrics>,
    open: bool,
}

impl Claim {
    pub(super) fn new(items: u64, acks: Acks, metrics: &Arc<Metrics>) -> Self {
        Self { items, acks, metrics: Arc::clone(metrics), open: true }
    }

    pub(super) fn items(&self) -> u64 {
        self.items
    }

    /// Who has sent the items, if that is known.
    pub(super) fn client(&self) -> Option<&Arc<Client>> {
        self.acks.client()
    }

    /// Whether somebody waits to hear what becomes of the items.
    pub(super) fn is_awaited(&self) -> bool {
        self.acks.awaited()
    }

    /// The items have come to their end, which was counted.
    pub(super) fn settle(mut self, outcome: AckOutcome) {
        self.open = false;
        std::mem::take(&mut self.acks).resolve(outcome);
    }

    /// Claims for parts of the items, as large as the weights say.
    fn shared(mut self, weights: &[u64]) -> Vec<Self> {
        let [_, others @ ..] = weights else {
            // Nothing came of the batch: there is nothing to deliver.
            self.settle(AckOutcome::Delivered);
            return Vec::new();
        };
        if others.is_empty() {
            return vec![self];
        }
        let whole: u64 = weights.iter().sum();
        let (mut seen, mut given) = (0, 0);
        let mut claims = Vec::with_capacity(weights.len());
        for weight in weights {
            seen += weight;
            let up_to = u128::from(self.items) * u128::from(seen) / u128::from(whole.max(1));
            let up_to = u64::try_from(up_to).unwrap_or(self.items);
            claims.push(Self::new(up_to - given, self.acks.clone(), &self.metrics));
            given = up_to;
        }
        self.open = false;
        // Each part has a handle of its own; this one has nothing to add.
        std::mem::take(&mut self.acks).resolve(AckOutcome::Delivered);
        claims
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.open {
            self.metrics.lost(self.items);
            std::mem::take(&mut self.acks).resolve(AckOutcome::Dropped);
        }
    }
}

/// The content of a request that waits.
#[derive(Clone, Debug)]
pub(super) enum Body {
    /// What the transport sends.
    Ready(Bytes),
    /// Protobuf.
    Raw(Bytes),
}

/// A request that waits, without the claim to it.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) body: Body,
    /// Bytes of its protobuf.
    pub(super) bytes: u64,
    /// Data points, spans or log records as OTLP counts them; 0 where nobody asks.
    pub(super) wire_items: u64,
    /// What it must not overtake.
    pub(super) keys: Box<[u64]>,
    /// It leaves with those of the same alone.
    pub(super) partition: Partition,
}

/// A request that waits.
pub(super) struct Queued {
    pub(super) content: Content,
    pub(super) ticket: Ticket,
}

/// What is to be settled when a request is.
pub(super) enum Ticket {
    /// A request in memory, and its share of the capacity.
    Memory(Claim, u64),
    /// A record of the log, by the number under which it was read, with its items.
    Log(u64, u64),
}

impl Ticket {
    pub(super) fn items(&self) -> u64 {
        match self {
            Self::Memory(claim, _) => claim.items(),
            Self::Log(_, items) => *items,
        }
    }
}

impl Queued {
    /// Its size in the unit of a `batch` block.
    pub(super) fn batch_size(&self, batch: &BatchSettings) -> u64 {
        if batch.bytes { self.content.bytes } else { self.content.wire_items }
    }

    /// Whether somebody waits for it.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(&self.ticket, Ticket::Memory(claim, _) if claim.is_awaited())
    }
}

/// A request in a unit of the queue.
pub(super) fn size(sizer: Sizer, content: &Content, items: u64) -> u64 {
    match sizer {
        Sizer::Requests => 1,
        Sizer::Items => items,
        Sizer::Bytes => content.bytes,
    }
}

/// How requests are made of batches.
#[derive(Clone)]
pub(super) struct Maker {
    pub(super) signal: Signal,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) batch: Option<BatchSettings>,
    /// Make them ready to be sent.
    pub(super) ready: bool,
    /// Remembers what targets say of themselves.
    pub(super) encoder: Arc<Mutex<MetricsEncoder>>,
    pub(super) metrics: Arc<Metrics>,
}

impl Maker {
    /// The requests that a batch becomes, or why it cannot be sent; none if OTLP has no place for anything in it, which is counted.
    /// Takes a while for large ones.
    pub(super) fn contents(&self, batch: Batch, partition: &Partition) -> Vec<(u64, Result<Content, String>)> {
        let (body, items) = match batch {
            Batch::Metrics(batch) => {
                let encoded = self.encoder.lock().encode(&batch);
                for (reason, samples) in encoded.dropped.by_reason().into_iter().filter(|(_, samples)| *samples > 0) {
                    self.metrics.dropped(reason, samples);
                }
                if encoded.body.is_empty() {
                    return Vec::new();
                }
                (encoded.body, encoded.data_points)
            }
            Batch::Messages(batch) => (batch.body, batch.items),
        };
        let pieces = self.cut(body, items);
        let content = |(body, items): (Bytes, usize)| (items as u64, self.content(body, items as u64, partition));
        pieces.into_iter().map(content).collect()
    }

    fn content(&self, body: Bytes, items: u64, partition: &Partition) -> Result<Content, String> {
        let bytes = body.len() as u64;
        let keys = order::keys(self.signal, &body);
        let body = match self.ready {
            true => Body::Ready(self.transport.prepare(self.signal, body)?),
            false => Body::Raw(body),
        };
        Ok(Content { body, bytes, wire_items: items, keys, partition: partition.clone() })
    }

    /// What a record of the log says.
    pub(super) fn recalled(signal: Signal, body: Bytes, partition: Partition) -> Content {
        let keys = order::keys(signal, &body);
        let (bytes, wire_items) = (body.len() as u64, request::count(signal, &body) as u64);
        Content { body: Body::Raw(body), bytes, wire_items, keys, partition }
    }

    /// Pieces that are within the limits, each with its number of items.
    fn cut(&self, body: Bytes, items: usize) -> Vec<(Bytes, usize)> {
        let limit = |bytes: bool| {
            let batch = self.batch.filter(|batch| batch.bytes == bytes && batch.max > 0);
            batch.map_or(usize::MAX, |batch| usize::try_from(batch.max).unwrap_or(usize::MAX))
        };
        let (max_items, max_bytes) = (limit(false), limit(true).min(MAX_BYTES));
        let mut pieces = self.split(body, items, max_items);
        let mut at = 0;
        while let Some((body, items)) = pieces.get(at) {
            if body.len() <= max_bytes || *items < 2 {
                at += 1;
                continue;
            }
            // Items differ in length, so that several rounds may be needed; each at least halves the items.
            let parts = body.len().div_ceil(max_bytes).clamp(2, *items);
            let smaller = self.split(body.clone(), *items, items.div_ceil(parts));
            pieces.splice(at..=at, smaller);
        }
        pieces
    }

    fn split(&self, body: Bytes, items: usize, max: usize) -> Vec<(Bytes, usize)> {
        match self.signal {
            _ if items <= max => vec![(body, items)],
            Signal::Metrics => request::split_points(&body, items, max),
            Signal::Traces | Signal::Logs => request::split(&body, items, 0, max),
        }
    }
}

/// The claims for the requests that a batch became.
pub(super) fn claims(claim: Claim, contents: &[(u64, Result<Content, String>)]) -> Vec<Claim> {
    let weights: Vec<u64> = contents.iter().map(|(items, _)| *items).collect();
    claim.shared(&weights)
}
