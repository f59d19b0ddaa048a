//! The files of cursors.

use super::*;
use crate::Losses;
use crate::cursor::{CursorFile, Stored};
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

/// The bytes of the slots.
fn slots(path: &Path) -> Vec<Vec<u8>> {
    std::fs::read(path).unwrap().chunks(4096).map(|page| page[..48].to_vec()).collect()
}

/// Whatever happens while a sync is under way, and whether it succeeds or not: what was forced last, and what is being forced, is
/// left alone, what was stored last is found, and two slots have what was forced or something later.
#[test]
fn what_is_forced_to_the_disk_stays_until_something_else_is() {
    for plan in 0..4u32.pow(7) {
        let directory = scratch();
        let path = directory.path().join("cursor-a");
        let (mut file, stored) = CursorFile::open(directory.path(), "a").unwrap();
        assert_eq!(stored, Stored::Missing);
        let position = |samples| Position { samples, ..Position::default() };
        file.begin(position(0)).unwrap();
        let begun = file.begin_sync(position(0)).unwrap();
        file.synced(&begun).unwrap();
        let (mut forced, mut under_way) = (slots(&path)[begun.slot as usize].clone(), None);
        let (mut last, mut settled) = (0, 0);
        for at in 0..7 {
            match plan / 4u32.pow(at) % 4 {
                0 => {
                    last += 1;
                    file.store(position(last)).unwrap();
                }
                1 if under_way.is_none() => {
                    let begun = file.begin_sync(position(last)).unwrap();
                    under_way = Some((slots(&path)[begun.slot as usize].clone(), begun));
                }
                2 => {
                    if let Some((bytes, begun)) = under_way.take() {
                        file.synced(&begun).unwrap();
                        (forced, settled) = (bytes, begun.position.samples);
                    }
                }
                _ => under_way = None,
            }
            let slots = slots(&path);
            for bytes in [Some(&forced), under_way.as_ref().map(|(bytes, _)| bytes)].into_iter().flatten() {
                assert!(slots.contains(bytes), "plan {plan}, step {at}");
            }
            let samples = |slot: &Vec<u8>| u64::from_le_bytes(slot[32..40].try_into().unwrap());
            let late = slots.iter().filter(|slot| samples(slot) >= settled).count();
            assert!(late >= 2, "plan {plan}, step {at}");
        }
        drop(file);
        let (_, stored) = CursorFile::open(directory.path(), "a").unwrap();
        assert_eq!(stored, Stored::At(position(last)), "plan {plan}");
    }
}
