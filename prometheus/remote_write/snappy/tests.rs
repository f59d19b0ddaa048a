#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use proptest::prelude::*;

/// Bytes that compress like labels: repeated words with a counter in between.
fn text(len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 64);
    let mut number = 7_u64;
    while bytes.len() < len {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(b"__name__node_cpu_seconds_total cpu=");
        bytes.extend_from_slice(&(number >> 40).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

fn noise(len: usize) -> Vec<u8> {
    let mut number = 1_u64;
    (0..len)
        .map(|_| {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (number >> 56) as u8
        })
        .collect()
}

fn reference_decode(block: &[u8]) -> Vec<u8> {
    Decoder::new().decompress_vec(block).unwrap()
}

fn blocks_of(writer: &mut SnappyBlockWriter, raw: &[u8], step: usize) -> Vec<u8> {
    for part in raw.chunks(step.max(1)) {
        writer.put(part);
    }
    assert_eq!(writer.raw_len(), raw.len());
    let mut out = Vec::new();
    writer.finish(&mut out).unwrap();
    out
}

#[test]
fn every_size_around_the_edges_of_a_piece_comes_back() {
    let mut writer = SnappyBlockWriter::new();
    let long = text(3 * PIECE_LEN + 40);
    let random = noise(2 * PIECE_LEN + 40);
    for pieces in 0..=2 {
        let edge = pieces * PIECE_LEN;
        for len in edge.saturating_sub(20)..=edge + 20 {
            for raw in [&long[..len], &random[..len]] {
                let block = blocks_of(&mut writer, raw, 1000);
                assert_eq!(reference_decode(&block), raw, "length {len}");
                let mut own = Vec::new();
                decode_block(&block, len, &mut own).unwrap();
                assert_eq!(own, raw);
            }
        }
    }
    let block = blocks_of(&mut writer, &long, long.len());
    assert_eq!(reference_decode(&block), long);
}

#[test]
fn one_piece_is_what_the_reference_encoder_makes() {
    let raw = text(50_000);
    let mut writer = SnappyBlockWriter::new();
    assert_eq!(blocks_of(&mut writer, &raw, 300), Encoder::new().compress_vec(&raw).unwrap());
    assert_eq!(blocks_of(&mut writer, &[], 1), [0], "the empty block is a length of zero");
}

#[test]
fn many_pieces_are_what_the_reference_encoder_makes() {
    let raw = text(5 * PIECE_LEN + 123);
    let mut writer = SnappyBlockWriter::new();
    assert_eq!(blocks_of(&mut writer, &raw, 777), Encoder::new().compress_vec(&raw).unwrap());
}

#[test]
fn lengths_are_known_before_the_end_and_buffers_are_kept() {
    let raw = text(2 * PIECE_LEN + 10);
    let mut writer = SnappyBlockWriter::new();
    writer.put(&raw[..PIECE_LEN - 1]);
    assert_eq!((writer.raw_len(), writer.compressed_len()), (PIECE_LEN - 1, 0));
    writer.put(&raw[PIECE_LEN - 1..PIECE_LEN + 4]);
    assert_eq!(writer.raw_len(), PIECE_LEN + 4);
    assert!(writer.compressed_len() > 0 && writer.compressed_len() < PIECE_LEN);
    writer.put(&raw[PIECE_LEN + 4..]);
    let mut out = b"kept".to_vec();
    writer.finish(&mut out).unwrap();
    assert_eq!(reference_decode(&out[4..]), raw);
    assert!(writer.is_empty());

    let addresses = (writer.window.as_ptr(), writer.packed.as_ptr());
    for _ in 0..3 {
        out.clear();
        let room = (out.as_ptr(), out.capacity());
        for part in raw.chunks(500) {
            writer.put(part);
        }
        writer.finish(&mut out).unwrap();
        assert_eq!((writer.window.as_ptr(), writer.packed.as_ptr()), addresses);
        assert_eq!(room.1, out.capacity());
    }
    writer.put(b"dropped");
    writer.clear();
    assert_eq!(blocks_of(&mut writer, b"next", 4), Encoder::new().compress_vec(b"next").unwrap());
}

#[test]
fn a_literal_is_a_valid_piece() {
    for len in [1, 2, 60, 61, 256, 257, PIECE_LEN - 1, PIECE_LEN] {
        let raw = noise(len);
        let mut block = vec![0; len + 16];
        let prefix = varint_len(len as u64);
        let end = put_literal(&mut block, prefix, &raw);
        let mut whole = Vec::new();
        put_varint(&mut whole, len as u64);
        whole.extend_from_slice(&block[prefix..end]);
        assert_eq!(reference_decode(&whole), raw);
    }
}

#[test]
fn limits_are_checked_before_memory_is_set_aside() {
    let raw = vec![b'a'; 100_000];
    let block = Encoder::new().compress_vec(&raw).unwrap();
    let mut out = b"old".to_vec();
    assert_eq!(decode_block(&block, 99_999, &mut out), Err(SnappyError::OverLimit { len: 100_000, limit: 99_999 }));
    assert!(out.is_empty());
    decode_block(&block, 100_000, &mut out).unwrap();
    assert_eq!(out, raw);

    let mut lie = Vec::new();
    put_varint(&mut lie, 4_000_000_000);
    lie.push(0);
    let mut fresh = Vec::new();
    assert!(matches!(decode_block(&lie, usize::MAX, &mut fresh), Err(SnappyError::Impossible { .. })));
    assert_eq!(fresh.capacity(), 0);
    assert!(matches!(decode_block(&[], 10, &mut fresh), Err(SnappyError::Corrupt(_))));
    assert!(matches!(decode_block(&[0xff; 12], 10, &mut fresh), Err(SnappyError::Corrupt(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_in_any_steps_come_back(
        seed in proptest::collection::vec(any::<u8>(), 1..400),
        repeats in 1_usize..600,
        steps in proptest::collection::vec(1_usize..70_000, 1..8),
    ) {
        let raw: Vec<u8> = seed.iter().copied().cycle().take(seed.len() * repeats).collect();
        let mut writer = SnappyBlockWriter::new();
        let mut rest = raw.as_slice();
        for step in steps.iter().cycle() {
            let (now, later) = rest.split_at((*step).min(rest.len()));
            writer.put(now);
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        let mut block = Vec::new();
        writer.finish(&mut block).unwrap();
        prop_assert_eq!(reference_decode(&block), raw.clone());
        let mut own = Vec::new();
        decode_block(&block, raw.len(), &mut own).unwrap();
        prop_assert_eq!(own, raw);
    }

    #[test]
    fn no_bytes_make_the_decoder_panic_or_pass_the_limit(
        block in proptest::collection::vec(any::<u8>(), 0..200),
        limit in 0_usize..2000,
    ) {
        let mut out = Vec::new();
        match decode_block(&block, limit, &mut out) {
            Ok(()) => prop_assert!(out.len() <= limit),
            Err(_) => prop_assert!(out.is_empty()),
        }
    }
}
