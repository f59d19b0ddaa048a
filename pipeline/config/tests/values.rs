//! Durations, ids, secrets, suggestions.

use std::time::Duration;

use super::super::{ComponentId, ConfigError, ConfigErrors, GoDuration, Secret, Span, decode, parse, suggest};

fn nanos(text: &str) -> Result<i64, String> {
    text.parse::<GoDuration>().map(GoDuration::as_nanos).map_err(|error| error.to_string())
}

#[test]
fn durations_read_as_go_reads_them() {
    for (text, expected) in [
        ("0", 0),
        ("+0", 0),
        ("-0", 0),
        ("0s", 0),
        ("1ns", 1),
        ("1us", 1_000),
        ("1µs", 1_000),
        ("1μs", 1_000),
        ("100ms", 100_000_000),
        ("1.5s", 1_500_000_000),
        (".5s", 500_000_000),
        ("5.s", 5_000_000_000),
        ("1h2m3.5s", 3_723_500_000_000),
        ("-1m30s", -90_000_000_000),
        ("0.3333333333333333333h", 1_200_000_000_000 - 1),
        ("1.0000000001s", 1_000_000_000),
        ("9223372036854775807ns", i64::MAX),
        ("-9223372036854775808ns", i64::MIN),
    ] {
        assert_eq!(nanos(text), Ok(expected), "{text}");
    }
}

#[test]
fn durations_say_what_is_wrong() {
    for (text, part) in [
        ("", "invalid duration \"\""),
        ("-", "invalid duration"),
        ("abc", "invalid duration \"abc\""),
        ("s", "invalid duration"),
        (".s", "invalid duration"),
        (" 1s", "invalid duration"),
        ("10", "missing unit in duration \"10\"; write 10s"),
        ("1d", "unknown unit \"d\" in duration \"1d\""),
        ("1 s", "unknown unit \" s\""),
        ("1s-", "unknown unit \"s-\""),
        ("9223372036854775808ns", "too long"),
        ("99999999999999999999h", "too long"),
        ("9999999h", "too long"),
    ] {
        let error = nanos(text).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn durations_print_as_go_prints_them() {
    for (nanos, expected) in [
        (0, "0s"),
        (1, "1ns"),
        (1_100, "1.1µs"),
        (2_200_000, "2.2ms"),
        (3_300_000_000, "3.3s"),
        (245_000_000_000, "4m5s"),
        (245_001_000_000, "4m5.001s"),
        (18_367_001_000_000, "5h6m7.001s"),
        (3_600_000_000_000, "1h0m0s"),
        (480_000_000_001, "8m0.000000001s"),
        (-90_000_000_000, "-1m30s"),
        (i64::MAX, "2562047h47m16.854775807s"),
        (i64::MIN, "-2562047h47m16.854775808s"),
    ] {
        let duration = GoDuration::from_nanos(nanos);
        assert_eq!(duration.to_string(), expected);
        assert_eq!(duration.to_string().parse(), Ok(duration), "{expected}");
    }
}

#[test]
fn durations_convert() {
    assert_eq!(GoDuration::from_secs(2).to_std(), Duration::from_secs(2));
    assert_eq!(GoDuration::from_secs(-2).to_std(), Duration::ZERO);
    assert_eq!(GoDuration::from(Duration::MAX).as_nanos(), i64::MAX);
    assert!(GoDuration::from_millis(-1).is_negative());
}

#[test]
fn ids_follow_the_collectors_rules() {
    for (text, type_name, name) in [
        ("otlp", "otlp", ""),
        ("batch/metrics", "batch", "metrics"),
        (" batch / a.b-c ", "batch", "a.b-c"),
        ("a/b/c", "a", "b/c"),
        ("k8s_attributes/größe", "k8s_attributes", "größe"),
    ] {
        let id: ComponentId = text.parse().unwrap();
        assert_eq!((id.type_name(), id.name()), (type_name, name));
    }
    assert_eq!("batch/x".parse::<ComponentId>().unwrap().to_string(), "batch/x");
    assert_eq!(ComponentId::new("batch", "").unwrap().to_string(), "batch");
    for (text, message) in [
        ("", "id must not be empty"),
        ("/x", "in \"/x\" id: the part before / should not be empty"),
        ("x/", "in \"x/\" id: the part after / should not be empty"),
        ("a-b", "in \"a-b\" id: invalid character(s) in type \"a-b\""),
        ("1a", "in \"1a\" id: invalid character(s) in type \"1a\""),
        ("a/b c", "in \"a/b c\" id: invalid character(s) in name \"b c\""),
        ("a/b$", "in \"a/b$\" id: invalid character(s) in name \"b$\""),
        ("a/\u{1f600}", "invalid character(s) in name"),
        ("a/\u{200b}", "invalid character(s) in name"),
    ] {
        let error = text.parse::<ComponentId>().unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    assert!("a".repeat(63).parse::<ComponentId>().is_ok());
    assert!("a".repeat(64).parse::<ComponentId>().is_err());
    assert!(format!("a/{}", "b".repeat(1024)).parse::<ComponentId>().is_ok());
    let long = format!("a/{}", "b".repeat(1025)).parse::<ComponentId>().unwrap_err().to_string();
    assert!(long.contains("longer than 1024 characters (1025 characters)"), "{long}");
}

#[test]
fn secrets_never_print() {
    #[derive(Debug, serde::Deserialize)]
    struct Login {
        password: Secret,
    }
    let login: Login = decode(&parse("password: 0123", "f").unwrap(), "").unwrap();
    assert_eq!(login.password.expose(), "0123");
    assert_eq!(format!("{login:?} {}", login.password), "Login { password: [redacted] } [redacted]");
    assert!(Secret::new("").is_empty());
}

#[test]
fn suggestions_are_close_or_absent() {
    let known = ["endpoint", "external_labels", "timeout", "tls"];
    for (given, expected) in [
        ("endpont", Some("endpoint")),
        ("endPoint", Some("endpoint")),
        ("externalLabels", Some("external_labels")),
        ("timeotu", Some("timeout")),
        ("tsl", Some("tls")),
        ("verbosity", None),
        ("", None),
        ("xyz", None),
    ] {
        assert_eq!(suggest(given, known), expected, "{given}");
    }
    assert_eq!(suggest(&"x".repeat(100_000), known), None);
}

#[test]
fn problems_of_a_block_are_put_under_its_path() {
    let mut errors = ConfigErrors::new();
    for path in ["", "a::b", "[0]"] {
        errors.push(ConfigError::new(Span::whole("t"), path, "m"));
        errors.push(ConfigError::new(Span::whole("t"), path, "m"));
    }
    assert_eq!(errors.under("x").to_string(), "t: x: m\nt: x::a::b: m\nt: x[0]: m");
}
