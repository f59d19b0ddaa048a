//! Type, help and unit.

use super::page::of_everything;
use super::{Run, reading, rules};

/// The numbers of types.
const COUNTER: u64 = 1;
const GAUGE: u64 = 2;
const HISTOGRAM: u64 = 3;
const SUMMARY: u64 = 5;

fn of<'r>(run: &'r Run, name: &str) -> &'r reading::Metadata {
    run.first(name).metadata.as_ref().unwrap_or_else(|| panic!("{name} has no metadata"))
}

fn references_are_symbols(run: &Run) {
    for seen in &run.seen {
        for metadata in seen.message.series.iter().filter_map(|series| series.metadata.as_ref()) {
            let symbols = seen.message.symbols.len() as u64;
            assert!(metadata.help_reference < symbols && metadata.unit_reference < symbols);
        }
    }
}

rules! { of_everything();
    metadata_metadata_type_counter => |run| assert_eq!(of(run, "requests_total").kind, COUNTER);
    metadata_metadata_type_gauge => |run| assert_eq!(of(run, "memory_bytes").kind, GAUGE);
    metadata_metadata_type_histogram => |run| {
        for name in ["latency_seconds_bucket", "latency_seconds_sum", "latency_seconds_count"] {
            assert_eq!(of(run, name).kind, HISTOGRAM, "{name}");
        }
    };
    metadata_metadata_type_summary => |run| {
        for name in ["rpc", "rpc_sum", "rpc_count"] {
            assert_eq!(of(run, name).kind, SUMMARY, "{name}");
        }
    };
    metadata_metadata_help_text => |run| assert_eq!(of(run, "requests_total").help, "The number of HTTP requests.");
    metadata_metadata_unit => |run| {
        assert_eq!(of(run, "memory_bytes").unit, "bytes");
        assert_eq!(of(run, "latency_seconds_sum").unit, "seconds");
    };
    metadata_metadata_help_with_newlines => |run| assert!(of(run, "memory_bytes").help.contains("use,\nwith"));
    metadata_metadata_help_with_special_chars => |run| {
        assert!(of(run, "memory_bytes").help.contains("\"in\"") && of(run, "memory_bytes").help.contains(" \\ "));
    };
    metadata_metadata_help_refs_valid => references_are_symbols;
    metadata_metadata_consistent_across_series => |run| {
        for seen in &run.seen {
            let of_one = seen.message.series.iter().filter(|series| series.label("__name__") == Some("requests_total"));
            let all: Vec<_> = of_one.filter_map(|series| series.metadata.as_ref()).collect();
            assert!(all.windows(2).all(|pair| pair[0].kind == pair[1].kind && pair[0].help_reference == pair[1].help_reference));
        }
    };
    metadata_metadata_empty_help_allowed => |run| {
        assert_eq!((of(run, "no_help").help_reference, of(run, "no_help").kind), (0, GAUGE));
        assert_eq!(run.value("no_help"), 7.0);
    };
    combined_samples_with_metadata => |run| {
        let series = run.first("requests_total");
        assert!(!series.samples.is_empty());
        assert_eq!(of(run, "requests_total").kind, COUNTER);
        assert!(of(run, "requests_total").help.contains("HTTP requests"));
    };
    combined_histogram_with_metadata_and_exemplars => |run| {
        assert_eq!(of(run, "latency_seconds_bucket").kind, HISTOGRAM);
        assert!(run.named("latency_seconds_bucket").any(|series| !series.exemplars.is_empty()));
    };
}
