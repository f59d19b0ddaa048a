//! AWS: credentials from every source that AWS programs know, kept fresh, and requests signed with them.
//!
//! A request is signed by [`SigV4`], an authenticator of [`net`]'s clients. It asks a [`CredentialCache`] for an identity, which
//! refreshes ahead of expiry and whenever a source has something new. What is behind it is one small trait,
//! [`CredentialSource`]: the default chain, fixed keys, a role.
//!
//! The sources themselves are `aws-config`'s. It reads shared files once and keeps what it has read for ever, even that there
//! was no file; where the SSM agent rewrites these files every half hour that means to be refused within the hour. So files are read
//! here ([`SharedFiles`](shared_files::SharedFiles)), and a provider of `aws-config` is made anew, from contents that
//! were seen whole, each time credentials are loaded.

#![forbid(unsafe_code)]

mod cache;
mod chain;
mod credentials;
mod echo;
mod endpoint;
mod http_client;
mod prometheus;
mod refusal;
mod role;
mod settings;
pub mod shared_files;
mod sign;
mod sigv4;
mod sts;
#[cfg(test)]
mod testing;

pub use cache::CredentialCache;
pub use credentials::{CredentialSource, Identity, LoadError, Tried};
pub use echo::without_request;
pub use endpoint::{Scope, infer, is_amp};
pub use prometheus::PrometheusSigV4Config;
pub use refusal::Refusal;
pub use settings::{CredentialSettings, RoleSettings, SettingsError, SigningSettings, StaticKeys};
pub use sign::{SignError, SignOptions, Signable, sign};
pub use sigv4::{SigV4, Watching};
pub use sts::{CallerIdentity, StsError, caller_identity, sts_endpoint};
