//! The exporter that a sending queue and a way to deliver are together.

use std::sync::Arc;

use async_trait::async_trait;
use pipeline::component::{BuildContext, ComponentError, Exporter, ExporterContext};

use super::{Delivery, SendingQueue, Transport};

/// What differs between exporters with a sending queue: their settings, and what these make.
pub(crate) trait Settings: Send + Sync + 'static {
    /// Those of the queue.
    fn delivery(&self) -> &Delivery;

    /// What delivers; opens what it needs.
    ///
    /// # Errors
    /// What is needed cannot be had.
    fn transport(&self, context: &BuildContext) -> Result<Arc<dyn Transport>, ComponentError>;
}

/// Such an exporter.
pub(crate) struct QueuedExporter<S> {
    settings: S,
    context: BuildContext,
    queue: Option<SendingQueue>,
}

impl<S: Settings> QueuedExporter<S> {
    /// The exporter with these settings, as factories build it.
    pub(crate) fn build(settings: S, context: &BuildContext) -> Box<dyn Exporter> {
        Box::new(Self { settings, context: context.clone(), queue: None })
    }
}

#[async_trait]
impl<S: Settings> Exporter for QueuedExporter<S> {
    async fn start(&mut self) -> Result<(), ComponentError> {
        let transport = self.settings.transport(&self.context)?;
        let Delivery { queue, retry } = self.settings.delivery().clone();
        self.queue = Some(SendingQueue::open(queue, retry, transport, &self.context).await?);
        Ok(())
    }

    async fn run(mut self: Box<Self>, context: ExporterContext) -> Result<(), ComponentError> {
        match self.queue.take() {
            Some(queue) => queue.run(context).await,
            None => Err(ComponentError::new("the exporter was run without being started")),
        }
    }
}
