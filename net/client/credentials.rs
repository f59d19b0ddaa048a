//! Putting credentials and configured fields on a request.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::dial::{basic, basic_from_url, secret_header};
use super::error::{Failure, RequestErrorKind};
use super::oauth2::OAuth2;
use super::settings::{ClientConfigError, ClientSettings, Credentials, SecretSource};
use crate::auth::{Authenticators, ClientAuth};
use crate::file::WatchedFile;

/// A [`SecretSource`] with its file's content remembered.
#[derive(Debug)]
pub(super) enum SecretText {
    Inline(pipeline::config::Secret),
    File(WatchedFile),
}

impl SecretText {
    pub(super) fn new(source: &SecretSource) -> Self {
        match source {
            SecretSource::Inline(secret) => Self::Inline(secret.clone()),
            SecretSource::File(path) => Self::File(WatchedFile::new(path)),
        }
    }

    /// The text as it is now; `what` names it in the error, as in "unable to read basic auth password".
    pub(super) fn text(&self, what: &str) -> Result<String, Failure> {
        match self {
            Self::Inline(secret) => Ok(secret.expose().to_owned()),
            Self::File(file) => file.load_trimmed().map_err(|error| {
                Failure::new(RequestErrorKind::Credentials, format!("unable to read {what}: {error}"))
            }),
        }
    }
}

/// How a client proves who it is, ready for use.
pub(super) enum Signer {
    None,
    /// Known once and for all.
    Fixed(HeaderValue),
    Basic {
        username: SecretText,
        password: SecretText,
    },
    Authorization {
        scheme: String,
        credentials: SecretText,
    },
    OAuth2(Box<OAuth2>),
    Authenticator(Arc<dyn ClientAuth>),
}

impl Signer {
    pub(super) fn new(settings: &ClientSettings, authenticators: &Authenticators) -> Result<Self, ClientConfigError> {
        let unusable = |failure: Failure| ClientConfigError::invalid(failure.detail);
        Ok(match &settings.credentials {
            Credentials::None => Self::None,
            Credentials::Basic {
                username: SecretSource::Inline(username),
                password: SecretSource::Inline(password),
            } => Self::Fixed(basic(username.expose(), password.expose()).map_err(unusable)?),
            Credentials::Basic { username, password } => {
                Self::Basic { username: SecretText::new(username), password: SecretText::new(password) }
            }
            Credentials::Authorization { scheme, credentials: SecretSource::Inline(text) } => {
                Self::Fixed(secret_header(&format!("{scheme} {}", text.expose())).map_err(unusable)?)
            }
            Credentials::Authorization { scheme, credentials } => {
                Self::Authorization { scheme: scheme.clone(), credentials: SecretText::new(credentials) }
            }
            Credentials::OAuth2(oauth2) => Self::OAuth2(Box::new(OAuth2::new(oauth2)?)),
            Credentials::Authenticator(id) => Self::Authenticator(authenticators.client(id)?),
        })
    }

    /// The `Authorization` field for a request, unless an authenticator makes it later.
    pub(super) async fn authorization(&self) -> Result<Option<HeaderValue>, Failure> {
        match self {
            Self::None | Self::Authenticator(_) => Ok(None),
            Self::Fixed(value) => Ok(Some(value.clone())),
            Self::Basic { username, password } => {
                let username = username.text("basic auth username")?;
                let password = password.text("basic auth password")?;
                basic(&username, &password).map(Some)
            }
            Self::Authorization { scheme, credentials } => {
                let credentials = credentials.text("authorization credentials")?;
                secret_header(&format!("{scheme} {credentials}")).map(Some)
            }
            // Boxed, because fetching a token is a request too.
            Self::OAuth2(oauth2) => Box::pin(oauth2.authorization()).await.map(Some),
        }
    }
}

/// The fields that a client sets on each request.
pub(super) struct ConfiguredHeaders {
    set: Vec<(HeaderName, HeaderValue)>,
    added: Vec<(HeaderName, SecretText)>,
}

impl ConfiguredHeaders {
    pub(super) fn new(settings: &ClientSettings) -> Self {
        Self {
            set: settings.headers.clone(),
            added: settings
                .added_headers
                .iter()
                .map(|(name, source)| (name.clone(), SecretText::new(source)))
                .collect(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.added.is_empty()
    }

    pub(super) fn apply(&self, headers: &mut HeaderMap) -> Result<(), Failure> {
        for (name, value) in &self.set {
            headers.insert(name, value.clone());
        }
        for (name, source) in &self.added {
            headers.append(name, secret_header(&source.text(&format!("header {name}"))?)?);
        }
        Ok(())
    }
}

/// Adds `Authorization` unless the request has one already.
pub(super) async fn authorize(signer: &Signer, uri: &http::Uri, headers: &mut HeaderMap) -> Result<(), Failure> {
    if headers.contains_key(AUTHORIZATION) {
        return Ok(());
    }
    let value = match signer.authorization().await? {
        None => basic_from_url(uri)?,
        some => some,
    };
    if let Some(value) = value {
        headers.insert(AUTHORIZATION, value);
    }
    Ok(())
}
