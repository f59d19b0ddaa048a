//! Prometheus' client block: the keys that stand inline in scrape configurations, remote write and discovery.

use std::collections::BTreeMap;
use std::path::Path;

use http::HeaderName;
use pipeline::config::Secret;
use serde::Deserialize;

use super::oauth2::{Grant, JwtAlgorithm, OAuth2Settings};
use super::proxy::{ProxySettings, ProxyUrl};
use super::settings::{ClientConfigError, ClientSettings, Credentials, SecretSource};
use crate::tls::{ClientTlsSettings, PrometheusTlsConfig};

/// Defines a configuration struct that has Prometheus' HTTP client keys beside its own.
///
/// `serde(flatten)` would make unknown keys go unnoticed, so the fields are written out by this macro. Give the struct
/// its attributes, visibility and own fields; shared fields are all optional and follow them. The struct gets
///
/// - `HTTP_CLIENT_FIELDS`, the names of the shared keys,
/// - `http_client()`, the shared part as a [`PrometheusHttpClientConfig`](crate::client::PrometheusHttpClientConfig),
/// - `client_settings(http2)`, what an [`HttpClient`](crate::client::HttpClient) is built from; `http2` is the
///   default of `enable_http2` (true for scraping and discovery, false for remote write),
/// - `resolve_http_paths(directory)`, which makes relative paths of files absolute.
///
/// ```
/// net::prometheus_http_client_config! {
///     /// A job.
///     #[derive(Debug, Clone, Default, serde::Deserialize)]
///     #[serde(default, deny_unknown_fields)]
///     pub struct DemoConfig {
///         /// Its own key.
///         pub job_name: String,
///     }
/// }
/// let config: DemoConfig = serde_json::from_str(r#"{"job_name": "a", "bearer_token_file": "t"}"#)?;
/// assert!(config.client_settings(true)?.http2);
/// assert!(serde_json::from_str::<DemoConfig>(r#"{"bearer_tokenfile": "t"}"#).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[macro_export]
macro_rules! prometheus_http_client_config {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident {
            $($(#[$field_attribute:meta])* $field_visibility:vis $field:ident: $kind:ty),* $(,)?
        }
    ) => {
        $(#[$attribute])*
        $visibility struct $name {
            $($(#[$field_attribute])* $field_visibility $field: $kind,)*
            /// User and password. Not together with another way to authenticate.
            pub basic_auth: Option<$crate::client::BasicAuth>,
            /// The `Authorization` field. Not together with another way to authenticate.
            pub authorization: Option<$crate::client::Authorization>,
            /// Older spelling of `authorization.credentials`.
            pub bearer_token: Option<$crate::reexport::Secret>,
            /// Older spelling of `authorization.credentials_file`.
            pub bearer_token_file: Option<String>,
            /// A token that is fetched first. Not together with another way to authenticate.
            pub oauth2: Option<$crate::client::OAuth2Config>,
            /// TLS for `https` URLs.
            pub tls_config: Option<$crate::tls::PrometheusTlsConfig>,
            /// Follow redirects. Default true.
            pub follow_redirects: Option<bool>,
            /// Use HTTP/2 with servers that prefer it (`https` only). Default true; false for remote write.
            pub enable_http2: Option<bool>,
            /// The proxy for all requests.
            pub proxy_url: Option<String>,
            /// Hosts, networks and domains that are reached without the proxy, separated by commas.
            pub no_proxy: Option<String>,
            /// Use the proxy that the environment names (`HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`). Default false.
            pub proxy_from_environment: bool,
            /// Fields sent to the proxy when a tunnel is asked for.
            pub proxy_connect_header: std::collections::BTreeMap<String, Vec<$crate::reexport::Secret>>,
            /// Fields added to every request.
            pub http_headers: std::collections::BTreeMap<String, $crate::client::HttpHeader>,
        }

        impl $name {
            /// The keys that this block shares with every other HTTP client.
            pub const HTTP_CLIENT_FIELDS: &'static [&'static str] = &[
                "basic_auth", "authorization", "bearer_token", "bearer_token_file", "oauth2", "tls_config",
                "follow_redirects", "enable_http2", "proxy_url", "no_proxy", "proxy_from_environment",
                "proxy_connect_header", "http_headers",
            ];

            /// The shared part of the block.
            #[must_use]
            pub fn http_client(&self) -> $crate::client::PrometheusHttpClientConfig {
                $crate::client::PrometheusHttpClientConfig {
                    basic_auth: self.basic_auth.clone(),
                    authorization: self.authorization.clone(),
                    bearer_token: self.bearer_token.clone(),
                    bearer_token_file: self.bearer_token_file.clone(),
                    oauth2: self.oauth2.clone(),
                    tls_config: self.tls_config.clone(),
                    follow_redirects: self.follow_redirects,
                    enable_http2: self.enable_http2,
                    proxy_url: self.proxy_url.clone(),
                    no_proxy: self.no_proxy.clone(),
                    proxy_from_environment: self.proxy_from_environment,
                    proxy_connect_header: self.proxy_connect_header.clone(),
                    http_headers: self.http_headers.clone(),
                }
            }

            /// What a client is built from. Reads no file.
            ///
            /// # Errors
            /// In Prometheus' words, for keys that contradict each other and values that are not known.
            pub fn client_settings(
                &self,
                http2: bool,
            ) -> Result<$crate::client::ClientSettings, $crate::client::ClientConfigError> {
                $crate::client::prometheus_settings(&self.http_client(), http2)
            }

            /// Puts `directory` before all relative paths: Prometheus looks for files beside the file that names them.
            pub fn resolve_http_paths(&mut self, directory: &std::path::Path) {
                let mut shared = self.http_client();
                $crate::client::resolve_prometheus_paths(&mut shared, directory);
                self.basic_auth = shared.basic_auth;
                self.authorization = shared.authorization;
                self.bearer_token_file = shared.bearer_token_file;
                self.oauth2 = shared.oauth2;
                self.tls_config = shared.tls_config;
                self.http_headers = shared.http_headers;
            }
        }
    };
}

prometheus_http_client_config! {
    /// Prometheus' client keys alone.
    #[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct PrometheusHttpClientConfig {}
}

/// The `basic_auth` block.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BasicAuth {
    /// The user's name.
    pub username: Option<String>,
    /// The file that holds it, read for each request.
    pub username_file: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The file that holds it, read for each request.
    pub password_file: Option<String>,
}

/// The `authorization` block.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Authorization {
    /// The scheme. Default `Bearer`. For `Basic` there is `basic_auth`.
    #[serde(rename = "type")]
    pub scheme: Option<String>,
    /// What follows the scheme.
    pub credentials: Option<Secret>,
    /// The file that holds it, read for each request.
    pub credentials_file: Option<String>,
}

/// One entry of `http_headers`. All values of the three lists are sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpHeader {
    /// Values.
    pub values: Vec<String>,
    /// Values that are not shown.
    pub secrets: Vec<Secret>,
    /// Files that hold values, read for each request.
    pub files: Vec<String>,
}

