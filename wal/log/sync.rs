//! Forcing to the disk what was appended and acknowledged, and letting go of what is done.

use super::{Inner, Log, Writer};
use crate::disk;
use crate::options::SyncPolicy;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Complete segments that wait for a sync, each an open file. There are more only if a disk takes longer to sync than they
/// take to be filled, or nobody asks for syncs.
const MAX_UNSYNCED: usize = 16;

impl Log {
    /// Forces everything that is appended and acknowledged to the disk. Blocks, while others can go on.
    ///
    /// # Errors
    /// If the system cannot say that it is there. What was appended since the last sync may then be lost if the machine
    /// dies.
    pub fn sync(&self) -> io::Result<()> {
        let inner = &self.0;
        let _alone = inner.syncing.lock();
        let (files, directory_changed) = {
            let mut writer = inner.writer.lock();
            (std::mem::take(&mut writer.unsynced), std::mem::take(&mut writer.directory_changed))
        };
        let (mut cursors, mut begun) = (Vec::new(), Ok(()));
        for (which, cursor) in inner.index.lock().cursors.iter_mut().enumerate().filter(|(_, cursor)| cursor.dirty) {
            match cursor.begin_sync() {
                Ok(sync) => cursors.push((which, sync)),
                Err(error) => begun = Err(error),
            }
        }
        // What one file cannot take, others may. What is acknowledged comes behind what it is about.
        let segments = files.iter().map(|file| disk::sync(file)).fold(Ok(()), io::Result::and);
        let directory = if directory_changed { disk::sync_directory(&inner.options.directory) } else { Ok(()) };
        let positions = cursors.iter().map(|(_, sync)| disk::sync(&sync.file)).fold(Ok(()), io::Result::and);
        let failed = |result: &io::Result<()>| result.is_err();
        if failed(&segments) || failed(&directory) {
            // The kernel may have thrown away what it could not write; what follows goes to another file.
            let mut writer = inner.writer.lock();
            writer.active = None;
            writer.directory_changed |= directory_changed;
        }
        let mut index = inner.index.lock();
        for (which, sync) in &cursors {
            if let Some(cursor) = index.cursors.get_mut(*which) {
                cursor.end_sync(sync, !failed(&positions));
            }
        }
        drop(index);
        segments.and(directory).and(begun).and(positions)
    }

    /// Drops what is too old, syncs if the policy wants it, and deletes what nobody needs any more: in this order, so that a
    /// machine which dies in between does not find segments gone that no cursor on its disk is past. To be called every
    /// second or so. Blocks.
    ///
    /// # Errors
    /// As [`Log::sync`].
    pub fn maintain(&self) -> io::Result<()> {
        self.0.enforce_age();
        let synced = if self.0.options.sync == SyncPolicy::Never { self.0.settle_unsynced() } else { self.sync() };
        self.0.remove_done();
        synced
    }

    /// Calls [`Log::maintain`] on the blocking pool as often as the policy asks for, as long as there is something to do.
    /// Ends with the runtime, or when it is dropped.
    pub async fn maintain_while_open(self) {
        let pause = match self.0.options.sync {
            SyncPolicy::Every(pause) => pause.max(Duration::from_millis(10)),
            SyncPolicy::Always | SyncPolicy::Never => Duration::from_secs(1),
        };
        let mut failing = false;
        let mut settled = None;
        loop {
            tokio::time::sleep(pause).await;
            let state = self.0.state();
            if settled == Some(state) && !failing {
                continue;
            }
            settled = Some(state);
            let log = self.clone();
            let result = tokio::task::spawn_blocking(move || log.maintain()).await;
            match result {
                Ok(Ok(())) if failing => {
                    failing = false;
                    tracing::info!(directory = %self.0.shown(), "The log can be synced to the disk again.");
                }
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    failing = true;
                    tracing::error!(
                        %error,
                        directory = %self.0.shown(),
                        "The log cannot be synced to the disk; if the machine dies now, samples that wait are lost."
                    );
                }
                // The runtime is ending.
                Err(_) => return,
            }
        }
    }

    /// Syncs, waits up to `patience` for other holders of the log to let go of it, and gives the directory free. Blocks.
    ///
    /// Threads of the blocking pool hold the log until they are done with a read, which nobody waits for any more; whoever
    /// opens the directory next is not to find it taken because of that.
    ///
    /// # Errors
    /// If the last sync has failed; the directory is free all the same.
    pub fn close(self, patience: Duration) -> io::Result<()> {
        let synced = self.maintain();
        let started = std::time::Instant::now();
        while Arc::strong_count(&self.0) > 1 && started.elapsed() < patience {
            std::thread::sleep(Duration::from_millis(2));
        }
        synced
    }
}

impl Inner {
    /// As after a sync, where nothing is to be forced to the disk.
    fn settle_unsynced(&self) -> io::Result<()> {
        for cursor in self.index.lock().cursors.iter_mut().filter(|cursor| cursor.dirty) {
            let begun = cursor.begin_sync()?;
            cursor.end_sync(&begun, true);
        }
        Ok(())
    }

    /// Before another segment is begun: syncs the oldest that waits for it if there are too many, and so holds up whoever appends.
    pub(super) fn make_room_for_handles(&self, writer: &mut Writer) -> io::Result<()> {
        while writer.unsynced.len() >= MAX_UNSYNCED {
            let oldest = writer.unsynced.remove(0);
            if self.options.sync != SyncPolicy::Never {
                disk::sync(&oldest)?;
            }
        }
        Ok(())
    }
}

impl Writer {
    /// The active segment has been written to.
    pub(super) fn note_unsynced(&mut self) {
        let Some(active) = &self.active else { return };
        if self.unsynced.last().is_none_or(|last| !Arc::ptr_eq(last, &active.file)) {
            self.unsynced.push(Arc::clone(&active.file));
        }
    }
}
