//! Calls of the three services, and what their codes mean (OTLP specification, "OTLP/gRPC").

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use net::client::grpc::{Framed, GrpcClient, GrpcError, GrpcStatus};
use otlp::response::{PartialSuccess, Status};
use pipeline::component::Signal;

use crate::retry::believed;
use crate::sending_queue::{Attempt, MAX_RESTORED, Transport};

pub(super) struct GrpcTransport {
    pub(super) client: GrpcClient,
    pub(super) shown: String,
    pub(super) timeout: Option<Duration>,
}

/// The method of a signal.
fn path(signal: Signal) -> &'static str {
    match signal {
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    }
}

#[async_trait]
impl Transport for GrpcTransport {
    fn target(&self, _: Signal) -> Option<&str> {
        Some(&self.shown)
    }

    fn prepare(&self, _: Signal, request: Bytes) -> Result<Bytes, String> {
        let framed = self.client.frame(&request).ok_or("a message is longer than gRPC carries")?;
        Ok(framed.into_bytes())
    }

    fn restore(&self, _: Signal, prepared: Bytes) -> Option<Bytes> {
        self.client.unframe(Framed::from_bytes(prepared), MAX_RESTORED)
    }

    async fn send(&self, signal: Signal, prepared: &Bytes) -> Attempt {
        let framed = Framed::from_bytes(prepared.clone());
        match self.client.call(path(signal), &framed, self.timeout).await {
            // The request is delivered whatever may be wrong with the answer.
            Ok(answer) => Attempt::Accepted(PartialSuccess::from_protobuf(signal, &answer).unwrap_or_default()),
            Err(GrpcError::Status(status)) => refused(&status),
            Err(error @ GrpcError::Transport(_)) => {
                Attempt::Failed { why: error.to_string(), pause: None, of_identity: false }
            }
            Err(error @ GrpcError::Auth(_)) => {
                Attempt::Failed { why: error.to_string(), pause: None, of_identity: true }
            }
        }
    }
}

/// What a status other than `OK` means.
pub(super) fn refused(status: &GrpcStatus) -> Attempt {
    let pause = status.details.as_deref().and_then(|details| Status::from_protobuf(details).retry_delay);
    let why = GrpcError::Status(status.clone()).to_string();
    let reason = match status.code {
        // Cancelled, DeadlineExceeded, Aborted, OutOfRange, Unavailable, DataLoss; ResourceExhausted if the server says when to come again.
        1 | 4 | 10 | 11 | 14 | 15 => return failed(why, pause),
        8 if pause.is_some() => return failed(why, pause),
        8 if is_too_large(&status.message) => {
            return Attempt::TooLarge { reason: "rejected_resource_exhausted", why };
        }
        3 => "rejected_invalid_argument",
        7 => "rejected_permission_denied",
        8 => "rejected_resource_exhausted",
        12 => "rejected_unimplemented",
        13 => "rejected_internal",
        16 => "rejected_unauthenticated",
        _ => "rejected_other",
    };
    Attempt::Rejected { reason, why }
}

/// Whether a refusal is about the length of a message. The words are those of grpc-go ("received message larger than max", "… after decompression
/// larger than max"), of its core for C++ and Python ("Received message larger than max", "SERVER: …"), of Java ("gRPC message exceeds
/// maximum size") and of Rust's tonic ("decoded message length too large").
fn is_too_large(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    let words = ["larger than max", "exceeds maximum size", "message length too large", "larger than the limit"];
    words.iter().any(|words| message.contains(words))
}

fn failed(why: String, pause: Option<Duration>) -> Attempt {
    Attempt::Failed { why, pause: pause.and_then(believed), of_identity: false }
}
