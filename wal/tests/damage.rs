//! Arbitrary bytes for a segment: nothing panics, nothing hangs, memory stays bounded.

use super::*;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng};
use std::time::{Duration, Instant};

/// For how long to look for trouble, if not just in passing: `OXIDOT_FUZZ_SECONDS`.
pub(crate) fn fuzz_seconds() -> Option<u64> {
    std::env::var("OXIDOT_FUZZ_SECONDS").ok()?.parse().ok()
}

/// Inputs that have been of interest, each the bytes of a segment.
fn corpus() -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/wal");
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "the corpus is part of the sources");
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Opens a log that consists of this segment, reads it, and goes on writing and reading.
fn digest(bytes: &[u8], number: u64) {
    let directory = scratch();
    std::fs::write(crate::segment::path(directory.path(), number), bytes).unwrap();
    for round in 0..2u8 {
        let log = match Log::open(options(directory.path())) {
            Ok(log) => log,
            Err(crate::OpenError::Version { .. }) => return,
            Err(error) => panic!("{error}"),
        };
        let end = append(&log, &[round; 10]);
        let mut reader = log.reader(0);
        let read = read_all(&mut reader);
        let taken: usize = read.iter().map(|read| read.payload.len() + 56).sum();
        assert!(taken <= bytes.len() + 200, "more is read than there is");
        assert_eq!(read.last().map(|read| read.payload.to_vec()), Some(vec![round; 10]));
        assert!(read.is_sorted_by_key(|read| read.start));
        log.ack(1, end).unwrap();
        log.maintain().unwrap();
    }
}

/// A segment with whole records, which is then cut up.
fn sound_segment() -> Vec<u8> {
    let directory = scratch();
    let log = Log::open(Options { segment_bytes: 1 << 20, ..options(directory.path()) }).unwrap();
    for n in 0..20u8 {
        append(&log, &vec![n; usize::from(n) * 37 % 200]);
    }
    drop(log);
    std::fs::read(&segment_files(directory.path())[0]).unwrap()
}

/// One change to a segment.
fn mutate(bytes: &mut Vec<u8>, rng: &mut TestRng) {
    let len = bytes.len().max(1);
    let at = (rng.next_u64() as usize) % len;
    let other = (rng.next_u64() as usize) % len;
    match rng.next_u32() % 7 {
        0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (other % 8)),
        1 => bytes.truncate(at),
        2 => bytes.iter_mut().skip(at).take(other % 64).for_each(|byte| *byte = 0),
        // A part of the file at another place, headers included.
        3 => {
            let part: Vec<u8> = bytes.iter().skip(at).take(other % 300).copied().collect();
            let place = other.min(bytes.len());
            drop(bytes.splice(place..place, part));
        }
        4 => bytes.iter_mut().skip(at).take(4).for_each(|byte| *byte = 0xff),
        5 => drop(bytes.splice(at.min(bytes.len())..at.min(bytes.len()), crate::record::MAGIC)),
        _ => drop(bytes.drain(at.min(bytes.len())..(at + other % 100).min(bytes.len()))),
    }
}

#[test]
fn arbitrary_segments_are_read_to_their_end() {
    let limit = Duration::from_secs(fuzz_seconds().unwrap_or(2));
    let mut seeds = corpus();
    seeds.push(sound_segment());
    for seed in &seeds {
        digest(seed, 1);
    }
    let mut rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let started = Instant::now();
    let mut rounds = 0u64;
    while started.elapsed() < limit || rounds < 200 {
        let mut bytes = seeds[(rng.next_u64() as usize) % seeds.len()].clone();
        for _ in 0..1 + rng.next_u32() % 8 {
            mutate(&mut bytes, &mut rng);
        }
        // The number of the segment is part of every checksum: mostly the right one.
        digest(&bytes, 1 + u64::from(rng.next_u32().is_multiple_of(16)));
        rounds += 1;
    }
}

#[test]
fn a_record_in_the_wrong_place_is_none() {
    let directory = scratch();
    let log = Log::open(options(directory.path())).unwrap();
    append(&log, b"within");
    let first = std::fs::read(&segment_files(directory.path())[0]).unwrap();
    // A payload that looks like a segment's contents, behind a record that gets damaged.
    append(&log, &first[48..]);
    append(&log, b"last");
    drop(log);
    let path = segment_files(directory.path()).remove(0);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[first.len() + 20] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let log = Log::open(options(directory.path())).unwrap();
    assert_eq!(payloads(&mut log.reader(0)), [b"within".as_slice(), b"last"]);
    assert_eq!((log.losses(0).corrupt_records, log.losses(0).corrupt_samples), (1, 62));
}

#[test]
fn a_segment_that_vanishes_is_counted() {
    let directory = scratch();
    let log = Log::open(options(directory.path())).unwrap();
    let all: Vec<Vec<u8>> = (0..30u8).map(|n| vec![n; 100]).collect();
    for payload in &all {
        append(&log, payload);
    }
    let files = segment_files(directory.path());
    assert!(files.len() > 3);
    std::fs::remove_file(&files[1]).unwrap();
    let mut reader = log.reader(0);
    let read = payloads(&mut reader);
    let missing = 30 - read.len() as u64;
    assert_eq!((log.losses(0).corrupt_records, log.losses(0).corrupt_samples), (missing, 100 * missing));
    drop((log, reader));
    std::fs::remove_file(&files[0]).unwrap();
    let log = Log::open(options(directory.path())).unwrap();
    assert_eq!(payloads(&mut log.reader(1)).len() as u64, 30 - log.losses(1).corrupt_records);
}

