//! How long to wait before the next try.

use std::time::{Duration, SystemTime};

/// The longest wait that a receiver can ask for. Servers that name a time further away are more likely
/// mistaken than patient, and whoever waits for it would have lost the data by then.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(15 * 60);

/// The wait that a `Retry-After` header asks for, from `now` on: whole seconds or an HTTP date. `None`
/// when there is none, that is for zero, times past, and whatever cannot be read.
#[must_use]
pub fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let wait = match header.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(header).ok()?.duration_since(now).ok()?,
    };
    Some(wait).filter(|wait| !wait.is_zero())
}

/// Waits that grow with every failure, spread at random so that many senders do not come back at once.
///
/// The interval starts at `initial` and is multiplied by `multiplier` up to `max`; a wait is drawn
/// evenly from `interval × (1 − randomization)` to `interval × (1 + randomization)`, which is the meaning the Collector gives
/// to these settings. With full jitter ([`Backoff::full_jitter`]) it is anything up to the interval.
#[derive(Clone, Debug, PartialEq)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
    multiplier: f64,
    /// Within what part of the interval around it a wait is drawn; `None` for anything up to it.
    randomization: Option<f64>,
    interval: Duration,
}

/// No wait that was drawn is shorter: a receiver that fails is never asked again at once.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

impl Backoff {
    /// A backoff before its first failure. A `max` below `initial` is taken as `initial`, a `multiplier` below 1
    /// as 1, and `randomization` is kept within 0 to 1, so that waits never shrink or turn negative.
    #[must_use]
    pub fn new(initial: Duration, max: Duration, multiplier: f64, randomization: f64) -> Self {
        Self {
            initial,
            max: max.max(initial),
            multiplier: multiplier.max(1.0),
            randomization: Some(fraction(randomization)),
            interval: initial,
        }
    }

    /// The same with waits drawn evenly from nothing to the interval: of many senders that fail at one moment, the fewest
    /// come back together.
    #[must_use]
    pub fn full_jitter(initial: Duration, max: Duration, multiplier: f64) -> Self {
        Self { randomization: None, ..Self::new(initial, max, multiplier, 0.0) }
    }

    /// The interval that the next wait is drawn from.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// The wait after one more failure. `random` gives a number from 0 to 1, evenly distributed.
    pub fn next_wait(&mut self, random: impl FnOnce() -> f64) -> Duration {
        let interval = self.interval;
        self.interval = times(interval, self.multiplier).min(self.max);
        let random = fraction(random());
        let factor = self.randomization.map_or(random, |spread| 1.0 - spread + 2.0 * spread * random);
        times(interval, factor).max(SHORTEST_WAIT.min(interval))
    }

    /// The wait after one more failure for which the receiver has named a time: that time, at most
    /// [`MAX_RETRY_AFTER`], in place of the own. Later waits grow as if it had been the own.
    pub fn next_wait_asked(&mut self, asked: Option<Duration>, random: impl FnOnce() -> f64) -> Duration {
        let own = self.next_wait(random);
        asked.map_or(own, |asked| asked.min(MAX_RETRY_AFTER))
    }

    /// Begins anew, after a success.
    pub fn reset(&mut self) {
        self.interval = self.initial;
    }
}

/// A number from 0 to 1; NaN is 0.
fn fraction(number: f64) -> f64 {
    if number > 0.0 { number.min(1.0) } else { 0.0 }
}

fn times(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}
