//! What services say of a wrong signature, without what they repeat of the request.

/// Where the repetition begins: the request as the service saw it, session token included.
const BEGINNINGS: [&str; 2] =
    ["The Canonical String for this request should have been", "The String-to-Sign should have been"];

/// The words of a service up to where it repeats the request. AWS does so when a signature does not match; whoever logs or shows all of
/// the answer gives away the session token, which is among the signed fields.
#[must_use]
pub fn without_request(text: &str) -> &str {
    let end = BEGINNINGS.iter().filter_map(|beginning| text.find(beginning)).min();
    // Other services may have other words before the field itself.
    let field = text.to_ascii_lowercase().find("x-amz-security-token:");
    match end.into_iter().chain(field).min() {
        Some(end) => text.get(..end).unwrap_or_default().trim_end(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_not_among_the_words() {
        for (text, words) in [
            ("nothing special", "nothing special"),
            (
                "The request signature we calculated does not match the signature you provided.\n\nThe Canonical String for this request should have been\n'POST\n/x\n\nX-Amz-Security-Token:SECRET'",
                "The request signature we calculated does not match the signature you provided.",
            ),
            ("wrong: host:a\nx-amz-security-token:SECRET\n", "wrong: host:a"),
        ] {
            assert_eq!(without_request(text), words);
        }
    }
}
