//! Which family a sample belongs to, and which part it plays in it.
//!
//! The rule is the Collector's: metadata under the sample's own name wins, else metadata under the name
//! without one suffix; a counter keeps its full name as the family's.

use pipeline::{Attributes, Family, FamilyKind, Part, Temporality};
use prometheus::translate::{NamedKind, trim_prometheus_suffixes};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use prometheus::exposition::MetricKind;

/// What a page has said about a family.
#[derive(Clone, Debug, Default)]
struct Metadata {
    kind: Option<MetricKind>,
    help: String,
    unit: String,
    /// Whether a family was made of it.
    used: bool,
}

/// The metadata of a page so far, and the families made of it.
#[derive(Debug, Default)]
pub(super) struct Families {
    metadata: HashMap<Box<str>, Metadata>,
    made: HashMap<Box<str>, Arc<Family>>,
    /// Whether units and `_total` are taken off family names (`trim_metric_suffixes`).
    trim: bool,
}

const SUFFIXES: [&str; 6] = ["_bucket", "_count", "_sum", "_total", "_info", "_created"];

/// Length of `_created`.
const LONGEST_SUFFIX: usize = 8;

impl Families {
    pub(super) fn new(trim: bool) -> Self {
        Self { trim, ..Self::default() }
    }

    pub(super) fn set_kind(&mut self, family: &str, kind: MetricKind) {
        self.entry(family).kind = Some(kind);
    }

    pub(super) fn set_help(&mut self, family: &str, help: &str) {
        help.clone_into(&mut self.entry(family).help);
    }

    pub(super) fn set_unit(&mut self, family: &str, unit: &str) {
        unit.clone_into(&mut self.entry(family).unit);
    }

    fn entry(&mut self, family: &str) -> &mut Metadata {
        let (known, used) = self.metadata.get(family).map_or((false, true), |metadata| (true, metadata.used));
        if used && !self.made.is_empty() {
            // What was made of the old metadata, or of the lack of it, is made anew.
            let mut name = String::with_capacity(family.len() + LONGEST_SUFFIX);
            for suffix in std::iter::once("").chain(SUFFIXES) {
                name.clear();
                name.push_str(family);
                name.push_str(suffix);
                self.made.remove(name.as_str());
            }
        }
        if !known {
            self.metadata.insert(family.into(), Metadata::default());
        }
        self.metadata.entry(family.into()).or_default()
    }

    /// The family of the sample `name`, and the suffix that tells its part.
    fn find(&self, name: &str) -> (Option<&Metadata>, usize, &'static str) {
        if let Some(exact) = self.metadata.get(name) {
            return (Some(exact), name.len(), "");
        }
        for suffix in SUFFIXES {
            let Some(base) = name.strip_suffix(suffix).filter(|base| !base.is_empty()) else { continue };
            let Some(metadata) = self.metadata.get(base) else { break };
            return (Some(metadata), base.len(), suffix);
        }
        (None, name.len(), "")
    }

    /// Whether `family` is still what the page says of the sample `name`.
    pub(super) fn still(&mut self, name: &str, family: &Arc<Family>) -> bool {
        let (now, _) = self.resolve(name, None, None);
        Arc::ptr_eq(&now, family) || *now == **family
    }

    /// Family and part of a sample. `le` and `quantile` are its labels of those names.
    pub(super) fn resolve(&mut self, name: &str, le: Option<&str>, quantile: Option<&str>) -> (Arc<Family>, Part) {
        let (metadata, base_len, suffix) = self.find(name);
        let kind = metadata.and_then(|m| m.kind).unwrap_or(MetricKind::Unknown);
        let base = name.get(..base_len).unwrap_or(name);
        let part = match (kind, suffix) {
            (MetricKind::Histogram, "_bucket") => le.map(|le| Part::Bucket(le.into())),
            (MetricKind::Histogram | MetricKind::Summary, "_sum") => Some(Part::Sum),
            (MetricKind::Histogram | MetricKind::Summary, "_count") => Some(Part::Count),
            (MetricKind::Summary, "") => quantile.map(|q| Part::Quantile(q.into())),
            (MetricKind::Histogram | MetricKind::Summary | MetricKind::Counter, "_created") => Some(Part::Created),
            _ => None,
        };
        let key: Cow<'_, str> = match (kind, suffix) {
            (MetricKind::Counter, "_created") => format!("{base}_total").into(),
            (MetricKind::Counter | MetricKind::Unknown, _) => name.into(),
            _ => base.into(),
        };
        if let Some(family) = self.made.get(&*key) {
            return (Arc::clone(family), part.unwrap_or_default());
        }
        let metadata = metadata.cloned().unwrap_or_default();
        if let Some(used) = self.metadata.get_mut(base) {
            used.used = true;
        }
        let kind_of_name = match kind {
            MetricKind::Counter => NamedKind::Counter,
            MetricKind::Histogram => NamedKind::Histogram,
            MetricKind::Summary => NamedKind::Summary,
            _ => NamedKind::Gauge,
        };
        let name = if self.trim { trim_prometheus_suffixes(&key, kind_of_name, &metadata.unit) } else { &key };
        let family = Arc::new(Family {
            name: name.into(),
            description: metadata.help.as_str().into(),
            unit: prometheus::translate::unit_word_to_ucum(&metadata.unit).as_ref().into(),
            kind: family_kind(kind),
            metadata: prometheus_type(kind),
        });
        self.made.insert(key.as_ref().into(), Arc::clone(&family));
        (family, part.unwrap_or_default())
    }
}

/// The attribute in which OTLP keeps the type that Prometheus gave (OpenTelemetry specification,
/// Prometheus and OpenMetrics compatibility, metric metadata).
fn prometheus_type(kind: MetricKind) -> Attributes {
    let name = match kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
        MetricKind::Histogram => "histogram",
        MetricKind::GaugeHistogram => "gaugehistogram",
        MetricKind::Summary => "summary",
        MetricKind::Info => "info",
        MetricKind::StateSet => "stateset",
        MetricKind::Unknown => "unknown",
    };
    Attributes::from_pairs([("prometheus.type", name)])
}

fn family_kind(kind: MetricKind) -> FamilyKind {
    match kind {
        MetricKind::Counter => FamilyKind::COUNTER,
        MetricKind::Gauge => FamilyKind::Gauge,
        MetricKind::Histogram => FamilyKind::Histogram { temporality: Temporality::Cumulative },
        MetricKind::GaugeHistogram => FamilyKind::GaugeHistogram,
        MetricKind::Summary => FamilyKind::Summary,
        MetricKind::Info => FamilyKind::Info,
        MetricKind::StateSet => FamilyKind::StateSet,
        MetricKind::Unknown => FamilyKind::Unknown,
    }
}
