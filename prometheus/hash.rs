//! The hashes that Prometheus spreads scrapes with: same host and same configuration give the same phase after
//! every restart, and two replicas with different external labels differ.

use xxhash_rust::xxh64::Xxh64;

use crate::labels::Labels;

/// xxHash64 (seed 0) over a sorted label set: each name and each value with its length before it, in one byte below
/// 255, else in `0xff` and three bytes, little endian.
#[must_use]
pub fn labels_hash<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> u64 {
    let mut hasher = Xxh64::new(0);
    for (name, value) in labels {
        for text in [name, value] {
            match u8::try_from(text.len()) {
                Ok(length) if length < u8::MAX => hasher.update(&[length]),
                _ => {
                    let [a, b, c, ..] = text.len().to_le_bytes();
                    hasher.update(&[u8::MAX, a, b, c]);
                }
            }
            hasher.update(text.as_bytes());
        }
    }
    hasher.digest()
}

/// FNV-1a, 64 bits.
#[must_use]
pub fn fnv1a64(bytes: &[u8]) -> u64 {
    fnv1a64_continue(0xcbf2_9ce4_8422_2325, bytes)
}

fn fnv1a64_continue(state: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(state, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The hash of a target: of all its labels (those that begin with `__` too) and its URL. Targets with equal hash are
/// one target.
#[must_use]
pub fn target_hash<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>, url: &str) -> u64 {
    let prefix = format!("{:016}", labels_hash(labels));
    fnv1a64_continue(fnv1a64(prefix.as_bytes()), url.as_bytes())
}

/// The seed that sets this process' scrapes apart from those of its replicas: the host's full name and the external
/// labels, hashed.
#[must_use]
pub fn offset_seed(fqdn: &str, external_labels: &Labels) -> u64 {
    fnv1a64_continue(fnv1a64(fqdn.as_bytes()), external_labels.to_string().as_bytes())
}

/// Where in its interval a target is scraped, in nanoseconds from the interval's start: so that scrapes of all targets are
/// spread evenly over the interval, and a target keeps its phase. Zero if the interval is zero.
#[must_use]
pub fn scrape_phase(interval_ns: u64, hash: u64, seed: u64) -> u64 {
    (hash ^ seed).checked_rem(interval_ns).unwrap_or(0)
}

/// How long after `now_ns` (Unix time) a target with this phase is first scraped, in nanoseconds. Zero if the interval is zero.
#[must_use]
pub fn first_scrape_delay(now_ns: u64, interval_ns: u64, phase_ns: u64) -> u64 {
    if interval_ns == 0 {
        return 0;
    }
    let base = interval_ns - now_ns % interval_ns;
    let next = base.saturating_add(phase_ns);
    if next > interval_ns { next - interval_ns } else { next }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::{first_scrape_delay, labels_hash, offset_seed, scrape_phase, target_hash};
    use crate::duration::PromDuration;
    use crate::labels::Labels;
    use crate::vectors;

    const FILE: &str = "vectors/scrape_vectors.json";

    /// The labels of a row by name; a target's labels may hold an empty value, which [`Labels`] does not.
    fn labels(value: &Value) -> BTreeMap<&str, &str> {
        value.as_object().unwrap().iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect()
    }

    fn pairs<'a>(labels: &'a BTreeMap<&str, &str>) -> impl Iterator<Item = (&'a str, &'a str)> {
        labels.iter().map(|(name, value)| (*name, *value))
    }

    #[test]
    fn vectors_of_target_hashes() {
        for row in vectors::rows(FILE, "target_url_and_hash") {
            let labels = labels(&row["labels"]);
            assert_eq!(labels_hash(pairs(&labels)).to_string(), vectors::text(&row, "labels_hash_xxh64"), "{row}");
            let hash = target_hash(pairs(&labels), vectors::text(&row, "url"));
            assert_eq!(hash.to_string(), vectors::text(&row, "target_hash_fnv64a"), "{row}");
            let mut phases = 0;
            for (key, phase) in row.as_object().unwrap() {
                let Some(settings) = key.strip_prefix("phase_ns seed=") else { continue };
                let (seed, interval) = settings.split_once(" interval=").unwrap();
                // Go prints a minute as 1m0s, which Prometheus' own notation does not allow.
                let interval =
                    interval.strip_suffix("m0s").map_or(interval.to_owned(), |minutes| format!("{minutes}m"));
                let interval = interval.parse::<PromDuration>().unwrap().as_nanos();
                let delay = scrape_phase(interval, hash, seed.parse().unwrap());
                assert_eq!(delay.to_string(), phase.as_str().unwrap(), "{key} of {row}");
                phases += 1;
            }
            assert!(phases > 0, "{row}");
        }
    }

    #[test]
    fn vectors_of_populated_target_hashes() {
        for row in vectors::rows(FILE, "populate_labels") {
            if row["hash_fnv64a"].is_null() {
                continue;
            }
            let hash = target_hash(pairs(&labels(&row["result"])), vectors::text(&row, "url"));
            assert_eq!(hash.to_string(), vectors::text(&row, "hash_fnv64a"), "{row}");
        }
    }

    #[test]
    fn vectors_of_offset_seeds() {
        for row in vectors::rows(FILE, "offset_seed") {
            let external: Labels = labels(&row["external_labels"]).into_iter().collect();
            let fqdn = vectors::text(&row, "fqdn");
            assert_eq!(format!("{fqdn}{external}"), vectors::text(&row, "hashed_string"), "{row}");
            assert_eq!(offset_seed(fqdn, &external).to_string(), vectors::text(&row, "offset_seed_fnv64a"), "{row}");
        }
    }

    #[test]
    fn long_labels_have_a_four_byte_length() {
        let (short, long) = ("x".repeat(254), "x".repeat(255));
        let hash = |text: &str| labels_hash([("a", text)].into_iter());
        assert_ne!(hash(&short), hash(&long));
        let mut expected = vec![1, b'a', 0xff, 0xff, 0, 0];
        expected.extend_from_slice(long.as_bytes());
        assert_eq!(hash(&long), xxhash_rust::xxh64::xxh64(&expected, 0));
    }

    #[test]
    fn the_first_scrape_is_within_one_interval() {
        for now in [0, 1, 999, 1000, 12_345] {
            for hash in [0, 1, 500, u64::MAX] {
                let delay = first_scrape_delay(now, 1000, scrape_phase(1000, hash, 7));
                assert!(delay <= 1000, "{now} {hash}");
                assert_eq!((now + delay) % 1000, (hash ^ 7) % 1000, "{now} {hash}");
            }
        }
        assert_eq!((first_scrape_delay(5, 0, 1), scrape_phase(0, 1, 1)), (0, 0));
    }
}
