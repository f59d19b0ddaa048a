//! Numbers in exposition pages and label values: read as Go's `strconv.ParseFloat` reads them and printed as Go's
//! `FormatFloat` prints them, because values of `le` and `quantile` are compared as text across systems.

use crate::quote::quoted;

/// The bits of the NaN that Prometheus stores for a NaN that a page shows; other NaNs have other meanings (one of
/// them is the staleness marker).
pub const NORMAL_NAN_BITS: u64 = 0x7ff8_0000_0000_0001;

/// The bits of a staleness marker, which says that a series has ended (Prometheus' `StaleNaN`).
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// Why a text is not a number. The texts are Go's and Prometheus' own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// `p`, `P` or `_`, which newer Go versions would accept and exposition formats do not.
    #[error("unsupported character in float")]
    UnsupportedCharacter,
    /// Not the form of a number.
    #[error("strconv.ParseFloat: parsing {}: invalid syntax", quoted(.0))]
    Syntax(Vec<u8>),
    /// Too large for 64 bits.
    #[error("strconv.ParseFloat: parsing {}: value out of range", quoted(.0))]
    FloatRange(Vec<u8>),
    /// An integer too large for 64 bits.
    #[error("strconv.ParseInt: parsing {}: value out of range", quoted(.0))]
    IntegerRange(Vec<u8>),
}

/// Reads the number of a sample: decimal or exponent form, `+`, `-`, `.5`, `5.`, `inf`, `infinity` and `nan` in any
/// case, a sign on all but `nan`.
///
/// # Errors
/// If the text is not a number, or too large. Too small is zero.
pub fn parse_value(text: &[u8]) -> Result<f64, NumberError> {
    if let Some((value, length)) = scan_short_decimal(text)
        && length == text.len()
    {
        return Ok(value);
    }
    if text.iter().any(|byte| matches!(byte, b'p' | b'P' | b'_')) {
        return Err(NumberError::UnsupportedCharacter);
    }
    parse_any(text)
}

/// Powers of ten that a double holds exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// Reads `[-]digits[.digits][e[+-]digits]` at the beginning of `text` when the result is exact with one
/// multiplication or division: at most 15 digits and a power of ten up to 22. Returns the number and how many bytes it
/// took; `None` if another way has to be used. This covers nearly every value that exporters print.
#[inline]
pub(crate) fn scan_short_decimal(text: &[u8]) -> Option<(f64, usize)> {
    let mut at = 0;
    let negative = text.first() == Some(&b'-');
    if negative {
        at = 1;
    }
    let begin = at;
    let mut mantissa = 0u64;
    let mut scale = 0usize;
    while let Some(digit) = digit_at(text, at) {
        mantissa = mantissa.wrapping_mul(10).wrapping_add(digit);
        at += 1;
    }
    let mut digits = at - begin;
    if text.get(at) == Some(&b'.') {
        at += 1;
        let fraction = at;
        while let Some(digit) = digit_at(text, at) {
            mantissa = mantissa.wrapping_mul(10).wrapping_add(digit);
            at += 1;
        }
        scale = at - fraction;
        digits += scale;
    }
    // 15 digits are below 2^53, so the mantissa is exact and the wrapping above has not happened.
    if digits == 0 || digits > 15 {
        return None;
    }
    let mantissa = mantissa as f64;
    let value = if matches!(text.get(at), Some(b'e' | b'E')) {
        let (exponent, end) = scan_exponent(text, at + 1)?;
        at = end;
        let power = exponent - i32::try_from(scale).ok()?;
        let factor = *EXACT_POWERS.get(usize::try_from(power.unsigned_abs()).ok()?)?;
        if power < 0 { mantissa / factor } else { mantissa * factor }
    } else if scale == 0 {
        mantissa
    } else {
        mantissa / EXACT_POWERS.get(scale)?
    };
    Some((if negative { -value } else { value }, at))
}

#[inline]
fn digit_at(text: &[u8], at: usize) -> Option<u64> {
    let digit = text.get(at)?.wrapping_sub(b'0');
    (digit < 10).then_some(u64::from(digit))
}

fn scan_exponent(text: &[u8], mut at: usize) -> Option<(i32, usize)> {
    let negative = match text.get(at) {
        Some(b'-') => {
            at += 1;
            true
        }
        Some(b'+') => {
            at += 1;
            false
        }
        _ => false,
    };
    let begin = at;
    let mut exponent = 0i32;
    while let Some(digit) = digit_at(text, at) {
        exponent = exponent * 10 + i32::try_from(digit).ok()?;
        at += 1;
        if at - begin > 4 {
            return None;
        }
    }
    (at > begin).then_some((if negative { -exponent } else { exponent }, at))
}

