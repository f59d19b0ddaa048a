//! OTLP over gRPC: services, methods, and answers.

use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderMap, StatusCode};
use net::server::grpc::{self, GrpcStatus};
use net::server::{GrpcServerConfig, Handler, Request, Response};
use otlp::response::Status;
use pipeline::component::{BuildContext, Signal};

use super::intake::{Intake, Refusal};
use crate::client;
use crate::otlp_requests::{Encoding, TransportMetrics};

/// The services, each with one method, `Export`.
const SERVICES: [(Signal, &str); 3] = [
    (Signal::Metrics, "opentelemetry.proto.collector.metrics.v1.MetricsService"),
    (Signal::Traces, "opentelemetry.proto.collector.trace.v1.TraceService"),
    (Signal::Logs, "opentelemetry.proto.collector.logs.v1.LogsService"),
];

/// Answers calls over gRPC.
pub(super) struct GrpcHandler {
    intake: Arc<Intake>,
    metrics: TransportMetrics,
    max_message: usize,
    include_metadata: bool,
}

impl GrpcHandler {
    pub(super) fn new(intake: Arc<Intake>, config: &GrpcServerConfig, context: &BuildContext) -> Self {
        let metrics = TransportMetrics::new(&context.telemetry, &context.id.to_string(), "grpc");
        Self { intake, metrics, max_message: config.max_message(), include_metadata: config.include_metadata }
    }

    async fn call(&self, request: Request) -> Result<Response, GrpcStatus> {
        let path = request.uri.path();
        let (service, method) = path
            .strip_prefix('/')
            .and_then(|path| path.rsplit_once('/'))
            .ok_or_else(|| GrpcStatus::unknown_service(path))?;
        let known = SERVICES.iter().find(|(signal, name)| *name == service && self.intake.serves(*signal));
        let (signal, _) = known.ok_or_else(|| GrpcStatus::unknown_service(path))?;
        if method != "Export" {
            return Err(GrpcStatus::unknown_method(service, method));
        }
        let client = client::of(&request, self.include_metadata);
        let message = grpc::message(&request.headers, request.body, self.max_message)?;
        match self.intake.take(*signal, Encoding::Protobuf, message, client, &self.metrics).await {
            Ok(partial) => Ok(grpc::reply(&partial.to_protobuf())),
            Err(Refusal::Malformed(why)) => Err(GrpcStatus::not_decoded(&why)),
            Err(Refusal::Status(status)) => Err(of(&status)),
        }
    }
}

fn of(status: &Status) -> GrpcStatus {
    let details = status.retry_delay.map(|_| status.to_protobuf());
    GrpcStatus { code: status.code, message: status.message.clone(), details }
}

#[async_trait]
impl Handler for GrpcHandler {
    async fn handle(&self, request: Request) -> Response {
        if let Some(response) = grpc::check(&request) {
            return response;
        }
        let answered = match grpc::timeout(&request.headers) {
            None => self.call(request).await,
            Some(limit) => {
                let in_time = tokio::time::timeout(limit, self.call(request)).await;
                in_time.unwrap_or_else(|_| Err(GrpcStatus::deadline_exceeded()))
            }
        };
        answered.unwrap_or_else(|status| status.response())
    }

    fn refusal(&self, _headers: &HeaderMap, status: StatusCode, text: String) -> Response {
        let mut refusal = GrpcStatus::of_http(status, text, self.max_message);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let status = Status { code: refusal.code, message: refusal.message.clone(), retry_delay: None };
            refusal = of(&status.retry_after(super::intake::RETRY_AFTER));
        }
        refusal.response()
    }
}
