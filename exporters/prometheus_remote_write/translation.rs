//! From the model's identities to Prometheus labels, by the Collector's rules. Runs once per origin and
//! once per series; the encoder keeps the results in wire form.

use super::labels::Untranslatable;
use pipeline::temporality::{StreamLimits, temporality_of};
use pipeline::{Attributes, Family, FamilyKind, Origin, Part, Series, Source, Temporality};
use prometheus::number::format_shortest_decimal;
use prometheus::translate::label_set::{LabelRules, ScopeInfo, label_set};
use prometheus::translate::target_info::{TargetInfoRules, target_info_labels};
use prometheus::translate::{LabelNamer, MetricNamer, NamedKind, attribute_texts, text_pairs};
use std::borrow::Cow;
use std::sync::Arc;

/// Labels, sorted by name.
pub(super) type LabelList = Vec<(String, String)>;

/// The rules of one exporter.
#[derive(Clone, Debug)]
pub(super) struct Translation {
    /// Names of metrics that came by OTLP, and of scraped ones unless they are kept.
    pub(super) metric_namer: MetricNamer,
    /// Labels of the same.
    pub(super) labels: LabelRules,
    /// Whether scraped metrics keep the names they were scraped with.
    pub(super) keep_scraped_names: bool,
    /// Whether scraped series say which receiver scraped them (`otel_scope_name`).
    pub(super) scraped_scope_info: bool,
    pub(super) send_exemplars: bool,
    /// How deltas are added up; none if they are dropped.
    pub(super) deltas: Option<StreamLimits>,
    /// Whether native histograms are sent at all.
    pub(super) send_native_histograms: bool,
    /// Whether histograms with explicit bounds are sent as native ones that list them (version 2.0).
    pub(super) listed_bounds: bool,
    /// Whether type, help and unit go with each series (version 2.0).
    pub(super) send_metadata: bool,
    pub(super) target_info: bool,
    pub(super) target_info_rules: TargetInfoRules,
}

impl Translation {
    /// The same with names that remote write 1.0 allows.
    pub(super) fn escaping(&self) -> Self {
        let strategy = self.metric_namer.strategy.escaping();
        let mut escaping = self.clone();
        escaping.metric_namer.strategy = strategy;
        escaping.labels.namer = escaping.labels.namer.map(|namer| LabelNamer { utf8: false, ..namer });
        escaping
    }

    /// Whether series of this source go out under the names they came with.
    pub(super) fn keeps_names(&self, source: Source) -> bool {
        match source {
            Source::Otlp => false,
            Source::Scrape => self.keep_scraped_names,
            Source::RemoteWrite => true,
        }
    }

    /// Rules for labels of this source: kept names mean kept labels, and no labels for a scope that the
    /// source does not have.
    fn rules(&self, source: Source) -> LabelRules {
        if self.keeps_names(source) {
            let (namer, external_labels) = (None, self.labels.external_labels.clone());
            return LabelRules { namer, external_labels, disable_scope_info: true, ..LabelRules::default() };
        }
        let scopeless = source == Source::Scrape && !self.scraped_scope_info;
        LabelRules { disable_scope_info: self.labels.disable_scope_info || scopeless, ..self.labels.clone() }
    }

    /// Labels that every series of `origin` has.
    pub(super) fn origin_labels(&self, origin: &Origin) -> LabelList {
        self.combined(origin, &Attributes::default(), &[]).unwrap_or_else(|| {
            // A name that cannot be translated drops the points, pair by pair, with a count.
            Vec::new()
        })
    }

    /// Labels of `series` without those of its origin.
    pub(super) fn series_labels(&self, series: &Series, keeps_names: bool) -> Result<LabelList, Untranslatable> {
        let extras = self.extras(series, keeps_names)?;
        let namer = if keeps_names { None } else { self.labels.namer };
        let rules = LabelRules { namer, disable_scope_info: true, ..LabelRules::default() };
        let attributes = attribute_texts(&series.attributes);
        let extras = extras.iter().map(|(name, value)| (*name, value.as_str()));
        label_set(&rules, [], &ScopeInfo::default(), text_pairs(&attributes), extras)
            .map_err(|_| Untranslatable::BadName)
    }

    /// All labels of `series` at `origin`, worked out together: what to do when a name stands on both sides.
    pub(super) fn all_labels(&self, origin: &Origin, series: &Series) -> Option<LabelList> {
        let extras = self.extras(series, self.keeps_names(origin.source)).ok()?;
        self.combined(origin, &series.attributes, &extras)
    }