/// Reads what Go's `ParseFloat` reads, save hexadecimal floats and digit separators.
fn parse_any(text: &[u8]) -> Result<f64, NumberError> {
    let syntax = || NumberError::Syntax(text.to_vec());
    let (negative, unsigned) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    if unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity") {
        return Ok(if negative { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    if text.eq_ignore_ascii_case(b"nan") {
        return Ok(f64::from_bits(NORMAL_NAN_BITS));
    }
    if !is_decimal(unsigned) {
        return Err(syntax());
    }
    let value: f64 = fast_float2::parse(unsigned).map_err(|_| syntax())?;
    if value.is_infinite() {
        return Err(NumberError::FloatRange(text.to_vec()));
    }
    Ok(if negative { -value } else { value })
}

/// Whether `text` is `digits[.digits][e[+-]digits]` with a digit before or after the point.
fn is_decimal(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(text);
    let mut rest = text.get(whole..).unwrap_or_default();
    let mut total = whole;
    if let Some((b'.', after)) = rest.split_first() {
        let fraction = digits(after);
        total += fraction;
        rest = after.get(fraction..).unwrap_or_default();
    }
    if total == 0 {
        return false;
    }
    match rest.split_first() {
        None => true,
        Some((b'e' | b'E', after)) => {
            let after = match after.split_first() {
                Some((b'+' | b'-', after)) => after,
                _ => after,
            };
            !after.is_empty() && digits(after) == after.len()
        }
        Some(_) => false,
    }
}

/// Reads a whole number of at most 63 bits, digits only, as the timestamps of the text format are.
pub(crate) fn parse_digits(text: &[u8]) -> Result<i64, NumberError> {
    let mut value = 0i64;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        value = (digit < 10)
            .then(|| value.checked_mul(10)?.checked_add(i64::from(digit)))
            .flatten()
            .ok_or_else(|| NumberError::IntegerRange(text.to_vec()))?;
    }
    Ok(value)
}

/// The number that Go's `ParseFloat` sees in a label value, if any.
#[must_use]
pub fn parse_label_float(text: &str) -> Option<f64> {
    parse_any(text.as_bytes()).ok()
}

/// `value` as Go's `FormatFloat(value, 'g', -1, 64)`: shortest digits that give the value back, exponent form below
/// 1e-4 and from 1e6 upwards (`1e+06`), `+Inf`, `-Inf`, `NaN`.
#[must_use]
pub fn format_go_float(value: f64) -> String {
    let mut out = String::with_capacity(24);
    push_go_float(&mut out, value);
    out
}

/// Appends what [`format_go_float`] returns.
pub fn push_go_float(out: &mut String, value: f64) {
    let Some(decimal) = Decimal::of(out, value) else { return };
    let exponent = decimal.point - 1;
    if (-4..Decimal::EXPONENT_FROM).contains(&exponent) {
        decimal.push_plain(out);
    } else {
        decimal.push_exponent(out, exponent);
    }
}

/// `value` as Go's `FormatFloat(value, 'f', -1, 64)`: shortest digits that give the value back, never an exponent.
#[must_use]
pub fn format_shortest_decimal(value: f64) -> String {
    let mut out = String::with_capacity(24);
    if let Some(decimal) = Decimal::of(&mut out, value) {
        decimal.push_plain(&mut out);
    }
    out
}

/// `value` as OpenMetrics writes it in `le` and `quantile`: as [`format_go_float`], with `.0` if there is neither
/// point nor exponent.
#[must_use]
pub fn format_openmetrics_float(value: f64) -> String {
    let mut out = String::with_capacity(24);
    // Zero has no sign here.
    push_go_float(&mut out, if value == 0.0 { 0.0 } else { value });
    if value.is_finite() && !out.contains(['e', '.']) {
        out.push_str(".0");
    }
    out
}

/// The shortest digits of a finite number: `0.d1d2d3… × 10^point`.
struct Decimal {
    digits: [u8; 20],
    length: usize,
    point: i32,
}

impl Decimal {
    /// From which decimal exponent on the `g` form uses an exponent.
    const EXPONENT_FROM: i32 = 6;

    /// The digits of `value`, its sign already written; `None` if `value` was not finite and is written completely.
    fn of(out: &mut String, value: f64) -> Option<Self> {
        if value.is_nan() {
            out.push_str("NaN");
            return None;
        }
        if value.is_infinite() {
            out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
            return None;
        }
        if value.is_sign_negative() {
            out.push('-');
        }
        let mut buffer = ryu::Buffer::new();
        Some(Self::read(buffer.format_finite(value.abs())))
    }

    /// Takes apart what the shortest-digits algorithm printed: `1.5`, `0.001`, `1e-7`, `1.25e21`.
    fn read(printed: &str) -> Self {
        let (mantissa, exponent) = printed.split_once('e').unwrap_or((printed, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut decimal = Self { digits: [b'0'; 20], length: 0, point: 0 };
        let mut point = i32::try_from(whole.len()).unwrap_or(0);
        for digit in whole.bytes().chain(fraction.bytes()) {
            if decimal.length == 0 && digit == b'0' {
                point -= 1;
                continue;
            }
            if let Some(slot) = decimal.digits.get_mut(decimal.length) {
                *slot = digit;
                decimal.length += 1;
            }
        }
        while decimal.length > 0 && decimal.digits.get(decimal.length - 1) == Some(&b'0') {
            decimal.length -= 1;
        }
        decimal.point = if decimal.length == 0 { 1 } else { point + exponent };
        decimal
    }

    fn digit(&self, at: usize) -> char {
        if at < self.length { self.digits.get(at).map_or('0', |digit| char::from(*digit)) } else { '0' }
    }

    fn push_plain(&self, out: &mut String) {
        let whole = usize::try_from(self.point).unwrap_or(0);
        if whole == 0 {
            out.push('0');
        }
        for at in 0..whole {
            out.push(self.digit(at));
        }
        if self.length > whole {
            out.push('.');
            for _ in self.point..0 {
                out.push('0');
            }
            for at in whole..self.length {
                out.push(self.digit(at));
            }
        }
    }

    fn push_exponent(&self, out: &mut String, exponent: i32) {
        out.push(self.digit(0));
        if self.length > 1 {
            out.push('.');
            for at in 1..self.length {
                out.push(self.digit(at));
            }
        }
        out.push_str(if exponent < 0 { "e-" } else { "e+" });
        if exponent.abs() < 10 {
            out.push('0');
        }
        out.push_str(itoa::Buffer::new().format(exponent.unsigned_abs()));
    }
}

#[cfg(test)]
mod tests;
