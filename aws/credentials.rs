//! What signing needs to know of credentials, and the trait that every source of them has.

use crate::endpoint::Scope;
use crate::sign::{Day, DayKeys};
use async_trait::async_trait;
use aws_credential_types::Credentials;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

/// Where credentials come from.
#[async_trait]
pub trait CredentialSource: Send + Sync {
    /// Gets credentials as they are now, from where they come from: nothing is remembered between calls.
    ///
    /// # Errors
    /// [`LoadError`] with every provider that was asked, and why it had none.
    async fn load(&self) -> Result<Identity, LoadError>;
}

/// Credentials together with what is said about them in logs. Prints without secrets.
#[derive(Clone)]
pub struct Identity {
    /// Which provider they are from, such as `shared files (profile default)`.
    pub provider: String,
    /// The role, where it is known: an ARN.
    pub role: Option<String>,
    /// Whether they are worth using after their expiry, while the source says nothing newer: EC2 promises so for
    /// the credentials of instances.
    pub outlives_expiry: bool,
    credentials: Credentials,
    /// What was derived from the secret. Clones share it, as they share the secret.
    keys: Arc<DayKeys>,
}

impl Identity {
    /// Credentials of `provider`.
    #[must_use]
    pub fn new(credentials: Credentials, provider: impl Into<String>) -> Self {
        Self { provider: provider.into(), role: None, outlives_expiry: false, keys: Arc::default(), credentials }
    }

    /// Lasting keys, without a token.
    #[must_use]
    pub fn of_keys(access_key_id: &str, secret: &str, provider: impl Into<String>) -> Self {
        Self::new(Credentials::new(access_key_id, secret, None, None, "keys"), provider)
    }

    /// The same, of this role.
    #[must_use]
    pub fn with_role(mut self, role: Option<String>) -> Self {
        self.role = role;
        self
    }

    /// The id of the access key, which is no secret.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        self.credentials.access_key_id()
    }

    /// When they expire, if that is known. Keys of shared files say nothing about it.
    #[must_use]
    pub fn expires(&self) -> Option<SystemTime> {
        self.credentials.expiry()
    }

    /// Whether they can be signed with at `now`.
    #[must_use]
    pub fn is_usable(&self, now: SystemTime) -> bool {
        self.outlives_expiry || self.expires().is_none_or(|expires| now < expires)
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The key that signs on this day in this scope.
    pub(crate) fn day_key(&self, day: &Day<'_>, scope: &Scope<'_>) -> Arc<[u8]> {
        self.keys.get(self.credentials.secret_access_key(), day, scope)
    }

    /// Number of keys that are remembered.
    #[cfg(test)]
    pub(crate) fn day_keys(&self) -> usize {
        self.keys.len()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("provider", &self.provider)
            .field("access_key_id", &self.access_key_id())
            .field("role", &self.role)
            .field("expires", &self.expires())
            .finish_non_exhaustive()
    }
}

/// One provider that was asked in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Its name.
    pub provider: String,
    /// Why it has no credentials.
    pub reason: String,
}

/// No source has credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadError {
    /// Whom was asked, in this order. The last one may be the one that should have had some and failed; then those after it were not asked.
    pub tried: Vec<Tried>,
}

impl LoadError {
    /// One provider was asked, and this is why it has none.
    pub fn of(provider: impl Into<String>, reason: impl Into<String>) -> Self {
        let mut error = Self::default();
        error.push(provider, reason);
        error
    }

    /// Adds a provider.
    pub fn push(&mut self, provider: impl Into<String>, reason: impl Into<String>) {
        self.tried.push(Tried { provider: provider.into(), reason: reason.into() });
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no AWS credentials; tried ")?;
        for (at, Tried { provider, reason }) in self.tried.iter().enumerate() {
            let comma = if at == 0 { "" } else { "; " };
            write!(f, "{comma}{provider}: {reason}")?;
        }
        Ok(())
    }
}

impl Error for LoadError {}

/// What an error and its causes say, each once.
pub(crate) fn text_of(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let words = next.to_string();
        if !words.is_empty() && !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = next.source();
    }
    text
}
