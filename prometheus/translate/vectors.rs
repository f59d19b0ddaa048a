//! Expected results recorded from the real systems, for the tests of this crate's translation and
//! remote-write modules. They lie outside the project.

#![expect(clippy::expect_used, reason = "tests")]

use std::path::PathBuf;

use serde_json::Value;

/// The content of a vector file, or `None` with a visible note where there is none.
pub(crate) fn load(file: &str) -> Option<Value> {
    let shared = std::env::var_os("OXIDOT_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let path = shared.join("vectors").join(file);
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(serde_json::from_str(&text).expect("vector files are JSON")),
        Err(error) => {
            skipped(&format!("{}: {error}", path.display()));
            None
        }
    }
}

#[expect(clippy::print_stderr, reason = "a test that did not run has to be seen")]
fn skipped(what: &str) {
    eprintln!("skipped: {what}");
}

/// The rows of the list `key` of a vector file; none where the file is absent. A file without rows
/// would make a test that cannot fail, so it fails here.
pub(crate) fn rows(file: &str, key: &str) -> Vec<Value> {
    let Some(content) = load(file) else { return Vec::new() };
    let rows = content[key].as_array().cloned().unwrap_or_default();
    assert!(!rows.is_empty(), "{file} has no rows under {key:?}");
    rows
}

/// A string of a row; `""` for null or absent.
pub(crate) fn text<'v>(row: &'v Value, key: &str) -> &'v str {
    row[key].as_str().unwrap_or_default()
}

/// A boolean of a row; false for null or absent.
pub(crate) fn flag(row: &Value, key: &str) -> bool {
    row[key].as_bool().unwrap_or_default()
}
