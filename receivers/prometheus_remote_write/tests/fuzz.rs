//! Arbitrary bodies: nothing panics, nothing hangs, what is taken is what is counted.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pipeline::MetricBatch;
use prometheus::remote_write::protocol::ProtocolVersion;
use prometheus::remote_write::snappy::decode_block;
use prometheus::remote_write::wire::DecodeLimits;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng};

use super::super::cache::SeriesCache;
use super::super::request::read;
use super::http::snappy;

/// The most that a body may become here: small, so that bodies which promise much are refused for it.
const MAX_PLAIN: usize = 1 << 20;

/// For how long to look for trouble, if not just in passing: `OXIDOT_FUZZ_SECONDS`.
fn fuzz_seconds() -> Option<u64> {
    std::env::var("OXIDOT_FUZZ_SECONDS").ok()?.parse().ok()
}

/// Inputs that have been of interest: decompressed requests, and blocks (by the end of their name).
fn corpus() -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/remote_write");
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "the corpus is part of the sources");
    let name = |file: &Path| file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    files.iter().map(|file| (name(file), std::fs::read(file).unwrap())).collect()
}

/// Reads a decompressed request as both versions, twice, since the second time its series are known.
fn digest(plain: &[u8], cache: &mut SeriesCache) {
    for version in [ProtocolVersion::V1, ProtocolVersion::V2, ProtocolVersion::V1] {
        let Ok(taken) = read(version, plain, &DecodeLimits::default(), cache, 0) else { continue };
        let points = taken.points();
        assert!(points as usize <= plain.len(), "a point takes a byte at least");
        let waiting = cache.waiting.len() as u64;
        let placed: usize = taken.groups.iter().map(|group| group.exemplars.len()).sum();
        assert!(taken.written.exemplars <= placed as u64 + waiting + taken.invalid.exemplars as u64);
        let batch = MetricBatch::new(taken.groups);
        assert_eq!(batch.len() as u64, points, "{version}");
        for group in batch.groups() {
            assert!(group.points.iter().all(|point| group.table.get(point.series).is_some()));
            assert!(group.exemplars.iter().all(|exemplar| (exemplar.point as usize) < group.points.len()));
        }
    }
}

/// What a connection would bring: a block, or what is none.
fn digest_block(block: &[u8], cache: &mut SeriesCache) {
    let mut plain = Vec::new();
    if decode_block(block, MAX_PLAIN, &mut plain).is_ok() {
        assert!(plain.len() <= MAX_PLAIN);
        digest(&plain, cache);
    }
}

/// One change to a body.
fn mutate(bytes: &mut Vec<u8>, rng: &mut TestRng) {
    let len = bytes.len().max(1);
    let at = (rng.next_u64() as usize) % len;
    let other = (rng.next_u64() as usize) % len;
    match rng.next_u32() % 8 {
        0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (other % 8)),
        1 => bytes.truncate(at),
        2 => bytes.iter_mut().skip(at).take(other % 16).for_each(|byte| *byte = 0),
        // A part at another place, as protobuf allows for most.
        3 => {
            let part: Vec<u8> = bytes.iter().skip(at).take(other % 100).copied().collect();
            let place = other.min(bytes.len());
            drop(bytes.splice(place..place, part));
        }
        4 => bytes.iter_mut().skip(at).take(9).for_each(|byte| *byte = 0xff),
        // A length or a reference that is one more.
        5 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = byte.wrapping_add(1)),
        6 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = (other % 256) as u8),
        _ => drop(bytes.drain(at.min(bytes.len())..(at + other % 30).min(bytes.len()))),
    }
}

#[test]
fn arbitrary_requests_are_taken_or_refused() {
    let limit = Duration::from_secs(fuzz_seconds().unwrap_or(2));
    let seeds = corpus();
    let mut cache = SeriesCache::with_max_series(10_000);
    for (name, seed) in &seeds {
        if name.ends_with(".block") {
            digest_block(seed, &mut cache);
        } else {
            digest(seed, &mut cache);
        }
    }
    let mut rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let started = Instant::now();
    let mut rounds = 0u64;
    while started.elapsed() < limit || rounds < 2000 {
        let (name, seed) = &seeds[(rng.next_u64() as usize) % seeds.len()];
        let mut bytes = seed.clone();
        let block = name.ends_with(".block");
        for _ in 0..1 + rng.next_u32() % 6 {
            mutate(&mut bytes, &mut rng);
        }
        match (block, rounds.is_multiple_of(16)) {
            (true, _) => digest_block(&bytes, &mut cache),
            (false, true) => digest_block(&snappy(&bytes), &mut cache),
            (false, false) => digest(&bytes, &mut cache),
        }
        rounds += 1;
    }
}
