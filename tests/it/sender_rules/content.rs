//! Samples, timestamps, histograms, exemplars.

use std::collections::{BTreeMap, BTreeSet};

use super::page::of_everything;
use super::{Run, reading, rules};
use crate::support::samples::STALE;

/// Milliseconds since the epoch have this size from 2001 to the year 300,000.
const MILLISECONDS: std::ops::Range<i64> = 1_000_000_000_000..10_000_000_000_000_000;

fn exemplars<'r>(run: &'r Run, name: &'r str) -> impl Iterator<Item = &'r reading::Exemplar> {
    run.named(name).flat_map(|series| &series.exemplars)
}

fn has_exemplar(run: &Run, name: &str, label: (&str, &str)) {
    let pair = (label.0.to_owned(), label.1.to_owned());
    assert!(
        exemplars(run, name).any(|exemplar| exemplar.labels.contains(&pair)),
        "{name} has no exemplar with {label:?}"
    );
}

fn ordered(run: &Run) {
    let mut last: BTreeMap<&[(String, String)], i64> = BTreeMap::new();
    for series in run.series() {
        for sample in &series.samples {
            let before = last.insert(&series.labels, sample.time);
            assert!(before.is_none_or(|before| before < sample.time), "{:?}", series.labels);
        }
    }
}

fn in_milliseconds(run: &Run) {
    assert!(run.series().flat_map(|series| &series.samples).all(|sample| MILLISECONDS.contains(&sample.time)));
}

/// Samples of the page's own times are of the run.
fn recent(run: &Run) {
    let times: Vec<i64> = run.named("whole").flat_map(|series| &series.samples).map(|sample| sample.time).collect();
    assert!(times.len() > 2);
    assert!(times.iter().all(|time| (run.began - 1000..=run.ended + 1000).contains(time)));
}

fn starts(run: &Run) -> impl Iterator<Item = (&reading::Series, reading::Sample)> {
    run.series().flat_map(|series| series.samples.iter().map(move |sample| (series, *sample)))
}

fn never_mixed(run: &Run) {
    assert!(run.series().all(|series| series.samples.is_empty() || series.histograms == 0));
}

/// All parts of a histogram, with the same number of samples each.
fn complete(run: &Run, name: &str) {
    let count = |name: String| run.named(&name).filter(|series| series.samples[0].value.to_bits() != STALE).count();
    let (sums, counts) = (count(format!("{name}_sum")), count(format!("{name}_count")));
    assert!(sums > 0 && sums == counts, "{sums} {counts}");
    assert_eq!(count(format!("{name}_bucket")) % sums, 0);
}

