//! Certificates and keys: where they are, and how they are read.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use pipeline::config::Secret;
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::{Identity, TlsError};
use crate::file::{FileContent, WatchedFile, io_text};

/// PEM text, or the file that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PemSource {
    /// A file, read when needed.
    File(PathBuf),
    /// The text itself. Certificates are not secret, keys are; nobody needs to see either in a log.
    Inline(Secret),
}

impl PemSource {
    /// From a pair of settings of which at most one may be given.
    pub(super) fn from_pair(
        file: Option<&str>,
        inline: Option<&Secret>,
        message: &str,
    ) -> Result<Option<Self>, TlsError> {
        let file = file.filter(|path| !path.is_empty());
        let inline = inline.filter(|text| !text.is_empty());
        match (file, inline) {
            (Some(_), Some(_)) => Err(TlsError::Invalid(message.to_owned())),
            (Some(path), None) => Ok(Some(Self::File(path.into()))),
            (None, Some(text)) => Ok(Some(Self::Inline(text.clone()))),
            (None, None) => Ok(None),
        }
    }
}

/// A [`PemSource`] that knows whether it has changed.
#[derive(Debug)]
pub(super) struct Material {
    what: &'static str,
    source: Source,
}

#[derive(Debug)]
enum Source {
    File(WatchedFile),
    Inline(FileContent),
}

impl Material {
    /// `what` is named in errors: "CA cert", "TLS cert and key".
    pub(super) fn new(what: &'static str, source: &PemSource) -> Self {
        let source = match source {
            PemSource::File(path) => Source::File(WatchedFile::new(path)),
            PemSource::Inline(text) => {
                Source::Inline(FileContent { bytes: Arc::from(text.expose().as_bytes()), version: 0 })
            }
        };
        Self { what, source }
    }

    /// The PEM text as it is now.
    pub(super) fn load(&self) -> Result<FileContent, TlsError> {
        match &self.source {
            Source::Inline(content) => Ok(content.clone()),
            Source::File(file) => {
                file.load().map_err(|error| self.error(format!("open {}: {}", file.path().display(), io_text(&error))))
            }
        }
    }

    /// All certificates in the PEM text.
    pub(super) fn certificates(&self, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        match certificates {
            Ok(certificates) if !certificates.is_empty() => Ok(certificates),
            Ok(_) => Err(self.error(format!("no certificate in {}", self.place()))),
            Err(error) => Err(self.error(format!("{}: {error}", self.place()))),
        }
    }

    /// The private key in the PEM text.
    pub(super) fn private_key(&self, pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_slice(pem)
            .map_err(|error| self.error(format!("no private key in {}: {error}", self.place())))
    }

    pub(super) fn error(&self, detail: String) -> TlsError {
        TlsError::Load { what: self.what, detail }
    }

    /// Authorities to trust. Those that rustls cannot read are left out, as long as one remains.
    pub(super) fn roots(&self, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let certificates = self.certificates(pem)?;
        let mut trial = RootCertStore::empty();
        let (added, _ignored) = trial.add_parsable_certificates(certificates.iter().cloned());
        if added == 0 {
            return Err(self.error(format!("no usable certificate in {}", self.place())));
        }
        Ok(certificates)
    }

    fn place(&self) -> String {
        match &self.source {
            Source::File(file) => file.path().display().to_string(),
            Source::Inline(_) => "the inline text".to_owned(),
        }
    }
}

/// A chain with its key that knows whether one of them has changed.
#[derive(Debug)]
pub(super) struct IdentityMaterial {
    cert: Material,
    key: Material,
}

/// A chain and its key.
pub(super) type KeyPair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl IdentityMaterial {
    pub(super) fn new(identity: &Identity) -> Self {
        Self { cert: Material::new("TLS cert", &identity.cert), key: Material::new("TLS key", &identity.key) }
    }

    /// Chain and key as they are now, with a number that grows when one of them changes.
    pub(super) fn load(&self) -> Result<(KeyPair, u64), TlsError> {
        let (cert, key) = (self.cert.load()?, self.key.load()?);
        let pair = (self.cert.certificates(&cert.bytes)?, self.key.private_key(&key.bytes)?);
        Ok((pair, cert.version + key.version))
    }

    pub(super) fn version(&self) -> Result<u64, TlsError> {
        Ok(self.cert.load()?.version + self.key.load()?.version)
    }

    pub(super) fn mismatch(&self, error: &rustls::Error) -> TlsError {
        self.key.error(format!("{} does not fit {}: {error}", self.key.place(), self.cert.place()))
    }
}

/// The system's authorities, loaded when first asked for. Blocks for some milliseconds that once.
pub(super) fn system_roots() -> Result<Arc<RootCertStore>, TlsError> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let loaded = rustls_native_certs::load_native_certs();
        for error in &loaded.errors {
            tracing::warn!(error = %error, "Some of the system's certificate authorities cannot be read.");
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(loaded.certs);
        roots.roots.shrink_to_fit();
        Arc::new(roots)
    });
    if roots.is_empty() { Err(TlsError::NoSystemRoots) } else { Ok(Arc::clone(roots)) }
}
