//! What a plain YAML scalar means: null, a boolean, a number, or text.
//!
//! The rules are those of Go's yaml.v3, which both the Collector and Prometheus read their files with, and not
//! those of YAML 1.1 or 1.2: `yes` is text, `0o17`, `017`, `0x1F` and `0b11` are integers, `1_000` is a thousand,
//! `.inf` and `.nan` are floats.

/// The type and value that a scalar resolved to.
#[derive(Debug, Clone, Copy)]
pub enum Resolved {
    /// `null`, `~`, or nothing at all.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer that fits a signed or an unsigned 64-bit number.
    Int(i128),
    /// A floating point number.
    Float(f64),
    /// Anything else, and everything quoted. The text is that of the scalar.
    Text,
}

impl PartialEq for Resolved {
    /// Floats compare by bits, so that `.nan` equals itself and a reload sees no change where there is none.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) | (Self::Text, Self::Text) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            _ => false,
        }
    }
}

impl Eq for Resolved {}

impl Resolved {
    /// The YAML tag in its short form, as Go's messages print it.
    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::Null => "!!null",
            Self::Bool(_) => "!!bool",
            Self::Int(_) => "!!int",
            Self::Float(_) => "!!float",
            Self::Text => "!!str",
        }
    }
}

/// Resolves a scalar that was written without quotes.
pub(super) fn resolve_plain(text: &str) -> Resolved {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Resolved::Null,
        "true" | "True" | "TRUE" => return Resolved::Bool(true),
        "false" | "False" | "FALSE" => return Resolved::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Resolved::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Resolved::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Resolved::Float(f64::NEG_INFINITY),
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Resolved::Text;
    }
    // yaml.v3 takes underscores out of numbers, except of those that begin with a dot.
    let plain = if text.contains('_') && !text.starts_with('.') { text.replace('_', "") } else { text.to_owned() };
    if let Some(int) = resolve_int(&plain) {
        return Resolved::Int(int);
    }
    match resolve_float(&plain) {
        Some(float) => Resolved::Float(float),
        None => Resolved::Text,
    }
}

/// An integer as Go's `strconv.ParseInt(text, 0, 64)` and `ParseUint` read it; a leading `0` means octal.
fn resolve_int(text: &str) -> Option<i128> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let radix_of = |prefix: &str| digits.get(..2).filter(|p| p.eq_ignore_ascii_case(prefix)).and(digits.get(2..));
    let (radix, digits) = if let Some(rest) = radix_of("0x") {
        (16, rest)
    } else if let Some(rest) = radix_of("0o") {
        (8, rest)
    } else if let Some(rest) = radix_of("0b") {
        (2, rest)
    } else if digits.len() > 1 && digits.starts_with('0') {
        (8, digits.get(1..)?)
    } else {
        (10, digits)
    };
    // `from_str_radix` takes a sign of its own, which must not follow the prefix.
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    let magnitude = i128::from(u64::from_str_radix(digits, radix).ok()?);
    let value = if negative { -magnitude } else { magnitude };
    (value >= i128::from(i64::MIN)).then_some(value)
}

/// A decimal float: digits, an optional fraction, an optional exponent. Words such as `inf` are text.
fn resolve_float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = |s: &str| s.chars().take_while(char::is_ascii_digit).count();
    let whole = digits(unsigned);
    let mut rest = unsigned.get(whole..)?;
    let mut fraction = 0;
    if let Some(after) = rest.strip_prefix('.') {
        fraction = digits(after);
        rest = after.get(fraction..)?;
    }
    if whole == 0 && fraction == 0 {
        return None;
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        if exponent.is_empty() || digits(exponent) != exponent.len() {
            return None;
        }
    } else if !rest.is_empty() {
        return None;
    }
    // Go refuses what is too large for a float64 and leaves it text.
    text.parse::<f64>().ok().filter(|float| float.is_finite())
}
