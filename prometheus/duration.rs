//! Durations as Prometheus configuration files write them: `15s`, `1m30s`, `1w`.
//!
//! Units are `y w d h m s ms`, largest first, each at most once, whole numbers only, no sign. A year has 365 days.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::quote::quoted;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const WEEK: u64 = 7 * DAY;
const YEAR: u64 = 365 * DAY;

/// Unit, nanoseconds, and whether the unit is only printed when it divides the rest exactly. Largest first.
const UNITS: [(&str, u64, bool); 7] = [
    ("y", YEAR, true),
    ("w", WEEK, true),
    ("d", DAY, false),
    ("h", HOUR, false),
    ("m", MINUTE, false),
    ("s", SECOND, false),
    ("ms", MS, false),
];

/// A duration in Prometheus' notation; at most about 292 years, as in Prometheus.
///
/// It prints in canonical form: `90s` as `1m30s`, `7d` as `1w`, nothing finer than a millisecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PromDuration(pub Duration);

/// Why a text is not a duration. The texts are Prometheus' own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// The text is empty.
    #[error("empty duration string")]
    Empty,
    /// The text does not have the form of a duration.
    #[error("not a valid duration string: {}", quoted(.0.as_bytes()))]
    Malformed(String),
    /// A number is followed by a unit that does not exist.
    #[error("unknown unit {} in duration {}", quoted(.unit.as_bytes()), quoted(.text.as_bytes()))]
    UnknownUnit {
        /// The unit that was found.
        unit: String,
        /// The whole text.
        text: String,
    },
    /// The duration is longer than 2^63 - 1 nanoseconds.
    #[error("duration out of range")]
    OutOfRange,
}

impl PromDuration {
    /// A duration of whole milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// A duration of whole seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The duration in nanoseconds.
    #[must_use]
    pub fn as_nanos(self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Whether the duration is zero.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

impl From<PromDuration> for Duration {
    fn from(duration: PromDuration) -> Self {
        duration.0
    }
}

impl FromStr for PromDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        match text {
            "" => return Err(DurationError::Empty),
            "0" => return Ok(Self::default()),
            _ => {}
        }
        let malformed = || DurationError::Malformed(text.to_owned());
        let mut rest = text;
        let mut total = 0u64;
        let mut smallest_unit_seen = None;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (number, after) = rest.split_at(digits);
            let number: u64 = number.parse().map_err(|_| malformed())?;
            let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
            let (unit, after) = after.split_at(letters);
            if unit.is_empty() {
                return Err(malformed());
            }
            let Some(position) = UNITS.iter().position(|(name, _, _)| *name == unit) else {
                return Err(DurationError::UnknownUnit { unit: unit.to_owned(), text: text.to_owned() });
            };
            if smallest_unit_seen >= Some(position) {
                return Err(malformed());
            }
            smallest_unit_seen = Some(position);
            let nanos = UNITS.get(position).map_or(0, |(_, nanos, _)| *nanos);
            total = number
                .checked_mul(nanos)
                .and_then(|part| total.checked_add(part))
                .filter(|total| i64::try_from(*total).is_ok())
                .ok_or(DurationError::OutOfRange)?;
            rest = after;
        }
        Ok(Self(Duration::from_nanos(total)))
    }
}

impl fmt::Display for PromDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.as_nanos() / MS * MS;
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, nanos, only_exact) in UNITS {
            let count = rest / nanos;
            if count > 0 && (!only_exact || rest.is_multiple_of(nanos)) {
                write!(f, "{count}{unit}")?;
                rest -= count * nanos;
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for PromDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = PromDuration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as 15s or 1m30s")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<PromDuration, E> {
                text.parse().map_err(E::custom)
            }

            // A number in YAML is the text of that number to Prometheus: 0 is a duration, 15 is not.
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<PromDuration, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<PromDuration, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<PromDuration, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl Serialize for PromDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::PromDuration;
    use crate::vectors;

    #[test]
    fn vectors_of_durations() {
        for row in vectors::rows("vectors/prom_misc_vectors.json", "durations") {
            let parsed = vectors::text(&row, "in").parse::<PromDuration>();
            match vectors::text(&row, "error") {
                "" => {
                    let duration = parsed.unwrap();
                    assert_eq!(duration.as_nanos().to_string(), vectors::text(&row, "ns"), "{row}");
                    assert_eq!(duration.to_string(), vectors::text(&row, "string"), "{row}");
                }
                error => assert_eq!(parsed.unwrap_err().to_string(), error, "{row}"),
            }
        }
    }

    #[test]
    fn units_must_fall() {
        for text in ["1s1m", "1s1s", "1m1h", "-1s", "1s ", "99999999999999999999s"] {
            assert!(text.parse::<PromDuration>().is_err(), "{text}");
        }
    }

    #[test]
    fn reads_a_bare_zero() {
        assert_eq!(serde_json::from_str::<PromDuration>("0").unwrap(), PromDuration::default());
        assert_eq!(serde_json::from_str::<PromDuration>("\"1m\"").unwrap(), PromDuration::from_secs(60));
        let error = serde_json::from_str::<PromDuration>("15").unwrap_err().to_string();
        assert!(error.starts_with("not a valid duration string: \"15\""), "{error}");
    }
}
