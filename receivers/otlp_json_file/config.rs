//! The keys of the file receiver.

use pipeline::config::{ComponentId, ConfigErrors, GoDuration, Node, StringList, decode};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest line that is read. The Collector has 1 MiB, which a batch of the usual 8,192 spans goes beyond; what a
/// receiver takes over the network is 20 MiB of protobuf, which is twice to three times as long in JSON.
const MAX_LINE: u64 = 64 << 20;

/// The keys as they are written; see the module's documentation.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Keys {
    include: StringList,
    exclude: StringList,
    start_at: String,
    poll_interval: GoDuration,
    max_log_size: String,
    max_concurrent_files: u32,
    storage: String,
    fingerprint_size: String,
    encoding: String,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            include: StringList::default(),
            exclude: StringList::default(),
            start_at: "end".to_owned(),
            poll_interval: GoDuration::from_millis(200),
            max_log_size: String::new(),
            max_concurrent_files: 1024,
            storage: String::new(),
            fingerprint_size: String::new(),
            encoding: "utf-8".to_owned(),
        }
    }
}

/// Checked.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) include: Vec<String>,
    pub(super) exclude: Vec<glob::Pattern>,
    /// Whether what is in a file at the start is read.
    pub(super) from_beginning: bool,
    pub(super) poll_interval: Duration,
    pub(super) max_line: usize,
    pub(super) max_files: usize,
    pub(super) storage: Option<ComponentId>,
}

impl Config {
    /// Reads and checks the block.
    pub(super) fn read(node: &Node) -> Result<Self, ConfigErrors> {
        let keys: Keys = decode(node, "")?;
        let mut errors = ConfigErrors::new();
        let mut failed = |key: &str, message: String| errors.push(node.error_at("", key, message));
        if keys.include.is_empty() {
            failed("include", "required argument `include` is empty".to_owned());
        }
        for pattern in keys.include.iter() {
            if let Err(error) = glob::Pattern::new(pattern) {
                failed("include", format!("parse glob {pattern:?}: {error}"));
            }
        }
        let mut exclude = Vec::new();
        for pattern in keys.exclude.iter() {
            match glob::Pattern::new(pattern) {
                Ok(pattern) => exclude.push(pattern),
                Err(error) => failed("exclude", format!("parse glob {pattern:?}: {error}")),
            }
        }
        let from_beginning = match keys.start_at.as_str() {
            "beginning" => true,
            "end" => false,
            other => {
                failed("start_at", format!("invalid start_at location {other:?}: use beginning or end"));
                false
            }
        };
        if keys.poll_interval.is_negative() || keys.poll_interval.to_std().is_zero() {
            failed("poll_interval", "poll_interval must be greater than zero".to_owned());
        }
        if keys.max_concurrent_files == 0 {
            failed("max_concurrent_files", "`max_concurrent_files` must be positive".to_owned());
        }
        let max_line = match bytes(&keys.max_log_size) {
            _ if keys.max_log_size.is_empty() => MAX_LINE,
            Some(size) if size > 0 => size,
            _ => {
                failed("max_log_size", "`max_log_size` must be a positive size such as 1MiB".to_owned());
                MAX_LINE
            }
        };
        if !keys.fingerprint_size.is_empty() && bytes(&keys.fingerprint_size).is_none() {
            failed("fingerprint_size", "fingerprint_size must be a size such as 1kb".to_owned());
        }
        if !matches!(keys.encoding.to_ascii_lowercase().as_str(), "utf-8" | "utf8" | "utf-8-raw" | "nop" | "") {
            failed("encoding", format!("{:?} is not known: JSON is UTF-8", keys.encoding));
        }
        let storage = match keys.storage.as_str() {
            "" => None,
            id => id.parse().map_err(|error| failed("storage", format!("{error}"))).ok(),
        };
        errors.into_result(Self {
            include: keys.include.0,
            exclude,
            from_beginning,
            poll_interval: keys.poll_interval.to_std(),
            max_line: usize::try_from(max_line).unwrap_or(usize::MAX),
            max_files: keys.max_concurrent_files as usize,
            storage,
        })
    }

    /// The files that are meant, in the order of their names, without those beyond a directory that cannot be read.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let found = self.include.iter().filter_map(|pattern| glob::glob(pattern).ok()).flatten().flatten();
        let excluded = |path: &Path| self.exclude.iter().any(|pattern| pattern.matches_path(path));
        let mut files: Vec<PathBuf> = found.filter(|path| !excluded(path)).collect();
        files.sort();
        files.dedup();
        files
    }
}

/// A number of bytes: `1024`, `1kb` (1,000), `1KiB` (1,024).
fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1000,
        "kib" => 1 << 10,
        "m" | "mb" => 1_000_000,
        "mib" => 1 << 20,
        "g" | "gb" => 1_000_000_000,
        "gib" => 1 << 30,
        _ => return None,
    };
    number.parse::<f64>().ok().filter(|number| number.is_finite()).map(|number| (number * factor as f64) as u64)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, expected) in [
            ("1024", Some(1024)),
            ("1kb", Some(1000)),
            ("1.5 KiB", Some(1536)),
            ("2MiB", Some(2 << 20)),
            ("x", None),
            ("1 stone", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }
}
