//! What Amazon Managed Service for Prometheus calls the reasons for which it discards samples, in the dimension `Reason` of
//! its CloudWatch metric `DiscardedSamples`.

/// What its answers say, in lower case, and the reason that it counts under. The first that is found counts, so what is part
/// of something longer comes after that.
const REASONS: [(&str, &str); 25] = [
    ("per-user native histogram series limit", "per_user_native_histogram_series_limit"),
    ("per-user series limit", "per_user_series_limit"),
    ("per-metric series limit", "per_metric_series_limit"),
    ("per-labelset series limit", "per_labelset_series_limit"),
    ("per labelset series limit", "per_labelset_series_limit"),
    ("native histogram sample size", "native_histogram_sample_size_bytes_exceeded"),
    ("native histogram buckets", "native_histogram_buckets_exceeded"),
    ("native histogram ingestion rate", "native_histogram_rate_limited"),
    ("native histogram schema", "native_histogram_invalid_schema"),
    ("invalid schema", "native_histogram_invalid_schema"),
    ("native histogram", "native_histogram_invalid"),
    ("too many labels", super::TOO_MANY_LABELS),
    ("label value too long", super::LABELS_TOO_LONG),
    ("timestamp too old", super::TOO_OLD),
    ("duplicate sample for timestamp", "new-value-for-timestamp"),
    ("out-of-order ingestion rate", "out-of-order-rate-limit"),
    ("out of order ingestion rate", "out-of-order-rate-limit"),
    ("out of order sample", "sample-out-of-order"),
    ("too old sample", "sample-too-old"),
    ("sample too old", "sample-too-old"),
    ("missing metric name", "missing_metric_name"),
    ("invalid metric name", "metric_name_invalid"),
    ("invalid label", "label_invalid"),
    ("duplicate label name", "duplicate_label_names"),
    ("ingestion rate limit", "rate_limited"),
];

/// The reason that an answer of the service gives.
pub(super) fn reason_of(words: &str) -> Option<&'static str> {
    let words = words.to_ascii_lowercase();
    // Some answers have the reason's own name.
    let named = || REASONS.iter().find(|(_, reason)| words.contains(*reason));
    REASONS.iter().find(|(text, _)| words.contains(text)).or_else(named).map(|(_, reason)| *reason)
}

#[cfg(test)]
mod tests {
    use super::reason_of;

    #[test]
    fn answers_are_counted_as_the_service_counts_them() {
        for (words, reason) in [
            (
                "per-user series limit of 2000000 exceeded, Capacity from 2,000,000 to 10,000,000",
                "per_user_series_limit",
            ),
            ("per-user native histogram series limit of 5 exceeded", "per_user_native_histogram_series_limit"),
            ("per-metric series limit of 50000 exceeded, contact your administrator", "per_metric_series_limit"),
            ("series has too many labels (actual: 151, limit: 150) series: 'a'", "max_label_names_per_series"),
            ("label value too long for metric: \"a\" label value: \"b\"", "label_value_too_long"),
            ("timestamp too old: 1 metric: \"a\"", "greater_than_max_sample_age"),
            ("user=1: err: duplicate sample for timestamp. timestamp=1, series={}", "new-value-for-timestamp"),
            ("user=1: err: out of order sample. timestamp=1, series={}", "sample-out-of-order"),
            ("user=1: err: too old sample. timestamp=1", "sample-too-old"),
            ("sample missing metric name", "missing_metric_name"),
            ("sample invalid metric name: \"a.b\"", "metric_name_invalid"),
            ("sample invalid label: \"a.b\" metric \"c\"", "label_invalid"),
            ("duplicate label name: \"a\" metric \"c\"", "duplicate_label_names"),
            (
                "native histogram sample size bytes exceeded (actual: 3000, limit: 2048)",
                "native_histogram_sample_size_bytes_exceeded",
            ),
            ("{\"message\":\"sample rejected: new-value-for-timestamp\"}", "new-value-for-timestamp"),
        ] {
            assert_eq!(reason_of(words), Some(reason), "{words}");
        }
        assert_eq!(reason_of("something that nobody has seen yet"), None);
    }
}
