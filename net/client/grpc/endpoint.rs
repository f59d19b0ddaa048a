//! The forms in which a gRPC endpoint is written.

use std::path::PathBuf;

use http::Uri;

/// Where calls go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrpcEndpoint {
    /// A host, without the brackets of an IPv6 address, and a port.
    Tcp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

/// Text that is no endpoint, in the Collector's words where it has some.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrpcEndpointError {
    /// Nothing.
    #[error("requires a non-empty \"endpoint\"")]
    Empty,
    /// No port.
    #[error("address {0}: missing port in address; write host:port")]
    MissingPort(String),
    /// A port that is none.
    #[error("invalid port \"{0}\"")]
    InvalidPort(String),
    /// A host that cannot be one.
    #[error("invalid endpoint {0:?}: write host:port, http://host:port, https://host:port or unix:path")]
    Invalid(String),
}

/// What an endpoint's scheme says about TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// Nothing.
    None,
    /// `http`.
    Plain,
    /// `https`.
    Secure,
}

impl GrpcEndpoint {
    /// Reads `host:port`, also behind `http://`, `https://`, `dns:///` or `passthrough:///`, and `unix:path`, `unix:///path`.
    pub(super) fn parse(text: &str) -> Result<(Self, Scheme), GrpcEndpointError> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("unix://").or_else(|| text.strip_prefix("unix:")) {
            return match path {
                "" => Err(GrpcEndpointError::Empty),
                path => Ok((Self::Unix(path.into()), Scheme::None)),
            };
        }
        let (scheme, rest) = if let Some(rest) = text.strip_prefix("https://") {
            (Scheme::Secure, rest)
        } else if let Some(rest) = text.strip_prefix("http://") {
            (Scheme::Plain, rest)
        } else if let Some(rest) = text.strip_prefix("dns://").or_else(|| text.strip_prefix("passthrough://")) {
            // An authority in front of the name would be a name server.
            (Scheme::None, rest.rsplit('/').next().unwrap_or_default())
        } else {
            (Scheme::None, text)
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.is_empty() {
            return Err(GrpcEndpointError::Empty);
        }
        let (host, port) = match rest.strip_prefix('[') {
            Some(bracketed) => {
                let (host, after) = bracketed.split_once(']').ok_or_else(|| GrpcEndpointError::Invalid(text.into()))?;
                (host, after.strip_prefix(':'))
            }
            None => match rest.rsplit_once(':') {
                Some((host, _)) if host.contains(':') => return Err(GrpcEndpointError::Invalid(text.into())),
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        let port = match (port, scheme) {
            (Some(port), _) => port.parse().map_err(|_| GrpcEndpointError::InvalidPort(port.to_owned()))?,
            (None, _) => return Err(GrpcEndpointError::MissingPort(rest.to_owned())),
        };
        // Go takes no host as this one.
        let host = if host.is_empty() { "localhost" } else { host };
        let endpoint = Self::Tcp { host: host.to_owned(), port };
        match format!("https://{}/", endpoint.authority()).parse::<Uri>() {
            Ok(uri) if uri.host().is_some() => Ok((endpoint, scheme)),
            _ => Err(GrpcEndpointError::Invalid(text.into())),
        }
    }

    /// What stands for it in requests.
    pub(super) fn authority(&self) -> String {
        match self {
            Self::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port } => format!("{host}:{port}"),
            Self::Unix(_) => "localhost".to_owned(),
        }
    }

    /// Where a connection leads.
    pub(super) fn route(&self) -> (Uri, Option<PathBuf>) {
        let uri = format!("https://{}/", self.authority()).parse().unwrap_or_default();
        match self {
            Self::Tcp { .. } => (uri, None),
            Self::Unix(path) => (uri, Some(path.clone())),
        }
    }
}

impl std::fmt::Display for GrpcEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp { .. } => f.write_str(&self.authority()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