    fn combined(&self, origin: &Origin, attributes: &Attributes, extras: &[(&str, String)]) -> Option<LabelList> {
        let resource = attribute_texts(&origin.resource.attributes);
        let scope_attributes = attribute_texts(&origin.scope.attributes);
        let scope_attributes: Vec<(&str, &str)> = text_pairs(&scope_attributes).collect();
        let scope = ScopeInfo {
            name: &origin.scope.name,
            version: &origin.scope.version,
            schema_url: "",
            attributes: &scope_attributes,
        };
        let (own, shared) = (attribute_texts(attributes), attribute_texts(&origin.labels));
        let extras = extras.iter().map(|(name, value)| (*name, value.as_str()));
        label_set(
            &self.rules(origin.source),
            text_pairs(&resource),
            &scope,
            text_pairs(&shared).chain(text_pairs(&own)),
            extras,
        )
        .ok()
    }

    /// The name that a family goes by at the store.
    pub(super) fn family_name(&self, family: &Family, keeps_names: bool) -> Option<String> {
        if keeps_names {
            return Some(family.name.to_string());
        }
        self.metric_namer.build(&family.name, &family.unit, named_kind(family)).ok().map(Cow::into_owned)
    }

    /// `__name__`, and `le` or `quantile`.
    fn extras(&self, series: &Series, keeps_names: bool) -> Result<Vec<(&'static str, String)>, Untranslatable> {
        let part = series.part.label();
        if keeps_names {
            let mut extras = vec![("__name__", series.name.to_string())];
            extras.extend(part.map(|(label, value)| (label, value.to_owned())));
            return Ok(extras);
        }
        if series.part == Part::Created {
            return Err(Untranslatable::Created);
        }
        if let Some(reason) = unsendable(series) {
            return Err(reason);
        }
        if &*series.name == "target_info" {
            return Err(Untranslatable::TargetInfo);
        }
        let base = self.family_name(&series.family, false).ok_or(Untranslatable::BadName)?;
        let mut extras = vec![("__name__", format!("{base}{}", series.part.suffix()))];
        extras.extend(part.map(|(label, value)| (label, plain_decimal(value))));
        Ok(extras)
    }

    /// The series that tells an origin's resource attributes, where there is something to tell, and the
    /// origin to send it under. `scraped` is the `target_info` that the target exposes itself.
    pub(super) fn target_info_of(
        &self,
        origin: &Origin,
        scraped: Option<&Series>,
    ) -> Option<(Arc<Origin>, Arc<Series>)> {
        if self.keeps_names(origin.source) {
            return None;
        }
        let mut resource = attribute_texts(&origin.resource.attributes);
        if let Some(scraped) = scraped {
            resource.extend(attribute_texts(&scraped.attributes));
        }
        // Only whether there is a time at all matters to the rule; points without one are left out before.
        let labels = target_info_labels(&self.target_info_rules, text_pairs(&resource), 1).ok()??;
        let name: Arc<str> = self.target_info_rules.name().into();
        let family = Family { name: Arc::clone(&name), kind: FamilyKind::Gauge, ..Family::default() };
        let attributes = labels.iter().filter(|(label, _)| label != "__name__");
        let attributes = Attributes::from_pairs(attributes.map(|(label, value)| (label.as_str(), value.as_str())));
        // The labels are final: an origin without anything, of a source that keeps names, leaves them be.
        let bare = Origin::intern(Source::RemoteWrite, Default::default(), Default::default(), Attributes::default());
        Some((bare, Series::intern(Arc::new(family), name, Part::Whole, attributes)))
    }
}

/// Why no value of a series can be sent: only totals can.
pub(super) fn unsendable(series: &Series) -> Option<Untranslatable> {
    match temporality_of(series.family.kind)? {
        Temporality::Cumulative => None,
        Temporality::Delta => Some(Untranslatable::Delta),
        Temporality::Unspecified => Some(Untranslatable::NoTemporality),
    }
}

/// `le` and `quantile` as the Collector writes them after a round trip through OTLP: `1.0` becomes `1`.
fn plain_decimal(text: &str) -> String {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => format_shortest_decimal(value),
        Ok(value) if value == f64::INFINITY => "+Inf".to_owned(),
        _ => text.to_owned(),
    }
}

fn named_kind(family: &Family) -> NamedKind {
    match family.kind {
        FamilyKind::Gauge => NamedKind::Gauge,
        FamilyKind::Sum { monotonic: true, .. } => NamedKind::Counter,
        FamilyKind::Sum { .. } | FamilyKind::Info | FamilyKind::StateSet => NamedKind::NonMonotonicCounter,
        FamilyKind::Histogram { .. } => NamedKind::Histogram,
        FamilyKind::ExponentialHistogram { .. } => NamedKind::ExponentialHistogram,
        FamilyKind::Summary => NamedKind::Summary,
        // OTLP has both as gauges.
        FamilyKind::Unknown | FamilyKind::GaugeHistogram => NamedKind::Gauge,
    }
}
