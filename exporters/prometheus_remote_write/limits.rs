//! What a store does not accept, kept back before it is sent: one series with too many labels would have the whole request answered
//! with 400.
//!
//! The numbers are those of Amazon Managed Service for Prometheus ("quotas", all of them per workspace), and so are the reasons
//! that samples are counted under: its CloudWatch metric `DiscardedSamples` has the same.

mod discards;

use super::labels::{Pieces, label_pairs as pairs};
use super::metrics::Metrics;
use pipeline::config::GoDuration;
use serde::Deserialize;
use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// More than AMP's labels of a series.
const TOO_MANY_LABELS: &str = "max_label_names_per_series";
/// Longer than all labels of a series may be together.
const LABELS_TOO_LONG: &str = "label_value_too_long";
/// Older than samples may be for the store.
const TOO_OLD: &str = "greater_than_max_sample_age";
/// Older than samples may be by `sample_age_limit` (Prometheus' name for it).
const OVER_AGE: &str = "too_old";

/// What is kept free of a request's bytes for the series that is added last, and for what its numbers are rounded to: a
/// sixteenth, and not more than the longest series that stores take.
const LAST_SERIES: usize = 16 * 1024;

/// The fewest bytes that a label takes on the wire: its own tag and length, those of name and value, and a character of the name.
const SHORTEST_LABEL: usize = 7;

/// How often the same reason is logged.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// How much of a series' labels is logged.
const SHOWN: usize = 400;

/// The `limits` key: a store's name, or single limits.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum LimitsKey {
    /// `amp` or `none`.
    Store(String),
    /// Single limits, on top of those of `store`.
    Each(LimitKeys),
}

/// The keys of `limits`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LimitKeys {
    /// `amp` or `none`. Default: what the endpoint says.
    store: Option<String>,
    /// Bytes of a compressed request. At least 16384.
    max_request_bytes: Option<u64>,
    /// Labels of a series.
    max_labels: Option<u64>,
    /// Bytes of all names and values of a series' labels.
    max_label_bytes: Option<u64>,
    /// Age of a sample.
    max_sample_age: Option<GoDuration>,
}

impl Default for LimitsKey {
    fn default() -> Self {
        Self::Each(LimitKeys::default())
    }
}

/// What a store accepts. Nothing is limited by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct StoreLimits {
    /// Bytes of a compressed request.
    pub(super) request_bytes: Option<usize>,
    /// Labels of a series.
    pub(super) labels: Option<usize>,
    /// Bytes of all names and values of a series.
    pub(super) label_bytes: Option<usize>,
    /// Age of a sample.
    pub(super) sample_age: Option<Duration>,
    /// Whether that is the configuration's wish rather than the store's limit.
    age_is_own: bool,
    /// Whether the store has no use for exemplars.
    without_exemplars: bool,
    /// Whether the store's answers are those of AMP, which has names for its reasons.
    names_reasons: bool,
    /// Whether native histograms have to have exponential buckets.
    exponential_only: bool,
}

impl StoreLimits {
    /// Amazon Managed Service for Prometheus.
    const AMP: Self = Self {
        // 1 MB is the quota; what it is counted in is not said, so some distance is kept.
        request_bytes: Some(900_000),
        labels: Some(150),
        label_bytes: Some(7 << 10),
        sample_age: Some(Duration::from_secs(3600)),
        age_is_own: false,
        without_exemplars: true,
        names_reasons: true,
        exponential_only: true,
    };

    /// Compressed bytes at which a request is full, so that it stays below its limit with what is not compressed yet.
    pub(super) fn packed_bytes(&self) -> usize {
        self.request_bytes.map_or(usize::MAX, |bytes| bytes.saturating_sub((bytes / 16).min(LAST_SERIES)).max(1))
    }

    /// Sends nothing that is older than this.
    pub(super) fn limit_age(&mut self, age: Duration) {
        if self.sample_age.is_none_or(|own| age < own) {
            self.sample_age = Some(age);
            self.age_is_own = true;
        }
    }

    /// The reason under which samples are counted that are too old.
    pub(super) fn age_reason(&self) -> &'static str {
        if self.age_is_own { OVER_AGE } else { TOO_OLD }
    }

    /// The reason under which the store itself counts what it refuses with these words, if it is known.
    pub(super) fn reason_of(&self, words: &str) -> Option<&'static str> {
        if self.names_reasons { discards::reason_of(words) } else { None }
    }

    /// Whether exemplars are sent unless the configuration says so.
    pub(super) fn exemplars(&self) -> bool {
        !self.without_exemplars
    }
}

