//! Watching directories for changes of the files in them.

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How long changes must pause before files are read. Files that are written piece by piece are so read whole.
const QUIET: Duration = Duration::from_millis(50);
/// How many times [`QUIET`] is waited for, so that a directory that never rests is read all the same.
const MAX_QUIET: usize = 10;

/// Watches the directories that hold the files of some patterns. A directory that does not exist is waited for at
/// the nearest one above it that does.
pub(super) struct Directories {
    watcher: Option<RecommendedWatcher>,
    /// Watched directories with device and inode, since another directory may take a removed one's name.
    watched: HashMap<PathBuf, (u64, u64)>,
    wanted: Vec<PathBuf>,
    changed: Arc<Notify>,
}

impl Directories {
    /// Prepares watching the parents of `patterns`; [`refresh`](Self::refresh) begins it.
    ///
    /// Where the system gives no watch (there is a limit per user), changes are seen at the next refresh only; the
    /// reason is given to `on_error`.
    pub(super) fn new(patterns: &[PathBuf], on_error: impl FnOnce(notify::Error)) -> Self {
        let mut wanted: Vec<PathBuf> = patterns.iter().map(|pattern| directory_of(pattern)).collect();
        wanted.sort();
        wanted.dedup();
        let changed = Arc::new(Notify::new());
        let notify = Arc::clone(&changed);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // After an error (an overflow of the system's queue) anything may have changed.
            if event.is_ok_and(|event| !tells_of_change(&event)) {
                return;
            }
            notify.notify_one();
        });
        let watcher = watcher.map_err(on_error).ok();
        Self { watcher, watched: HashMap::new(), wanted, changed }
    }

    /// Begins to watch what exists by now, and gives up what does not any more. Call it before reading files: what
    /// changes afterwards is noticed.
    pub(super) fn refresh(&mut self, mut on_error: impl FnMut(&Path, notify::Error)) {
        let Some(watcher) = &mut self.watcher else { return };
        let wanted: HashMap<PathBuf, (u64, u64)> =
            self.wanted.iter().filter_map(|directory| nearest_existing(directory)).collect();
        self.watched.retain(|directory, identity| {
            let stays = wanted.get(directory) == Some(identity);
            if !stays {
                // Fails if the directory is gone, and its watch with it.
                drop(watcher.unwatch(directory));
            }
            stays
        });
        for (directory, identity) in wanted {
            if self.watched.contains_key(&directory) {
                continue;
            }
            match watcher.watch(&directory, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.watched.insert(directory, identity)),
                Err(error) => on_error(&directory, error),
            }
        }
    }

    /// Waits until something changed and then for a pause.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
        for _ in 0..MAX_QUIET {
            if tokio::time::timeout(QUIET, self.changed.notified()).await.is_err() {
                return;
            }
        }
    }
}

/// Whether files may have changed. Reading them, which is what we do after each change, must not count.
fn tells_of_change(event: &notify::Event) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

fn directory_of(pattern: &Path) -> PathBuf {
    match pattern.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn nearest_existing(directory: &Path) -> Option<(PathBuf, (u64, u64))> {
    let beginnings = directory.ancestors().map(|path| if path == Path::new("") { Path::new(".") } else { path });
    beginnings.into_iter().find_map(|path| {
        let metadata = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_dir)?;
        Some((path.to_owned(), (metadata.dev(), metadata.ino())))
    })
}
