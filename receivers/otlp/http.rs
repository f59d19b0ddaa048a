//! OTLP over HTTP: paths, methods, content types and answers.

use std::sync::Arc;

use async_trait::async_trait;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use net::server::{Handler, Request, Response};
use otlp::response::{Code, Status};
use pipeline::component::{BuildContext, Signal};

use super::config::{OtlpHttpConfig, path};
use super::intake::{Intake, Refusal};
use crate::client;
use crate::otlp_requests::{Encoding, TransportMetrics};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// Answers requests over HTTP.
pub(super) struct HttpHandler {
    intake: Arc<Intake>,
    metrics: TransportMetrics,
    paths: [(Signal, String); 3],
    include_metadata: bool,
}

impl HttpHandler {
    pub(super) fn new(intake: Arc<Intake>, config: &OtlpHttpConfig, context: &BuildContext) -> Self {
        let paths = [
            (Signal::Traces, path(config.traces_url_path.as_deref(), "/v1/traces")),
            (Signal::Metrics, path(config.metrics_url_path.as_deref(), "/v1/metrics")),
            (Signal::Logs, path(config.logs_url_path.as_deref(), "/v1/logs")),
        ];
        let metrics = TransportMetrics::new(&context.telemetry, &context.id.to_string(), "http");
        Self { intake, metrics, paths, include_metadata: config.include_metadata }
    }
}

#[async_trait]
impl Handler for HttpHandler {
    async fn handle(&self, request: Request) -> Response {
        let wanted = request.uri.path();
        let signal = self.paths.iter().find(|(_, path)| path == wanted).map(|(signal, _)| *signal);
        let Some(signal) = signal.filter(|signal| self.intake.serves(*signal)) else {
            return Response::text(StatusCode::NOT_FOUND, "404 page not found\n");
        };
        if request.method != Method::POST {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "405 method not allowed, supported: [POST]");
        }
        let Some(encoding) = encoding(&request.headers) else {
            let text = "415 unsupported media type, supported: [application/json, application/x-protobuf]";
            return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, text);
        };
        let client = client::of(&request, self.include_metadata);
        match self.intake.take(signal, encoding, request.body, client, &self.metrics).await {
            Ok(partial) => match encoding {
                Encoding::Protobuf => Response::with_body(StatusCode::OK, PROTOBUF, partial.to_protobuf()),
                Encoding::Json => Response::with_body(StatusCode::OK, JSON, partial.to_json(signal)),
            },
            Err(Refusal::Malformed(why)) => {
                status(&Status::new(Code::InvalidArgument, why), StatusCode::BAD_REQUEST, encoding)
            }
            Err(Refusal::Status(refusal)) => {
                let code = match refusal.code {
                    code if code == Code::Unavailable as u32 => Code::Unavailable,
                    _ => Code::Internal,
                };
                let http = StatusCode::from_u16(code.http()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                status(&refusal, http, encoding)
            }
        }
    }

    fn refusal(&self, headers: &HeaderMap, http: StatusCode, text: String) -> Response {
        let mut refusal = Status::new(Code::of_http(http.as_u16()), text);
        if http == StatusCode::SERVICE_UNAVAILABLE {
            refusal = refusal.retry_after(super::intake::RETRY_AFTER);
        }
        match encoding(headers) {
            Some(encoding) => status(&refusal, http, encoding),
            None => Response::text(http, refusal.message),
        }
    }
}

/// How a request says that its body is written, if it is one of the two ways.
fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    let content_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case(PROTOBUF) {
        Some(Encoding::Protobuf)
    } else if media_type.eq_ignore_ascii_case(JSON) {
        Some(Encoding::Json)
    } else {
        None
    }
}

/// The Collector's way of saying what it says without a status message.
fn plain(status: StatusCode, text: &'static str) -> Response {
    Response::with_body(status, "text/plain", text)
}

/// A status message in the encoding of the request.
fn status(refusal: &Status, http: StatusCode, encoding: Encoding) -> Response {
    let mut response = match encoding {
        Encoding::Protobuf => Response::with_body(http, PROTOBUF, refusal.to_protobuf()),
        Encoding::Json => Response::with_body(http, JSON, refusal.to_json()),
    };
    if let Some(delay) = refusal.retry_delay {
        response.headers.insert(RETRY_AFTER, HeaderValue::from(delay.as_secs()));
    }
    response
}
