//! The client's side of TLS.

use std::sync::Arc;

use parking_lot::Mutex;
use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::Instant;

use super::material::{IdentityMaterial, Material, system_roots};
use super::verify::{AcceptAny, TrustingOwn};
use super::versions::provider;
use super::{ClientTlsSettings, Reload, TlsError};

/// Sessions remembered for resumption. Connections are kept open, so a handshake is rare, and a remembered session holds the
/// server's certificates: some KiB each.
const REMEMBERED_SESSIONS: usize = 8;

/// A client's TLS, made when the first connection needs it and again when its files change.
#[derive(Debug)]
pub struct ClientTls {
    settings: ClientTlsSettings,
    ca: Option<Material>,
    identity: Option<IdentityMaterial>,
    alpn: Vec<Vec<u8>>,
    made: Mutex<Option<Made>>,
}

#[derive(Debug)]
struct Made {
    config: Arc<ClientConfig>,
    /// The sum of the files' versions: grows when one changes.
    files: u64,
    generation: u64,
    looked: Instant,
}

impl ClientTls {
    /// Checks the settings that need no file. `http2` offers HTTP/2 beside HTTP/1.1.
    ///
    /// # Errors
    /// [`TlsError::Invalid`] for versions, cipher suites or curves that do not exist.
    pub fn new(settings: ClientTlsSettings, http2: bool) -> Result<Self, TlsError> {
        settings.versions.supported()?;
        provider(&settings.cipher_suites, &settings.curves)?;
        let mut alpn = vec![b"http/1.1".to_vec()];
        if http2 {
            alpn.insert(0, b"h2".to_vec());
        }
        Ok(Self {
            ca: settings.ca.as_ref().map(|source| Material::new("CA cert", source)),
            identity: settings.identity.as_ref().map(IdentityMaterial::new),
            settings,
            alpn,
            made: Mutex::new(None),
        })
    }

    /// The same for a client that speaks HTTP/2 and nothing else.
    ///
    /// # Errors
    /// As [`ClientTls::new`].
    pub fn only_http2(settings: ClientTlsSettings) -> Result<Self, TlsError> {
        Ok(Self { alpn: vec![b"h2".to_vec()], ..Self::new(settings, true)? })
    }

    /// The name to verify instead of the URL's host.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.settings.server_name.as_deref()
    }

    /// Reads all files once, so that a mistake shows at start and not at the first request.
    ///
    /// # Errors
    /// As [`ClientTls::config`].
    pub fn check_files(&self) -> Result<(), TlsError> {
        if let Some(ca) = &self.ca {
            ca.roots(&ca.load()?.bytes)?;
        }
        if let Some(identity) = &self.identity {
            identity.load()?;
        }
        Ok(())
    }

    /// The configuration for a new connection, and a number that differs whenever the configuration does: kept
    /// connections with another number should not be used any more.
    ///
    /// # Errors
    /// [`TlsError::Load`] naming a file that cannot be read or used, [`TlsError::NoSystemRoots`]. If there was a good
    /// configuration before, the bad files are reported in the log and the old configuration stays, so that a
    /// half-written rotation does not interrupt anything.
    pub fn config(&self) -> Result<(Arc<ClientConfig>, u64), TlsError> {
        let mut made = self.made.lock();
        let Some(current) = made.as_mut() else {
            let files = self.files_version()?;
            let config = self.make()?;
            let fresh = Made { config, files, generation: 0, looked: Instant::now() };
            let result = (Arc::clone(&fresh.config), 0);
            *made = Some(fresh);
            return Ok(result);
        };
        let due = match self.settings.reload {
            Reload::OnConnect => true,
            Reload::Every(interval) => current.looked.elapsed() >= interval,
            Reload::Never => false,
        };
        if due {
            current.looked = Instant::now();
            let renewed = self.files_version().and_then(|files| {
                if files == current.files {
                    return Ok(None);
                }
                Ok(Some((files, self.make()?)))
            });
            match renewed {
                Ok(None) => {}
                Ok(Some((files, config))) => {
                    current.files = files;
                    current.config = config;
                    current.generation += 1;
                }
                Err(error) => tracing::warn!(
                    error = %error,
                    "Changed TLS files cannot be used; the certificates read before stay in use."
                ),
            }
        }
        Ok((Arc::clone(&current.config), current.generation))
    }

    fn files_version(&self) -> Result<u64, TlsError> {
        let ca = self.ca.as_ref().map_or(Ok(0), |ca| ca.load().map(|content| content.version))?;
        let identity = self.identity.as_ref().map_or(Ok(0), IdentityMaterial::version)?;
        Ok(ca + identity)
    }

    fn make(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let settings = &self.settings;
        let provider = provider(&settings.cipher_suites, &settings.curves)?;
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&settings.versions.supported()?)
            .map_err(|error| TlsError::Invalid(format!("versions and cipher suites do not fit: {error}")))?;
        let builder = if settings.insecure_skip_verify {
            let verifier = Arc::new(AcceptAny { provider });
            builder.dangerous().with_custom_certificate_verifier(verifier)
        } else {
            let (roots, own) = self.roots()?;
            let verifier = Arc::new(TrustingOwn::new(roots, own, provider)?);
            builder.dangerous().with_custom_certificate_verifier(verifier)
        };
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let ((chain, key), _) = identity.load()?;
                builder.with_client_auth_cert(chain, key).map_err(|error| identity.mismatch(&error))?
            }
        };
        config.alpn_protocols.clone_from(&self.alpn);
        config.resumption = Resumption::in_memory_sessions(REMEMBERED_SESSIONS);
        Ok(Arc::new(config))
    }

    /// What to trust, and which of it was named by the user.
    fn roots(&self) -> Result<(Arc<RootCertStore>, Vec<rustls_pki_types::CertificateDer<'static>>), TlsError> {
        let Some(ca) = &self.ca else {
            return Ok((system_roots()?, Vec::new()));
        };
        let own = ca.roots(&ca.load()?.bytes)?;
        let mut roots = RootCertStore::empty();
        if self.settings.include_system_roots {
            roots.roots.clone_from(&system_roots()?.roots);
        }
        roots.add_parsable_certificates(own.iter().cloned());
        Ok((Arc::new(roots), own))
    }
}
