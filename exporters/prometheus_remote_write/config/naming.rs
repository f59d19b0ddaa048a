//! How names and labels are translated.

use super::super::translation::Translation;
use super::Problems;
use super::keys::Keys;
use pipeline::config::GoDuration;
use pipeline::temporality::StreamLimits;
use prometheus::remote_write::protocol::ProtocolVersion;
use prometheus::translate::label_set::{LabelRules, sanitize_external_labels};
use prometheus::translate::target_info::TargetInfoRules;
use prometheus::translate::{LabelNamer, MetricNamer, TranslationStrategy};
use std::time::Duration;

pub(super) fn translation(
    keys: &Keys,
    version: ProtocolVersion,
    exemplars: bool,
    problems: &mut Problems<'_>,
) -> Option<Translation> {
    let strategy = match keys.translation_strategy.as_deref().filter(|s| !s.is_empty()).map(str::parse) {
        None => None,
        Some(Ok(strategy)) => Some(strategy),
        Some(Err(error)) => {
            problems.refuse("translation_strategy", prometheus::translate::InvalidStrategy::to_string(&error));
            None
        }
    };
    let strategy = TranslationStrategy::from_settings(strategy, keys.add_metric_suffixes.unwrap_or(true));
    if !strategy.escapes() && version == ProtocolVersion::V1 {
        problems.refuse(
            "translation_strategy",
            format!(
                "translation strategy {strategy} requires Prometheus Remote Write 2.0 (UTF-8 support): set protobuf_message: {}",
                ProtocolVersion::V2
            ),
        );
    }
    if keys.convert_histograms_to_nhcb && version == ProtocolVersion::V1 {
        problems.refuse(
            "convert_histograms_to_nhcb",
            format!(
                "native histograms with custom buckets need remote write 2.0: set protobuf_message: {}",
                ProtocolVersion::V2
            ),
        );
    }
    let permissive = |namer: LabelNamer| if keys.permissive_label_sanitization { namer.permissive() } else { namer };
    let namer = permissive(LabelNamer::remote_write(strategy));
    let labels = keys.external_labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let external_labels = match sanitize_external_labels(labels, &namer) {
        Ok(labels) => labels,
        Err(error) => {
            problems.refuse("external_labels", error.to_string());
            return None;
        }
    };
    let resource = keys.resource_to_telemetry_conversion;
    let target_info = keys.target_info.enabled.unwrap_or(true);
    Some(Translation {
        metric_namer: MetricNamer { namespace: keys.namespace.clone(), strategy },
        deltas: deltas(keys, problems),
        labels: LabelRules {
            namer: Some(namer),
            external_labels: external_labels.clone(),
            disable_scope_info: keys.disable_scope_info,
            resource_to_telemetry: resource.enabled,
            exclude_service_attributes: resource.exclude_service_attributes,
            promoted: promoted(keys, problems),
        },
        keep_scraped_names: keys.keep_scraped_names,
        scraped_scope_info: keys.scraped_scope_info,
        send_native_histograms: keys.send_native_histograms.unwrap_or(true),
        listed_bounds: keys.convert_histograms_to_nhcb,
        send_metadata: keys.send_metadata.unwrap_or(true),
        send_exemplars: keys.send_exemplars.unwrap_or(exemplars),
        target_info,
        target_info_rules: TargetInfoRules {
            enabled: target_info,
            namespace: keys.namespace.clone(),
            namer: permissive(LabelNamer::remote_write_v1_target_info()),
            external_labels,
        },
    })
}

/// Series whose deltas are added up, unless `delta_to_cumulative.max_streams` says otherwise: at some 100 bytes each, histograms
/// apart, about 100 MB.
const DEFAULT_STREAMS: u64 = 1_000_000;

/// How long the total of a series is kept without a delta, unless `delta_to_cumulative.max_stale` says otherwise. Clients send
/// nothing for what did not happen; a counter that is forgotten meanwhile begins anew.
const DEFAULT_STALE: Duration = Duration::from_secs(3600);

fn deltas(keys: &Keys, problems: &mut Problems<'_>) -> Option<StreamLimits> {
    let deltas = &keys.delta_to_cumulative;
    let max_stale = deltas.max_stale.map_or(DEFAULT_STALE, GoDuration::to_std);
    if max_stale.is_zero() {
        problems.refuse("delta_to_cumulative::max_stale", "max_stale must be a positive duration, such as 1h");
    }
    let max_streams = usize::try_from(deltas.max_streams.unwrap_or(DEFAULT_STREAMS)).unwrap_or(usize::MAX);
    deltas.enabled.unwrap_or(true).then_some(StreamLimits { max_streams, max_stale })
}

fn promoted(keys: &Keys, problems: &mut Problems<'_>) -> Vec<String> {
    if keys.promote_resource_attributes.iter().any(String::is_empty) {
        problems.refuse("promote_resource_attributes", "promote_resource_attributes has an empty name");
    }
    keys.promote_resource_attributes.clone()
}
