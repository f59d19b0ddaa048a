//! OAuth 2.0 tokens: client credentials (RFC 6749 section 4.4) and JWT bearer (RFC 7523 section 2.1).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Uri};
use parking_lot::Mutex as SyncMutex;
use rustls::SignatureScheme;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::credentials::SecretText;
use super::dial::{basic, secret_header};
use super::error::{Failure, RequestErrorKind};
use super::proxy::ProxySettings;
use super::settings::{ClientConfigError, ClientSettings, SecretSource};
use super::{HttpClient, Request};
use crate::auth::Authenticators;
use crate::tls::ClientTlsSettings;

/// A token is replaced this long before it expires, so that it is still good when it arrives. Go's value.
const EXPIRES_EARLY: Duration = Duration::from_secs(10);
/// The longest answer of a token endpoint. Go's limit.
const MAX_ANSWER: usize = 1 << 20;
/// How long the token endpoint may take. The request that waits for the token has a limit of its own as well.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(30);

/// Where a token comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuth2Settings {
    /// The client's id.
    pub client_id: String,
    /// How the client proves its id.
    pub grant: Grant,
    /// Where tokens are issued.
    pub token_url: Uri,
    /// The scopes to ask for.
    pub scopes: Vec<String>,
    /// Further parameters of the token request.
    pub endpoint_params: Vec<(String, String)>,
    /// TLS for the token URL.
    pub tls: ClientTlsSettings,
    /// The proxy for the token URL.
    pub proxy: ProxySettings,
}

/// How the client proves its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// By a secret.
    ClientCredentials {
        /// The secret.
        secret: SecretSource,
    },
    /// By a statement signed with its key.
    JwtBearer {
        /// The private key, PEM.
        key: SecretSource,
        /// The key's id, or empty.
        key_id: String,
        /// RS256, RS384 or RS512.
        algorithm: JwtAlgorithm,
        /// Who makes the statement.
        issuer: String,
        /// Who the statement is for.
        audience: String,
        /// Further claims, as JSON values.
        claims: Vec<(String, serde_json::Value)>,
    },
}

/// How statements are signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum JwtAlgorithm {
    /// RSA with SHA-256.
    #[default]
    Rs256,
    /// RSA with SHA-384.
    Rs384,
    /// RSA with SHA-512.
    Rs512,
}

/// Fetches tokens and keeps them while they last.
pub(super) struct OAuth2 {
    settings: OAuth2Settings,
    secret: SecretText,
    client: HttpClient,
    token: Mutex<Option<Token>>,
    /// Whether the endpoint wants id and secret among the parameters instead of in a field: found out once.
    in_parameters: SyncMutex<bool>,
}

struct Token {
    authorization: HeaderValue,
    expires: Option<Instant>,
    /// The secret it was fetched with: a new secret asks for a new token.
    secret: String,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    token_type: String,
    expires_in: Option<serde_json::Value>,
    error: Option<String>,
    error_description: Option<String>,
}

impl OAuth2 {
    pub(super) fn new(settings: &OAuth2Settings) -> Result<Self, ClientConfigError> {
        let secret = match &settings.grant {
            Grant::ClientCredentials { secret } => secret,
            Grant::JwtBearer { key, .. } => key,
        };
        let client = ClientSettings {
            timeout: Some(TOKEN_TIMEOUT),
            tls: settings.tls.clone(),
            proxy: settings.proxy.clone(),
            ..ClientSettings::default()
        };
        Ok(Self {
            secret: SecretText::new(secret),
            client: HttpClient::new(&client, &Authenticators::default())?,
            settings: settings.clone(),
            token: Mutex::new(None),
            in_parameters: SyncMutex::new(false),
        })
    }

    /// The `Authorization` field with a token that is good now. Requests that need one at the same time wait for one fetch.
    pub(super) async fn authorization(&self) -> Result<HeaderValue, Failure> {
        let secret = self.secret.text("oauth2 client secret")?;
        let mut token = self.token.lock().await;
        if let Some(token) = token.as_ref()
            && token.secret == secret
            && token.expires.is_none_or(|expires| Instant::now() < expires)
        {
            return Ok(token.authorization.clone());
        }
        let fresh = self.fetch(secret).await?;
        let authorization = fresh.authorization.clone();
        *token = Some(fresh);
        Ok(authorization)
    }

