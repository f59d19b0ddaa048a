//! The `sigv4auth` extension: signs requests to AWS services.
//!
//! It never keeps the service from starting: credentials may come late, and requests wait for them.

mod config;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use aws::SigV4;
use net::auth::ProvidedAuth;
use pipeline::component::{Build, BuildContext, ComponentError, Extension, ExtensionContext, Factory, Stability};
use pipeline::config::{ConfigErrors, Node};

pub use self::config::SigV4AuthConfig;

/// What the program's table of components lists.
pub const FACTORY: Factory = Factory {
    type_name: "sigv4auth",
    aliases: &[],
    summary: "Signs requests to AWS services, with credentials that rotate",
    signals: &[],
    stability: Stability::Stable,
    live_update: false,
    validate,
    build: Build::Extension(build),
};

fn validate(node: &Node) -> Result<(), ConfigErrors> {
    SigV4AuthConfig::read(node).map(drop)
}

fn build(node: &Node, context: &BuildContext) -> Result<Box<dyn Extension>, ComponentError> {
    let failed = |error: &dyn std::fmt::Display| ComponentError::new(format!("extension {}: {error}", context.id));
    let config = SigV4AuthConfig::read(node).map_err(|errors| failed(&errors))?;
    let auth = Arc::new(SigV4::new(config.settings()).map_err(|error| failed(&error))?);
    let provided = ProvidedAuth { client: Some(Arc::clone(&auth) as _), server: None };
    context.shared.provide(context.id.clone(), provided);
    Ok(Box::new(SigV4Auth { auth }))
}

struct SigV4Auth {
    auth: Arc<SigV4>,
}

#[async_trait]
impl Extension for SigV4Auth {
    async fn run(self: Box<Self>, mut context: ExtensionContext) -> Result<(), ComponentError> {
        tokio::select! {
            () = self.auth.keep_fresh() => {}
            () = context.stop.requested() => {}
        }
        Ok(())
    }
}