rules! { of_everything();
    samples_float_value_encoding => |run| assert_eq!(run.value("decimal"), 123.45);
    samples_integer_value_encoding => |run| assert_eq!(run.value("whole"), 42.0);
    samples_zero_value_encoding => |run| assert_eq!(run.value("zero"), 0.0);
    samples_negative_value_encoding => |run| assert_eq!(run.value("negative"), -15.5);
    samples_positive_infinity_encoding => |run| assert_eq!(run.value("plus_infinity"), f64::INFINITY);
    samples_negative_infinity_encoding => |run| assert_eq!(run.value("minus_infinity"), f64::NEG_INFINITY);
    samples_nan_encoding => |run| {
        assert_eq!(run.value("not_a_number").to_bits(), 0x7ff8_0000_0000_0001, "and none that means another thing");
    };
    samples_timestamp_milliseconds_format => in_milliseconds;
    samples_timestamp_recent => recent;
    samples_multiple_samples_same_series => |run| {
        let times: BTreeSet<i64> = run.named("rounds_total").flat_map(|series| &series.samples).map(|sample| sample.time).collect();
        assert!(times.len() >= 3);
    };
    samples_large_float_values => |run| assert_eq!(run.value("large"), f64::MAX);
    samples_small_float_values => |run| assert_eq!(run.value("small"), f64::MIN_POSITIVE);
    samples_scientific_notation => |run| assert_eq!(run.value("scientific"), 1.23e-4);
    samples_precision_preservation => |run| assert_eq!(run.value("precise"), 0.123456789012345);
    samples_sample_ordering => ordered;
    timestamps_timestamp_int64_milliseconds => in_milliseconds;
    timestamps_timestamp_ordering_within_series => ordered;
    timestamps_start_timestamp_for_counters => |run| {
        let created = starts(run).find(|(series, _)| {
            series.label("__name__") == Some("requests_total") && series.label("method") == Some("GET") && series.label("status") == Some("200")
        });
        assert_eq!(created.map(|(_, sample)| sample.start), Some(1_600_000_000_500));
    };
    timestamps_start_timestamp_for_histograms => |run| {
        for name in ["latency_seconds_bucket", "latency_seconds_sum", "latency_seconds_count"] {
            assert_eq!(run.first(name).samples[0].start, 1_600_000_000_000, "{name}");
        }
    };
    timestamps_start_timestamp_zero_handling => |run| {
        assert!(starts(run).all(|(_, sample)| sample.start == 0 || MILLISECONDS.contains(&sample.start)));
        assert_eq!(run.first("memory_bytes").samples[0].start, 0);
    };
    timestamps_timestamp_precision => |run| {
        recent(run);
        assert!(starts(run).any(|(_, sample)| sample.time % 1000 != 0));
    };
    timestamps_timestamp_future_values => recent;
    timestamps_start_timestamp_before_sample_timestamp => |run| assert!(starts(run).all(|(_, sample)| sample.start <= sample.time));
    edge_cases_special_float_combinations => |run| {
        assert!(run.value("not_a_number").is_nan() && run.value("plus_infinity").is_infinite());
        assert_eq!((run.value("zero"), run.value("negative")), (0.0, -15.5));
    };
    edge_cases_stale_marker => |run| {
        let bits: Vec<u64> = run.named("fleeting").flat_map(|series| &series.samples).map(|sample| sample.value.to_bits()).collect();
        assert_eq!(bits.last(), Some(&STALE), "{bits:x?}");
        assert_eq!(bits.iter().filter(|bits| **bits == STALE).count(), 1);
    };
    edge_cases_mixed_sample_and_histogram_families => |run| {
        let kinds: BTreeSet<u64> = run.series().filter_map(|series| series.metadata.as_ref()).map(|metadata| metadata.kind).collect();
        assert!(kinds.len() >= 4, "{kinds:?}");
        never_mixed(run);
    };
    combined_complete_metric_family => |run| {
        complete(run, "latency_seconds");
        complete(run, "idle_seconds");
    };
    combined_real_world_scenario => |run| {
        never_mixed(run);
        let names: BTreeSet<_> = run.series().map(|series| series.label("__name__").expect("a name")).collect();
        assert!(names.len() >= 3 && names.contains("up"));
    };
    combined_samples_with_exemplars => |run| assert!(exemplars(run, "requests_total").count() > 0);
    histograms_histogram_count_present => |run| assert_eq!(run.value("latency_seconds_count"), 1e9);
    histograms_histogram_sum_present => |run| assert_eq!(run.value("latency_seconds_sum"), 5_000_000_000.5);
    histograms_histogram_buckets_ordered => |run| {
        let seen = run.seen.iter().find(|seen| seen.message.series.iter().any(|s| s.label("le").is_some())).expect("buckets");
        let buckets = seen.message.series.iter().filter(|series| series.label("__name__") == Some("latency_seconds_bucket"));
        let bounds: Vec<f64> = buckets.take(4).map(|series| series.label("le").unwrap_or_default().parse().expect("a number")).collect();
        assert_eq!(bounds, [0.1, 0.5, 1.0, f64::INFINITY]);
    };
    histograms_histogram_timestamp => in_milliseconds;
    histograms_histogram_no_mixed_with_samples => never_mixed;
    histograms_histogram_empty_buckets => |run| assert_eq!(run.value("idle_seconds_count"), 0.0);
    histograms_histogram_large_counts => |run| assert_eq!(run.value("latency_seconds_count"), 1e9);
    exemplars_exemplar_with_trace_id => |run| has_exemplar(run, "latency_seconds_bucket", ("trace_id", "hist1"));
    // Ids of another length than OpenTelemetry's are brought to it, as the Collector does.
    exemplars_exemplar_with_span_id => |run| has_exemplar(run, "requests_total", ("span_id", "0000000000def456"));
    exemplars_exemplar_value_valid => |run| {
        assert!(exemplars(run, "requests_total").any(|exemplar| exemplar.value == Some(999.0)));
        assert!(run.series().flat_map(|series| &series.exemplars).all(|exemplar| exemplar.value.is_some()));
    };
    exemplars_exemplar_timestamp_valid => |run| {
        assert!(run.series().flat_map(|series| &series.exemplars).all(|exemplar| MILLISECONDS.contains(&exemplar.time)));
        assert!(exemplars(run, "requests_total").any(|exemplar| exemplar.time == 1_234_567_890_123));
    };
    exemplars_exemplar_labels_valid_refs => |run| {
        for seen in &run.seen {
            let mut all = seen.message.series.iter().flat_map(|series| &series.exemplars).flat_map(|e| &e.references);
            assert!(all.all(|reference| *reference < seen.message.symbols.len() as u64));
        }
    };
    exemplars_exemplar_custom_labels => |run| {
        has_exemplar(run, "requests_total", ("user_id", "user123"));
        has_exemplar(run, "requests_total", ("request_id", "req456"));
    };
    exemplars_exemplar_on_histogram => |run| has_exemplar(run, "latency_seconds_bucket", ("trace_id", "hist2"));
    exemplars_exemplar_labels_even_length => |run| {
        assert!(run.series().flat_map(|series| &series.exemplars).all(|exemplar| exemplar.references.len() % 2 == 0));
    };
    exemplars_multiple_exemplars_per_series => |run| assert!(exemplars(run, "latency_seconds_bucket").count() > 1);
}
