//! A response's body on its way: read, handed over, its connection returned.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Uri};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;

use super::error::{Failure, RequestError};
use super::framing::BodyDecoder;
use super::http1;
use super::http2;
use super::pool::Pool;
use super::stream::Stream;

/// What is read of a response that is not handed over: to use its connection again (redirects), and to let an
/// authenticator see why it was refused.
pub(super) const MAX_SIDE_BODY: usize = 64 << 10;

/// The rest of a response.
pub(super) struct Source {
    pub(super) connection: Connection,
    /// Where the connection goes afterwards.
    pub(super) home: Option<Home>,
}

pub(super) enum Connection {
    Http1 {
        stream: Stream,
        decoder: BodyDecoder,
        keep_alive: bool,
    },
    /// The sender keeps the connection alive while the body is read.
    Http2 {
        incoming: Incoming,
        _sender: http2::Http2Sender,
    },
    Done,
}

/// Where a connection is kept when it is not needed any more.
pub(super) struct Home {
    pub(super) pool: Arc<Pool>,
    pub(super) key: String,
    pub(super) tls_version: u64,
    /// Lets the next request to the host begin.
    pub(super) _permit: Option<OwnedSemaphorePermit>,
}

impl Source {
    /// Reads the next piece to the end of `buffer`; `false` once the body is complete.
    pub(super) async fn read(&mut self, buffer: &mut Vec<u8>, limit: usize) -> Result<bool, Failure> {
        let more = match &mut self.connection {
            Connection::Done => return Ok(false),
            Connection::Http1 { stream, decoder, .. } => {
                http1::read_body(stream, decoder, buffer, limit).await?;
                !decoder.is_done()
            }
            Connection::Http2 { incoming, .. } => http2::read_body(incoming, buffer, limit).await?,
        };
        if !more {
            self.finish();
        }
        Ok(more)
    }

    /// Reads what is left if it is little, so that the connection can be used again.
    pub(super) async fn drain(&mut self, buffer: &mut Vec<u8>) {
        while matches!(self.read(buffer, MAX_SIDE_BODY).await, Ok(true)) {}
        buffer.clear();
    }

    fn finish(&mut self) {
        let connection = std::mem::replace(&mut self.connection, Connection::Done);
        let Some(home) = self.home.take() else { return };
        if let Connection::Http1 { stream, decoder, keep_alive: true } = connection
            && decoder.leaves_connection_usable()
        {
            home.pool.put(&home.key, stream, home.tls_version);
        }
    }
}

/// A response's body, read piece by piece. Dropping it before its end closes the connection.
pub struct ResponseBody {
    source: Source,
    /// What has been read and not been handed over.
    buffer: Vec<u8>,
    method: Method,
    uri: Uri,
}

impl ResponseBody {
    pub(super) fn new(source: Source, buffer: Vec<u8>, method: Method, uri: Uri) -> Self {
        Self { source, buffer, method, uri }
    }

    /// The next piece, as soon as there is one; none at the end. Pieces are as the network delivers them, up to some
    /// tens of KiB. Without a timeout of its own: wrap it in one if silence is a fault.
    ///
    /// # Errors
    /// [`RequestError`] if the connection ends before the body does.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, RequestError> {
        while self.buffer.is_empty() {
            let more = self
                .source
                .read(&mut self.buffer, usize::MAX)
                .await
                .map_err(|failure| RequestError::new(&self.method, &self.uri, failure))?;
            if !more && self.buffer.is_empty() {
                return Ok(None);
            }
        }
        // Copied: a piece is often some bytes in a buffer of 16 KiB.
        let chunk = Bytes::copy_from_slice(&self.buffer);
        self.buffer.clear();
        if let Connection::Http1 { decoder, .. } = &mut self.source.connection {
            decoder.taken();
        }
        Ok(Some(chunk))
    }
}

impl std::fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}
