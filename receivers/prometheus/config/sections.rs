//! The sections of a Prometheus configuration that are not about scraping. They are checked as Prometheus checks
//! them, so that a file with a mistake is refused here and there alike; what they ask for is done elsewhere or not at
//! all.

use pipeline::config::{ConfigError, ConfigErrors, Node};
use prometheus::names::ValidationScheme;
use prometheus::quote::quoted;

use super::http::check_client;
use super::paths::{PathBase, is_glob_in_last_element};
use super::rules::read_rules_called;

/// Header fields that a configuration must not set, in lower case.
const RESERVED_HEADERS: [&str; 16] = [
    "host",
    "content-encoding",
    "content-length",
    "content-type",
    "user-agent",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "www-authenticate",
    "accept-encoding",
    "x-prometheus-remote-write-version",
    "x-prometheus-remote-read-version",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-content-sha256",
];

/// Ways to authenticate of which `remote_write` takes one.
const REMOTE_WRITE_AUTHS: [&str; 6] = ["basic_auth", "authorization", "oauth2", "sigv4", "azuread", "google_iam"];

/// Looks at the sections below one root and gathers what is wrong.
pub(super) struct Sections<'a> {
    pub(super) path: &'a str,
    pub(super) base: &'a PathBase,
    pub(super) validation: ValidationScheme,
    pub(super) errors: &'a mut ConfigErrors,
}

fn text<'n>(node: &'n Node, path: &str) -> &'n str {
    node.at(path).and_then(Node::as_text).unwrap_or_default()
}

fn list<'n>(node: &'n Node, key: &str) -> &'n [Node] {
    node.get(key).and_then(Node::as_sequence).unwrap_or_default()
}

fn number(node: &Node, path: &str) -> Option<f64> {
    node.at(path)?.as_text()?.parse().ok()
}

fn flag(node: &Node, key: &str) -> bool {
    text(node, key) == "true"
}

