//! How requests are to be signed, in one form for all the ways of writing it down.

use pipeline::config::Secret;
use std::path::PathBuf;

/// Everything a [`SigV4`](crate::SigV4) is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SigningSettings {
    /// The region; else the endpoint's host tells it, else the environment (`AWS_REGION`, `AWS_DEFAULT_REGION`), else the profile.
    pub region: Option<String>,
    /// The name that the service signs under; else the endpoint's host tells it, else it is `aps`.
    pub service: Option<String>,
    /// Whom requests are signed as.
    pub credentials: CredentialSettings,
}

/// Where credentials come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialSettings {
    /// These keys, and no search for others.
    pub keys: Option<StaticKeys>,
    /// The profile of the shared files. With a profile nothing else is asked.
    pub profile: Option<String>,
    /// A role to take on with what was found.
    pub role: Option<RoleSettings>,
}

/// Keys that stand in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticKeys {
    /// The access key's id.
    pub access_key: String,
    /// The secret.
    pub secret_key: Secret,
}

/// A role to assume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleSettings {
    /// Its ARN.
    pub arn: String,
    /// The name of the session, seen in CloudTrail. Default `oxidot`.
    pub session_name: Option<String>,
    /// What the role's trust policy may ask for.
    pub external_id: Option<String>,
    /// The region of the STS endpoint. Default: the region that is signed for.
    pub sts_region: Option<String>,
    /// Prove who asks with the token in this file, instead of with credentials.
    pub web_identity_token_file: Option<PathBuf>,
    /// Use the FIPS endpoint of STS.
    pub fips: bool,
}

/// Signing cannot be set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot set up signing: {0}")]
pub struct SettingsError(pub(crate) String);
