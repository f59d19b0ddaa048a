//! Patterns: the shapes that need no regular expression, and RE2's syntax.

use proptest::prelude::*;
use regex::Regex;

use super::super::matcher::{Groups, Matcher};
use super::super::template::Template;

fn matches(pattern: &str, text: &str) -> bool {
    Matcher::new(pattern).unwrap_or_else(|error| panic!("{error}")).is_match(text)
}

#[test]
fn re2_syntax_means_what_it_means_in_go() {
    for (pattern, yes, no) in [
        (r"\Qa.b*\E+", "a.b**", "aXb"),
        (r"\d+", "42", "٣"),
        (r"\w", "_", "é"),
        (r"[\w-]+", "a-b", "é"),
        (r"\s", "\x0c", "\x0b"),
        (r"[^\s]", "\x0b", " "),
        (r".*\bfoo\b.*", "é foo é", "éfoos"),
        (r"éfoo\b.*", "éfoo", "éfoos"),
        (r".*\Bo", "fo", "o"),
        (r"[[:alpha:]_]+", "a_", "1"),
        (r"[[:^alpha:]]", "é", "a"),
        (r"[]a]+", "]a", "b"),
        (r"[a[]+", "[a", "]"),
        (r"[&&a]+", "&a", "b"),
        (r"[a-]+", "-a", "b"),
        (r"[a\]~~]+", "]~", "b"),
        (r"\pN", "٣", "a"),
        (r"\p{Greek}+", "αβ", "a"),
        (r"\P{^Greek}+", "αβ", "a"),
        (r"[\p{Lu}\d]+", "A1", "a"),
        (r"a{,2}", "a{,2}", "aa"),
        (r"a{02}", "a{02}", "aa"),
        (r"{", "{", ""),
        (r"a{2}", "aa", "a"),
        (r"a{1,}", "aaa", ""),
        (r"\101\x42\x{43}\0", "ABC\0", "ABC"),
        (r"(?i)straSSe", "STRASSE", "straße"),
        (r"(?i:a)b", "Ab", "AB"),
        (r"(?-s).", "a", "\n"),
        (r"(?i-i)a", "a", "A"),
        (r"a(?i)*", "aaa", "AAA"),
        (r"(?)a", "a", "b"),
        (r"(?U)a+", "aaa", "b"),
        (r"(?m)^a$", "a", "b"),
        (r"^metrics$", "metrics", "xmetrics"),
        (r"a\z|\Ab", "b", "ab"),
        (r"\_\-\/", "_-/", "x"),
        (r"foo#bar baz", "foo#bar baz", "foo"),
        (r"\x{d800}|a", "a", "b"),
        (r"[\x{d7ff}-\x{d800}\x{dfff}b]", "b", "a"),
    ] {
        assert!(matches(pattern, yes), "{pattern} has to match {yes}");
        assert!(!matches(pattern, no), "{pattern} must not match {no}");
    }
}

