#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::super::snappy::SnappyError;
use super::super::wire::{DecodeError, Rejection, SeriesError};
use super::*;
use crate::vectors::{rows, text};

fn flag(row: &serde_json::Value, key: &str) -> bool {
    row[key].as_bool().unwrap_or_default()
}

#[test]
fn statuses_mean_what_they_mean_to_prometheus() {
    for row in rows("vectors/remote_write_vectors.json", "http_status") {
        let status = u16::try_from(row["status"].as_u64().unwrap()).unwrap();
        let retry_on_429 = flag(&row, "retry_on_http_429");
        let expected = match (flag(&row, "success"), flag(&row, "recoverable")) {
            (true, _) => Outcome::Success,
            (false, true) => Outcome::Recoverable,
            (false, false) => Outcome::Permanent,
        };
        assert_eq!(classify(status, retry_on_429), expected, "{row}");

        let message = text(&row, "error");
        let body = message.split_once(": ").map_or("", |(_, body)| body);
        let wait = Some(Duration::from_secs(7));
        let found = StatusError::of_reply(status, retry_on_429, wait, body.as_bytes());
        match found {
            None => assert_eq!(expected, Outcome::Success),
            Some(error) => {
                assert_eq!(error.to_string(), message);
                assert_eq!(error.recoverable, expected == Outcome::Recoverable);
                let asked = row["retry_after_s"].as_u64();
                assert_eq!(error.retry_after.map(|wait| wait.as_secs()), asked, "{row}");
            }
        }
    }
}

#[test]
fn long_error_bodies_are_cut() {
    let error = StatusError::of_reply(500, false, None, "é".repeat(2000).as_bytes()).unwrap();
    assert_eq!(error.body.len(), MAX_ERROR_BODY);
    let error = StatusError::of_reply(404, false, None, b"\xffgone").unwrap();
    assert_eq!(error.to_string(), "server returned HTTP status 404 Not Found: \u{fffd}gone");
}

#[test]
fn retry_after_is_read_as_prometheus_reads_it() {
    let now = SystemTime::now();
    for row in rows("vectors/remote_write_vectors.json", "retry_after") {
        let found = retry_after(text(&row, "header"), now).map_or(0.0, |wait| wait.as_secs_f64());
        // Only waits above zero have an effect, so that is all that is told apart.
        let expected = text(&row, "seconds").parse::<f64>().unwrap_or(-1.0).max(0.0);
        assert_eq!(found, expected, "{row}");
    }
}

#[test]
fn retry_after_takes_every_form_of_http_date() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_480 - 90);
    for date in ["Wed, 21 Oct 2015 07:28:00 GMT", "Wednesday, 21-Oct-15 07:28:00 GMT", "Wed Oct 21 07:28:00 2015"] {
        assert_eq!(retry_after(date, now), Some(Duration::from_secs(90)), "{date}");
    }
    for wrong in ["Wed, 21 Oct 2015 07:28:00 CET", "Wed, 99 Oct 2015 07:28:00 GMT", "99999999999999999999", "+"] {
        assert_eq!(retry_after(wrong, now), None, "{wrong}");
    }
}

#[test]
fn requests_have_the_headers_of_prometheus() {
    let all = rows("vectors/remote_write_vectors.json", "request_headers");
    for row in &all {
        let version: ProtocolVersion = text(row, "protobuf_message").parse().unwrap();
        let mut found: Vec<(String, String)> =
            version.request_headers().iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let attempt = row["attempt"].as_u64().unwrap();
        if attempt > 0 {
            found.push((RETRY_ATTEMPT.to_owned(), attempt.to_string()));
        }
        // The other ones are of the connection and of the user.
        let others = ["content-length", "user-agent", "x-scope-orgid"];
        let mut expected: Vec<(String, String)> = row["headers"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.to_lowercase(), value.as_str().unwrap().to_owned()))
            .filter(|(name, _)| !others.contains(&name.as_str()))
            .collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{row}");
        assert!(found.iter().all(|(name, _)| is_reserved_header(&name.to_uppercase())));
    }
    assert!(!is_reserved_header("X-Scope-OrgID"));
}

#[test]
fn content_types_name_the_version() {
    let read = |text: &str| ProtocolVersion::from_content_type(Some(text));
    assert_eq!(ProtocolVersion::from_content_type(None), Ok(ProtocolVersion::V1));
    for one in [
        "",
        "application/x-protobuf",
        "Application/X-Protobuf; charset=utf-8",
        "application/x-protobuf;proto=prometheus.WriteRequest",
    ] {
        assert_eq!(read(one), Ok(ProtocolVersion::V1), "{one}");
    }
    for two in [
        "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        "application/x-protobuf ; Proto = \"io.prometheus.write.v2.Request\" ;",
    ] {
        assert_eq!(read(two), Ok(ProtocolVersion::V2), "{two}");
    }
    for wrong in ["text/plain", "application/json", "application/x-protobuf;proto", "application/x-protobuf;proto=x"] {
        let error = read(wrong).unwrap_err();
        assert!(error.to_string().starts_with(&format!("unsupported content-type {wrong:?}: send ")), "{error}");
        assert_eq!(Response::unsupported(&error).status, 415);
    }
    for version in [ProtocolVersion::V1, ProtocolVersion::V2] {
        assert_eq!(read(version.request_headers()[1].1), Ok(version));
        assert_eq!(serde_json::from_value(version.to_string().into()).ok(), Some(version));
    }
    let error = serde_json::from_value::<ProtocolVersion>("x".into()).unwrap_err();
    assert!(error.to_string().starts_with("unknown protobuf_message \"x\": use prometheus.WriteRequest"));

    assert_eq!(Encoding::from_content_encoding(None), Ok(Encoding::Snappy));
    assert_eq!(Encoding::from_content_encoding(Some("Snappy")), Ok(Encoding::Snappy));
    assert_eq!(Encoding::from_content_encoding(Some(" zstd")), Ok(Encoding::Zstd));
    assert!(Encoding::from_content_encoding(Some("gzip")).is_err());
}

