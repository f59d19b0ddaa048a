//! Every configuration that the ADOT Collector ships or documents, read with the components that this program has: where one does not load, it
//! is for a component that is not there, and for nothing else.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use super::Components;
use crate::config::{ConfigArgs, FeatureGates, HttpAnswer, Loaded, Providers, ServiceConfig, UriReader, load};
use pipeline::config::{Node, Redaction, Value, parse_value, to_yaml};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// What these files name and this program may not have. All else in them has to be known, so what is not listed here may not be
/// refused; what is listed and there does no harm.
const NOT_THERE: &[&str] = &[
    // Receivers.
    "awscontainerinsightreceiver",
    "awsecscontainermetrics",
    "awsxray",
    "statsd",
    // Processors.
    "cumulativetodelta",
    "deltatorate",
    "filter",
    "metricsgeneration",
    "metricstransform",
    "queued_retry",
    "resource",
    "resourcedetection",
    // Exporters.
    "awsemf",
    // Extensions.
    "awsproxy",
    "ecs_observer",
    "pprof",
    "zpages",
];

/// Discovery of targets that this program may not have.
const DISCOVERY_NOT_THERE: &[&str] = &["kubernetes_sd_configs"];

/// Mistakes of the files themselves, which Prometheus refuses too: the end of the file's name and of the message.
const MISTAKES: &[(&str, &str)] = &[
    // A rule that was cut off in the middle.
    ("config-haproxy.yaml", "relabel configuration for replace action requires 'target_label' value"),
];

struct NoNetwork;

impl UriReader for NoNetwork {
    fn get(&self, uri: &str) -> Result<HttpAnswer, String> {
        Err(format!("{uri}: these configurations read nothing from the network"))
    }
}

/// The environment that the files are written for.
fn variable(name: &str) -> Option<String> {
    let value = match name {
        "AWS_PROMETHEUS_ENDPOINT" => {
            "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write"
        }
        "AWS_PROMETHEUS_SCRAPING_ENDPOINT" | "PROMETHEUS_SAMPLE_APP" => "localhost:9090",
        "AWS_REGION" | "WORKLOAD_REGION" => "eu-west-1",
        "WORKSPACE_URL" => "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/",
        "K8S_NODE_NAME" | "HOST_NAME" => "node-1",
        _ => return None,
    };
    Some(value.to_owned())
}

/// The folder of collected configurations, beside the project unless the environment says otherwise.
fn shared() -> Option<PathBuf> {
    let path = std::env::var_os("OXIDOT_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    path.is_dir().then_some(path)
}

fn yaml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            yaml_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            found.push(path);
        }
    }
}

/// The text with its blanks filled in: `{{region}}` and `<YOUR_AWS_REGION>` are for whoever uses the file.
fn filled(text: &str) -> String {
    let url = variable("AWS_PROMETHEUS_ENDPOINT").unwrap();
    let mut text = text.to_owned();
    for (blank, value) in [
        ("{{endpoint}}", url.as_str()),
        ("{{region}}", "eu-west-1"),
        ("{{cluster_name}}", "cluster"),
        ("<YOUR_AWS_REGION>", "eu-west-1"),
        ("<YOUR_ENDPOINT>", &url),
        ("<YOUR_REMOTE_WRITE_ENDPOINT>", &url),
        ("\"YOUR_ENDPOINT\"", &url),
        ("${AWS::Region}", "eu-west-1"),
    ] {
        text = text.replace(blank, value);
    }
    text
}

/// The configurations in a document: itself, or what a manifest for Kubernetes or a template carries.
fn configurations(node: &Node, found: &mut Vec<String>) {
    if node.get("receivers").is_some() && node.get("service").is_some() {
        found.push(to_yaml(node, Redaction::Unredacted));
        return;
    }
    match &node.value {
        Value::Scalar(scalar) if scalar.text.contains("receivers:") && scalar.text.contains("service:") => {
            found.push(scalar.text.clone());
        }
        Value::Scalar(_) => {}
        Value::Sequence(items) => items.iter().for_each(|item| configurations(item, found)),
        Value::Mapping(mapping) => mapping.entries.iter().for_each(|entry| configurations(&entry.value, found)),
    }
}

