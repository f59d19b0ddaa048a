#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::Write;

use proptest::prelude::*;

use super::*;

const LIMIT: usize = 1 << 20;

fn plain(len: usize) -> Vec<u8> {
    (0..len).map(|i| u8::try_from((i * i / 7) % 251).unwrap()).collect()
}

#[test]
fn one_member_comes_back() {
    let mut out = vec![9; 10];
    for len in [0, 1, 63, 64, 65, 100_000] {
        let expected = plain(len);
        gunzip(&gzip_compress(&expected, 6), &mut out, LIMIT).unwrap();
        assert_eq!(out, expected, "{len} bytes");
    }
}

#[test]
fn members_are_joined_even_if_they_are_alike() {
    // The same member twice: size and checksum at the end fit the first member too.
    let member = gzip_compress(b"up 1\n", 6);
    let mut both = member.clone();
    both.extend_from_slice(&member);
    let mut out = Vec::new();
    gunzip(&both, &mut out, LIMIT).unwrap();
    assert_eq!(out, b"up 1\nup 1\n");

    both.extend_from_slice(&gzip_compress(&plain(5000), 1));
    gunzip(&both, &mut out, LIMIT).unwrap();
    assert_eq!(out.len(), 10 + 5000);
}

#[test]
fn a_member_that_holds_the_start_of_a_member_is_one_member() {
    // Stored blocks carry the bytes as they are.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    encoder.write_all(&[0x1f, 0x8b, 0x08, 0x1f, 0x8b, 0x08]).unwrap();
    let mut out = Vec::new();
    gunzip(&encoder.finish().unwrap(), &mut out, LIMIT).unwrap();
    assert_eq!(out, [0x1f, 0x8b, 0x08, 0x1f, 0x8b, 0x08]);
}

#[test]
fn a_bomb_is_stopped_at_the_limit() {
    let bomb = gzip_compress(&vec![0; 64 << 20], 6);
    assert!(bomb.len() < 100_000);
    let mut out = Vec::new();
    assert_eq!(gunzip(&bomb, &mut out, LIMIT), Err(DecodeError::LimitExceeded { limit: LIMIT }));
    assert!(out.is_empty());
    assert!(out.capacity() <= 2 * LIMIT, "{}", out.capacity());

    // The same with a claim of four bytes, so that the size has to be found by growing.
    let mut lying = bomb.clone();
    let end = lying.len() - 4;
    lying.truncate(end);
    lying.extend_from_slice(&4u32.to_le_bytes());
    assert_eq!(gunzip(&lying, &mut out, LIMIT), Err(DecodeError::LimitExceeded { limit: LIMIT }));
}

#[test]
fn a_bomb_of_many_members_is_stopped_too() {
    let member = gzip_compress(&vec![0; 100_000], 6);
    let bomb: Vec<u8> = member.iter().copied().cycle().take(member.len() * 100).collect();
    let mut out = Vec::new();
    assert_eq!(gunzip(&bomb, &mut out, LIMIT), Err(DecodeError::LimitExceeded { limit: LIMIT }));
}

#[test]
fn the_limit_itself_is_allowed() {
    let compressed = gzip_compress(&plain(1000), 6);
    let mut out = Vec::new();
    assert_eq!(gunzip(&compressed, &mut out, 1000), Ok(()));
    assert_eq!(gunzip(&compressed, &mut out, 999), Err(DecodeError::LimitExceeded { limit: 999 }));
    assert_eq!(gunzip(&compressed, &mut out, 0), Err(DecodeError::LimitExceeded { limit: 0 }));
}

#[test]
fn a_wrong_claim_of_size_or_checksum_is_refused() {
    let good = gzip_compress(&plain(1000), 6);
    let mut out = Vec::new();
    for at in 1..=8 {
        let mut bad = good.clone();
        let index = bad.len() - at;
        *bad.get_mut(index).unwrap() ^= 1;
        assert_eq!(
            gunzip(&bad, &mut out, LIMIT),
            Err(DecodeError::Invalid { encoding: "gzip" }),
            "byte {at} from the end"
        );
    }
}

#[test]
fn what_is_cut_short_or_followed_by_rubbish_is_refused() {
    let good = gzip_compress(&plain(3000), 6);
    let mut out = Vec::new();
    for len in 0..good.len() {
        assert!(gunzip(good.get(..len).unwrap(), &mut out, LIMIT).is_err(), "{len}");
        assert!(out.is_empty());
    }
    let mut followed = good.clone();
    followed.extend_from_slice(b"rubbish");
    assert!(gunzip(&followed, &mut out, LIMIT).is_err());
}

proptest! {
    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), limit in 0usize..5000) {
        let mut out = Vec::new();
        let mut framed = vec![0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 0, 0xff];
        framed.extend_from_slice(&bytes);
        for input in [bytes.as_slice(), framed.as_slice()] {
            if gunzip(input, &mut out, limit).is_ok() {
                prop_assert!(out.len() <= limit);
            }
        }
    }

    #[test]
    fn what_was_compressed_comes_back(
        parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..4),
        level in -3i32..20,
    ) {
        let mut compressed = Vec::new();
        for part in &parts {
            compressed.extend_from_slice(&gzip_compress(part, level));
        }
        let mut out = Vec::new();
        gunzip(&compressed, &mut out, LIMIT).unwrap();
        prop_assert_eq!(out, parts.concat());
    }

    #[test]
    fn a_flipped_bit_never_gives_wrong_bytes(at in 0usize..10_000, bit in 0u8..8) {
        let good = gzip_compress(&plain(2000), 6);
        let mut bad = good.clone();
        let index = at % bad.len();
        *bad.get_mut(index).unwrap() ^= 1 << bit;
        let mut out = Vec::new();
        if gunzip(&bad, &mut out, LIMIT).is_ok() {
            // Some header bytes (time, system) carry nothing.
            prop_assert_eq!(out, plain(2000));
        }
    }
}
