//! The queue of one signal and its deliveries: one task that owns them.

use std::collections::VecDeque;
use std::sync::Arc;

use pipeline::AckOutcome;
use pipeline::stop::Stop;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::Arrival;
use super::config::QueueSettings;
use super::courier::{Courier, Delivered};
use super::gather::{Gathers, Parcel};
use super::order::Order;
use super::partition;
use super::request::{self, Claim, Content, Maker, Queued, Ticket};
use super::store::Store;

/// Batches of up to this many items are encoded in the lane's task; it takes less time than to hand them over.
const SMALL: usize = 500;

/// See the module.
pub(super) struct Lane {
    settings: Arc<QueueSettings>,
    maker: Maker,
    courier: Courier,
    input: mpsc::Receiver<Arrival>,
    /// Whether more may come in.
    open: bool,
    /// Made, and not in the queue yet because it is full.
    incoming: VecDeque<(Content, Claim)>,
    store: Store,
    /// Taken from the queue.
    next: Option<Queued>,
    gather: Gathers,
    /// Complete, and waits for its turn.
    head: Option<Parcel>,
    order: Order,
    deliveries: JoinSet<Delivered>,
    closing: watch::Sender<bool>,
    /// The rest stays on disk.
    halted: bool,
}

impl Lane {
    pub(super) fn new(
        settings: Arc<QueueSettings>,
        courier: Courier,
        store: Store,
        input: mpsc::Receiver<Arrival>,
    ) -> Self {
        let maker = Maker {
            signal: courier.signal,
            transport: Arc::clone(&courier.transport),
            batch: settings.batch,
            ready: settings.batch.is_none() && !store.is_durable(),
            encoder: Arc::default(),
            metrics: Arc::clone(&courier.metrics),
        };
        Self {
            gather: Gathers::new(settings.batch),
            settings,
            maker,
            courier,
            input,
            open: true,
            incoming: VecDeque::new(),
            store,
            next: None,
            head: None,
            order: Order::default(),
            deliveries: JoinSet::new(),
            closing: watch::Sender::new(false),
            halted: false,
        }
    }

    /// Delivers until the input closes and all is delivered or on disk, or the deadline passes. What is in memory only then counts as lost.
    pub(super) async fn run(mut self, mut stop: Stop) {
        let metrics = Arc::clone(&self.courier.metrics);
        tokio::select! {
            () = self.work() => {}
            () = stop.deadline_passed() => {}
        }
        self.deliveries.shutdown().await;
        self.store.publish();
        let (target, on_disk) = (self.courier.target().to_owned(), self.store.on_disk());
        // Every claim that is left counts itself.
        drop(self);
        if on_disk > 0 {
            tracing::info!(endpoint = %target, requests = on_disk, "Requests that are not delivered stay on disk for the next start.");
        }
        if metrics.lost_so_far() > 0 {
            tracing::error!(
                endpoint = %target,
                items = metrics.lost_so_far(),
                "The deadline has passed before all was delivered; what was left is lost."
            );
        }
    }

    async fn work(&mut self) {
        loop {
            self.admit().await;
            self.send();
            self.courier.metrics.state(self.store.used(self.settings.sizer), self.deliveries.len());
            if self.is_finished() {
                return;
            }
            let takes = self.open && self.incoming.is_empty();
            let wants = self.head.is_none() && self.next.is_none() && self.has_free_consumer() && !self.halted;
            let can_leave = self.has_free_consumer() && self.head.is_none();
            let due = [self.gather.due().filter(|_| can_leave), self.store.wake_at()];
            tokio::select! {
                arrival = self.input.recv(), if takes => match arrival {
                    Some(arrival) => self.take(arrival).await,
                    None => self.close(),
                },
                Some(ended) = self.deliveries.join_next() => self.settle(ended).await,
                queued = self.store.next(), if wants => self.next = Some(queued),
                () = wait_until(due.into_iter().flatten().min()) => {}
            }
            if self.store.wake_at().is_some_and(|at| at <= Instant::now()) {
                self.store.wake().await;
            }
        }
    }

    fn has_free_consumer(&self) -> bool {
        self.deliveries.len() < self.settings.consumers
    }

    fn is_finished(&self) -> bool {
        let idle = self.incoming.is_empty() && self.deliveries.is_empty();
        let handed_out = self.next.is_none() && self.head.is_none() && self.gather.is_empty() && self.store.is_empty();
        !self.open && idle && (handed_out || self.halted)
    }

