//! From a line to the pipelines.

use otlp::json::signal_of;
use pipeline::component::ComponentError;
use pipeline::stop::Stop;
use pipeline::{Ack, AckOutcome, Acks, Batch, Output, SendError};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::tail::{Found, Line};
use super::{FileReceiver, SETTLE_EVERY, blocking};
use crate::otlp_requests::{Decoded, Encoding};

/// Requests that are under way at once, where it is kept what was delivered: with the usual batches some ten thousand
/// items, enough to keep exporters busy.
const MAX_IN_FLIGHT: usize = 64;
/// How long to wait before a pipeline that refuses data is asked again: some checks of the memory limiter.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// A line that takes more than a few milliseconds to read is read where blocking is allowed.
const LONG_LINE: usize = 1 << 20;

impl FileReceiver {
    /// Reads a line and hands it on. False if it was given up because the service ends.
    pub(super) async fn take(
        &mut self,
        path: &Path,
        file: (u64, u64),
        found: Found,
        output: &Output,
        stop: &mut Stop,
    ) -> Result<bool, ComponentError> {
        let Found { line, number, end } = found;
        let decoded = match line {
            Line::Text(text) if text.iter().all(u8::is_ascii_whitespace) => None,
            Line::Text(text) => match self.decode(text, output).await? {
                Ok(decoded) => decoded,
                Err(why) => {
                    self.malformed(path, number, &why);
                    None
                }
            },
            Line::TooLong => {
                self.malformed(
                    path,
                    number,
                    &format!("it has more than {} bytes (max_log_size)", self.config.max_line),
                );
                None
            }
        };
        let Some(Decoded { batch, rejected }) = decoded.filter(|decoded| !decoded.batch.is_empty()) else {
            if self.offsets.is_some() {
                self.progress.push(file, end, number, None);
            }
            return Ok(true);
        };
        if rejected.rejected > 0 {
            self.metrics.requests.of(batch.signal()).failed.add(rejected.rejected);
            self.metrics.requests.invalid.add(rejected.rejected);
            let (receiver, file, why) = (self.id.as_str(), path.display(), &rejected.message);
            tracing::warn!(receiver, %file, line = number, why, "Data points of a line are left out.");
        }
        match self.send(batch, output, stop).await {
            Some(fate) => {
                if self.offsets.is_some() {
                    self.progress.push(file, end, number, fate);
                    self.wait_for_room(stop).await;
                }
                Ok(true)
            }
            None => {
                self.progress.stick(file);
                Ok(false)
            }
        }
    }

    /// What is in a line; nothing if no pipeline carries it. The inner error is what is wrong with the line.
    async fn decode(&self, text: Vec<u8>, output: &Output) -> Result<Result<Option<Decoded>, String>, ComponentError> {
        let signal = match signal_of(&text) {
            Ok(Some(signal)) => signal,
            Ok(None) => return Ok(Err("it has none of resourceMetrics, resourceSpans and resourceLogs".to_owned())),
            Err(error) => return Ok(Err(error.to_string())),
        };
        if !output.carries(signal) {
            self.metrics.ignored.inc();
            return Ok(Ok(None));
        }
        if text.len() < LONG_LINE {
            return Ok(self.requests.read(signal, Encoding::Json, text.into()).map(Some));
        }
        let requests = Arc::clone(&self.requests);
        let (_, read) = blocking(requests, move |requests| requests.read(signal, Encoding::Json, text.into())).await?;
        Ok(read.map(Some))
    }

    /// Hands a batch on, as often as it takes. `None` if the service ends before it was taken.
    async fn send(
        &self,
        batch: Batch,
        output: &Output,
        stop: &mut Stop,
    ) -> Option<Option<oneshot::Receiver<AckOutcome>>> {
        let (signal, items) = (batch.signal(), batch.len() as u64);
        loop {
            // Each attempt is acknowledged by itself: what is refused counts as dropped.
            let (acks, fate) = match self.offsets.is_some() {
                true => {
                    let (ack, fate) = Ack::channel();
                    (Acks::one(ack), Some(fate))
                }
                false => (Acks::default(), None),
            };
            let mut attempt = batch.clone();
            *attempt.acks_mut() = acks;
            match output.send(attempt).await {
                Ok(()) => {
                    self.metrics.requests.of(signal).accepted.add(items);
                    return Some(fate);
                }
                Err(SendError::Closed) => {
                    self.metrics.requests.of(signal).refused.add(items);
                    return None;
                }
                Err(SendError::Refused(_)) => {
                    self.metrics.requests.of(signal).refused.add(items);
                    tokio::select! {
                        () = stop.requested() => return None,
                        () = sleep(RETRY_AFTER) => {}
                    }
                }
            }
        }
    }

    /// Waits until fewer requests are under way than may be.
    async fn wait_for_room(&mut self, stop: &Stop) {
        self.progress.advance(stop.is_requested());
        while self.progress.in_flight() >= MAX_IN_FLIGHT && !stop.is_requested() {
            sleep(SETTLE_EVERY).await;
            self.progress.advance(stop.is_requested());
        }
    }
}