/// A claim's value: text, number, list, map, …
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ClaimValue(pub serde_json::Value);

/// The `oauth2` block.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OAuth2Config {
    /// The client's id. Required.
    pub client_id: Option<String>,
    /// The client's secret.
    pub client_secret: Option<Secret>,
    /// The file that holds it, read for each request; a change fetches a new token.
    pub client_secret_file: Option<String>,
    /// `client_credentials` (default) or `urn:ietf:params:oauth:grant-type:jwt-bearer`.
    pub grant_type: Option<String>,
    /// For JWT bearer: the private key, PEM.
    pub client_certificate_key: Option<Secret>,
    /// The file that holds it.
    pub client_certificate_key_file: Option<String>,
    /// The key's id.
    pub client_certificate_key_id: Option<String>,
    /// `RS256` (default), `RS384` or `RS512`.
    pub signature_algorithm: Option<String>,
    /// Who makes the statement. Default `client_id`.
    pub iss: Option<String>,
    /// Who the statement is for. Default `token_url`.
    pub audience: Option<String>,
    /// Further claims of the statement.
    pub claims: BTreeMap<String, ClaimValue>,
    /// The scopes to ask for.
    pub scopes: Vec<String>,
    /// Where tokens are issued. Required.
    pub token_url: Option<String>,
    /// Further parameters of the token request.
    pub endpoint_params: BTreeMap<String, String>,
    /// TLS for the token URL.
    pub tls_config: Option<PrometheusTlsConfig>,
    /// The proxy for the token URL.
    pub proxy_url: Option<String>,
    /// Hosts that are reached without the proxy.
    pub no_proxy: Option<String>,
    /// Use the environment's proxy.
    pub proxy_from_environment: bool,
    /// Fields sent to the proxy when a tunnel is asked for.
    pub proxy_connect_header: BTreeMap<String, Vec<Secret>>,
}

