//! A whole Prometheus configuration: `global`, `scrape_configs`, and the files that hold more of them.

use pipeline::config::{ConfigError, ConfigErrors, DuplicateKeys, Node, Span, parse_document};
use prometheus::quote::quoted;
use serde::Deserialize;
use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::global::GlobalConfig;
use super::job::{JobContext, ScrapeJob};
use super::partial::decode_partly;
use super::paths::PathBase;
use super::protocol::ScrapeProtocol;
use super::sections::Sections;

/// How large a file named by `scrape_config_files` may be: what a configuration may have as a whole.
const MAX_FILE: u64 = 16 << 20;

/// Where a configuration comes from and what stands in for what it leaves open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// What relative paths are relative to.
    pub paths: PathBase,
    /// How to read answers that do not say what they are, for jobs without `fallback_scrape_protocol`.
    pub fallback_protocol: Option<ScrapeProtocol>,
    /// `extra_scrape_metrics` where the configuration does not say.
    pub extra_scrape_metrics: bool,
}

/// A Prometheus configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct PrometheusConfig {
    /// What holds for all jobs.
    pub global: GlobalConfig,
    /// The jobs of the main file.
    pub jobs: Vec<Arc<ScrapeJob>>,
    /// Files with more jobs: paths, or patterns with a star in the last element.
    pub scrape_config_files: Vec<ScrapeConfigPattern>,
    /// Sections that are there and do not concern scraping, sorted: `remote_write`, `alert_config.alertmanagers`, ...
    pub other_sections: Vec<&'static str>,
    options: ReadOptions,
}

/// One entry of `scrape_config_files`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScrapeConfigPattern {
    /// The path or pattern.
    pub pattern: PathBuf,
    /// Where it was written.
    span: Span,
    path: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename = "config.plain", default)]
struct Keys {
    global: Option<Node>,
    /// Read so that mistakes in it are found; there is no garbage collector to set.
    runtime: Option<Runtime>,
    alerting: Option<Node>,
    rule_files: Vec<String>,
    scrape_config_files: Vec<String>,
    scrape_configs: Vec<Node>,
    storage: Option<Node>,
    tracing: Option<Node>,
    remote_write: Vec<Node>,
    remote_read: Vec<Node>,
    otlp: Option<Node>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename = "config.RuntimeConfig", default)]
struct Runtime {
    gogc: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename = "config.ScrapeConfigs", default)]
struct FileKeys {
    scrape_configs: Vec<Node>,
}

impl PrometheusConfig {
    /// Reads the configuration `node`, known as `path` (empty for a file of its own). No file is opened:
    /// [`load_jobs`](Self::load_jobs) does that.
    ///
    /// # Errors
    /// Everything that is wrong, each with its place; the wording is Prometheus'.
    pub fn read(node: &Node, path: &str, options: &ReadOptions) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        let Some(keys) = decode_partly::<Keys>(node, path, &mut errors) else {
            return errors.into_result(Self::empty(options));
        };
        let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}::{key}") };
        let global = match &keys.global {
            Some(node) => GlobalConfig::read(node, &below("global"), &options.paths, &mut errors),
            None => GlobalConfig::default(),
        };
        let context = JobContext {
            global: &global,
            base: &options.paths,
            fallback_protocol: options.fallback_protocol,
            extra_scrape_metrics: options.extra_scrape_metrics,
        };
        let mut jobs = Vec::with_capacity(keys.scrape_configs.len());
        let mut names = JobNames::default();
        for (index, entry) in keys.scrape_configs.iter().enumerate() {
            let path = below(&format!("scrape_configs[{index}]"));
            names.add(entry, &path, None, &mut errors);
            jobs.extend(ScrapeJob::read(entry, &path, &context, &mut errors).map(Arc::new));
        }
        let mut sections = Sections { path, base: &options.paths, validation: global.validation, errors: &mut errors };
        let other_sections = keys.check_others(node, &mut sections);
        let patterns = node.get("scrape_config_files").and_then(Node::as_sequence).unwrap_or_default();
        let scrape_config_files = keys
            .scrape_config_files
            .iter()
            .zip(patterns)
            .enumerate()
            .map(|(index, (pattern, node))| ScrapeConfigPattern {
                pattern: options.paths.join(pattern, &node.span),
                span: node.span.clone(),
                path: below(&format!("scrape_config_files[{index}]")),
            })
            .collect();
        errors.into_result(Self { global, jobs, scrape_config_files, other_sections, options: options.clone() })
    }

    fn empty(options: &ReadOptions) -> Self {
        Self {
            global: GlobalConfig::default(),
            jobs: Vec::new(),
            scrape_config_files: Vec::new(),
            other_sections: Vec::new(),
            options: options.clone(),
        }
    }

    /// All jobs: those of the main file and those of the files that `scrape_config_files` names, which are read now.
    ///
    /// # Errors
    /// A file that cannot be read, everything wrong in it, and job names that occur twice.
    pub fn load_jobs(&self) -> Result<Vec<Arc<ScrapeJob>>, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        let mut jobs = self.jobs.clone();
        let mut names = JobNames::default();
        for job in &self.jobs {
            names.first.insert(job.job_name.to_string(), None);
        }
        for pattern in &self.scrape_config_files {
            match pattern.files() {
                Err(error) => errors.push(error),
                Ok(files) => {
                    if files.is_empty() {
                        tracing::warn!(pattern = %pattern.pattern.display(), "No file matches an entry of scrape_config_files.");
                    }
                    for file in files {
                        jobs.extend(self.load_file(&file, pattern, &mut names, &mut errors));
                    }
                }
            }
        }
        errors.into_result(jobs)
    }

    fn load_file(
        &self,
        file: &Path,
        pattern: &ScrapeConfigPattern,
        names: &mut JobNames,
        errors: &mut ConfigErrors,
    ) -> Vec<Arc<ScrapeJob>> {
        let source = file.display().to_string();
        let text = match read_text(file) {
            Ok(text) => text,
            Err(reason) => {
                errors.push(pattern.error(format!("{source}: {reason}")));
                return Vec::new();
            }
        };
        let document = parse_document(&text, &source, DuplicateKeys::Keep);
        let Some(node) = errors.collect(document) else { return Vec::new() };
        let keys: Option<FileKeys> = decode_partly(&node, "", errors);
        let context = JobContext {
            global: &self.global,
            base: &PathBase::FileDirectory,
            fallback_protocol: self.options.fallback_protocol,
            extra_scrape_metrics: self.options.extra_scrape_metrics,
        };
        let entries = keys.unwrap_or_default().scrape_configs;
        let mut jobs = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            let path = format!("scrape_configs[{index}]");
            names.add(entry, &path, Some(&source), errors);
            jobs.extend(ScrapeJob::read(entry, &path, &context, errors).map(Arc::new));
        }
        jobs
    }
}

