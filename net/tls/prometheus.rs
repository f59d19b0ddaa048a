//! Prometheus' `tls_config`.

use pipeline::config::Secret;
use serde::Deserialize;

use super::{ClientTlsSettings, Identity, PemSource, Reload, TlsError, TlsVersion, VersionRange};

/// The `tls_config` block of a Prometheus HTTP client.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PrometheusTlsConfig {
    /// The authorities to trust, as PEM text. Default: the system's.
    pub ca: Option<String>,
    /// File of the authorities to trust; read again when it changes.
    pub ca_file: Option<String>,
    /// The client's certificate, as PEM text. Needs a key.
    pub cert: Option<String>,
    /// File of the client's certificate; read again when it changes.
    pub cert_file: Option<String>,
    /// The certificate's private key, as PEM text.
    pub key: Option<Secret>,
    /// File of the private key; read again when it changes.
    pub key_file: Option<String>,
    /// The name to expect in the server's certificate instead of the URL's host.
    pub server_name: Option<String>,
    /// Accept any server certificate. Default false.
    pub insecure_skip_verify: bool,
    /// The lowest TLS version: `TLS10` to `TLS13`. Default, and lowest in effect, TLS 1.2.
    pub min_version: Option<String>,
    /// The highest TLS version. Default TLS 1.3.
    pub max_version: Option<String>,
}

impl PrometheusTlsConfig {
    /// The settings that the block stands for; reads no file.
    ///
    /// # Errors
    /// [`TlsError::Invalid`] in Prometheus' words.
    pub fn settings(&self) -> Result<ClientTlsSettings, TlsError> {
        let text = |value: &Option<String>| value.as_ref().map(|text| Secret::new(text.as_str()));
        let ca = PemSource::from_pair(
            self.ca_file.as_deref(),
            text(&self.ca).as_ref(),
            "at most one of ca, ca_file & ca_ref must be configured",
        )?;
        let cert = PemSource::from_pair(
            self.cert_file.as_deref(),
            text(&self.cert).as_ref(),
            "at most one of cert, cert_file & cert_ref must be configured",
        )?;
        let key = PemSource::from_pair(
            self.key_file.as_deref(),
            self.key.as_ref(),
            "at most one of key and key_file must be configured",
        )?;
        let identity = match (cert, key) {
            (Some(cert), Some(key)) => Some(Identity { cert, key }),
            (None, None) => None,
            (Some(_), None) => {
                return Err(invalid(
                    "exactly one of key or key_file must be configured when a client certificate is configured",
                ));
            }
            (None, Some(_)) => {
                return Err(invalid(
                    "exactly one of cert or cert_file must be configured when a client key is configured",
                ));
            }
        };
        let versions = VersionRange { min: version(&self.min_version)?, max: version(&self.max_version)? };
        if let (Some(min), Some(max)) = (versions.min, versions.max)
            && min > max
        {
            return Err(invalid(
                "tls_config.max_version must be greater than or equal to tls_config.min_version if both are specified",
            ));
        }
        Ok(ClientTlsSettings {
            ca,
            include_system_roots: false,
            identity,
            server_name: self.server_name.clone().filter(|name| !name.is_empty()),
            insecure_skip_verify: self.insecure_skip_verify,
            versions,
            cipher_suites: Vec::new(),
            curves: Vec::new(),
            reload: Reload::OnConnect,
        })
    }
}

fn invalid(text: &str) -> TlsError {
    TlsError::Invalid(text.to_owned())
}

fn version(text: &Option<String>) -> Result<Option<TlsVersion>, TlsError> {
    match text.as_deref() {
        None | Some("") => Ok(None),
        // The Collector's spelling is not Prometheus'.
        Some(text) if !text.starts_with("TLS") => Err(invalid(&format!("unknown TLS version: {text}"))),
        Some(text) => text.parse().map(Some),
    }
}