impl Sections<'_> {
    fn fail(&mut self, node: &Node, path: &str, key: &str, message: impl Into<String>) {
        self.errors.push(node.error_at(path, key, message));
    }

    /// `remote_write` and `remote_read`: names are unique, and each entry is sound.
    pub(super) fn remotes(&mut self, section: &'static str, entries: &[Node]) {
        let kind = if section == "remote_write" { "remote write" } else { "remote read" };
        let mut names: Vec<&str> = Vec::new();
        for (index, node) in entries.iter().enumerate() {
            let path = format!("{}{section}[{index}]", self.prefix());
            if node.is_null() {
                self.fail(node, &path, "", format!("empty or null {kind} config section"));
                continue;
            }
            let name = text(node, "name");
            if !name.is_empty() && names.contains(&name) {
                let name = quoted(name.as_bytes());
                self.fail(node, &path, "name", format!("found multiple {kind} configs with job name {name}"));
            }
            names.push(name);
            self.url(node, &path, section);
            check_client(node, &path, self.base, self.errors);
            if section == "remote_write" {
                let parameters = "the basic_auth, authorization, oauth2, sigv4, azuread or google_iam parameter";
                self.headers(node, &path, &format!("authorization header must be changed via {parameters}"));
                self.remote_write(node, &path);
            } else {
                let message = "authorization header must be changed via the basic_auth or authorization parameter";
                self.headers(node, &path, message);
            }
        }
    }

    fn prefix(&self) -> String {
        if self.path.is_empty() { String::new() } else { format!("{}::", self.path) }
    }

    fn url(&mut self, node: &Node, path: &str, section: &str) {
        let url = text(node, "url");
        if url.is_empty() {
            self.fail(node, path, "url", format!("url for {section} is empty"));
        } else if url.starts_with(':') {
            self.fail(node, path, "url", format!("parse {}: missing protocol scheme", quoted(url.as_bytes())));
        }
    }

    fn headers(&mut self, node: &Node, path: &str, on_authorization: &str) {
        let Some(headers) = node.get("headers").and_then(Node::as_mapping) else { return };
        for entry in &headers.entries {
            let name = entry.key.to_ascii_lowercase();
            let message = if name == "authorization" {
                on_authorization.to_owned()
            } else if RESERVED_HEADERS.contains(&name.as_str()) {
                format!("{} is a reserved header. It must not be changed", entry.key)
            } else {
                continue;
            };
            self.errors.push(ConfigError::new(entry.key_span.clone(), format!("{path}::headers"), message));
        }
    }

    fn remote_write(&mut self, node: &Node, path: &str) {
        let message = text(node, "protobuf_message");
        if !["", "prometheus.WriteRequest", "io.prometheus.write.v2.Request"].contains(&message) {
            let known = "prometheus.WriteRequest, io.prometheus.write.v2.Request";
            let message = format!(
                "invalid protobuf_message value: unknown type for remote write protobuf message {message}, \
                 supported: {known}"
            );
            self.fail(node, path, "protobuf_message", message);
        }
        let used: Vec<&str> = REMOTE_WRITE_AUTHS
            .into_iter()
            .filter(|key| node.as_mapping().and_then(|m| m.get(key)).is_some_and(|auth| !auth.is_null()))
            .collect();
        if let [_, second, ..] = used.as_slice() {
            let (all, used) = (REMOTE_WRITE_AUTHS.split_last(), used.join(" "));
            let (last, first) = all.map_or(("", String::new()), |(last, first)| (*last, first.join(", ")));
            let message =
                format!("at most one of {first} or {last} must be configured. Currently configured: [{used}]");
            self.fail(node, path, second, message);
        }
        if text(node, "sigv4::access_key").is_empty() != text(node, "sigv4::secret_key").is_empty() {
            let message =
                "must provide a AWS SigV4 Access key and Secret Key if credentials are specified in the SigV4 config";
            self.fail(node, path, "sigv4", message);
        }
        if !text(node, "sigv4::external_id").is_empty() && text(node, "sigv4::role_arn").is_empty() {
            self.fail(node, path, "sigv4::external_id", "external_id can only be used with role_arn");
        }
        self.queue(node, path);
        let rules = list(node, "write_relabel_configs");
        let missing = "empty or null relabeling rule in remote write config";
        drop(read_rules_called(rules, path, "write_relabel_configs", missing, self.validation, self.errors));
    }

    fn queue(&mut self, node: &Node, path: &str) {
        for key in ["capacity", "max_shards", "min_shards", "max_samples_per_send"] {
            let key_path = format!("queue_config::{key}");
            if number(node, &key_path).is_some_and(|value| value <= 0.0) {
                self.fail(node, path, &key_path, format!("remote write queue {key} must be positive"));
            }
        }
        let value = |key: &str, default: f64| number(node, &format!("queue_config::{key}")).unwrap_or(default);
        if value("min_shards", 1.0) > value("max_shards", 50.0) && value("max_shards", 50.0) > 0.0 {
            let message = "remote write queue min_shards must not be greater than max_shards";
            self.fail(node, path, "queue_config::min_shards", message);
        }
        let backoff = |key: &str, default: &str| {
            let written = text(node, &format!("queue_config::{key}"));
            let written = if written.is_empty() { default } else { written };
            written.parse::<prometheus::duration::PromDuration>().ok()
        };
        if let (Some(least), Some(most)) = (backoff("min_backoff", "30ms"), backoff("max_backoff", "5s"))
            && most < least
        {
            let message = "remote write queue max_backoff must not be less than min_backoff";
            self.fail(node, path, "queue_config::max_backoff", message);
        }
    }

    /// `rule_files` and `scrape_config_files`: patterns with stars in the last element only.
    pub(super) fn patterns(&mut self, section: &'static str, root: &Node, patterns: &[String]) {
        let kind = if section == "rule_files" { "rule file" } else { "scrape config file" };
        for (index, pattern) in patterns.iter().enumerate().filter(|(_, p)| !is_glob_in_last_element(p)) {
            let node = list(root, section).get(index).unwrap_or(root);
            let path = format!("{}{section}[{index}]", self.prefix());
            self.fail(node, &path, "", format!("invalid {kind} path {}", quoted(pattern.as_bytes())));
        }
    }

    /// `alerting`.
    pub(super) fn alerting(&mut self, node: &Node) {
        let path = format!("{}alerting", self.prefix());
        let rules = list(node, "alert_relabel_configs");
        let missing = "empty or null alert relabeling rule";
        drop(read_rules_called(rules, &path, "alert_relabel_configs", missing, self.validation, self.errors));
        for (index, manager) in list(node, "alertmanagers").iter().enumerate() {
            let path = format!("{path}::alertmanagers[{index}]");
            check_client(manager, &path, self.base, self.errors);
            for (key, kind) in [("relabel_configs", ""), ("alert_relabel_configs", "alert ")] {
                let missing = if kind.is_empty() {
                    "empty or null Alertmanager target relabeling rule"
                } else {
                    "empty or null Alertmanager alert relabeling rule"
                };
                drop(read_rules_called(list(manager, key), &path, key, missing, self.validation, self.errors));
            }
        }
    }

    /// `tracing`.
    pub(super) fn tracing(&mut self, node: &Node) {
        let path = format!("{}tracing", self.prefix());
        if text(node, "endpoint").is_empty() {
            self.fail(node, &path, "endpoint", "tracing endpoint must be set");
        }
        self.headers(node, &path, "authorization header configuration is not yet supported");
        let compression = text(node, "compression");
        if !["", "gzip"].contains(&compression) {
            let message = format!("invalid compression type {compression} provided, valid options: gzip");
            self.fail(node, &path, "compression", message);
        }
        let client = text(node, "client_type");
        if !["", "grpc", "http"].contains(&client) {
            let message = format!("expected tracing client type to be http or grpc, but got {client}");
            self.fail(node, &path, "client_type", message);
        }
    }

    /// `storage`.
    pub(super) fn storage(&mut self, node: &Node) {
        let path = format!("{}storage", self.prefix());
        if number(node, "tsdb::retention::percentage").is_some_and(|value| !(0.0..=100.0).contains(&value)) {
            let message = "'storage.tsdb.retention.percentage' must be in the range [0, 100]";
            self.fail(node, &path, "tsdb::retention::percentage", message);
        }
        let floats = text(node, "tsdb::chunk_encoding::floats");
        if !["", "xor", "xor2"].contains(&floats) {
            let message = format!(
                "'storage.tsdb.chunk_encoding.floats' must be 'xor' or 'xor2', or the field must be omitted entirely, \
                 got {}",
                quoted(floats.as_bytes())
            );
            self.fail(node, &path, "tsdb::chunk_encoding::floats", message);
        }
        let time = text(node, "tsdb::retention::time");
        if !time.is_empty()
            && let Err(error) = time.parse::<prometheus::duration::PromDuration>()
        {
            self.fail(node, &path, "tsdb::retention::time", error.to_string());
        }
        match text(node, "tsdb::retention::size") {
            "" => {}
            size => match size.parse::<prometheus::size::ByteSize>() {
                Err(error) => self.fail(node, &path, "tsdb::retention::size", error.to_string()),
                Ok(size) if size.0 < 0 => {
                    let message = "'storage.tsdb.retention.size' must be greater than or equal to 0";
                    self.fail(node, &path, "tsdb::retention::size", message);
                }
                Ok(_) => {}
            },
        }
    }

    /// `otlp`.
    pub(super) fn otlp(&mut self, node: &Node) {
        let path = format!("{}otlp", self.prefix());
        let all = flag(node, "promote_all_resource_attributes");
        let (promoted, ignored) = ("promote_resource_attributes", "ignore_resource_attributes");
        if all && !list(node, promoted).is_empty() {
            let message = "'promote_all_resource_attributes' and 'promote_resource_attributes' cannot be configured \
                           simultaneously";
            self.fail(node, &path, promoted, message);
        }
        if !all && !list(node, ignored).is_empty() {
            let message =
                "'ignore_resource_attributes' cannot be configured unless 'promote_all_resource_attributes' is true";
            self.fail(node, &path, ignored, message);
        }
        for (key, kind) in [(promoted, "promoted"), (ignored, "ignored")] {
            let mut seen: Vec<&str> = Vec::new();
            for item in list(node, key) {
                let name = item.as_text().unwrap_or_default().trim();
                if name.is_empty() || seen.contains(&name) {
                    let problem = if name.is_empty() {
                        format!("empty {kind} OTel resource attribute")
                    } else {
                        format!("duplicated {kind} OTel resource attribute {}", quoted(name.as_bytes()))
                    };
                    let message = format!("invalid '{key}': {problem}");
                    self.errors.push(ConfigError::new(item.span.clone(), format!("{path}::{key}"), message));
                }
                seen.push(name);
            }
        }
        let strategy = text(node, "translation_strategy");
        let keeps_utf8 = ["NoUTF8EscapingWithSuffixes", "NoTranslation"].contains(&strategy);
        if !keeps_utf8
            && !["", "UnderscoreEscapingWithSuffixes", "UnderscoreEscapingWithoutSuffixes"].contains(&strategy)
        {
            let message = format!("unsupported OTLP translation strategy {}", quoted(strategy.as_bytes()));
            self.fail(node, &path, "translation_strategy", message);
        } else if keeps_utf8 && self.validation == ValidationScheme::Legacy {
            let strategy = quoted(strategy.as_bytes());
            let message = format!("OTLP translation strategy {strategy} is not allowed when UTF8 is disabled");
            self.fail(node, &path, "translation_strategy", message);
        }
    }
}
