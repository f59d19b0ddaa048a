//! Why a page was refused, and where.

use std::fmt;

/// A page that Prometheus would refuse, with the text that Prometheus would print. One error condemns the whole page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError(Box<Details>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Details {
    message: String,
    offset: usize,
    line: usize,
    column: usize,
}

impl ParseError {
    /// An error at `offset` bytes from the beginning of `page`.
    pub(super) fn at(page: &[u8], offset: usize, message: String) -> Self {
        let before = page.get(..offset).unwrap_or(page);
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        Self(Box::new(Details {
            message,
            offset: before.len(),
            line: 1 + memchr::memchr_iter(b'\n', before).count(),
            column: 1 + before.len() - line_start,
        }))
    }

    /// The text, as Prometheus prints it.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Where the parser stopped, in bytes from the beginning of the page.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.0.offset
    }

    /// The line where the parser stopped, counted from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.0.line
    }

    /// The byte in that line, counted from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.0.column
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for ParseError {}
