//! Files that the configuration names and that must be there when the receiver starts.

use net::client::{Credentials, SecretSource};
use net::tls::PemSource;
use prometheus::quote::quoted;
use std::io;
use std::path::Path;

use super::job::ScrapeJob;

/// A file is missing. The wording is that of the Collector's receiver.
#[derive(Debug, thiserror::Error)]
#[error("error checking {what} {path}: stat {plain}: {reason}", path = quoted(.plain.as_bytes()), reason = reason(.source))]
pub struct FileCheckError {
    what: &'static str,
    plain: String,
    #[source]
    source: io::Error,
}

impl ScrapeJob {
    /// Checks that the files with credentials, client certificate and key are there, so that a wrong path stops the
    /// start instead of failing every scrape. They are not read: contents may still change.
    ///
    /// # Errors
    /// Each file that is missing.
    pub fn check_files(&self) -> Result<(), Vec<FileCheckError>> {
        let mut missing = Vec::new();
        let mut check = |what: &'static str, path: &Path| {
            if let Err(source) = std::fs::metadata(path) {
                missing.push(FileCheckError { what, plain: path.display().to_string(), source });
            }
        };
        if let Credentials::Authorization { credentials: SecretSource::File(path), .. } = &self.client.credentials {
            check("authorization credentials file", path);
        }
        if let Some(identity) = &self.client.tls.identity {
            for (what, source) in [("client cert file", &identity.cert), ("client key file", &identity.key)] {
                if let PemSource::File(path) = source {
                    check(what, path);
                }
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(missing) }
    }
}

/// The reason in the words of Unix, without the number that Rust adds.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}
