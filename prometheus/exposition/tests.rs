#![expect(clippy::unwrap_used, reason = "tests")]

mod generated;
mod observed;

use super::{Entry, Format, MetricKind, ParseError, Parser, Sample, Sticky, parse_value_and_tail};
use crate::labels::LabelsBuilder;

/// All entries of a page, up to its end or its first error.
fn parse_all(format: Format, page: &[u8]) -> (Vec<Entry<'_>>, Option<ParseError>) {
    let mut parser = Parser::new(format, page);
    let mut entries = Vec::new();
    loop {
        match parser.next() {
            Ok(Some(entry)) => entries.push(entry),
            Ok(None) => return (entries, None),
            Err(error) => return (entries, Some(error)),
        }
    }
}

fn samples(format: Format, page: &[u8]) -> Vec<Sample<'_>> {
    let (entries, error) = parse_all(format, page);
    assert_eq!(error, None);
    let sample = |entry| if let Entry::Sample(sample) = entry { Some(sample) } else { None };
    entries.into_iter().filter_map(sample).collect()
}

#[test]
fn positions_lead_back_to_the_text() {
    for (format, page) in [
        (Format::Text, &b"# HELP a x\n  a{b=\"c\"}\t 1.5 7\n\n{\"d\"}2\ne 3"[..]),
        (Format::OpenMetrics, b"# HELP a x\na{b=\"c\"} 1.5 7 # {i=\"j\"} 2\n{\"d\"} 2\ne 3\n# EOF"),
    ] {
        let samples = samples(format, page);
        assert_eq!(samples.iter().map(|sample| sample.value).collect::<Vec<_>>(), [1.5, 2.0, 3.0]);
        for sample in samples {
            let series = &page[sample.series_start..][..sample.series.len()];
            assert_eq!(series, sample.series);
            assert!(sample.series_start + series.len() <= sample.value_start);
            assert!(page[sample.value_start].is_ascii_digit());
            assert!(sample.line_end == page.len() || page[sample.line_end - 1] == b'\n');
            let tail = parse_value_and_tail(&page[sample.value_start..], format).unwrap();
            assert_eq!((tail.value, tail.timestamp_ms), (sample.value, sample.timestamp_ms));
            assert_eq!(sample.value_start + tail.consumed, sample.line_end);
            assert_eq!(tail.exemplar, sample.exemplar);
        }
    }
}

#[test]
fn a_parser_can_begin_at_any_line() {
    let page = b"# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"2\"} 2\n# TYPE g gauge\ng{le=\"1\"} 3\n";
    let mut parser = Parser::new(Format::Text, page);
    let mut labels = LabelsBuilder::new();
    loop {
        let (offset, sticky) = (parser.offset(), parser.sticky().clone());
        let Some(entry) = parser.next().unwrap() else { break };
        let mut resumed = Parser::resume(Format::Text, page, offset, sticky);
        assert_eq!(resumed.next().unwrap().as_ref(), Some(&entry));
        assert_eq!(resumed.offset(), parser.offset());
        assert_eq!(resumed.sticky(), parser.sticky());
        if matches!(entry, Entry::Sample(_)) {
            parser.labels(&mut labels).unwrap();
            let first = labels.to_string();
            resumed.labels(&mut labels).unwrap();
            assert_eq!(first, labels.to_string());
        }
    }
    assert_eq!(parser.sticky(), &Sticky { family: Some("g".into()), kind: MetricKind::Gauge });
}

#[test]
fn errors_say_where() {
    let (entries, error) = parse_all(Format::Text, b"a 1\nb two\n");
    let error = error.unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!((error.line(), error.column(), error.offset()), (2, 6, 9));
    assert_eq!(error.message(), error.to_string());
}

#[test]
fn names_that_are_not_text_are_refused_when_asked_for() {
    let mut parser = Parser::new(Format::Text, b"{\"a\xff\",b=\"c\"} 1\n");
    assert!(parser.next().unwrap().is_some());
    let error = parser.labels(&mut LabelsBuilder::new()).unwrap_err();
    assert_eq!(error.message(), r#"invalid metric name or label names: {__name__="a\xff", "b"="c"}"#);
}

#[test]
fn a_bad_tail_is_refused_on_its_own() {
    for (format, tail, expected) in [
        (Format::Text, &b"x\n"[..], "strconv.ParseFloat: parsing \"x\": invalid syntax while parsing: \"x\""),
        (
            Format::Text,
            b"1 2 3\n",
            "expected next entry after timestamp, got \"3\\n\" (\"TIMESTAMP\") while parsing: \"1 2 3\\n\"",
        ),
        (Format::OpenMetrics, b"1", "data does not end with # EOF"),
        (
            Format::OpenMetrics,
            b"1 \n",
            "expected a valid start token, got \"\\n\" (\"LINEBREAK\") while parsing: \"\\n\"",
        ),
    ] {
        assert_eq!(parse_value_and_tail(tail, format).unwrap_err().message(), expected);
    }
    assert_eq!(parse_value_and_tail(b"1", Format::Text).unwrap().consumed, 1);
    let tail = parse_value_and_tail(b"NaN \t 12 \nnext", Format::Text).unwrap();
    assert!(tail.value.is_nan());
    assert_eq!((tail.timestamp_ms, tail.consumed), (Some(12), 10));
}
