//! Letting go of segments: those that are done, those beyond the limit of bytes, those that are too old.

use super::Inner;
use crate::disk;
use crate::index::{Reason, Segment};
use crate::segment::{self, START};
use std::io;

impl Inner {
    /// Deletes segments that every destination is past.
    pub(super) fn remove_done(&self) {
        let mut writer = self.writer.lock();
        let active = writer.active.as_ref().map(|active| active.number);
        let done = self.index.lock().take_done(active);
        writer.directory_changed |= !done.is_empty();
        drop(writer);
        for number in done {
            self.remove(number);
        }
    }

    pub(super) fn remove(&self, number: u64) {
        let path = segment::path(&self.options.directory, number);
        match disk::remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => tracing::error!(
                %error,
                segment = %path.display(),
                "A segment that is not needed any more cannot be deleted."
            ),
            _ => {}
        }
    }

    /// Drops the oldest segments until the limit of bytes is kept. The one that is written stays.
    pub(super) fn enforce_size(&self) {
        let Some(max) = self.options.max_bytes else { return };
        loop {
            let dropped = {
                let mut index = self.index.lock();
                if index.bytes() <= max || index.segments.len() < 2 {
                    return;
                }
                index.drop_oldest(Reason::Size)
            };
            if let Some((segment, samples)) = dropped {
                self.report_drop(
                    segment,
                    samples,
                    "The log has reached its limit of bytes; its oldest segment is dropped.",
                );
            }
        }
    }

    /// Drops the oldest segments as long as everything in them is too old.
    pub(super) fn enforce_age(&self) {
        let Some(limit) = self.options.age_limit() else { return };
        let mut writer = self.writer.lock();
        loop {
            let mut index = self.index.lock();
            let old = |segment: &Segment| segment.newest_ms < limit && segment.len > START;
            let Some(first) = index.segments.front().copied().filter(old) else { return };
            if writer.active.as_ref().is_some_and(|active| active.number == first.number) {
                writer.active = None;
            }
            let dropped = index.drop_oldest(Reason::Age);
            drop(index);
            writer.directory_changed = true;
            if let Some((segment, samples)) = dropped {
                self.report_drop(segment, samples, "A segment of the log has become too old; it is dropped.");
            }
        }
    }

    fn report_drop(&self, segment: Segment, samples: u64, what: &'static str) {
        self.remove(segment.number);
        if samples > 0 {
            tracing::error!(
                directory = %self.shown(),
                segment = segment.number,
                samples,
                "{what}"
            );
        }
    }
}
