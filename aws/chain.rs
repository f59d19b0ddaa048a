//! The chain of sources that every AWS program has: environment, shared files, web identity, container, instance.

use crate::credentials::{CredentialSource, Identity, LoadError, text_of};
use crate::http_client::Connections;
use crate::shared_files::{Content, SharedFiles};
use async_trait::async_trait;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_types::os_shim_internal::{Env, Fs};
use aws_types::region::Region;
use std::sync::{Arc, OnceLock};
use tracing::instrument::WithSubscriber as _;
use tracing::subscriber::NoSubscriber;

/// The region to talk to STS in. It may only be known once there is a request, since its host tells it.
#[derive(Debug)]
pub(crate) struct Regions {
    configured: Option<String>,
    learned: OnceLock<String>,
    files: Arc<SharedFiles>,
}

impl Regions {
    pub(crate) fn new(configured: Option<String>, files: Arc<SharedFiles>) -> Self {
        Self { configured, learned: OnceLock::new(), files }
    }

    /// Remembers the region that an endpoint has told; true if none was known before.
    pub(crate) fn learn(&self, region: &str) -> bool {
        self.learned.get().is_none() && self.learned.set(region.to_owned()).is_ok()
    }

    /// What is said without regard to an endpoint: by the configuration.
    pub(crate) fn configured(&self) -> Option<&str> {
        self.configured.as_deref()
    }

    /// What is said by the machine: its environment, then its profile.
    pub(crate) fn of_machine(&self) -> Option<String> {
        variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")).or_else(|| self.files.value("region"))
    }

    /// The region for STS.
    pub(crate) fn for_sts(&self) -> Option<String> {
        self.configured.clone().or_else(|| self.learned.get().cloned()).or_else(|| self.of_machine())
    }
}

/// The default chain. A provider that is set up and fails ends the search, as it does in the SDKs: going on would sign as
/// somebody else than was meant.
pub(crate) struct DefaultChain {
    files: Arc<SharedFiles>,
    connections: Connections,
    regions: Arc<Regions>,
    /// Only shared files are asked: the configuration names a profile.
    profile_only: bool,
}

/// The outcome of one provider.
enum Answer {
    Found(Identity),
    /// It is not set up; the next one may be.
    Absent(String),
    Failed(String),
}

impl DefaultChain {
    pub(crate) fn new(
        files: Arc<SharedFiles>,
        connections: Connections,
        regions: Arc<Regions>,
        profile_only: bool,
    ) -> Self {
        Self { files, connections, regions, profile_only }
    }

    fn provider_config(&self) -> ProviderConfig {
        ProviderConfig::without_region()
            .with_region(self.regions.for_sts().map(Region::new))
            .with_http_client(self.connections.clone())
    }

    async fn environment(&self) -> Answer {
        match answer(&EnvironmentVariableCredentialsProvider::new(), "environment").await {
            // The provider does not say which variable it is.
            Answer::Absent(_) if variable("AWS_ACCESS_KEY_ID").is_none_or(|id| id.trim().is_empty()) => {
                Answer::Absent("AWS_ACCESS_KEY_ID is not set".to_owned())
            }
            Answer::Absent(_) => {
                Answer::Failed("AWS_ACCESS_KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not".to_owned())
            }
            other => other,
        }
    }

    async fn shared_files(&self) -> Answer {
        let profile = self.files.profile();
        let (credentials, config) = (self.files.credentials_path(), self.files.config_path());
        let Some(generation) = self.files.settled().await else {
            return Answer::Failed(format!("{} is being written", credentials.display()));
        };
        let contents = &generation.contents;
        let mut files = EnvConfigFiles::builder();
        for (kind, path, content) in [
            (EnvConfigFileKind::Config, config, &contents.config),
            (EnvConfigFileKind::Credentials, credentials, &contents.credentials),
        ] {
            match content {
                Content::Text(text) => files = files.with_contents(kind, text.clone()),
                Content::Absent => {}
                Content::Unreadable(why) => {
                    return Answer::Failed(format!(
                        "cannot read {}: {why}; run as a user who may, or set AWS_SHARED_CREDENTIALS_FILE",
                        path.display()
                    ));
                }
            }
        }
        if contents.credentials == Content::Absent && contents.config == Content::Absent {
            return Answer::Absent(format!("neither {} nor {} exists", credentials.display(), config.display()));
        }
        let provider = ProfileFileCredentialsProvider::builder()
            .configure(&self.provider_config())
            .profile_files(files.build())
            .profile_name(profile)
            .build();
        match answer(&provider, &format!("shared files (profile {profile})")).await {
            Answer::Found(identity) => Answer::Found(identity.with_role(self.files.value("role_arn"))),
            Answer::Absent(why) => Answer::Absent(format!("profile {profile} of {}: {why}", credentials.display())),
            Answer::Failed(why) => {
                let mistake = [
                    (EnvConfigFileKind::Config, config, &contents.config),
                    (EnvConfigFileKind::Credentials, credentials, &contents.credentials),
                ];
                for (kind, path, content) in mistake {
                    if let Some(mistake) = mistake_of(kind, content.text()).await {
                        return Answer::Failed(format!("{}: {mistake}", path.display()));
                    }
                }
                Answer::Failed(format!("profile {profile} of {}: {why}", credentials.display()))
            }
        }
    }

