//! Tests of the `prometheusremotewrite` receiver.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod against_prometheus;
mod caching;
mod fuzz;
mod http;
mod natives;
mod requests;
mod version2;

use std::io::Write as _;
use std::path::PathBuf;

use prometheus::remote_write::wire::TimestampField;
use prometheus::remote_write::wire::v1::{put_float_series, put_label};
use serde_json::Value as Json;

/// A shared file of vectors, or `None` after saying that the test was skipped.
fn vectors(name: &str) -> Option<Json> {
    let root = std::env::var_os("OXIDOT_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let path = root.join("vectors").join(name);
    match std::fs::read(&path) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).unwrap()),
        Err(error) => {
            say(&format!("skipped: {}: {error}", path.display()));
            None
        }
    }
}

/// Writes a line that is seen even when tests pass.
fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").unwrap();
}

/// Labels as a sender encodes them.
fn labels(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in pairs {
        put_label(&mut out, name.as_bytes(), value.as_bytes());
    }
    out
}

/// Labels, value and time in milliseconds of one sample.
type FloatSeries<'a> = (&'a [(&'a str, &'a str)], f64, i64);

/// A request with one sample for each label set.
fn floats(series: &[FloatSeries<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (pairs, value, time) in series {
        put_float_series(&mut out, &labels(pairs), *value, &TimestampField::new(*time));
    }
    out
}

fn hex(text: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2).unwrap(), 16).unwrap();
    (0..text.len() / 2).map(|at| byte(at * 2)).collect()
}
