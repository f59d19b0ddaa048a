//! The `prometheus` exporter: shows the last value of every series on `/metrics`, for Prometheus to scrape.
//!
//! A series is shown until `metric_expiration` after its last point, or until a staleness marker ends it. Deltas are
//! added up. Families are grouped, with one type and help each; a series whose family is shown with another type is
//! dropped and counted. Exponential histograms are shown with sum and count, since the text formats have no place for
//! their buckets. Names and labels follow the Collector's rules; what came by remote write keeps its own.

mod accumulate;
mod config;
mod families;
mod line;
mod metrics;
mod page;
mod render;
mod rules;
mod store;
#[cfg(test)]
mod tests;
mod text;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::{ALLOW, CONTENT_ENCODING, VARY};
use http::{HeaderValue, Method, StatusCode};
use net::auth::Authenticators;
use net::decode::gzip_compress;
use net::server::{Handler, HttpServer, HttpServerSettings, Request, Response};
use parking_lot::Mutex;
use pipeline::component::{Build, BuildContext, ComponentError, Exporter, ExporterContext, Factory, Signal, Stability};
use pipeline::config::{ConfigErrors, Node};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, MissedTickBehavior};

use self::metrics::Metrics;
use self::page::{PageForm, wants_gzip};
use self::store::Store;

pub use self::config::{PrometheusConfig, ResourceConfig};

/// Pages that are made or compressed at once. A page of a million series is some 150 MB.
const MAX_PAGES: usize = 2;
/// How hard pages are compressed: the levels above this cost several times as much and save a few per cent.
const GZIP_LEVEL: i32 = 3;
/// How often expired series are looked for at most.
const EXPIRE_EVERY: Duration = Duration::from_secs(30);
/// How long a scrape may take to finish once the exporter stops.
const GRACE: Duration = Duration::from_secs(5);

/// What the program's table of components lists.
pub const FACTORY: Factory = Factory {
    type_name: "prometheus",
    aliases: &[],
    summary: "Shows the last value of every series on /metrics, for Prometheus to scrape",
    signals: &[Signal::Metrics],
    stability: Stability::Beta,
    live_update: false,
    validate,
    build: Build::Exporter(build),
};

fn validate(node: &Node) -> Result<(), ConfigErrors> {
    PrometheusConfig::read(node).map(drop)
}

fn build(node: &Node, context: &BuildContext) -> Result<Box<dyn Exporter>, ComponentError> {
    PrometheusExporter::build(node, context).map(|exporter| Box::new(exporter) as _)
}

struct PrometheusExporter {
    settings: Option<HttpServerSettings>,
    server: Option<HttpServer>,
    scrapes: Arc<Scrapes>,
    expiration: Duration,
}

/// What scrapes are answered from.
struct Scrapes {
    store: Arc<Mutex<Store>>,
    metrics: Arc<Metrics>,
    pages: Arc<Semaphore>,
    open_metrics: bool,
    timestamps: bool,
}

impl PrometheusExporter {
    fn build(node: &Node, context: &BuildContext) -> Result<Self, ComponentError> {
        let failed = |error: &dyn std::fmt::Display| ComponentError::new(format!("exporter {}: {error}", context.id));
        let config = PrometheusConfig::read(node).map_err(|errors| failed(&errors))?;
        let rules = config.rules().map_err(|(key, error)| failed(&format!("{key}: {error}")))?;
        let settings =
            config.http_server().settings("", &Authenticators::of(&context.shared)).map_err(|error| failed(&error))?;
        let expiration = config.expiration();
        let store = Arc::new(Mutex::new(Store::new(rules, expiration, config.enable_open_metrics)));
        let metrics = Arc::new(Metrics::new(&context.telemetry, &context.id.to_string(), &store));
        let scrapes = Scrapes {
            store,
            metrics,
            pages: Arc::new(Semaphore::new(MAX_PAGES)),
            open_metrics: config.enable_open_metrics,
            timestamps: config.send_timestamps,
        };
        Ok(Self { settings: Some(settings), server: None, scrapes: Arc::new(scrapes), expiration })
    }

    async fn bind(&mut self) -> Result<Option<SocketAddr>, ComponentError> {
        let settings = self.settings.take().ok_or_else(|| ComponentError::new("the exporter was started twice"))?;
        let server = HttpServer::bind(settings, self.scrapes.clone())
            .await
            .map_err(|error| ComponentError::caused("metrics cannot be shown", error))?;
        let address = server.local_addr();
        self.server = Some(server);
        Ok(address)
    }
}

#[async_trait]
impl Exporter for PrometheusExporter {
    async fn start(&mut self) -> Result<(), ComponentError> {
        self.bind().await.map(drop)
    }

    async fn run(mut self: Box<Self>, mut context: ExporterContext) -> Result<(), ComponentError> {
        if self.server.is_none() {
            self.bind().await?;
        }
        let Some(server) = self.server.take() else { return Ok(()) };
        // There is nothing to drain: what is not scraped when the input has closed is not scraped at all.
        let (closed, input_closed) = oneshot::channel::<()>();
        let serving = server.serve(async move { drop(input_closed.await) }, GRACE);
        let scrapes = Arc::clone(&self.scrapes);
        let mut ticks = tokio::time::interval(EXPIRE_EVERY.min(self.expiration));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let taking = async move {
            loop {
                tokio::select! {
                    batch = context.input.recv() => {
                        let Some(batch) = batch else { break };
                        let taken = scrapes.store.lock().take(batch, Instant::now());
                        scrapes.metrics.taken(&taken);
                    }
                    now = ticks.tick() => scrapes.store.lock().expire(now),
                }
            }
            drop(closed);
        };
        tokio::join!(serving, taking);
        Ok(())
    }
}

#[async_trait]
impl Handler for Scrapes {
    async fn handle(&self, request: Request) -> Response {
        if request.uri.path() != "/metrics" {
            return Response::text(StatusCode::NOT_FOUND, "metrics are shown at /metrics\n");
        }
        if ![Method::GET, Method::HEAD].contains(&request.method) {
            let mut response = Response::text(StatusCode::METHOD_NOT_ALLOWED, "metrics are shown to GET\n");
            response.headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let form = PageForm::wanted(&request.headers, self.open_metrics, self.timestamps);
        let gzip = wants_gzip(&request.headers);
        let (store, metrics) = (Arc::clone(&self.store), Arc::clone(&self.metrics));
        // The semaphore is never closed. The permit goes along, for the work goes on if the client goes away.
        let permit = Arc::clone(&self.pages).acquire_owned().await;
        let made = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let page = {
                let mut store = store.lock();
                store.expire(Instant::now());
                store.page(form)
            };
            metrics.scraped(&page);
            if gzip { gzip_compress(page.text.as_bytes(), GZIP_LEVEL) } else { page.text.into_bytes() }
        });
        let Ok(body) = made.await else {
            return Response::text(StatusCode::INTERNAL_SERVER_ERROR, "the page could not be made\n");
        };
        let mut response = Response::with_body(StatusCode::OK, form.content_type(), body);
        response.headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
        if gzip {
            response.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}
