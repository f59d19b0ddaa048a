//! Test support: the observed inputs and outputs that tests are run against, read at run time.

use std::path::PathBuf;

use serde_json::Value;

/// The folder of shared test material: `OXIDOT_SHARED`, or `shared` beside the workspace.
pub(crate) fn shared_dir() -> PathBuf {
    std::env::var_os("OXIDOT_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from)
}

/// The bytes of a shared file, or `None` after printing that the test was skipped.
pub(crate) fn read(path: &str) -> Option<Vec<u8>> {
    let full = shared_dir().join(path);
    match std::fs::read(&full) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            report(&format!("skipped: {}: {error}", full.display()));
            None
        }
    }
}

/// A shared JSON file, or `None` after printing that the test was skipped.
pub(crate) fn json(path: &str) -> Option<Value> {
    let bytes = read(path)?;
    Some(serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{path}: {error}")))
}

/// The rows of a list inside a shared JSON file; empty when the file is absent.
pub(crate) fn rows(path: &str, key: &str) -> Vec<Value> {
    let Some(file) = json(path) else { return Vec::new() };
    let rows = file.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    assert!(!rows.is_empty(), "{path}: `{key}` has no rows");
    rows
}

/// A string member of a row, empty when absent or null.
pub(crate) fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The `input` member of a row, or the decoded `input_b64` when the input is not text.
pub(crate) fn input(row: &Value) -> Vec<u8> {
    match row.get("input_b64").and_then(Value::as_str) {
        Some(encoded) => base64(encoded),
        None => text(row, "input").as_bytes().to_vec(),
    }
}

/// Prints a line that stays visible in a test run with output.
pub(crate) fn report(line: &str) {
    use std::io::Write;
    let written = writeln!(std::io::stderr(), "{line}");
    assert!(written.is_ok(), "standard error is closed");
}

fn base64(encoded: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut bits, mut count) = (0u32, 0u32);
    for byte in encoded.bytes() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        bits = (bits << 6) | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(((bits >> count) & 0xff) as u8);
        }
    }
    out
}
