//! The page that the program's own metrics are read from.

use crate::config::TelemetryConfig;
use crate::service::Vertex;
use async_trait::async_trait;
use http::{Method, StatusCode};
use net::server::{Handler, HttpServer, HttpServerSettings, Request, Response};
use pipeline::component::{
    Build, BuildContext, ComponentError, Extension, ExtensionContext, Factory, Program, Stability,
};
use pipeline::config::{Entry, Mapping, Node, Span, Value};
use pipeline::telemetry::Telemetry;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Where the block is, in messages.
const PLACE: &str = "service::telemetry::metrics";
/// What Prometheus' own client library answers with.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Readers are few; this only bounds what a mistaken client can take up.
const MAX_CONNECTIONS: usize = 64;
/// A page is written in milliseconds; a reader that takes longer than this when the program ends is cut off.
const GRACE: Duration = Duration::from_secs(1);
/// The keys of the block made by [`own_metrics`].
const ENDPOINTS: &str = "endpoints";
/// See [`ENDPOINTS`].
const RESOURCE: &str = "resource";

/// Not in the table of components: no file can name it.
const FACTORY: Factory = Factory {
    type_name: "own_metrics",
    aliases: &[],
    summary: "the program's own metrics",
    signals: &[],
    stability: Stability::Stable,
    live_update: false,
    validate: |_| Ok(()),
    build: Build::Extension(|config, context| Ok(Box::new(OwnMetrics::new(config, context)))),
};

/// The component that serves the program's own metrics as `config` says; none if they are not to be served.
/// `instance` identifies this process unless the file says otherwise.
pub fn own_metrics(config: &TelemetryConfig, program: Program, instance: &str) -> Option<Vertex> {
    let pages = config.metrics.pages();
    if pages.is_empty() {
        return None;
    }
    let span = Span::whole(PLACE);
    let text = |text: &str| Node::text(span.clone(), text);
    let entry = |key: &str, value| Entry { key: key.to_owned(), key_span: span.clone(), value };
    let endpoints = pages.iter().map(|page| match page.host.contains(':') {
        true => text(&format!("[{}]:{}", page.host, page.port)),
        false => text(&format!("{}:{}", page.host, page.port)),
    });
    let node = |value| Node { value, ..Node::null(span.clone()) };
    let mapping = |entries| node(Value::Mapping(Mapping { entries, ..Mapping::default() }));
    let endpoints = node(Value::Sequence(endpoints.collect()));
    let resource = resource(&config.resource_attributes, program, instance);
    let resource = mapping(resource.iter().map(|(name, value)| entry(name, text(value))).collect());
    Some(Vertex { factory: FACTORY, config: mapping(vec![entry(ENDPOINTS, endpoints), entry(RESOURCE, resource)]) })
}

/// The attributes of this process: the Collector's three, changed by what the file says; nulls take one out.
fn resource(
    configured: &BTreeMap<String, Option<String>>,
    program: Program,
    instance: &str,
) -> BTreeMap<String, String> {
    let mut attributes: BTreeMap<String, String> =
        [("service.name", program.name), ("service.version", program.version), ("service.instance.id", instance)]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
    for (name, value) in configured {
        match value {
            Some(value) => attributes.insert(name.clone(), value.clone()),
            None => attributes.remove(name),
        };
    }
    attributes
}

/// A random UUID, new for each process.
pub fn instance_id() -> String {
    let random = || u128::from(RandomState::new().hash_one(std::process::id()));
    let bits = random() << 64 | random();
    // Version 4, variant 1 (RFC 9562, section 5.4).
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| hex.get(range).unwrap_or_default());
    parts.join("-")
}

struct OwnMetrics {
    endpoints: Vec<String>,
    page: Arc<Page>,
    servers: Vec<HttpServer>,
}

impl OwnMetrics {
    fn new(config: &Node, context: &BuildContext) -> Self {
        let endpoints = config.get(ENDPOINTS).and_then(Node::as_sequence).unwrap_or_default();
        let resource = config.get(RESOURCE).and_then(Node::as_mapping);
        let attributes = resource.map_or(&[][..], |mapping| &mapping.entries);
        let attributes = attributes.iter().map(|entry| (entry.key.as_str(), entry.value.as_text().unwrap_or_default()));
        Self {
            endpoints: endpoints.iter().filter_map(|node| node.as_text().map(str::to_owned)).collect(),
            page: Arc::new(Page { target_info: target_info(attributes), telemetry: context.telemetry.clone() }),
            servers: Vec::new(),
        }
    }
}

#[async_trait]
impl Extension for OwnMetrics {
    async fn start(&mut self) -> Result<(), ComponentError> {
        self.servers.clear();
        for endpoint in &self.endpoints {
            let settings = HttpServerSettings {
                endpoint: endpoint.clone(),
                max_connections: MAX_CONNECTIONS,
                ..HttpServerSettings::default()
            };
            let page = Arc::clone(&self.page) as Arc<dyn Handler>;
            let server = HttpServer::bind(settings, page).await.map_err(|error| {
                let advice = "set another port in service::telemetry::metrics::readers, or service::telemetry::metrics::level: none";
                ComponentError::new(format!("{PLACE}: {error}; {advice}"))
            })?;
            if let Some(address) = server.local_addr() {
                tracing::info!(url = %format_args!("http://{address}/metrics"), "Serving own metrics.");
            }
            self.servers.push(server);
        }
        Ok(())
    }

