#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::{
    format_go_float, format_openmetrics_float, format_shortest_decimal, parse_digits, parse_value, scan_short_decimal,
};
use crate::vectors;

#[test]
fn vectors_of_label_floats() {
    for row in vectors::rows("vectors/prom_misc_vectors.json", "label_floats") {
        let value = f64::from_bits(u64::from_str_radix(vectors::text(&row, "bits"), 16).unwrap());
        assert_eq!(format_go_float(value), vectors::text(&row, "go_g"), "{row}");
        assert_eq!(format_openmetrics_float(value), vectors::text(&row, "openmetrics_label"), "{row}");
    }
}

#[test]
fn reads_every_form() {
    for (text, expected) in [
        ("0", 0.0),
        ("-0", -0.0),
        ("+5", 5.0),
        ("5.", 5.0),
        (".5", 0.5),
        ("-.5e1", -5.0),
        ("1E3", 1000.0),
        ("1.445697e+06", 1_445_697.0),
        ("0.1000000000000000055511151231257827021181583404541015625", 0.1),
        ("123456789012345678", 123_456_789_012_345_680.0),
        ("1e-400", 0.0),
        ("0e99999", 0.0),
        ("9007199254740993", 9_007_199_254_740_992.0),
        ("1e23", 1e23),
        ("8.41e+21", 8.41e21),
        ("InFinity", f64::INFINITY),
        ("+inf", f64::INFINITY),
        ("-Inf", f64::NEG_INFINITY),
    ] {
        assert_eq!(parse_value(text.as_bytes()).unwrap().to_bits(), expected.to_bits(), "{text}");
    }
    assert_eq!(parse_value(b"nAn").unwrap().to_bits(), super::NORMAL_NAN_BITS);
}

#[test]
fn refuses_in_gos_words() {
    for (text, expected) in [
        (&b""[..], "strconv.ParseFloat: parsing \"\": invalid syntax"),
        (b".", "strconv.ParseFloat: parsing \".\": invalid syntax"),
        (b"1e", "strconv.ParseFloat: parsing \"1e\": invalid syntax"),
        (b"1e+", "strconv.ParseFloat: parsing \"1e+\": invalid syntax"),
        (b"--1", "strconv.ParseFloat: parsing \"--1\": invalid syntax"),
        (b"+nan", "strconv.ParseFloat: parsing \"+nan\": invalid syntax"),
        (b"1\xff", "strconv.ParseFloat: parsing \"1\\xff\": invalid syntax"),
        (b"-1e400", "strconv.ParseFloat: parsing \"-1e400\": value out of range"),
        (b"1_0", "unsupported character in float"),
        (b"0x1p3", "unsupported character in float"),
    ] {
        assert_eq!(parse_value(text).unwrap_err().to_string(), expected);
    }
}

#[test]
fn reads_whole_timestamps() {
    assert_eq!(parse_digits(b"9223372036854775807"), Ok(i64::MAX));
    assert_eq!(
        parse_digits(b"9223372036854775808").unwrap_err().to_string(),
        "strconv.ParseInt: parsing \"9223372036854775808\": value out of range"
    );
}

#[test]
fn prints_without_exponent() {
    for (value, expected) in [
        (0.0, "0"),
        (-1.5, "-1.5"),
        (1e21, "1000000000000000000000"),
        (1.5e-7, "0.00000015"),
        (123.0, "123"),
        (0.1, "0.1"),
        (f64::INFINITY, "+Inf"),
    ] {
        assert_eq!(format_shortest_decimal(value), expected);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(text in proptest::collection::vec(any::<u8>(), 0..30)) {
        // Whatever is read is what the slow and exact way reads.
        if let Ok(value) = parse_value(&text) {
            let text = std::str::from_utf8(&text).unwrap();
            let exact: f64 = text.parse().unwrap();
            prop_assert!(exact.to_bits() == value.to_bits() || (exact.is_nan() && value.is_nan()));
        }
    }

    #[test]
    fn number_like_text_reads_as_the_exact_way_does(text in r"-?[0-9]{0,20}(\.[0-9]{0,20})?([eE][+-]?[0-9]{1,3})?") {
        match (parse_value(text.as_bytes()), text.parse::<f64>()) {
            (Ok(value), Ok(exact)) => prop_assert_eq!(value.to_bits(), exact.to_bits()),
            (Err(_), Ok(exact)) => prop_assert!(exact.is_infinite()),
            (Err(_), Err(_)) => {}
            (Ok(value), Err(_)) => prop_assert!(false, "{} was read as {}", text, value),
        }
    }

    #[test]
    fn printed_numbers_read_back(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        for printed in [format_go_float(value), format_shortest_decimal(value)] {
            prop_assert_eq!(parse_value(printed.as_bytes()).unwrap().to_bits(), bits, "{}", printed);
        }
    }

    #[test]
    fn the_short_way_stops_where_the_number_ends(number in -99_999.0..99_999.0f64, tail in "[ \n#a]{0,3}") {
        let printed = format!("{number:.3}");
        let scanned = scan_short_decimal(format!("{printed}{tail}").as_bytes());
        prop_assert_eq!(scanned, Some((printed.parse().unwrap(), printed.len())));
    }
}
