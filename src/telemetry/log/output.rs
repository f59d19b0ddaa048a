//! Where log lines go.

use parking_lot::Mutex;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};

/// One of `output_paths`.
pub(super) enum Output {
    Stderr,
    Stdout,
    File { path: String, file: Mutex<File> },
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stderr => f.write_str("stderr"),
            Self::Stdout => f.write_str("stdout"),
            Self::File { path, .. } => f.write_str(path),
        }
    }
}

impl Output {
    /// `stderr`, `stdout`, a path, or a `file:` URL. Files are made if they do not exist, and appended to.
    pub(super) fn open(path: &str) -> io::Result<Self> {
        match path {
            "stderr" => Ok(Self::Stderr),
            "stdout" => Ok(Self::Stdout),
            _ => {
                let plain = path.strip_prefix("file://").unwrap_or(path);
                let file = OpenOptions::new().create(true).append(true).open(plain)?;
                Ok(Self::File { path: plain.to_owned(), file: Mutex::new(file) })
            }
        }
    }

    /// Writes a line whole, so that lines of several threads do not mix.
    pub(super) fn write(&self, line: &str) -> io::Result<()> {
        match self {
            Self::Stderr => io::stderr().lock().write_all(line.as_bytes()),
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush())
            }
            Self::File { file, .. } => file.lock().write_all(line.as_bytes()),
        }
    }
}
