//! OTLP requests from bytes to batches, whatever way they came: over the network or out of a file.

mod metrics;

use bytes::Bytes;
use otlp::decode::{MetricsReader, Taken};
use otlp::response::PartialSuccess;
use parking_lot::Mutex;
use pipeline::component::Signal;
use pipeline::telemetry::Telemetry;
use pipeline::{Acks, Batch, MessageBatch, MetricBatch, PointGroup};
use std::sync::Arc;
use tokio::time::Instant;

pub(crate) use self::metrics::TransportMetrics;

use self::metrics::CacheMetrics;

/// How a request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Protobuf,
    Json,
}

/// What a request came to, and what was left out of it.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) batch: Batch,
    pub(crate) rejected: PartialSuccess,
}

/// Reads requests, and remembers the series that it has read.
#[derive(Debug)]
pub(crate) struct RequestReader {
    reader: Arc<Mutex<MetricsReader>>,
    started: Instant,
    _metrics: CacheMetrics,
}

impl RequestReader {
    /// One for the receiver of this id.
    pub(crate) fn new(telemetry: &Telemetry, receiver: &str) -> Self {
        let reader = Arc::new(Mutex::new(MetricsReader::default()));
        Self { _metrics: CacheMetrics::new(telemetry, receiver, &reader), reader, started: Instant::now() }
    }

    /// Remembers series for at least so many seconds.
    pub(crate) fn remember_for(&self, seconds: u32) {
        self.reader.lock().remember_for(seconds);
    }

    /// Staleness markers at `time` (nanoseconds since the Unix epoch) for series of which no point came for more than `after` seconds,
    /// and had come by that measure at `before`; and the time now for the next call.
    pub(crate) fn ended(&self, before: u32, after: u32, time: i64) -> (Vec<PointGroup>, u32) {
        let now = self.seconds();
        (self.reader.lock().ended((before, now), after, time), now)
    }

    /// Now, in seconds since the reader began.
    fn seconds(&self) -> u32 {
        u32::try_from(self.started.elapsed().as_secs()).unwrap_or(u32::MAX)
    }

    /// The batch of a request.
    ///
    /// # Errors
    /// What is wrong with a request that cannot be read.
    pub(crate) fn read(&self, signal: Signal, encoding: Encoding, body: Bytes) -> Result<Decoded, String> {
        let body = match encoding {
            Encoding::Protobuf => body,
            Encoding::Json => otlp::json::to_protobuf(signal, &body).map_err(|error| error.to_string())?.into(),
        };
        if signal != Signal::Metrics {
            let items = otlp::request::check(signal, &body).map_err(|error| error.to_string())?;
            let batch = MessageBatch { signal, body, items, acks: Acks::default() };
            return Ok(Decoded { batch: batch.into(), rejected: PartialSuccess::default() });
        }
        let now = self.seconds();
        let Taken { groups, rejected, .. } = self.reader.lock().read(&body, now).map_err(|error| error.to_string())?;
        let message = match (rejected.points, rejected.first) {
            (_, None) => String::new(),
            (1, Some(first)) => first,
            (points, Some(first)) => format!("{first} ({points} data points are left out in all)"),
        };
        let rejected = PartialSuccess { rejected: rejected.points as u64, message };
        Ok(Decoded { batch: MetricBatch::new(groups).into(), rejected })
    }
}
