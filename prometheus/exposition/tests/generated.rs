//! Pages made by chance.

use std::fmt::Write;

use proptest::prelude::*;

use super::super::{Entry, Format, MetricKind, Parser, Sticky, parse_value_and_tail};
use super::{parse_all, samples};
use crate::labels::LabelsBuilder;
use crate::names::is_valid_legacy_label_name;
use crate::number::format_shortest_decimal;

/// What a generated line says.
#[derive(Clone, Debug)]
enum Line {
    Type(String, MetricKind),
    Help(String, String),
    Sample { name: String, labels: Vec<(String, String)>, value: f64, timestamp: Option<i64> },
}

fn line() -> impl Strategy<Value = Line> {
    let name = "[a-z_:][a-z0-9_:]{0,8}";
    let kind = prop_oneof![Just(MetricKind::Counter), Just(MetricKind::Gauge), Just(MetricKind::Summary)];
    let labels = proptest::collection::vec(("[a-z_][a-z0-9_.é]{0,5}", "[a-z\"\\\\\n{}=, 世]{0,6}"), 0..4);
    prop_oneof![
        (name, kind).prop_map(|(name, kind)| Line::Type(name, kind)),
        (name, "[a-z\\\\\n é]{0,9}[a-z]").prop_map(|(name, text)| Line::Help(name, text)),
        (
            name,
            labels,
            prop_oneof![any::<f64>(), (-999i32..9999).prop_map(f64::from)],
            proptest::option::of(0..i64::from(u32::MAX))
        )
            .prop_map(|(name, mut labels, value, timestamp)| {
                // Whole seconds: what OpenMetrics writes as a fraction may lose a millisecond in reading.
                let timestamp = timestamp.map(|seconds| seconds * 1000);
                labels.sort();
                labels.dedup_by(|a, b| a.0 == b.0);
                Line::Sample { name, labels, value, timestamp }
            }),
    ]
}

fn escape(text: &str, quotes: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if quotes { text.replace('"', "\\\"") } else { text }
}

/// How a page is written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Style {
    /// As exporters write it.
    Usual,
    /// With all the white space and quotes that the text format allows, so that no short way can be taken.
    Odd,
}

fn print(lines: &[Line], format: Format, style: Style) -> String {
    let odd = style == Style::Odd;
    let (gap, equal) = if odd { ("\t ", " =\t") } else { (" ", "=") };
    let mut page = String::new();
    for line in lines {
        match line {
            Line::Type(name, kind) => writeln!(page, "#{gap}TYPE{gap}{name} {}", kind.as_str()),
            Line::Help(name, text) => {
                writeln!(page, "#{gap}HELP{gap}{name} {}", escape(text, format == Format::OpenMetrics))
            }
            Line::Sample { name, labels, value, timestamp } => {
                let quote = |name: &str| {
                    if odd || !is_valid_legacy_label_name(name) { format!("\"{name}\"") } else { name.to_owned() }
                };
                let labels: Vec<String> = labels
                    .iter()
                    .map(|(name, value)| format!("{}{equal}\"{}\"", quote(name), escape(value, true)))
                    .collect();
                let labels =
                    if labels.is_empty() && !odd { String::new() } else { format!("{{{}}}", labels.join(",")) };
                let timestamp = match (timestamp, format) {
                    (None, _) => String::new(),
                    (Some(time), Format::Text) => format!(" {time}"),
                    (Some(time), Format::OpenMetrics) => format!(" {}", time / 1000),
                };
                writeln!(page, "{name}{labels}{gap}{}{timestamp}", format_shortest_decimal(*value))
            }
        }
        .unwrap();
    }
    if format == Format::OpenMetrics {
        page.push_str("# EOF\n");
    }
    page
}

/// Reads a printed page back into lines.
fn read(page: &str, format: Format) -> Vec<Line> {
    let mut parser = Parser::new(format, page.as_bytes());
    let mut decoded = LabelsBuilder::new();
    let mut lines = Vec::new();
    while let Some(entry) = parser.next().unwrap() {
        lines.push(match entry {
            Entry::Type { family, kind } => Line::Type(family.into_owned(), kind),
            Entry::Help { family, text } => Line::Help(family.into_owned(), text.into_owned()),
            Entry::Sample(sample) => {
                parser.labels(&mut decoded).unwrap();
                let name = decoded.get("__name__").unwrap().to_owned();
                decoded.del("__name__");
                let labels = decoded.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
                Line::Sample { name, labels, value: sample.value, timestamp: sample.timestamp_ms }
            }
            Entry::Unit { .. } | Entry::Comment(_) => panic!("not generated: {entry:?}"),
        });
    }
    lines
}

