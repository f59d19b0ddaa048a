//! The tokens of both text formats.
//!
//! The lexer stops where Prometheus' generated lexer stops, also inside a token that turns out wrong, because error
//! texts quote the page up to that byte.

use super::Format;
use super::token::Token;

/// Which tokens may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The beginning of a line.
    Line,
    /// Behind HELP, TYPE or UNIT: a metric's name.
    MetaName,
    /// Behind that name: text up to the end of the line.
    MetaText,
    /// Inside braces.
    Labels,
    /// Behind an equals sign inside braces.
    LabelValue,
    /// Behind the series.
    Value,
    /// Behind the value.
    Timestamp,
    /// Inside an exemplar's braces.
    Exemplar,
    /// Behind an equals sign, or the closing brace, of an exemplar.
    ExemplarValue,
    /// Behind an exemplar's value.
    ExemplarTimestamp,
}

/// Walks through a page. `start..at` is the current token.
#[derive(Clone, Debug)]
pub(super) struct Lexer<'a> {
    pub(super) page: &'a [u8],
    /// The page's length; in the text format with the line feed that is thought to follow the last byte.
    end: usize,
    pub(super) format: Format,
    pub(super) state: State,
    pub(super) start: usize,
    pub(super) at: usize,
}

pub(super) const NAME_START: u8 = 1;
pub(super) const NAME: u8 = 2;
pub(super) const COLON: u8 = 4;
/// What a label value is made of that needs no second look: ASCII without quote, backslash, line feed and NUL.
pub(super) const PLAIN: u8 = 8;

/// What each byte may be part of.
static CLASSES: [u8; 256] = {
    let mut classes = [0u8; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => NAME_START | NAME | PLAIN,
            b'0'..=b'9' => NAME | PLAIN,
            b':' => COLON | PLAIN,
            0 | b'\n' | b'"' | b'\\' | 0x80.. => 0,
            _ => PLAIN,
        };
        byte += 1;
    }
    classes
};

#[inline]
pub(super) fn is_class(byte: u8, class: u8) -> bool {
    CLASSES.get(usize::from(byte)).is_some_and(|known| known & class != 0)
}

impl<'a> Lexer<'a> {
    pub(super) fn new(format: Format, page: &'a [u8], at: usize) -> Self {
        let end = match format {
            Format::Text => page.len() + 1,
            Format::OpenMetrics => page.len(),
        };
        let at = at.min(end);
        Self { page, end, format, state: State::Line, start: at, at }
    }