/// Fields that `http_headers` must not name, because they are set by the client or have keys of their own.
const RESERVED: [&str; 18] = [
    "Authorization",
    "Host",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "User-Agent",
    "Connection",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Www-Authenticate",
    "Accept-Encoding",
    "X-Prometheus-Remote-Write-Version",
    "X-Prometheus-Remote-Read-Version",
    "X-Prometheus-Scrape-Timeout-Seconds",
    "X-Amz-Date",
    "X-Amz-Security-Token",
    "X-Amz-Content-Sha256",
];

/// What a client is built from. Behind `client_settings` of the structs made by
/// [`prometheus_http_client_config!`](crate::prometheus_http_client_config).
///
/// # Errors
/// In Prometheus' words, for keys that contradict each other and values that are not known.
pub fn prometheus_settings(
    config: &PrometheusHttpClientConfig,
    http2: bool,
) -> Result<ClientSettings, ClientConfigError> {
    Ok(ClientSettings {
        credentials: credentials(config)?,
        tls: tls(&config.tls_config)?,
        follow_redirects: config.follow_redirects.unwrap_or(true),
        http2: config.enable_http2.unwrap_or(http2),
        // Prometheus asks silent connections after a minute.
        http2_ping: super::Http2Ping { after: std::time::Duration::from_secs(60), ..Default::default() },
        proxy: proxy(
            config.proxy_url.as_deref(),
            config.no_proxy.as_deref(),
            config.proxy_from_environment,
            &config.proxy_connect_header,
        )?,
        added_headers: added_headers(&config.http_headers)?,
        ..ClientSettings::default()
    })
}

/// Puts `directory` before the relative paths of a client block.
pub fn resolve_prometheus_paths(config: &mut PrometheusHttpClientConfig, directory: &Path) {
    let resolve = |path: &mut String| {
        if !path.is_empty() && Path::new(path.as_str()).is_relative() {
            *path = directory.join(path.as_str()).to_string_lossy().into_owned();
        }
    };
    let mut paths: Vec<&mut Option<String>> = vec![&mut config.bearer_token_file];
    if let Some(basic) = &mut config.basic_auth {
        paths.extend([&mut basic.username_file, &mut basic.password_file]);
    }
    if let Some(authorization) = &mut config.authorization {
        paths.push(&mut authorization.credentials_file);
    }
    let mut tls = vec![&mut config.tls_config];
    if let Some(oauth2) = &mut config.oauth2 {
        paths.extend([&mut oauth2.client_secret_file, &mut oauth2.client_certificate_key_file]);
        tls.push(&mut oauth2.tls_config);
    }
    for tls in tls.into_iter().flatten() {
        paths.extend([&mut tls.ca_file, &mut tls.cert_file, &mut tls.key_file]);
    }
    paths.into_iter().flatten().for_each(resolve);
    config.http_headers.values_mut().flat_map(|header| &mut header.files).for_each(resolve);
}

fn invalid<T>(text: &str) -> Result<T, ClientConfigError> {
    Err(ClientConfigError::invalid(text))
}

fn text(value: &Option<String>) -> Option<&str> {
    value.as_deref().filter(|text| !text.is_empty())
}

fn secret(value: &Option<Secret>) -> Option<&Secret> {
    value.as_ref().filter(|secret| !secret.is_empty())
}

fn source(inline: Option<Secret>, file: Option<&str>) -> SecretSource {
    match file {
        Some(path) => SecretSource::File(path.into()),
        None => SecretSource::Inline(inline.unwrap_or_default()),
    }
}

