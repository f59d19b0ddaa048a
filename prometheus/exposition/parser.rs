//! The pull parser of both text formats.

use super::decode::{self, SeriesParts};
use super::error::ParseError;
use super::lexer::{Lexer, State};
use super::tail::{Ending, Tail};
use super::token::Token;
use super::{Entry, Format, MetricKind, Sample, Sticky};
use crate::labels::LabelsBuilder;
use crate::quote::quoted;

/// Pulls the entries out of a page, one by one, without copying it.
///
/// The page need not be UTF-8: bytes that are not are refused where they matter.
///
/// ```
/// use prometheus::exposition::{Entry, Format, Parser};
/// use prometheus::labels::LabelsBuilder;
///
/// let mut parser = Parser::new(Format::Text, b"up{job=\"node\"} 1\n");
/// let mut labels = LabelsBuilder::new();
/// while let Some(entry) = parser.next()? {
///     if let Entry::Sample(sample) = entry {
///         parser.labels(&mut labels)?;
///         assert_eq!(labels.to_string(), r#"{__name__="up", job="node"}"#);
///         assert_eq!(sample.value, 1.0);
///     }
/// }
/// # Ok::<(), prometheus::exposition::ParseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Parser<'a> {
    pub(super) lexer: Lexer<'a>,
    /// Where the current entry begins.
    entry_start: usize,
    parts: SeriesParts,
    pub(super) sticky: Sticky<'a>,
    /// The family of the last plain metadata line: TYPE mostly follows HELP for the same family.
    pub(super) last_family: &'a str,
}

impl<'a> Parser<'a> {
    /// A parser at the beginning of a page.
    #[must_use]
    pub fn new(format: Format, page: &'a [u8]) -> Self {
        Self::resume(format, page, 0, Sticky::default())
    }

    /// A parser at `offset` bytes from the beginning of a page, which must be the beginning of a line, with what the
    /// lines before have declared.
    #[must_use]
    pub fn resume(format: Format, page: &'a [u8], offset: usize, sticky: Sticky<'a>) -> Self {
        Self {
            lexer: Lexer::new(format, page, offset),
            entry_start: offset,
            parts: SeriesParts::default(),
            sticky,
            last_family: "",
        }
    }