    async fn fetch(&self, secret: String) -> Result<Token, Failure> {
        let mut form = Form::default();
        let answer = match &self.settings.grant {
            Grant::ClientCredentials { .. } => {
                form.add("grant_type", "client_credentials");
                if !self.settings.scopes.is_empty() {
                    form.add("scope", &self.settings.scopes.join(" "));
                }
                self.add_parameters(&mut form);
                self.with_secret(form, &secret).await?
            }
            Grant::JwtBearer { .. } => {
                form.add("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
                form.add("assertion", &self.statement(&secret)?);
                self.add_parameters(&mut form);
                self.post(&form, None).await?
            }
        };
        let scheme = match answer.token_type.to_ascii_lowercase().as_str() {
            "" | "bearer" => "Bearer",
            "mac" => "MAC",
            "basic" => "Basic",
            _ => answer.token_type.as_str(),
        };
        let seconds = match &answer.expires_in {
            Some(serde_json::Value::Number(number)) => number.as_u64(),
            Some(serde_json::Value::String(text)) => text.parse().ok(),
            _ => None,
        };
        let expires = seconds.filter(|seconds| *seconds > 0).and_then(|seconds| {
            let lasts = Duration::from_secs(seconds).saturating_sub(EXPIRES_EARLY);
            Instant::now().checked_add(lasts)
        });
        let authorization = secret_header(&format!("{scheme} {}", answer.access_token))?;
        Ok(Token { authorization, expires, secret })
    }

    fn add_parameters(&self, form: &mut Form) {
        for (name, value) in &self.settings.endpoint_params {
            form.add(name, value);
        }
    }

    /// Id and secret in a field first, as the standard wants; among the parameters for endpoints that insist on it.
    async fn with_secret(&self, form: Form, secret: &str) -> Result<Answer, Failure> {
        let id = &self.settings.client_id;
        let in_parameters = *self.in_parameters.lock();
        if !in_parameters {
            let field = basic(&form_encoded(id), &form_encoded(secret))?;
            match self.post(&form, Some(field)).await {
                Ok(answer) => return Ok(answer),
                // No answer at all says nothing about where it wants them.
                Err(failure) if failure.kind != RequestErrorKind::Auth => return Err(failure),
                Err(_) => {}
            }
        }
        let mut form = form;
        form.add("client_id", id);
        if !secret.is_empty() {
            form.add("client_secret", secret);
        }
        let answer = self.post(&form, None).await?;
        *self.in_parameters.lock() = true;
        Ok(answer)
    }

    async fn post(&self, form: &Form, authorization: Option<HeaderValue>) -> Result<Answer, Failure> {
        let mut request = Request::new(Method::POST, self.settings.token_url.clone());
        request.body = Bytes::from(form.text.clone());
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        if let Some(authorization) = authorization {
            request.headers.insert(AUTHORIZATION, authorization);
        }
        let mut body = Vec::new();
        let response = Box::pin(self.client.send(&request, &mut body, MAX_ANSWER)).await.map_err(|error| {
            let kind = match error.kind() {
                // Told apart from a refusal, which `with_secret` acts on.
                RequestErrorKind::Auth => RequestErrorKind::Protocol,
                kind => kind,
            };
            Failure::new(kind, format!("oauth2: cannot fetch token: {error}"))
        })?;
        let refused = |reason: &str| {
            Failure::new(RequestErrorKind::Auth, format!("oauth2: cannot fetch token: {}{reason}", response.status))
        };
        let answer: Result<Answer, _> = serde_json::from_slice(&body);
        match answer {
            Ok(answer) if response.status.is_success() && !answer.access_token.is_empty() => Ok(answer),
            Ok(Answer { error: Some(error), error_description, .. }) => {
                let description = error_description.map(|text| format!(" ({text})")).unwrap_or_default();
                Err(refused(&format!(": {error}{description}")))
            }
            _ if response.status.is_success() => Err(refused(": server response missing access_token")),
            _ => Err(refused("")),
        }
    }

    /// The signed statement of who the client is.
    fn statement(&self, key_pem: &str) -> Result<String, Failure> {
        let Grant::JwtBearer { key_id, algorithm, issuer, audience, claims, .. } = &self.settings.grant else {
            return Err(Failure::new(RequestErrorKind::Auth, "oauth2: no key to sign with"));
        };
        let unusable = |reason: String| {
            Failure::new(RequestErrorKind::Credentials, format!("oauth2: client certificate key: {reason}"))
        };
        let (name, scheme) = match algorithm {
            JwtAlgorithm::Rs256 => ("RS256", SignatureScheme::RSA_PKCS1_SHA256),
            JwtAlgorithm::Rs384 => ("RS384", SignatureScheme::RSA_PKCS1_SHA384),
            JwtAlgorithm::Rs512 => ("RS512", SignatureScheme::RSA_PKCS1_SHA512),
        };
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|e| unusable(e.to_string()))?;
        let key = rustls::crypto::ring::sign::any_supported_type(&key).map_err(|e| unusable(e.to_string()))?;
        let signer = key.choose_scheme(&[scheme]).ok_or_else(|| unusable(format!("it cannot sign with {name}")))?;
        let mut header = serde_json::json!({"alg": name, "typ": "JWT"});
        if !key_id.is_empty() {
            header["kid"] = key_id.as_str().into();
        }
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut body = serde_json::json!({
            "iss": issuer,
            "aud": audience,
            // A little in the past, for clocks that differ.
            "iat": now.saturating_sub(10),
            "exp": now + 3600,
        });
        if !self.settings.scopes.is_empty() {
            body["scope"] = self.settings.scopes.join(" ").into();
        }
        for (name, value) in claims {
            body[name.as_str()] = value.clone();
        }
        let encoded = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let statement = format!("{}.{}", encoded(&header), encoded(&body));
        let signature = signer.sign(statement.as_bytes()).map_err(|e| unusable(e.to_string()))?;
        Ok(format!("{statement}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// Parameters in a body.
#[derive(Default)]
struct Form {
    text: String,
}

impl Form {
    fn add(&mut self, name: &str, value: &str) {
        if !self.text.is_empty() {
            self.text.push('&');
        }
        self.text.push_str(&form_encoded(name));
        self.text.push('=');
        self.text.push_str(&form_encoded(value));
    }
}

fn form_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
