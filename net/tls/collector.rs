//! The Collector's `tls` blocks (configtls).

use pipeline::config::{GoDuration, Secret, StringList};
use serde::Deserialize;

use super::{ClientTlsSettings, Identity, PemSource, Reload, ServerTlsSettings, TlsError, VersionRange};

/// The `tls` block of a client.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsClientConfig {
    /// No TLS at all, for gRPC, where the endpoint has no scheme to say so. Default false. An HTTP client follows its URL.
    pub insecure: bool,
    /// Accept any server certificate. Default false. For tests only: anyone on the way can then read and change everything.
    pub insecure_skip_verify: bool,
    /// File of the authorities to trust. Default: the system's.
    pub ca_file: Option<String>,
    /// The same as text. Not together with `ca_file`.
    pub ca_pem: Option<Secret>,
    /// Trust the system's authorities beside `ca_file`. Default false.
    pub include_system_ca_certs_pool: bool,
    /// File of the client's certificate, for servers that ask for one. Needs `key_file` or `key_pem`.
    pub cert_file: Option<String>,
    /// The same as text.
    pub cert_pem: Option<Secret>,
    /// File of the certificate's private key.
    pub key_file: Option<String>,
    /// The same as text.
    pub key_pem: Option<Secret>,
    /// The lowest TLS version: `1.2` (default) or `1.3`; `1.0` and `1.1` are taken as 1.2.
    pub min_version: Option<String>,
    /// The highest TLS version. Default 1.3.
    pub max_version: Option<String>,
    /// Cipher suites of TLS 1.2 that are allowed, by their standard names. Default: all that are safe.
    pub cipher_suites: StringList,
    /// Key exchange groups that are allowed: `X25519`, `P256`, `P384`. Default: all.
    pub curve_preferences: StringList,
    /// How often files are looked at for a change. Default: never, they are read once.
    pub reload_interval: Option<GoDuration>,
    /// The name to expect in the server's certificate instead of the endpoint's host.
    pub server_name_override: Option<String>,
}

/// The `tls` block of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsServerConfig {
    /// File of the server's certificate. Required, or `cert_pem`.
    pub cert_file: Option<String>,
    /// The same as text.
    pub cert_pem: Option<Secret>,
    /// File of the certificate's private key. Required, or `key_pem`.
    pub key_file: Option<String>,
    /// The same as text.
    pub key_pem: Option<Secret>,
    /// Accepted for the Collector's sake: authorities that the process trusts as a client, which a server does not use.
    pub ca_file: Option<String>,
    /// As `ca_file`.
    pub ca_pem: Option<Secret>,
    /// As `ca_file`.
    pub include_system_ca_certs_pool: bool,
    /// The lowest TLS version: `1.2` (default) or `1.3`; `1.0` and `1.1` are taken as 1.2.
    pub min_version: Option<String>,
    /// The highest TLS version. Default 1.3.
    pub max_version: Option<String>,
    /// Cipher suites of TLS 1.2 that are allowed, by their standard names. Default: all that are safe.
    pub cipher_suites: StringList,
    /// Key exchange groups that are allowed: `X25519`, `P256`, `P384`. Default: all.
    pub curve_preferences: StringList,
    /// How often files are looked at for a change. Default: never, they are read once.
    pub reload_interval: Option<GoDuration>,
    /// File of the authorities that clients' certificates must come from. With it, a client without one is refused.
    pub client_ca_file: Option<String>,
    /// Read `client_ca_file` again when it changes. Default false. Certificates and keys are then looked at too.
    pub client_ca_file_reload: bool,
}

