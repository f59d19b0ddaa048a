//! The short ways through lines that are written as nearly all are.
//!
//! Each of them reads what the lexer and the parser would read, or nothing at all; whatever is unusual or wrong is left
//! to them.

use std::borrow::Cow;
use std::ops::Range;

use super::lexer::{COLON, Lexer, NAME, NAME_START, PLAIN, State, is_class};
use super::parser::Parser;
use super::{Entry, Format, MetricKind, Sticky, decode};
use crate::number::scan_short_decimal;

/// What a metadata line is about.
enum Keyword {
    Help,
    Type,
}

impl<'a> Lexer<'a> {
    /// At the beginning of a line: reads a metric's name and returns true if there is one. `known` is the beginning of
    /// a name that is likely to come.
    #[inline]
    pub(super) fn plain_name(&mut self, known: &str) -> bool {
        let Some(rest) = self.page.get(self.at..) else { return false };
        if self.state != State::Line || !rest.first().is_some_and(|byte| is_class(*byte, NAME_START | COLON)) {
            return false;
        }
        let skipped = if rest.starts_with(known.as_bytes()) { known.len() } else { 0 };
        let unknown = rest.get(skipped..).unwrap_or_default();
        let more = unknown.iter().position(|byte| !is_class(*byte, NAME | COLON)).unwrap_or(unknown.len());
        self.start = self.at;
        self.at += skipped + more;
        self.state = State::Value;
        true
    }

    /// Inside braces: reads `name="value"` and the comma or brace behind it. Returns where name and value stand and
    /// whether the braces are closed.
    #[inline]
    pub(super) fn plain_pair(&mut self) -> Option<(Range<usize>, Range<usize>, bool)> {
        let name = self.at;
        let rest = self.page.get(name..)?;
        if !is_class(*rest.first()?, NAME_START) {
            return None;
        }
        let length = rest.iter().position(|byte| !is_class(*byte, NAME))?;
        let rest = rest.get(length..)?.strip_prefix(b"=\"")?;
        let value = name + length + 2;
        let value_length = rest.iter().position(|byte| !is_class(*byte, PLAIN))?;
        let closed = match *rest.get(value_length..value_length + 2)? {
            [b'"', b','] => false,
            [b'"', b'}'] => true,
            _ => return None,
        };
        self.at = value + value_length + 2;
        if closed {
            self.state = State::Value;
        }
        Some((name..name + length, value..value + value_length, closed))
    }

    /// Behind a series: reads one space, a short decimal number and a line feed. Returns where the number stands, and
    /// the number.
    #[inline]
    pub(super) fn plain_value(&mut self) -> Option<(usize, f64)> {
        let rest = self.page.get(self.at..)?.strip_prefix(b" ")?;
        let (value, length) = scan_short_decimal(rest)?;
        if rest.get(length) != Some(&b'\n') {
            return None;
        }
        let start = self.at + 1;
        self.at = start + length + 1;
        self.state = State::Line;
        Some((start, value))
    }
}

impl<'a> Parser<'a> {
    /// At the beginning of a line: reads `# HELP name text` or `# TYPE name type`.
    #[inline]
    pub(super) fn plain_metadata(&mut self) -> Option<Entry<'a>> {
        let rest = self.lexer.page.get(self.lexer.at..)?;
        let (keyword, rest) = match rest.split_first_chunk::<7>()? {
            (b"# HELP ", rest) => (Keyword::Help, rest),
            (b"# TYPE ", rest) => (Keyword::Type, rest),
            _ => return None,
        };
        if self.lexer.state != State::Line {
            return None;
        }
        // TYPE mostly follows HELP for the same family, which has been looked at then.
        let family = match rest.strip_prefix(self.last_family.as_bytes()) {
            Some([b' ', ..]) if !self.last_family.is_empty() => self.last_family,
            _ if is_class(*rest.first()?, NAME_START | COLON) => {
                let length = rest.iter().position(|byte| !is_class(*byte, NAME | COLON))?;
                std::str::from_utf8(rest.get(..length)?).ok()?
            }
            _ => return None,
        };
        let text = rest.get(family.len()..)?.strip_prefix(b" ")?;
        if matches!(text.first()?, b' ' | b'\t' | b'\n' | 0) {
            return None;
        }
        let line_end = memchr::memchr(b'\n', text)?;
        let text = text.get(..line_end)?;
        let format = self.lexer.format;
        let entry = match keyword {
            Keyword::Help => {
                let text = decode::unescape(std::str::from_utf8(text).ok()?, format == Format::OpenMetrics);
                Entry::Help { family: Cow::Borrowed(family), text }
            }
            Keyword::Type => {
                let kind = MetricKind::from_text(format, text)?;
                self.sticky = Sticky { family: Some(Cow::Borrowed(family)), kind };
                Entry::Type { family: Cow::Borrowed(family), kind }
            }
        };
        self.last_family = family;
        self.lexer.at += 7 + family.len() + 1 + line_end + 1;
        Some(entry)
    }
}
