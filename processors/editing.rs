//! What processors have in common that change attributes of any signal: metrics are led along what was decided about
//! their series, traces and logs are edited as the bytes that they are.

use crate::actions::Owned;
use crate::outlet::{ItemMetrics, Outlet, OutletMetrics, dropped};
use crate::routing::{Judge, Router, SWEEP_INTERVAL};
use bytes::Bytes;
use pipeline::component::{BuildContext, ComponentError, Processor, ProcessorContext, Signal};
use pipeline::telemetry::Counter;
use pipeline::{Batch, Client, MessageBatch, MetricBatch};
use std::sync::Arc;
use tokio::time::{MissedTickBehavior, interval};

/// Clients for which decisions about series are remembered at once, where these depend on the client. A gateway's
/// tenants are some dozens; each has tables of its own here. Beyond it the one that was idle longest is decided anew.
const MAX_CLIENTS: usize = 64;

/// How attributes are changed.
pub(crate) trait Editor: Send {
    /// Decides about series.
    type Judge: Judge + Send;

    /// As much of a client as the changes depend on.
    fn context_of(&self, client: Option<&Client>) -> Vec<Option<Owned>>;

    /// What decides about the series of this client.
    fn judge(&self, client: Option<&Arc<Client>>) -> Self::Judge;

    /// The changed request; `None` if nothing of it changes.
    fn edit(&mut self, signal: Signal, request: &[u8], client: Option<&Client>) -> Option<Vec<u8>>;
}

/// A processor around an editor.
pub(crate) struct Editing<E: Editor> {
    editor: E,
    items: ItemMetrics,
    outlet: OutletMetrics,
    unknown_series: Counter,
}

impl<E: Editor> Editing<E> {
    pub(crate) fn new(editor: E, context: &BuildContext) -> Self {
        let items = ItemMetrics::new(context);
        let id = context.id.to_string();
        Self {
            editor,
            outlet: OutletMetrics::new(context, &items),
            unknown_series: dropped(&context.telemetry, Signal::Metrics, &id, "internal_error"),
            items,
        }
    }
}

#[async_trait::async_trait]
impl<E: Editor<Judge: Send> + 'static> Processor for Editing<E>
where
    Router<E::Judge>: Send,
{
    async fn run(self: Box<Self>, context: ProcessorContext) -> Result<(), ComponentError> {
        let ProcessorContext { mut input, output } = context;
        let Self { mut editor, items, outlet, unknown_series } = *self;
        let mut outlet: Outlet = outlet.into_outlet(output);
        let mut routers = Routers { all: Vec::new() };
        let mut sweeps = interval(SWEEP_INTERVAL);
        sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let received = tokio::select! {
                // Sweeps first: under steady traffic there is always another batch.
                biased;
                _ = sweeps.tick() => {
                    routers.sweep();
                    continue;
                }
                received = input.recv_any() => received,
            };
            let Some(batch) = received else { return Ok(()) };
            items.incoming.add(batch.len() as u64);
            let batch = match batch {
                Batch::Metrics(batch) => Batch::Metrics(routers.lead(&editor, batch, &unknown_series)),
                Batch::Messages(mut batch) => {
                    edit(&mut editor, &mut batch);
                    Batch::Messages(batch)
                }
            };
            outlet.send(batch).await;
        }
    }
}

/// Changes the body of a batch, or leaves the very bytes where nothing is to be changed.
fn edit(editor: &mut impl Editor, batch: &mut MessageBatch) {
    let client = batch.acks.client().cloned();
    if let Some(edited) = editor.edit(batch.signal, &batch.body, client.as_deref()) {
        batch.body = Bytes::from(edited);
    }
}

/// What is remembered, for each way in which clients look to the editor.
struct Routers<J: Judge> {
    /// The one that was used last comes last.
    all: Vec<(Vec<Option<Owned>>, Router<J>)>,
}

impl<J: Judge> Routers<J> {
    fn lead(&mut self, editor: &impl Editor<Judge = J>, batch: MetricBatch, unknown: &Counter) -> MetricBatch {
        let client = batch.acks.client();
        let context = editor.context_of(client.map(AsRef::as_ref));
        let known = match self.all.iter().position(|(known, _)| *known == context) {
            Some(at) => self.all.remove(at),
            None => {
                if self.all.len() >= MAX_CLIENTS {
                    self.all.remove(0);
                }
                (context, Router::new(editor.judge(client)))
            }
        };
        self.all.push(known);
        let Some((_, router)) = self.all.last_mut() else { return batch };
        let (batch, dropped) = router.lead(batch);
        unknown.add(dropped.unknown_series);
        batch
    }

    fn sweep(&mut self) {
        for (_, router) in &mut self.all {
            router.cache.timed_sweep();
        }
    }
}
