//! Upper and lower case as Go maps it: one character to one character, by Unicode's simple mapping.

/// Appends `text` in lower case.
pub(super) fn push_lower(out: &mut String, text: &str) {
    push_mapped(out, text, |c| {
        let mut mapped = c.to_lowercase();
        match (mapped.next(), mapped.next()) {
            (Some(lower), None) => lower,
            // The only character with a longer full mapping: its simple mapping is the plain letter.
            _ if c == '\u{130}' => 'i',
            _ => c,
        }
    });
}

/// Appends `text` in upper case.
pub(super) fn push_upper(out: &mut String, text: &str) {
    push_mapped(out, text, |c| {
        let mut mapped = c.to_uppercase();
        match (mapped.next(), mapped.next()) {
            (Some(upper), None) => upper,
            _ => simple_upper(c),
        }
    });
}

fn push_mapped(out: &mut String, text: &str, map: impl Fn(char) -> char) {
    out.extend(text.chars().map(map));
}

/// The simple mapping of characters whose full mapping is several characters. Greek letters with iota subscript have
/// one (to the letter with prosgegrammeni); the others, such as `ß` and ligatures, map to themselves.
fn simple_upper(c: char) -> char {
    let code = u32::from(c);
    let upper = match code {
        0x1f80..=0x1faf => code | 8,
        0x1fb3 | 0x1fc3 | 0x1ff3 => code + 9,
        _ => code,
    };
    char::from_u32(upper).unwrap_or(c)
}

#[cfg(test)]
mod tests {
    use super::{push_lower, push_upper};

    #[test]
    fn one_character_stays_one_character() {
        for (text, lower, upper) in [
            ("aBc é", "abc é", "ABC É"),
            ("straße ﬁ ŉ", "straße ﬁ ŉ", "STRAßE ﬁ ŉ"),
            ("İıKΣς", "iıkσς", "İIKΣΣ"),
            ("ᾀᾈᾳᾼᾷ", "ᾀᾀᾳᾳᾷ", "ᾈᾈᾼᾼᾷ"),
        ] {
            let (mut lowered, mut uppered) = (String::new(), String::new());
            push_lower(&mut lowered, text);
            push_upper(&mut uppered, text);
            assert_eq!((lowered.as_str(), uppered.as_str()), (lower, upper), "{text}");
        }
    }
}