    /// Nothing more comes in.
    fn close(&mut self) {
        self.open = false;
    }

    /// Makes requests of a batch.
    async fn take(&mut self, arrival: Arrival) {
        let Arrival { batch, claim } = arrival;
        if batch.is_empty() {
            return claim.settle(AckOutcome::Delivered);
        }
        if self.courier.target().is_empty() {
            let signal = self.courier.signal.name();
            tracing::error!(
                items = claim.items(),
                "There is no endpoint for {signal}: set endpoint or {signal}_endpoint; what comes is dropped."
            );
            self.courier.metrics.failed("no_endpoint", claim.items());
            return claim.settle(AckOutcome::Rejected);
        }
        let partition = partition::of(claim.client(), &self.settings.metadata_keys);
        let contents = if batch.len() <= SMALL {
            self.maker.contents(batch, &partition)
        } else {
            let maker = self.maker.clone();
            match tokio::task::spawn_blocking(move || maker.contents(batch, &partition)).await {
                Ok(contents) => contents,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // The runtime is ending; the claim says what is lost.
                    Err(_) => return,
                },
            }
        };
        let claims = request::claims(claim, &contents);
        for ((_, content), claim) in contents.into_iter().zip(claims) {
            match content {
                Ok(content) => self.incoming.push_back((content, claim)),
                Err(why) => {
                    tracing::error!(items = claim.items(), error = %why, "A request cannot be sent; its items are dropped.");
                    self.courier.metrics.failed("not_encodable", claim.items());
                    claim.settle(AckOutcome::Rejected);
                }
            }
        }
    }

    /// Takes into the queue what there is room for.
    async fn admit(&mut self) {
        let (sizer, capacity) = (self.settings.sizer, self.settings.capacity);
        while let Some((content, claim)) = self.incoming.front() {
            let size = request::size(sizer, content, claim.items());
            let used = self.store.used(sizer);
            // One that is larger than all the room goes when there is nothing else.
            let fits = used == 0 || used.saturating_add(size) <= capacity;
            if !fits && !self.settings.refuses {
                return;
            }
            let Some((content, claim)) = self.incoming.pop_front() else { return };
            if fits {
                self.store.put(content, claim, size).await;
                continue;
            }
            tracing::error!(
                endpoint = self.courier.target(),
                items = claim.items(),
                "Exporting failed. Rejecting data: sending queue is full. Raise sending_queue::queue_size, or remove block_on_overflow: false."
            );
            self.courier.metrics.refused(claim.items());
            claim.settle(AckOutcome::Dropped);
        }
    }

    /// Begins deliveries as long as there is something to deliver, and somebody to do it.
    fn send(&mut self) {
        // At the end, what is on disk is delivered as far as that works at once.
        let closing = !self.open && self.store.is_durable() && self.incoming.is_empty() && !self.store.is_at_risk();
        if closing {
            self.closing.send_if_modified(|closing| !std::mem::replace(closing, true));
        }
        while self.has_free_consumer() && !self.halted {
            if self.head.is_none() {
                self.collect();
            }
            let Some(head) = self.head.take_if(|head| !self.order.is_taken(&head.keys)) else { return };
            self.order.begin(&head.keys);
            let delivery = self.courier.clone().deliver(head, self.closing.subscribe());
            self.deliveries.spawn(delivery.in_current_span());
        }
    }

    /// Puts what was taken from the queue to the others, and makes a parcel when they are complete.
    fn collect(&mut self) {
        if let Some(next) = self.next.take() {
            self.head = self.gather.push(next);
        }
        let last = !self.open && self.store.is_empty();
        if self.head.is_none() {
            self.head = self.gather.take(last);
        }
    }

    /// A delivery has come to its end.
    async fn settle(&mut self, ended: Result<Delivered, JoinError>) {
        let Delivered { keys, tickets, outcome } = match ended {
            Ok(delivered) => delivered,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return,
            },
        };
        self.order.end(&keys);
        let Some(outcome) = outcome else {
            self.halted = true;
            return;
        };
        for ticket in tickets {
            match ticket {
                Ticket::Memory(claim, size) => {
                    self.store.release(size);
                    claim.settle(outcome);
                }
                Ticket::Log(record, _) => self.store.done(record).await,
            }
        }
    }
}

async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
