//! Bodies of requests: read within limits of size, time, and of what all of them together may hold.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// Announced lengths up to here are believed: room that is not used costs next to nothing.
const TRUSTED: usize = 256 << 10;

/// Bytes that all requests of a server hold.
#[derive(Debug)]
pub(super) struct Budget {
    held: AtomicUsize,
    max: usize,
}

/// What one request holds of it; given back when dropped.
#[derive(Debug)]
pub(super) struct Held<'b> {
    budget: &'b Budget,
    bytes: usize,
}

impl Budget {
    pub(super) fn new(max: usize) -> Self {
        Self { held: AtomicUsize::new(0), max }
    }

    pub(super) fn hold(&self) -> Held<'_> {
        Held { budget: self, bytes: 0 }
    }
}

impl Held<'_> {
    /// Takes so many bytes more, if there are as many left.
    fn grow(&mut self, bytes: usize) -> bool {
        let before = self.budget.held.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        before.saturating_add(bytes) <= self.budget.max
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// How a body is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Its length as announced; 0 if it was not.
    pub(super) announced: usize,
    /// Its greatest length.
    pub(super) size: usize,
    /// How long it may stand still; zero for any time.
    pub(super) stall: Duration,
}

/// The body, or the status and text that say why there is none.
pub(super) async fn read(
    mut body: Incoming,
    limits: Limits,
    held: &mut Held<'_>,
) -> Result<Bytes, (StatusCode, String)> {
    let Limits { announced, size, stall } = limits;
    let too_large = || (StatusCode::PAYLOAD_TOO_LARGE, format!("request body too large (limit {size} bytes)"));
    if announced > size {
        return Err(too_large());
    }
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    loop {
        let frame = match stall {
            Duration::ZERO => body.frame().await,
            stall => tokio::time::timeout(stall, body.frame()).await.map_err(|_| {
                (StatusCode::REQUEST_TIMEOUT, format!("nothing of the request body came for {stall:?}"))
            })?,
        };
        let Some(frame) = frame else { break };
        let frame =
            frame.map_err(|error| (StatusCode::BAD_REQUEST, format!("request body cannot be read: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > size.saturating_sub(first.len() + whole.len()) {
            return Err(too_large());
        }
        if !held.grow(data.len()) {
            let text = "too many request bodies are being received; try again later";
            return Err((StatusCode::SERVICE_UNAVAILABLE, text.to_owned()));
        }
        if first.is_empty() && whole.is_empty() {
            // Small bodies come in one piece, which is passed on without a copy.
            first = data;
        } else {
            if whole.is_empty() {
                // Room for what was announced, but for large bodies no more than four times what has come.
                whole.reserve(announced.min((first.len() + data.len()).saturating_mul(4).max(TRUSTED)));
                whole.extend_from_slice(&first);
                first = Bytes::new();
            }
            whole.extend_from_slice(&data);
        }
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}
