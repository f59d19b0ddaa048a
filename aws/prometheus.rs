//! Prometheus' `sigv4` block.

use crate::settings::{CredentialSettings, RoleSettings, SigningSettings, StaticKeys};
use pipeline::config::Secret;
use serde::Deserialize;

/// The keys of `sigv4`, as in Prometheus' `remote_write`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PrometheusSigV4Config {
    /// The region. Default: what the endpoint's host says, else the environment, else the profile.
    pub region: String,
    /// Keys, in place of those of the default chain; with `secret_key`.
    pub access_key: String,
    /// The secret of `access_key`.
    pub secret_key: Secret,
    /// The profile of the shared files. Default: that of the environment.
    pub profile: String,
    /// A role to assume.
    pub role_arn: String,
    /// What the role's trust policy asks for.
    pub external_id: String,
    /// Use the FIPS endpoint of STS. Default false.
    pub use_fips_sts_endpoint: bool,
    /// The service to sign for. Default `aps`.
    pub service_name: String,
}

impl PrometheusSigV4Config {
    /// What is wrong with the block, in Prometheus' words: the key and the message.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, &'static str)> {
        let mut problems = Vec::new();
        if self.access_key.is_empty() != self.secret_key.is_empty() {
            problems.push((
                "access_key",
                "must provide a AWS SigV4 Access key and Secret Key if credentials are specified in the SigV4 config",
            ));
        }
        if !self.external_id.is_empty() && self.role_arn.is_empty() {
            problems.push(("external_id", "external_id can only be used with role_arn"));
        }
        problems
    }

    /// What requests are signed by.
    #[must_use]
    pub fn settings(&self) -> SigningSettings {
        let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let keys = (!self.access_key.is_empty())
            .then(|| StaticKeys { access_key: self.access_key.clone(), secret_key: self.secret_key.clone() });
        let role = given(&self.role_arn).map(|arn| RoleSettings {
            arn,
            external_id: given(&self.external_id),
            fips: self.use_fips_sts_endpoint,
            ..RoleSettings::default()
        });
        SigningSettings {
            region: given(&self.region),
            // Prometheus signs for AMP whatever the host is called.
            service: given(&self.service_name).or_else(|| Some("aps".to_owned())),
            credentials: CredentialSettings { keys, profile: given(&self.profile), role },
        }
    }
}
