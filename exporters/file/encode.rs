//! Requests in the form in which they stand in a file.

use super::config::Format;
use bytes::Bytes;
use otlp::encode::{Dropped, MetricsEncoder};
use pipeline::Batch;
use pipeline::component::Signal;
use std::io;

/// An encoded OTLP request.
#[derive(Clone, Debug)]
pub(super) struct Requests {
    pub(super) signal: Signal,
    pub(super) body: Bytes,
}

/// What a batch came to.
#[derive(Debug)]
pub(super) struct Encoded {
    /// None if OTLP has no place for anything in it.
    pub(super) requests: Option<Requests>,
    /// Data points, spans or log records in them.
    pub(super) items: usize,
    /// What OTLP has no place for.
    pub(super) dropped: Dropped,
}

impl Encoded {
    /// `encoder` remembers what targets say of themselves.
    pub(super) fn of(batch: &Batch, encoder: &mut MetricsEncoder) -> Self {
        match batch {
            Batch::Metrics(batch) => {
                let encoded = encoder.encode(batch);
                let requests = Requests { signal: Signal::Metrics, body: encoded.body };
                Self {
                    requests: Some(requests).filter(|requests| !requests.body.is_empty()),
                    items: encoded.data_points,
                    dropped: encoded.dropped,
                }
            }
            Batch::Messages(batch) => {
                let requests = Requests { signal: batch.signal, body: batch.body.clone() };
                Self { requests: Some(requests), items: batch.items, dropped: Dropped::default() }
            }
        }
    }
}

impl Requests {
    /// What is written: a line of JSON; or, for protobuf and for what is compressed, its length in four bytes, the highest first,
    /// and then the request.
    ///
    /// # Errors
    /// If a request is longer than four bytes can say, or is none.
    pub(super) fn framed(&self, format: Format, zstd: bool) -> io::Result<Vec<u8>> {
        let invalid = |error: &dyn std::fmt::Display| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
        let mut text = match format {
            Format::Json => {
                otlp::json::from_protobuf(self.signal, &self.body).map_err(|error| invalid(&error))?.into_bytes()
            }
            Format::Proto => self.body.to_vec(),
        };
        if zstd {
            text = zstd::bulk::compress(&text, zstd::DEFAULT_COMPRESSION_LEVEL)?;
        } else if format == Format::Json {
            text.push(b'\n');
            return Ok(text);
        }
        let length = u32::try_from(text.len()).map_err(|_| invalid(&"the request is longer than 4 GiB"))?;
        let mut framed = Vec::with_capacity(text.len() + 4);
        framed.extend_from_slice(&length.to_be_bytes());
        framed.extend_from_slice(&text);
        Ok(framed)
    }
}
