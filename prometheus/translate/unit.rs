//! Units: UCUM codes in OTLP, words in Prometheus.

use std::borrow::Cow;

use super::label_name::push_collapsed;

/// UCUM codes and the words for them. `KBy` and `tibibytes` are not what UCUM and the IEC say, but what
/// the Collector reads and writes.
const WORDS: [(&str, &str); 26] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    // The word is used by gauges only; as a suffix it is added by the rule for gauges, not as a unit.
    ("1", "ratio"),
    ("%", "percent"),
];

/// UCUM codes and words in the place behind "per". `m` is a minute here, and `meters` in front.
const PER_WORDS: [(&str, &str); 7] =
    [("s", "second"), ("m", "minute"), ("h", "hour"), ("d", "day"), ("w", "week"), ("mo", "month"), ("y", "year")];

const PER: &str = "_per_";

/// Makes the unit word for Prometheus metadata of an OTLP unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitNamer {
    /// Keep all of UTF-8 in units that are not in the table.
    pub utf8: bool,
}

impl UnitNamer {
    /// The unit word, such as `bytes_per_second` for `By/s`; empty for no unit, for `1` and for
    /// annotations in braces.
    #[must_use]
    pub fn build(&self, unit: &str) -> String {
        let suffixes = UnitSuffixes::of(unit);
        let suffixes = if self.utf8 { suffixes } else { suffixes.cleaned() };
        let joined = match (suffixes.main.as_ref(), suffixes.per.as_ref()) {
            (main, "") => main.to_owned(),
            ("", per) => per.to_owned(),
            (main, per) => format!("{main}_{per}"),
        };
        let trimmed = joined.strip_prefix('_').unwrap_or(&joined);
        trimmed.strip_suffix('_').unwrap_or(trimmed).to_owned()
    }
}

/// What a unit adds to a name: the words in front of and behind the first slash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct UnitSuffixes<'u> {
    /// Such as `bytes`, or empty.
    pub(super) main: Cow<'u, str>,
    /// Such as `per_second`, or empty.
    pub(super) per: Cow<'u, str>,
}

impl<'u> UnitSuffixes<'u> {
    pub(super) fn of(unit: &'u str) -> Self {
        let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
        let main = match part(main) {
            "1" => "",
            main => word(&WORDS, main).unwrap_or(main),
        };
        let per = match part(per) {
            "" => Cow::Borrowed(""),
            per => Cow::Owned(format!("per_{}", word(&PER_WORDS, per).unwrap_or(per))),
        };
        Self { main: Cow::Borrowed(main), per }
    }

    /// With characters that names cannot have made underscores.
    pub(super) fn cleaned(self) -> Self {
        Self { main: clean(self.main), per: clean(self.per) }
    }
}

/// One side of the slash. Annotations in braces are for people and not part of the unit.
fn part(text: &str) -> &str {
    let text = text.trim();
    if text.contains(['{', '}']) { "" } else { text }
}

fn clean(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b':') {
        return text;
    }
    let mut cleaned = String::with_capacity(text.len());
    push_collapsed(&mut cleaned, &text, |c| c.is_ascii_alphanumeric() || c == ':');
    if cleaned.starts_with('_') {
        cleaned.remove(0);
    }
    Cow::Owned(cleaned)
}

/// The UCUM unit for the unit word of Prometheus metadata: `By/s` for `bytes_per_second`. Words that
/// are not in the table are kept.
#[must_use]
pub fn unit_word_to_ucum(word: &str) -> Cow<'_, str> {
    convert(word, PER, "/", code)
}

/// The unit word for a UCUM unit: the reverse of [`unit_word_to_ucum`]. Units that are not in the table
/// are kept. This is for metrics whose unit was a word once; others take [`UnitNamer`].
#[must_use]
pub fn ucum_to_unit_word(ucum: &str) -> Cow<'_, str> {
    convert(ucum, "/", PER, word)
}

type Table = [(&'static str, &'static str)];

fn convert<'t>(
    text: &'t str,
    from: &str,
    to: &str,
    look_up: fn(&'static Table, &str) -> Option<&'static str>,
) -> Cow<'t, str> {
    let convert_main = |main: &'t str| look_up(&WORDS, main).unwrap_or(main);
    match text.split_once(from) {
        None => Cow::Borrowed(convert_main(text)),
        Some((main, "")) => Cow::Borrowed(convert_main(main)),
        Some((main, per)) => {
            Cow::Owned(format!("{}{to}{}", convert_main(main), look_up(&PER_WORDS, per).unwrap_or(per)))
        }
    }
}

fn word(table: &'static Table, code: &str) -> Option<&'static str> {
    table.iter().find(|entry| entry.0 == code).map(|entry| entry.1)
}

fn code(table: &'static Table, word: &str) -> Option<&'static str> {
    table.iter().find(|entry| entry.1 == word).map(|entry| entry.0)
}
