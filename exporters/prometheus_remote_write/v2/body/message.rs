//! Time series that do not come by a table: with exemplars, or native histograms.

use pipeline::{Exemplar, Family};
use prometheus::remote_write::wire::NativeHistogram;
use prometheus::remote_write::wire::v2::{put_exemplar, put_histogram, put_metadata, put_sample, put_series};
use prometheus::translate::UnitNamer;

use super::super::super::labels::label_pairs;
use super::super::super::metadata::metric_type;
use super::super::super::sample::Timestamp;
use super::super::super::whole::exemplar_labels;
use super::super::tables::SymbolTables;
use super::Body;

/// The body of a time series that is more than one sample by itself.
pub(crate) enum Message<'a> {
    /// A sample and its exemplars.
    Sample {
        /// The value as it is sent.
        value: f64,
        /// When the series began to count, in milliseconds since the Unix epoch; 0 if unknown.
        start_ms: i64,
        /// Those of the sample.
        exemplars: &'a [&'a Exemplar],
    },
    /// A native histogram and its exemplars.
    Histogram {
        /// Time and start included.
        native: &'a NativeHistogram,
        /// Those of the histogram.
        exemplars: &'a [&'a Exemplar],
    },
}

impl Body {
    /// Writes a time series with these labels, in the encoding that version 1.0 has for them, and a body of any kind.
    pub(crate) fn message(
        &mut self,
        tables: &SymbolTables,
        labels: &[u8],
        metadata: Option<&Family>,
        message: &Message<'_>,
        time: &Timestamp,
    ) {
        let Self { numbers, series, .. } = self;
        let interned = &tables.interned;
        let references: Vec<u32> = label_pairs(labels)
            .flat_map(|(name, value)| [name, value])
            .map(|text| numbers.of_text(interned, text))
            .collect();
        let mut body = Vec::new();
        let exemplars = match message {
            Message::Sample { value, start_ms, exemplars } => {
                put_sample(&mut body, *value, time.millis, *start_ms);
                exemplars
            }
            Message::Histogram { native, exemplars } => {
                put_histogram(&mut body, native);
                exemplars
            }
        };
        for exemplar in *exemplars {
            let mut labels = exemplar_labels(exemplar);
            labels.sort_unstable();
            let references: Vec<u32> = labels
                .iter()
                .flat_map(|(name, value)| [name, value])
                .map(|text| numbers.of_text(interned, text.as_bytes()))
                .collect();
            put_exemplar(&mut body, &references, exemplar.value.as_f64(), exemplar.time / 1_000_000);
        }
        if let Some(family) = metadata {
            let unit = UnitNamer { utf8: false }.build(&family.unit);
            let help = numbers.of_text(interned, family.description.as_bytes());
            let unit = numbers.of_text(interned, unit.as_bytes());
            put_metadata(&mut body, metric_type(family), help, unit);
        }
        series.write(|out| put_series(out, &references, |out| out.extend_from_slice(&body)));
    }
}
