//! A target whose page the test decides.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::http::{Reply, Server};

/// The text format.
pub(crate) const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// OpenMetrics.
pub(crate) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A running target; it refuses connections once dropped.
pub(crate) struct Target {
    server: Server,
    scrapes: Arc<AtomicU64>,
}

impl Target {
    /// A target whose `n`th page, from 1, is `page(n)`.
    pub(crate) fn start(page: impl Fn(u64) -> String + Send + 'static) -> Self {
        Self::of(None, TEXT, page)
    }

    /// The same with another content type.
    pub(crate) fn start_typed(content_type: &'static str, page: impl Fn(u64) -> String + Send + 'static) -> Self {
        Self::of(None, content_type, page)
    }

    /// A target on the port of one that was dropped.
    pub(crate) fn start_on(port: u16, page: impl Fn(u64) -> String + Send + 'static) -> Self {
        Self::of(Some(port), TEXT, page)
    }

    fn of(port: Option<u16>, content_type: &'static str, page: impl Fn(u64) -> String + Send + 'static) -> Self {
        let scrapes = Arc::new(AtomicU64::new(0));
        let (count, page) = (Arc::clone(&scrapes), Mutex::new(page));
        let handle = move |request: super::http::Request| {
            assert_eq!(request.path, "/metrics");
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            let body = (page.lock().unwrap())(number).into_bytes();
            Reply::Answer { status: 200, headers: vec![("Content-Type", content_type.to_owned())], body }
        };
        let server = match port {
            Some(port) => Server::start_on(port, handle),
            None => Server::start(handle),
        };
        Self { server, scrapes }
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.port()
    }

    /// `127.0.0.1:port`.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// Pages that were asked for.
    pub(crate) fn scrapes(&self) -> u64 {
        self.scrapes.load(Ordering::SeqCst)
    }
}

/// A page of `series` counters that all have the value `n`.
pub(crate) fn counters(series: usize, n: u64) -> String {
    let mut page = String::from("# TYPE work_total counter\n");
    for i in 0..series {
        page.push_str(&format!("work_total{{i=\"{i}\"}} {n}\n"));
    }
    page
}
