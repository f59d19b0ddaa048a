//! Where authenticators plug into clients and servers.
//!
//! An extension (`sigv4auth`, `basicauth`, `bearertokenauth`, …) implements [`ClientAuth`] or [`ServerAuth`] and is registered in
//! [`Authenticators`] under its component id, from where clients and servers fetch it by the name in their `auth` block.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use pipeline::config::ComponentId;
use serde::Deserialize;

/// Proves to a server who the client is.
#[async_trait]
pub trait ClientAuth: Send + Sync {
    /// Adds what the server wants to see. Called once for each attempt with the complete request: method, absolute
    /// URI, all header fields, and the exact bytes of the body as they will be sent (compressed if they are). Only header fields
    /// may be changed.
    ///
    /// # Errors
    /// When there are no credentials to be had at the moment; the request is then not sent.
    async fn apply(&self, request: &mut Parts, body: &[u8]) -> Result<(), AuthError>;

    /// Whether it can authenticate gRPC, where the request's header fields leave before its body.
    fn authenticates_grpc(&self) -> bool {
        true
    }

    /// Looks at a refusal (any 4xx status) with the beginning of its body. Says whether the request is worth one
    /// more attempt with fresh credentials, or was refused for who sent it.
    fn on_response(&self, status: StatusCode, body: &[u8]) -> AuthVerdict {
        let _ = (status, body);
        AuthVerdict::Final
    }
}

/// What a [`ClientAuth`] makes of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthVerdict {
    /// The response stands.
    Final,
    /// The credentials were at fault (expired, rotated): ask for fresh ones and send the request once more.
    Retry,
    /// The server does not let this identity do it, or does not know it. The request itself is good: what it carries is worth keeping until
    /// somebody has put that right.
    Refused,
}

/// Finds out who a request comes from.
#[async_trait]
pub trait ServerAuth: Send + Sync {
    /// The sender's identity, from the request's header fields.
    ///
    /// # Errors
    /// When it cannot be established; the request is answered with 401.
    async fn authenticate(&self, headers: &HeaderMap) -> Result<Identity, AuthError>;

    /// The way of authenticating that a refusal names in `WWW-Authenticate` (RFC 9110 section 15.5.2 wants one).
    fn challenge(&self) -> &'static str {
        "Bearer"
    }
}

/// Who sent a request, as a [`ServerAuth`] found out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The user's, client's or tenant's name.
    pub subject: String,
    /// What else is known, by name.
    pub attributes: Vec<(String, String)>,
}

/// Authentication failed. The text must not contain the credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct AuthError {
    reason: String,
}

impl AuthError {
    /// An error with its reason, such as "no credentials in the environment".
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

/// The `auth` block of a client or a server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthConfig {
    /// The id of the extension that authenticates; it has to be listed under `service::extensions`.
    pub authenticator: ComponentId,
    /// For servers: request parameters that the authenticator sees as header fields. Default none.
    #[serde(default)]
    pub request_params: Vec<String>,
}

/// The authenticators that components can ask for, by the ids of their extensions.
#[derive(Clone, Default)]
pub struct Authenticators {
    clients: HashMap<ComponentId, Arc<dyn ClientAuth>>,
    servers: HashMap<ComponentId, Arc<dyn ServerAuth>>,
}

/// A component names an authenticator that is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownAuthenticator {
    /// No such extension.
    #[error("failed to resolve authenticator {0:?}: authenticator not found; list it under service::extensions")]
    Missing(String),
    /// The extension is there and does the other direction.
    #[error("requested authenticator {0:?} is not a {1} authenticator")]
    WrongSide(String, &'static str),
}

/// What an authenticator extension provides under its id for others to find.
#[derive(Clone, Default)]
pub struct ProvidedAuth {
    /// For clients.
    pub client: Option<Arc<dyn ClientAuth>>,
    /// For servers.
    pub server: Option<Arc<dyn ServerAuth>>,
}

impl Authenticators {
    /// All authenticators that extensions provide.
    pub fn of(shared: &pipeline::component::Shared) -> Self {
        let mut all = Self::default();
        for (id, provided) in shared.all::<ProvidedAuth>() {
            if let Some(client) = &provided.client {
                all.add_client(id.clone(), Arc::clone(client));
            }
            if let Some(server) = &provided.server {
                all.add_server(id, Arc::clone(server));
            }
        }
        all
    }

    /// Registers an authenticator for clients.
    pub fn add_client(&mut self, id: ComponentId, auth: Arc<dyn ClientAuth>) {
        self.clients.insert(id, auth);
    }

    /// Registers an authenticator for servers. One extension may be both.
    pub fn add_server(&mut self, id: ComponentId, auth: Arc<dyn ServerAuth>) {
        self.servers.insert(id, auth);
    }

    /// The authenticator for a client.
    ///
    /// # Errors
    /// If there is none with this id.
    pub fn client(&self, id: &ComponentId) -> Result<Arc<dyn ClientAuth>, UnknownAuthenticator> {
        match self.clients.get(id) {
            Some(auth) => Ok(Arc::clone(auth)),
            None if self.servers.contains_key(id) => Err(UnknownAuthenticator::WrongSide(id.to_string(), "client")),
            None => Err(UnknownAuthenticator::Missing(id.to_string())),
        }
    }

    /// The authenticator for a server.
    ///
    /// # Errors
    /// If there is none with this id.
    pub fn server(&self, id: &ComponentId) -> Result<Arc<dyn ServerAuth>, UnknownAuthenticator> {
        match self.servers.get(id) {
            Some(auth) => Ok(Arc::clone(auth)),
            None if self.clients.contains_key(id) => Err(UnknownAuthenticator::WrongSide(id.to_string(), "server")),
            None => Err(UnknownAuthenticator::Missing(id.to_string())),
        }
    }
}

impl fmt::Debug for Authenticators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticators")
            .field("clients", &self.clients.keys())
            .field("servers", &self.servers.keys())
            .finish()
    }
}
