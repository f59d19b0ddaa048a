#![expect(clippy::unwrap_used, reason = "tests")]

use pipeline::config::{ConfigErrors, Node, parse};
use std::time::Duration;

use super::expand::expand;
use super::vectors::{load, member, report, rows, shared, text};
use super::{DiscoveryConfig, PathBase, ReceiverConfig, ScrapeProtocol, accept_header};

mod keys;

/// What is said about discovery mechanisms that are not here.
const FOREIGN: &str = "which this version does not have";

/// Whether the errors say what Prometheus says, position and wrapping aside.
fn says(errors: &ConfigErrors, expected: &str) -> bool {
    // Prometheus names the file first; here it is part of the position.
    let expected = match expected.strip_prefix("parsing YAML file ").and_then(|rest| rest.split_once(": ")) {
        Some((_, rest)) => rest,
        None => expected,
    };
    let Some(located) = expected.strip_prefix("yaml: unmarshal errors:\n") else {
        return errors.iter().any(|error| error.message.contains(expected));
    };
    located.lines().all(|line| {
        let (line, message) = line.trim().strip_prefix("line ").unwrap().split_once(": ").unwrap();
        errors.iter().any(|error| error.message.contains(message) && error.span.line.to_string() == line)
    })
}

#[test]
fn bad_configurations_are_refused_in_prometheus_words() {
    let mut skipped = 0;
    for row in rows("vectors/config_bad_vectors.json", "cases") {
        let (file, expected) = (member(&row, "file"), member(&row, "error_contains"));
        let path = format!("prom-testdata/config/{file}");
        let Some(yaml) = text(&path) else { continue };
        let errors = load(&yaml, &shared().join(&path).to_string_lossy()).err();
        let errors = errors.unwrap_or_else(|| panic!("{file}: accepted, expected {expected:?}"));
        let decoding = expected == "unmarshal errors" && errors.to_string().contains("cannot unmarshal");
        // What is no text at all never becomes a label's name here: it is refused where it is written.
        let binary = expected.contains("\\xff") && errors.to_string().contains("\\xff");
        if says(&errors, expected) || decoding || binary {
            continue;
        }
        assert!(
            errors.iter().any(|error| error.message.contains(FOREIGN)),
            "{file}: expected {expected:?}, got {errors}"
        );
        skipped += 1;
        report(&format!("skipped: {file}: keys of a discovery mechanism that is not here"));
    }
    report(&format!("skipped: {skipped} bad configurations of other discovery mechanisms"));
}

#[test]
fn good_configurations_are_read() {
    let folder = shared().join("prom-testdata/config");
    let Ok(files) = std::fs::read_dir(&folder) else {
        return report(&format!("skipped: {} is absent", folder.display()));
    };
    for file in files.map(|file| file.unwrap().path()) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let refused = [".bad.", ".incompatible.", "deprecated"].iter().any(|word| name.contains(word));
        if !name.ends_with(".yml") || refused {
            continue;
        }
        let yaml = std::fs::read_to_string(&file).unwrap();
        let errors = load(&yaml, &file.to_string_lossy()).err().unwrap_or_default();
        let wrong: Vec<_> = errors.iter().filter(|error| !error.message.contains(FOREIGN)).collect();
        assert!(wrong.is_empty(), "{name}: {wrong:#?}");
    }
}

