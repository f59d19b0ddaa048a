//! Durations as Go writes them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserializer, Visitor};

const NANOSECOND: i128 = 1;
const MICROSECOND: i128 = 1_000;
const MILLISECOND: i128 = 1_000_000;
const SECOND: i128 = 1_000_000_000;
const MINUTE: i128 = 60 * SECOND;
const HOUR: i128 = 60 * MINUTE;

/// A duration in Go's notation: `1h30m`, `100ms`, `1.5s`, `0`. Negative ones can be written, since some settings
/// give them a meaning. Prints as Go's `time.Duration` does (`1m30s`, `1.5µs`, `0s`).
///
/// In a file a bare integer counts nanoseconds, as in the Collector; but one below a millisecond is refused,
/// because `timeout: 10` is always meant as ten seconds and never is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration {
    nanos: i64,
}

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// No number, or nothing at all.
    #[error("invalid duration {0:?}; write a number and a unit, like 10s, 500ms or 1h30m")]
    Invalid(String),
    /// A number without a unit.
    #[error("missing unit in duration {0:?}; write {0}s for seconds, or another of ns, us, ms, s, m, h")]
    MissingUnit(String),
    /// A unit that Go does not know; `d` and `w` are among them.
    #[error("unknown unit {unit:?} in duration {text:?}; known are ns, us, ms, s, m, h")]
    UnknownUnit {
        /// The unit.
        unit: String,
        /// The whole text.
        text: String,
    },
    /// More than 292 years.
    #[error("duration {0:?} is too long; the longest is 2562047h")]
    TooLong(String),
}

impl GoDuration {
    /// No time at all.
    pub const ZERO: Self = Self { nanos: 0 };

    /// From nanoseconds, which may be negative.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self { nanos }
    }

    /// From milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Self { nanos: millis.saturating_mul(1_000_000) }
    }

    /// From seconds.
    pub const fn from_secs(secs: i64) -> Self {
        Self { nanos: secs.saturating_mul(1_000_000_000) }
    }

    /// Nanoseconds, negative for a negative duration.
    pub const fn as_nanos(self) -> i64 {
        self.nanos
    }

    /// Whether it is exactly zero.
    pub const fn is_zero(self) -> bool {
        self.nanos == 0
    }

    /// Whether it is below zero.
    pub const fn is_negative(self) -> bool {
        self.nanos < 0
    }

    /// As a standard duration; negative ones become zero.
    pub fn to_std(self) -> Duration {
        Duration::from_nanos(u64::try_from(self.nanos).unwrap_or(0))
    }
}

impl From<Duration> for GoDuration {
    /// The longest that Go can hold stands for anything longer.
    fn from(duration: Duration) -> Self {
        Self { nanos: i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX) }
    }
}

impl FromStr for GoDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let (negative, mut rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if rest == "0" {
            return Ok(Self::ZERO);
        }
        if rest.is_empty() {
            return Err(DurationError::Invalid(text.to_owned()));
        }
        let mut total = 0_i128;
        while !rest.is_empty() {
            let (nanos, after) = parse_part(text, rest)?;
            rest = after;
            total = total.saturating_add(nanos);
            if total > i128::from(i64::MAX) + 1 {
                return Err(DurationError::TooLong(text.to_owned()));
            }
        }
        let signed = if negative { -total } else { total };
        match i64::try_from(signed) {
            Ok(nanos) => Ok(Self { nanos }),
            Err(_) => Err(DurationError::TooLong(text.to_owned())),
        }
    }
}

/// Reads one number with its unit from the start of `rest`; `text` is the whole, for messages.
fn parse_part<'a>(text: &str, rest: &'a str) -> Result<(i128, &'a str), DurationError> {
    let invalid = || DurationError::Invalid(text.to_owned());
    let too_long = || DurationError::TooLong(text.to_owned());
    let split = |s: &'a str| s.split_at(s.find(|c: char| !c.is_ascii_digit()).unwrap_or(s.len()));
    let (whole, after) = split(rest);
    let (fraction, after) = match after.strip_prefix('.') {
        Some(after) => split(after),
        None => ("", after),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(invalid());
    }
    let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len()));
    let scale = match unit {
        "" => return Err(DurationError::MissingUnit(text.to_owned())),
        "ns" => NANOSECOND,
        "us" | "µs" | "μs" => MICROSECOND,
        "ms" => MILLISECOND,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        _ => return Err(DurationError::UnknownUnit { unit: unit.to_owned(), text: text.to_owned() }),
    };
    let whole: i128 = match whole {
        "" => 0,
        digits => i128::from(digits.parse::<u64>().map_err(|_| too_long())?),
    };
    // Digits far beyond a nanosecond cannot change the result.
    let fraction = fraction.get(..18).unwrap_or(fraction);
    let divisor = fraction.bytes().fold(1_i128, |divisor, _| divisor * 10);
    let tenths = fraction.parse::<i128>().unwrap_or(0);
    Ok((whole.saturating_mul(scale).saturating_add(tenths * scale / divisor), after))
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = i128::from(self.nanos).abs();
        if nanos == 0 {
            return f.write_str("0s");
        }
        if self.nanos < 0 {
            f.write_str("-")?;
        }
        if nanos < SECOND {
            let (scale, unit) = match nanos {
                n if n < MICROSECOND => (NANOSECOND, "ns"),
                n if n < MILLISECOND => (MICROSECOND, "µs"),
                _ => (MILLISECOND, "ms"),
            };
            return write_decimal(f, nanos, scale, unit);
        }
        let (hours, rest) = (nanos / HOUR, nanos % HOUR);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if nanos >= MINUTE {
            write!(f, "{}m", rest / MINUTE)?;
        }
        write_decimal(f, rest % MINUTE, SECOND, "s")
    }
}

/// Writes `nanos` in units of `scale` without trailing zeros.
fn write_decimal(f: &mut fmt::Formatter<'_>, nanos: i128, scale: i128, unit: &str) -> fmt::Result {
    write!(f, "{}", nanos / scale)?;
    let mut rest = nanos % scale;
    if rest > 0 {
        f.write_str(".")?;
        let mut place = scale / 10;
        while rest > 0 && place > 0 {
            write!(f, "{}", rest / place)?;
            rest %= place;
            place /= 10;
        }
    }
    f.write_str(unit)
}

impl<'de> de::Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DurationVisitor)
    }
}

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = GoDuration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration like 10s, 500ms or 1h30m")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<GoDuration, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, nanos: i64) -> Result<GoDuration, E> {
        if nanos != 0 && i128::from(nanos).abs() < MILLISECOND {
            return Err(E::custom(DurationError::MissingUnit(nanos.to_string())));
        }
        Ok(GoDuration { nanos })
    }

    fn visit_u64<E: de::Error>(self, nanos: u64) -> Result<GoDuration, E> {
        match i64::try_from(nanos) {
            Ok(nanos) => self.visit_i64(nanos),
            Err(_) => Err(E::custom(DurationError::TooLong(nanos.to_string()))),
        }
    }
}