/// Everything that is wrong with a configuration, each without its place.
fn problems(text: &str) -> Vec<String> {
    let args = ConfigArgs { uris: vec![format!("yaml:{text}")], sets: Vec::new() };
    let providers = Providers { env: &variable, http: &NoNetwork };
    let read = load(&args, None, &FeatureGates::default(), &providers)
        .and_then(|Loaded { root, .. }| ServiceConfig::read(&root, &Components::default(), false));
    match read {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(|error| error.message.clone()).collect(),
    }
}

/// What a problem is for, if it is one that may be.
fn lacking<'a>(problem: &'a str, file: &str) -> Option<&'a str> {
    let quoted = |text: &'a str| text.split('"').nth(1);
    if problem.starts_with("unknown type: ") {
        return quoted(problem).filter(|type_name| NOT_THERE.contains(type_name));
    }
    if problem.contains(", which this version does not have") {
        return DISCOVERY_NOT_THERE.iter().find(|name| problem.contains(*name)).copied();
    }
    let mistake = MISTAKES.iter().find(|(name, message)| file.ends_with(name) && problem.contains(message));
    mistake.map(|(_, message)| *message)
}

#[test]
fn what_the_adot_collector_ships_loads_but_for_components_that_are_not_there() {
    let Some(shared) = shared() else {
        let note = "skipped: what_the_adot_collector_ships_loads needs the shared configurations";
        std::io::stdout().write_all(format!("{note}\n").as_bytes()).unwrap();
        return;
    };
    let mut files = Vec::new();
    yaml_files(&shared.join("adot-configs"), &mut files);
    files.push(shared.join("seed-configs/adot-config.yaml"));
    files.sort();
    let (mut read, mut whole, mut wrong) = (0, BTreeSet::new(), Vec::new());
    let mut lacks: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in &files {
        let name = file.strip_prefix(&shared).unwrap().to_string_lossy().into_owned();
        let text = filled(&std::fs::read_to_string(file).unwrap());
        let mut found = Vec::new();
        for document in text.split("\n---") {
            // Templates of CloudFormation have tags that only it knows; what cannot be read as YAML is no configuration.
            if let Ok(node) = parse_value(document, &name) {
                configurations(&node, &mut found);
            } else {
                assert!(!document.contains("\nservice:\n"), "{name} is a configuration and cannot be read");
            }
        }
        for configuration in &found {
            read += 1;
            let problems = problems(configuration);
            if problems.is_empty() {
                whole.insert(name.clone());
            }
            for problem in problems {
                match lacking(&problem, &name) {
                    Some(what) => {
                        lacks.entry(name.clone()).or_default().insert(what.to_owned());
                    }
                    None => wrong.push(format!("{name}: {problem}")),
                }
            }
        }
    }
    // `cargo test … -- --nocapture` shows what keeps which file from loading.
    for name in &whole {
        println!("{name}: loads");
    }
    for (name, lacks) in &lacks {
        println!("{name}: {}", lacks.iter().cloned().collect::<Vec<_>>().join(", "));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(read >= 150, "only {read} of {} files have configurations", files.len());
    assert!(whole.contains("seed-configs/adot-config.yaml"), "{lacks:?}");
}

#[test]
fn the_scraper_s_default_configuration_needs_nothing_but_its_discovery() {
    let Some(text) =
        shared().and_then(|shared| std::fs::read_to_string(shared.join("seed-configs/amp-default-scraper.yml")).ok())
    else {
        std::io::stdout()
            .write_all(b"skipped: the_scraper_s_default_configuration needs the shared configurations\n")
            .unwrap();
        return;
    };
    let indented: String = text.lines().map(|line| format!("      {line}\n")).collect();
    let configuration = format!(
        "receivers:\n  prometheus:\n    config:\n{indented}exporters:\n  prometheusremotewrite:\n    endpoint: https://aps/w\nservice:\n  pipelines:\n    metrics:\n      receivers: [prometheus]\n      exporters: [prometheusremotewrite]\n"
    );
    for problem in problems(&configuration) {
        assert!(lacking(&problem, "amp-default-scraper.yml").is_some(), "{problem}");
    }
}
