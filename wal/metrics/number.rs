//! Numbers as distances from a number that is known for their series.
//!
//! What is measured is mostly short in decimal: counters are whole, and gauges have few digits. So a double is taken as
//! an integer and a power of ten wherever that gives back the very same bits, and the distance of two such integers
//! fits one to three bytes, where the doubles differ in most of their bits.

use super::bytes::{Input, put, put_signed, unzigzag, zigzag};
use super::whole;
use pipeline::Value;

const POWERS: [f64; 10] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/// Integers up to here are exact as doubles, and have room for the bit that tells distances from other forms.
const MOST: f64 = 9_007_199_254_740_992.0;

/// How a value is to be read. Numbers below 10 are a decimal with so many digits behind the point.
pub(super) type Form = u8;

/// The bits of a double.
const BITS: Form = 10;
/// A histogram whose counts are fractions.
const FLOAT_HISTOGRAM: Form = 11;
/// An integer.
pub(super) const INT: Form = 12;
/// There is no value.
const NOTHING: Form = 13;
const HISTOGRAM: Form = 14;
const EXPONENTIAL: Form = 15;
const SUMMARY: Form = 16;
/// From here on: the bits of a double as the distance from the known one's, in so many bytes more, up to eight.
const DISTANCE: Form = 17;
/// There is no value, but fields of one, which follow.
const HELD: Form = 26;
const FLOAT_EXPONENTIAL: Form = 27;
/// As a known value: there is none.
pub(super) const UNKNOWN: Form = 255;

/// A value that is known for a series: its form and the integer that stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) form: Form,
    pub(super) number: i64,
}

impl Known {
    pub(super) const NONE: Self = Self { form: UNKNOWN, number: 0 };

    /// What is to be known of a series whose value this is.
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Float(value) => match shortest(*value) {
                Some((form, number)) => Self { form, number },
                None => Self { form: BITS, number: value.to_bits().cast_signed() },
            },
            Value::Int(number) => Self { form: INT, number: *number },
            _ => Self::NONE,
        }
    }

    /// The value itself.
    #[inline]
    fn value(self) -> Option<Value> {
        match self.form {
            INT => Some(Value::Int(self.number)),
            BITS => Some(Value::Float(f64::from_bits(self.number.cast_unsigned()))),
            form => Some(Value::Float(self.number as f64 / *POWERS.get(usize::from(form))?)),
        }
    }
}

/// `value` as an integer with `digits` digits behind the point, if that is exact.
#[inline]
fn scaled(value: f64, digits: Form) -> Option<i64> {
    let power = *POWERS.get(usize::from(digits))?;
    let scaled = value * power;
    if scaled.is_nan() || scaled.abs() >= MOST {
        return None;
    }
    // Adding and taking away one half rounds well enough: whether it is exact is checked.
    let number = (scaled + 0.5f64.copysign(scaled)) as i64;
    ((number as f64 / power).to_bits() == value.to_bits()).then_some(number)
}

/// `value` with as few digits as give it back.
#[cold]
fn shortest(value: f64) -> Option<(Form, i64)> {
    (0..POWERS.len() as Form).find_map(|digits| Some((digits, scaled(value, digits)?)))
}

/// Appends `value`, unless it is the known one; true if it was appended.
#[inline]
pub(super) fn put_value(out: &mut Vec<u8>, value: &Value, known: Known) -> bool {
    let number = match value {
        Value::Float(value) if known.form < BITS => match scaled(*value, known.form) {
            Some(number) => number,
            None => {
                put_float(out, *value, known);
                return true;
            }
        },
        Value::Float(value) if known.form == BITS => {
            if value.to_bits() == known.number.cast_unsigned() {
                return false;
            }
            put_float(out, *value, known);
            return true;
        }
        Value::Int(number) if known.form == INT => *number,
        _ => {
            put_other(out, value);
            return true;
        }
    };
    if number == known.number {
        return false;
    }
    let distance = zigzag(number.wrapping_sub(known.number));
    if distance >= 1 << 63 {
        put_other(out, value);
    } else {
        put(out, distance << 1);
    }
    true
}

