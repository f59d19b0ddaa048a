//! Statuses and fields as gRPC writes them.

use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::GrpcStatus;
use crate::client::compression::Compression;
use crate::client::dial::percent_decoded;
use crate::client::settings::ClientConfigError;

/// Binary fields come with padding and without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The status in header fields or trailers, if there is one; `Ok` for success.
pub(super) fn read(fields: &HeaderMap) -> Option<Result<(), GrpcStatus>> {
    let text = |name: &str| fields.get(name).and_then(|value| value.to_str().ok());
    // What is no number is as good as unknown.
    let code = text("grpc-status")?.parse().unwrap_or(2);
    if code == 0 {
        return Some(Ok(()));
    }
    Some(Err(GrpcStatus {
        code,
        message: percent_decoded(text("grpc-message").unwrap_or_default()),
        details: text("grpc-status-details-bin").and_then(|text| BASE64.decode(text.trim()).ok()),
    }))
}

/// What the answer of something that is no gRPC server counts as (gRPC's http-grpc-status-mapping.md).
pub(super) fn of_http(status: StatusCode, content_type: &str) -> GrpcStatus {
    let code = match status.as_u16() {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    };
    let reason = status.canonical_reason().unwrap_or_default();
    let message = match status {
        StatusCode::OK => format!("unexpected content-type {content_type:?}: the server does not speak gRPC here"),
        _ => format!("unexpected HTTP status code received from server: {} ({reason})", status.as_u16()),
    };
    GrpcStatus::new(code, message)
}

/// The code's name as grpc-go prints it.
pub(super) fn name(code: u32) -> String {
    const NAMES: [&str; 17] = [
        "OK",
        "Canceled",
        "Unknown",
        "InvalidArgument",
        "DeadlineExceeded",
        "NotFound",
        "AlreadyExists",
        "PermissionDenied",
        "ResourceExhausted",
        "FailedPrecondition",
        "Aborted",
        "OutOfRange",
        "Unimplemented",
        "Internal",
        "Unavailable",
        "DataLoss",
        "Unauthenticated",
    ];
    let known = usize::try_from(code).ok().and_then(|code| NAMES.get(code));
    known.map_or_else(|| format!("Code({code})"), |name| (*name).to_owned())
}

/// A compression's name in `grpc-encoding`.
pub(super) fn encoding(compression: Compression) -> Result<&'static str, ClientConfigError> {
    match compression {
        Compression::Gzip(_) => Ok("gzip"),
        Compression::Zstd(_) => Ok("zstd"),
        // In gRPC snappy is the framed format.
        Compression::SnappyFramed => Ok("snappy"),
        other => Err(ClientConfigError::invalid(format!(
            "unsupported compression type {:?} for gRPC; use gzip, zstd, snappy or none",
            other.encoding()
        ))),
    }
}

/// A field's value as it is sent: that of a binary field in base64.
pub(super) fn metadata_value(name: &HeaderName, value: &HeaderValue) -> Result<HeaderValue, ClientConfigError> {
    if !name.as_str().ends_with("-bin") {
        return Ok(value.clone());
    }
    let mut encoded = HeaderValue::from_str(&BASE64.encode(value.as_bytes()))
        .map_err(|_| ClientConfigError::invalid(format!("headers: value of {name:?} cannot be sent")))?;
    encoded.set_sensitive(value.is_sensitive());
    Ok(encoded)
}

/// `grpc-timeout`: at most eight digits, in the finest unit that has room for it.
pub(super) fn timeout_text(timeout: Duration) -> String {
    const MAX: u128 = 99_999_999;
    let units = [('n', 1), ('u', 1_000), ('m', 1_000_000), ('S', 1_000_000_000), ('M', 60_000_000_000)];
    let nanos = timeout.as_nanos();
    for (unit, size) in units {
        let count = nanos.div_ceil(size);
        if count <= MAX {
            return format!("{count}{unit}");
        }
    }
    format!("{}H", nanos.div_ceil(3_600_000_000_000).min(MAX))
}
