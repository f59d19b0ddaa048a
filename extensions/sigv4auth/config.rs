//! The keys of `sigv4auth`.

use std::path::PathBuf;

use aws::{CredentialSettings, RoleSettings, SigningSettings};
use pipeline::config::{ConfigErrors, Node, decode_to_check};
use serde::Deserialize;

/// As the Collector has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SigV4AuthConfig {
    /// The region to sign for. Default: what the endpoint's host says, else `AWS_REGION`, else that of the profile.
    pub region: String,
    /// The service to sign for. Default: what the endpoint's host says, else `aps`.
    pub service: String,
    /// A role to assume with the credentials that are found.
    pub assume_role: AssumeRoleConfig,
}

/// The role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AssumeRoleConfig {
    /// Its ARN; empty for none.
    pub arn: String,
    /// The session's name, which CloudTrail shows. Default `oxidot`.
    pub session_name: String,
    /// The region of the STS endpoint. Default: the region that is signed for.
    pub sts_region: String,
    /// What the role's trust policy asks for.
    pub external_id: String,
    /// Prove who asks with the token in this file instead of with credentials; read at each renewal.
    pub web_identity_token_file: String,
}

impl SigV4AuthConfig {
    /// Reads and checks the extension's block.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(node: &Node) -> Result<Self, ConfigErrors> {
        let (config, mut errors) = decode_to_check::<Self>(node, "")?;
        let role = &config.assume_role;
        if role.arn.is_empty() {
            for (key, value, message) in [
                ("external_id", &role.external_id, "external_id can only be used with arn"),
                (
                    "web_identity_token_file",
                    &role.web_identity_token_file,
                    "must specify ARN when using WebIdentityTokenFile",
                ),
            ] {
                if !value.is_empty() {
                    errors.push(node.error_at("", &format!("assume_role::{key}"), message));
                }
            }
        } else if !role.arn.starts_with("arn:") {
            let message = "arn must be that of a role, like arn:aws:iam::123456789012:role/name";
            errors.push(node.error_at("", "assume_role::arn", message));
        }
        errors.into_result(config)
    }

    /// What requests are signed by.
    #[must_use]
    pub fn settings(&self) -> SigningSettings {
        let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let role = &self.assume_role;
        let role = given(&role.arn).map(|arn| RoleSettings {
            arn,
            session_name: given(&role.session_name),
            external_id: given(&role.external_id),
            sts_region: given(&role.sts_region),
            web_identity_token_file: given(&role.web_identity_token_file).map(PathBuf::from),
            fips: false,
        });
        SigningSettings {
            region: given(&self.region),
            service: given(&self.service),
            credentials: CredentialSettings { role, ..CredentialSettings::default() },
        }
    }
}
