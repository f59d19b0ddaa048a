//! What stands behind a series: value, timestamp, exemplar, end of line.

use super::error::ParseError;
use super::parser::Parser;
use super::token::Token;
use super::{Exemplar, Format};
use crate::number;

/// The part of a sample's line behind its series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tail<'a> {
    /// The value.
    pub value: f64,
    /// The timestamp in milliseconds, if the line has one.
    pub timestamp_ms: Option<i64>,
    /// The exemplar, if the line has one.
    pub exemplar: Option<Exemplar<'a>>,
    /// How many bytes were read, the line feed included.
    pub consumed: usize,
}

/// Reads the rest of a line whose beginning is known already, from the value's first digit or sign to the end of the
/// line.
///
/// This is the way of a line that looks as it did last time, so the plain case, a short decimal number and a line
/// feed, is a few nanoseconds.
///
/// # Errors
/// If Prometheus would refuse the page because of this line. The error text quotes only what was given; to show the
/// whole line, parse it with [`Parser::resume`].
#[inline]
pub fn parse_value_and_tail(bytes: &[u8], format: Format) -> Result<Tail<'_>, ParseError> {
    if let Some((value, length)) = number::scan_short_decimal(bytes)
        && bytes.get(length) == Some(&b'\n')
    {
        return Ok(Tail { value, timestamp_ms: None, exemplar: None, consumed: length + 1 });
    }
    parse_any_tail(bytes, format)
}

#[inline(never)]
fn parse_any_tail(bytes: &[u8], format: Format) -> Result<Tail<'_>, ParseError> {
    let ends = |byte: &u8| match format {
        Format::Text => matches!(byte, b'{' | b' ' | b'\t' | b'\n' | 0),
        Format::OpenMetrics => matches!(byte, b' ' | b'\n' | 0),
    };
    let end = bytes.iter().position(ends).unwrap_or(bytes.len());
    let mut parser = Parser::behind_value(format, bytes, end);
    let text = bytes.get(..end).unwrap_or_default();
    let value = number::parse_value(text).map_err(|error| parser.while_parsing(&error))?;
    let tail = parser.ending()?;
    if format == Format::OpenMetrics && !bytes.get(..parser.offset()).is_some_and(|read| read.ends_with(b"\n")) {
        // Prometheus notices only when it looks for the next line; here there may be no next look.
        parser.next()?;
        return Err(parser.error("expected a valid start token".to_owned()));
    }
    Ok(Tail { value, consumed: parser.offset(), ..tail })
}

/// Reads what follows a value in an OpenMetrics line.
pub(super) struct Ending<'p, 'a> {
    pub(super) parser: &'p mut Parser<'a>,
}

impl<'a> Ending<'_, 'a> {
    pub(super) fn read(&mut self, token: Token, tail: &mut Tail<'a>) -> Result<(), ParseError> {
        match token {
            Token::Eof => Err(self.parser.error("data does not end with # EOF".to_owned())),
            Token::Comment => self.exemplar(tail),
            Token::Timestamp => {
                tail.timestamp_ms = Some(self.timestamp("timestamp")?);
                match self.parser.lexer.next() {
                    Token::Linebreak => Ok(()),
                    Token::Comment => self.exemplar(tail),
                    token => Err(self.parser.unexpected("expected next entry after timestamp", token)),
                }
            }
            // Anything else is noticed by Prometheus only as the beginning of the next entry, which is an error
            // then. The sample counts as read until then.
            _ => Ok(()),
        }
    }

    fn exemplar(&mut self, tail: &mut Tail<'a>) -> Result<(), ParseError> {
        let start = self.parser.lexer.at - 1;
        self.parser.label_pairs(true)?;
        let raw_labels = self.parser.lexer.slice(start, self.parser.lexer.at);
        let token = self.parser.lexer.next();
        let (_, value) = self.parser.number(token, "exemplar labels")?;
        let mut exemplar = Exemplar { raw_labels, value, timestamp_ms: None };
        match self.parser.lexer.next() {
            Token::Linebreak => {}
            Token::Eof => return Err(self.parser.error("data does not end with # EOF".to_owned())),
            Token::Timestamp => {
                exemplar.timestamp_ms = Some(self.timestamp("exemplar timestamp")?);
                let token = self.parser.lexer.next();
                if token != Token::Linebreak {
                    return Err(self.parser.unexpected("expected next entry after exemplar timestamp", token));
                }
            }
            token => return Err(self.parser.unexpected("expected timestamp or comment", token)),
        }
        tail.exemplar = Some(exemplar);
        Ok(())
    }

    /// Seconds as a float, to milliseconds. A time outside of 64 bits is the nearest that fits.
    fn timestamp(&self, what: &str) -> Result<i64, ParseError> {
        let text = self.parser.lexer.token();
        let seconds =
            number::parse_value(text.get(1..).unwrap_or_default()).map_err(|e| self.parser.while_parsing(&e))?;
        if !seconds.is_finite() {
            return Err(self.parser.error(format!("invalid {what} {}", number::format_go_float(seconds))));
        }
        Ok((seconds * 1000.0) as i64)
    }
}
