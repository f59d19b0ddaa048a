//! One process to a directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

/// Between two looks at a lock that somebody else has.
const PAUSE: Duration = Duration::from_millis(20);

/// The lock of a directory, until it is dropped or the process ends, however that comes about.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: File,
}

/// Why there is no lock.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Somebody else has it; who, as they wrote it there.
    Held(String),
    /// It cannot be had.
    Io(io::Error),
}

impl DirectoryLock {
    /// Takes the lock; if somebody else has it, waits for it up to `patience`.
    pub(crate) fn take(directory: &Path, patience: Duration) -> Result<Self, LockError> {
        let path = directory.join("lock");
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(LockError::Io)?;
        let started = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(LockError::Io(error)),
                Err(TryLockError::WouldBlock) if started.elapsed() < patience => std::thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => {
                    let mut holder = String::new();
                    // Only for the message; without it the message is shorter.
                    (&file).take(32).read_to_string(&mut holder).ok();
                    return Err(LockError::Held(holder.trim().to_owned()));
                }
            }
        }
        // The number is for whoever is refused. On a full disk it is missing, which is no reason to stop.
        let note = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
        if let Err(error) = note {
            tracing::debug!(%error, directory = %directory.display(), "The lock does not say who holds it.");
        }
        Ok(Self { _file: file })
    }
}
