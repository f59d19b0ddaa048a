//! Signature version 4, by `aws-sigv4`.

use crate::credentials::{Identity, text_of};
use crate::endpoint::Scope;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SessionTokenMode, SignableBody, SignableRequest, SigningParams,
    SigningSettings, UriPathNormalizationMode,
};
use aws_sigv4::sign::v4;
use http::{HeaderName, HeaderValue};
use std::time::SystemTime;

/// A request, as far as its signature goes.
#[derive(Clone, Copy, Debug)]
pub struct Signable<'a> {
    /// The method.
    pub method: &'a str,
    /// The absolute URL, encoded as it is sent.
    pub uri: &'a str,
    /// Fields to sign, each of which has to arrive as it is. `host` is taken from the URL unless it is among them.
    pub headers: &'a [(&'a str, &'a str)],
    /// The exact bytes of the body.
    pub body: &'a [u8],
}

/// What differs between services. The default is right for all but S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignOptions {
    /// Resolve `.`, `..` and `//` in the path before it is signed.
    pub normalize_path: bool,
    /// Encode the path once more than it is sent, as all services but S3 want it.
    pub encode_path_again: bool,
    /// Send the body's hash in `x-amz-content-sha256`.
    pub checksum_header: bool,
    /// Sign the session token with the request, instead of adding it afterwards.
    pub sign_token: bool,
}

impl Default for SignOptions {
    fn default() -> Self {
        Self { normalize_path: true, encode_path_again: true, checksum_header: false, sign_token: true }
    }
}

/// A request that cannot be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request cannot be signed: {0}")]
pub struct SignError(String);

/// The fields to add to a request, which must not have them yet: `authorization`, `x-amz-date`, and `x-amz-security-token` for temporary credentials.
///
/// `aws-sigv4` derives the key of the day in each call. That is some 20 blocks of SHA-256 where the body of
/// 10,000 samples has 4,000 (see `benches/sigv4.rs`), so no key is remembered. What costs is the hash of the body; it is
/// calculated by *ring*, which is several times faster where `aws-sigv4`'s own has no code for the processor (ARM, Intel before Ice Lake).
///
/// # Errors
/// For a URL or a field that HTTP does not allow.
pub fn sign(
    request: &Signable<'_>,
    scope: &Scope<'_>,
    identity: &Identity,
    time: SystemTime,
    options: SignOptions,
) -> Result<Vec<(HeaderName, HeaderValue)>, SignError> {
    let mut settings = SigningSettings::default();
    if !options.normalize_path {
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    }
    if !options.encode_path_again {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
    }
    if options.checksum_header {
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    if !options.sign_token {
        settings.session_token_mode = SessionTokenMode::Exclude;
    }
    let params = v4::SigningParams::builder()
        .identity(identity.signing())
        .region(&scope.region)
        .name(&scope.service)
        .time(time)
        .settings(settings)
        .build()
        .map_err(|error| SignError(text_of(&error)))?;
    let headers = request.headers.iter().copied();
    let body = SignableBody::Precomputed(sha256_hex(request.body));
    let signable =
        SignableRequest::new(request.method, request.uri, headers, body).map_err(|error| SignError(text_of(&error)))?;
    let (instructions, _) = aws_sigv4::http_request::sign(signable, &SigningParams::V4(params))
        .map_err(|error| SignError(text_of(&error)))?
        .into_parts();
    let (fields, _) = instructions.into_parts();
    fields
        .into_iter()
        .map(|field| {
            let mut value = HeaderValue::from_str(field.value())
                .map_err(|_| SignError(format!("{} has characters that cannot be sent", field.name())))?;
            value.set_sensitive(field.sensitive());
            Ok((HeaderName::from_static(field.name()), value))
        })
        .collect()
}

/// The hash of a body, as signatures have it.
fn sha256_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a string does not fail.
        write!(hex, "{byte:02x}").unwrap_or_default();
        hex
    })
}

#[cfg(test)]
mod tests;
