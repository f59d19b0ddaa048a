//! The `file_storage` extension: a directory for what components keep across a restart.
//!
//! It looks after the directory and says how to write there; the logs in it belong to the components that name the
//! extension. Where the Collector keeps a database, there is a log in segments here ([`wal`]), which deletes what is done
//! by itself: the keys for compaction are taken and have nothing to do.

mod config;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use pipeline::component::{Build, BuildContext, ComponentError, Extension, ExtensionContext, Factory, Stability};
use pipeline::config::{ConfigErrors, Node};
use std::io;
use std::path::Path;

pub use self::config::{CompactionConfig, DEFAULT_DIRECTORY, FileStorageConfig};

/// What the program's table of components lists.
pub const FACTORY: Factory = Factory {
    type_name: "file_storage",
    aliases: &[],
    summary: "A directory for what components keep across a restart",
    signals: &[],
    stability: Stability::Stable,
    live_update: false,
    validate,
    build: Build::Extension(build),
};

fn validate(node: &Node) -> Result<(), ConfigErrors> {
    FileStorageConfig::read(node).map(drop)
}

fn build(node: &Node, context: &BuildContext) -> Result<Box<dyn Extension>, ComponentError> {
    let failed = |error: &dyn std::fmt::Display| ComponentError::new(format!("extension {}: {error}", context.id));
    let config = FileStorageConfig::read(node).map_err(|errors| failed(&errors))?;
    context.shared.provide(context.id.clone(), config.storage());
    Ok(Box::new(FileStorage { config, id: context.id.to_string() }))
}

struct FileStorage {
    config: FileStorageConfig,
    id: String,
}

impl FileStorage {
    /// Looks whether the directory is there and can be written.
    fn check(&self) -> Result<(), ComponentError> {
        let storage = self.config.storage();
        let directory = &storage.directory;
        let failed = |what: &str, error: io::Error| {
            ComponentError::caused(format!("extension {}: directory {} {what}", self.id, directory.display()), error)
        };
        if !directory.exists() {
            if !self.config.create_directory {
                return Err(ComponentError::new(format!(
                    "extension {}: directory {} is missing: create it, or set create_directory: true",
                    self.id,
                    directory.display()
                )));
            }
            wal::create_directory(directory, storage.permissions).map_err(|error| failed("cannot be made", error))?;
        }
        if !directory.is_dir() {
            return Err(ComponentError::new(format!(
                "extension {}: {} is not a directory",
                self.id,
                directory.display()
            )));
        }
        probe(directory).map_err(|error| failed("cannot be written", error))
    }
}

/// Makes and removes an entry, which says more than permissions do: file systems can be read-only or full.
fn probe(directory: &Path) -> io::Result<()> {
    let path = directory.join(format!(".probe-{}", std::process::id()));
    std::fs::create_dir(&path).or_else(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Ok(()),
        _ => Err(error),
    })?;
    std::fs::remove_dir(&path)
}

#[async_trait]
impl Extension for FileStorage {
    async fn start(&mut self) -> Result<(), ComponentError> {
        if self.config.compaction.is_asked_for() {
            tracing::info!(
                extension = %self.id,
                "compaction is ignored: what is delivered is deleted without it."
            );
        }
        self.check()
    }

    async fn run(self: Box<Self>, mut context: ExtensionContext) -> Result<(), ComponentError> {
        context.stop.requested().await;
        Ok(())
    }
}
