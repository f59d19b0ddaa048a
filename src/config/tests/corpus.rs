//! Every configuration that the ADOT Collector ships or documents is read, whatever it is.

use std::fs;
use std::path::{Path, PathBuf};

use pipeline::config::{Redaction, parse_value, to_yaml};

use super::*;

/// The folder of collected configurations, beside the project unless the environment says otherwise.
fn shared() -> Option<PathBuf> {
    let path = std::env::var_os("OXIDOT_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    path.is_dir().then_some(path)
}

fn yaml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            yaml_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            found.push(path);
        }
    }
}

#[test]
fn known_configurations_load() {
    let Some(shared) = shared() else {
        let note = "skipped: known_configurations_load needs the shared configurations";
        std::io::Write::write_all(&mut std::io::stderr(), format!("{note}\n").as_bytes()).unwrap();
        return;
    };
    let mut files = Vec::new();
    yaml_files(&shared.join("adot-configs"), &mut files);
    yaml_files(&shared.join("seed-configs"), &mut files);
    let world = World::with(&[
        ("AWS_REGION", "eu-west-1"),
        ("AWS_PROMETHEUS_ENDPOINT", "https://aps/api/v1/remote_write"),
        ("AWS_PROMETHEUS_SCRAPING_ENDPOINT", "localhost:9090"),
        ("WORKSPACE_URL", "https://aps/"),
        ("WORKLOAD_REGION", "eu-west-1"),
        ("K8S_NODE_NAME", "node-1"),
    ]);
    let mut services = 0;
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        // Manifests and templates are of many kinds; they must only not do harm.
        if let Ok(node) = parse_value(&text, "manifest") {
            assert_eq!(parse_value(&to_yaml(&node, Redaction::Unredacted), "again"), Ok(node), "{}", file.display());
        }
        if !text.lines().any(|line| line.trim_end() == "service:") {
            continue;
        }
        // Mustache and Go templates are no YAML before they are filled in.
        let path = file.to_str().unwrap();
        let loaded = match world.load(&args(&[path], &[])) {
            Ok(loaded) => loaded,
            Err(errors) => {
                assert!(text.contains("{{"), "{path}: {errors}");
                continue;
            }
        };
        services += 1;
        let root = &loaded.root;
        assert!(root.at("service::pipelines").and_then(Node::as_mapping).is_some(), "{path}");
        let printed = to_yaml(root, Redaction::Unredacted);
        let left = ["${env:", "$AWS_", "$WORK"].into_iter().find(|reference| printed.contains(reference));
        assert_eq!(left, None, "{path} still has a reference:\n{printed}");
        for warning in &loaded.warnings {
            assert!(warning.span.line > 0 && warning.message.contains("${env:"), "{warning}");
        }
        // Checking must not panic; which components exist is another matter.
        if let Err(errors) = ServiceConfig::read(root, &Types, false) {
            assert!(errors.iter().all(|error| error.span.line > 0), "{errors}");
        }
    }
    assert!(services >= 20, "only {services} of {} files are services", files.len());
}