impl Keys {
    /// Checks what does not concern scraping and says which of it is there.
    fn check_others(&self, root: &Node, sections: &mut Sections<'_>) -> Vec<&'static str> {
        sections.patterns("rule_files", root, &self.rule_files);
        sections.patterns("scrape_config_files", root, &self.scrape_config_files);
        sections.remotes("remote_write", &self.remote_write);
        sections.remotes("remote_read", &self.remote_read);
        self.alerting.iter().for_each(|node| sections.alerting(node));
        self.tracing.iter().for_each(|node| sections.tracing(node));
        self.storage.iter().for_each(|node| sections.storage(node));
        self.otlp.iter().for_each(|node| sections.otlp(node));
        other_sections(root).into_iter().map(|(_, name)| name).collect()
    }
}

/// Sections that are there and do not concern scraping: their keys, and the names that the Collector has for them, in
/// the order of the names.
pub(super) fn other_sections(root: &Node) -> Vec<(&'static str, &'static str)> {
    [
        ("alerting::alertmanagers", "alert_config.alertmanagers"),
        ("alerting::alert_relabel_configs", "alert_config.relabel_configs"),
        ("remote_read", "remote_read"),
        ("remote_write", "remote_write"),
        ("rule_files", "rule_files"),
    ]
    .into_iter()
    .filter(|(key, _)| root.at(key).and_then(Node::as_sequence).is_some_and(|entries| !entries.is_empty()))
    .collect()
}

/// Which job names were seen, and in which file; `None` is the main file.
#[derive(Default)]
struct JobNames {
    first: HashMap<String, Option<String>>,
}

impl JobNames {
    fn add(&mut self, entry: &Node, path: &str, file: Option<&str>, errors: &mut ConfigErrors) {
        let Some(name) = entry.get("job_name").and_then(Node::as_text).filter(|name| !name.is_empty()) else {
            return;
        };
        match self.first.get(name) {
            None => {
                self.first.insert(name.to_owned(), file.map(str::to_owned));
            }
            Some(first) => {
                let mut message = format!("found multiple scrape configs with job name {}", quoted(name.as_bytes()));
                if file.is_some() {
                    let first = first.as_ref().map_or("main config file".to_owned(), |file| quoted(file.as_bytes()));
                    message.push_str(&format!(", first found in {first}"));
                }
                errors.push(entry.error_at(path, "job_name", message));
            }
        }
    }
}

impl ScrapeConfigPattern {
    fn error(&self, message: String) -> ConfigError {
        ConfigError::new(self.span.clone(), self.path.clone(), message)
    }

    /// The files that match, sorted.
    fn files(&self) -> Result<Vec<PathBuf>, ConfigError> {
        let pattern = self.pattern.to_string_lossy();
        let matches = glob::glob(&pattern).map_err(|error| {
            self.error(format!("error retrieving scrape config files for {}: {error}", quoted(pattern.as_bytes())))
        })?;
        matches
            .map(|file| file.map_err(|error| self.error(format!("{}: {}", error.path().display(), error.error()))))
            .collect()
    }
}

fn read_text(file: &Path) -> Result<String, String> {
    let open = std::fs::File::open(file).map_err(|error| error.to_string())?;
    let mut text = String::new();
    let read = open.take(MAX_FILE + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if read as u64 > MAX_FILE {
        return Err(format!("the file has more than {MAX_FILE} bytes"));
    }
    Ok(text)
}
