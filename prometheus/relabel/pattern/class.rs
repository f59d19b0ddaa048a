//! Character classes and escaped characters of RE2.

use std::fmt::Write;

use regex::Regex;

use super::PatternError;

/// Matches no character at all.
const NOTHING: &str = r"[^\x00-\x{10FFFF}]";

/// Appends one character, written so that it is literal inside and outside of brackets. A number that is no character
/// (half of a surrogate pair) cannot be in a text and becomes a class that matches nothing.
pub(super) fn push_code(out: &mut String, code: u32) {
    match char::from_u32(code) {
        Some(c) if c.is_ascii_alphanumeric() || !c.is_ascii() => out.push(c),
        Some(_) => {
            let written = write!(out, "\\x{{{code:x}}}");
            debug_assert!(written.is_ok(), "writing to a string does not fail");
        }
        None => out.push_str(NOTHING),
    }
}

/// `\d`, `\pN`, `\p{Greek}` and the like at the beginning of `text`: the class for the regex crate and what follows;
/// `None` if there is something else.
pub(super) fn named(text: &str) -> Result<Option<(String, &str)>, PatternError> {
    let Some(after) = text.strip_prefix('\\') else { return Ok(None) };
    let mut chars = after.chars();
    let perl = match chars.next() {
        Some('d') => "[0-9]",
        Some('D') => "[^0-9]",
        Some('s') => r"[\t\n\x{c}\r ]",
        Some('S') => r"[^\t\n\x{c}\r ]",
        Some('w') => "[0-9A-Za-z_]",
        Some('W') => "[^0-9A-Za-z_]",
        Some('p') => return unicode(text, false).map(Some),
        Some('P') => return unicode(text, true).map(Some),
        _ => return Ok(None),
    };
    Ok(Some((perl.to_owned(), chars.as_str())))
}

/// `\pN`, `\p{Greek}`, `\p{^Greek}` and the same with `\P`.
fn unicode(text: &str, negated: bool) -> Result<(String, &str), PatternError> {
    let invalid = |excerpt: &str| PatternError::new("invalid character class range", excerpt);
    let after = text.get(2..).unwrap_or_default();
    let (name, rest) = match after.strip_prefix('{') {
        Some(inside) => inside.split_once('}').ok_or_else(|| invalid(text))?,
        None => {
            let end = after.chars().next().map_or(0, char::len_utf8);
            after.split_at(end)
        }
    };
    let (negated, name) = match name.strip_prefix('^') {
        Some(name) => (!negated, name),
        None => (negated, name),
    };
    let sign = if negated { 'P' } else { 'p' };
    // Names are exact in Go, while the regex crate is generous: it takes properties, and any spelling.
    let exact = name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    let forms = match name {
        "Any" => vec![format!(r"\{sign}{{Any}}")],
        _ => vec![format!(r"\{sign}{{gc={name}}}"), format!(r"\{sign}{{sc={name}}}")],
    };
    let class = forms.into_iter().find(|form| exact && Regex::new(form).is_ok());
    let read = text.len() - rest.len();
    class.map(|class| (class, rest)).ok_or_else(|| invalid(text.get(..read).unwrap_or(text)))
}

/// `[...]` at the beginning of `text`: the class for the regex crate and what follows.
pub(super) fn bracket(text: &str) -> Result<(String, &str), PatternError> {
    let mut out = String::from("[");
    let mut rest = text.get(1..).unwrap_or_default();
    if let Some(after) = rest.strip_prefix('^') {
        out.push('^');
        rest = after;
    }
    // An empty class inside makes the brackets valid for the regex crate whatever else is in them.
    out.push_str(NOTHING);
    let mut first = true;
    loop {
        if let Some(after) = rest.strip_prefix(']')
            && !first
        {
            out.push(']');
            return Ok((out, after));
        }
        first = false;
        if let Some((class, after)) = posix(rest)? {
            out.push_str(&class);
            rest = after;
            continue;
        }
        if let Some((class, after)) = named(rest)? {
            out.push_str(&class);
            rest = after;
            continue;
        }
        let range = rest;
        let (low, after) = class_char(rest, text)?;
        rest = after;
        let mut high = low;
        if let Some(after) = rest.strip_prefix('-')
            && !after.is_empty()
            && !after.starts_with(']')
        {
            (high, rest) = class_char(after, text)?;
        }
        if high < low {
            let read = range.len() - rest.len();
            return Err(PatternError::new("invalid character class range", range.get(..read).unwrap_or(range)));
        }
        push_range(&mut out, low, high);
    }
}