/// Bytes that get further into the parser than any bytes do.
fn page_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(&b"# TYPE a histogram\n"[..]),
        Just(&b"# HELP "[..]),
        Just(&b"# UNIT a_b b\n"[..]),
        Just(&b"# EOF\n"[..]),
        Just(&b"a{le=\"1\"} 1 2\n"[..]),
        Just(&b" # {x=\"y\"} 1"[..]),
        Just(&b"{\"a\""[..]),
        Just(&b"b{"[..]),
        Just(&b"x=\"\\"[..]),
        Just(&b"\""[..]),
        Just(&b"} 1"[..]),
        Just(&b","[..]),
        Just(&b" "[..]),
        Just(&b"\n"[..]),
        Just(&b"\0"[..]),
        Just(&b"\xff"[..]),
        Just("é".as_bytes()),
        Just(&b"-1.5e3"[..]),
    ];
    proptest::collection::vec(piece, 0..25).prop_map(|pieces| pieces.concat())
}

fn survives(page: &[u8]) {
    for format in [Format::Text, Format::OpenMetrics] {
        let mut parser = Parser::new(format, page);
        let mut labels = LabelsBuilder::new();
        let mut before = 0;
        let end = loop {
            match parser.next() {
                Ok(Some(entry)) => {
                    assert!(parser.offset() > before, "the parser stands still");
                    before = parser.offset();
                    let Entry::Sample(sample) = entry else { continue };
                    // A name that is not text is an error here and nothing else.
                    let named = parser.labels(&mut labels).is_ok();
                    assert!(!named || labels.get("__name__").is_some());
                    if let Some(exemplar) = sample.exemplar {
                        exemplar.labels(&mut labels);
                    }
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        assert!(end.is_none_or(|error| error.line() > 0 && error.column() > 0));
        for at in 0..page.len() {
            if let Ok(tail) = parse_value_and_tail(&page[at..], format) {
                assert!(tail.consumed <= page.len() - at);
            }
        }
    }
}

proptest! {
    #[test]
    fn printed_pages_read_back(lines in proptest::collection::vec(line(), 0..12), text in any::<bool>()) {
        let format = if text { Format::Text } else { Format::OpenMetrics };
        let page = print(&lines, format, Style::Usual);
        let once = read(&page, format);
        prop_assert_eq!(format!("{:?}", &once), format!("{:?}", &lines));
        prop_assert_eq!(print(&once, format, Style::Usual), page);
    }

    /// The short ways through usual lines read what the long way reads.
    #[test]
    fn usual_and_odd_spelling_read_alike(lines in proptest::collection::vec(line(), 0..12)) {
        let usual = print(&lines, Format::Text, Style::Usual);
        let odd = print(&lines, Format::Text, Style::Odd);
        prop_assert_eq!(format!("{:?}", read(&usual, Format::Text)), format!("{:?}", read(&odd, Format::Text)));
    }

    #[test]
    fn any_bytes_are_read_or_refused(page in proptest::collection::vec(any::<u8>(), 0..60)) {
        survives(&page);
    }

    #[test]
    fn page_like_bytes_are_read_or_refused(page in page_like()) {
        survives(&page);
    }

    #[test]
    fn every_sample_is_found_by_resuming(lines in proptest::collection::vec(line(), 0..8)) {
        let page = print(&lines, Format::Text, Style::Usual);
        for sample in samples(Format::Text, page.as_bytes()) {
            let mut parser = Parser::resume(Format::Text, page.as_bytes(), sample.series_start, Sticky::default());
            let again = parser.next().unwrap();
            prop_assert_eq!(format!("{again:?}"), format!("{:?}", Some(Entry::Sample(sample))));
        }
        prop_assert!(parse_all(Format::Text, page.as_bytes()).1.is_none());
    }
}
