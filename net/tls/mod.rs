//! TLS for clients and servers, from the Collector's `tls` block or Prometheus' `tls_config`.
//!
//! Both dialects become [`ClientTlsSettings`] or [`ServerTlsSettings`]; [`ClientTls`] and [`ServerTls`] keep the
//! rustls configuration made of them and make it anew when a certificate's file changes. The system's
//! authorities are loaded once for the whole process, when the first connection needs them: they take some hundred
//! KiB, which a process that only scrapes `http` never pays.

mod client;
mod collector;
mod material;
mod prometheus;
mod server;
mod verify;
mod versions;

pub use self::client::ClientTls;
pub use self::collector::{TlsClientConfig, TlsServerConfig};
pub use self::material::PemSource;
pub use self::prometheus::PrometheusTlsConfig;
pub use self::server::ServerTls;
pub use self::versions::TlsVersion;

use std::time::Duration;

/// When certificate files are looked at again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reload {
    /// Before each new connection, as Prometheus does. Costs one system call for each file.
    #[default]
    OnConnect,
    /// When this time has passed since the last look: the Collector's `reload_interval`.
    Every(Duration),
    /// Not before a restart.
    Never,
}

/// Everything that a TLS client can be told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientTlsSettings {
    /// The authorities to trust; without one, the system's.
    pub ca: Option<PemSource>,
    /// Trust the system's authorities beside `ca`.
    pub include_system_roots: bool,
    /// The client's certificate chain and key.
    pub identity: Option<Identity>,
    /// The name to ask for and to verify instead of the URL's host.
    pub server_name: Option<String>,
    /// Accept any certificate.
    pub insecure_skip_verify: bool,
    /// The protocol versions allowed.
    pub versions: VersionRange,
    /// Names of the cipher suites allowed, as Go calls them; empty for all that are safe. Only TLS 1.2 can be restricted.
    pub cipher_suites: Vec<String>,
    /// Names of the key exchange groups allowed, in order of preference; empty for all.
    pub curves: Vec<String>,
    /// When files are looked at again.
    pub reload: Reload,
}

/// Everything that a TLS server can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTlsSettings {
    /// The server's certificate chain and key.
    pub identity: Identity,
    /// The authorities that clients' certificates must come from; none asks for no certificate.
    pub client_ca: Option<PemSource>,
    /// The protocol versions allowed.
    pub versions: VersionRange,
    /// As for clients.
    pub cipher_suites: Vec<String>,
    /// As for clients.
    pub curves: Vec<String>,
    /// When files are looked at again.
    pub reload: Reload,
    /// Offer HTTP/2 in the handshake.
    pub http2: bool,
}

/// A certificate chain with its private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The chain, the own certificate first.
    pub cert: PemSource,
    /// The private key: PKCS#8, PKCS#1 or SEC1.
    pub key: PemSource,
}

/// The protocol versions allowed. This program speaks 1.2 and 1.3: a lower minimum means 1.2.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VersionRange {
    /// The lowest; none for 1.2.
    pub min: Option<TlsVersion>,
    /// The highest; none for 1.3.
    pub max: Option<TlsVersion>,
}

/// TLS settings that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// A file is missing or unreadable.
    #[error("failed to load TLS config: failed to load {what}: {detail}")]
    Load {
        /// Which of the settings.
        what: &'static str,
        /// The file and why.
        detail: String,
    },
    /// A setting's value is not one of those known, or settings contradict each other.
    #[error("{0}")]
    Invalid(String),
    /// The system has no authorities to trust.
    #[error(
        "no system certificate authorities were found; install the ca-certificates package, set SSL_CERT_FILE, or name a ca_file"
    )]
    NoSystemRoots,
}

#[cfg(test)]
pub(crate) mod tests;