fn push_range(out: &mut String, low: u32, high: u32) {
    // Surrogates are in no text.
    let low = if (0xd800..0xe000).contains(&low) { 0xe000 } else { low };
    let high = if (0xd800..0xe000).contains(&high) { 0xd7ff } else { high };
    if low > high {
        return;
    }
    push_code(out, low);
    if low != high {
        out.push('-');
        push_code(out, high);
    }
}

/// `[:alpha:]` or `[:^alpha:]` at the beginning of `text`.
fn posix(text: &str) -> Result<Option<(String, &str)>, PatternError> {
    const NAMES: [&str; 14] = [
        "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper",
        "word", "xdigit",
    ];
    let Some((name, rest)) = text.strip_prefix("[:").and_then(|inside| inside.split_once(":]")) else {
        return Ok(None);
    };
    if NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
        return Ok(Some((format!("[:{name}:]"), rest)));
    }
    Err(PatternError::new("invalid character class range", &format!("[:{name}:]")))
}

/// One character inside brackets; `whole` is the text from the opening bracket on.
fn class_char<'t>(text: &'t str, whole: &str) -> Result<(u32, &'t str), PatternError> {
    let mut chars = text.chars();
    match chars.next() {
        None => Err(PatternError::new("missing closing ]", whole)),
        Some('\\') => escaped_char(text),
        Some(c) => Ok((u32::from(c), chars.as_str())),
    }
}

/// A backslash and the character it stands for.
pub(super) fn escaped_char(text: &str) -> Result<(u32, &str), PatternError> {
    let mut chars = text.get(1..).unwrap_or_default().chars();
    let Some(c) = chars.next() else {
        return Err(PatternError::new("trailing backslash at end of expression", ""));
    };
    let rest = chars.as_str();
    let octal_follows = rest.starts_with(|c: char| ('0'..='7').contains(&c));
    let code = match c {
        '0' => return Ok(octal(text)),
        '1'..='7' if octal_follows => return Ok(octal(text)),
        'x' => return hexadecimal(text),
        'a' => 0x07,
        'f' => 0x0c,
        'n' => 0x0a,
        'r' => 0x0d,
        't' => 0x09,
        'v' => 0x0b,
        _ if c.is_ascii() && !c.is_ascii_alphanumeric() => u32::from(c),
        _ => return Err(invalid_escape(text, rest)),
    };
    Ok((code, rest))
}

fn invalid_escape(text: &str, rest: &str) -> PatternError {
    let read = text.len() - rest.len();
    PatternError::new("invalid escape sequence", text.get(..read).unwrap_or(text))
}

/// A backslash and up to three octal digits.
fn octal(text: &str) -> (u32, &str) {
    let digits = text.get(1..).unwrap_or_default();
    let length = digits.bytes().take(3).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
    let (digits, rest) = digits.split_at(length);
    (u32::from_str_radix(digits, 8).unwrap_or(0), rest)
}

/// `\xNN` or `\x{N...}`. What is wrong is shown up to the character that makes it wrong.
fn hexadecimal(text: &str) -> Result<(u32, &str), PatternError> {
    let digits = text.get(2..).unwrap_or_default();
    let mut chars = digits.chars();
    let Some(inside) = digits.strip_prefix('{') else {
        let (first, second) = (chars.next(), chars.next());
        return match (first.and_then(|c| c.to_digit(16)), second.and_then(|c| c.to_digit(16))) {
            (Some(high), Some(low)) => Ok((high * 16 + low, chars.as_str())),
            _ => Err(invalid_escape(text, chars.as_str())),
        };
    };
    let mut code = 0u32;
    let mut chars = inside.chars();
    loop {
        let at = chars.as_str();
        match (chars.next(), at.len() < inside.len()) {
            (Some('}'), true) => return Ok((code, chars.as_str())),
            (Some(c), _) if c.is_ascii_hexdigit() => {
                code = code * 16 + c.to_digit(16).unwrap_or(0);
                if code > u32::from(char::MAX) {
                    return Err(invalid_escape(text, chars.as_str()));
                }
            }
            _ => return Err(invalid_escape(text, chars.as_str())),
        }
    }
}
