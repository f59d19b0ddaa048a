//! The server's side of TLS.

use std::sync::Arc;

use parking_lot::Mutex;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::time::Instant;

use super::material::{IdentityMaterial, Material};
use super::versions::provider;
use super::{Reload, ServerTlsSettings, TlsError};

/// A server's TLS, made at start and again when its files change.
#[derive(Debug)]
pub struct ServerTls {
    settings: ServerTlsSettings,
    identity: IdentityMaterial,
    client_ca: Option<Material>,
    made: Mutex<Made>,
}

#[derive(Debug)]
struct Made {
    config: Arc<ServerConfig>,
    files: u64,
    looked: Instant,
}

impl ServerTls {
    /// Reads the files and makes the configuration.
    ///
    /// # Errors
    /// [`TlsError`] naming the file or setting that cannot be used.
    pub fn new(settings: ServerTlsSettings) -> Result<Self, TlsError> {
        let identity = IdentityMaterial::new(&settings.identity);
        let client_ca = settings.client_ca.as_ref().map(|source| Material::new("client CA", source));
        let files = files_version(&identity, client_ca.as_ref())?;
        let config = make(&settings, &identity, client_ca.as_ref())?;
        let made = Mutex::new(Made { config, files, looked: Instant::now() });
        Ok(Self { settings, identity, client_ca, made })
    }

    /// The configuration for a new connection. Files that were changed and cannot be used are reported in the log, and
    /// what was read before stays in force.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        let mut made = self.made.lock();
        let due = match self.settings.reload {
            Reload::OnConnect => true,
            Reload::Every(interval) => made.looked.elapsed() >= interval,
            Reload::Never => false,
        };
        if due {
            made.looked = Instant::now();
            let client_ca = self.client_ca.as_ref();
            let renewed = files_version(&self.identity, client_ca).and_then(|files| {
                if files == made.files {
                    return Ok(None);
                }
                Ok(Some((files, make(&self.settings, &self.identity, client_ca)?)))
            });
            match renewed {
                Ok(None) => {}
                Ok(Some((files, config))) => {
                    made.files = files;
                    made.config = config;
                }
                Err(error) => tracing::warn!(
                    error = %error,
                    "Changed TLS files cannot be used; the certificates read before stay in use."
                ),
            }
        }
        Arc::clone(&made.config)
    }
}

fn files_version(identity: &IdentityMaterial, ca: Option<&Material>) -> Result<u64, TlsError> {
    let ca = ca.map_or(Ok(0), |ca| ca.load().map(|content| content.version))?;
    Ok(identity.version()? + ca)
}

fn make(
    settings: &ServerTlsSettings,
    identity: &IdentityMaterial,
    client_ca: Option<&Material>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = provider(&settings.cipher_suites, &settings.curves)?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&settings.versions.supported()?)
        .map_err(|error| TlsError::Invalid(format!("versions and cipher suites do not fit: {error}")))?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(ca.roots(&ca.load()?.bytes)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| ca.error(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let ((chain, key), _) = identity.load()?;
    let mut config = builder.with_single_cert(chain, key).map_err(|error| identity.mismatch(&error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if settings.http2 {
        config.alpn_protocols.insert(0, b"h2".to_vec());
    }
    // Clients keep their connections; remembering their sessions would only take memory.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}
