//! A page such as programs in Go expose: counters, gauges and a histogram, with HELP and TYPE.

use std::fmt::Write as _;

/// Samples on the page.
pub(crate) const SAMPLES: usize = 1_000;

/// The text of the page at a moment; other moments have other numbers of about the same length.
pub(crate) fn page(moment: usize) -> String {
    let mut text = String::new();
    let line = |text: &mut String, arguments: std::fmt::Arguments<'_>| {
        // Writing to a text cannot fail.
        text.write_fmt(arguments).unwrap_or_default();
    };
    for family in 0..SAMPLES / 20 {
        line(
            &mut text,
            format_args!("# HELP app_requests_{family}_total Requests of kind {family} that were answered.\n"),
        );
        line(&mut text, format_args!("# TYPE app_requests_{family}_total counter\n"));
        for series in 0..20 {
            let value = family * 1_000_003 + series * 7_919 + moment;
            let labels =
                format_args!("code=\"{}\",handler=\"/api/v1/items/{series}\",method=\"get\"", 200 + series % 5);
            line(&mut text, format_args!("app_requests_{family}_total{{{labels}}} {value}\n"));
        }
    }
    text
}
