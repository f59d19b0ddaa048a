//! Under which names and labels series are shown.

use std::sync::Arc;

use pipeline::model::Source;
use pipeline::{Attributes, Family, FamilyKind, Origin, Part, Series, Temporality};
use prometheus::number::format_go_float;
use prometheus::translate::label_set::{Identity, LabelRules, ScopeInfo, label_set};
use prometheus::translate::target_info::{TargetInfoRules, target_info_labels};
use prometheus::translate::{MetricNamer, NamedKind, attribute_texts, text_pairs};

/// Labels, sorted by name.
pub(super) type LabelList = Vec<(String, String)>;

/// What is shown as a family's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Untyped,
    Gauge,
    Counter,
    Histogram,
    GaugeHistogram,
    Summary,
    Info,
    StateSet,
}

/// Name and type of a series.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Exposed {
    /// The family's name, with `_total` if the counter has it.
    pub(super) family: String,
    pub(super) kind: Kind,
    /// What is appended to the family's name.
    pub(super) suffix: &'static str,
    /// `le` or `quantile`, and its value; `None` in the second place for text that is shown as it is.
    pub(super) part_label: Option<(&'static str, Box<str>, Option<f64>)>,
}

/// Why a series is not shown.
pub(super) type Reason = &'static str;
/// The name cannot be translated.
pub(super) const BAD_NAME: Reason = "untranslatable_name";
/// It describes its target and goes into `target_info`.
pub(super) const TARGET_INFO: Reason = "target_info";

/// The rules of one exporter.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) metric_namer: MetricNamer,
    pub(super) labels: LabelRules,
    pub(super) target_info: TargetInfoRules,
    pub(super) keep_scraped_names: bool,
}

impl Rules {
    /// Whether series of this source are shown under the names they came with.
    pub(super) fn keeps_names(&self, source: Source) -> bool {
        match source {
            Source::Otlp => false,
            Source::Scrape => self.keep_scraped_names,
            Source::RemoteWrite => true,
        }
    }

    /// Labels that every series of `origin` has.
    pub(super) fn origin_labels(&self, origin: &Origin) -> Option<LabelList> {
        self.labels(origin, &Attributes::default())
    }

    /// Labels of a series without those of its origin.
    pub(super) fn series_labels(&self, series: &Series, keeps_names: bool) -> Option<LabelList> {
        let namer = if keeps_names { None } else { self.labels.namer };
        let rules = LabelRules { namer, disable_scope_info: true, ..LabelRules::default() };
        label_set(&rules, [], &ScopeInfo::default(), text_pairs(&attribute_texts(&series.attributes)), []).ok()
    }

    /// Labels of an origin together with further attributes.
    pub(super) fn labels(&self, origin: &Origin, attributes: &Attributes) -> Option<LabelList> {
        let (resource, scope) =
            (attribute_texts(&origin.resource.attributes), attribute_texts(&origin.scope.attributes));
        let scope_attributes: Vec<(&str, &str)> = text_pairs(&scope).collect();
        let scope = ScopeInfo {
            name: &origin.scope.name,
            version: &origin.scope.version,
            schema_url: &origin.scope.schema_url,
            attributes: &scope_attributes,
        };
        let keeps = self.keeps_names(origin.source);
        let rules = match keeps {
            true => LabelRules {
                disable_scope_info: true,
                external_labels: self.labels.external_labels.clone(),
                ..LabelRules::default()
            },
            false => self.labels.clone(),
        };
        let (own, shared) = (attribute_texts(attributes), attribute_texts(&origin.labels));
        label_set(&rules, text_pairs(&resource), &scope, text_pairs(&shared).chain(text_pairs(&own)), []).ok()
    }

    /// Name and type of a series, or why it is not shown.
    pub(super) fn exposed(&self, series: &Series, keeps_names: bool) -> Result<Exposed, Reason> {
        let kind = kind(&series.family)?;
        if keeps_names {
            return Ok(kept(series, kind));
        }
        match series.part {
            // OTLP has it as a start time, which the text formats do not show.
            Part::Created => return Err("created_series"),
            _ if &*series.name == "target_info" => return Err(TARGET_INFO),
            _ => {}
        }
        let family = &series.family;
        let name = self.metric_namer.build(&family.name, &family.unit, named_kind(family)).map_err(|_| BAD_NAME)?;
        let part_label = series.part.label().map(|(label, text)| match text.parse::<f64>() {
            Ok(number) => (label, format_go_float(number).into(), Some(number)),
            Err(_) => (label, text.into(), None),
        });
        Ok(Exposed { family: name.into_owned(), kind, suffix: series.part.suffix(), part_label })
    }

