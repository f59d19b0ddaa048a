//! How a store behaves, for periods at a time.

use std::time::Duration;

use super::random::Random;

/// What a store does with requests during a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weather {
    /// Takes everything that is right.
    Fair,
    /// 429, without a word of when to come again.
    Throttled,
    /// 429 with `Retry-After` in seconds.
    ThrottledSeconds,
    /// 429 with `Retry-After` as a date.
    ThrottledDate,
    /// 500.
    Broken,
    /// 503, with and without `Retry-After`.
    Unavailable,
    /// 413 for requests above so many bytes.
    Small(usize),
    /// Reads requests and never answers.
    Hangs,
    /// Closes connections within requests.
    Resets,
    /// Takes requests and closes the connection in place of an answer.
    AcceptsAndResets,
    /// Takes requests and never answers.
    AcceptsAndHangs,
    /// Takes requests and answers 503.
    AcceptsAndFails,
    /// Any of these, request by request.
    Changeable,
}

/// Those that accept nothing.
pub(super) const FOUL: [Weather; 8] = [
    Weather::Throttled,
    Weather::ThrottledSeconds,
    Weather::ThrottledDate,
    Weather::Broken,
    Weather::Unavailable,
    Weather::Hangs,
    Weather::Resets,
    Weather::Unavailable,
];

const LOST_ANSWERS: [Weather; 3] = [Weather::AcceptsAndResets, Weather::AcceptsAndHangs, Weather::AcceptsAndFails];

/// The weather at one store.
#[derive(Debug)]
pub(super) struct Forecast {
    random: Random,
    now: Weather,
    until: Duration,
    /// Milliseconds of a period of the usual length.
    period_ms: u64,
    forced: Option<Weather>,
}

impl Forecast {
    pub(super) fn new(random: Random, period_ms: u64) -> Self {
        Self { random, now: Weather::Fair, until: Duration::ZERO, period_ms, forced: None }
    }

    /// Has it be so until further notice, or as it comes.
    pub(super) fn force(&mut self, weather: Option<Weather>) {
        self.forced = weather;
    }

    /// What a request meets that comes now.
    pub(super) fn at(&mut self, elapsed: Duration) -> Weather {
        while self.until <= elapsed {
            self.now = draw(&mut self.random);
            // Once in a while a long one.
            let longest = if self.random.one_in(8) { 6 * self.period_ms } else { self.period_ms };
            self.until += Duration::from_millis(self.random.between(self.period_ms / 10..=longest));
        }
        match self.forced.unwrap_or(self.now) {
            Weather::Changeable => loop {
                let one = draw(&mut self.random);
                if one != Weather::Changeable {
                    break one;
                }
            },
            steady => steady,
        }
    }
}

fn draw(random: &mut Random) -> Weather {
    match random.below(20) {
        0..=7 => Weather::Fair,
        8..=13 => random.pick(&FOUL),
        14..=15 => Weather::Small(random.between(500..=3000) as usize),
        16..=17 => random.pick(&LOST_ANSWERS),
        _ => Weather::Changeable,
    }
}
