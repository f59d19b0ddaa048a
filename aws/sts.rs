//! Who am I: STS' GetCallerIdentity, which needs no permission.

use crate::credentials::Identity;
use crate::endpoint::Scope;
use crate::http_client::Connections;
use crate::sign::{SignOptions, Signable, sign};
use http::{HeaderValue, Uri, header};
use net::client::Request;
use std::time::{Duration, SystemTime};

/// What STS says about credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerIdentity {
    /// The user or assumed role.
    pub arn: String,
    /// Its account.
    pub account: String,
}

/// STS does not say who it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StsError {
    /// It cannot be reached, as from a subnet without a way to it.
    #[error("{0}")]
    Unreachable(String),
    /// It refuses.
    #[error("HTTP status {status}: {text}")]
    Refused {
        /// The status.
        status: u16,
        /// The beginning of its answer.
        text: String,
    },
}

/// How long a person waits for an answer that is not needed.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The answer has a kilobyte.
const ANSWER_LIMIT: usize = 64 << 10;
const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";

/// Where the environment says that STS is (`AWS_ENDPOINT_URL_STS`, `AWS_ENDPOINT_URL`), unless it also says to ignore that.
pub(crate) fn endpoint_of_environment() -> Option<String> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let ignored =
        variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    (!ignored).then(|| variable("AWS_ENDPOINT_URL_STS").or_else(|| variable("AWS_ENDPOINT_URL"))).flatten()
}

/// The endpoint of STS for a region, or the FIPS one.
#[must_use]
pub fn sts_endpoint(region: &str, fips: bool) -> String {
    endpoint_of_environment().unwrap_or_else(|| endpoint_of_region(region, fips))
}

fn endpoint_of_region(region: &str, fips: bool) -> String {
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    let name = if fips { "sts-fips" } else { "sts" };
    format!("https://{name}.{region}.amazonaws.com{suffix}")
}

/// Asks STS at this endpoint whose credentials these are; the region is that of the signature.
///
/// # Errors
/// If it cannot be reached, or does not accept them.
pub async fn caller_identity(identity: &Identity, region: &str, endpoint: &str) -> Result<CallerIdentity, StsError> {
    let unreachable = |error: &dyn std::fmt::Display| StsError::Unreachable(error.to_string());
    let uri: Uri = endpoint.parse().map_err(|error: http::uri::InvalidUri| unreachable(&error))?;
    let scope = Scope { region: region.into(), service: "sts".into() };
    let content_type = "application/x-www-form-urlencoded; charset=utf-8";
    let text = uri.to_string();
    let signable = Signable {
        method: "POST",
        uri: &text,
        headers: &[
            ("content-type", content_type),
            ("host", uri.authority().map_or("", |authority| authority.as_str())),
        ],
        body: BODY.as_bytes(),
    };
    let fields = sign(&signable, &scope, identity, SystemTime::now(), SignOptions::default())
        .map_err(|error| unreachable(&error))?;
    let connections = Connections::new().map_err(|error| unreachable(&error))?;
    let mut request = Request::post(uri, BODY);
    request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    request.headers.extend(fields);
    request.timeout = Some(TIMEOUT);
    let mut answer = Vec::new();
    let client = connections.of_scheme(request.uri.scheme_str());
    let head = client.send(&request, &mut answer, ANSWER_LIMIT).await.map_err(|error| unreachable(&error))?;
    let text = String::from_utf8_lossy(&answer);
    let field = |name: &str| {
        let from = text.split_once(&format!("<{name}>"))?.1;
        Some(from.split_once("</")?.0.trim().to_owned())
    };
    match (field("Arn"), field("Account")) {
        (Some(arn), Some(account)) if head.status.is_success() => Ok(CallerIdentity { arn, account }),
        _ => {
            let text = field("Message").unwrap_or_else(|| text.chars().take(300).collect());
            Err(StsError::Refused { status: head.status.as_u16(), text })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_regional() {
        for (region, fips, endpoint) in [
            ("eu-west-1", false, "https://sts.eu-west-1.amazonaws.com"),
            ("us-gov-west-1", true, "https://sts-fips.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", false, "https://sts.cn-north-1.amazonaws.com.cn"),
        ] {
            assert_eq!(endpoint_of_region(region, fips), endpoint);
        }
    }
}
