//! From a request's body to the pipelines, whichever protocol it came by.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use otlp::response::{Code, PartialSuccess, Status};
use parking_lot::Mutex;
use pipeline::component::{BuildContext, Signal};
use pipeline::{Ack, AckOutcome, Acks, Client, Output, SendError};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;

use crate::acknowledge::Acknowledge;
use crate::otlp_requests::{Decoded, Encoding, RequestReader, TransportMetrics};

/// How long a sender is asked to wait when the pipeline cannot take more: some checks of the memory limiter.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Requests that are decoded, or decoded and not taken by the pipeline yet. The bodies of others wait as they came. At the usual
/// 1,000 points this bounds what waits here to some megabytes.
const MAX_DECODED: usize = 64;
/// How often requests that cannot be read are reported in the log.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Why a request was not taken.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It cannot be decoded.
    Malformed(String),
    /// Anything else.
    Status(Status),
}

/// Takes requests of all protocols of a receiver.
#[derive(Debug)]
pub(super) struct Intake {
    id: String,
    acknowledge: Acknowledge,
    /// Set when the receiver runs.
    output: OnceLock<Output>,
    reader: RequestReader,
    decoding: Semaphore,
    reported: Mutex<Option<Instant>>,
}

impl Intake {
    pub(super) fn new(context: &BuildContext, acknowledge: Acknowledge) -> Self {
        let id = context.id.to_string();
        Self {
            reader: RequestReader::new(&context.telemetry, &id),
            id,
            acknowledge,
            output: OnceLock::new(),
            decoding: Semaphore::new(MAX_DECODED),
            reported: Mutex::default(),
        }
    }

    /// Where everything goes. Requests before this are asked to come again.
    pub(super) fn send_to(&self, output: Output) {
        // There is one run, so that it is set once.
        drop(self.output.set(output));
    }

    /// Whether a pipeline carries this signal. Before the receiver runs, nobody can tell.
    pub(super) fn serves(&self, signal: Signal) -> bool {
        self.output.get().is_none_or(|output| output.carries(signal))
    }

    /// Takes a request, and waits for its delivery if that was promised.
    pub(super) async fn take(
        &self,
        signal: Signal,
        encoding: Encoding,
        body: Bytes,
        client: Option<Client>,
        metrics: &TransportMetrics,
    ) -> Result<PartialSuccess, Refusal> {
        let (rejected, fate) = self.pass_on(signal, encoding, body, client, metrics).await?;
        let Some(fate) = fate else { return Ok(rejected) };
        match fate.await {
            Ok(AckOutcome::Delivered | AckOutcome::Persisted) => Ok(rejected),
            Ok(AckOutcome::Rejected) => {
                let text = "a destination rejected the data for good; its own log line says why";
                Err(Refusal::Status(Status::new(Code::Internal, text)))
            }
            Ok(AckOutcome::Dropped) | Err(_) => Err(busy("the data could not be delivered; send it again")),
        }
    }

    /// Decodes a body and hands it to the pipelines.
    async fn pass_on(
        &self,
        signal: Signal,
        encoding: Encoding,
        body: Bytes,
        client: Option<Client>,
        metrics: &TransportMetrics,
    ) -> Result<(PartialSuccess, Option<oneshot::Receiver<AckOutcome>>), Refusal> {
        let Some(output) = self.output.get() else { return Err(busy("the receiver is starting")) };
        // The semaphore is never closed.
        let _permit = self.decoding.acquire().await;
        if let Err(error) = output.admit(signal, 0) {
            metrics.refused_requests.inc();
            return Err(unavailable(error));
        }
        let decoded = self.reader.read(signal, encoding, body).inspect_err(|why| {
            metrics.malformed_requests.inc();
            self.report("An OTLP request cannot be read and is refused.", signal, why);
        });
        let Decoded { mut batch, rejected } = decoded.map_err(Refusal::Malformed)?;
        if rejected.rejected > 0 {
            metrics.of(signal).failed.add(rejected.rejected);
            metrics.invalid.add(rejected.rejected);
            self.report("Data points of an OTLP request are left out.", signal, &rejected.message);
        }
        let items = batch.len() as u64;
        if items == 0 {
            return Ok((rejected, None));
        }
        let fate = (self.acknowledge == Acknowledge::Durable).then(|| {
            let (ack, fate) = Ack::channel();
            *batch.acks_mut() = Acks::one(ack);
            fate
        });
        if let Some(client) = client {
            let acks = batch.acks_mut();
            *acks = std::mem::take(acks).from_client(Some(Arc::new(client)));
        }
        match output.send(batch).await {
            Ok(()) => {
                metrics.of(signal).accepted.add(items);
                Ok((rejected, fate))
            }
            Err(error) => {
                metrics.of(signal).refused.add(items);
                Err(unavailable(error))
            }
        }
    }

    /// What reads requests, which whoever marks ended series asks.
    pub(super) fn reader(&self) -> &RequestReader {
        &self.reader
    }

    /// Where everything goes, once the receiver runs.
    pub(super) fn output(&self) -> Option<&Output> {
        self.output.get()
    }

    fn report(&self, what: &'static str, signal: Signal, why: &str) {
        let mut reported = self.reported.lock();
        if reported.is_none_or(|last| last.elapsed() >= REPORT_EVERY) {
            *reported = Some(Instant::now());
            tracing::warn!(receiver = self.id, signal = signal.name(), error = why, "{what}");
        }
    }
}

fn busy(text: &str) -> Refusal {
    Refusal::Status(Status::new(Code::Unavailable, text).retry_after(RETRY_AFTER))
}

fn unavailable(error: SendError) -> Refusal {
    busy(&error.to_string())
}
