//! The settings of `prometheusremotewrite`: read, checked, and in the form the exporter needs.

mod delivery;
mod endpoints;
mod keys;
mod naming;
mod signing;

use aws::SigningSettings;
use delivery::{limits, queue, retry};
pub(super) use endpoints::Settings;
use keys::Keys;
use naming::translation;
use net::client::{ClientSettings, CollectorDefaults};
use pipeline::config::{ConfigErrors, GoDuration, Node, decode_to_check};
use prometheus::remote_write::protocol::{Backoff, Encoding, ProtocolVersion, UnknownMessage, is_reserved_header};
use signing::{endpoint, signing};
use std::time::Duration;

use super::encode::Limits;
use super::limits::StoreLimits;
use super::shards::QueueLimits;
use super::translation::Translation;

/// Which of the exporter's two names a configuration uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `prometheusremotewrite`.
    Plain,
    /// `awsprometheusremotewrite`, which always signs.
    Aws,
}

/// How long a connection serves at most: so soon a store that has moved to other addresses is found, though its old ones still
/// answer. A handshake each five minutes and shard costs nothing to speak of.
const CONNECTION_AGE: Duration = Duration::from_secs(300);

/// How failed requests are tried again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Retry {
    pub(super) enabled: bool,
    pub(super) initial: Duration,
    pub(super) max: Duration,
    pub(super) multiplier: f64,
    /// How far around the interval waits are spread; `None` for full jitter.
    pub(super) randomization: Option<f64>,
    /// From the first attempt of a request; zero is for ever.
    pub(super) max_elapsed: Duration,
    /// The same for requests that are refused for who sends them, or cannot be signed yet: for ever, unless the
    /// configuration says how long. Nothing is wrong with what they carry.
    pub(super) max_refused: Duration,
}

impl Retry {
    /// The waits of one request.
    pub(super) fn backoff(&self) -> Backoff {
        match self.randomization {
            Some(randomization) => Backoff::new(self.initial, self.max, self.multiplier, randomization),
            None => Backoff::full_jitter(self.initial, self.max, self.multiplier),
        }
    }
}

/// Everything about one store, checked.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) endpoint: http::Uri,
    /// What it is called in own metrics and in the queue on disk.
    pub(super) name: String,
    /// The version of remote write that is wanted.
    pub(super) version: ProtocolVersion,
    /// How bodies are to be compressed.
    pub(super) encoding: Encoding,
    pub(super) client: ClientSettings,
    pub(super) queue: QueueLimits,
    pub(super) retry: Retry,
    pub(super) limits: Limits,
    pub(super) store: StoreLimits,
    /// How requests are signed, if the exporter does so itself.
    pub(super) signing: Option<SigningSettings>,
    pub(super) linger: Duration,
    pub(super) send_metadata: bool,
    pub(super) translation: Translation,
}

/// Collects problems at keys of one block.
struct Problems<'a> {
    node: &'a Node,
    errors: ConfigErrors,
}

impl Problems<'_> {
    fn refuse(&mut self, key: &str, message: impl Into<String>) {
        self.errors.push(self.node.error_at("", key, message));
    }
}

/// The endpoint without what may be secret in it.
fn shown(endpoint: &http::Uri) -> String {
    let scheme = endpoint.scheme_str().unwrap_or("http");
    let port = endpoint.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}://{}{port}{}", endpoint.host().unwrap_or_default(), endpoint.path())
}

impl Config {
    /// Reads the block of one store.
    pub(super) fn read(node: &Node, dialect: Dialect) -> Result<Self, ConfigErrors> {
        let (keys, errors) = decode_to_check::<Keys>(node, "")?;
        let mut problems = Problems { node, errors };
        let endpoint = endpoint(&keys, &mut problems);
        let defaults = CollectorDefaults { timeout: Some(Duration::from_secs(5)), compression: None };
        let mut http = keys.http_client();
        // The bodies are compressed here, and not by the client.
        let encoding = match http.compression.take().as_deref() {
            None | Some("" | "snappy" | "none") => Encoding::Snappy,
            Some("zstd") => Encoding::Zstd,
            Some(_) => {
                problems.refuse("compression", "compression type must be snappy or zstd");
                Encoding::Snappy
            }
        };
        let client = net::client::collector_settings(&http, &defaults);
        let client = client.map(|mut client| {
            client.pool.max_age = CONNECTION_AGE;
            client
        });
        if let Err(error) = &client {
            problems.refuse("", error.to_string());
        }
        // Another host than the address is what proxies are reached by, and nothing that the protocol says.
        for (name, _) in
            http.headers.0.iter().filter(|(name, _)| is_reserved_header(name) && !name.eq_ignore_ascii_case("host"))
        {
            problems.refuse(
                "headers",
                format!("{name} is a reserved header. It must not be changed: remote write has its own"),
            );
        }
        let queue = queue(&keys, &mut problems);
        let retry = retry(&keys, &mut problems);
        let signing = signing(&keys, dialect, endpoint.as_ref(), &mut problems);
        let amp = endpoint.as_ref().and_then(http::Uri::host).is_some_and(aws::is_amp);
        let mut store = keys.limits.clone().unwrap_or_default().limits(amp).unwrap_or_else(|(key, message)| {
            problems.refuse(key, message);
            StoreLimits::default()
        });
        if let Some(age) = keys.remote_write_queue.sample_age_limit.map(GoDuration::to_std).filter(|age| !age.is_zero())
        {
            store.limit_age(age);
        }
        let limits = limits(&keys, &store, &mut problems);
        let message = keys.protobuf_message.as_deref().filter(|text| !text.is_empty());
        let version = message.map_or(Ok(ProtocolVersion::V1), str::parse).unwrap_or_else(|error: UnknownMessage| {
            problems.refuse("protobuf_message", error.to_string());
            ProtocolVersion::V1
        });
        let translation = translation(&keys, version, store.exemplars(), &mut problems);
        let linger = keys.batch_send_deadline.map_or(Duration::from_secs(1), GoDuration::to_std);
        match (endpoint, client, translation) {
            (Some(endpoint), Ok(client), Some(translation)) => problems.errors.into_result(Self {
                name: keys.name.filter(|name| !name.is_empty()).unwrap_or_else(|| shown(&endpoint)),
                endpoint,
                version,
                encoding,
                client,
                queue,
                retry,
                limits,
                store,
                signing,
                linger,
                send_metadata: keys.send_metadata.unwrap_or(version == ProtocolVersion::V2),
                translation,
            }),
            _ => Err(problems.errors),
        }
    }
}
