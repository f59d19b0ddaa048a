//! From the labels of a new series to its two halves in the pipeline: where it comes from, and what it measures.

use std::fmt;
use std::sync::Arc;

use pipeline::model::Source;
use pipeline::{AttributeValue, AttributesBuilder, FamilyKind, Origin, Resource, Scope, Series, Temporality};
use prometheus::labels::{BUCKET_LABEL, METRIC_NAME, QUANTILE_LABEL, display};
use prometheus::remote_write::wire::{NativeHistogram, ResetHint, SeriesError, TimeSeries};

use super::families::Families;
use super::native::has_custom_bounds;

/// How much of a label set is shown in an answer or a log line, in bytes: enough to find the culprit.
const MAX_SHOWN: usize = 512;

/// What a series' labels stand for.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) origin: Arc<Origin>,
    pub(super) series: Arc<Series>,
}

/// Why a label set cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LabelsError {
    shown: String,
    rule: Rule,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    NoName,
    Broken(SeriesError),
}

impl fmt::Display for LabelsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid labels {}: ", self.shown)?;
        match &self.rule {
            Rule::NoName => f.write_str("label \"__name__\" is missing"),
            Rule::Broken(error) => write!(f, "{error}"),
        }
    }
}

/// Works out the identity of a series. Like Prometheus' own receiver this forgives labels that are not sorted and
/// takes one with an empty value for absent. Names may be any UTF-8 text.
pub(super) fn identify(
    sent: &TimeSeries<'_>,
    families: &mut Families,
    attributes: &mut AttributesBuilder,
) -> Result<Identity, LabelsError> {
    let failed = |rule| LabelsError { shown: shown(sent), rule };
    let mut labels: Vec<(&str, &str)> =
        sent.labels_utf8().collect::<Result<_, _>>().map_err(|error| failed(Rule::Broken(error)))?;
    labels.sort_by_key(|(name, _)| *name);
    if labels.iter().any(|(name, _)| name.is_empty()) {
        return Err(failed(Rule::Broken(SeriesError::EmptyLabelName)));
    }
    if let Some(((name, _), _)) = labels.iter().zip(labels.iter().skip(1)).find(|(a, b)| a.0 == b.0) {
        return Err(failed(Rule::Broken(SeriesError::DuplicateLabel { name: (*name).to_owned() })));
    }
    labels.retain(|(_, value)| !value.is_empty());
    let get = |wanted: &str| labels.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
    let name = get(METRIC_NAME).ok_or_else(|| failed(Rule::NoName))?;
    let member = match sent.histograms.first() {
        Some(histogram) => families.of_histogram(name, histogram_kind(histogram)),
        None => families.of(name, get(BUCKET_LABEL), get(QUANTILE_LABEL)),
    };

    for (key, label) in [("service.name", "job"), ("service.instance.id", "instance")] {
        // The exact text: taking a namespace off `a/b` could not be undone with certainty.
        if let Some(value) = get(label) {
            attributes.push(key, AttributeValue::Str(value));
        }
    }
    let resource = Resource { attributes: attributes.build(), ..Resource::default() };
    let origin = Origin::intern(Source::RemoteWrite, resource, Scope::default(), Default::default());

    let of_part = member.part.label().map(|(label, _)| label);
    for (label, value) in &labels {
        if ![METRIC_NAME, "job", "instance"].contains(label) && Some(*label) != of_part {
            attributes.push(label, AttributeValue::Str(value));
        }
    }
    let name = if *member.family.name == *name { Arc::clone(&member.family.name) } else { name.into() };
    Ok(Identity { origin, series: Series::intern(member.family, name, member.part, attributes.build()) })
}

fn histogram_kind(histogram: &NativeHistogram) -> FamilyKind {
    let temporality = Temporality::Cumulative;
    if histogram.reset_hint == ResetHint::Gauge {
        FamilyKind::GaugeHistogram
    } else if has_custom_bounds(histogram) {
        FamilyKind::Histogram { temporality }
    } else {
        FamilyKind::ExponentialHistogram { temporality }
    }
}

/// The labels as sent, for messages.
fn shown(sent: &TimeSeries<'_>) -> String {
    let labels: Vec<_> = sent
        .labels
        .iter()
        .map(|(name, value)| (String::from_utf8_lossy(name), String::from_utf8_lossy(value)))
        .collect();
    let mut text = display(labels.iter().map(|(name, value)| (name.as_ref(), value.as_ref())));
    if text.len() > MAX_SHOWN {
        let end = (0..=MAX_SHOWN).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}
