//! Where requests go and how they are signed.

use super::keys::Keys;
use super::{Dialect, Problems};
use aws::{CredentialSettings, RoleSettings, SigningSettings};

pub(super) fn endpoint(keys: &Keys, problems: &mut Problems<'_>) -> Option<http::Uri> {
    let Some(text) = keys.endpoint.as_deref().filter(|text| !text.is_empty()) else {
        problems.refuse("endpoint", "endpoint is missing: set it to the store's remote-write URL");
        return None;
    };
    match text.parse::<http::Uri>() {
        Ok(uri) if uri.host().is_some() && matches!(uri.scheme_str(), Some("http" | "https")) => Some(uri),
        _ => {
            problems
                .refuse("endpoint", format!("invalid endpoint: {text:?} is not a URL like https://host/api/v1/write"));
            None
        }
    }
}

/// How the exporter signs by itself.
pub(super) fn signing(
    keys: &Keys,
    dialect: Dialect,
    endpoint: Option<&http::Uri>,
    problems: &mut Problems<'_>,
) -> Option<SigningSettings> {
    if keys.sigv4.is_some() && (keys.auth.is_some() || keys.aws_auth.is_some()) {
        problems.refuse("sigv4", "at most one of auth, sigv4 and aws_auth must be configured");
    }
    if let Some(sigv4) = &keys.sigv4 {
        for (key, message) in sigv4.problems() {
            problems.refuse(&format!("sigv4::{key}"), message);
        }
        return Some(sigv4.settings());
    }
    if dialect == Dialect::Plain {
        if keys.aws_auth.is_some() {
            let message = "aws_auth is a key of the exporter awsprometheusremotewrite: use that, or sigv4, or auth::authenticator with the sigv4auth extension";
            problems.refuse("aws_auth", message);
        }
        return None;
    }
    if keys.auth.is_some() {
        if keys.aws_auth.is_some() {
            problems.refuse("auth", "at most one of auth, sigv4 and aws_auth must be configured");
        }
        return None;
    }
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let auth = keys.aws_auth.clone().unwrap_or_default();
    let second_label = endpoint.and_then(http::Uri::host).filter(|host| host.parse::<std::net::IpAddr>().is_err());
    let second_label = second_label.and_then(|host| host.split('.').nth(1)).unwrap_or_default();
    let inferred = endpoint.and_then(http::Uri::host).and_then(|host| aws::infer(host).1).unwrap_or(second_label);
    let role = given(&auth.role_arn).map(|arn| RoleSettings { arn, ..RoleSettings::default() });
    Some(SigningSettings {
        region: given(&auth.region).or_else(|| given(inferred)),
        service: given(&auth.service).or_else(|| Some("aps".to_owned())),
        credentials: CredentialSettings { role, ..CredentialSettings::default() },
    })
}
