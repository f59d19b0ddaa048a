//! Posts, and what their statuses mean (OTLP specification, "OTLP/HTTP").

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use net::auth::{AuthVerdict, ClientAuth};
use net::client::{Compression, HttpClient, Request, RequestError, RequestErrorKind, ResponseBody, ResponseHead};
use otlp::response::{PartialSuccess, Status};
use pipeline::component::{Program, Signal};

use super::config::Config;
use crate::retry::retry_after;
use crate::sending_queue::{Attempt, MAX_RESTORED, Transport};

/// What is read of an answer, as in the Collector.
const ANSWER_LIMIT: usize = 64 << 10;

/// How much of an answer that is no OTLP is logged.
const LOGGED_BYTES: usize = 1024;

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";

pub(super) struct HttpTransport {
    client: HttpClient,
    targets: Vec<Target>,
    json: bool,
    compression: Option<Compression>,
    headers: HeaderMap,
    auth: Option<Arc<dyn ClientAuth>>,
    timeout: Option<Duration>,
}

struct Target {
    signal: Signal,
    uri: Uri,
    /// Without what may be secret in it.
    shown: String,
}

impl HttpTransport {
    pub(super) fn new(
        config: &Config,
        client: HttpClient,
        auth: Option<Arc<dyn ClientAuth>>,
        program: Program,
    ) -> Self {
        let mut headers = HeaderMap::new();
        let content_type = if config.json { JSON } else { PROTOBUF };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Some(compression) = config.compression {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(compression.encoding()));
        }
        if let Ok(user_agent) = HeaderValue::from_str(&format!("{}/{}", program.name, program.version)) {
            headers.insert(header::USER_AGENT, user_agent);
        }
        let target = |(signal, uri): &(Signal, Uri)| Target { signal: *signal, shown: shown(uri), uri: uri.clone() };
        Self {
            client,
            targets: config.endpoints.iter().map(target).collect(),
            json: config.json,
            compression: config.compression,
            headers,
            auth,
            timeout: config.timeout,
        }
    }

    fn target_of(&self, signal: Signal) -> Option<&Target> {
        self.targets.iter().find(|target| target.signal == signal)
    }

    async fn exchange(&self, target: &Target, prepared: &Bytes) -> Result<(ResponseHead, Vec<u8>), RequestError> {
        let mut request = Request::post(target.uri.clone(), prepared.clone());
        request.headers = self.headers.clone();
        // Without an answer the request is sent again in any case, so that a connection that turns out closed is no reason to wait.
        request.idempotent = Some(true);
        let (head, body) = self.client.open(&request).await?;
        let answer = match read(body).await {
            // The status says what became of the request, whatever is wrong with what follows it.
            Err(_) if head.status.is_success() => Vec::new(),
            answer => answer?,
        };
        Ok((head, answer))
    }

    fn refused(&self, target: &Target, head: &ResponseHead, answer: &[u8]) -> Attempt {
        let why = format!(
            "request to {} responded with HTTP Status Code {}{}",
            target.shown,
            head.status.as_u16(),
            words(&head.headers, answer)
        );
        if matches!(head.status.as_u16(), 429 | 502 | 503 | 504) {
            let asked = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            let pause = asked.and_then(|value| retry_after(value, SystemTime::now()));
            return Attempt::Failed { why, pause, of_identity: false };
        }
        let verdict = self.auth.as_ref().filter(|_| head.status.is_client_error());
        let verdict = verdict.map(|auth| auth.on_response(head.status, answer));
        if matches!(verdict, Some(AuthVerdict::Retry | AuthVerdict::Refused)) {
            return Attempt::Failed { why, pause: None, of_identity: true };
        }
        let reason = rejection_reason(head.status);
        if head.status == StatusCode::PAYLOAD_TOO_LARGE {
            return Attempt::TooLarge { reason, why };
        }
        Attempt::Rejected { reason, why }
    }
}

#[async_trait]
impl Transport for HttpTransport {
    fn target(&self, signal: Signal) -> Option<&str> {
        self.target_of(signal).map(|target| target.shown.as_str())
    }

