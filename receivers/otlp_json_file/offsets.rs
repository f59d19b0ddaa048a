//! How far files were read, kept in a storage extension's directory.

use super::tails::Remembered;
use pipeline::component::ComponentKind;
use pipeline::config::ComponentId;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;
use wal::{Storage, SyncPolicy};

/// The largest file of offsets that is read: some thousands of files with 2 KiB each.
const MAX_BYTES: u64 = 64 << 20;

/// The contents of the file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Contents {
    files: Vec<Remembered>,
}

/// The file.
#[derive(Debug)]
pub(super) struct Offsets {
    path: PathBuf,
    sync: bool,
    permissions: u32,
    /// What is in it.
    written: Vec<Remembered>,
}

impl Offsets {
    /// The file of a receiver. Nothing is read yet.
    pub(super) fn new(storage: &Storage, id: &ComponentId) -> Self {
        let directory = storage.options(ComponentKind::Receiver, id, "").directory;
        Self {
            path: directory.join("offsets.json"),
            sync: storage.sync == SyncPolicy::Always,
            permissions: storage.permissions,
            written: Vec::new(),
        }
    }

    pub(super) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// What was kept; nothing if nothing ever was. Blocks.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn load(&mut self) -> io::Result<Vec<Remembered>> {
        let metadata = match fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        if metadata.len() > MAX_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is larger than anything that is written here"));
        }
        let contents: Contents = serde_json::from_slice(&fs::read(&self.path)?)?;
        self.written = contents.files;
        Ok(self.written.clone())
    }

    /// Keeps this, unless it is what is kept already. Blocks.
    ///
    /// # Errors
    /// If it cannot be written; what was kept before is still there then.
    pub(super) fn save(&mut self, files: Vec<Remembered>) -> io::Result<()> {
        if files == self.written {
            return Ok(());
        }
        if let Some(directory) = self.path.parent() {
            wal::create_directory(directory, self.permissions)?;
        }
        let contents = Contents { files };
        let text = serde_json::to_vec(&contents)?;
        // A file that is exchanged as a whole is never half of one.
        let new = self.path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&text)?;
        if self.sync {
            file.sync_all()?;
        }
        fs::rename(&new, &self.path)?;
        if let Some(directory) = self.path.parent().filter(|_| self.sync) {
            File::open(directory)?.sync_all()?;
        }
        self.written = contents.files;
        Ok(())
    }
}