/// The checks are in the order in which Prometheus makes them, since the first failure is what a user sees.
fn credentials(config: &PrometheusHttpClientConfig) -> Result<Credentials, ClientConfigError> {
    let (token, token_file) = (secret(&config.bearer_token), text(&config.bearer_token_file));
    let has_token = token.is_some() || token_file.is_some();
    if token.is_some() && token_file.is_some() {
        return invalid("at most one of bearer_token & bearer_token_file must be configured");
    }
    if has_token && (config.basic_auth.is_some() || config.oauth2.is_some()) {
        return invalid("at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured");
    }
    if let Some(basic) = &config.basic_auth {
        if text(&basic.username).is_some() && text(&basic.username_file).is_some() {
            return invalid("at most one of basic_auth username, username_file & username_ref must be configured");
        }
        if secret(&basic.password).is_some() && text(&basic.password_file).is_some() {
            return invalid("at most one of basic_auth password, password_file & password_ref must be configured");
        }
    }
    let exclusive = "at most one of basic_auth, oauth2 & authorization must be configured";
    if let Some(authorization) = &config.authorization {
        if has_token {
            return invalid("authorization is not compatible with bearer_token & bearer_token_file");
        }
        let (credentials, file) = (secret(&authorization.credentials), text(&authorization.credentials_file));
        if credentials.is_some() && file.is_some() {
            return invalid("at most one of authorization credentials & credentials_file must be configured");
        }
        let scheme = authorization.scheme.as_deref().unwrap_or_default().trim();
        if scheme.eq_ignore_ascii_case("basic") {
            return invalid("authorization type cannot be set to \"basic\", use \"basic_auth\" instead");
        }
        if config.basic_auth.is_some() || config.oauth2.is_some() {
            return invalid(exclusive);
        }
        return Ok(Credentials::Authorization {
            scheme: if scheme.is_empty() { "Bearer" } else { scheme }.to_owned(),
            credentials: source(credentials.cloned(), file),
        });
    }
    if let Some(oauth2) = &config.oauth2 {
        if config.basic_auth.is_some() {
            return invalid(exclusive);
        }
        return Ok(Credentials::OAuth2(Box::new(oauth2.settings()?)));
    }
    if let Some(basic) = &config.basic_auth {
        let username = text(&basic.username).map(Secret::new);
        return Ok(Credentials::Basic {
            username: source(username, text(&basic.username_file)),
            password: source(basic.password.clone(), text(&basic.password_file)),
        });
    }
    if has_token {
        return Ok(Credentials::Authorization {
            scheme: "Bearer".to_owned(),
            credentials: source(token.cloned(), token_file),
        });
    }
    Ok(Credentials::None)
}

impl OAuth2Config {
    fn settings(&self) -> Result<OAuth2Settings, ClientConfigError> {
        let Some(client_id) = text(&self.client_id) else {
            return invalid("oauth2 client_id must be configured");
        };
        let Some(token_url) = text(&self.token_url) else {
            return invalid("oauth2 token_url must be configured");
        };
        if secret(&self.client_secret).is_some() && text(&self.client_secret_file).is_some() {
            return invalid(
                "at most one of oauth2 client_secret, client_secret_file & client_secret_ref must be configured using grant-type=client_credentials",
            );
        }
        let key_file = text(&self.client_certificate_key_file);
        if secret(&self.client_certificate_key).is_some() && key_file.is_some() {
            return invalid(
                "at most one of oauth2 client_certificate_key, client_certificate_key_file & client_certificate_key_ref must be configured using grant-type=urn:ietf:params:oauth:grant-type:jwt-bearer",
            );
        }
        let grant = match text(&self.grant_type) {
            None | Some("client_credentials") => Grant::ClientCredentials {
                secret: source(self.client_secret.clone(), text(&self.client_secret_file)),
            },
            Some("urn:ietf:params:oauth:grant-type:jwt-bearer") => Grant::JwtBearer {
                key: source(self.client_certificate_key.clone(), key_file),
                key_id: self.client_certificate_key_id.clone().unwrap_or_default(),
                algorithm: match text(&self.signature_algorithm) {
                    None | Some("RS256") => JwtAlgorithm::Rs256,
                    Some("RS384") => JwtAlgorithm::Rs384,
                    Some("RS512") => JwtAlgorithm::Rs512,
                    Some(_) => return invalid("oauth2 signature_algorithm must be one of RS256, RS384, RS512"),
                },
                issuer: text(&self.iss).unwrap_or(client_id).to_owned(),
                audience: text(&self.audience).unwrap_or(token_url).to_owned(),
                claims: self.claims.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect(),
            },
            Some(_) => {
                return invalid(
                    "oauth2 grant_type must be client_credentials or urn:ietf:params:oauth:grant-type:jwt-bearer",
                );
            }
        };
        Ok(OAuth2Settings {
            client_id: client_id.to_owned(),
            grant,
            token_url: token_url
                .parse()
                .map_err(|error| ClientConfigError::invalid(format!("oauth2 token_url is not a URL: {error}")))?,
            scopes: self.scopes.clone(),
            endpoint_params: self.endpoint_params.clone().into_iter().collect(),
            tls: tls(&self.tls_config)?,
            proxy: proxy(
                self.proxy_url.as_deref(),
                self.no_proxy.as_deref(),
                self.proxy_from_environment,
                &self.proxy_connect_header,
            )?,
        })
    }
}

