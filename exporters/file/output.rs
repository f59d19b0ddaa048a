//! One file that requests are written to.

use super::config::{Config, Rotation};
use super::rotate;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A file, and how long it is.
#[derive(Debug)]
pub(super) struct OutputFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    rotation: Option<Rotation>,
}

impl OutputFile {
    /// Opens a file, and makes it if it is missing.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) fn open(path: &Path, config: &Config, append: bool) -> io::Result<Self> {
        if let (Some(permissions), Some(directory)) = (config.create_directory, path.parent()) {
            create_directory(directory, permissions)?;
        }
        let append = append || config.rotation.is_some();
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        let file = options.open(path)?;
        // What is there is cut off in a step of its own, so that all writes go to the end.
        if !append && file.metadata()?.is_file() {
            file.set_len(0)?;
        }
        let bytes = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, bytes, rotation: config.rotation })
    }

    /// Writes a request as a whole. What cannot be written whole is taken back, so that what follows can be read. Blocks.
    ///
    /// # Errors
    /// If the system refuses; nothing of the request is there then.
    pub(super) fn write(&mut self, request: &[u8]) -> io::Result<()> {
        if self
            .rotation
            .is_some_and(|rotation| self.bytes > 0 && self.bytes + request.len() as u64 > rotation.max_bytes)
        {
            self.rotate()?;
        }
        match self.file.write_all(request) {
            Ok(()) => {
                self.bytes += request.len() as u64;
                Ok(())
            }
            Err(error) => {
                // A pipe or a terminal cannot take anything back.
                self.file.set_len(self.bytes).ok();
                Err(error)
            }
        }
    }

    /// Puts the file aside, and goes on in a new one.
    fn rotate(&mut self) -> io::Result<()> {
        let Some(rotation) = self.rotation else { return Ok(()) };
        let now = SystemTime::now();
        rotate::put_aside(&self.path, now)?;
        self.file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        self.bytes = self.file.metadata()?.len();
        rotate::remove_old(&self.path, rotation, now);
        Ok(())
    }

    /// Forces what was written to the disk. Blocks.
    pub(super) fn sync(&self) -> io::Result<()> {
        match self.file.sync_data() {
            // Pipes and terminals have nothing to be forced to.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            result => result,
        }
    }
}

fn create_directory(directory: &Path, permissions: u32) -> io::Result<()> {
    if directory.as_os_str().is_empty() || directory.is_dir() {
        return Ok(());
    }
    wal::create_directory(directory, permissions)
}
