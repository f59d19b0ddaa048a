//! Roles that are assumed by the configuration's wish, with the credentials of another source.

use crate::chain::{Regions, reason};
use crate::credentials::{CredentialSource, Identity, LoadError};
use crate::http_client::Connections;
use crate::settings::{RoleSettings, StaticKeys};
use crate::sts::endpoint_of_environment;
use async_trait::async_trait;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::web_identity_token::{StaticConfiguration, WebIdentityTokenCredentialsProvider};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::{SharedTimeSource, SystemTimeSource};
use std::sync::Arc;
use tracing::instrument::WithSubscriber as _;
use tracing::subscriber::NoSubscriber;

/// The name of sessions whose configuration gives none.
const SESSION: &str = "oxidot";

/// Keys that stand in the configuration.
pub(crate) struct FixedKeys(pub(crate) StaticKeys);

#[async_trait]
impl CredentialSource for FixedKeys {
    async fn load(&self) -> Result<Identity, LoadError> {
        let StaticKeys { access_key, secret_key } = &self.0;
        Ok(Identity::of_keys(access_key, secret_key.expose(), "configuration (access_key)"))
    }
}

/// A role that is assumed with the credentials of `base`, or with a token from a file.
pub(crate) struct AssumedRole {
    pub(crate) base: Arc<dyn CredentialSource>,
    pub(crate) settings: RoleSettings,
    pub(crate) connections: Connections,
    pub(crate) regions: Arc<Regions>,
}

impl AssumedRole {
    fn session(&self) -> String {
        self.settings.session_name.clone().unwrap_or_else(|| SESSION.to_owned())
    }

    fn region(&self) -> Result<String, LoadError> {
        self.settings.sts_region.clone().or_else(|| self.regions.for_sts()).ok_or_else(|| {
            LoadError::of("assume role", "no region is known for STS: set region or assume_role::sts_region")
        })
    }

    async fn with_credentials(&self, base: &Identity, region: String) -> Result<Credentials, LoadError> {
        let mut config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region))
            .retry_config(RetryConfig::standard())
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .time_source(SharedTimeSource::new(SystemTimeSource::new()))
            .use_fips(self.settings.fips)
            .http_client(self.connections.clone())
            .credentials_provider(SharedCredentialsProvider::new(base.credentials().clone()));
        config.set_endpoint_url(endpoint_of_environment());
        let mut role =
            AssumeRoleProvider::builder(&self.settings.arn).configure(&config.build()).session_name(self.session());
        if let Some(id) = &self.settings.external_id {
            role = role.external_id(id);
        }
        let assume = async { role.build().await.provide_credentials().await };
        assume.with_subscriber(NoSubscriber::default()).await.map_err(|error| {
            let who =
                format!("assume role {} as {} (access key {})", self.settings.arn, base.provider, base.access_key_id());
            LoadError::of(who, reason(&error))
        })
    }

    async fn with_token(&self, file: &std::path::Path, region: String) -> Result<Credentials, LoadError> {
        let config = ProviderConfig::without_region()
            .with_region(Some(Region::new(region)))
            .with_http_client(self.connections.clone());
        let provider = WebIdentityTokenCredentialsProvider::builder()
            .configure(&config)
            .static_configuration(StaticConfiguration {
                web_identity_token_file: file.to_owned(),
                role_arn: self.settings.arn.clone(),
                session_name: self.session(),
            })
            .build();
        provider.provide_credentials().with_subscriber(NoSubscriber::default()).await.map_err(|error| {
            let who = format!("assume role {} with the token in {}", self.settings.arn, file.display());
            LoadError::of(who, reason(&error))
        })
    }
}

#[async_trait]
impl CredentialSource for AssumedRole {
    async fn load(&self) -> Result<Identity, LoadError> {
        let region = self.region()?;
        let (credentials, provider) = match &self.settings.web_identity_token_file {
            Some(file) => (self.with_token(file, region).await?, "assumed role (web identity)".to_owned()),
            None => {
                let base = self.base.load().await?;
                let provider = format!("assumed role ({})", base.provider);
                (self.with_credentials(&base, region).await?, provider)
            }
        };
        Ok(Identity::new(credentials, provider).with_role(Some(self.settings.arn.clone())))
    }
}
