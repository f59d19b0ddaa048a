//! Test support: what was observed of the real programs, read at run time.

#![expect(clippy::unwrap_used, reason = "tests")]

use pipeline::config::{ConfigErrors, DuplicateKeys, parse_document};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;

use super::{PathBase, PrometheusConfig, ReadOptions, ScrapeJob};

/// The folder of shared test material: `OXIDOT_SHARED`, or `shared` beside the workspace.
pub(crate) fn shared() -> PathBuf {
    std::env::var_os("OXIDOT_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from)
}

/// A shared file's text, or `None` after printing that the test was skipped.
pub(crate) fn text(path: &str) -> Option<String> {
    let full = shared().join(path);
    match std::fs::read_to_string(&full) {
        Ok(text) => Some(text),
        Err(error) => {
            report(&format!("skipped: {}: {error}", full.display()));
            None
        }
    }
}

/// The rows of list `key` in a shared JSON file; none if the file is absent.
pub(crate) fn rows(path: &str, key: &str) -> Vec<Value> {
    let Some(text) = text(path) else { return Vec::new() };
    let file: Value = serde_json::from_str(&text).unwrap();
    let rows = file[key].as_array().cloned().unwrap_or_default();
    assert!(!rows.is_empty(), "{path}: {key} has no rows");
    rows
}

/// A text member of a row; empty if absent.
pub(crate) fn member<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or_default()
}

/// Prints a line that stays visible in a test run with output.
pub(crate) fn report(line: &str) {
    use std::io::Write as _;
    writeln!(std::io::stderr(), "{line}").unwrap();
}

/// Reads a configuration as Prometheus reads a file, and the files it names.
pub(crate) fn load(text: &str, source: &str) -> Result<(PrometheusConfig, Vec<Arc<ScrapeJob>>), ConfigErrors> {
    let node = parse_document(text, source, DuplicateKeys::Keep)?;
    let options = ReadOptions { paths: PathBase::FileDirectory, ..ReadOptions::default() };
    let config = PrometheusConfig::read(&node, "", &options)?;
    let jobs = config.load_jobs()?;
    Ok((config, jobs))
}

/// The one job of which `yaml` is the block.
pub(crate) fn job(yaml: &str) -> ScrapeJob {
    let indented = yaml.replace('\n', "\n  ");
    let (_, jobs) = load(&format!("scrape_configs:\n- {indented}\n"), "test.yml").unwrap();
    ScrapeJob::clone(jobs.first().unwrap())
}
