//! Text quoted the way Go's `%q` does it, because Prometheus' error texts and hashed label texts are written so.

use std::fmt::Write;
use std::sync::LazyLock;

use regex::Regex;

/// What Go's `strconv.IsPrint` accepts beyond ASCII: letters, marks, numbers, punctuation and symbols.
static PRINTABLE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\A[\p{L}\p{M}\p{N}\p{P}\p{S}]\z").ok());

/// Appends `text` to `out`, quoted as Go's `strconv.Quote` does. Bytes that are not UTF-8 come out as `\xNN`.
pub fn push_quoted(out: &mut String, text: &[u8]) {
    out.push('"');
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            push_char(out, c);
        }
        for byte in chunk.invalid() {
            push_hex(out, *byte);
        }
    }
    out.push('"');
}

/// `text` quoted as Go's `strconv.Quote` does.
///
/// ```
/// assert_eq!(prometheus::quote::quoted(b"a\"b\n\xff"), r#""a\"b\n\xff""#);
/// ```
#[must_use]
pub fn quoted(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    push_quoted(&mut out, text);
    out
}

fn push_char(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        ' '..='~' => out.push(c),
        '\0'..='\x1f' | '\x7f' => push_hex(out, c as u8),
        _ if is_printable(c) => out.push(c),
        _ => {
            let code = u32::from(c);
            let written = if code < 0x1_0000 { write!(out, "\\u{code:04x}") } else { write!(out, "\\U{code:08x}") };
            debug_assert!(written.is_ok(), "writing to a string does not fail");
        }
    }
}

fn push_hex(out: &mut String, byte: u8) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    out.push_str("\\x");
    for nibble in [byte >> 4, byte & 0x0f] {
        out.push(DIGITS.get(usize::from(nibble)).copied().unwrap_or('0'));
    }
}

fn is_printable(c: char) -> bool {
    let mut buffer = [0u8; 4];
    let text: &str = c.encode_utf8(&mut buffer);
    PRINTABLE.as_ref().is_some_and(|class| class.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn quotes_as_go_does() {
        for (text, expected) in [
            (&b"plain"[..], r#""plain""#),
            (b"a\0b\x7f", r#""a\x00b\x7f""#),
            ("\u{a0}1".as_bytes(), r#""\u00a01""#),
            ("é世".as_bytes(), "\"é世\""),
            ("\u{1F600}\u{E0001}".as_bytes(), "\"\u{1F600}\\U000e0001\""),
            (b"\xef\xbb", r#""\xef\xbb""#),
            ("\u{feff}".as_bytes(), r#""\ufeff""#),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }
}
