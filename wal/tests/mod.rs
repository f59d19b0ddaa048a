//! The log against a naive model, and by hand where a model says too little.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod by_hand;
mod cursors;
mod damage;

pub(crate) use damage::fuzz_seconds;
mod model;
mod power;

use crate::{Log, Options, Position, Read, Reader, Record, SyncPolicy};
use std::path::{Path, PathBuf};

/// A directory that is gone afterwards; in memory where that is possible, as thousands are made.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A log in a directory of its own, with small segments.
fn options(directory: &Path) -> Options {
    Options {
        cursors: vec!["a".to_owned(), "b/ä".to_owned()],
        segment_bytes: 1000,
        sync: SyncPolicy::Never,
        ..Options::new(directory)
    }
}

fn append(log: &Log, payload: &[u8]) -> Position {
    log.append(None, &record(payload)).unwrap()
}

/// As many samples as bytes, so that counts can be told apart.
fn record(payload: &[u8]) -> Record<'_> {
    Record {
        kind: payload.first().copied().unwrap_or(0),
        samples: payload.len() as u32,
        oldest_ms: 1000,
        newest_ms: 2000,
        payload,
    }
}

fn read_all(reader: &mut Reader) -> Vec<Read> {
    std::iter::from_fn(|| reader.next_now().unwrap()).collect()
}

fn payloads(reader: &mut Reader) -> Vec<Vec<u8>> {
    read_all(reader).iter().map(|read| read.payload.to_vec()).collect()
}

/// The files of all segments, in order.
fn segment_files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "segment"))
        .collect();
    files.sort();
    files
}
