//! Where an exporter sends to, and how it proves who it is, read from what exporters have in common.

use crate::service::{Graph, Slot, Vertex};
use aws::{PrometheusSigV4Config, SigningSettings};
use extensions::sigv4auth::SigV4AuthConfig;
use http::Uri;
use net::client::{ClientSettings, CollectorDefaults, CollectorHttpClientConfig, Credentials, collector_settings};
use pipeline::component::Signal;
use pipeline::config::{ComponentId, Mapping, Node, Value, decode};
use std::time::Duration;

/// The type of the extension that signs for AWS.
pub(super) const SIGNER: &str = "sigv4auth";

/// How long an exporter waits that says nothing about it.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a person does where the exporter would wait for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// Keys of HTTP clients that say nothing about the way to the destination.
const LEFT_OUT: [&str; 4] = ["endpoint", "compression", "compression_params", "middlewares"];

/// How requests are signed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Signing {
    /// Not at all.
    None,
    /// By an extension that is not for AWS.
    Other(ComponentId),
    /// For AWS.
    Aws {
        /// What says so, in the configuration.
        by: String,
        /// How.
        settings: Box<SigningSettings>,
    },
}

/// What is sent to one URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payload {
    /// A remote write.
    RemoteWrite,
    /// An export request of this signal, over HTTP.
    Otlp(Signal),
    /// Nothing: a connection is made and that is all.
    Grpc,
    /// A question for the page that is there.
    Unknown,
}

/// One URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) uri: Uri,
    pub(super) payload: Payload,
}

/// Where an exporter sends to.
#[derive(Debug)]
pub(super) struct Destination {
    pub(super) client: ClientSettings,
    pub(super) signing: Signing,
    /// At least one.
    pub(super) targets: Vec<Target>,
}

impl Destination {
    /// That of an exporter; none if it sends nowhere.
    ///
    /// # Errors
    /// In words, when its block has what cannot be read here.
    pub(super) fn of(graph: &Graph, id: &ComponentId, vertex: &Vertex) -> Result<Option<Self>, String> {
        let (node, type_name) = (&vertex.config, vertex.factory.type_name);
        let targets = targets(graph, id, type_name, node)?;
        if targets.is_empty() {
            return Ok(None);
        }
        let keys =
            part(node, |key| CollectorHttpClientConfig::HTTP_CLIENT_FIELDS.contains(&key) && !LEFT_OUT.contains(&key));
        let config: CollectorHttpClientConfig = decode(&keys, "").map_err(|errors| errors.to_string())?;
        let defaults = CollectorDefaults { timeout: Some(TIMEOUT), compression: None };
        let mut client = collector_settings(&config, &defaults).map_err(|error| error.to_string())?;
        // A redirect of a write is a wrong endpoint, which is better seen than followed.
        client.follow_redirects = false;
        client.timeout = client.timeout.filter(|timeout| !timeout.is_zero()).or(Some(PATIENCE));
        let signing = signing(graph, type_name, node, &client.credentials)?;
        Ok(Some(Self { client, signing, targets }))
    }

    /// Whether the exporter's requests are signed for AWS.
    pub(super) fn is_signed(&self) -> bool {
        matches!(self.signing, Signing::Aws { .. })
    }

    /// Where it sends to, for people.
    pub(super) fn shown(&self) -> String {
        self.targets.iter().map(|target| shown(&target.uri)).collect::<Vec<_>>().join(", ")
    }
}

/// A URL without what may be secret in it: user, password and query.
pub(super) fn shown(uri: &Uri) -> String {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{}://{host}{}", uri.scheme_str().unwrap_or("http"), uri.path())
}

