//! Tells when something happens in the directories of the shared files.

use super::SharedFiles;
use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Notify;

/// A watch on directories. Where the system gives none, the poll has to do.
pub(crate) struct Watch {
    watcher: Option<RecommendedWatcher>,
    directories: Vec<PathBuf>,
    watched: Vec<(PathBuf, u64)>,
    changed: Arc<Notify>,
}

impl Watch {
    /// Of the directories of these files; [`Watch::refresh`] begins it.
    pub(crate) fn of(files: &SharedFiles) -> Self {
        let mut directories: Vec<PathBuf> = [files.credentials_path(), files.config_path()]
            .into_iter()
            .filter_map(Path::parent)
            .map(|parent| if parent == Path::new("") { PathBuf::from(".") } else { parent.to_owned() })
            .collect();
        directories.sort();
        directories.dedup();
        let changed = Arc::new(Notify::new());
        let notify = Arc::clone(&changed);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.map_or(true, |event| tells_of_change(&event)) {
                notify.notify_one();
            }
        });
        let watcher = watcher
            .inspect_err(|error| tracing::debug!(%error, "Shared files are looked at every second instead of watched."))
            .ok();
        Self { watcher, directories, watched: Vec::new(), changed }
    }

    /// Begins to watch directories that exist by now, and those that were exchanged for others.
    pub(crate) fn refresh(&mut self) {
        use std::os::unix::fs::MetadataExt as _;
        let Some(watcher) = &mut self.watcher else { return };
        for directory in &self.directories {
            let now = std::fs::metadata(directory).ok().map(|metadata| metadata.ino());
            let known = self.watched.iter().position(|(watched, _)| watched == directory);
            if known.and_then(|at| self.watched.get(at)).map(|(_, inode)| *inode) == now {
                continue;
            }
            if let Some(at) = known {
                // Fails if the directory is gone, and its watch with it.
                drop(watcher.unwatch(directory));
                self.watched.swap_remove(at);
            }
            if let Some(inode) = now
                && watcher.watch(directory, RecursiveMode::NonRecursive).is_ok()
            {
                self.watched.push((directory.clone(), inode));
            }
        }
    }

    /// Waits for something to happen.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// Reading, which is what we do after each change, must not count.
fn tells_of_change(event: &notify::Event) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}
