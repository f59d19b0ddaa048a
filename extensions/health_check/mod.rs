//! The `health_check` extension: answers probes of Kubernetes, ECS and load balancers.
//!
//! 200 while the service runs, 503 while it starts and stops; with `check_collector_pipeline.enabled` also 503 while
//! exporters keep failing (the Collector accepts that block and does nothing).
//!
//! Without an `endpoint` it listens on `0.0.0.0:13133`. The Collector listens on localhost then; but a kubelet probes the
//! pod's address and an ECS load balancer the task's, and the files that ADOT ships rely on being reached there. Nothing
//! is told that is worth hiding; set `endpoint: localhost:13133` to be reached by nobody else.

mod body;
mod config;
mod failures;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use http::StatusCode;
use net::auth::Authenticators;
use net::server::{Handler, HttpServer, HttpServerSettings, Request, Response};
use parking_lot::Mutex;
use pipeline::component::{
    Build, BuildContext, ComponentError, Extension, ExtensionContext, Factory, ServiceStatus, Stability,
};
use pipeline::config::{ConfigErrors, Node};
use pipeline::telemetry::Telemetry;
use tokio::time::{Instant, MissedTickBehavior};

use self::failures::{FailureWatch, PipelineCheck};

pub use self::config::{CheckPipelineConfig, DEFAULT_ENDPOINT, HealthCheckConfig, ResponseBodyConfig};

/// What exporters count when they have given up.
const FAILURES: [&str; 3] = [
    "otelcol_exporter_send_failed_metric_points",
    "otelcol_exporter_send_failed_spans",
    "otelcol_exporter_send_failed_log_records",
];
/// How long probes may take to finish once the service stops; they are answered at once.
const GRACE: Duration = Duration::from_secs(2);

/// What the program's table of components lists.
pub const FACTORY: Factory = Factory {
    type_name: "health_check",
    aliases: &["healthcheck"],
    summary: "Answers health probes over HTTP",
    signals: &[],
    stability: Stability::Stable,
    live_update: false,
    validate,
    build: Build::Extension(build),
};

fn validate(node: &Node) -> Result<(), ConfigErrors> {
    HealthCheckConfig::read(node).map(drop)
}

fn build(node: &Node, context: &BuildContext) -> Result<Box<dyn Extension>, ComponentError> {
    HealthCheck::build(node, context).map(|extension| Box::new(extension) as _)
}

struct HealthCheck {
    settings: Option<HttpServerSettings>,
    server: Option<HttpServer>,
    probes: Arc<Probes>,
    check: Option<PipelineCheck>,
    telemetry: Telemetry,
}

/// What probes are answered from.
#[derive(Debug)]
struct Probes {
    path: String,
    bodies: ResponseBodyConfig,
    health: Mutex<Health>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Health {
    /// Since when all components have been running, on both clocks; `None` while they do not.
    up: Option<(SystemTime, Instant)>,
    /// Exporters fail more often than is allowed.
    failing: bool,
}

impl HealthCheck {
    fn build(node: &Node, context: &BuildContext) -> Result<Self, ComponentError> {
        let failed = |error: &dyn std::fmt::Display| ComponentError::new(format!("extension {}: {error}", context.id));
        let config = HealthCheckConfig::read(node).map_err(|errors| failed(&errors))?;
        let settings = config
            .http_server()
            .settings(DEFAULT_ENDPOINT, &Authenticators::of(&context.shared))
            .map_err(|error| failed(&error))?;
        let probes = Probes { path: config.path(), bodies: config.response_body.clone(), health: Mutex::default() };
        Ok(Self {
            settings: Some(settings),
            server: None,
            probes: Arc::new(probes),
            check: config.check_collector_pipeline.check(),
            telemetry: context.telemetry.clone(),
        })
    }

    async fn bind(&mut self) -> Result<Option<SocketAddr>, ComponentError> {
        let settings = self.settings.take().ok_or_else(|| ComponentError::new("the extension was started twice"))?;
        let server = HttpServer::bind(settings, self.probes.clone())
            .await
            .map_err(|error| ComponentError::caused("health probes cannot be answered", error))?;
        let address = server.local_addr();
        self.server = Some(server);
        Ok(address)
    }
}

#[async_trait]
impl Extension for HealthCheck {
    async fn start(&mut self) -> Result<(), ComponentError> {
        self.bind().await.map(drop)
    }

    async fn run(mut self: Box<Self>, mut context: ExtensionContext) -> Result<(), ComponentError> {
        if self.server.is_none() {
            self.bind().await?;
        }
        let Some(server) = self.server.take() else { return Ok(()) };
        let mut watch = self.check.map(FailureWatch::new);
        let mut ticks = tokio::time::interval(watch.as_ref().map_or(Duration::from_secs(1), FailureWatch::period));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.probes.service_is(*context.status.borrow_and_update());
        let mut status_known = true;
        let mut serving = std::pin::pin!(server.serve(context.stop.requested(), GRACE));
        loop {
            tokio::select! {
                () = &mut serving => return Ok(()),
                changed = context.status.changed(), if status_known => {
                    // Without a service there is nothing left to hear of; probes go on as they are.
                    status_known = changed.is_ok();
                    self.probes.service_is(*context.status.borrow());
                }
                now = ticks.tick(), if watch.is_some() => {
                    if let Some(watch) = &mut watch {
                        let failures = FAILURES.map(|name| self.telemetry.total(name)).iter().sum();
                        self.probes.exporters_fail(watch.observe(now, failures));
                    }
                }
            }
        }
    }
}

impl Probes {
    fn service_is(&self, status: ServiceStatus) {
        let mut health = self.health.lock();
        health.up = match status {
            ServiceStatus::Ready => health.up.or_else(|| Some((SystemTime::now(), Instant::now()))),
            ServiceStatus::Starting | ServiceStatus::Stopping => None,
        };
    }

    fn exporters_fail(&self, failing: bool) {
        let mut health = self.health.lock();
        if health.failing == failing {
            return;
        }
        health.failing = failing;
        drop(health);
        if failing {
            tracing::warn!("Exporters fail more often than check_collector_pipeline allows; health probes get 503.");
        } else {
            tracing::info!("Exporters deliver again; health probes get 200.");
        }
    }

    /// Whether `path` is the configured one. A path that ends in `/` stands for everything below it, as it does
    /// in the Collector; the default thus answers under every path.
    fn answers(&self, path: &str) -> bool {
        path == self.path || (self.path.ends_with('/') && path.starts_with(&self.path))
    }

    fn answer(&self) -> Response {
        let health = *self.health.lock();
        let (status, custom, up) = match health.up {
            Some(up) if !health.failing => (StatusCode::OK, &self.bodies.healthy, Some(up)),
            _ => (StatusCode::SERVICE_UNAVAILABLE, &self.bodies.unhealthy, None),
        };
        if !custom.is_empty() {
            return Response::text(status, custom.clone());
        }
        let text = match up {
            Some((since, started)) => body::available(since, started.elapsed()),
            None => body::NOT_AVAILABLE.to_owned(),
        };
        Response::with_body(status, "application/json", text)
    }
}

#[async_trait]
impl Handler for Probes {
    async fn handle(&self, request: Request) -> Response {
        if self.answers(request.uri.path()) {
            self.answer()
        } else {
            Response::text(StatusCode::NOT_FOUND, format!("health is answered at {}\n", self.path))
        }
    }
}
