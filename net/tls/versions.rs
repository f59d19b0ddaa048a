//! Names of versions, cipher suites and groups in both dialects, and what rustls has for them.

use std::str::FromStr;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, SupportedKxGroup, ring};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion};

use super::{TlsError, VersionRange};

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.0.
    Tls10,
    /// TLS 1.1.
    Tls11,
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

impl FromStr for TlsVersion {
    type Err = TlsError;

    /// Both spellings: the Collector's `1.2` and Prometheus' `TLS12`.
    fn from_str(text: &str) -> Result<Self, TlsError> {
        match text {
            "1.0" | "TLS10" => Ok(Self::Tls10),
            "1.1" | "TLS11" => Ok(Self::Tls11),
            "1.2" | "TLS12" => Ok(Self::Tls12),
            "1.3" | "TLS13" => Ok(Self::Tls13),
            _ => Err(TlsError::Invalid(format!("unknown TLS version: {text}"))),
        }
    }
}

impl VersionRange {
    /// The versions of the range that this program speaks.
    pub(super) fn supported(self) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
        let min = self.min.unwrap_or(TlsVersion::Tls12);
        let max = self.max.unwrap_or(TlsVersion::Tls13);
        if max < TlsVersion::Tls12 {
            return Err(TlsError::Invalid(
                "max_version allows only TLS 1.0 and 1.1, which are broken and not spoken; raise it to 1.2 or 1.3"
                    .to_owned(),
            ));
        }
        let versions: Vec<_> =
            [(TlsVersion::Tls13, &rustls::version::TLS13), (TlsVersion::Tls12, &rustls::version::TLS12)]
                .into_iter()
                .filter(|(version, _)| (min..=max).contains(version))
                .map(|(_, version)| version)
                .collect();
        if versions.is_empty() {
            return Err(TlsError::Invalid("min_version must not be greater than max_version".to_owned()));
        }
        Ok(versions)
    }
}

/// The cryptography with the suites and groups restricted to those named.
pub(super) fn provider(suites: &[String], curves: &[String]) -> Result<Arc<CryptoProvider>, TlsError> {
    let mut provider = ring::default_provider();
    if !suites.is_empty() {
        let mut chosen = Vec::new();
        for name in suites {
            chosen.extend(suite(&provider.cipher_suites, name)?);
        }
        // Go's setting restricts TLS 1.2 only; the suites of 1.3 are always on.
        let tls13 = provider.cipher_suites.iter().filter(|suite| suite.tls13().is_some());
        chosen.extend(tls13.copied());
        chosen.dedup();
        if !chosen.iter().any(|suite| suite.tls13().is_none()) {
            return Err(TlsError::Invalid(format!(
                "none of the cipher_suites is available: {}; use some of {}",
                suites.join(", "),
                available(&provider.cipher_suites)
            )));
        }
        provider.cipher_suites = chosen;
    }
    if !curves.is_empty() {
        let chosen: Result<Vec<_>, _> = curves.iter().map(|name| group(name)).collect();
        let chosen: Vec<_> = chosen?.into_iter().flatten().collect();
        if chosen.is_empty() {
            return Err(TlsError::Invalid(format!(
                "none of the curve_preferences is available: {}; use some of X25519, P256, P384",
                curves.join(", ")
            )));
        }
        provider.kx_groups = chosen;
    }
    Ok(Arc::new(provider))
}

/// Go's names of the suites that it knows and rustls leaves out, since they lack forward secrecy or authenticated encryption.
const KNOWN_BUT_WEAK: [&str; 14] = [
    "TLS_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
];

/// A suite by Go's name; none if it is known and not available, which is said in the log.
fn suite(all: &[SupportedCipherSuite], name: &str) -> Result<Option<SupportedCipherSuite>, TlsError> {
    let wanted = match name {
        // Go keeps these names from before they were standardised.
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305" => "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305" => "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        name => name,
    };
    if let Some(found) = all.iter().find(|suite| suite_name(suite) == wanted) {
        return Ok(Some(*found));
    }
    if KNOWN_BUT_WEAK.contains(&name) {
        tracing::warn!(cipher_suite = name, "A configured cipher suite is too weak to be available and is left out.");
        return Ok(None);
    }
    Err(TlsError::Invalid(format!("invalid TLS cipher suite: {name:?}; use some of {}", available(all))))
}

/// Rustls' name in the standard's spelling, which is Go's: suites of TLS 1.3 are called `TLS13_…` there.
fn suite_name(suite: &SupportedCipherSuite) -> String {
    format!("{:?}", suite.suite()).replacen("TLS13_", "TLS_", 1)
}

fn available(all: &[SupportedCipherSuite]) -> String {
    let names: Vec<_> = all.iter().filter(|suite| suite.tls13().is_none()).map(suite_name).collect();
    names.join(", ")
}

fn group(name: &str) -> Result<Option<&'static dyn SupportedKxGroup>, TlsError> {
    match name {
        "X25519" => Ok(Some(ring::kx_group::X25519)),
        "P256" => Ok(Some(ring::kx_group::SECP256R1)),
        "P384" => Ok(Some(ring::kx_group::SECP384R1)),
        "P521" | "X25519MLKEM768" => {
            tracing::warn!(curve = name, "A configured curve is not available and is left out.");
            Ok(None)
        }
        _ => Err(TlsError::Invalid(format!(
            "invalid curve type: {name}. Expected values are [P-256, P-384, P-521, X25519, X25519MLKEM768] written as P256, P384, P521, X25519, X25519MLKEM768"
        ))),
    }
}