    async fn run(self: Box<Self>, context: ExtensionContext) -> Result<(), ComponentError> {
        let mut serving = JoinSet::new();
        for server in self.servers {
            let mut stop = context.stop.clone();
            serving.spawn(server.serve(async move { stop.requested().await }, GRACE));
        }
        while let Some(ended) = serving.join_next().await {
            ended.map_err(|error| ComponentError::caused(format_args!("{PLACE}: the server failed"), error))?;
        }
        Ok(())
    }
}

/// What is served.
struct Page {
    target_info: String,
    telemetry: Telemetry,
}

#[async_trait]
impl Handler for Page {
    async fn handle(&self, request: Request) -> Response {
        if request.uri.path() != "/metrics" {
            return Response::text(StatusCode::NOT_FOUND, "the metrics are at /metrics\n");
        }
        if request.method != Method::GET && request.method != Method::HEAD {
            return Response::text(StatusCode::METHOD_NOT_ALLOWED, "use GET\n");
        }
        let mut text = self.telemetry.render();
        text.push_str(&self.target_info);
        Response::with_body(StatusCode::OK, CONTENT_TYPE, text)
    }
}

/// The resource as Prometheus shows it: labels of a metric that is always 1.
fn target_info<'a>(attributes: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut labels = String::new();
    for (name, value) in attributes {
        let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let comma = if labels.is_empty() { "" } else { "," };
        // Writing to a String cannot fail.
        labels.write_fmt(format_args!("{comma}{name}=\"{value}\"")).unwrap_or_default();
    }
    format!("# HELP target_info Target metadata\n# TYPE target_info gauge\ntarget_info{{{labels}}} 1\n")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use pipeline::component::{ServiceStatus, Shared};
    use pipeline::config::parse;
    use pipeline::stop::StopSource;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::watch;

    const PROGRAM: Program = Program { name: "oxidot", version: "1.2.3" };

    fn vertex(text: &str) -> Option<Vertex> {
        let node = parse(text, "t.yaml").unwrap();
        own_metrics(&TelemetryConfig::read(Some(&node), &mut Vec::new()).unwrap(), PROGRAM, "me")
    }

    fn context(telemetry: &Telemetry) -> BuildContext {
        let id = "own_metrics".parse().unwrap();
        BuildContext { id, program: PROGRAM, telemetry: telemetry.clone(), shared: Shared::default(), signal: None }
    }

    async fn get(address: std::net::SocketAddr, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn serves_the_registry_and_the_resource() {
        let text = "{metrics: {readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: 0}}}}]}, \
                     resource: {service.name: a\"b, service.version: null, team: x}}";
        let telemetry = Telemetry::default();
        telemetry.counter("otelcol_x", "X.", &[]).add(3);
        let mut endpoint = OwnMetrics::new(&vertex(text).unwrap().config, &context(&telemetry));
        endpoint.start().await.unwrap();
        let address = endpoint.servers.first().unwrap().local_addr().unwrap();
        let stop = StopSource::default();
        let (_status, status) = watch::channel(ServiceStatus::Ready);
        let running = tokio::spawn(Box::new(endpoint).run(ExtensionContext { stop: stop.handle(), status }));
        let answer = get(address, "/metrics").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{answer}");
        assert!(answer.contains("\notelcol_x 3\n"), "{answer}");
        let info = "\ntarget_info{service_instance_id=\"me\",service_name=\"a\\\"b\",team=\"x\"} 1\n";
        assert!(answer.contains(info), "{answer}");
        assert!(get(address, "/").await.starts_with("HTTP/1.1 404"));
        stop.stop(tokio::time::Instant::now());
        running.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_port_in_use_names_the_keys_to_change() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let text = format!("metrics: {{address: \"127.0.0.1:{port}\"}}");
        let mut endpoint = OwnMetrics::new(&vertex(&text).unwrap().config, &context(&Telemetry::default()));
        let error = endpoint.start().await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("service::telemetry::metrics: listen 127.0.0.1:{port}: ")), "{error}");
        assert!(error.contains("service::telemetry::metrics::level: none"), "{error}");
    }

    #[test]
    fn level_none_serves_nothing_and_equal_settings_are_equal() {
        assert!(vertex("metrics: {level: none}").is_none());
        assert_eq!(vertex("{}"), vertex("{logs: {level: debug}, metrics: {level: basic}}"));
        assert_ne!(vertex("{}"), vertex("metrics: {address: \":8888\"}"));
    }

    #[test]
    fn instance_ids_are_random_uuids() {
        let id = instance_id();
        assert_eq!(id.len(), 36);
        assert_eq!(id.get(14..15), Some("4"), "{id}");
        assert!(matches!(id.get(19..20), Some("8" | "9" | "a" | "b")), "{id}");
        assert_ne!(id, instance_id());
    }
}
