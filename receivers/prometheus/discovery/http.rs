//! `http_sd_configs`: targets that an HTTP endpoint lists.

use async_trait::async_trait;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, StatusCode};
use net::client::{HttpClient, Request};
use pipeline::telemetry::Counter;
use std::sync::Arc;
use tokio::time::Instant;

use super::file::json_groups;
use super::metrics::RefreshMetrics;
use super::provider::{Discoverer, Groups, Publisher};
use crate::prometheus::config::HttpDiscovery;

/// How large an answer may be: room for half a million addresses.
const MAX_BODY: usize = 64 << 20;

/// Asks an endpoint from time to time.
pub(super) struct HttpDiscoverer {
    config: HttpDiscovery,
    client: HttpClient,
    request: Request,
    failures: Counter,
    refresh: RefreshMetrics,
}

/// Why an endpoint gave no targets.
#[derive(Debug, thiserror::Error)]
enum AnswerError {
    #[error("{0}")]
    Request(#[from] net::client::RequestError),
    #[error("server returned HTTP status {0}")]
    Status(StatusCode),
    #[error("unsupported content type {0:?}")]
    ContentType(String),
    #[error("{0}")]
    Groups(#[from] super::file::FileError),
}

impl HttpDiscoverer {
    /// A discoverer. `user_agent` is what the program calls itself.
    ///
    /// # Errors
    /// For a URL or client settings that cannot be used.
    pub(super) fn new(
        config: HttpDiscovery,
        user_agent: &str,
        failures: Counter,
        refresh: RefreshMetrics,
    ) -> Result<Self, String> {
        let uri = config.url.parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
        let client = HttpClient::new(&config.client, &net::auth::Authenticators::default())
            .map_err(|error| error.to_string())?;
        let mut request = Request::get(uri);
        request.timeout = Some(config.refresh_interval);
        request.headers = headers(user_agent, &config);
        Ok(Self { config, client, request, failures, refresh })
    }

    async fn ask(&self) -> Result<Groups, AnswerError> {
        let mut body = Vec::new();
        let head = self.client.send(&self.request, &mut body, MAX_BODY).await?;
        if head.status != StatusCode::OK {
            return Err(AnswerError::Status(head.status));
        }
        let content_type = head.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        if !is_json(content_type) {
            return Err(AnswerError::ContentType(String::from_utf8_lossy(content_type).into_owned()));
        }
        // The source is shown in messages; the label, which rules may look at, is the URL as written.
        let shown = self.config.shown_url();
        let groups = json_groups(&body)?.into_iter().enumerate();
        Ok(groups
            .map(|(index, group)| {
                Arc::new(group.into_group(format!("{shown}:{index}"), &[("__meta_url", &self.config.url)]))
            })
            .collect())
    }
}

#[async_trait]
impl Discoverer for HttpDiscoverer {
    async fn run(self: Box<Self>, publisher: Publisher) {
        let mut next = Instant::now();
        loop {
            tokio::time::sleep_until(next).await;
            let started = Instant::now();
            match self.ask().await {
                Ok(groups) => publisher.publish(groups),
                Err(error) => {
                    self.failures.inc();
                    self.refresh.failures.inc();
                    let url = self.config.shown_url();
                    tracing::warn!(url, %error, "An HTTP endpoint did not give targets; they stay as they were.");
                    publisher.failed();
                }
            }
            self.refresh.took(started.elapsed());
            next = started + self.config.refresh_interval;
        }
    }
}

fn headers(user_agent: &str, config: &HttpDiscovery) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    if let Ok(value) = HeaderValue::from_str(user_agent) {
        headers.insert(USER_AGENT, value);
    }
    let seconds = config.refresh_interval.as_secs_f64().to_string();
    if let Ok(value) = HeaderValue::from_str(&seconds) {
        headers.insert(HeaderName::from_static("x-prometheus-refresh-interval-seconds"), value);
    }
    headers
}

/// Whether a content type is JSON in UTF-8.
fn is_json(content_type: &[u8]) -> bool {
    let text = String::from_utf8_lossy(content_type).to_ascii_lowercase();
    let Some(parameters) = text.strip_prefix("application/json") else { return false };
    match parameters.strip_prefix(';') {
        None => parameters.is_empty(),
        Some(charset) => matches!(charset.trim_start(), "charset=utf-8" | "charset=\"utf-8\""),
    }
}
