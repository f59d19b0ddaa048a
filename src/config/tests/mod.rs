//! Tests of loading and checking configurations.
#![expect(clippy::unwrap_used, reason = "tests")]

mod checking;
mod corpus;
mod expanding;
mod gates;
mod loading;

use std::collections::BTreeMap;

use pipeline::component::{ComponentKind, Signal};
use pipeline::config::{ConfigErrors, Node, decode};

use super::*;

/// An outside world made of maps.
#[derive(Default)]
struct World {
    variables: BTreeMap<String, String>,
    pages: BTreeMap<String, HttpAnswer>,
}

impl UriReader for World {
    fn get(&self, uri: &str) -> Result<HttpAnswer, String> {
        self.pages.get(uri).cloned().ok_or_else(|| "connection refused".to_owned())
    }
}

impl World {
    fn with(variables: &[(&str, &str)]) -> Self {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { variables, pages: BTreeMap::new() }
    }

    fn page(mut self, uri: &str, status: u16, body: &str) -> Self {
        self.pages.insert(uri.to_owned(), HttpAnswer { status, body: body.to_owned() });
        self
    }

    fn load(&self, args: &ConfigArgs) -> Result<Loaded, ConfigErrors> {
        self.load_with(args, None, &FeatureGates::default())
    }

    fn load_with(
        &self,
        args: &ConfigArgs,
        default: Option<DefaultConfig>,
        gates: &FeatureGates,
    ) -> Result<Loaded, ConfigErrors> {
        let env = |name: &str| self.variables.get(name).cloned();
        load(args, default, gates, &Providers { env: &env, http: self })
    }

    /// Loads `text` as if a server had given it.
    fn read(&self, text: &str) -> Result<Loaded, ConfigErrors> {
        let uris = vec!["http://config.test/c.yaml".to_owned()];
        let mut pages = self.pages.clone();
        pages.insert("http://config.test/c.yaml".to_owned(), HttpAnswer { status: 200, body: text.to_owned() });
        let world = World { variables: self.variables.clone(), pages };
        world.load(&ConfigArgs { uris, sets: Vec::new() })
    }
}

fn args(uris: &[&str], sets: &[&str]) -> ConfigArgs {
    ConfigArgs {
        uris: uris.iter().map(|uri| (*uri).to_owned()).collect(),
        sets: sets.iter().map(|set| (*set).to_owned()).collect(),
    }
}

/// Components enough to check with.
struct Types;

const METRICS: &[Signal] = &[Signal::Metrics];
const ALL: &[Signal] = &[Signal::Metrics, Signal::Traces, Signal::Logs];

const TYPES: &[(ComponentKind, &str, &[&str], &[Signal])] = &[
    (ComponentKind::Receiver, "otlp", &[], ALL),
    (ComponentKind::Receiver, "prometheus", &[], METRICS),
    (ComponentKind::Processor, "batch", &[], ALL),
    (ComponentKind::Processor, "resource_detection", &["resourcedetection"], ALL),
    (ComponentKind::Exporter, "debug", &[], ALL),
    (ComponentKind::Exporter, "prometheus_remote_write", &["prometheusremotewrite"], METRICS),
    (ComponentKind::Connector, "forward", &[], ALL),
    (ComponentKind::Extension, "health_check", &[], &[]),
    (ComponentKind::Extension, "sigv4auth", &[], &[]),
];

impl ComponentTypes for Types {
    fn resolve(&self, kind: ComponentKind, type_name: &str) -> Option<ComponentType> {
        let called = |name: &str, aliases: &[&str]| name == type_name || aliases.contains(&type_name);
        let found = TYPES.iter().find(|(of, name, aliases, _)| *of == kind && called(name, aliases));
        found.map(|(_, canonical, _, signals)| ComponentType { canonical, signals })
    }

    fn names(&self, kind: ComponentKind) -> Vec<&'static str> {
        TYPES.iter().filter(|(of, ..)| *of == kind).map(|(_, name, ..)| *name).collect()
    }

    fn validate(&self, _kind: ComponentKind, canonical: &str, body: &Node) -> Result<(), ConfigErrors> {
        #[derive(serde::Deserialize, Default)]
        #[serde(default)]
        struct Batch {
            timeout: pipeline::config::GoDuration,
            send_batch_size: u32,
        }
        if canonical == "batch" { decode::<Batch>(body, "").map(|_| ()) } else { Ok(()) }
    }
}
