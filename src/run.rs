//! What the commands do that read a configuration.

use crate::cli::Options;
use crate::components::Components;
use crate::config::{
    DefaultConfig, HttpAnswer, Loaded, Providers, ServiceConfig, TelemetryConfig, UriReader, Warning, load,
};
use crate::default_config::{self, DefaultService, STATUS_EVERY};
use crate::service::{DRAIN_DEADLINE, Graph, OsSignals, Service, ServiceError, Slot, Source, panic_text};
use crate::telemetry::{Log, LogError, instance_id, own_metrics, register};
use net::auth::Authenticators;
use net::client::{ClientSettings, HttpClient, ProxySettings, Request};
use pipeline::component::{ComponentKind, Program};
use pipeline::config::{ConfigError, ConfigErrors, Span};
use pipeline::telemetry::Telemetry;
use std::io::{self, Write};
use std::time::Duration;

/// This program.
pub const PROGRAM: Program = Program { name: "oxidot", version: env!("CARGO_PKG_VERSION") };

/// How long a configuration from the network may take, with all redirects.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest configuration from the network, in bytes. The longest in the field have some hundred kilobytes.
const FETCH_LIMIT: usize = 16 << 20;

/// Why the program ends with exit code 1.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration is wrong; one problem a line.
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    /// The log cannot be written.
    #[error("{0}")]
    Log(#[from] LogError),
    /// The operating system denies something the program cannot do without.
    #[error("{what}: {cause}")]
    System {
        /// What.
        what: &'static str,
        /// Why.
        cause: io::Error,
    },
    /// The service could not start, or failed. It is in the log already if that is installed.
    #[error(transparent)]
    Service(#[from] Box<ServiceError>),
}

impl RunError {
    /// Whether all went as it was asked to, but that there was no time to deliver all.
    pub fn is_loss(&self) -> bool {
        matches!(self, Self::Service(error) if matches!(**error, ServiceError::Lost { .. }))
    }
}

/// Reads the configuration that a command line names, now and at each reload.
#[derive(Clone, Debug)]
pub struct Resolver {
    options: Options,
    default: Option<DefaultConfig>,
    components: Components,
    instance: String,
}

/// A checked configuration, taken apart.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// What is to run.
    pub graph: Graph,
    /// How it reports on itself.
    pub telemetry: TelemetryConfig,
    /// What the user should know.
    pub warnings: Vec<Warning>,
}

impl Resolver {
    /// For this command line and the program's own components. Without any configuration named, `default` is taken.
    pub fn new(options: Options, default: Option<DefaultConfig>) -> Self {
        Self { options, default, components: Components::default(), instance: instance_id() }
    }

    /// The configuration as one tree: merged, with references replaced, unchecked. Blocks.
    ///
    /// # Errors
    /// Everything that cannot be read.
    pub fn load(&self) -> Result<Loaded, ConfigErrors> {
        let env = |name: &str| std::env::var(name).ok();
        let providers = Providers { env: &env, http: &Fetch };
        load(&self.options.config, self.default, &self.options.gates, &providers)
    }

    /// The configuration checked. Blocks.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn resolve(&self) -> Result<Resolved, ConfigErrors> {
        let Loaded { root, mut warnings, .. } = self.load()?;
        let allow_none = self.options.gates.is_enabled("service.AllowNoPipelines");
        let config = ServiceConfig::read(&root, &self.components, allow_none).map_err(|mut errors| {
            // A variable that is not set is the reason of many a value that is missing or makes no sense.
            errors.explain(&warnings);
            errors
        })?;
        warnings.extend(config.warnings.iter().cloned());
        let mut graph = Graph::of(&config, self.components);
        for (slot, vertex) in &mut graph.vertices {
            if slot.kind() == ComponentKind::Exporter {
                self.options.gates.complete(vertex.factory.type_name, &mut vertex.config);
            }
        }
        if let Some(vertex) = own_metrics(&config.telemetry, PROGRAM, &self.instance) {
            graph.vertices.insert(Slot::OwnMetrics, vertex);
        }
        Ok(Resolved { graph, telemetry: config.telemetry, warnings })
    }

    /// Whether the default is what [`Resolver::load`] takes.
    fn takes_default(&self) -> bool {
        let content = std::env::var("AOT_CONFIG_CONTENT").is_ok_and(|text| !text.is_empty());
        self.options.config.uris.is_empty() && !content
    }
}

/// Gets configuration over HTTP, on a runtime of its own: it is called where blocking is allowed.
struct Fetch;

impl UriReader for Fetch {
    fn get(&self, uri: &str) -> Result<HttpAnswer, String> {
        let settings = ClientSettings {
            timeout: Some(FETCH_TIMEOUT),
            proxy: ProxySettings::FromEnvironment { connect_headers: Vec::new() },
            ..ClientSettings::default()
        };
        let client = HttpClient::new(&settings, &Authenticators::default()).map_err(|error| error.to_string())?;
        let request = Request::get(uri.parse().map_err(|error| format!("{error}"))?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let mut body = Vec::new();
        let sending = client.send(&request, &mut body, FETCH_LIMIT);
        let head = runtime.map_err(|error| error.to_string())?.block_on(sending).map_err(|error| error.to_string())?;
        let body = String::from_utf8(body).map_err(|_| "the answer is not UTF-8 text".to_owned())?;
        Ok(HttpAnswer { status: head.status.as_u16(), body })
    }
}

/// The configuration of a running service.
struct Reloads {
    resolver: Resolver,
    log: Log,
    /// The telemetry settings that were read last.
    read: TelemetryConfig,
}

impl Source for Reloads {
    type Error = ConfigErrors;

