//! Metric families by name: what senders say about them, and one shared copy of each.

use std::collections::HashMap;
use std::sync::Arc;

use pipeline::{Attributes, Family, FamilyKind, Part, Temporality};
use prometheus::labels::METRIC_NAME;
use prometheus::remote_write::wire::{FamilyMetadata, MetricType, TimeSeries};
use prometheus::translate::unit_word_to_ucum;

/// The most families that are remembered with their metadata. Large Prometheus servers have 20,000; each takes
/// about 200 bytes.
pub(super) const MAX_FAMILIES: usize = 200_000;
/// For how long metadata is kept that no sender repeats, in seconds. Prometheus repeats it each minute; others
/// may send it once and their series shortly after.
const KEEP_METADATA: u32 = 3600;

/// Families by name.
#[derive(Debug, Default)]
pub(super) struct Families {
    known: HashMap<Arc<str>, Known>,
    /// The same for native histograms: one name may be both a classic and a native histogram.
    natives: HashMap<Arc<str>, Arc<Family>>,
}

#[derive(Debug)]
struct Known {
    family: Arc<Family>,
    /// When a sender last described it; `None` for what is only known as the name of a series.
    described: Option<u32>,
}

/// The place of a series in its family.
#[derive(Debug)]
pub(super) struct Membership {
    pub(super) family: Arc<Family>,
    /// The part; what it needs of the labels is no attribute any more.
    pub(super) part: Part,
}

impl Families {
    /// Notes what a sender says at `now` (seconds). Series seen from then on belong to the family as it is now;
    /// those already known keep their identity, because a series that changes its identity in midstream is two
    /// series to everybody behind. False if there is no room.
    pub(super) fn describe(&mut self, metadata: &FamilyMetadata<'_>, now: u32) -> bool {
        let Ok(name) = std::str::from_utf8(metadata.family) else { return false };
        let description = String::from_utf8_lossy(metadata.help);
        let unit = String::from_utf8_lossy(metadata.unit);
        let unit = unit_word_to_ucum(&unit);
        let (kind, kind_name) = kind(metadata.kind);
        if let Some(known) = self.known.get_mut(name) {
            known.described = Some(now);
            let family = &known.family;
            if family.kind == kind && *family.description == *description && *family.unit == *unit {
                return true;
            }
        } else if self.known.len() >= MAX_FAMILIES || name.is_empty() {
            return false;
        }
        let family = Family {
            name: name.into(),
            description: description.as_ref().into(),
            unit: unit.as_ref().into(),
            kind,
            metadata: prometheus_type(kind_name),
        };
        self.known.insert(Arc::clone(&family.name), Known { family: Arc::new(family), described: Some(now) });
        true
    }

    /// Notes what version 2.0 says of a family with one of its series.
    pub(super) fn describe_series(&mut self, sent: &TimeSeries<'_>, now: u32) {
        let Some(metadata) = sent.metadata else { return };
        let named = sent.labels.iter().find(|(name, _)| *name == METRIC_NAME.as_bytes());
        let Some((_, name)) = named else { return };
        let family = if sent.histograms.is_empty() { family_name(name, metadata.kind) } else { name };
        self.describe(&FamilyMetadata { kind: metadata.kind, family, help: metadata.help, unit: metadata.unit }, now);
    }

    /// The family of the float series `name`; `le` and `quantile` are its labels of that name, if it has them.
    pub(super) fn of(&mut self, name: &str, le: Option<&str>, quantile: Option<&str>) -> Membership {
        let exact = self.known.get(name).map(|known| Arc::clone(&known.family));
        if let Some(family) = &exact
            && family.kind == FamilyKind::Summary
            && let Some(quantile) = quantile
        {
            return Membership { family: Arc::clone(family), part: Part::Quantile(quantile.into()) };
        }
        // Metadata of that very name wins over a family whose part this might be, but what is only known as the
        // name of an earlier series says nothing.
        if exact.as_ref().is_none_or(|family| family.kind == FamilyKind::Unknown)
            && let Some(member) = self.part_of(name, le)
        {
            return member;
        }
        let family = exact.unwrap_or_else(|| self.unknown(name));
        Membership { family, part: Part::Whole }
    }

    /// The family of the native histogram `name`, which is of `kind`; help and unit are those of its metadata.
    pub(super) fn of_histogram(&mut self, name: &str, kind: FamilyKind) -> Membership {
        let described = self.known.get(name).map(|known| Arc::clone(&known.family));
        let described = described.unwrap_or_else(|| self.unknown(name));
        if let Some(native) = self.natives.get(name)
            && native.kind == kind
            && native.description == described.description
            && native.unit == described.unit
        {
            return Membership { family: Arc::clone(native), part: Part::Whole };
        }
        let family = Arc::new(Family { kind, ..(*described).clone() });
        if self.natives.len() < MAX_FAMILIES {
            self.natives.insert(Arc::clone(&family.name), Arc::clone(&family));
        }
        Membership { family, part: Part::Whole }
    }

