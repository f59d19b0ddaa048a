//! The keys of the file exporter.

use pipeline::config::{ConfigErrors, GoDuration, Node, Section, decode};
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// The keys as they are written; see the module's documentation.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Keys {
    path: String,
    append: bool,
    rotation: Section<RotationKeys>,
    format: String,
    compression: String,
    flush_interval: GoDuration,
    group_by: GroupKeys,
    create_directory: bool,
    directory_permissions: String,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            path: String::new(),
            append: false,
            rotation: Section::default(),
            format: "json".to_owned(),
            compression: String::new(),
            flush_interval: GoDuration::from_secs(1),
            group_by: GroupKeys::default(),
            create_directory: false,
            directory_permissions: "0755".to_owned(),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RotationKeys {
    enabled: bool,
    max_megabytes: i64,
    max_days: i64,
    max_backups: i64,
    localtime: bool,
}

impl Default for RotationKeys {
    fn default() -> Self {
        Self { enabled: true, max_megabytes: 100, max_days: 0, max_backups: 100, localtime: false }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct GroupKeys {
    enabled: bool,
    resource_attribute: String,
    max_open_files: i64,
}

impl Default for GroupKeys {
    fn default() -> Self {
        Self { enabled: false, resource_attribute: "fileexporter.path_segment".to_owned(), max_open_files: 100 }
    }
}

/// How requests are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Proto,
}

/// When a file is put aside, and how many of those are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rotation {
    pub(super) max_bytes: u64,
    /// All if none.
    pub(super) max_age: Option<Duration>,
    /// All if none.
    pub(super) max_backups: Option<usize>,
}

/// Which file a resource goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GroupBy {
    /// What comes before and after the value in the path.
    pub(super) around: (String, String),
    pub(super) attribute: String,
    pub(super) max_open_files: usize,
}

/// Checked.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) path: PathBuf,
    pub(super) append: bool,
    pub(super) rotation: Option<Rotation>,
    pub(super) format: Format,
    pub(super) zstd: bool,
    pub(super) group_by: Option<GroupBy>,
    /// With which permissions directories are made, if they are.
    pub(super) create_directory: Option<u32>,
    /// Whether backups were to be named in local time.
    pub(super) local_time: bool,
}

impl Config {
    /// Reads and checks the block. The messages are the Collector's, where it has them.
    pub(super) fn read(node: &Node) -> Result<Self, ConfigErrors> {
        let keys: Keys = decode(node, "")?;
        let mut errors = ConfigErrors::new();
        let mut failed = |key: &str, message: &str| errors.push(node.error_at("", key, message));
        let rotation = keys.rotation.0.as_ref().filter(|rotation| rotation.enabled);
        if keys.path.is_empty() {
            failed("path", "path must be non-empty");
        }
        if keys.append && !keys.compression.is_empty() {
            failed("append", "append and compression enabled at the same time is not supported");
        }
        if keys.append && rotation.is_some() {
            failed("append", "append and rotation enabled at the same time is not supported");
        }
        let format = match keys.format.as_str() {
            "json" => Format::Json,
            "proto" => Format::Proto,
            _ => {
                failed("format", "format type is not supported: use json or proto");
                Format::Json
            }
        };
        if !matches!(keys.compression.as_str(), "" | "none" | "zstd") {
            failed("compression", "compression is not supported: use zstd or leave it out");
        }
        if keys.flush_interval.is_negative() || keys.flush_interval.to_std().is_zero() {
            failed("flush_interval", "flush_interval must be larger than zero");
        }
        let permissions = u32::from_str_radix(&keys.directory_permissions, 8).ok().filter(|bits| *bits <= 0o777);
        if permissions.is_none() {
            failed(
                "directory_permissions",
                "directory_permissions value must be a valid octal representation like 0755",
            );
        }
        let rotation = rotation.map(|rotation| {
            if rotation.max_megabytes < 0 || rotation.max_days < 0 || rotation.max_backups < 0 {
                failed("rotation", "max_megabytes, max_days and max_backups must not be negative");
            }
            rotation.compile()
        });
        let group_by = keys.group_by.enabled.then(|| {
            let parts: Vec<&str> = keys.path.split('*').collect();
            let around = match parts.as_slice() {
                [before, after] => ((*before).to_owned(), (*after).to_owned()),
                _ => {
                    failed("path", "path must contain exactly one * when group_by is enabled");
                    (keys.path.clone(), String::new())
                }
            };
            if around.0.is_empty() {
                failed("path", "path must not start with * when group_by is enabled");
            }
            if keys.group_by.resource_attribute.is_empty() {
                failed("group_by::resource_attribute", "resource_attribute must not be empty when group_by is enabled");
            }
            if keys.group_by.max_open_files <= 0 {
                failed("group_by::max_open_files", "max_open_files must be positive");
            }
            GroupBy {
                around,
                attribute: keys.group_by.resource_attribute.clone(),
                max_open_files: usize::try_from(keys.group_by.max_open_files).unwrap_or(1),
            }
        });
        let local_time = keys.rotation.0.as_ref().is_some_and(|rotation| rotation.localtime);
        errors.into_result(Self {
            path: PathBuf::from(&keys.path),
            append: keys.append,
            // Files of a group are not rotated, as in the Collector.
            rotation: rotation.filter(|_| group_by.is_none()),
            format,
            zstd: keys.compression == "zstd",
            create_directory: (keys.create_directory || group_by.is_some()).then_some(permissions).flatten(),
            group_by,
            local_time,
        })
    }
}

impl RotationKeys {
    fn compile(&self) -> Rotation {
        let positive = |number: i64| u64::try_from(number).ok().filter(|number| *number > 0);
        Rotation {
            // 0 is the default, as in the Collector.
            max_bytes: positive(self.max_megabytes).unwrap_or(100).saturating_mul(1 << 20),
            max_age: positive(self.max_days).map(|days| Duration::from_secs(days.saturating_mul(86_400))),
            max_backups: positive(self.max_backups).map(|count| usize::try_from(count).unwrap_or(usize::MAX)),
        }
    }
}
