//! Compression of requests' bodies, as the Collector's `compression` key names it.

use std::io::Write;

use bytes::Bytes;

use super::settings::ClientConfigError;
use crate::decode::gzip_compress;
use crate::server::Encodings;

/// How bodies of requests are compressed. Bodies that come with a `Content-Encoding` are sent as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// `gzip` at a level from 1 to 9.
    Gzip(u8),
    /// `zlib`, or `deflate`, which is the same on the wire, at a level from 0 to 9.
    Zlib(u8, &'static str),
    /// `snappy`, one block: what remote write uses.
    Snappy,
    /// `x-snappy-framed`: blocks with checksums.
    SnappyFramed,
    /// `zstd` at a level from 1 to 22.
    Zstd(u8),
    /// `lz4`, in frames.
    Lz4,
}

impl Compression {
    /// The compression that a `compression` key names; none for an empty name and for `none`.
    ///
    /// # Errors
    /// For other names, and for a level that the algorithm does not have.
    pub fn parse(name: &str, level: Option<i32>) -> Result<Option<Self>, ClientConfigError> {
        let bad_level = |level: i32| {
            ClientConfigError::invalid(format!(
                "unsupported parameters {{Level:{level}}} for compression type {name:?}"
            ))
        };
        // -1 is the default of Go's compressors, and so is a level that is left out.
        let level_or_six = match level {
            None | Some(-1 | 0) => 6,
            Some(level @ 1..=9) => u8::try_from(level).unwrap_or(6),
            Some(level) if matches!(name, "gzip" | "zlib" | "deflate") => return Err(bad_level(level)),
            Some(_) => 6,
        };
        let zstd_level = match level {
            None | Some(-1 | 0) => 3,
            Some(level @ 1..=22) => u8::try_from(level).unwrap_or(3),
            Some(level) if name == "zstd" => return Err(bad_level(level)),
            Some(_) => 3,
        };
        match name {
            "" | "none" => Ok(None),
            "gzip" => Ok(Some(Self::Gzip(level_or_six))),
            "zlib" => Ok(Some(Self::Zlib(level_or_six, "zlib"))),
            "deflate" => Ok(Some(Self::Zlib(level_or_six, "deflate"))),
            "zstd" => Ok(Some(Self::Zstd(zstd_level))),
            "snappy" | "x-snappy-framed" | "lz4" => match level {
                Some(level) if level != 0 => Err(bad_level(level)),
                _ if name == "snappy" => Ok(Some(Self::Snappy)),
                _ if name == "lz4" => Ok(Some(Self::Lz4)),
                _ => Ok(Some(Self::SnappyFramed)),
            },
            _ => Err(ClientConfigError::invalid(format!(
                "unsupported compression type {name:?}; use gzip, zstd, snappy, x-snappy-framed, zlib, deflate, lz4 or none"
            ))),
        }
    }

    /// The name for `Content-Encoding`.
    #[must_use]
    pub const fn encoding(self) -> &'static str {
        match self {
            Self::Gzip(_) => "gzip",
            Self::Zlib(_, name) => name,
            Self::Snappy => "snappy",
            Self::SnappyFramed => "x-snappy-framed",
            Self::Zstd(_) => "zstd",
            Self::Lz4 => "lz4",
        }
    }

    /// What was compressed by [`Compression::compress`]; none if it was not, or is more than `limit` bytes.
    #[must_use]
    pub fn decompress(self, body: &[u8], limit: usize) -> Option<Bytes> {
        let plain = crate::server::decompress::plain(&Encodings::all(), self.encoding(), body, limit)?;
        plain.ok().map(Bytes::from)
    }

    /// The compressed body; none if it cannot be compressed (snappy ends at 4 GiB), so that it is to be sent
    /// as it is.
    pub fn compress(self, body: &[u8]) -> Option<Bytes> {
        let compressed = match self {
            Self::Gzip(level) => gzip_compress(body, i32::from(level)),
            Self::Zlib(level, _) => {
                let level = flate2::Compression::new(u32::from(level));
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(body).ok()?;
                encoder.finish().ok()?
            }
            Self::Snappy => snap::raw::Encoder::new().compress_vec(body).ok()?,
            Self::SnappyFramed => {
                let mut encoder = snap::write::FrameEncoder::new(Vec::new());
                encoder.write_all(body).ok()?;
                encoder.into_inner().ok()?
            }
            Self::Zstd(level) => zstd::stream::encode_all(body, i32::from(level)).ok()?,
            Self::Lz4 => {
                let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
                encoder.write_all(body).ok()?;
                encoder.finish().ok()?
            }
        };
        Some(compressed.into())
    }
}