    /// What the TYPE line before the current place has declared.
    #[must_use]
    pub fn sticky(&self) -> &Sticky<'a> {
        &self.sticky
    }

    /// How far the parser has read, in bytes from the beginning of the page: after an entry, where the next line
    /// begins.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.lexer.at.min(self.lexer.page.len())
    }

    /// The next entry, or `None` at the end of the page.
    ///
    /// # Errors
    /// If Prometheus would refuse the page. Nothing of the page is to be used then, and the parser is not to be asked
    /// again.
    #[expect(clippy::should_implement_trait, reason = "an error ends the page, which an iterator does not express")]
    pub fn next(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        loop {
            self.entry_start = self.lexer.at;
            if self.lexer.plain_name(self.last_family) {
                return self.named_sample().map(Some);
            }
            if let Some(entry) = self.plain_metadata() {
                return Ok(Some(entry));
            }
            let token = self.lexer.next();
            return match token {
                Token::MetricName => self.named_sample().map(Some),
                Token::BraceOpen => self.braced_sample().map(Some),
                Token::Linebreak if self.lexer.format == Format::Text => continue,
                Token::Help | Token::Type | Token::Unit => self.metadata(token).map(Some),
                // A comment of the text format; in OpenMetrics the token begins an exemplar.
                Token::Comment if self.lexer.format == Format::Text => self.comment().map(Some),
                Token::Eof if self.lexer.format == Format::Text => Ok(None),
                Token::Eof => Err(self.error("data does not end with # EOF".to_owned())),
                Token::EofWord if self.lexer.next() == Token::Eof => Ok(None),
                Token::EofWord => Err(self.error("unexpected data after # EOF".to_owned())),
                _ => Err(self.unexpected("expected a valid start token", token)),
            };
        }
    }

    /// Puts the labels of the sample that [`next`](Self::next) returned last into `labels`, the metric's name as
    /// `__name__` among them, replacing what is there. Labels with an empty value are kept, of labels with the same
    /// name the last one counts. After a TYPE line for a histogram the label `le`, after one for a summary the label
    /// `quantile` is put into OpenMetrics' canonical form (`1` becomes `1.0`).
    ///
    /// # Errors
    /// If a quoted name is not UTF-8.
    pub fn labels(&self, labels: &mut LabelsBuilder) -> Result<(), ParseError> {
        self.parts
            .decode(self.lexer.page, self.sticky.kind, labels)
            .map_err(|message| ParseError::at(self.lexer.page, self.entry_start, message))
    }

    fn metadata(&mut self, keyword: Token) -> Result<Entry<'a>, ParseError> {
        let token = self.lexer.next();
        if token != Token::MetricName {
            return Err(self.unexpected(&format!("expected metric name after {}", keyword.name()), token));
        }
        let name = decode::unquote(self.lexer.token());
        let token = self.lexer.next();
        if token != Token::Text {
            return Err(self.error(format!("expected text in {}", keyword.name())));
        }
        let text = self.lexer.token();
        let text = text.get(1..).unwrap_or_default();
        let family = decode::lossy(name);
        let entry = match (keyword, self.lexer.format) {
            (Token::Type, format) => {
                let text = without_line_feed(text, format);
                let Some(kind) = MetricKind::from_text(format, text) else {
                    return Err(self.error(format!("invalid metric type {}", quoted(text))));
                };
                self.sticky = Sticky { family: Some(family.clone()), kind };
                Entry::Type { family, kind }
            }
            (Token::Unit, format) => {
                let unit = without_line_feed(text, format);
                self.check_unit(name, unit)?;
                Entry::Unit { family, unit: String::from_utf8_lossy(unit) }
            }
            (_, format) => {
                let text = without_line_feed(text, format);
                let Ok(text) = std::str::from_utf8(text) else {
                    return Err(self.error(format!("help text {} is not a valid utf8 string", quoted(text))));
                };
                Entry::Help { family, text: decode::unescape(text, format == Format::OpenMetrics) }
            }
        };
        if self.lexer.format == Format::Text {
            let token = self.lexer.next();
            if token != Token::Linebreak {
                return Err(self.unexpected("linebreak expected after metadata", token));
            }
        }
        Ok(entry)
    }

    fn check_unit(&self, name: &[u8], unit: &[u8]) -> Result<(), ParseError> {
        let fits = unit.is_empty() || name.strip_suffix(unit).is_some_and(|rest| rest.ends_with(b"_"));
        if fits {
            return Ok(());
        }
        Err(self.error(format!("unit {} not a suffix of metric {}", quoted(unit), quoted(name))))
    }

    fn comment(&mut self) -> Result<Entry<'a>, ParseError> {
        let text = self.lexer.token();
        let token = self.lexer.next();
        if token != Token::Linebreak {
            return Err(self.unexpected("linebreak expected after comment", token));
        }
        Ok(Entry::Comment(text))
    }

    /// `name value` or `name{...} value`. White space before the name belongs to it, as in Prometheus.
    #[inline]
    fn named_sample(&mut self) -> Result<Entry<'a>, ParseError> {
        self.parts.begin(Some(self.entry_start..self.lexer.at));
        let mut series_end = self.lexer.at;
        if let Some((value_start, value)) = self.lexer.plain_value() {
            return Ok(self.plain_sample(series_end, value_start, value));
        }
        let mut token = self.lexer.next();
        if token == Token::BraceOpen {
            self.label_pairs(false)?;
            series_end = self.lexer.at;
            if let Some((value_start, value)) = self.lexer.plain_value() {
                return Ok(self.plain_sample(series_end, value_start, value));
            }
            token = self.lexer.next();
        }
        self.sample(series_end, token)
    }

    /// `{"name", ...} value`.
    fn braced_sample(&mut self) -> Result<Entry<'a>, ParseError> {
        self.parts.begin(None);
        self.label_pairs(false)?;
        let series_end = self.lexer.at;
        let token = self.lexer.next();
        self.sample(series_end, token)
    }

    #[inline]
    fn plain_sample(&self, series_end: usize, value_start: usize, value: f64) -> Entry<'a> {
        Entry::Sample(Sample {
            series: self.lexer.slice(self.entry_start, series_end),
            series_start: self.entry_start,
            value_start,
            line_end: self.lexer.at,
            value,
            timestamp_ms: None,
            exemplar: None,
        })
    }

    fn sample(&mut self, series_end: usize, token: Token) -> Result<Entry<'a>, ParseError> {
        if !self.parts.has_name() {
            let seen = self.lexer.excerpt(self.entry_start, self.lexer.at);
            return Err(self.error(format!("metric name not set while parsing: {}", quoted(&seen))));
        }
        let (value_start, value) = self.number(token, "metric")?;
        let Tail { timestamp_ms, exemplar, .. } = self.ending()?;
        Ok(Entry::Sample(Sample {
            series: self.lexer.slice(self.entry_start, series_end),
            series_start: self.entry_start,
            value_start,
            line_end: self.offset(),
            value,
            timestamp_ms,
            exemplar,
        }))
    }

    /// What follows a value, up to the end of the line.
    #[inline]
    pub(super) fn ending(&mut self) -> Result<Tail<'a>, ParseError> {
        let token = self.lexer.next();
        let mut tail = Tail { value: 0.0, timestamp_ms: None, exemplar: None, consumed: 0 };
        if token == Token::Linebreak {
            return Ok(tail);
        }
        match self.lexer.format {
            Format::Text => self.text_timestamp(token, &mut tail)?,
            Format::OpenMetrics => Ending { parser: self }.read(token, &mut tail)?,
        }
        Ok(tail)
    }

    fn text_timestamp(&mut self, token: Token, tail: &mut Tail<'a>) -> Result<(), ParseError> {
        if token != Token::Timestamp {
            return Err(self.unexpected("expected timestamp or new record", token));
        }
        tail.timestamp_ms = Some(crate::number::parse_digits(self.lexer.token()).map_err(|e| self.while_parsing(&e))?);
        let token = self.lexer.next();
        if token != Token::Linebreak {
            return Err(self.unexpected("expected next entry after timestamp", token));
        }
        Ok(())
    }

    /// Where a number stands, and the number.
    #[inline]
    pub(super) fn number(&mut self, token: Token, after: &str) -> Result<(usize, f64), ParseError> {
        if token != Token::Value {
            return Err(self.unexpected(&format!("expected value after {after}"), token));
        }
        // The OpenMetrics token begins with the space.
        let start = match self.lexer.format {
            Format::Text => self.lexer.start,
            Format::OpenMetrics => self.lexer.start + 1,
        };
        let value = crate::number::parse_value(self.lexer.slice(start, self.lexer.at));
        Ok((start, value.map_err(|error| self.while_parsing(&error))?))
    }

    /// The pairs inside braces, up to and with the closing brace.
    pub(super) fn label_pairs(&mut self, exemplar: bool) -> Result<(), ParseError> {
        if !exemplar {
            // Nearly all pairs are plain; from the first that is not, the exact way takes over.
            while let Some((name, value, closed)) = self.lexer.plain_pair() {
                self.parts.push_label(name, value);
                if closed {
                    return Ok(());
                }
            }
        }
        let mut token = self.lexer.next();
        loop {
            let (mut start, mut end) = (self.lexer.start, self.lexer.at);
            let quoted_name = match token {
                Token::BraceClose => return Ok(()),
                Token::LabelName => false,
                Token::QuotedString => true,
                _ => return Err(self.unexpected("expected label name", token)),
            };
            token = self.lexer.next();
            if quoted_name {
                start += 1;
                end -= 1;
                // A quoted text without a value is the metric's name.
                if matches!(token, Token::Comma | Token::BraceClose) {
                    if exemplar {
                        return Err(self.unexpected("expected label name", token));
                    }
                    if !self.parts.set_name(start..end) {
                        let seen = self.lexer.excerpt(self.entry_start, self.lexer.at);
                        return Err(self.error(format!("metric name already set while parsing: {}", quoted(&seen))));
                    }
                    if token == Token::BraceClose {
                        return Ok(());
                    }
                    token = self.lexer.next();
                    continue;
                }
            }
            if token != Token::Equal {
                return Err(self.unexpected("expected equal", token));
            }
            token = self.lexer.next();
            if token != Token::LabelValue {
                return Err(self.unexpected("expected label value", token));
            }
            let value = self.lexer.token();
            if std::str::from_utf8(value).is_err() {
                return Err(self.error(format!("invalid UTF-8 label value: {}", quoted(value))));
            }
            if !exemplar {
                self.parts.push_label(start..end, self.lexer.start + 1..self.lexer.at - 1);
            }
            token = self.lexer.next();
            if token == Token::Comma {
                token = self.lexer.next();
            } else if self.lexer.format == Format::OpenMetrics && token != Token::BraceClose {
                return Err(self.unexpected("expected comma or brace close", token));
            }
        }
    }

    #[cold]
    pub(super) fn error(&self, message: String) -> ParseError {
        ParseError::at(self.lexer.page, self.lexer.at, message)
    }

    #[cold]
    pub(super) fn while_parsing(&self, error: &dyn std::fmt::Display) -> ParseError {
        let seen = self.lexer.excerpt(self.entry_start, self.lexer.at);
        self.error(format!("{error} while parsing: {}", quoted(&seen)))
    }

    #[cold]
    pub(super) fn unexpected(&self, expected: &str, got: Token) -> ParseError {
        let end = self.lexer.at + 1;
        let token = quoted(&self.lexer.excerpt(self.lexer.start, end));
        let seen = quoted(&self.lexer.excerpt(self.entry_start, end));
        self.error(format!("{expected}, got {token} (\"{}\") while parsing: {seen}", got.name()))
    }

    /// A parser that stands behind a value.
    pub(super) fn behind_value(format: Format, bytes: &'a [u8], at: usize) -> Self {
        let mut parser = Self::resume(format, bytes, at, Sticky::default());
        parser.lexer.state = State::Timestamp;
        parser.entry_start = 0;
        parser
    }
}

/// The text of a metadata line of the OpenMetrics format ends with the line feed.
fn without_line_feed(text: &[u8], format: Format) -> &[u8] {
    match format {
        Format::Text => text,
        Format::OpenMetrics => text.strip_suffix(b"\n").unwrap_or(text),
    }
}
