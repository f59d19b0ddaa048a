//! `forward`: the end of some pipelines and the beginning of others, of every signal.
//!
//! ```yaml
//! connectors:
//!   forward:
//! service:
//!   pipelines:
//!     metrics/in: {receivers: [otlp], processors: [relabel], exporters: [forward]}
//!     metrics/out: {receivers: [forward], processors: [batch], exporters: [prometheusremotewrite]}
//! ```
//!
//! It has no keys. Batches pass as they are, and so do acknowledgements: who waits for delivery waits for that of the
//! last pipeline. A memory limiter of a pipeline behind a connector refuses where data comes in, at the receivers.

mod metrics;
#[cfg(test)]
mod tests;

use self::metrics::Metrics;
use async_trait::async_trait;
use pipeline::SendError;
use pipeline::component::{
    Build, BuildContext, ComponentError, Connector, ConnectorContext, Factory, Signal, Stability,
};
use pipeline::config::{ConfigErrors, Node, decode};

/// What the program's table of components lists.
pub const FACTORY: Factory = Factory {
    type_name: "forward",
    aliases: &[],
    summary: "Leads what comes out of some pipelines into others",
    signals: &[Signal::Metrics, Signal::Traces, Signal::Logs],
    stability: Stability::Stable,
    live_update: false,
    validate,
    build: Build::Connector(build),
};

/// It has no keys.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {}

fn validate(node: &Node) -> Result<(), ConfigErrors> {
    decode::<Config>(node, "").map(drop)
}

fn build(_: &Node, context: &BuildContext) -> Result<Box<dyn Connector>, ComponentError> {
    Ok(Box::new(Forward { metrics: Metrics::new(context) }))
}

struct Forward {
    metrics: Metrics,
}

#[async_trait]
impl Connector for Forward {
    async fn run(self: Box<Self>, context: ConnectorContext) -> Result<(), ComponentError> {
        let ConnectorContext { mut input, output } = context;
        while let Some(batch) = input.recv_any().await {
            let (signal, items) = (batch.signal(), batch.len());
            self.metrics.consumed(signal, items);
            // There are no gates here, so that only a pipeline which has ended does not take it.
            if let Err(error @ (SendError::Closed | SendError::Refused(_))) = output.send(batch).await {
                self.metrics.dropped(signal, items);
                tracing::error!(%error, signal = signal.name(), items, "A batch was not taken by the next pipeline.");
            }
        }
        Ok(())
    }
}
