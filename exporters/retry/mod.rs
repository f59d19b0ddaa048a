//! Trying again: the Collector's `retry_on_failure` keys, the intervals that they stand for, and how long a server asks to be left alone.

use std::time::{Duration, SystemTime};

use pipeline::config::GoDuration;
use serde::Deserialize;

/// A pause that a server asks for beyond this is taken as this: longer ones are more likely a mistake than a wish.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(600);

/// The `retry_on_failure` block.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RetryKeys {
    /// Default true.
    enabled: Option<bool>,
    /// Default 5s.
    initial_interval: Option<GoDuration>,
    /// Default 0.5.
    randomization_factor: Option<f64>,
    /// Default 1.5.
    multiplier: Option<f64>,
    /// Default 30s.
    max_interval: Option<GoDuration>,
    /// Default 300s; 0 is for ever.
    max_elapsed_time: Option<GoDuration>,
}

/// How failed requests are tried again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Retry {
    pub(crate) enabled: bool,
    pub(crate) initial: Duration,
    pub(crate) max: Duration,
    pub(crate) multiplier: f64,
    pub(crate) randomization: f64,
    /// From the first attempt of a request; zero is for ever.
    pub(crate) max_elapsed: Duration,
    /// The same for requests that are refused for who sends them, or cannot be authenticated yet: for ever, unless the
    /// configuration says how long. Nothing is wrong with what they carry.
    pub(crate) max_refused: Duration,
}

impl RetryKeys {
    /// The settings, with what is wrong with them told to `refuse`: the key and a message. `max_elapsed` stands for
    /// `max_elapsed_time` where that is not written.
    pub(crate) fn read(&self, max_elapsed: Duration, mut refuse: impl FnMut(&str, &str)) -> Retry {
        let duration = |value: Option<GoDuration>, default| value.map_or(default, GoDuration::to_std);
        for (key, value, message) in [
            ("initial_interval", self.initial_interval, "'initial_interval' must be non-negative"),
            ("max_interval", self.max_interval, "'max_interval' must be non-negative"),
            ("max_elapsed_time", self.max_elapsed_time, "'max_elapsed_time' must be non-negative"),
        ] {
            if value.is_some_and(|value| value < GoDuration::ZERO) {
                refuse(key, message);
            }
        }
        let retry = Retry {
            enabled: self.enabled.unwrap_or(true),
            initial: duration(self.initial_interval, Duration::from_secs(5)),
            max: duration(self.max_interval, Duration::from_secs(30)),
            multiplier: self.multiplier.unwrap_or(1.5),
            randomization: self.randomization_factor.unwrap_or(0.5),
            max_elapsed: duration(self.max_elapsed_time, max_elapsed),
            max_refused: duration(self.max_elapsed_time, Duration::ZERO),
        };
        if !(0.0..=1.0).contains(&retry.randomization) {
            refuse("randomization_factor", "'randomization_factor' must be within [0, 1]");
        }
        if retry.multiplier.is_nan() || retry.multiplier < 0.0 {
            refuse("multiplier", "'multiplier' must be non-negative");
        }
        if retry.enabled && !retry.max_elapsed.is_zero() {
            if retry.max_elapsed < retry.initial {
                refuse("max_elapsed_time", "'max_elapsed_time' must not be less than 'initial_interval'");
            } else if retry.max_elapsed < retry.max && self.max_interval.is_some() {
                refuse("max_elapsed_time", "'max_elapsed_time' must not be less than 'max_interval'");
            }
        }
        retry
    }
}

/// The intervals between the attempts of one request.
pub(crate) struct Backoff<'a> {
    retry: &'a Retry,
    interval: Duration,
}

impl<'a> Backoff<'a> {
    pub(crate) fn new(retry: &'a Retry) -> Self {
        Self { retry, interval: retry.initial }
    }

    /// The next interval, up to `randomization` of it less or more. `unit` is a random number in [0, 1).
    pub(crate) fn next(&mut self, unit: f64) -> Duration {
        let spread = (1.0 + self.retry.randomization * (2.0 * unit - 1.0)).max(0.0);
        let delay = self.interval.mul_f64(spread);
        let next = Duration::try_from_secs_f64(self.interval.as_secs_f64() * self.retry.multiplier);
        self.interval = next.unwrap_or(self.retry.max).min(self.retry.max);
        delay
    }
}

/// A number in [0, 1). The spread is all that matters, so the standard library's hash seed will do.
pub(crate) fn random_unit() -> f64 {
    use std::hash::{BuildHasher as _, RandomState};
    (RandomState::new().hash_one(0) >> 11) as f64 / (1u64 << 53) as f64
}

/// The pause that a `Retry-After` field asks for: seconds, or an HTTP date in the future; anything else is ignored
/// (RFC 9110, section 10.2.3).
pub(crate) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let delay = match value.trim().parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(value.trim()).ok()?.duration_since(now).ok()?,
    };
    believed(delay)
}

/// A pause that a server asks for, as far as it is believed.
pub(crate) fn believed(delay: Duration) -> Option<Duration> {
    (!delay.is_zero()).then_some(delay.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests;