/// Writes inputs for the corpus. Run by hand after the format has changed.
#[test]
#[ignore = "makes files that are part of the sources"]
fn write_corpus() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/wal");
    let sound = sound_segment();
    let save = |name: &str, bytes: &[u8]| std::fs::write(directory.join(name), bytes).unwrap();
    save("sound", &sound);
    save("torn", &sound[..sound.len() - 30]);
    save("header-only", &sound[..48]);
    save("zero-tail", &[sound.as_slice(), &[0; 200]].concat());
    let mut flipped = sound.clone();
    flipped[60] ^= 1;
    save("flipped-header", &flipped);
    let mut length = sound.clone();
    length[52..56].fill(0xff);
    save("long-record", &length);
    save("magic-only", &crate::record::MAGIC.repeat(100));
}

/// A record at the end that is cut off is counted by its header, if that is whole, for those who had not got it.
#[test]
fn what_a_torn_tail_held_is_counted_where_its_header_is_whole() {
    let header = 56;
    for (damage, lost) in [("payload", (1, 30)), ("cut", (1, 30)), ("two", (2, 50)), ("header", (0, 0))] {
        let directory = scratch();
        let log = Log::open(options(directory.path())).unwrap();
        append(&log, &[1; 10]);
        append(&log, &[2; 20]);
        let end = append(&log, &[3; 30]);
        // One destination has it already.
        log.ack(1, end).unwrap();
        drop(log);
        let path = segment_files(directory.path()).remove(0);
        let mut bytes = std::fs::read(&path).unwrap();
        let len = bytes.len();
        match damage {
            "payload" => bytes[len - 1] ^= 1,
            "cut" => bytes.truncate(len - 7),
            "header" => bytes[len - 30 - header] ^= 1,
            _ => {
                bytes[len - 1] ^= 1;
                bytes[len - 30 - header - 1] ^= 1;
            }
        }
        std::fs::write(&path, bytes).unwrap();
        for again in [false, true] {
            let log = Log::open(options(directory.path())).unwrap();
            let losses = [0, 1].map(|cursor| (log.losses(cursor).torn_records, log.losses(cursor).torn_samples));
            let expected = if again { (0, 0) } else { lost };
            assert_eq!(losses, [expected, (0, 0)], "{damage} {again}");
            assert_eq!(log.torn_bytes() > 0, !again);
            // It is lost, and no more than that.
            assert_eq!(payloads(&mut log.reader(0)).len(), if damage == "two" { 1 } else { 2 });
            assert_eq!(log.losses(0).corrupt_records, 0);
        }
        let log = Log::open(options(directory.path())).unwrap();
        append(&log, &[4; 40]);
        let read: Vec<usize> = payloads(&mut log.reader(0)).iter().map(Vec::len).collect();
        assert_eq!(read.last(), Some(&40));
        assert_eq!(payloads(&mut log.reader(1)).iter().map(Vec::len).collect::<Vec<_>>(), [40], "{damage}");
        assert_eq!((log.losses(0).corrupt_records, log.losses(1).corrupt_records), (0, 0), "{damage}");
    }
}

/// So is what the last segment held of which neither the header nor any record is whole.
#[test]
fn what_a_last_segment_held_is_counted_although_nothing_of_it_is_whole() {
    let directory = scratch();
    let log = Log::open(options(directory.path())).unwrap();
    append(&log, &[1; 1000]);
    append(&log, &[2; 20]);
    drop(log);
    let path = segment_files(directory.path()).remove(1);
    let mut bytes = std::fs::read(&path).unwrap();
    let len = bytes.len();
    bytes[9] ^= 1;
    bytes[len - 1] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let log = Log::open(options(directory.path())).unwrap();
    assert_eq!((log.losses(0).torn_records, log.losses(0).torn_samples), (1, 20));
    assert_eq!(log.torn_bytes(), 20 + 56);
    assert_eq!(payloads(&mut log.reader(0)), [[1; 1000]]);
    append(&log, &[3; 30]);
    assert_eq!(payloads(&mut log.reader(0)).len(), 1 + 1);
    assert_eq!(log.losses(0).corrupt_records, 0);
}

/// What waits for a destination that is gone is told, unless a new one gets it; also of names that are too long for a file.
#[test]
fn destinations_that_are_gone_are_told_with_what_waits_for_them() {
    let long = "https://host.example/workspaces/".repeat(9);
    let named = |names: &[&str], directory: &Path| Options {
        cursors: names.iter().map(|name| (*name).to_owned()).collect(),
        ..options(directory)
    };
    for gone in ["short", &long] {
        let directory = scratch();
        let log = Log::open(named(&["a", gone], directory.path())).unwrap();
        let first = append(&log, &[1; 10]);
        let end = append(&log, &[2; 20]);
        log.ack(0, end).unwrap();
        log.ack(1, first).unwrap();
        drop(log);
        let log = Log::open(named(&["a", "new"], directory.path())).unwrap();
        assert_eq!(log.abandoned(), []);
        assert_eq!((log.backlog(0).samples, log.backlog(1).samples), (0, 20), "{gone}");
        drop(log);
        let log = Log::open(named(&["a"], directory.path())).unwrap();
        assert_eq!(log.abandoned(), [crate::Abandoned { name: "new".to_owned(), samples: 20 }]);
        assert_eq!(log.backlog(0).samples, 0);
        drop(log);
        // It is told once.
        assert_eq!(Log::open(named(&["a"], directory.path())).unwrap().abandoned(), []);
    }
    let directory = scratch();
    let log = Log::open(named(&[&long], directory.path())).unwrap();
    append(&log, &[1; 10]);
    drop(log);
    let log = Log::open(named(&[], directory.path())).unwrap();
    let [only] = log.abandoned() else { panic!("{:?}", log.abandoned()) };
    assert!(
        only.samples == 10 && long.starts_with(only.name.trim_end_matches('…')) && only.name.len() > 60,
        "{only:?}"
    );
}