fn put_form(out: &mut Vec<u8>, form: Form) {
    put(out, u64::from(form) << 1 | 1);
}

#[cold]
fn put_float(out: &mut Vec<u8>, value: f64, known: Known) {
    // A series with a value that is long in decimal has mostly such values: then only whole numbers are looked for.
    let short = if known.form == BITS { scaled(value, 0).map(|number| (0, number)) } else { shortest(value) };
    if let Some((form, number)) = short {
        put_form(out, form);
        return put_signed(out, number);
    }
    let bits = value.to_bits();
    if known.form != BITS {
        put_form(out, BITS);
        return out.extend_from_slice(&bits.to_le_bytes());
    }
    // Doubles that are near each other have bits that are near each other as integers.
    let distance = zigzag(bits.cast_signed().wrapping_sub(known.number));
    let len = 8 - distance.leading_zeros() as usize / 8;
    put_form(out, DISTANCE + len as Form);
    out.extend_from_slice(distance.to_le_bytes().get(..len).unwrap_or_default());
}

#[cold]
fn put_other(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Float(value) => put_float(out, *value, Known::NONE),
        Value::Int(number) => {
            put_form(out, INT);
            put_signed(out, *number);
        }
        Value::NoRecordedValue(None) => put_form(out, NOTHING),
        Value::NoRecordedValue(Some(held)) => {
            put_form(out, HELD);
            put_other(out, held);
        }
        Value::Histogram(value) => {
            put_form(out, HISTOGRAM);
            whole::put_histogram(out, value);
        }
        Value::ExponentialHistogram(value) => {
            put_form(out, EXPONENTIAL);
            whole::put_exponential(out, value);
        }
        Value::FloatHistogram(value) => {
            put_form(out, FLOAT_HISTOGRAM);
            whole::put_histogram(out, value);
        }
        Value::FloatExponentialHistogram(value) => {
            put_form(out, FLOAT_EXPONENTIAL);
            whole::put_exponential(out, value);
        }
        Value::Summary(value) => {
            put_form(out, SUMMARY);
            whole::put_summary(out, value);
        }
    }
}

/// The value of a point that is not marked as different.
#[inline]
pub(super) fn same(known: Known) -> Option<Value> {
    known.value()
}

/// The value of a point that is marked as different.
#[inline]
pub(super) fn value(input: &mut Input<'_>, known: Known) -> Option<Value> {
    let token = input.number()?;
    if token & 1 == 0 {
        let number = known.number.wrapping_add(unzigzag(token >> 1));
        return Known { number, ..known }.value();
    }
    other(input, token >> 1, known)
}

#[cold]
fn other(input: &mut Input<'_>, form: u64, known: Known) -> Option<Value> {
    Some(match Form::try_from(form).ok()? {
        INT => Value::Int(input.signed()?),
        BITS => Value::Float(input.double()?),
        FLOAT_HISTOGRAM => Value::FloatHistogram(Box::new(whole::histogram(input)?)),
        FLOAT_EXPONENTIAL => Value::FloatExponentialHistogram(Box::new(whole::exponential(input)?)),
        form @ DISTANCE..HELD => {
            let mut bytes = [0; 8];
            let len = usize::from(form - DISTANCE);
            bytes.get_mut(..len)?.copy_from_slice(input.take(len)?);
            let bits = known.number.wrapping_add(unzigzag(u64::from_le_bytes(bytes)));
            Value::Float(f64::from_bits(bits.cast_unsigned()))
        }
        NOTHING => Value::NONE,
        HELD => {
            // One within the other is never written, and what is damaged must not nest without end.
            let token = input.number().filter(|token| token & 1 == 1 && token >> 1 != u64::from(HELD))?;
            Value::NoRecordedValue(Some(Box::new(other(input, token >> 1, Known::NONE)?)))
        }
        HISTOGRAM => Value::Histogram(Box::new(whole::histogram(input)?)),
        EXPONENTIAL => Value::ExponentialHistogram(Box::new(whole::exponential(input)?)),
        SUMMARY => Value::Summary(Box::new(whole::summary(input)?)),
        form => return Known { form, number: input.signed()? }.value(),
    })
}
