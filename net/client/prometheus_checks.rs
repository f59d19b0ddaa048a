//! Prometheus' client block, checked and turned into settings.

use std::collections::BTreeMap;
use std::path::Path;

use http::HeaderName;
use pipeline::config::Secret;

use super::oauth2::{Grant, JwtAlgorithm, OAuth2Settings};
use super::prometheus::{HttpHeader, OAuth2Config, PrometheusHttpClientConfig};
use super::proxy::{ProxySettings, ProxyUrl};
use super::settings::{ClientConfigError, ClientSettings, Credentials, SecretSource};
use crate::tls::{ClientTlsSettings, PrometheusTlsConfig};

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
            None | Some("client_credentials") => {
                Grant::ClientCredentials { secret: source(self.client_secret.clone(), text(&self.client_secret_file)) }
            }
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

fn added_headers(headers: &BTreeMap<String, HttpHeader>) -> Result<Vec<(HeaderName, SecretSource)>, ClientConfigError> {
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
    name.parse().map_err(|_| ClientConfigError::invalid(format!("{key}: {name:?} is not a header field's name")))
}
