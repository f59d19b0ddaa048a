//! From a request to its answer.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use net::decode::DecodeError;
use net::server::{Handler, Request, Response, zstd_frames};
use parking_lot::Mutex;
use pipeline::component::Signal;
use pipeline::{Ack, AckOutcome, Acks, Client, MetricBatch, Output, SendError};
use prometheus::remote_write::protocol::{Encoding, ProtocolVersion, Response as Answer, Written};
use prometheus::remote_write::snappy::decode_block;
use prometheus::remote_write::wire::DecodeLimits;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;

use crate::acknowledge::Acknowledge;
use crate::client;

use super::cache::SeriesCache;
use super::config::RemoteWriteConfig;
use super::metrics::Metrics;
use super::request::{Taken, read};

/// Where senders are told to write.
pub(super) const PATHS: [&str; 2] = ["/api/v1/write", "/api/v1/push"];
/// By which a vmagent asks whether it may send zstd.
const ASKS_FOR_ZSTD: &str = "get_vm_proto_version=1";
/// What a body may become when it is decompressed. Senders pack 500 to 50,000 samples of 100 to 200 bytes; vmagent's
/// blocks end at 32 MiB.
const MAX_DECOMPRESSED: usize = 64 << 20;
/// How long a sender is asked to wait when the pipeline cannot take more: some checks of the memory limiter.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Requests that are decoded, or decoded and not taken by the pipeline yet. The bodies of others wait compressed.
/// At the usual 2,000 samples this bounds what waits here to about 10 MB.
const MAX_DECODED: usize = 64;
/// Decompression buffers that are kept, and up to which size: two for each of a few busy cores.
const KEPT_BUFFERS: usize = 8;
const KEPT_BUFFER_SIZE: usize = 4 << 20;
/// How often bad label sets are reported in the log.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Answers write requests.
#[derive(Debug)]
pub(super) struct WriteHandler {
    id: String,
    acknowledge: Acknowledge,
    include_metadata: bool,
    metrics: Metrics,
    /// Set when the receiver runs.
    output: OnceLock<Output>,
    cache: Arc<Mutex<SeriesCache>>,
    started: Instant,
    decoding: Semaphore,
    buffers: Mutex<Vec<Vec<u8>>>,
    reported: Mutex<Option<Instant>>,
}

/// What a request's body is.
#[derive(Clone, Copy)]
struct Form {
    version: ProtocolVersion,
    encoding: Encoding,
}

/// A request's points on their way, and where their fate is learnt if the sender waits for it.
struct Sent {
    invalid: Option<Answer>,
    written: Written,
    fate: Option<oneshot::Receiver<AckOutcome>>,
}

impl WriteHandler {
    pub(super) fn new(
        id: String,
        config: &RemoteWriteConfig,
        metrics: Metrics,
        cache: Arc<Mutex<SeriesCache>>,
    ) -> Self {
        Self {
            id,
            acknowledge: config.acknowledge,
            include_metadata: config.include_metadata,
            metrics,
            output: OnceLock::new(),
            cache,
            started: Instant::now(),
            decoding: Semaphore::new(MAX_DECODED),
            buffers: Mutex::default(),
            reported: Mutex::default(),
        }
    }

    /// Where the points go. Requests before this are asked to come again.
    pub(super) fn send_to(&self, output: Output) {
        // There is one run, so that it is set once.
        drop(self.output.set(output));
    }

    /// The answer, and how much was written, which senders of version 2.0 are told.
    async fn write(&self, form: Form, body: &[u8], client: Option<Client>) -> (Answer, Written) {
        let sent = match self.pass_on(form, body, client).await {
            Ok(sent) => sent,
            Err(answer) => return (answer, Written::default()),
        };
        if let Some(fate) = sent.fate {
            let failed = match fate.await {
                Ok(AckOutcome::Delivered | AckOutcome::Persisted) => None,
                Ok(AckOutcome::Rejected) => {
                    Some(refusal(400, "a destination rejected the samples for good; its own log line says why"))
                }
                Ok(AckOutcome::Dropped) | Err(_) => {
                    Some(Answer::busy("the samples could not be delivered; send them again", RETRY_AFTER))
                }
            };
            if let Some(answer) = failed {
                return (answer, Written::default());
            }
        }
        (sent.invalid.unwrap_or_else(Answer::written), sent.written)
    }

    /// Decodes a body and hands its points to the pipeline.
    async fn pass_on(&self, form: Form, body: &[u8], client: Option<Client>) -> Result<Sent, Answer> {
        let Some(output) = self.output.get() else {
            return Err(Answer::busy("the receiver is starting", RETRY_AFTER));
        };
        // The semaphore is never closed.
        let _permit = self.decoding.acquire().await;
        if let Err(error) = output.admit(Signal::Metrics, 0) {
            self.metrics.refused_requests.inc();
            return Err(unavailable(error));
        }
        let taken = self.decode(form, body)?;
        let points = taken.points();
        let Taken { groups, written, invalid, metadata_left_out } = taken;
        self.metrics.failed.add(invalid.points as u64);
        self.metrics.invalid.add(invalid.points as u64);
        self.metrics.lost_exemplars.add(invalid.exemplars as u64);
        self.metrics.metadata_left_out.add(metadata_left_out as u64);
        let invalid = invalid.first.map(|first| self.invalid(&first, invalid.points));
        if points == 0 {
            return Ok(Sent { invalid, written, fate: None });
        }
        let (acks, fate) = match self.acknowledge {
            Acknowledge::Accepted => (Acks::default(), None),
            Acknowledge::Durable => {
                let (ack, fate) = Ack::channel();
                (Acks::one(ack), Some(fate))
            }
        };
        let acks = acks.from_client(client.map(Arc::new));
        match output.send(MetricBatch::with_acks(groups, acks)).await {
            Ok(()) => {
                self.metrics.accepted.add(points);
                Ok(Sent { invalid, written, fate })
            }
            Err(error) => {
                self.metrics.refused.add(points);
                Err(unavailable(error))
            }
        }
    }