    /// The series that tells an origin's resource attributes, and the origin to show it under; `scraped` is the
    /// `target_info` that the target has itself. The first text identifies the target.
    pub(super) fn target_info_of(&self, origin: &Origin, scraped: Option<&Series>) -> Option<TargetInfo> {
        if self.keeps_names(origin.source) {
            return None;
        }
        let mut resource = attribute_texts(&origin.resource.attributes);
        if let Some(scraped) = scraped {
            resource.extend(attribute_texts(&scraped.attributes));
        }
        let identity = Identity::of(text_pairs(&resource));
        let target = (identity.job()?.into_owned(), identity.instance()?.to_owned());
        // The rule asks only whether there is a time at all.
        let labels = target_info_labels(&self.target_info, text_pairs(&resource), 1).ok()??;
        let name: Arc<str> = self.target_info.name().into();
        let family = Family {
            name: Arc::clone(&name),
            kind: FamilyKind::Gauge,
            description: "Target metadata".into(),
            ..Family::default()
        };
        let labels = labels.iter().filter(|(label, _)| label != "__name__");
        let attributes = Attributes::from_pairs(labels.map(|(label, value)| (label.as_str(), value.as_str())));
        // The labels are final: an origin of nothing, from a source that keeps names, leaves them be.
        let bare = Origin::intern(Source::RemoteWrite, Default::default(), Default::default(), Attributes::default());
        let series = Series::intern(Arc::new(family), name, Part::Whole, attributes);
        Some(TargetInfo { target, origin: bare, series })
    }
}

/// A `target_info` series.
#[derive(Clone, Debug)]
pub(super) struct TargetInfo {
    /// Job and instance.
    pub(super) target: (String, String),
    pub(super) origin: Arc<Origin>,
    pub(super) series: Arc<Series>,
}

/// A series under the name it came with.
fn kept(series: &Series, kind: Kind) -> Exposed {
    let label = series.part.label().map(|(label, text)| (label, text.into(), None));
    let whole = |kind, part_label| Exposed { family: series.name.to_string(), kind, suffix: "", part_label };
    let suffix = series.part.suffix();
    let Some(base) = series.name.strip_suffix(suffix).filter(|base| !base.is_empty()) else {
        // Renamed on the way: what it is called now says nothing of its family.
        return whole(Kind::Untyped, label);
    };
    match series.part {
        Part::Whole if series.family.kind == FamilyKind::GaugeHistogram && series.name == series.family.name => {
            whole(Kind::GaugeHistogram, None)
        }
        // Where it does not travel whole, each sample of a gauge histogram has a name of its own.
        Part::Whole if series.family.kind == FamilyKind::GaugeHistogram => whole(Kind::Gauge, None),
        Part::Created if kind == Kind::Counter => {
            Exposed { family: format!("{base}_total"), kind, suffix, part_label: None }
        }
        _ => Exposed { family: base.to_owned(), kind, suffix, part_label: label },
    }
}

/// The type to show, or why points of such a family cannot be added up over time.
fn kind(family: &Family) -> Result<Kind, Reason> {
    Ok(match family.kind {
        FamilyKind::Sum { temporality: Temporality::Unspecified, .. }
        | FamilyKind::Histogram { temporality: Temporality::Unspecified }
        | FamilyKind::ExponentialHistogram { temporality: Temporality::Unspecified } => {
            return Err("unspecified_temporality");
        }
        FamilyKind::Sum { temporality: Temporality::Delta, monotonic: false } => return Err("delta_not_monotonic"),
        FamilyKind::Sum { monotonic: true, .. } => Kind::Counter,
        FamilyKind::Sum { .. } | FamilyKind::Gauge | FamilyKind::GaugeHistogram => Kind::Gauge,
        FamilyKind::Histogram { .. } | FamilyKind::ExponentialHistogram { .. } => Kind::Histogram,
        FamilyKind::Summary => Kind::Summary,
        FamilyKind::Info => Kind::Info,
        FamilyKind::StateSet => Kind::StateSet,
        FamilyKind::Unknown => Kind::Untyped,
    })
}

fn named_kind(family: &Family) -> NamedKind {
    match family.kind {
        FamilyKind::Sum { monotonic: true, .. } => NamedKind::Counter,
        FamilyKind::Sum { .. } | FamilyKind::Info | FamilyKind::StateSet => NamedKind::NonMonotonicCounter,
        FamilyKind::Histogram { .. } => NamedKind::Histogram,
        FamilyKind::ExponentialHistogram { .. } => NamedKind::ExponentialHistogram,
        FamilyKind::Summary => NamedKind::Summary,
        // OTLP has the last two as gauges.
        FamilyKind::Gauge | FamilyKind::Unknown | FamilyKind::GaugeHistogram => NamedKind::Gauge,
    }
}