    /// The bytes of the current token; the line feed that is only thought of is not among them.
    #[inline]
    pub(super) fn token(&self) -> &'a [u8] {
        self.slice(self.start, self.at)
    }

    #[inline]
    pub(super) fn slice(&self, start: usize, end: usize) -> &'a [u8] {
        self.page.get(start..end.min(self.page.len())).unwrap_or_default()
    }

    /// The bytes from `start` to `end`, for error texts: with the line feed that is only thought of.
    pub(super) fn excerpt(&self, start: usize, end: usize) -> Vec<u8> {
        let mut bytes = self.slice(start, end).to_vec();
        if self.format == Format::Text && end.min(self.end) > self.page.len() {
            bytes.push(b'\n');
        }
        bytes
    }

    /// The byte at a place; 0 behind the end.
    #[inline]
    fn byte(&self, at: usize) -> u8 {
        match self.page.get(at) {
            Some(byte) => *byte,
            None if at < self.end => b'\n',
            None => 0,
        }
    }

    #[inline]
    fn take(&mut self, token: Token, next: State) -> Token {
        self.at += 1;
        self.state = next;
        token
    }

    /// The next token. White space between tokens is skipped in the text format.
    #[inline]
    pub(super) fn next(&mut self) -> Token {
        if self.format == Format::Text && self.state != State::MetaText {
            while matches!(self.byte(self.at), b' ' | b'\t') {
                self.at += 1;
            }
        }
        if self.at >= self.end {
            return Token::Eof;
        }
        self.start = self.at;
        match self.state {
            State::Labels => self.inside_braces(State::Labels),
            State::LabelValue => self.quoted(Token::LabelValue, State::Labels),
            State::Value => self.value(),
            State::Timestamp => self.timestamp(),
            State::Line => self.line(),
            State::MetaName if self.byte(self.at) == b'"' => self.quoted(Token::MetricName, State::MetaText),
            State::MetaName => self.name(Token::MetricName, State::MetaText, NAME_START | COLON, NAME | COLON),
            State::MetaText => self.text(),
            State::Exemplar => self.inside_braces(State::Exemplar),
            State::ExemplarValue => self.exemplar_value(),
            State::ExemplarTimestamp => self.exemplar_timestamp(),
        }
    }

    fn line(&mut self) -> Token {
        match self.byte(self.at) {
            b'#' if self.format == Format::Text => self.text_comment(),
            b'#' => self.openmetrics_comment(),
            b'{' => self.take(Token::BraceOpen, State::Labels),
            b'\n' if self.format == Format::Text => self.take(Token::Linebreak, State::Line),
            _ => self.name(Token::MetricName, State::Value, NAME_START | COLON, NAME | COLON),
        }
    }

    #[inline]
    fn name(&mut self, token: Token, next: State, first: u8, more: u8) -> Token {
        if !is_class(self.byte(self.at), first) {
            return Token::Invalid;
        }
        let rest = self.page.get(self.at + 1..).unwrap_or_default();
        self.at += 1 + rest.iter().position(|byte| !is_class(*byte, more)).unwrap_or(rest.len());
        self.state = next;
        token
    }

    /// `# HELP ` or `# TYPE `, with any white space, or a line that is ignored.
    fn text_comment(&mut self) -> Token {
        let line = self.page.get(self.at + 1..).unwrap_or_default();
        let space = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let words = line.get(space..).unwrap_or_default();
        let (token, after) = match words.split_first_chunk() {
            Some((b"HELP", after)) => (Token::Help, after),
            Some((b"TYPE", after)) => (Token::Type, after),
            _ => (Token::Comment, words),
        };
        let more = after.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if token == Token::Comment || space == 0 || more == 0 {
            self.at = self.line_end(self.at);
            return Token::Comment;
        }
        self.at += 1 + space + 4 + more;
        self.state = State::MetaName;
        token
    }

    /// `# HELP `, `# TYPE `, `# UNIT ` or `# EOF`.
    fn openmetrics_comment(&mut self) -> Token {
        self.at += 1;
        if self.byte(self.at) != b' ' {
            return Token::Invalid;
        }
        self.at += 1;
        let (word, token): (&[u8], Token) = match self.byte(self.at) {
            b'H' => (b"HELP ", Token::Help),
            b'T' => (b"TYPE ", Token::Type),
            b'U' => (b"UNIT ", Token::Unit),
            b'E' => (b"EOF", Token::EofWord),
            _ => return Token::Invalid,
        };
        for expected in word {
            if self.byte(self.at) != *expected {
                return Token::Invalid;
            }
            self.at += 1;
        }
        if token == Token::EofWord {
            if self.byte(self.at) == b'\n' {
                self.at += 1;
            }
            self.state = State::Line;
        } else {
            self.state = State::MetaName;
        }
        token
    }

    fn line_end(&self, from: usize) -> usize {
        let rest = self.page.get(from..).unwrap_or_default();
        memchr::memchr(b'\n', rest).map_or(self.page.len(), |at| from + at)
    }

    /// The text of a metadata line, with the byte that separates it from the name.
    fn text(&mut self) -> Token {
        let line_end = self.line_end(self.at);
        if self.format == Format::Text {
            let text = self.slice(self.at, line_end);
            // Text that is nothing but white space counts as none, and a NUL cannot begin a text.
            if text.iter().all(|byte| matches!(byte, b' ' | b'\t')) {
                self.start = line_end;
            }
            if text.first() != Some(&0) {
                self.at = line_end;
            }
        } else {
            if self.byte(self.at) != b' ' {
                return Token::Invalid;
            }
            self.at = line_end;
            if line_end >= self.end {
                return Token::Invalid;
            }
            self.at += 1;
        }
        self.state = State::Line;
        Token::Text
    }

    #[inline]
    fn inside_braces(&mut self, state: State) -> Token {
        let exemplar = state == State::Exemplar;
        match self.byte(self.at) {
            b'"' => self.quoted(Token::QuotedString, state),
            b'=' => self.take(Token::Equal, if exemplar { State::ExemplarValue } else { State::LabelValue }),
            b',' => self.take(Token::Comma, state),
            b'}' => self.take(Token::BraceClose, if exemplar { State::ExemplarValue } else { State::Value }),
            _ => self.name(Token::LabelName, state, NAME_START, NAME),
        }
    }

    /// A quoted text. NUL is only allowed in label values, a raw line feed only in the text format and in names.
    #[inline]
    fn quoted(&mut self, token: Token, next: State) -> Token {
        if self.byte(self.at) != b'"' {
            return Token::Invalid;
        }
        let allow_nul = self.state == State::LabelValue;
        let allow_line_feed = self.format == Format::Text || matches!(self.state, State::Labels | State::MetaName);
        self.at += 1;
        while let Some(byte) = self.page.get(self.at) {
            match byte {
                b'"' => return self.take(token, next),
                b'\\' => {
                    self.at += 1;
                    while allow_nul && self.page.get(self.at) == Some(&0) {
                        self.at += 1;
                    }
                    // The line feed that is only thought of is no more allowed here than a real one.
                    if matches!(self.byte(self.at), b'\n' | 0) {
                        return Token::Invalid;
                    }
                }
                b'\n' if !allow_line_feed => return Token::Invalid,
                0 if !allow_nul => return Token::Invalid,
                _ => {}
            }
            self.at += 1;
        }
        // Not closed: what is left, the line feed that is only thought of included, has been looked at.
        self.at = self.end;
        Token::Invalid
    }

    #[inline]
    fn value(&mut self) -> Token {
        if self.byte(self.at) == b'{' {
            return self.take(Token::BraceOpen, State::Labels);
        }
        match self.format {
            Format::Text => {
                self.run(|byte| !matches!(byte, b'{' | b' ' | b'\t' | b'\n' | 0));
                if self.at == self.start {
                    return Token::Invalid;
                }
                self.state = State::Timestamp;
                Token::Value
            }
            Format::OpenMetrics => self.spaced_word(Token::Value, State::Timestamp),
        }
    }

    #[inline]
    fn timestamp(&mut self) -> Token {
        match (self.format, self.byte(self.at)) {
            (_, b'\n') => self.take(Token::Linebreak, State::Line),
            (Format::Text, _) => {
                self.run(|byte| byte.is_ascii_digit());
                if self.at == self.start { Token::Invalid } else { Token::Timestamp }
            }
            (Format::OpenMetrics, b' ') if self.byte(self.at + 1) == b'#' && self.byte(self.at + 2) == b' ' => {
                self.at += 3;
                if self.byte(self.at) == b'{' { self.take(Token::Comment, State::Exemplar) } else { Token::Invalid }
            }
            (Format::OpenMetrics, _) => self.spaced_word(Token::Timestamp, State::Timestamp),
        }
    }

    fn exemplar_value(&mut self) -> Token {
        match self.byte(self.at) {
            b'"' => self.quoted(Token::LabelValue, State::Exemplar),
            _ => self.spaced_word(Token::Value, State::ExemplarTimestamp),
        }
    }

    fn exemplar_timestamp(&mut self) -> Token {
        match self.byte(self.at) {
            b'\n' => self.take(Token::Linebreak, State::Line),
            _ => self.spaced_word(Token::Timestamp, State::ExemplarTimestamp),
        }
    }

    /// One space and then anything up to the next space or line feed.
    fn spaced_word(&mut self, token: Token, next: State) -> Token {
        if self.byte(self.at) != b' ' {
            return Token::Invalid;
        }
        self.at += 1;
        let begin = self.at;
        self.run(|byte| !matches!(byte, b' ' | b'\n' | 0));
        if self.at == begin {
            return Token::Invalid;
        }
        self.state = next;
        token
    }

    #[inline]
    fn run(&mut self, accepts: impl Fn(u8) -> bool) {
        let rest = self.page.get(self.at..).unwrap_or_default();
        self.at += rest.iter().position(|byte| !accepts(*byte)).unwrap_or(rest.len());
    }
}
