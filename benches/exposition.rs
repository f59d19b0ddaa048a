//! Reading pages: in full, and by comparing them with the text that is remembered.

use crate::harness::Bench;
use crate::page::{SAMPLES, page};
use prometheus::exposition::{Entry, Format, Parser, parse_value_and_tail};
use prometheus::labels::LabelsBuilder;

pub(crate) fn run(bench: &Bench) {
    let text = page(1);
    let later = page(2);
    bench.measure("exposition: parse, without labels", SAMPLES, || parse(text.as_bytes(), false));
    bench.measure("exposition: parse, with labels", SAMPLES, || parse(text.as_bytes(), true));
    let known = Known::of(text.as_bytes());
    bench.measure("exposition: compare and read the numbers", SAMPLES, || known.sum(later.as_bytes()));
}

fn parse(page: &[u8], with_labels: bool) -> f64 {
    let mut parser = Parser::new(Format::Text, page);
    let mut labels = LabelsBuilder::new();
    let mut sum = 0.0;
    while let Ok(Some(entry)) = parser.next() {
        if let Entry::Sample(sample) = entry {
            sum += sample.value;
            if with_labels && parser.labels(&mut labels).is_err() {
                return f64::NAN;
            }
        }
    }
    sum
}

/// What is between the numbers of a page: the idea of the scraper's layouts, without series and targets.
struct Known<'a>(Vec<&'a [u8]>);

impl<'a> Known<'a> {
    fn of(page: &'a [u8]) -> Self {
        let mut parser = Parser::new(Format::Text, page);
        let (mut texts, mut line_end) = (Vec::new(), 0);
        while let Ok(Some(entry)) = parser.next() {
            if let Entry::Sample(sample) = entry {
                texts.extend(page.get(line_end..sample.value_start));
                line_end = sample.line_end;
            }
        }
        Self(texts)
    }

    fn sum(&self, page: &[u8]) -> Option<f64> {
        let mut rest = page;
        let mut sum = 0.0;
        for text in &self.0 {
            rest = rest.strip_prefix(*text)?;
            let tail = parse_value_and_tail(rest, Format::Text).ok()?;
            rest = rest.get(tail.consumed..)?;
            sum += tail.value;
        }
        Some(sum)
    }
}