#[test]
fn waits_double_up_to_the_longest() {
    let mut backoff = Backoff::new(Duration::from_millis(30), Duration::from_millis(100), 2.0, 0.5);
    let mut waits = |random: f64| -> Vec<u128> { (0..4).map(|_| backoff.next_wait(|| random).as_millis()).collect() };
    assert_eq!(waits(0.5), [30, 60, 100, 100]);
    assert_eq!(waits(0.0)[3], 50);
    assert_eq!(waits(1.0)[3], 150);
    backoff.reset();
    assert_eq!(backoff.next_wait_asked(Some(Duration::from_secs(9)), || 0.5), Duration::from_secs(9));
    assert_eq!(backoff.next_wait_asked(None, || 0.5), Duration::from_millis(60));
    assert_eq!(backoff.next_wait_asked(Some(Duration::MAX), || 0.5), MAX_RETRY_AFTER);
}

#[test]
fn senseless_settings_do_no_harm() {
    let second = Duration::from_secs(1);
    let mut backoff = Backoff::new(second, Duration::ZERO, f64::NAN, -3.0);
    assert_eq!([backoff.next_wait(|| 7.0), backoff.next_wait(|| f64::NAN)], [second; 2]);
    let mut backoff = Backoff::new(Duration::MAX, Duration::MAX, f64::INFINITY, 1.0);
    assert_eq!([backoff.next_wait(|| 1.0), backoff.next_wait(|| 1.0)], [Duration::MAX; 2]);
}

#[test]
fn answers_say_whether_to_try_again() {
    let rejection = Rejection { series: 3, samples: 1, histograms: 0, exemplars: 0, error: SeriesError::NoLabels };
    let one = Response::partly_written(&rejection, 1);
    assert_eq!((one.status, one.body.as_str()), (400, "time series 3: it has no labels"));
    assert_eq!(Response::partly_written(&rejection, 3).body, "time series 3: it has no labels (and 2 more rejections)");
    let large = SnappyError::OverLimit { len: 2, limit: 1 };
    assert_eq!(Response::not_decompressed(&large).status, 413);
    assert_eq!(Response::not_decompressed(&SnappyError::Corrupt(String::new())).status, 400);
    assert_eq!(Response::not_decoded(&DecodeError::FirstSymbolNotEmpty).status, 400);
    assert_eq!(Response::not_decoded(&DecodeError::OtherVersion { found: "1.0", announced: "2.0" }).status, 415);
    let busy = Response::busy("queue is full", Duration::from_millis(1500));
    assert_eq!((busy.status, busy.retry_after_header()), (503, Some((RETRY_AFTER, 2))));
    assert_eq!(classify(busy.status, false), Outcome::Recoverable);
    assert_eq!(Response::busy("", Duration::ZERO).retry_after_header(), Some((RETRY_AFTER, 1)));
    assert_eq!(Response::busy("", Duration::MAX).retry_after_header(), Some((RETRY_AFTER, u64::MAX)));
    assert_eq!(Response::written().retry_after_header(), None);
    assert_eq!(classify(Response::written().status, false), Outcome::Success);
}

#[test]
fn written_counts_are_read_back() {
    let written = Written { samples: 5, histograms: 0, exemplars: 2 };
    let headers = written.headers().map(|(name, count)| (name, count.to_string()));
    let look_up = |name: &str| headers.iter().find(|header| header.0 == name).map(|header| header.1.as_str());
    assert_eq!(Written::from_headers(look_up), Some(written));
    assert_eq!(Written::from_headers(|_| None), None);
    assert_eq!(Written::from_headers(|_| Some("x")), None);
    let only_samples = |name: &str| (name == SAMPLES_WRITTEN).then_some("7");
    assert_eq!(Written::from_headers(only_samples), Some(Written { samples: 7, ..Written::default() }));
}

proptest! {
    #[test]
    fn waits_stay_within_their_bounds(
        initial_ms in 1_u64..10_000,
        max_ms in 1_u64..100_000,
        multiplier in 1.0..4.0_f64,
        randomization in 0.0..=1.0_f64,
        randoms in proptest::collection::vec(0.0..=1.0_f64, 1..20),
    ) {
        let initial = Duration::from_millis(initial_ms);
        let max = Duration::from_millis(max_ms).max(initial);
        let mut backoff = Backoff::new(initial, max, multiplier, randomization);
        let slack = Duration::from_micros(1);
        for random in randoms {
            let wait = backoff.next_wait(|| random);
            prop_assert!(wait + slack >= initial.mul_f64(1.0 - randomization));
            prop_assert!(wait <= max.mul_f64(1.0 + randomization) + slack);
        }
    }

    #[test]
    fn no_header_makes_the_parsers_panic(header in ".{0,40}", digits in "[0-9]{1,25}") {
        let _read = retry_after(&header, SystemTime::now());
        let _read = retry_after(&digits, SystemTime::now());
        let _read = ProtocolVersion::from_content_type(Some(&header)).is_ok();
    }
}