    async fn web_identity(&self) -> Answer {
        let provider = WebIdentityTokenCredentialsProvider::builder().configure(&self.provider_config()).build();
        match answer(&provider, "web identity").await {
            Answer::Found(identity) => Answer::Found(identity.with_role(variable("AWS_ROLE_ARN"))),
            Answer::Failed(why) => Answer::Failed(with_variables(
                why,
                &["AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ENDPOINT_URL_STS"],
            )),
            Answer::Absent(why) => Answer::Absent(why),
        }
    }

    async fn container(&self) -> Answer {
        let provider = EcsCredentialsProvider::builder().configure(&self.provider_config()).build();
        match answer(&provider, "container").await {
            // These words quote the token.
            Answer::Failed(why) if why.contains("for the auth token") => Answer::Failed(with_variables(
                "the token cannot be sent: it has a line's end, or other characters that no token has".to_owned(),
                &["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"],
            )),
            Answer::Failed(why) => Answer::Failed(with_variables(
                why,
                &[
                    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                ],
            )),
            Answer::Absent(_) => Answer::Absent(
                "neither AWS_CONTAINER_CREDENTIALS_RELATIVE_URI nor AWS_CONTAINER_CREDENTIALS_FULL_URI is set"
                    .to_owned(),
            ),
            found => found,
        }
    }

    async fn instance(&self) -> Answer {
        let provider = ImdsCredentialsProvider::builder().configure(&self.provider_config()).build();
        // A machine without IMDS and a container that is one hop too far away look the same.
        let hint = |why: String| match why.contains("timed out") || why.contains("timeout") {
            true => format!("{why}; {HOP_LIMIT}"),
            false => why,
        };
        match answer(&provider, "IMDSv2").await {
            Answer::Found(mut identity) => {
                identity.outlives_expiry = true;
                Answer::Found(identity)
            }
            Answer::Absent(why) => Answer::Absent(hint(why)),
            Answer::Failed(why) => Answer::Failed(hint(why)),
        }
    }
}

/// What keeps a shared file from being read. The provider's own error says that there is something, and not where.
async fn mistake_of(kind: EnvConfigFileKind, text: &str) -> Option<String> {
    let files = EnvConfigFiles::builder().with_contents(kind, text).build();
    let (fs, env) = (Fs::real(), Env::real());
    let loaded = aws_config::profile::load(&fs, &env, &files, None);
    let error = loaded.with_subscriber(NoSubscriber::default()).await.err()?;
    // The path is ours to say, since only the contents were given.
    Some(text_of(&error).replace("error parsing  on line", "line").replace(['\n', '\r'], " "))
}

/// What a silent IMDS means where there is one.
const HOP_LIMIT: &str = "in a container on EC2, the instance's metadata hop limit has to be 2 (aws ec2 modify-instance-metadata-options --http-put-response-hop-limit 2)";

/// A variable of the environment that is not empty.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The reason together with the variables that led there, none of which is secret.
fn with_variables(why: String, names: &[&str]) -> String {
    let set = names.iter().filter_map(|name| Some(format!("{name}={}", variable(name)?)));
    let set: Vec<String> = set.collect();
    if set.is_empty() { why } else { format!("{why} ({})", set.join(", ")) }
}

#[async_trait]
impl CredentialSource for DefaultChain {
    async fn load(&self) -> Result<Identity, LoadError> {
        let mut error = LoadError::default();
        macro_rules! ask {
            ($name:literal, $provider:ident) => {
                match self.$provider().await {
                    Answer::Found(identity) => return Ok(identity),
                    Answer::Absent(why) => error.push($name, why),
                    Answer::Failed(why) => {
                        error.push($name, why);
                        return Err(error);
                    }
                }
            };
        }
        if !self.profile_only {
            ask!("environment", environment);
        }
        ask!("shared files", shared_files);
        if !self.profile_only {
            ask!("web identity", web_identity);
            ask!("container", container);
            ask!("IMDSv2", instance);
        }
        Err(error)
    }
}

/// Asks a provider of `aws-config`. What it logs is left out: the outcome is logged by us, once.
async fn answer(provider: &impl ProvideCredentials, name: &str) -> Answer {
    match provider.provide_credentials().with_subscriber(NoSubscriber::default()).await {
        Ok(credentials) => Answer::Found(Identity::new(credentials, name)),
        Err(error @ CredentialsError::CredentialsNotLoaded(_)) => Answer::Absent(reason(&error)),
        Err(error) => Answer::Failed(reason(&error)),
    }
}

/// What the causes of an error say. Its own words only tell its kind.
pub(crate) fn reason(error: &CredentialsError) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), text_of)
}
