//! Sizes as Prometheus configuration files write them: `10MB`, `512KiB`.
//!
//! Everything is base two (`KB` and `KiB` are both 1024 bytes), and the unit may only be left out of `0`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const PREFIXES: [&str; 7] = ["", "K", "M", "G", "T", "P", "E"];

/// A number of bytes. Prometheus accepts negative sizes; what they mean is up to the setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub i64);

/// Why a text is not a size. The texts are Prometheus' own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// The text does not have the form of a size.
    #[error("units: invalid {0}")]
    Malformed(String),
    /// A number is followed by a unit that does not exist, or by none.
    #[error("units: unknown unit {unit} in {text}")]
    UnknownUnit {
        /// The unit that was found.
        unit: String,
        /// The whole text.
        text: String,
    },
    /// The size does not fit 63 bits.
    #[error("units: overflow parsing unit")]
    Overflow,
}

/// Which of the two spellings of units a text uses; they cannot be mixed.
#[derive(Clone, Copy)]
enum Spelling {
    /// `KiB`
    Binary,
    /// `KB`
    Short,
}

impl FromStr for ByteSize {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        parse(text, Spelling::Binary).or_else(|_| parse(text, Spelling::Short)).map(Self)
    }
}

fn parse(text: &str, spelling: Spelling) -> Result<i64, SizeError> {
    let malformed = || SizeError::Malformed(text.to_owned());
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(malformed());
    }
    let mut total = 0f64;
    while !rest.is_empty() {
        let (whole, after) = leading_number(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => leading_number(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(malformed());
        }
        let number = part(whole).ok_or_else(malformed)?
            + part(fraction).ok_or_else(malformed)? / 10f64.powi(i32::try_from(fraction.len()).unwrap_or(i32::MAX));
        let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let Some(scale) = scale(unit, spelling) else {
            return Err(SizeError::UnknownUnit { unit: unit.to_owned(), text: text.to_owned() });
        };
        total += number * scale;
        rest = after;
    }
    // 2^63 as a float: the largest i64 is not representable and rounds up to it.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if total >= LIMIT {
        return Err(SizeError::Overflow);
    }
    let bytes = total as i64;
    Ok(if negative { -bytes } else { bytes })
}

fn leading_number(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn part(digits: &str) -> Option<f64> {
    if digits.is_empty() {
        return Some(0.0);
    }
    digits.parse::<i64>().ok().map(|number| number as f64)
}

fn scale(unit: &str, spelling: Spelling) -> Option<f64> {
    if unit == "B" {
        return Some(1.0);
    }
    let suffix = match spelling {
        Spelling::Binary => "iB",
        Spelling::Short => "B",
    };
    let prefix = unit.strip_suffix(suffix)?;
    let power = PREFIXES.iter().skip(1).position(|known| *known == prefix)?;
    Some(1024f64.powi(i32::try_from(power).ok()? + 1))
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0B");
        }
        let mut parts = [0i64; PREFIXES.len()];
        let mut rest = self.0;
        for part in &mut parts {
            *part = rest % 1024;
            rest /= 1024;
        }
        for (part, prefix) in parts.iter().zip(PREFIXES).rev() {
            if *part != 0 {
                write!(f, "{part}{prefix}{}", if prefix.is_empty() { "B" } else { "iB" })?;
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as 10MB or 512KiB")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(E::custom)
            }

            // A number in YAML is the text of that number to Prometheus: 0 is a size, 100 lacks its unit.
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<ByteSize, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<ByteSize, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<ByteSize, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::ByteSize;
    use crate::vectors;

    #[test]
    fn vectors_of_sizes() {
        for row in vectors::rows("vectors/prom_misc_vectors.json", "sizes_base2") {
            let parsed = vectors::text(&row, "in").parse::<ByteSize>();
            match vectors::text(&row, "error") {
                "" => {
                    let size = parsed.unwrap();
                    assert_eq!(Some(size.0), row["bytes"].as_i64(), "{row}");
                    assert_eq!(size.to_string(), vectors::text(&row, "string"), "{row}");
                }
                error => assert_eq!(parsed.unwrap_err().to_string(), error, "{row}"),
            }
        }
    }

    #[test]
    fn a_number_needs_its_unit() {
        assert_eq!(serde_json::from_str::<ByteSize>("0").unwrap(), ByteSize(0));
        let error = serde_json::from_str::<ByteSize>("100").unwrap_err().to_string();
        assert!(error.starts_with("units: unknown unit  in 100"), "{error}");
        for text in ["", "-", ".", ".B", "B", "99999999999999999999B", "8EiB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }
}