fn tls(config: &Option<PrometheusTlsConfig>) -> Result<ClientTlsSettings, ClientConfigError> {
    match config {
        Some(config) => Ok(config.settings()?),
        None => Ok(ClientTlsSettings::default()),
    }
}

fn proxy(
    url: Option<&str>,
    no_proxy: Option<&str>,
    from_environment: bool,
    connect_header: &BTreeMap<String, Vec<Secret>>,
) -> Result<ProxySettings, ClientConfigError> {
    let url = url.filter(|url| !url.is_empty());
    let no_proxy = no_proxy.filter(|list| !list.is_empty());
    if !connect_header.is_empty() && !from_environment && url.is_none() {
        return invalid(
            "if proxy_connect_header is configured, proxy_url or proxy_from_environment must also be configured",
        );
    }
    if from_environment && url.is_some() {
        return invalid("if proxy_from_environment is configured, proxy_url must not be configured");
    }
    if from_environment && no_proxy.is_some() {
        return invalid("if proxy_from_environment is configured, no_proxy must not be configured");
    }
    if url.is_none() && no_proxy.is_some() {
        return invalid("if no_proxy is configured, proxy_url must also be configured");
    }
    let mut connect_headers = Vec::new();
    for (name, values) in connect_header {
        let name = header_name("proxy_connect_header", name)?;
        connect_headers.extend(values.iter().map(|value| (name.clone(), value.clone())));
    }
    Ok(match url {
        Some(url) => ProxySettings::Url {
            url: ProxyUrl::parse(url)?,
            no_proxy: no_proxy.unwrap_or_default().to_owned(),
            connect_headers,
        },
        None if from_environment => ProxySettings::FromEnvironment { connect_headers },
        None => ProxySettings::None,
    })
}

fn added_headers(
    headers: &BTreeMap<String, HttpHeader>,
) -> Result<Vec<(HeaderName, SecretSource)>, ClientConfigError> {
    let mut added = Vec::new();
    for (name, header) in headers {
        if let Some(reserved) = RESERVED.iter().find(|reserved| reserved.eq_ignore_ascii_case(name)) {
            return Err(ClientConfigError::invalid(format!("setting header {reserved:?} is not allowed")));
        }
        let parsed = header_name("http_headers", name)?;
        let values = header.values.iter().map(|value| SecretSource::Inline(Secret::new(value.as_str())));
        let secrets = header.secrets.iter().map(|secret| SecretSource::Inline(secret.clone()));
        let files = header.files.iter().map(|file| SecretSource::File(file.into()));
        added.extend(values.chain(secrets).chain(files).map(|source| (parsed.clone(), source)));
    }
    Ok(added)
}

fn header_name(key: &str, name: &str) -> Result<HeaderName, ClientConfigError> {
    name.parse()
        .map_err(|_| ClientConfigError::invalid(format!("{key}: {name:?} is not a header field's name")))
}
