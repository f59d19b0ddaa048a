//! Signature version 4: keys and signatures by `aws-sigv4`, over a [canonical request](canonical), with keys that are [remembered](day_keys).

mod canonical;
mod day_keys;

use crate::credentials::Identity;
use crate::endpoint::Scope;
use aws_sigv4::sign::v4::calculate_signature;
use aws_smithy_types::date_time::{DateTime, Format};
use canonical::Canonical;
pub(crate) use day_keys::{Day, DayKeys};
use http::{HeaderName, HeaderValue};
use std::fmt::Write as _;
use std::time::SystemTime;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const DATE: &str = "x-amz-date";
const TOKEN: &str = "x-amz-security-token";
const BODY_HASH: &str = "x-amz-content-sha256";

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
/// The key of the day is derived once for each identity, day, region and service. What costs is the hash of the body; it is
/// calculated by *ring*, which is several times faster where `aws-sigv4`'s own has no code for the processor (ARM, Intel before Ice Lake).
///
/// # Errors
/// For a URL or a field that HTTP does not allow, and for a time that has no four digits of a year.
pub fn sign(
    request: &Signable<'_>,
    scope: &Scope<'_>,
    identity: &Identity,
    time: SystemTime,
    options: SignOptions,
) -> Result<Vec<(HeaderName, HeaderValue)>, SignError> {
    let date_time = basic_format(time)?;
    let date = date_time.get(..8).unwrap_or_default();
    let body_hash = sha256_hex(request.body);
    let token = identity.credentials().session_token();
    let mut added = vec![(DATE, date_time.as_str())];
    if options.checksum_header {
        added.push((BODY_HASH, &body_hash));
    }
    if options.sign_token {
        added.extend(token.map(|token| (TOKEN, token)));
    }
    let Canonical { text, signed } = Canonical::of(request, &added, &body_hash, options)?;
    // "Step 3: create a string to sign", "Step 4: calculate the signature".
    let of = format!("{date}/{}/{}/aws4_request", scope.region, scope.service);
    let to_sign = format!("{ALGORITHM}\n{date_time}\n{of}\n{}", sha256_hex(text.as_bytes()));
    let signature = calculate_signature(identity.day_key(&Day { date, time }, scope), to_sign.as_bytes());
    let key = identity.access_key_id();
    let authorization = format!("{ALGORITHM} Credential={key}/{of}, SignedHeaders={signed}, Signature={signature}");
    if !options.sign_token {
        added.extend(token.map(|token| (TOKEN, token)));
    }
    added.push(("authorization", &authorization));
    added
        .into_iter()
        .map(|(name, value)| {
            let mut field = HeaderValue::from_str(value)
                .map_err(|_| SignError(format!("{name} has characters that cannot be sent")))?;
            field.set_sensitive(name == TOKEN);
            Ok((HeaderName::from_static(name), field))
        })
        .collect()
}

/// A time in the basic format of ISO 8601, such as `20150830T123600Z`.
fn basic_format(time: SystemTime) -> Result<String, SignError> {
    let seconds = DateTime::from_secs(DateTime::from(time).secs());
    let text = seconds.fmt(Format::DateTime).unwrap_or_default().replace(['-', ':'], "");
    if text.len() == "20150830T123600Z".len() {
        return Ok(text);
    }
    Err(SignError(format!("the clock is {} s after 1970, a year that does not have four digits", seconds.secs())))
}

/// The hash of a body, as signatures have it.
fn sha256_hex(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a string does not fail.
        write!(hex, "{byte:02x}").unwrap_or_default();
        hex
    })
}

#[cfg(test)]
mod tests;