impl LimitsKey {
    /// The limits; `amp` says that the endpoint is one of AMP.
    pub(super) fn limits(&self, amp: bool) -> Result<StoreLimits, (&'static str, String)> {
        let (name, keys) = match self {
            Self::Store(name) => (Some(name.as_str()), &LimitKeys::default()),
            Self::Each(keys) => (keys.store.as_deref(), keys),
        };
        let mut limits = match name {
            Some("amp") => StoreLimits::AMP,
            Some("none") => StoreLimits::default(),
            None if amp => StoreLimits::AMP,
            None => StoreLimits::default(),
            Some(other) => {
                return Err(("limits", format!("unknown store {other:?}: limits are known for amp, or none")));
            }
        };
        let number = |given: Option<u64>, own: Option<usize>| {
            given.map_or(own, |given| Some(usize::try_from(given).unwrap_or(usize::MAX)))
        };
        limits.request_bytes = number(keys.max_request_bytes, limits.request_bytes);
        limits.labels = number(keys.max_labels, limits.labels);
        limits.label_bytes = number(keys.max_label_bytes, limits.label_bytes);
        limits.sample_age = keys.max_sample_age.map_or(limits.sample_age, |age| Some(age.to_std()));
        if limits.request_bytes.is_some_and(|bytes| bytes < 16_384) {
            return Err(("limits::max_request_bytes", "max_request_bytes must be at least 16384".to_owned()));
        }
        Ok(limits)
    }
}

/// Keeps back what is over a limit.
pub(super) struct Guard {
    limits: StoreLimits,
    /// Points before this time, in nanoseconds since the Unix epoch, are too old.
    pub(super) oldest: i64,
    /// Labels that are shorter than this on the wire are within all limits; longer ones are looked at.
    pub(super) wide: usize,
    told: HashMap<&'static str, Told>,
}

struct Told {
    at: Instant,
    /// Samples since then.
    since: u64,
}

impl Guard {
    pub(super) fn new(limits: StoreLimits) -> Self {
        let by_number = limits.labels.map(|labels| labels.saturating_mul(SHORTEST_LABEL));
        let wide = [by_number, limits.label_bytes].into_iter().flatten().min().unwrap_or(usize::MAX);
        Self { limits, oldest: i64::MIN, wide, told: HashMap::new() }
    }

    /// Whether the store takes native histograms that list their bounds.
    pub(super) fn takes_listed_bounds(&self) -> bool {
        !self.limits.exponential_only
    }

    /// Takes note of the time.
    pub(super) fn tick(&mut self) {
        let Some(age) = self.limits.sample_age else { return };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.oldest = i64::try_from(now.saturating_sub(age).as_nanos()).unwrap_or(i64::MIN);
    }

    /// Counts a point that is too old.
    #[cold]
    pub(super) fn too_old(&mut self, metrics: &Metrics, time: i64, name: &str) {
        let reason = self.limits.age_reason();
        metrics.dropped(reason, 1);
        let Some(samples) = self.is_to_tell(reason) else { return };
        tracing::warn!(
            reason,
            metric = name,
            time_ms = time / 1_000_000,
            max_age_s = self.limits.sample_age.map(|age| age.as_secs()),
            samples,
            "Samples are older than the store accepts; they are not sent."
        );
    }

    /// Looks at long labels; counts and tells of those that are over a limit.
    #[cold]
    pub(super) fn refuses(&mut self, metrics: &Metrics, labels: &Pieces<'_>) -> bool {
        let mut bytes = Vec::with_capacity(labels.len());
        labels.append_to(&mut bytes);
        let (mut count, mut size) = (0, 0);
        for (name, value) in pairs(&bytes) {
            count += 1;
            size += name.len() + value.len();
        }
        let reason = match (self.limits.labels, self.limits.label_bytes) {
            (Some(most), _) if count > most => TOO_MANY_LABELS,
            (_, Some(most)) if size > most => LABELS_TOO_LONG,
            _ => return false,
        };
        metrics.dropped(reason, 1);
        if let Some(samples) = self.is_to_tell(reason) {
            tracing::warn!(
                reason,
                series = shown(&bytes),
                labels = count,
                label_bytes = size,
                samples,
                "A series is over a limit of the store; its samples are not sent."
            );
        }
        true
    }

    /// The number of samples since the last time, if it is time to tell again.
    fn is_to_tell(&mut self, reason: &'static str) -> Option<u64> {
        let now = Instant::now();
        let told = self.told.entry(reason).or_insert(Told { at: now, since: 0 });
        let first = told.since == 0 && told.at == now;
        told.since += 1;
        if !first && now.duration_since(told.at) < TELL_AGAIN {
            return None;
        }
        told.at = now;
        Some(std::mem::replace(&mut told.since, 1))
    }
}

/// The beginning of a series as people write it.
fn shown(bytes: &[u8]) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let name = pairs(bytes).find(|(name, _)| *name == b"__name__").map(|(_, value)| text(value)).unwrap_or_default();
    let mut shown = name + "{";
    for (name, value) in pairs(bytes).filter(|(name, _)| *name != b"__name__") {
        shown.push_str(&format!("{}={:?},", text(name), text(value.get(..60).unwrap_or(value))));
        if shown.len() > SHOWN {
            shown.push('…');
            break;
        }
    }
    shown + "}"
}

#[cfg(test)]
mod tests;
