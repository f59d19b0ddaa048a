//! Files that are re-read when they change: secrets and certificates, which others rotate while we run.
//!
//! A secret has to be fresh on every request. Reading it each time costs four system calls; asking for its metadata
//! costs one, so the content is kept and read again when the metadata differ.

use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

/// Bundles of authorities are some hundred KiB; beyond this somebody named the wrong file.
const MAX_FILE: u64 = 16 << 20;
/// File systems stamp with the granularity of a clock tick or, some of them, of a second. Content that was read so shortly
/// after its stamp may be overwritten once more without the stamp changing, so it is not trusted yet.
const STAMP_GRANULARITY: Duration = Duration::from_secs(2);

/// A file whose content is kept until the file changes.
#[derive(Debug)]
pub struct WatchedFile {
    path: PathBuf,
    kept: Mutex<Option<Kept>>,
}

/// What a [`WatchedFile`] holds at the moment.
#[derive(Clone)]
pub struct FileContent {
    /// The bytes as they are in the file.
    pub bytes: Arc<[u8]>,
    /// Grows by one whenever the bytes differ from those that were read before.
    pub version: u64,
}

struct Kept {
    stamp: Stamp,
    settled: bool,
    content: FileContent,
}

/// What changes when a file is written or replaced. The change time cannot be set by a program, unlike the
/// modification time; the inode tells a replaced file (Kubernetes swaps a symbolic link).
#[derive(PartialEq, Eq)]
struct Stamp {
    changed: (i64, i64),
    modified: (i64, i64),
    inode: (u64, u64),
    len: u64,
}

impl WatchedFile {
    /// A file that will be read when it is first asked for.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), kept: Mutex::new(None) }
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The content, read anew if the file has changed. Blocks for the time of a few system calls.
    ///
    /// # Errors
    /// Whatever opening or reading gives, and [`io::ErrorKind::FileTooLarge`] above 16 MiB.
    pub fn load(&self) -> io::Result<FileContent> {
        let mut kept = self.kept.lock();
        if let Some(kept) = kept.as_ref()
            && kept.settled
            && Stamp::of(&fs::metadata(&self.path)?) == kept.stamp
        {
            return Ok(kept.content.clone());
        }
        let file = fs::File::open(&self.path)?;
        let metadata = file.metadata()?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let content = match kept.take() {
            Some(old) if *old.content.bytes == *bytes => old.content,
            old => FileContent { bytes: bytes.into(), version: old.map_or(0, |old| old.content.version + 1) },
        };
        let stamp = Stamp::of(&metadata);
        *kept = Some(Kept { settled: stamp.is_settled(), stamp, content: content.clone() });
        Ok(content)
    }

    /// The content as text without surrounding white space, the way secrets are read.
    ///
    /// # Errors
    /// As [`WatchedFile::load`], and [`io::ErrorKind::InvalidData`] if it is not UTF-8. The text of the error is the
    /// one that Prometheus gives: `unable to read file <path>: open <path>: no such file or directory`.
    pub fn load_trimmed(&self) -> Result<String, SecretFileError> {
        let error = |source| SecretFileError { path: self.path.clone(), source };
        let content = self.load().map_err(error)?;
        match std::str::from_utf8(&content.bytes) {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(_) => Err(error(io::ErrorKind::InvalidData.into())),
        }
    }
}

/// A secret's file cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("unable to read file {}: open {}: {}", path.display(), path.display(), io_text(source))]
pub struct SecretFileError {
    path: PathBuf,
    source: io::Error,
}

/// An input/output error in the words that operating systems and Go programs use and people search for:
/// `connection refused`, not `Connection refused (os error 111)`.
#[must_use]
pub fn io_text(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if first.is_uppercase() && !second.is_uppercase() => {
            let mut lowered: String = first.to_lowercase().collect();
            lowered.push_str(text.get(first.len_utf8()..).unwrap_or_default());
            lowered
        }
        _ => text.to_owned(),
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            inode: (metadata.dev(), metadata.ino()),
            len: metadata.len(),
        }
    }

    /// Whether the stamp is so old that another write would have to give a different one.
    fn is_settled(&self) -> bool {
        let Ok(now) = SystemTime::now().duration_since(UNIX_EPOCH) else {
            return false;
        };
        let changed = u64::try_from(self.changed.0.max(self.modified.0)).unwrap_or(u64::MAX);
        now.as_secs() > changed.saturating_add(STAMP_GRANULARITY.as_secs())
    }
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("version", &self.content.version).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for FileContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The bytes may be a secret.
        f.debug_struct("FileContent").field("version", &self.version).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn content_follows_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let file = WatchedFile::new(&path);
        assert_eq!(
            file.load_trimmed().unwrap_err().to_string(),
            format!("unable to read file {0}: open {0}: no such file or directory", path.display())
        );
        fs::write(&path, " one\n").unwrap();
        assert_eq!(file.load_trimmed().unwrap(), "one");
        assert_eq!(file.load().unwrap().version, 0);
        // The same length at once: only a reader who distrusts fresh stamps sees it.
        for text in [" two\n", " six\n", " ten\n"] {
            fs::write(&path, text).unwrap();
            assert_eq!(file.load_trimmed().unwrap(), text.trim());
        }
        assert_eq!(file.load().unwrap().version, 3);
        fs::remove_file(&path).unwrap();
        assert!(file.load().is_err());
        assert!(!format!("{file:?}").contains("ten"));
    }

    #[test]
    fn an_old_file_is_not_read_again_until_its_stamp_changes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        fs::write(&path, "old").unwrap();
        let file = WatchedFile::new(&path);
        file.load().unwrap();
        if let Some(kept) = file.kept.lock().as_mut() {
            kept.settled = true;
            kept.content.bytes = Arc::from(&b"kept"[..]);
        }
        assert_eq!(file.load_trimmed().unwrap(), "kept");
        // Replaced by renaming, as mounted secrets are.
        let next = directory.path().join("next");
        fs::write(&next, "new").unwrap();
        fs::rename(&next, &path).unwrap();
        assert_eq!(file.load_trimmed().unwrap(), "new");
    }

    #[test]
    fn errors_read_like_the_operating_system_s() {
        assert_eq!(io_text(&io::Error::from_raw_os_error(111)), "connection refused");
        assert_eq!(io_text(&io::Error::other("TLS is down")), "TLS is down");
        assert_eq!(io_text(&io::Error::other("")), "");
    }
}
