//! Our signatures are those of `aws-sigv4`'s own call, whatever the request is.

use super::super::{SignOptions, Signable, sign};
use crate::credentials::Identity;
use crate::endpoint::Scope;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SessionTokenMode, SignableBody, SignableRequest, SigningParams,
    SigningSettings, UriPathNormalizationMode,
};
use aws_sigv4::sign::v4;
use proptest::prelude::*;
use proptest::sample::select;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Name, value, and whether it is secret.
type Fields = Vec<(String, String, bool)>;

/// What `aws-sigv4` adds to the request, sorted by name; none if it cannot be signed.
pub(super) fn by_the_crate(
    request: &Signable<'_>,
    scope: &Scope<'_>,
    identity: &Identity,
    time: SystemTime,
    options: SignOptions,
) -> Option<Fields> {
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
    let credentials = identity.credentials().clone().into();
    let params = v4::SigningParams::builder()
        .identity(&credentials)
        .region(&scope.region)
        .name(&scope.service)
        .time(time)
        .settings(settings)
        .build()
        .unwrap();
    let headers = request.headers.iter().copied();
    let body = SignableBody::Bytes(request.body);
    let signable = SignableRequest::new(request.method, request.uri, headers, body).ok()?;
    let signed = aws_sigv4::http_request::sign(signable, &SigningParams::V4(params)).ok()?;
    let (fields, _) = signed.into_parts().0.into_parts();
    let fields = fields.iter().map(|field| (field.name().to_owned(), field.value().to_owned(), field.sensitive()));
    Some(sorted(fields.collect()))
}

/// What we add to it.
pub(super) fn by_us(
    request: &Signable<'_>,
    scope: &Scope<'_>,
    identity: &Identity,
    time: SystemTime,
    options: SignOptions,
) -> Option<Fields> {
    let fields = sign(request, scope, identity, time, options).ok()?;
    let field = |(name, value): &(http::HeaderName, http::HeaderValue)| {
        (name.to_string(), value.to_str().unwrap().to_owned(), value.is_sensitive())
    };
    Some(sorted(fields.iter().map(field).collect()))
}

fn sorted(mut fields: Fields) -> Fields {
    fields.sort();
    fields
}

/// A text of such pieces.
fn of_pieces(pieces: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(select(pieces), 0..most).prop_map(|pieces| pieces.concat())
}

/// What matters in a path: slashes, dots, what is encoded already and what is not, what may not be there at all.
fn path() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "/", "/", "/", ".", "..", "a", "Z", "0", "-", "_", "~", "%20", "%2F", "%2e", "%C3%A9", "%", "+", ":", ",", "@",
        "=", "&", "!", "$", "'", "(", ")", "*", ";", "é", "\"", "{", "}", "|", "[", "]", "^", "`", " ", "\\",
    ];
    of_pieces(PIECES, 12).prop_map(|rest| format!("/{rest}"))
}

/// The same of a query. What is encoded is text, since `aws-sigv4` replaces all other bytes.
fn query() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "&", "&", "&", "=", "=", "a", "b", "Z", "0", "-", "_", "~", ".", "+", "%20", "%2B", "%26", "%3D", "%C3%A9",
        "%c3%a9", "%25", "%g", "%2", "/", ":", "?", ",", "@", "!", "$", "'", "(", ")", "*", ";", "é", "{", "|", "\\",
        "[", "^",
    ];
    prop_oneof![Just(String::new()), of_pieces(PIECES, 16).prop_map(|query| format!("?{query}"))]
}

fn headers() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = select(
        &["Content-Type", "content-encoding", "X-Name", "x-name", "A", "X-Amz-Target", "_", "host", "X\u{e9}"][..],
    );
    let value = of_pieces(&[" ", " ", "\t", "a", "B", ",", ";", "\"", "=", "é", "\u{a0}", "\u{7f}"], 10);
    prop::collection::vec((name.prop_map(str::to_owned), value), 0..6)
}

fn uri() -> impl Strategy<Value = String> {
    let scheme = select(&["http", "https"][..]);
    let host = select(&["h.example", "H.Example", "127.0.0.1", "[::1]"][..]);
    let port = select(&["", ":80", ":443", ":8080"][..]);
    (scheme, host, port, prop_oneof![Just(String::new()), path()], query())
        .prop_map(|(scheme, host, port, path, query)| format!("{scheme}://{host}{port}{path}{query}"))
}

pub(super) fn identity(id: &str, secret: &str, token: Option<&str>) -> Identity {
    Identity::new(Credentials::new(id, secret, token.map(str::to_owned), None, "test"), "test")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_request_is_signed_as_by_the_crate(
        method in "[A-Z]{1,7}",
        uri in uri(),
        headers in headers(),
        body in prop::collection::vec(any::<u8>(), 0..200),
        (region, service) in ("[a-z0-9-]{0,12}", "[a-z]{0,8}"),
        (secret, token) in ("[A-Za-z0-9/+]{0,60}", prop::option::of("[A-Za-z0-9/+=]{1,80}")),
        millis in 0_u64..4_000_000_000_000,
        (normalize_path, encode_path_again, checksum_header, sign_token) in any::<(bool, bool, bool, bool)>(),
    ) {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let request = Signable { method: &method, uri: &uri, headers: &headers, body: &body };
        let scope = Scope { region: region.into(), service: service.into() };
        let identity = identity("AKIAX", &secret, token.as_deref());
        let time = UNIX_EPOCH + Duration::from_millis(millis);
        let options = SignOptions { normalize_path, encode_path_again, checksum_header, sign_token };
        let expected = by_the_crate(&request, &scope, &identity, time, options);
        prop_assert_eq!(by_us(&request, &scope, &identity, time, options), expected);
    }
}

#[test]
fn most_of_these_requests_can_be_signed() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let signed = |uri: &String, headers: &Vec<(String, String)>| {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let request = Signable { method: "POST", uri, headers: &headers, body: b"" };
        let scope = Scope { region: "r".into(), service: "s".into() };
        by_us(&request, &scope, &identity("A", "s", None), UNIX_EPOCH, SignOptions::default()).is_some()
    };
    let mut count = 0;
    for _ in 0..1000 {
        let (uri, headers) = (uri(), headers()).new_tree(&mut runner).unwrap().current();
        count += usize::from(signed(&uri, &headers));
    }
    assert!((200..950).contains(&count), "{count} of 1000");
}

#[test]
fn bytes_of_a_query_that_are_no_text_are_signed_as_they_are() {
    let request = Signable { method: "GET", uri: "https://h.example/?b=%ff%FE&a=%C3", headers: &[], body: b"" };
    let canonical = super::super::canonical::Canonical::of(&request, &[], "hash", SignOptions::default()).unwrap();
    assert_eq!(canonical.text, "GET\n/\na=%C3&b=%FF%FE\nhost:h.example\n\nhost\nhash");
}
