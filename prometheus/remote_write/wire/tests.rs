use super::encode::*;
use super::v1::*;

#[test]
fn varint_lengths_are_those_written() {
    for shift in 0..64 {
        for value in [1_u64 << shift, (1 << shift) - 1, (1 << shift) | 1, u64::MAX >> shift] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(out.len(), varint_len(value), "{value}");
        }
    }
}

#[test]
fn the_hot_path_writes_what_the_general_path_writes() {
    for labels_len in [0, 1, 100, 110, 127, 128, 300, 16_365, 16_384, 20_000] {
        let labels = vec![b'x'; labels_len];
        for timestamp_ms in [0, 1, -1, 127, 128, 1_700_000_000_123, i64::MAX, i64::MIN] {
            let timestamp = TimestampField::new(timestamp_ms);
            for value in [0.0, -0.0, 1.5, f64::NAN, f64::INFINITY] {
                let mut fast = b"before".to_vec();
                put_float_series(&mut fast, &labels, value, &timestamp);
                let mut general = b"before".to_vec();
                put_series(&mut general, &labels, |out| put_sample(out, value, &timestamp));
                assert_eq!(fast, general);

                let mut by_hand = b"before".to_vec();
                put_message_field(&mut by_hand, 1, |out| {
                    out.extend_from_slice(&labels);
                    put_message_field(out, 2, |out| {
                        if value.to_bits() != 0 {
                            put_double_field(out, 1, value);
                        }
                        if timestamp_ms != 0 {
                            put_varint_field(out, 2, timestamp_ms.cast_unsigned());
                        }
                    });
                });
                assert_eq!(fast, by_hand, "{value} at {timestamp_ms}");
            }
        }
    }
}

#[test]
fn a_message_field_makes_room_for_its_length() {
    for len in [0, 1, 127, 128, 16_383, 16_384, 70_000] {
        let body: Vec<u8> = (0..len).map(|index| index as u8).collect();
        let mut nested = vec![9];
        put_message_field(&mut nested, 2, |out| out.extend_from_slice(&body));
        let mut flat = vec![9];
        put_bytes_field(&mut flat, 2, &body);
        assert_eq!(nested, flat);
        assert_eq!(flat.len() - 1, bytes_field_len(2, len));
    }
}
