//! The authenticator: signs each attempt afresh, with whatever credentials are good at that moment.

use crate::cache::CredentialCache;
use crate::chain::{DefaultChain, Regions};
use crate::credentials::{CredentialSource, Identity, LoadError};
use crate::echo::without_request;
use crate::endpoint::{Scope, infer};
use crate::http_client::Connections;
use crate::refusal::Refusal;
use crate::role::{AssumedRole, FixedKeys};
use crate::settings::{SettingsError, SigningSettings};
use crate::shared_files::SharedFiles;
use crate::sign::{SignOptions, Signable, sign};
use async_trait::async_trait;
use http::request::Parts;
use http::{HeaderName, StatusCode, Uri, header};
use net::auth::{AuthError, AuthVerdict, ClientAuth};
use parking_lot::Mutex;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Fields that are signed beside the host. Few, since each of them has to arrive unchanged through whatever proxies there are.
const SIGNED: [HeaderName; 1] = [header::CONTENT_TYPE];

/// What the signature consists of; none of them may be there before.
const SIGNATURE: [&str; 4] = ["authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"];

/// The service of hosts that do not tell.
const DEFAULT_SERVICE: &str = "aps";

/// How long a request waits for credentials that are being looked up. Some metadata services take half a minute to say
/// nothing, and requests have a timeout; a request that gives up here is sent again like any other without credentials.
const WAIT: Duration = Duration::from_secs(2);

/// How often a lasting refusal is told.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// Signs requests.
pub struct SigV4 {
    settings: SigningSettings,
    cache: CredentialCache,
    regions: Arc<Regions>,
    told: Mutex<Option<(Refusal, Instant)>>,
    /// Region and service of the last request, for messages.
    scope: Mutex<(String, String)>,
}