#[test]
fn what_re2_refuses_is_refused_in_its_words() {
    for (pattern, expected) in [
        (r"a(?=b)", "invalid or unsupported Perl syntax: `(?=`"),
        (r"a(?!b)", "invalid or unsupported Perl syntax: `(?!`"),
        (r"(?<=a)b", "invalid named capture: `(?<=a)b)$`"),
        (r"(?x)a", "invalid or unsupported Perl syntax: `(?x`"),
        (r"(?i-)a", "invalid or unsupported Perl syntax: `(?i-)`"),
        (r"(?P<a-b>x)", "invalid named capture: `(?P<a-b>`"),
        (r"(a)\1", r"invalid escape sequence: `\1`"),
        (r"\K", r"invalid escape sequence: `\K`"),
        (r"\C", r"invalid escape sequence: `\C`"),
        (r"\Z", r"invalid escape sequence: `\Z`"),
        (r"\x{110000}", r"invalid escape sequence: `\x{110000`"),
        (r"\xg1", r"invalid escape sequence: `\xg1`"),
        ("+", "missing argument to repetition operator: `+`"),
        ("a|*", "missing argument to repetition operator: `*`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("a+?+", "invalid nested repetition operator: `+?+`"),
        ("a{2}{3}", "invalid nested repetition operator: `{2}{3}`"),
        ("a{2,1}", "invalid repeat count: `{2,1}`"),
        ("a{1,1001}", "invalid repeat count: `{1,1001}`"),
        ("a{99999999999}", "invalid repeat count: `{99999999999}`"),
        ("(a{100}){11}", "invalid repeat count: `{11}`"),
        ("a)", "unexpected ): `^(?s:a))$`"),
        ("[a", "missing closing ]: `[a)$`"),
        (r"a\", r"missing closing ): `^(?s:a\)$`"),
        (r"\Qa|b", r"missing closing ): `^(?s:\Qa|b)$`"),
        ("[[:foo:]]", "invalid character class range: `[:foo:]`"),
        (r"\p{Alphabetic}", r"invalid character class range: `\p{Alphabetic}`"),
        (r"\p{greek}", r"invalid character class range: `\p{greek}`"),
        (r"[b-\x61]", r"invalid character class range: `b-\x61`"),
    ] {
        let error = Matcher::new(pattern).map(|_| ()).unwrap_err().to_string();
        assert_eq!(error, format!("error parsing regexp: {expected}"), "{pattern}");
    }
}

#[test]
fn nested_repeats_within_the_limit_are_fine() {
    for pattern in ["(a{100}){10}", "((a{10}){10}){10}", "(a{1000}){0}", "(a{1000})*", "a{0,1000}"] {
        assert!(Matcher::new(pattern).is_ok(), "{pattern}");
    }
}

fn expand(pattern: &str, text: &str, template: &str) -> Option<String> {
    let matcher = Matcher::new(pattern).unwrap_or_else(|error| panic!("{error}"));
    let groups = matcher.groups(text)?;
    let mut out = String::new();
    Template::new(template, matcher.group_names()).push_expanded(&mut out, &groups);
    Some(out)
}

#[test]
fn templates_are_read_as_go_reads_them() {
    for (pattern, text, template, expected) in [
        ("(a)(b)", "ab", "$2$1", "ba"),
        ("(a)(b)", "ab", "$1_x ${1}_x", " a_x"),
        ("(a)(b)", "ab", "$$1 $ ${ ${} ${1 $é", "$1 $ ${ ${} ${1 "),
        ("(?P<n>a)(?<m>b)", "ab", "$m$n$o", "ba"),
        ("(?P<n>a)|(?P<n>b)", "b", "[$n]", "[b]"),
        ("(a)", "a", "$01|$00|$0", "||a"),
        ("a.c", "abc", "$0$1", "abc"),
        ("x(.*)y", "x1y", "$0:$1", "x1y:1"),
    ] {
        assert_eq!(expand(pattern, text, template).as_deref(), Some(expected), "{pattern} {template}");
    }
}

proptest! {
    /// The shapes that need no regular expression agree with one.
    #[test]
    fn shapes_agree_with_the_engine(
        pattern in prop_oneof![
            r"[ab]{0,2}(\(\.\*\)|\(\.\+\)|\.\*|\.\+)[ab]{0,2}",
            r"\(?[ab]{0,2}(\|[ab]{0,2}){0,2}\)?",
            r"[ab.*+?()|\\]{0,6}",
        ],
        text in "[ab.\n]{0,6}",
    ) {
        let engine = Regex::new(&format!("^(?s:{pattern})$"));
        if let (Ok(matcher), Ok(engine)) = (Matcher::new(&pattern), engine) {
            prop_assert_eq!(matcher.is_match(&text), engine.is_match(&text), "{}", &pattern);
            let expected = engine.captures(&text);
            let groups = matcher.groups(&text);
            prop_assert_eq!(groups.is_some(), expected.is_some(), "{}", &pattern);
            if let (Some(groups), Some(expected)) = (groups, expected) {
                for number in 0..4 {
                    let found = Groups::get(&groups, number);
                    prop_assert_eq!(found, expected.get(number).map(|group| group.as_str()), "{}", &pattern);
                }
            }
        }
    }

    #[test]
    fn any_pattern_is_taken_or_refused(pattern in r"[ab01PQEpdwxzi<>=!:,.*+?(){}\[\]^$|\\-]{0,12}", text in "[ab0]{0,4}") {
        match Matcher::new(&pattern) {
            Ok(matcher) => prop_assert_eq!(matcher.is_match(&text), matcher.groups(&text).is_some()),
            Err(error) => {
                // The translation is to leave nothing to the engine but patterns that are too large.
                let error = error.to_string();
                prop_assert!(!error.contains("error: "), "{}: {}", &pattern, error);
            }
        }
    }

    #[test]
    fn quoted_text_matches_itself(text in r"[ -~é]{0,10}") {
        prop_assume!(!text.contains(r"\E") && !text.ends_with('\\'));
        let quoted = format!(r"\Q{text}\E");
        prop_assert!(matches(&quoted, &text));
    }
}
