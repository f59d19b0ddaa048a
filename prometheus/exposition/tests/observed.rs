//! What Prometheus' own parsers were seen to do.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::{Entry, Exemplar, Format, Parser, parse_value_and_tail};
use crate::labels::LabelsBuilder;
use crate::number::format_go_float;
use crate::vectors;

fn format(row: &Value) -> Option<Format> {
    match vectors::text(row, "format") {
        "prometheus-text" => Some(Format::Text),
        "openmetrics-text" => Some(Format::OpenMetrics),
        _ => None,
    }
}

fn labels_json(labels: &LabelsBuilder) -> Value {
    Value::Object(labels.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect())
}

fn exemplar_json(exemplar: &Exemplar<'_>, labels: &mut LabelsBuilder) -> Value {
    exemplar.labels(labels);
    let mut out = Map::new();
    out.insert("labels".to_owned(), labels_json(labels));
    out.insert("value".to_owned(), json!(format_go_float(exemplar.value)));
    out.insert("has_ts".to_owned(), json!(exemplar.timestamp_ms.is_some()));
    if let Some(timestamp) = exemplar.timestamp_ms {
        out.insert("ts_ms".to_owned(), json!(timestamp));
    }
    Value::Object(out)
}

/// Parses a page into the form of the vectors. Every sample's tail is also read on its own.
fn observe(format: Format, page: &[u8]) -> (Vec<Value>, String) {
    let mut parser = Parser::new(format, page);
    let mut labels = LabelsBuilder::new();
    let mut out = Vec::new();
    loop {
        let entry = match parser.next() {
            Ok(Some(entry)) => entry,
            Ok(None) => return (out, String::new()),
            Err(error) => return (out, error.to_string()),
        };
        out.push(match entry {
            Entry::Type { family, kind } => json!({"kind": "type", "name": family, "text": kind.as_str()}),
            Entry::Help { family, text } => json!({"kind": "help", "name": family, "text": text}),
            Entry::Unit { family, unit } => json!({"kind": "unit", "name": family, "text": unit}),
            Entry::Comment(text) => json!({"kind": "comment", "text": String::from_utf8_lossy(text)}),
            Entry::Sample(sample) => {
                if let Ok(tail) = parse_value_and_tail(&page[sample.value_start..], format) {
                    assert_eq!(tail.value.to_bits(), sample.value.to_bits());
                    assert_eq!(
                        (tail.timestamp_ms, tail.consumed),
                        (sample.timestamp_ms, sample.line_end - sample.value_start)
                    );
                }
                parser.labels(&mut labels).unwrap();
                let mut row = Map::new();
                row.insert("kind".to_owned(), json!("series"));
                row.insert("series".to_owned(), json!(String::from_utf8_lossy(sample.series)));
                row.insert("labels".to_owned(), labels_json(&labels));
                row.insert("value".to_owned(), json!(format_go_float(sample.value)));
                row.insert("value_bits".to_owned(), json!(format!("{:016x}", sample.value.to_bits())));
                if let Some(timestamp) = sample.timestamp_ms {
                    row.insert("ts_ms".to_owned(), json!(timestamp));
                }
                if let Some(exemplar) = sample.exemplar {
                    row.insert("exemplars".to_owned(), json!([exemplar_json(&exemplar, &mut labels)]));
                }
                Value::Object(row)
            }
        });
    }
}

/// Compares after taking out what options add that are not the parser's: start times (and the `_created` series they
/// were taken from), type and unit labels.
fn assert_same(row: &Value, page: &[u8], format: Format) {
    let option = |key: &str| row["options"][key].as_bool().unwrap_or(false);
    let (mut got, error) = observe(format, page);
    let mut expected = row["entries"].as_array().cloned().unwrap_or_default();
    if option("skip_created_series") {
        let name = |entry: &Value| entry["labels"]["__name__"].as_str().unwrap_or_default().to_owned();
        let kept: Vec<String> = expected.iter().map(name).collect();
        got.retain(|entry| !name(entry).ends_with("_created") || kept.contains(&name(entry)));
    }
    for entry in &mut expected {
        let entry = entry.as_object_mut().unwrap();
        entry.remove("start_ts_ms");
        if option("type_and_unit_labels")
            && let Some(labels) = entry.get_mut("labels").and_then(Value::as_object_mut)
        {
            labels.remove("__type__");
            labels.remove("__unit__");
        }
    }
    assert_eq!(error, vectors::text(row, "error"), "{row}");
    assert_eq!(got.len(), expected.len(), "{row}");
    for (got, expected) in got.iter().zip(&expected) {
        assert_eq!(got, expected, "{row}");
    }
}

/// Runs a list of rows and prints how many were left out, and why.
fn run(file: &str, rows: Vec<Value>, mut check: impl FnMut(&Value, Format)) {
    let mut left_out: BTreeMap<&str, usize> = BTreeMap::new();
    let mut ran = 0;
    let none = rows.is_empty();
    for row in rows {
        let reason = match format(&row) {
            None => "the protobuf format is not text",
            Some(_) if row["options"]["convert_to_nhcb"].as_bool() == Some(true) => {
                "conversion to native histograms is not the parser's"
            }
            Some(format) => {
                check(&row, format);
                ran += 1;
                continue;
            }
        };
        *left_out.entry(reason).or_default() += 1;
    }
    vectors::report(&format!("{file}: {ran} rows ran, left out: {left_out:?}"));
    assert!(none || ran > 0, "{file}: no row ran");
}

const FILE: &str = "vectors/exposition_vectors.json";

#[test]
fn vectors_of_valid_pages() {
    run("valid", vectors::rows(FILE, "valid"), |row, format| assert_same(row, &vectors::input(row), format));
}

#[test]
fn vectors_of_generated_pages() {
    run("generated", vectors::rows(FILE, "generated"), |row, format| assert_same(row, &vectors::input(row), format));
}

#[test]
fn vectors_of_errors() {
    run("errors", vectors::rows(FILE, "errors"), |row, format| {
        assert_eq!(observe(format, &vectors::input(row)).1, vectors::text(row, "error"), "{row}");
    });
}

#[test]
fn golden_pages() {
    let folder = vectors::shared_dir().join("vectors/golden");
    let Ok(files) = std::fs::read_dir(&folder) else {
        vectors::report(&format!("skipped: {} is absent", folder.display()));
        return;
    };
    let mut rows = Vec::new();
    for file in files {
        let path = file.unwrap().path();
        rows.push(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap());
    }
    run("golden", rows, |row, format| {
        let name = vectors::text(row, "source").rsplit('/').next().unwrap_or_default();
        let page = vectors::read(&format!("prom-testdata/exposition/{name}"));
        assert_same(row, &page.unwrap(), format);
    });
}

#[test]
fn openmetrics_conformance() {
    for row in vectors::rows("vectors/openmetrics_conformance.json", "cases") {
        let name = vectors::text(&row, "name");
        let Some(page) = vectors::read(&format!("prom-testdata/openmetrics-parsers/{name}/metrics")) else { continue };
        let (entries, error) = observe(Format::OpenMetrics, &page);
        assert_eq!(error, vectors::text(&row, "prometheus_error"), "{row}");
        assert_eq!(Some(error.is_empty()), row["prometheus_parses"].as_bool(), "{row}");
        if let Some(count) = row["prometheus_entries"].as_u64() {
            assert_eq!(entries.len() as u64, count, "{row}");
        }
    }
}
