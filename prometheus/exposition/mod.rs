//! The text formats in which targets expose metrics: Prometheus text (0.0.4 and 1.0.0) and OpenMetrics 1.0.
//!
//! [`Parser`] pulls entries out of a page without copying it. It accepts and refuses exactly what Prometheus does,
//! with the same error texts, including the places where Prometheus is laxer or odder than the specifications.
//!
//! A page that comes again and again is mostly the same text with other numbers. A caller that remembers the bytes
//! between the end of one sample's line and the next sample's value ([`Sample::value_start`], [`Sample::line_end`])
//! can compare them, read the number with [`parse_value_and_tail`], and start the full parser in the middle of the
//! page ([`Parser::resume`]) only where the page has changed.

mod content_type;
mod decode;
mod error;
mod lexer;
mod parser;
mod plain;
mod tail;
mod token;

use std::borrow::Cow;

pub use content_type::{ContentTypeError, MediaType};
pub use error::ParseError;
pub use parser::Parser;
pub use tail::{Tail, parse_value_and_tail};

use crate::labels::LabelsBuilder;

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `text/plain`, versions 0.0.4 and 1.0.0, which are parsed alike.
    Text,
    /// `application/openmetrics-text`, version 1.0.0 (0.0.1 is parsed alike).
    OpenMetrics,
}

/// The type of a metric family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MetricKind {
    /// Not declared, or declared as `untyped` (text) or `unknown` (OpenMetrics).
    #[default]
    Unknown,
    /// `counter`
    Counter,
    /// `gauge`
    Gauge,
    /// `histogram`
    Histogram,
    /// `gaugehistogram`, OpenMetrics only.
    GaugeHistogram,
    /// `summary`
    Summary,
    /// `info`, OpenMetrics only.
    Info,
    /// `stateset`, OpenMetrics only.
    StateSet,
}

impl MetricKind {
    /// The type's name in Prometheus' metadata; [`Unknown`](Self::Unknown) is `unknown`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
        }
    }

    /// Reads the text of a TYPE line.
    fn from_text(format: Format, text: &[u8]) -> Option<Self> {
        Some(match (format, text) {
            (_, b"counter") => Self::Counter,
            (_, b"gauge") => Self::Gauge,
            (_, b"histogram") => Self::Histogram,
            (_, b"summary") => Self::Summary,
            (Format::Text, b"untyped") | (Format::OpenMetrics, b"unknown") => Self::Unknown,
            (Format::OpenMetrics, b"gaugehistogram") => Self::GaugeHistogram,
            (Format::OpenMetrics, b"info") => Self::Info,
            (Format::OpenMetrics, b"stateset") => Self::StateSet,
            _ => return None,
        })
    }
}

/// What holds from one line to the next: the family and type that the last TYPE line declared. It applies to all
/// samples up to the next TYPE line, whatever their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sticky<'a> {
    /// The family of the last TYPE line.
    pub family: Option<Cow<'a, str>>,
    /// The type that it declared.
    pub kind: MetricKind,
}

/// One thing that a page says.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry<'a> {
    /// A TYPE line.
    Type {
        /// The family's name, escapes resolved; bytes that are not UTF-8 are replaced.
        family: Cow<'a, str>,
        /// Its type.
        kind: MetricKind,
    },
    /// A HELP line.
    Help {
        /// The family's name, escapes resolved; bytes that are not UTF-8 are replaced.
        family: Cow<'a, str>,
        /// The text, escapes resolved.
        text: Cow<'a, str>,
    },
    /// A UNIT line (OpenMetrics only).
    Unit {
        /// The family's name, escapes resolved; bytes that are not UTF-8 are replaced.
        family: Cow<'a, str>,
        /// The unit, which is the end of the family's name, or empty.
        unit: Cow<'a, str>,
    },
    /// Any other line that begins with `#` (text format only), without its line feed.
    Comment(&'a [u8]),
    /// A sample.
    Sample(Sample<'a>),
}

/// One sample, and where it stands in the page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample<'a> {
    /// `name{labels}` exactly as in the page. In the text format, white space at the beginning of the line is part of
    /// it (and of the metric's name, as in Prometheus).
    pub series: &'a [u8],
    /// Where the series begins, in bytes from the beginning of the page.
    pub series_start: usize,
    /// Where the value's first digit or sign stands.
    pub value_start: usize,
    /// Where the next line begins: behind the line feed, or the end of the page where the last one is missing.
    pub line_end: usize,
    /// The value.
    pub value: f64,
    /// The timestamp in milliseconds, if the line has one.
    pub timestamp_ms: Option<i64>,
    /// The exemplar, if the line has one.
    pub exemplar: Option<Exemplar<'a>>,
}

/// An example of what a sample counts, usually a trace. Its labels' total length is not checked here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exemplar<'a> {
    /// `{labels}` exactly as in the page, checked by the parser.
    raw_labels: &'a [u8],
    /// The value.
    pub value: f64,
    /// The timestamp in milliseconds, if there is one.
    pub timestamp_ms: Option<i64>,
}

impl<'a> Exemplar<'a> {
    /// `{labels}` exactly as in the page.
    #[must_use]
    pub fn raw_labels(&self) -> &'a [u8] {
        self.raw_labels
    }

    /// Puts the exemplar's labels into `labels`, replacing what is there. Escapes in names and values are *not*
    /// resolved, as Prometheus does not resolve them. Label names that are not UTF-8 have those bytes replaced.
    pub fn labels(&self, labels: &mut LabelsBuilder) {
        decode::exemplar_labels(self.raw_labels, labels);
    }
}

#[cfg(test)]
mod tests;
