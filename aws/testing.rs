//! What this crate's tests share.

use std::path::{Path, PathBuf};

/// A file of the material that is kept beside the project; none, with a visible word, where that is missing.
pub(crate) fn shared(file: &str) -> Option<String> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let path = std::env::var_os("OXIDOT_SHARED").map_or_else(beside, PathBuf::from).join(file);
    let text = std::fs::read_to_string(&path).ok();
    if text.is_none() {
        skipped(&format!("{file} is not there (OXIDOT_SHARED names its directory)"));
    }
    text
}

/// Says that a test was left out, past the capture of test output.
pub(crate) fn skipped(why: &str) {
    use std::io::Write as _;
    writeln!(std::io::stdout(), "skipped: {why}").unwrap_or_default();
}