#[test]
fn configurations_load_as_observed() {
    for row in rows("vectors/prom_misc_vectors.json", "config_load") {
        let expected = member(&row, "error");
        match load(member(&row, "yaml"), "test.yml") {
            Ok((config, jobs)) => {
                assert_eq!(expected, "", "{row}");
                let Some(effective) = row.get("effective") else { continue };
                let job = jobs.first().unwrap();
                let duration = |d: Duration| prometheus::duration::PromDuration(d).to_string();
                let protocols: Vec<&str> = job.protocols.iter().map(|protocol| protocol.name()).collect();
                let expected: Vec<&str> =
                    effective["protocols"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
                assert_eq!(protocols, expected, "{row}");
                assert_eq!(duration(job.interval), member(effective, "scrape_interval"), "{row}");
                assert_eq!(duration(job.timeout), member(effective, "scrape_timeout"), "{row}");
                assert_eq!(job.validation.as_str(), member(effective, "validation"), "{row}");
                assert_eq!(job.escaping.as_str(), member(effective, "escaping"), "{row}");
                assert_eq!(config.global.external_labels.len(), 0, "{row}");
            }
            Err(errors) => {
                assert!(!expected.is_empty(), "{row}: {errors}");
                assert!(says(&errors, expected), "{row}: {errors}");
            }
        }
    }
}

#[test]
fn accept_headers_are_those_of_prometheus() {
    for row in rows("vectors/scrape_vectors.json", "accept_headers") {
        let names: Vec<&str> =
            row["scrape_protocols"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        let protocols = ScrapeProtocol::list(&names).unwrap();
        let header = accept_header(&protocols, member(&row, "metric_name_escaping_scheme"));
        assert_eq!(header, member(&row, "accept"), "{row}");
    }
}

#[test]
fn external_labels_expand_as_observed() {
    let known = |name: &str| match name {
        "ZZ_A" => Some("va".to_owned()),
        "ZZ_EMPTY" => Some(String::new()),
        _ => None,
    };
    for row in rows("vectors/prom_misc_vectors.json", "external_label_expansion (ZZ_A=va, ZZ_EMPTY='')") {
        assert_eq!(expand(member(&row, "in"), known).0, member(&row, "out"), "{row}");
    }
    assert_eq!(expand("a$ZZ_B,${ZZ_C}", known), ("a,".to_owned(), vec!["ZZ_B".to_owned(), "ZZ_C".to_owned()]));
    assert_eq!(expand("$$ZZ_A ${$} ${ZZ_A $", known).0, "$ZZ_A $ ZZ_A $");
}

#[test]
fn every_mechanism_of_prometheus_is_known_by_name() {
    for (name, sentence) in [("kubernetes_sd_configs", FOREIGN), ("zookeeper_sd_configs", "not found in type")] {
        let errors = load(&format!("scrape_configs: [{{job_name: a, {name}: [{{}}]}}]"), "x.yml").unwrap_err();
        assert!(errors.to_string().contains(sentence), "{errors}");
    }
    let Some(text) = text("vectors/sd_meta_labels.json") else { return };
    let file: serde_json::Value = serde_json::from_str(&text).unwrap();
    let packages = file["labels"].as_object().unwrap().keys().map(String::as_str);
    for package in packages {
        let keys: &[&str] = match package {
            "aws" => &["aws", "ec2", "ecs", "elasticache", "lightsail", "msk", "rds"],
            "moby" => &["docker", "dockerswarm"],
            "xds" => &["kuma"],
            "zookeeper" => &["serverset", "nerve"],
            "file" | "http" => continue,
            package => &[package],
        };
        for key in keys {
            let yaml = format!("scrape_configs:\n- job_name: a\n  {key}_sd_configs:\n  - {{}}\n");
            let errors = load(&yaml, "x.yml").err().unwrap_or_else(|| panic!("{key} was accepted"));
            let expected = format!("job \"a\" uses {key}_sd_configs, {FOREIGN}");
            let error = errors.iter().next().unwrap();
            assert!(error.message.starts_with(&expected), "{errors}");
            assert_eq!(
                (error.span.line, error.path.as_str()),
                (4, &*format!("scrape_configs[0]::{key}_sd_configs[0]"))
            );
        }
    }
}

/// The blocks of all Prometheus receivers in a Collector configuration.
fn receivers(root: &Node) -> Vec<(String, Node)> {
    let Some(receivers) = root.get("receivers").and_then(Node::as_mapping) else { return Vec::new() };
    let is_ours = |key: &str| key == "prometheus" || key.starts_with("prometheus/");
    let entries = receivers.entries.iter().filter(|entry| is_ours(&entry.key));
    entries.map(|entry| (entry.key.clone(), entry.value.clone())).collect()
}

#[test]
fn receivers_of_known_configurations_are_read() {
    let pattern = shared().join("adot-configs/**/*.y*ml");
    let mut read = 0;
    for file in glob::glob(&pattern.to_string_lossy()).unwrap().map(Result::unwrap) {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        let Ok(root) = parse(&text, &file.to_string_lossy()) else { continue };
        for (name, node) in receivers(&root) {
            read += 1;
            let errors = ReceiverConfig::read(&node, &format!("receivers::{name}")).err().unwrap_or_default();
            // One of these files has a rule that Prometheus refuses, too.
            let broken = |message: &str| {
                file.ends_with("config-haproxy.yaml")
                    && message.ends_with("replace action requires 'target_label' value")
            };
            let known = |message: &str| message.contains(FOREIGN) || broken(message);
            let wrong: Vec<_> = errors.iter().filter(|error| !known(&error.message)).collect();
            assert!(wrong.is_empty(), "{}: {wrong:#?}", file.display());
        }
    }
    if read == 0 {
        report(&format!("skipped: no configurations at {}", pattern.display()));
    }
}
