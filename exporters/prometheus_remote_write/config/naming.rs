//! How names and labels are translated.

use super::super::translation::Translation;
use super::Problems;
use super::keys::Keys;
use prometheus::remote_write::protocol::ProtocolVersion;
use prometheus::translate::label_set::{LabelRules, sanitize_external_labels};
use prometheus::translate::target_info::TargetInfoRules;
use prometheus::translate::{LabelNamer, MetricNamer, TranslationStrategy};

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
    let namer = LabelNamer::remote_write(strategy);
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
        labels: LabelRules {
            namer: Some(namer),
            external_labels: external_labels.clone(),
            disable_scope_info: keys.disable_scope_info,
            resource_to_telemetry: resource.enabled,
            exclude_service_attributes: resource.exclude_service_attributes,
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
            namer: LabelNamer::remote_write_v1_target_info(),
            external_labels,
        },
    })
}