    fn decode(&self, Form { version, encoding }: Form, body: &[u8]) -> Result<Taken, Answer> {
        let mut plain = self.buffers.lock().pop().unwrap_or_default();
        let now = u32::try_from(self.started.elapsed().as_secs()).unwrap_or(u32::MAX);
        let unpacked = match encoding {
            Encoding::Snappy => {
                decode_block(body, MAX_DECOMPRESSED, &mut plain).map_err(|error| Answer::not_decompressed(&error))
            }
            Encoding::Zstd => zstd_frames(body, MAX_DECOMPRESSED).map(|frames| plain = frames).map_err(not_unpacked),
        };
        let taken = unpacked.and_then(|()| {
            read(version, &plain, &DecodeLimits::default(), &mut self.cache.lock(), now)
                .map_err(|error| Answer::not_decoded(&error))
        });
        if plain.capacity() <= KEPT_BUFFER_SIZE {
            let mut buffers = self.buffers.lock();
            if buffers.len() < KEPT_BUFFERS {
                buffers.push(plain);
            }
        }
        if let Err(answer) = &taken {
            self.metrics.malformed_requests.inc();
            self.report("A write request cannot be read and is refused.", &answer.body);
        }
        taken
    }

    /// The answer to a request of which part was left out.
    fn invalid(&self, first: &str, points: usize) -> Answer {
        let text = match points {
            0 | 1 => first.to_owned(),
            _ => format!("{first} ({points} samples are left out in all)"),
        };
        self.report("Samples of a write request are invalid and left out.", &text);
        refusal(400, &text)
    }

    fn report(&self, what: &'static str, why: &str) {
        let mut reported = self.reported.lock();
        if reported.is_none_or(|last| last.elapsed() >= REPORT_EVERY) {
            *reported = Some(Instant::now());
            tracing::warn!(receiver = self.id, error = why, "{what}");
        }
    }
}

#[async_trait]
impl Handler for WriteHandler {
    async fn handle(&self, request: Request) -> Response {
        let path = request.uri.path();
        if !PATHS.contains(&path.strip_suffix('/').unwrap_or(path)) {
            let text = format!("no such path: remote write goes to {}\n", PATHS.join(" or "));
            return Response::text(StatusCode::NOT_FOUND, text);
        }
        if request.method == Method::GET && request.uri.query().is_some_and(|query| query.contains(ASKS_FOR_ZSTD)) {
            return Response::text(StatusCode::OK, "1");
        }
        if request.method != Method::POST {
            let mut response = Response::text(StatusCode::METHOD_NOT_ALLOWED, "remote write is a POST request\n");
            response.headers.insert(ALLOW, HeaderValue::from_static("POST"));
            return response;
        }
        match check_headers(&request.headers) {
            Err(answer) => response(&answer),
            Ok(form) => {
                let client = client::of(&request, self.include_metadata);
                let (answer, written) = self.write(form, &request.body, client).await;
                let mut response = response(&answer);
                if form.version == ProtocolVersion::V2 {
                    for (name, count) in written.headers() {
                        response.headers.insert(HeaderName::from_static(name), HeaderValue::from(count));
                    }
                }
                response
            }
        }
    }
}

/// The request's form, by its header fields.
fn check_headers(headers: &HeaderMap) -> Result<Form, Answer> {
    let text = |name: HeaderName| match headers.get(name) {
        // What is no text cannot be what is wanted either.
        Some(value) => Some(value.to_str().unwrap_or("?")),
        None => None,
    };
    let encoding = Encoding::from_content_encoding(text(CONTENT_ENCODING));
    let version = ProtocolVersion::from_content_type(text(CONTENT_TYPE));
    Ok(Form {
        encoding: encoding.map_err(|error| Answer::unsupported(&error))?,
        version: version.map_err(|error| Answer::unsupported(&error))?,
    })
}

fn not_unpacked(error: DecodeError) -> Answer {
    let status = if matches!(error, DecodeError::LimitExceeded { .. }) { 413 } else { 400 };
    refusal(status, &error.to_string())
}

fn unavailable(error: SendError) -> Answer {
    Answer::busy(&error.to_string(), RETRY_AFTER)
}

fn refusal(status: u16, text: &str) -> Answer {
    Answer { status, body: text.to_owned(), retry_after: None }
}

fn response(answer: &Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if answer.body.is_empty() {
        return Response::new(status);
    }
    let mut response = Response::text(status, format!("{}\n", answer.body));
    if let Some((name, seconds)) = answer.retry_after_header() {
        response.headers.insert(HeaderName::from_static(name), HeaderValue::from(seconds));
    }
    response
}
