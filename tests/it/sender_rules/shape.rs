//! Requests: headers, encoding, symbols, batches.

use std::collections::{BTreeMap, BTreeSet};

use super::page::of_everything;
use super::{Run, V2, rules};

/// Every request has this header, and `check` of it holds.
fn header(run: &Run, name: &str, check: impl Fn(&str) -> bool) {
    assert!(!run.seen.is_empty());
    for seen in &run.seen {
        let value = seen.request.header(name).unwrap_or_else(|| panic!("{name} is missing"));
        assert!(check(value), "{name}: {value}");
    }
}

fn largest(run: &Run) -> usize {
    run.seen.iter().map(|seen| seen.message.series.len()).max().unwrap_or(0)
}

fn symbols_are_distinct(run: &Run) {
    for seen in &run.seen {
        let symbols = &seen.message.symbols;
        assert_eq!(symbols.iter().collect::<BTreeSet<_>>().len(), symbols.len(), "a symbol stands twice");
    }
}

rules! { of_everything();
    // Names of metrics and hardly anything else make up a request.
    batching_multiple_series_per_request => |run| {
        let names: BTreeSet<_> = run.seen[0].message.series.iter().filter_map(|series| series.label("__name__")).collect();
        assert!(largest(run) >= 3 && names.len() >= 2, "{names:?}");
    };
    batching_batch_size_reasonable => |run| assert!((1..=10_000).contains(&largest(run)));
    batching_handles_varying_cardinality => |run| {
        symbols_are_distinct(run);
        assert!(largest(run) >= 2);
    };
    batching_efficient_symbol_reuse => symbols_are_distinct;
    batching_metadata_batching => |run| {
        let with = run.seen.iter().map(|seen| seen.message.series.iter().filter(|series| series.metadata.is_some()).count());
        assert!(with.max().unwrap_or(0) >= 2);
    };
    protocol_content_type_protobuf => |run| header(run, "content-type", |value| value.starts_with("application/x-protobuf"));
    protocol_content_type_with_proto_param => |run| {
        header(run, "content-type", |value| value == format!("application/x-protobuf;proto={V2}"));
    };
    protocol_content_encoding_snappy => |run| header(run, "content-encoding", |value| value == "snappy");
    protocol_version_header_present => |run| header(run, "x-prometheus-remote-write-version", |value| !value.is_empty());
    protocol_version_header_value => |run| header(run, "x-prometheus-remote-write-version", |value| value == "2.0.0");
    protocol_user_agent_present => |run| header(run, "user-agent", |value| value.starts_with("oxidot/"));
    // The framed format begins with these bytes; the receiver decodes blocks.
    protocol_snappy_block_format => |run| {
        assert!(run.seen.iter().all(|seen| !seen.request.body.is_empty() && !seen.request.body.starts_with(b"\xff\x06\x00\x00")));
    };
    protocol_protobuf_parseable => |run| assert!(run.seen.iter().all(|seen| !seen.message.symbols.is_empty()));
    protocol_httpmethod => |run| assert!(run.seen.iter().all(|seen| seen.method == "POST"));
    response_content_type_negotiation => |run| header(run, "content-type", |value| value.contains("application/x-protobuf"));
    symbols_empty_string_at_index_zero => |run| {
        assert!(run.seen.iter().all(|seen| seen.message.symbols.first().is_some_and(String::is_empty)));
    };
    symbols_string_deduplication => symbols_are_distinct;
    symbols_labels_refs_valid_indices => |run| {
        for seen in &run.seen {
            let symbols = seen.message.symbols.len() as u64;
            assert!(seen.message.series.iter().all(|series| series.references.iter().all(|of| *of < symbols)));
        }
    };
    symbols_labels_refs_even_length => |run| {
        assert!(run.series().all(|series| !series.references.is_empty() && series.references.len() % 2 == 0));
    };
    symbols_symbol_table_efficiency => |run| {
        // 120 series with 30 and 4 values, and everything is there once.
        let seen = run.seen.iter().max_by_key(|seen| seen.message.series.len()).unwrap();
        let mut uses: BTreeMap<u64, usize> = BTreeMap::new();
        seen.message.series.iter().flat_map(|series| &series.references).for_each(|of| *uses.entry(*of).or_default() += 1);
        assert!(seen.message.symbols.len() * 4 < uses.values().sum(), "{} symbols", seen.message.symbols.len());
    };
    edge_cases_many_timeseries => |run| assert!(largest(run) >= 10 && run.seen.iter().all(|seen| !seen.message.symbols.is_empty()));
    edge_cases_high_cardinality => |run| {
        symbols_are_distinct(run);
        assert!(run.named("many").count() >= 20);
    };
    edge_cases_robustness_under_load => |run| assert!(largest(run) >= 50);
    combined_multiple_metric_types => |run| assert!(largest(run) > 0);
    combined_high_cardinality_labels => |run| {
        symbols_are_distinct(run);
        assert!(run.named("many").count() >= 6);
    };
}