/// Keeps credentials fresh in the background as long as it is held.
#[derive(Debug)]
pub struct Watching(JoinHandle<()>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl SigV4 {
    /// An authenticator of these settings. Asks nobody for anything yet.
    ///
    /// # Errors
    /// If the environment's proxy is not a URL.
    pub fn new(settings: SigningSettings) -> Result<Self, SettingsError> {
        let connections = Connections::new().map_err(|error| SettingsError(error.to_string()))?;
        let wanted = &settings.credentials;
        let files = Arc::new(SharedFiles::of_environment(wanted.profile.as_deref()));
        let regions = Arc::new(Regions::new(settings.region.clone(), Arc::clone(&files)));
        let by_token = wanted.role.as_ref().is_some_and(|role| role.web_identity_token_file.is_some());
        let watched = (wanted.keys.is_none() && !by_token).then(|| Arc::clone(&files));
        let mut source: Arc<dyn CredentialSource> = match &wanted.keys {
            Some(keys) => Arc::new(FixedKeys(keys.clone())),
            None => {
                let profile_only = wanted.profile.is_some();
                Arc::new(DefaultChain::new(files, connections.clone(), Arc::clone(&regions), profile_only))
            }
        };
        if let Some(role) = &wanted.role {
            source = Arc::new(AssumedRole {
                base: source,
                settings: role.clone(),
                connections,
                regions: Arc::clone(&regions),
            });
        }
        let cache = CredentialCache::new(source, watched);
        Ok(Self { settings, cache, regions, told: Mutex::default(), scope: Mutex::default() })
    }

    /// Renews credentials in the background for as long as the result is held.
    #[must_use]
    pub fn watch(self: &Arc<Self>) -> Watching {
        let this = Arc::clone(self);
        Watching(tokio::spawn(async move { this.keep_fresh().await }))
    }

    /// Renews credentials in the background. Never returns.
    pub async fn keep_fresh(&self) {
        self.cache.keep_fresh().await;
    }

    /// The identity that requests to `endpoint` are signed as.
    ///
    /// # Errors
    /// When no source has credentials.
    pub async fn identity(&self, endpoint: &Uri) -> Result<Arc<Identity>, LoadError> {
        if let Some(region) = infer(endpoint.host().unwrap_or_default()).1 {
            self.regions.learn(region);
        }
        self.cache.identity().await
    }

    /// What a signature for `endpoint` is good for.
    ///
    /// # Errors
    /// If nothing says which region it is.
    pub fn scope<'a>(&'a self, endpoint: &'a Uri) -> Result<Scope<'a>, AuthError> {
        let (service, region) = infer(endpoint.host().unwrap_or_default());
        let region = match self.regions.configured().or(region) {
            Some(region) => Cow::Borrowed(region),
            None => Cow::Owned(self.regions.of_machine().ok_or_else(|| {
                AuthError::new("cannot sign: no region is known; set region, or AWS_REGION in the environment")
            })?),
        };
        let service = self.settings.service.as_deref().or(service).unwrap_or(DEFAULT_SERVICE);
        Ok(Scope { region, service: Cow::Borrowed(service) })
    }

    /// Says once in a while who was refused, and why.
    fn tell(&self, refusal: Refusal, status: StatusCode, body: &[u8]) {
        let mut told = self.told.lock();
        if told.is_some_and(|(known, at)| known == refusal && at.elapsed() < TELL_AGAIN) {
            return;
        }
        *told = Some((refusal, Instant::now()));
        drop(told);
        let identity = self.cache.last();
        let identity = identity.as_deref();
        let (region, service) = self.scope.lock().clone();
        let words = String::from_utf8_lossy(body.get(..512).unwrap_or(body));
        let words = without_request(words.trim()).replace(['\n', '\r'], " ");
        tracing::warn!(
            provider = identity.map(|identity| identity.provider.as_str()),
            access_key_id = identity.map(Identity::access_key_id),
            role = identity.and_then(|identity| identity.role.as_deref()),
            region,
            service,
            status = status.as_u16(),
            answer = words,
            "AWS has refused this identity; what was to be sent is kept and tried again: {}.",
            refusal.advice()
        );
    }
}

#[async_trait]
impl ClientAuth for SigV4 {
    async fn apply(&self, request: &mut Parts, body: &[u8]) -> Result<(), AuthError> {
        if let Some(region) = infer(request.uri.host().unwrap_or_default()).1
            && self.regions.learn(region)
        {
            self.cache.hurry();
        }
        let scope = self.scope(&request.uri)?;
        {
            let mut known = self.scope.lock();
            if known.0 != scope.region || known.1 != scope.service {
                *known = (scope.region.to_string(), scope.service.to_string());
            }
        }
        let identity = match tokio::time::timeout(WAIT, self.cache.identity()).await {
            Ok(identity) => identity.map_err(|error| AuthError::new(error.to_string()))?,
            Err(_) => {
                let last = self.cache.last_failure().map(|error| format!("; last time: {error}")).unwrap_or_default();
                return Err(AuthError::new(format!(
                    "AWS credentials are being looked up for longer than {WAIT:?}{last}"
                )));
            }
        };
        for name in SIGNATURE {
            request.headers.remove(name);
        }
        let host = host(request);
        let mut headers = vec![("host", host.as_str())];
        for name in &SIGNED {
            headers.extend(request.headers.get(name).and_then(|value| Some((name.as_str(), value.to_str().ok()?))));
        }
        let uri = without_user(&request.uri);
        let signable = Signable { method: request.method.as_str(), uri: &uri, headers: &headers, body };
        let fields = sign(&signable, &scope, &identity, SystemTime::now(), SignOptions::default())
            .map_err(|error| AuthError::new(error.to_string()))?;
        request.headers.extend(fields);
        Ok(())
    }

    /// AWS takes no gRPC with such signatures.
    fn authenticates_grpc(&self) -> bool {
        false
    }

    fn on_response(&self, status: StatusCode, body: &[u8]) -> AuthVerdict {
        let refusal = match status {
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => Some(Refusal::of(body)),
            StatusCode::BAD_REQUEST => Refusal::named(body),
            _ => None,
        };
        let Some(refusal) = refusal else { return AuthVerdict::Final };
        if refusal.is_of_credentials() {
            // The first time it is most likely a rotation that the store knew of before us.
            if self.cache.refused() {
                self.tell(refusal, status, body);
            }
            return AuthVerdict::Retry;
        }
        self.tell(refusal, status, body);
        AuthVerdict::Refused
    }
}

/// The `Host` that is sent: the request's own, or the URL's host with its port as it stands there.
fn host(request: &Parts) -> String {
    let own = request.headers.get(header::HOST).and_then(|value| value.to_str().ok());
    own.map_or_else(|| authority(&request.uri).to_owned(), str::to_owned)
}

/// Host and port of a URL, without user and password.
fn authority(uri: &Uri) -> &str {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// The URL without user and password, which are no part of what is signed.
fn without_user(uri: &Uri) -> String {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    format!("{}://{}{path}", uri.scheme_str().unwrap_or("https"), authority(uri))
}
