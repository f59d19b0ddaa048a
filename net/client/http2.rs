//! HTTP/2, spoken where the server chooses it in the TLS handshake.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::error::{Failure, RequestErrorKind};
use super::stream::Stream;

/// A connection's sending half; clones share the connection, which ends when the last one is dropped.
#[derive(Clone)]
pub(super) struct Http2Sender {
    sender: SendRequest<Full<Bytes>>,
}

/// When to ask a silent connection whether it is still there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Http2Ping {
    /// Silence after which a ping is sent; zero for never.
    pub after: Duration,
    /// How long to wait for its answer before the connection is given up; zero for 15 s, as in Go.
    pub timeout: Duration,
    /// Ask also while no request is under way.
    pub while_idle: bool,
}

/// Begins HTTP/2 on a connection.
pub(super) async fn handshake(stream: Stream, ping: Http2Ping) -> Result<Http2Sender, Failure> {
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new());
    // The receive window bounds what a stream may buffer for us: 1 MiB lets a page of a large exporter through in one go.
    builder.initial_stream_window_size(1 << 20);
    builder.initial_connection_window_size(4 << 20);
    builder.max_send_buf_size(256 << 10);
    if !ping.after.is_zero() {
        builder.keep_alive_interval(ping.after);
        let timeout = if ping.timeout.is_zero() { Duration::from_secs(15) } else { ping.timeout };
        builder.keep_alive_timeout(timeout);
        builder.keep_alive_while_idle(ping.while_idle);
    }
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(|error| failure(&error))?;
    // Ends by itself when the sender's last clone is dropped or the server closes; its errors reach the requests.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = %error, "An HTTP/2 connection ended with an error.");
        }
    });
    Ok(Http2Sender { sender })
}

impl Http2Sender {
    pub(super) fn is_usable(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Sends a request and waits for the response's head.
    pub(super) async fn send(
        &mut self,
        request: http::Request<Full<Bytes>>,
    ) -> Result<http::Response<Incoming>, Failure> {
        self.sender.ready().await.map_err(|error| failure(&error).before_response())?;
        self.sender.send_request(request).await.map_err(|error| {
            let failure = failure(&error);
            // The server said that it did not begin with the request, or the connection was gone before.
            if error.is_canceled() || error.is_closed() || refused(&error) {
                failure.before_response()
            } else {
                failure
            }
        })
    }
}

/// Reads a whole body, of at most `limit` bytes, to the end of `buffer`, and what follows it.
pub(super) async fn read_with_trailers(
    mut body: Incoming,
    buffer: &mut Vec<u8>,
    limit: usize,
) -> Result<Option<HeaderMap>, Failure> {
    let mut trailers = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| failure(&error))?;
        match frame.into_data() {
            Ok(data) if data.len() > limit.saturating_sub(buffer.len()) => return Err(Failure::too_large(limit)),
            Ok(data) => buffer.extend_from_slice(&data),
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    Ok(trailers)
}

/// Reads the next piece of a body to the end of `buffer`; `false` at its end.
pub(super) async fn read_body(body: &mut Incoming, buffer: &mut Vec<u8>, limit: usize) -> Result<bool, Failure> {
    match body.frame().await {
        None => Ok(false),
        Some(Err(error)) => Err(failure(&error)),
        Some(Ok(frame)) => {
            if let Ok(data) = frame.into_data() {
                if data.len() > limit.saturating_sub(buffer.len()) {
                    return Err(Failure::too_large(limit));
                }
                buffer.extend_from_slice(&data);
            }
            Ok(true)
        }
    }
}

fn failure(error: &hyper::Error) -> Failure {
    // The reason stands in the innermost error.
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    let kind = if error.is_parse() { RequestErrorKind::Protocol } else { RequestErrorKind::Reset };
    Failure::new(kind, text)
}

fn refused(error: &hyper::Error) -> bool {
    error.source().is_some_and(|source| source.to_string().contains("refused stream before processing"))
}