impl TlsClientConfig {
    /// The settings that the block stands for; reads no file.
    ///
    /// # Errors
    /// [`TlsError::Invalid`] naming the settings that contradict each other or are unknown.
    pub fn settings(&self) -> Result<ClientTlsSettings, TlsError> {
        let ca = PemSource::from_pair(
            self.ca_file.as_deref(),
            self.ca_pem.as_ref(),
            "provide either a CA file or the PEM-encoded string, but not both",
        )?;
        Ok(ClientTlsSettings {
            ca,
            include_system_roots: self.include_system_ca_certs_pool,
            identity: identity(&self.cert_file, &self.cert_pem, &self.key_file, &self.key_pem)?,
            server_name: self.server_name_override.clone().filter(|name| !name.is_empty()),
            insecure_skip_verify: self.insecure_skip_verify,
            versions: versions(self.min_version.as_deref(), self.max_version.as_deref())?,
            cipher_suites: self.cipher_suites.0.clone(),
            curves: self.curve_preferences.0.clone(),
            reload: reload(self.reload_interval),
        })
    }
}

impl TlsServerConfig {
    /// The settings that the block stands for; reads no file.
    ///
    /// # Errors
    /// [`TlsError::Invalid`] naming the settings that are missing, contradict each other or are unknown.
    pub fn settings(&self, http2: bool) -> Result<ServerTlsSettings, TlsError> {
        let identity = identity(&self.cert_file, &self.cert_pem, &self.key_file, &self.key_pem)?;
        let Some(identity) = identity else {
            return Err(TlsError::Invalid(
                "TLS configuration must include both certificate and key for server connections".to_owned(),
            ));
        };
        let reload = match reload(self.reload_interval) {
            Reload::Never if self.client_ca_file_reload => Reload::OnConnect,
            reload => reload,
        };
        Ok(ServerTlsSettings {
            identity,
            client_ca: PemSource::from_pair(self.client_ca_file.as_deref(), None, "")?,
            versions: versions(self.min_version.as_deref(), self.max_version.as_deref())?,
            cipher_suites: self.cipher_suites.0.clone(),
            curves: self.curve_preferences.0.clone(),
            reload,
            http2,
        })
    }
}

fn identity(
    cert_file: &Option<String>,
    cert_pem: &Option<Secret>,
    key_file: &Option<String>,
    key_pem: &Option<Secret>,
) -> Result<Option<Identity>, TlsError> {
    let cert = PemSource::from_pair(
        cert_file.as_deref(),
        cert_pem.as_ref(),
        "for auth via TLS, provide both certificate and key, or neither: cert_file and cert_pem exclude each other",
    )?;
    let key = PemSource::from_pair(
        key_file.as_deref(),
        key_pem.as_ref(),
        "for auth via TLS, provide both certificate and key, or neither: key_file and key_pem exclude each other",
    )?;
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some(Identity { cert, key })),
        (None, None) => Ok(None),
        _ => Err(TlsError::Invalid("for auth via TLS, provide both certificate and key, or neither".to_owned())),
    }
}

fn versions(min: Option<&str>, max: Option<&str>) -> Result<VersionRange, TlsError> {
    let parse = |key: &str, text: Option<&str>| match text.filter(|text| !text.is_empty()) {
        None => Ok(None),
        // Prometheus' spelling is not the Collector's.
        Some(text) if text.starts_with("TLS") => {
            Err(TlsError::Invalid(format!("invalid TLS {key}: unsupported TLS version: {text:?}; write 1.2 or 1.3")))
        }
        Some(text) => text.parse().map(Some).map_err(|_| {
            TlsError::Invalid(format!("invalid TLS {key}: unsupported TLS version: {text:?}; write 1.2 or 1.3"))
        }),
    };
    let range = VersionRange { min: parse("min_version", min)?, max: parse("max_version", max)? };
    if let (Some(min), Some(max)) = (range.min, range.max)
        && min > max
    {
        return Err(TlsError::Invalid(
            "invalid TLS configuration: min_version cannot be greater than max_version".to_owned(),
        ));
    }
    Ok(range)
}

fn reload(interval: Option<GoDuration>) -> Reload {
    match interval {
        Some(interval) if interval > GoDuration::ZERO => Reload::Every(interval.to_std()),
        _ => Reload::Never,
    }
}
