//! Which discovery mechanisms a job uses, and their settings.

use net::client::ClientSettings;
use pipeline::config::{ConfigError, ConfigErrors, KeyStyle, Node, decode_with};
use prometheus::duration::PromDuration;
use prometheus::quote::quoted;
use serde::Deserialize;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::http::{HttpDiscoveryKeys, settings_or_error};
use super::partial::decode_partly;
use super::paths::{PathBase, is_glob_in_last_element};
use super::scrape::ScrapeKeys;
use crate::prometheus::discovery::{GroupText, TargetGroup};

/// How targets of a job are found.
#[derive(Clone, Debug, PartialEq)]
pub enum DiscoveryConfig {
    /// `static_configs`: they stand in the configuration.
    Static(Arc<[Arc<TargetGroup>]>),
    /// `file_sd_configs`: they stand in files, which are watched.
    File(FileDiscovery),
    /// `http_sd_configs`: they are asked for.
    Http(Box<HttpDiscovery>),
}

impl DiscoveryConfig {
    /// The mechanism's name in metrics and messages.
    pub fn mechanism(&self) -> &'static str {
        match self {
            Self::Static(_) => "static",
            Self::File(_) => "file",
            Self::Http(_) => "http",
        }
    }
}

/// Settings of file discovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDiscovery {
    /// Files, or patterns with a star in the last path element.
    pub patterns: Vec<PathBuf>,
    /// How often everything is read again, whether or not a change was seen.
    pub refresh_interval: Duration,
}

/// Settings of HTTP discovery.
#[derive(Clone, PartialEq)]
pub struct HttpDiscovery {
    /// Where to ask. May carry a password; print it with [`HttpDiscovery::shown_url`].
    pub url: String,
    /// How often to ask, and how long an answer may take.
    pub refresh_interval: Duration,
    /// How to ask.
    pub client: ClientSettings,
}

impl fmt::Debug for HttpDiscovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpDiscovery")
            .field("url", &self.shown_url())
            .field("refresh_interval", &self.refresh_interval)
            .field("client", &self.client)
            .finish()
    }
}

impl HttpDiscovery {
    /// The URL without a password.
    pub fn shown_url(&self) -> String {
        pipeline::config::shown_text(&self.url, false)
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename = "file.plain", default)]
struct FileKeys {
    files: Vec<String>,
    refresh_interval: PromDuration,
}

impl Default for FileKeys {
    fn default() -> Self {
        Self { files: Vec::new(), refresh_interval: PromDuration::from_secs(300) }
    }
}

/// Reads everything that `keys` says about discovery. `base` is what paths are relative to.
pub(super) fn read(keys: &ScrapeKeys, path: &str, base: &PathBase, errors: &mut ConfigErrors) -> Vec<DiscoveryConfig> {
    let mut found = Vec::new();
    for (mechanism, entries) in keys.discovery() {
        let at = |index: usize| format!("{path}::{mechanism}[{index}]");
        if mechanism == "static_configs" {
            found.push(DiscoveryConfig::Static(static_groups(entries, keys, path, errors)));
            continue;
        }
        for (index, entry) in entries.iter().enumerate() {
            if entry.is_null() {
                let message = format!("empty or null section in {mechanism}");
                errors.push(ConfigError::new(entry.span.clone(), at(index), message));
                continue;
            }
            match mechanism {
                "file_sd_configs" => found.extend(file(entry, &at(index), base, errors).map(DiscoveryConfig::File)),
                "http_sd_configs" => {
                    let settings = http_discovery(entry, &at(index), base, errors);
                    found.extend(settings.map(|settings| DiscoveryConfig::Http(Box::new(settings))));
                }
                _ => errors.push(ConfigError::new(entry.span.clone(), at(index), foreign(mechanism, &keys.job_name))),
            }
        }
    }
    found
}

fn foreign(mechanism: &str, job: &str) -> String {
    format!(
        "job {} uses {mechanism}, which this version does not have: it discovers targets with static_configs, \
         file_sd_configs and http_sd_configs only",
        quoted(job.as_bytes())
    )
}

