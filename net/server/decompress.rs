//! Bodies of requests as they were meant, with a limit on what they may become.

use std::io::Read;

use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, StatusCode};

use crate::decode::{DecodeError, gunzip};

/// The encodings that a server undoes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encodings {
    gzip: bool,
    /// `zlib` and `deflate`, which mean the same (RFC 9110 section 8.4.1.2).
    zlib: bool,
    snappy: bool,
    snappy_framed: bool,
    zstd: bool,
    lz4: bool,
    /// Leave bodies as they are, whatever they say.
    raw: bool,
}

impl Encodings {
    /// All that are known: gzip, zlib, deflate, snappy, x-snappy-framed, zstd and lz4.
    #[must_use]
    pub const fn all() -> Self {
        Self { gzip: true, zlib: true, snappy: true, snappy_framed: true, zstd: true, lz4: true, raw: false }
    }

    /// None: the handler gets bodies as they came, whatever their `Content-Encoding` says. For remote write, whose
    /// receiver has its own use for the compressed form.
    #[must_use]
    pub const fn raw() -> Self {
        Self { gzip: false, zlib: false, snappy: false, snappy_framed: false, zstd: false, lz4: false, raw: true }
    }

    /// Those in a list of names; names that are not known are in vain.
    #[must_use]
    pub fn only(names: &[String]) -> Self {
        let has = |name: &str| names.iter().any(|given| given == name);
        Self {
            gzip: has("gzip"),
            zlib: has("zlib") || has("deflate"),
            snappy: has("snappy"),
            snappy_framed: has("x-snappy-framed"),
            zstd: has("zstd"),
            lz4: has("lz4"),
            raw: false,
        }
    }

    /// The plain body, or the status and text that say why there is none. The field is taken away with the encoding.
    pub(super) fn decode(
        &self,
        headers: &mut HeaderMap,
        body: Bytes,
        limit: usize,
    ) -> Result<Bytes, (StatusCode, String)> {
        if self.raw {
            return Ok(body);
        }
        let encoding = match headers.get(CONTENT_ENCODING) {
            None => return Ok(body),
            Some(encoding) => encoding.to_str().unwrap_or("?").trim().to_ascii_lowercase(),
        };
        if matches!(encoding.as_str(), "" | "identity") {
            return Ok(body);
        }
        let Some(decoded) = plain(self, &encoding, &body, limit) else {
            return Err((StatusCode::BAD_REQUEST, format!("unsupported Content-Encoding: {encoding}")));
        };
        match decoded {
            Ok(plain) => {
                headers.remove(CONTENT_ENCODING);
                headers.remove(http::header::CONTENT_LENGTH);
                Ok(plain.into())
            }
            Err(error @ DecodeError::LimitExceeded { .. }) => Err((StatusCode::PAYLOAD_TOO_LARGE, error.to_string())),
            Err(error) => Err((StatusCode::BAD_REQUEST, error.to_string())),
        }
    }
}

/// The plain form of `body`, or `None` for an encoding that is not allowed or not known.
pub(crate) fn plain(
    allowed: &Encodings,
    encoding: &str,
    body: &[u8],
    limit: usize,
) -> Option<Result<Vec<u8>, DecodeError>> {
    Some(match encoding {
        "gzip" if allowed.gzip => {
            let mut plain = Vec::new();
            gunzip(body, &mut plain, limit).map(|()| plain)
        }
        "zlib" | "deflate" if allowed.zlib => read("zlib", flate2::read::ZlibDecoder::new(body), limit),
        "snappy" if allowed.snappy => snappy_block(body, limit),
        "x-snappy-framed" if allowed.snappy_framed => {
            read("x-snappy-framed", snap::read::FrameDecoder::new(body), limit)
        }
        "zstd" if allowed.zstd => zstd_frames(body, limit),
        "lz4" if allowed.lz4 => read("lz4", lz4_flex::frame::FrameDecoder::new(body), limit),
        _ => return None,
    })
}

/// The largest window that a zstd stream may ask for, as a power of two: 8 MiB, which RFC 8878 asks decoders to have.
const ZSTD_WINDOW_LOG: u32 = 23;

/// The plain form of frames of zstd.
///
/// # Errors
/// If they are not well formed, ask for more memory than decoders have to have, or are more than `limit` bytes.
pub fn zstd_frames(body: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
    let invalid = |_| DecodeError::Invalid { encoding: "zstd" };
    let mut decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(invalid)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(invalid)?;
    read("zstd", decoder, limit)
}

fn read(encoding: &'static str, reader: impl Read, limit: usize) -> Result<Vec<u8>, DecodeError> {
    let mut plain = Vec::new();
    let allowed = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(allowed).read_to_end(&mut plain).map_err(|_| DecodeError::Invalid { encoding })?;
    if plain.len() > limit {
        return Err(DecodeError::LimitExceeded { limit });
    }
    Ok(plain)
}

/// One block, which begins with its plain size, so that nothing is decoded in vain.
fn snappy_block(body: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
    let invalid = |_| DecodeError::Invalid { encoding: "snappy" };
    if snap::raw::decompress_len(body).map_err(invalid)? > limit {
        return Err(DecodeError::LimitExceeded { limit });
    }
    snap::raw::Decoder::new().decompress_vec(body).map_err(invalid)
}
