//! How bodies are compressed on the wire.
//!
//! Requests are sealed as snappy blocks, which is what remote write has. A store that takes zstd as well gets them packed anew as they
//! are sent: that costs as much processor time again as all the rest, and saves half of the bytes or more. No specification has
//! it: VictoriaMetrics' programs speak so to each other, and our receiver takes it. A store that does not is found out by its
//! answer, and gets snappy for an hour.

use super::version::FALL_BACK_FOR;
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, HeaderName, HeaderValue};
use parking_lot::Mutex;
use prometheus::remote_write::protocol::Encoding;
use prometheus::remote_write::snappy::{MAX_RAW_LEN, decode_block};
use tokio::time::Instant;

/// By which VictoriaMetrics' receivers know their own senders.
const VICTORIA_METRICS: HeaderName = HeaderName::from_static("x-victoriametrics-remote-write-version");

/// zstd's fastest level: some 500 MB/s.
const LEVEL: i32 = 1;

/// The encoding that is wanted, and whether the store takes it.
#[derive(Debug, Default)]
pub(crate) struct Packing {
    wanted: Encoding,
    fallen_back: Mutex<Option<Instant>>,
}

impl Packing {
    pub(crate) fn new(wanted: Encoding) -> Self {
        Self { wanted, fallen_back: Mutex::default() }
    }

    /// The body in zstd, if the store is to get that.
    pub(super) async fn pack(&self, block: &Bytes) -> Option<Bytes> {
        if self.wanted != Encoding::Zstd {
            return None;
        }
        {
            let mut fallen_back = self.fallen_back.lock();
            match *fallen_back {
                Some(since) if since.elapsed() < FALL_BACK_FOR => return None,
                _ => *fallen_back = None,
            }
        }
        let block = block.clone();
        // Some milliseconds of a core. It fails with the runtime, or for want of memory: then as it is.
        tokio::task::spawn_blocking(move || packed(&block)).await.ok().flatten()
    }

    /// The store does not take it; whether that is news.
    pub(super) fn fall_back(&self) -> bool {
        self.fallen_back.lock().replace(Instant::now()).is_none()
    }
}

fn packed(block: &[u8]) -> Option<Bytes> {
    let mut plain = Vec::new();
    decode_block(block, MAX_RAW_LEN, &mut plain).ok()?;
    zstd::bulk::compress(&plain, LEVEL).ok().map(Bytes::from)
}

/// Says in the header fields what the body is.
pub(super) fn announce(headers: &mut HeaderMap) {
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(Encoding::Zstd.name()));
    headers.insert(VICTORIA_METRICS, HeaderValue::from_static("1"));
}