fn static_groups(
    entries: &[Node],
    keys: &ScrapeKeys,
    path: &str,
    errors: &mut ConfigErrors,
) -> Arc<[Arc<TargetGroup>]> {
    let mut groups = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let path = format!("{path}::static_configs[{index}]");
        if entry.is_null() {
            let message = "empty or null section in static_configs";
            errors.push(ConfigError::new(entry.span.clone(), path, message));
            continue;
        }
        let text = errors.collect(decode_with::<GroupText>(entry, &path, KeyStyle::Prometheus));
        let Some(text) = text else { continue };
        // With relabelling, an address may become valid on its way.
        if keys.relabel_configs.is_empty() {
            for (target, address) in text.addresses().enumerate().filter(|(_, address)| address.contains('/')) {
                let node = entry.get("targets").and_then(|list| list.as_sequence()?.get(target)).unwrap_or(entry);
                let message = format!("{} is not a valid hostname", quoted(address.as_bytes()));
                errors.push(ConfigError::new(node.span.clone(), format!("{path}::targets[{target}]"), message));
            }
        }
        groups.push(Arc::new(text.into_group(index.to_string(), &[])));
    }
    groups.into()
}

fn file(node: &Node, path: &str, base: &PathBase, errors: &mut ConfigErrors) -> Option<FileDiscovery> {
    let keys = errors.collect(decode_with::<FileKeys>(node, path, KeyStyle::Prometheus))?;
    let mut fail = |message: String| errors.push(node.error_at(path, "files", message));
    if keys.files.is_empty() {
        fail("file service discovery config must contain at least one path name".to_owned());
    }
    for name in &keys.files {
        if !is_discovery_pattern(name) {
            fail(format!("path name {} is not valid for file discovery", quoted(name.as_bytes())));
        }
    }
    Some(FileDiscovery {
        patterns: keys.files.iter().map(|name| base.join(name, &node.span)).collect(),
        refresh_interval: or_default(keys.refresh_interval, FileKeys::default().refresh_interval),
    })
}

/// Whether a path may hold target groups: by its ending, and with at most one star, in the last path element.
pub(crate) fn is_discovery_pattern(path: &str) -> bool {
    let stem = ["json", "yml", "yaml", "JSON", "YML", "YAML"]
        .iter()
        .find_map(|ending| path.strip_suffix(ending)?.strip_suffix('.'));
    stem.is_some_and(is_glob_in_last_element)
}

fn http_discovery(node: &Node, path: &str, base: &PathBase, errors: &mut ConfigErrors) -> Option<HttpDiscovery> {
    let mut keys: HttpDiscoveryKeys = decode_partly(node, path, errors)?;
    keys.resolve_http_paths(base.directory(&node.span));
    let client = settings_or_error(keys.client_settings(true), node, path, errors);
    if let Err(message) = check_url(&keys.url) {
        errors.push(node.error_at(path, "url", message));
        return None;
    }
    Some(HttpDiscovery {
        url: keys.url,
        refresh_interval: or_default(keys.refresh_interval, PromDuration::from_secs(60)),
        client: client?,
    })
}

/// No time at all would mean to ask without pause.
fn or_default(given: PromDuration, default: PromDuration) -> Duration {
    if given.is_zero() { default.0 } else { given.0 }
}

/// Whether `url` can be asked for targets.
fn check_url(url: &str) -> Result<(), String> {
    if url.is_empty() {
        return Err("URL is missing".to_owned());
    }
    if url.starts_with(':') {
        return Err(format!("parse {}: missing protocol scheme", quoted(url.as_bytes())));
    }
    let (scheme, rest) = url.split_once(':').unwrap_or(("", url));
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err("URL scheme must be 'http' or 'https'".to_owned());
    }
    let authority = rest.strip_prefix("//").unwrap_or_default();
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.is_empty() {
        return Err("host is missing in URL".to_owned());
    }
    // The password is not repeated.
    url.parse::<http::Uri>().map(drop).map_err(|error| format!("URL cannot be used: {error}"))
}
