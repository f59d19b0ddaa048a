//! The one request that is sent.

use super::destination::{Payload, Target};
use http::{HeaderMap, HeaderValue, Method, header};
use net::client::Request;
use prometheus::remote_write::SnappyBlockWriter;
use prometheus::remote_write::wire::v1::{TimestampField, put_float_series, put_label};
use std::time::SystemTime;

/// The name of the sample that is written if one is asked for.
pub(super) const CANARY: &str = "oxidot_doctor_canary";

/// What a remote write without a sample is called.
pub(super) const EMPTY_WRITE: &str = "an empty write";
/// What an OTLP export without data is called.
pub(super) const EMPTY_EXPORT: &str = "an empty export";

/// A request to `target` as its exporter would send it: without a sample, or with one. Nobody else's data is touched by
/// either, and both need the permission that the exporter needs.
pub(super) fn request(target: &Target, exporter: &str, canary: bool) -> Request {
    match target.payload {
        Payload::RemoteWrite => {
            let mut request = Request::post(target.uri.clone(), remote_write(exporter, canary));
            let fields = [
                (header::CONTENT_ENCODING, "snappy"),
                (header::CONTENT_TYPE, "application/x-protobuf"),
                (header::HeaderName::from_static("x-prometheus-remote-write-version"), "0.1.0"),
            ];
            request.headers = HeaderMap::from_iter(fields.map(|(name, value)| (name, HeaderValue::from_static(value))));
            request
        }
        // An export request without resources is no bytes in protobuf.
        Payload::Otlp(_) => {
            let mut request = Request::post(target.uri.clone(), "");
            request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
            request
        }
        Payload::Grpc | Payload::Unknown => Request::new(Method::GET, target.uri.clone()),
    }
}

/// What `request` is called.
pub(super) fn name(payload: Payload, canary: bool) -> &'static str {
    match payload {
        Payload::RemoteWrite if canary => "a write of one sample",
        Payload::RemoteWrite => EMPTY_WRITE,
        Payload::Otlp(_) => EMPTY_EXPORT,
        Payload::Grpc => "a connection",
        Payload::Unknown => "a request",
    }
}

/// A remote write 1.0, compressed.
fn remote_write(exporter: &str, canary: bool) -> Vec<u8> {
    let mut block = SnappyBlockWriter::new();
    if canary {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let mut labels = Vec::new();
        // In the order of their names, as stores want it.
        for (name, value) in [("__name__", CANARY), ("exporter", exporter), ("instance", host.trim())] {
            if !value.is_empty() {
                put_label(&mut labels, name.as_bytes(), value.as_bytes());
            }
        }
        let mut message = Vec::new();
        let time = TimestampField::new(i64::try_from(now.as_millis()).unwrap_or(i64::MAX));
        put_float_series(&mut message, &labels, 1.0, &time);
        block.put(&message);
    }
    let mut body = Vec::new();
    // Only fails beyond 4 GiB.
    block.finish(&mut body).unwrap_or_default();
    body
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn an_empty_write_is_an_empty_block() {
        assert_eq!(remote_write("x", false), [0]);
    }

    #[test]
    fn a_canary_is_one_sample_under_its_own_name() {
        let body = remote_write("prometheusremotewrite/a", true);
        let message = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
        let text = String::from_utf8_lossy(&message);
        assert!(text.contains(CANARY) && text.contains("prometheusremotewrite/a"), "{text}");
    }
}
