//! One GET of a target's page.

use super::buffers::Buffers;
use crate::prometheus::config::{ScrapeJob, ScrapeProtocol};
use crate::prometheus::target::Target;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use net::client::{HttpClient, Request, RequestErrorKind};
use net::decode::{DecodeError, gunzip};
use prometheus::exposition::{Format, MediaType};

/// Bytes of an uncompressed page when the job sets no `body_size_limit`: some five million samples. A
/// page has to fit in memory, and a target that never ends its answer must not take all of it.
const MAX_PAGE: usize = 1 << 30;

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct FetchError {
    pub(super) message: String,
    /// For the counter.
    pub(super) cause: &'static str,
    pub(super) over_size: bool,
}

impl FetchError {
    fn new(cause: &'static str, message: impl Into<String>) -> Self {
        Self { message: message.into(), cause, over_size: false }
    }

    fn over_size() -> Self {
        Self { over_size: true, ..Self::new("body_size_limit", "body size limit exceeded") }
    }
}

/// What a job sends with each scrape.
pub(super) fn headers(job: &ScrapeJob, target: &Target, user_agent: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut set = |name: header::HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(header::ACCEPT, &job.accept);
    set(header::ACCEPT_ENCODING, if job.enable_compression { "gzip" } else { "identity" });
    set(header::USER_AGENT, user_agent);
    let timeout = prometheus::number::format_shortest_decimal(target.timeout.as_secs_f64());
    set(header::HeaderName::from_static("x-prometheus-scrape-timeout-seconds"), &timeout);
    headers
}

/// The answer to a scrape as it came.
pub(super) struct Fetched {
    body: Vec<u8>,
    gzip: bool,
    content_type: String,
}

/// Asks for the page; the body is in a buffer of `buffers`, to be given back.
pub(super) async fn fetch(
    client: &HttpClient,
    request: &Request,
    job: &ScrapeJob,
    buffers: &Buffers,
) -> Result<Fetched, FetchError> {
    let mut body = buffers.bodies.take();
    body.clear();
    let head = match client.send(request, &mut body, page_limit(job)).await {
        Ok(head) => head,
        Err(error) => {
            buffers.bodies.give_back(body);
            return Err(match error.kind() {
                RequestErrorKind::BodyTooLarge => FetchError::over_size(),
                kind => FetchError::new(kind.as_str(), error.to_string()),
            });
        }
    };
    if head.status != StatusCode::OK {
        buffers.bodies.give_back(body);
        return Err(FetchError::new("http_status", format!("server returned HTTP status {}", head.status)));
    }
    let text = |name| head.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
    Ok(Fetched {
        gzip: text(header::CONTENT_ENCODING) == "gzip",
        content_type: text(header::CONTENT_TYPE).to_owned(),
        body,
    })
}

/// Bytes that are too many, which is where Prometheus draws the line: at the limit, not above it.
fn page_limit(job: &ScrapeJob) -> usize {
    match usize::try_from(job.limits.body_size) {
        Ok(0) => MAX_PAGE,
        Ok(limit) => limit.saturating_sub(1),
        Err(_) => usize::MAX,
    }
}

impl Fetched {
    /// An answer as if it had come, for tests.
    #[cfg(test)]
    pub(super) fn plain(body: Vec<u8>, content_type: &str) -> Self {
        Self { body, gzip: false, content_type: content_type.to_owned() }
    }

    /// The uncompressed page, which is `plain` or the body itself.
    pub(super) fn page<'a>(&'a self, job: &ScrapeJob, plain: &'a mut Vec<u8>) -> Result<&'a [u8], FetchError> {
        if !self.gzip || self.body.is_empty() {
            return Ok(&self.body);
        }
        match gunzip(&self.body, plain, page_limit(job)) {
            Ok(()) => Ok(plain),
            Err(DecodeError::LimitExceeded { .. }) => Err(FetchError::over_size()),
            Err(error) => Err(FetchError::new("gzip", error.to_string())),
        }
    }

    /// How the page is to be read.
    pub(super) fn format(&self, job: &ScrapeJob) -> Result<Format, FetchError> {
        let protobuf = || {
            FetchError::new(
                "content_type",
                "the target answers with protobuf, which was not asked for: set scrape_protocols to text formats",
            )
        };
        match MediaType::from_content_type(&self.content_type) {
            Ok(MediaType::Text(format)) => Ok(format),
            Ok(MediaType::Protobuf) => Err(protobuf()),
            Err(error) => match job.fallback_protocol {
                None => Err(FetchError::new("content_type", error.to_string())),
                Some(ScrapeProtocol::PrometheusProto) => Err(protobuf()),
                Some(ScrapeProtocol::OpenMetricsText0 | ScrapeProtocol::OpenMetricsText1) => Ok(Format::OpenMetrics),
                Some(ScrapeProtocol::PrometheusText0 | ScrapeProtocol::PrometheusText1) => Ok(Format::Text),
            },
        }
    }

    pub(super) fn into_buffer(self) -> Vec<u8> {
        self.body
    }
}
