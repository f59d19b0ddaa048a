#![expect(clippy::unwrap_used, reason = "tests")]

use super::{LimitsKey, StoreLimits};
use crate::prometheus_remote_write::tests::{batch, encode, encoder, origin, point, series};
use pipeline::{FamilyKind, Source};
use serde::Deserialize;
use std::time::Duration;

#[derive(Deserialize)]
struct Keys {
    limits: Option<LimitsKey>,
}

fn limits(text: &str, amp: bool) -> Result<StoreLimits, String> {
    let node = pipeline::config::parse(text, "test.yaml").unwrap();
    let keys: Keys = pipeline::config::decode(&node, "").map_err(|errors| errors.to_string())?;
    keys.limits.unwrap_or_default().limits(amp).map_err(|(key, message)| format!("{key}: {message}"))
}

#[test]
fn limits_are_those_of_the_endpoint_unless_the_configuration_says_others() {
    let amp = StoreLimits::AMP;
    assert_eq!(limits("{}", true).unwrap(), amp);
    assert_eq!(limits("{}", false).unwrap(), StoreLimits::default());
    assert_eq!(limits("limits: amp", false).unwrap(), amp);
    assert_eq!(limits("limits: none", true).unwrap(), StoreLimits::default());
    assert_eq!(limits("limits: {store: amp}", false).unwrap(), amp);
    let own = limits("limits: {max_labels: 30, max_sample_age: 10m}", true).unwrap();
    assert_eq!(own, StoreLimits { labels: Some(30), sample_age: Some(Duration::from_secs(600)), ..amp });
    let own = limits("limits: {max_label_bytes: 1000, max_request_bytes: 500000}", false).unwrap();
    assert_eq!((own.label_bytes, own.request_bytes, own.labels), (Some(1000), Some(500_000), None));
    assert!(own.exemplars() && !amp.exemplars());
    assert!(amp.packed_bytes() < 900_000);
    for (text, words) in [
        ("limits: cortex", "limits: unknown store \"cortex\""),
        ("limits: {max_request_bytes: 100}", "max_request_bytes must be at least"),
    ] {
        let error = limits(text, false).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
}

/// The names of what is sent of these series.
fn sent(keys: &str, of: &[(&str, Vec<(String, String)>)]) -> Vec<String> {
    let table = of
        .iter()
        .map(|(name, labels)| {
            let labels: Vec<(&str, &str)> =
                labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            series(name, FamilyKind::Gauge, &labels)
        })
        .collect();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    let points = (0..of.len()).map(|at| point(at as u32, now, 1.0)).collect();
    let origin = origin(Source::Scrape, &[], &[("job", "j"), ("instance", "i")]);
    let received = encode(&mut encoder(keys), batch(&origin, table, points));
    let name = |labels: Vec<(String, String)>| labels.into_iter().find(|(name, _)| name == "__name__").unwrap().1;
    received.series.into_iter().map(|(labels, _)| name(labels)).collect()
}

#[test]
fn series_are_kept_back_from_the_first_label_and_byte_over_a_limit() {
    let many = |labels: usize| (0..labels).map(|at| (format!("l{at}"), "v".to_owned())).collect::<Vec<_>>();
    // __name__, job and instance belong to a series too: 11 + 4 + 9 bytes.
    let long = |bytes: usize| vec![("l".to_owned(), "x".repeat(bytes - 1 - "__name__b".len() - 4 - 9))];
    let keys = "keep_scraped_names: true\nlimits: {max_labels: 5, max_label_bytes: 100}";
    let of = [("a", many(2)), ("b", many(3)), ("b", long(100)), ("b", long(101)), ("a", many(0))];
    assert_eq!(sent(keys, &of), ["a", "b", "a"]);
    assert_eq!(sent("keep_scraped_names: true", &of).len(), 5);
}