    /// Lets go of families that no series uses and nobody has described for an hour.
    pub(super) fn sweep(&mut self, now: u32) {
        self.known.retain(|_, known| {
            Arc::strong_count(&known.family) > 1
                || known.described.is_some_and(|at| now.saturating_sub(at) < KEEP_METADATA)
        });
        self.natives.retain(|_, family| Arc::strong_count(family) > 1);
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    fn unknown(&mut self, name: &str) -> Arc<Family> {
        self.learn(Family { name: name.into(), metadata: prometheus_type("unknown"), ..Family::default() })
    }

    /// Keeps a family that nobody has described by this name, for as long as a series uses it.
    fn learn(&mut self, family: Family) -> Arc<Family> {
        let family = Arc::new(family);
        if self.known.len() < MAX_FAMILIES {
            self.known.insert(Arc::clone(&family.name), Known { family: Arc::clone(&family), described: None });
        }
        family
    }

    /// The histogram, summary or counter that the series `name` belongs to, judged by its suffix.
    fn part_of(&mut self, name: &str, le: Option<&str>) -> Option<Membership> {
        let (base, suffix) = name.rsplit_once('_')?;
        let family = &self.known.get(base)?.family;
        let histogram = matches!(family.kind, FamilyKind::Histogram { .. });
        let part = match suffix {
            "bucket" if histogram => Part::Bucket(le?.into()),
            "sum" if histogram || family.kind == FamilyKind::Summary => Part::Sum,
            "count" if histogram || family.kind == FamilyKind::Summary => Part::Count,
            "created" if histogram || family.kind == FamilyKind::Summary => Part::Created,
            "info" if family.kind == FamilyKind::Info => Part::Whole,
            // OpenMetrics names a counter's family without the suffix, OTLP with it.
            "total" if family.kind == FamilyKind::COUNTER => {
                return Some(Membership { family: self.total(base), part: Part::Whole });
            }
            "created" if family.kind == FamilyKind::COUNTER => {
                return Some(Membership { family: self.total(base), part: Part::Created });
            }
            _ => return None,
        };
        Some(Membership { family: Arc::clone(family), part })
    }

    /// The counter that was described as `base`, under its full name.
    fn total(&mut self, base: &str) -> Arc<Family> {
        let name = format!("{base}_total");
        let described = self.known.get(base).map(|known| (*known.family).clone()).unwrap_or_default();
        match self.known.get(name.as_str()) {
            Some(known) if known.family.kind == described.kind => Arc::clone(&known.family),
            _ => self.learn(Family { name: name.into(), ..described }),
        }
    }
}

/// The family of the float series `name`, of a family of this kind: its name without the suffix that the kind gives to parts.
fn family_name(name: &[u8], kind: MetricType) -> &[u8] {
    let suffixes: &[&[u8]] = match kind {
        MetricType::Histogram => &[b"_bucket", b"_sum", b"_count", b"_created"],
        MetricType::GaugeHistogram => &[b"_bucket", b"_gsum", b"_gcount", b"_sum", b"_count"],
        MetricType::Summary => &[b"_sum", b"_count", b"_created"],
        MetricType::Counter => &[b"_created"],
        MetricType::Info => &[b"_info"],
        MetricType::Unknown | MetricType::Gauge | MetricType::StateSet => &[],
    };
    let stripped = suffixes.iter().find_map(|suffix| name.strip_suffix(*suffix));
    stripped.filter(|base| !base.is_empty()).unwrap_or(name)
}

/// The attribute in which OTLP keeps the type that Prometheus gave (OpenTelemetry specification,
/// Prometheus and OpenMetrics compatibility, metric metadata).
fn prometheus_type(name: &str) -> Attributes {
    Attributes::from_pairs([("prometheus.type", name)])
}

fn kind(kind: MetricType) -> (FamilyKind, &'static str) {
    let temporality = Temporality::Cumulative;
    match kind {
        MetricType::Unknown => (FamilyKind::Unknown, "unknown"),
        MetricType::Counter => (FamilyKind::COUNTER, "counter"),
        MetricType::Gauge => (FamilyKind::Gauge, "gauge"),
        MetricType::Histogram => (FamilyKind::Histogram { temporality }, "histogram"),
        MetricType::GaugeHistogram => (FamilyKind::GaugeHistogram, "gaugehistogram"),
        MetricType::Summary => (FamilyKind::Summary, "summary"),
        MetricType::Info => (FamilyKind::Info, "info"),
        MetricType::StateSet => (FamilyKind::StateSet, "stateset"),
    }
}
