//! Prometheus' client block: the keys that stand inline in scrape configurations, remote write and discovery.

use std::collections::BTreeMap;

use pipeline::config::Secret;
use serde::Deserialize;

use crate::tls::PrometheusTlsConfig;

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