    async fn load(&mut self) -> Result<Graph, ConfigErrors> {
        let resolver = self.resolver.clone();
        let resolved = tokio::task::spawn_blocking(move || resolver.resolve()).await;
        let Resolved { graph, telemetry, warnings } = resolved.unwrap_or_else(|error| {
            Err(ConfigError::new(Span::whole("--config"), "", format!("reading failed: {error}")).into())
        })?;
        log_warnings(&warnings);
        self.read = telemetry;
        Ok(graph)
    }

    fn in_force(&mut self) {
        if let Err(error) = self.log.apply(&self.read.logs) {
            tracing::error!(%error, "The log stays as it was.");
        }
    }
}

fn log_warnings(warnings: &[Warning]) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

/// Runs the service that the command line names, until it is asked to end.
///
/// # Errors
/// Whatever keeps it from starting, or ends it.
pub fn run(options: Options) -> Result<(), RunError> {
    let mut resolver = Resolver::new(options, None);
    let example = resolver.takes_default().then(DefaultService::on_free_ports);
    resolver.default = example.as_ref().map(DefaultService::config);
    let Resolved { graph, telemetry: settings, warnings } = resolver.resolve()?;
    let log = Log::install(&settings.logs)?;
    log_panics();
    for notice in resolver.options.gates.notices() {
        tracing::info!("{notice}");
    }
    log_warnings(&warnings);
    let telemetry = Telemetry::default();
    register(&telemetry);
    let runtime = runtime().map_err(|cause| RunError::System { what: "cannot start threads", cause })?;
    runtime.block_on(async {
        let mut signals =
            OsSignals::listen().map_err(|cause| RunError::System { what: "cannot listen to signals", cause })?;
        let mut reloads = Reloads { resolver, log: log.clone(), read: settings };
        let service = Service::new(PROGRAM, telemetry.clone(), DRAIN_DEADLINE);
        let service = if example.is_some() { service.ending_last(default_config::is_store) } else { service };
        let result = tokio::select! {
            result = service.run(graph, &mut reloads, &mut signals) => result,
            () = log.keep_reporting() => Ok(()),
            () = stay_small() => Ok(()),
            () = show(example, &telemetry) => Ok(()),
        };
        result.map_err(|error| RunError::Service(Box::new(error)))
    })
}

/// The main job is mostly one series of steps after another, each in microseconds; more threads than this would
/// only wake each other and hold memory. On a large machine the rest is left to what is measured.
const MAX_WORKERS: usize = 4;
/// Resolving names, and reading files at a reload. They are reused, and gone after ten idle seconds.
const MAX_BLOCKING: usize = 8;
/// No recursion in the program comes near this; configuration is limited in depth.
const STACK_BYTES: usize = 1 << 20;

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cpus.min(MAX_WORKERS))
        .max_blocking_threads(MAX_BLOCKING)
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
}

/// How long to wait before each time that pages are given back which only the start needed. Configuration has been read and what
/// is served been opened after the first pause; targets that are scraped each 15 seconds or each minute come for the first time later,
/// and are seen anew on their second and third page too.
const EARLY_RELEASES: [Duration; 4] =
    [Duration::from_secs(10), Duration::from_secs(20), Duration::from_secs(30), Duration::from_secs(120)];
/// What comes now and then, such as a reload or a failure, is given back within this time.
const RELEASE_EVERY: Duration = Duration::from_secs(600);

/// Keeps code that is not in use out of the resident memory. Never returns.
async fn stay_small() {
    for pause in EARLY_RELEASES.into_iter().chain(std::iter::repeat(RELEASE_EVERY)) {
        tokio::time::sleep(pause).await;
        match tokio::task::spawn_blocking(resident::release_program).await {
            Ok(Ok(bytes)) => tracing::debug!(bytes, "Pages of the program were given back to the system."),
            Ok(Err(error)) => tracing::debug!(%error, "Pages of the program cannot be given back to the system."),
            // The runtime is ending.
            Err(_) => break,
        }
    }
    std::future::pending().await
}

/// Tells somebody who started the program without a configuration where to look, and what is delivered. Never
/// returns; silent if there is a configuration.
async fn show(example: Option<DefaultService>, telemetry: &Telemetry) {
    let Some(example) = example else { return std::future::pending().await };
    let mut text = example.to_string();
    loop {
        // Whoever does not listen to standard output has the log.
        writeln!(io::stdout(), "{text}").unwrap_or_default();
        tokio::time::sleep(STATUS_EVERY).await;
        text = DefaultService::status(telemetry);
    }
}

/// A panic of a component ends the service with an error; this adds where it was.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "A task panicked: {}", panic_text(panic.payload()));
    }));
}
