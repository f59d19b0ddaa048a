//! Labels and names.

use std::collections::BTreeSet;

use super::page::{huge, long_name, of_everything};
use super::{Run, reading, rules};

fn is_name(text: &str, colons: bool) -> bool {
    let allowed = |at: usize, c: char| {
        c.is_ascii_alphabetic() || c == '_' || (colons && c == ':') || (at > 0 && c.is_ascii_digit())
    };
    !text.is_empty() && text.chars().enumerate().all(|(at, c)| allowed(at, c))
}

/// The series that has this label.
fn with<'r>(run: &'r Run, label: &str) -> &'r reading::Series {
    run.series().find(|series| series.label(label).is_some()).unwrap_or_else(|| panic!("no series has {label}"))
}

rules! { of_everything();
    labels_label_lexicographic_ordering => |run| {
        assert!(run.series().all(|series| series.labels.is_sorted_by(|(a, _), (b, _)| a < b)));
        let names: Vec<_> = with(run, "zzz").labels.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["__name__", "aaa", "bbb", "instance", "job", "zzz"]);
    };
    labels_metric_name_label_present => |run| {
        assert!(run.series().all(|series| series.label("__name__").is_some_and(|name| !name.is_empty())));
    };
    labels_metric_name_format_valid => |run| {
        assert!(run.series().all(|series| is_name(series.label("__name__").unwrap_or_default(), true)));
    };
    labels_label_name_format_valid => |run| {
        assert!(run.series().all(|series| series.labels.iter().all(|(name, _)| is_name(name, false))));
    };
    labels_no_duplicate_label_names => |run| {
        for series in run.series() {
            let names: BTreeSet<_> = series.labels.iter().map(|(name, _)| name).collect();
            assert_eq!(names.len(), series.labels.len(), "{series:?}");
        }
    };
    labels_label_names_not_empty => |run| {
        assert!(run.series().all(|series| series.labels.iter().all(|(name, _)| !name.is_empty())));
    };
    // A label without a value is no label: it is left out, which the specification of both versions asks for elsewhere.
    labels_label_values_may_be_empty => |run| {
        assert!(run.series().all(|series| series.labels.iter().all(|(_, value)| !value.is_empty())));
        assert!(with(run, "full").label("empty").is_none());
    };
    labels_reserved_label_prefix => |run| {
        let reserved = |name: &str| name.starts_with("__") && name != "__name__";
        assert!(run.series().all(|series| !series.labels.iter().any(|(name, _)| reserved(name))));
    };
    labels_unicode_in_label_values => |run| {
        let series = with(run, "emoji");
        assert_eq!((series.label("emoji"), series.label("chinese")), (Some("🚀"), Some("测试")));
    };
    edge_cases_unicode_in_labels => |run| {
        let series = with(run, "emoji");
        assert_eq!((series.label("arabic"), series.label("vietnamese")), (Some("مرحبا"), Some("tôi yêu việt nam")));
    };
    labels_special_chars_in_label_values => |run| {
        let series = with(run, "query");
        assert_eq!((series.label("path"), series.label("query")), (Some("/api/v1/users"), Some("foo=bar&baz=qux")));
        assert_eq!(series.label("quoted"), Some("a\"b\\c\nd"));
    };
    labels_very_long_label_names => |run| {
        let name = "a_very_long_label_name_that_goes_on_for_quite_a_while_and_is_still_a_valid_name";
        assert_eq!(with(run, name).label(name), Some("v"));
    };
    labels_very_long_label_values => |run| assert!(with(run, "huge").label("huge").is_some_and(|value| value.len() > 200));
    edge_cases_huge_label_values => |run| assert_eq!(with(run, "huge").label("huge"), Some(huge().as_str()));
    labels_many_labels_per_series => |run| assert_eq!(with(run, "l20").labels.len(), 23);
    edge_cases_very_long_metric_name => |run| assert!(run.named(&long_name()).count() > 0);
    edge_cases_metric_name_with_colons => |run| assert_eq!(run.value("with:colons:inside"), 0.5);
    combined_mixed_labels_and_metadata => |run| {
        let all: Vec<_> = run.named("requests_total").collect();
        assert!(all.len() >= 3);
        assert!(all.iter().all(|series| series.label("method").is_some() && series.label("status").is_some()));
        assert!(all.iter().all(|series| series.metadata.is_some()));
    };
    samples_job_instance_labels_present => |run| {
        let local = |instance: &str| instance.starts_with("127.0.0.1:");
        assert!(run.series().all(|series| series.label("job") == Some("test") && series.label("instance").is_some_and(local)));
    };
}