/// Whether a host is one of AWS' that takes signed requests only.
pub(super) fn is_aws(host: &str) -> bool {
    const SUFFIXES: [&str; 3] = [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"];
    aws::infer(host).0.is_some() && SUFFIXES.iter().any(|suffix| host.ends_with(suffix))
}

/// The keys of a block that `keep` wants.
fn part(node: &Node, keep: impl Fn(&str) -> bool) -> Node {
    let entries = node.as_mapping().map_or(&[][..], |mapping| &mapping.entries);
    let entries = entries.iter().filter(|entry| keep(&entry.key)).cloned().collect();
    let mapping = Mapping { entries, ..Mapping::default() };
    Node { span: node.span.clone(), value: Value::Mapping(mapping), original: None }
}

/// The URLs that an exporter of this type sends to.
fn targets(graph: &Graph, id: &ComponentId, type_name: &str, node: &Node) -> Result<Vec<Target>, String> {
    let text = |key: &str| node.get(key).and_then(Node::as_text).filter(|text| !text.is_empty());
    let endpoint = text("endpoint");
    let is_url = |text: &&str| text.starts_with("http://") || text.starts_with("https://");
    let uri = |text: &str| text.parse::<Uri>().map_err(|error| format!("endpoint {text:?} is not a URL: {error}"));
    if matches!(type_name, "otlp" | "otlp_grpc" | "otlpgrpc") {
        let Some(endpoint) = endpoint else { return Ok(Vec::new()) };
        let insecure = node.at("tls::insecure").and_then(Node::as_text) == Some("true");
        let scheme = if insecure { "http" } else { "https" };
        let url = if is_url(&endpoint) { endpoint.to_owned() } else { format!("{scheme}://{endpoint}") };
        return Ok(vec![Target { uri: uri(&url)?, payload: Payload::Grpc }]);
    }
    if type_name.contains("otlp") {
        let mut targets = Vec::new();
        for signal in [Signal::Metrics, Signal::Traces, Signal::Logs] {
            let uses = |(pipeline, members): (&crate::service::PipelineId, &crate::service::Pipeline)| {
                pipeline.signal == signal && members.exporters.contains(id)
            };
            if !graph.pipelines.iter().any(uses) {
                continue;
            }
            let name = signal.name();
            let url = match (text(&format!("{name}_endpoint")), endpoint) {
                (Some(own), _) => own.to_owned(),
                (None, Some(base)) => format!("{}/v1/{name}", base.trim_end_matches('/')),
                (None, None) => continue,
            };
            targets.push(Target { uri: uri(&url)?, payload: Payload::Otlp(signal) });
        }
        return Ok(targets);
    }
    // What is no URL is an address to listen at.
    let Some(endpoint) = endpoint.filter(is_url) else { return Ok(Vec::new()) };
    let payload = if type_name.contains("remotewrite") { Payload::RemoteWrite } else { Payload::Unknown };
    Ok(vec![Target { uri: uri(endpoint)?, payload }])
}

fn signing(graph: &Graph, type_name: &str, node: &Node, credentials: &Credentials) -> Result<Signing, String> {
    if let Credentials::Authenticator(id) = credentials {
        let Some(vertex) = graph.vertices.get(&Slot::Extension(id.clone())) else {
            return Err(format!(
                "auth::authenticator: extension \"{id}\" does not run: list it under service::extensions"
            ));
        };
        if vertex.factory.type_name != SIGNER {
            return Ok(Signing::Other(id.clone()));
        }
        let config = SigV4AuthConfig::read(&vertex.config).map_err(|errors| errors.to_string())?;
        return Ok(Signing::Aws { by: format!("extension \"{id}\""), settings: Box::new(config.settings()) });
    }
    if let Some(block) = node.get("sigv4") {
        let config: PrometheusSigV4Config = decode(block, "sigv4").map_err(|errors| errors.to_string())?;
        return Ok(Signing::Aws { by: "the exporter's sigv4 block".to_owned(), settings: Box::new(config.settings()) });
    }
    Ok(match exporters::aws_prometheus_remote_write::signing(type_name, node) {
        Some(settings) => Signing::Aws { by: format!("{type_name} itself"), settings: Box::new(settings) },
        None => Signing::None,
    })
}
