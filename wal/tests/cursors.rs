//! The files of cursors.

use super::*;
use crate::cursor::{CursorFile, Stored};
use crate::{Losses, disk};
use std::time::Duration;

#[test]
fn a_slot_that_goes_bad_does_not_lead_back_to_what_was_deleted() {
    let directory = scratch();
    let path = directory.path().join("cursor-a");
    let settings = || Options {
        cursors: vec!["a".to_owned()],
        sync: SyncPolicy::Every(Duration::from_secs(1)),
        ..options(directory.path())
    };
    let log = Log::open(settings()).unwrap();
    for _ in 0..3 {
        // Several segments that are done at once: the cursor goes from the first to the last in a single step.
        let ends: Vec<Position> = (0..8).map(|n| append(&log, &[n; 600])).collect();
        log.ack(0, ends[6]).unwrap();
        let before = log.size().0;
        log.maintain().unwrap();
        assert!(log.size().0 + 3 <= before, "segments are let go of");
    }
    drop(log);
    let whole = std::fs::read(&path).unwrap();
    for slot in 0..3 {
        let mut bytes = whole.clone();
        bytes[slot * 4096 + 20] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let log = Log::open(settings()).unwrap();
        assert_eq!(payloads(&mut log.reader(0)), [[7; 600]], "slot {slot}");
        assert_eq!(log.losses(0), Losses::default(), "slot {slot}");
    }
}

#[test]
fn what_was_dropped_is_not_counted_again_after_an_orderly_end() {
    let directory = scratch();
    let settings = || Options {
        cursors: vec!["a".to_owned()],
        max_bytes: Some(4000),
        sync: SyncPolicy::Every(Duration::from_secs(1)),
        ..options(directory.path())
    };
    let log = Log::open(settings()).unwrap();
    for n in 0..40 {
        append(&log, &[n; 600]);
    }
    assert!(log.losses(0).size_records > 20, "{:?}", log.losses(0));
    log.close(Duration::from_secs(1)).unwrap();
    let log = Log::open(settings()).unwrap();
    assert_eq!(log.losses(0), Losses::default());
}

/// The bytes of a slot.
fn slot(path: &Path, number: u64) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap();
    bytes.get(number as usize * 4096..).unwrap_or_default().iter().take(48).copied().collect()
}

/// Whatever happens while a sync is under way, and whether it succeeds or not: what was forced last, and what is being forced, are
/// left alone, and what was stored last is found.
#[test]
fn what_is_forced_to_the_disk_stays_until_something_else_is() {
    for plan in 0..4u32.pow(7) {
        let directory = scratch();
        let path = directory.path().join("cursor-a");
        let (mut file, stored) = CursorFile::open(directory.path(), "a").unwrap();
        assert_eq!(stored, Stored::Missing);
        let position = |samples| Position { samples, ..Position::default() };
        file.begin(position(0)).unwrap();
        let (handle, number) = file.begin_sync().unwrap();
        disk::sync(&handle).unwrap();
        file.synced(number, position(0)).unwrap();
        let (mut forced, mut forcing) = ((number, slot(&path, number)), None::<(u64, Vec<u8>)>);
        let mut last = 0;
        for at in 0..7 {
            match plan / 4u32.pow(at) % 4 {
                0 => {
                    last += 1;
                    file.store(position(last)).unwrap();
                }
                1 if forcing.is_none() => {
                    let (_, number) = file.begin_sync().unwrap();
                    forcing = Some((number, slot(&path, number)));
                }
                2 => {
                    if let Some(done) = forcing.take() {
                        file.synced(done.0, position(last)).unwrap();
                        forced = done;
                    }
                }
                _ => forcing = None,
            }
            for (number, bytes) in [Some(&forced), forcing.as_ref()].into_iter().flatten() {
                assert_eq!(&slot(&path, *number), bytes, "plan {plan}, step {at}");
            }
        }
        drop(file);
        let (_, stored) = CursorFile::open(directory.path(), "a").unwrap();
        assert_eq!(stored, Stored::At(position(last)), "plan {plan}");
    }
}