    fn prepare(&self, signal: Signal, request: Bytes) -> Result<Bytes, String> {
        let body = match self.json {
            true => otlp::json::from_protobuf(signal, &request).map_err(|error| error.to_string())?.into(),
            false => request,
        };
        match self.compression {
            Some(compression) => compression.compress(&body).ok_or_else(|| "it cannot be compressed".to_owned()),
            None => Ok(body),
        }
    }

    fn restore(&self, signal: Signal, prepared: Bytes) -> Option<Bytes> {
        let body = match self.compression {
            Some(compression) => compression.decompress(&prepared, MAX_RESTORED)?,
            None => prepared,
        };
        if self.json { Some(otlp::json::to_protobuf(signal, &body).ok()?.into()) } else { Some(body) }
    }

    async fn send(&self, signal: Signal, prepared: &Bytes) -> Attempt {
        let Some(target) = self.target_of(signal) else {
            let why = format!("there is no endpoint for {}", signal.name());
            return Attempt::Rejected { reason: "no_endpoint", why };
        };
        let exchange = self.exchange(target, prepared);
        let result = match self.timeout {
            None => exchange.await,
            Some(timeout) => match tokio::time::timeout(timeout, exchange).await {
                Ok(result) => result,
                Err(_) => {
                    let why =
                        format!("Post {:?}: context deadline exceeded (no answer within {timeout:?})", target.shown);
                    return Attempt::Failed { why, pause: None, of_identity: false };
                }
            },
        };
        match result {
            Ok((head, answer)) if head.status.is_success() => Attempt::Accepted(partial(signal, &head, &answer)),
            Ok((head, answer)) => self.refused(target, &head, &answer),
            // Every failure to get an answer is worth another attempt: the network's, a proxy's, missing credentials.
            Err(error) => {
                let of_identity = error.kind() == RequestErrorKind::Auth;
                Attempt::Failed { why: error.to_string(), pause: None, of_identity }
            }
        }
    }
}

/// The beginning of an answer.
async fn read(mut body: ResponseBody) -> Result<Vec<u8>, RequestError> {
    let mut answer = Vec::new();
    while let Some(chunk) = body.chunk().await? {
        let room = ANSWER_LIMIT - answer.len();
        answer.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if chunk.len() >= room {
            break;
        }
    }
    Ok(answer)
}

/// The type of an answer, without parameters.
fn content_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

/// What was left out of a request that was accepted. An answer that cannot be read says nothing.
fn partial(signal: Signal, head: &ResponseHead, answer: &[u8]) -> Option<PartialSuccess> {
    match content_type(&head.headers) {
        JSON => PartialSuccess::from_json(signal, answer).ok()?,
        PROTOBUF => PartialSuccess::from_protobuf(signal, answer).ok()?,
        _ => None,
    }
}

/// What the server says about a refusal.
fn words(headers: &HeaderMap, answer: &[u8]) -> String {
    let status = match content_type(headers) {
        JSON => Status::from_json(answer).ok(),
        PROTOBUF => Some(Status::from_protobuf(answer)),
        _ => None,
    };
    if let Some(status) = status.filter(|status| !status.message.is_empty()) {
        return format!(", Message={}", status.message.replace(['\n', '\r'], " "));
    }
    if content_type(headers) == PROTOBUF {
        return String::new();
    }
    let text = String::from_utf8_lossy(answer.get(..LOGGED_BYTES).unwrap_or(answer));
    match text.trim() {
        "" => String::new(),
        text => format!(": {}", text.replace(['\n', '\r'], " ")),
    }
}

fn rejection_reason(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "rejected_400",
        401 => "rejected_401",
        403 => "rejected_403",
        404 => "rejected_404",
        413 => "rejected_413",
        415 => "rejected_415",
        422 => "rejected_422",
        500 => "rejected_500",
        300..=399 => "rejected_redirect",
        _ => "rejected_other",
    }
}

/// The URL without what may be secret in it.
fn shown(uri: &Uri) -> String {
    let port = uri.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    let scheme = uri.scheme_str().unwrap_or("http");
    format!("{scheme}://{}{port}{}", uri.host().unwrap_or_default(), uri.path())
}
