//! What values are as text.

use pipeline::AttributeValue;
use prometheus::translate::attribute_text as text;

#[test]
fn scalars() {
    let cases: [(AttributeValue<'_>, &str); 14] = [
        (AttributeValue::Str("a"), "a"),
        (AttributeValue::Bool(true), "true"),
        (AttributeValue::Int(-7), "-7"),
        (AttributeValue::Double(0.0), "0"),
        (AttributeValue::Double(1.5), "1.5"),
        (AttributeValue::Double(1e20), "100000000000000000000"),
        (AttributeValue::Double(1e21), "1e+21"),
        (AttributeValue::Double(-2.5e-7), "-2.5e-7"),
        (AttributeValue::Double(0.000001), "0.000001"),
        (AttributeValue::Empty, ""),
        (AttributeValue::Bytes(b""), ""),
        (AttributeValue::Bytes(b"a"), "YQ=="),
        (AttributeValue::Bytes(b"ab"), "YWI="),
        (AttributeValue::Bytes(&[0xff, 0xfe, 0xfd]), "//79"),
    ];
    for (value, expected) in cases {
        assert_eq!(text(value), expected, "{value:?}");
    }
}

fn field(number: u8, content: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, content.len() as u8], content].concat()
}

#[test]
fn lists_and_maps_are_json() {
    let string = field(1, b"a\"<\n");
    let list = field(5, &[field(1, &string), field(1, &[0x10, 1]), field(1, &[0x18, 5]), field(1, &[])].concat());
    assert_eq!(text(AttributeValue::Encoded(&list)), r#"["a\"\u003c\n",true,5,null]"#);
    let entry = |key: &[u8], value: &[u8]| field(1, &[field(1, key), field(2, value)].concat());
    let number = [&[0x21][..], &1.5_f64.to_le_bytes()].concat();
    let map = field(6, &[entry(b"b", &number), entry(b"a", &field(7, b"ab"))].concat());
    assert_eq!(text(AttributeValue::Encoded(&map)), r#"{"a":"YWI=","b":1.5}"#);
}

#[test]
fn damaged_and_endless_values_end() {
    assert_eq!(text(AttributeValue::Encoded(&[0xff; 20])), "null");
    assert_eq!(text(AttributeValue::Encoded(&[0x0a, 5, b'a'])), "null");
    let mut nested = Vec::new();
    for _ in 0..100 {
        let inner = [&[0x0a][..], &length(nested.len()), &nested].concat();
        nested = [&[0x2a][..], &length(inner.len()), &inner].concat();
    }
    let shown = text(AttributeValue::Encoded(&nested)).into_owned();
    assert_eq!(shown, format!("{}null{}", "[".repeat(64), "]".repeat(64)));
}

fn length(n: usize) -> Vec<u8> {
    if n < 128 { vec![n as u8] } else { vec![n as u8 & 0x7f | 0x80, (n >> 7) as u8] }
}
