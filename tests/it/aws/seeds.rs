//! Configurations of the field, unchanged: what they send is signed, accepted, and read back.

use std::path::{Path, PathBuf};

use super::keys::Key;
use super::scene::{Home, environment, variable};
use super::store::{AwsStore, PATH, REGION};
use super::verifier::python;
use crate::support::oxidot::{Oxidot, job};
use crate::support::page::{Target, counters};
use crate::support::prometheus::{QueryServer, prometheus};
use crate::support::python::require_python;
use crate::support::{free_port, http, require, skipped};

/// A file of the material that is kept beside the project; none, with a visible word, where that is missing.
fn seed(file: &str) -> Option<String> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let path = std::env::var_os("OXIDOT_SHARED").map_or_else(beside, PathBuf::from).join("seed-configs").join(file);
    let text = std::fs::read_to_string(&path).ok();
    if text.is_none() {
        skipped(&format!("{file} is not there (OXIDOT_SHARED names its directory)"));
    }
    text
}

/// A Prometheus, a store in front of it, a key, and the variables that the configurations of the field have.
struct Scene {
    prometheus: QueryServer,
    store: AwsStore,
    key: Key,
    home: Home,
    variables: Vec<(String, String)>,
}

fn scene(python: &Path) -> Scene {
    let prometheus = prometheus("");
    let store = AwsStore::start_before(python, Some(prometheus.port()));
    let (key, home) = (Key::temporary(), Home::new());
    store.keys().add(&key);
    std::fs::write(home.credentials(), key.profile("default")).unwrap();
    let workspace = store.url().strip_suffix("api/v1/remote_write").unwrap().to_owned();
    assert!(workspace.ends_with('/'));
    let variables = vec![variable("WORKSPACE_URL", workspace), variable("WORKLOAD_REGION", REGION)];
    Scene { prometheus, store, key, home, variables }
}

#[test]
fn the_collector_configuration_of_2021_writes_signed() {
    require!("prometheus");
    let Some(config) = seed("adot-config.yaml") else { return };
    let scene = scene(&require_python!(python()));
    let [grpc, http, health, page] = [(); 4].map(|()| free_port());
    let mut oxidot = Oxidot::start_with(&config, |command| {
        environment(command, &scene.home, &scene.variables);
        // Free ports on loopback in place of fixed ones on all interfaces.
        for setting in [
            format!("receivers.otlp.protocols.grpc.endpoint=127.0.0.1:{grpc}"),
            format!("receivers.otlp.protocols.http.endpoint=127.0.0.1:{http}"),
            format!("extensions.health_check.endpoint=127.0.0.1:{health}"),
        ] {
            command.args(["--set", &setting]);
        }
        // It scrapes its own metrics.
        command.args(["--config", &crate::support::oxidot::own_metrics_at(page)]);
        command.args([
            "--set",
            &format!("receivers.prometheus.config.scrape_configs=[{{job_name: otel-collector, scrape_interval: 5s, static_configs: [{{targets: [\"127.0.0.1:{page}\"]}}]}}]"),
        ]);
    });
    let now = super::store::now_ms();
    let body = format!(
        "{{\"resourceMetrics\":[{{\"resource\":{{\"attributes\":[{{\"key\":\"service.name\",\"value\":{{\"stringValue\":\"shop\"}}}}]}},\"scopeMetrics\":[{{\"metrics\":[{{\"name\":\"sent\",\"sum\":{{\"isMonotonic\":true,\"aggregationTemporality\":2,\"dataPoints\":[{{\"timeUnixNano\":\"{now}000000\",\"asInt\":\"7\"}}]}}}}]}}]}}]}}"
    );
    let answer = http::post(http, "/v1/metrics", "application/json", body.as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    crate::support::wait_until("some scrapes", || {
        http::get(page, "/metrics").is_some_and(|answer| {
            crate::support::oxidot::total(&answer.body, "otelcol_receiver_accepted_metric_points", &["prometheus"])
                > 0.0
        })
    });
    // Its batches wait for a minute, or for the end.
    assert_eq!(oxidot.end().code(), Some(0), "{}", oxidot.log());
    let up = scene.prometheus.wait_for_samples("up{job=\"otel-collector\"}[1h]", 1);
    assert!(up.values().flatten().all(|(_, value)| value == "1"), "{up:?}");
    assert!(!scene.prometheus.samples("{__name__=~\"otelcol_.*\",job=\"otel-collector\"}[1h]").is_empty());
    let sent = scene.prometheus.wait_for_samples("sent_total{job=\"shop\"}[1h]", 1);
    assert!(sent.values().flatten().all(|(_, value)| value == "7"), "{sent:?}");
    check(&scene);
}

#[test]
fn the_sigv4_block_of_prometheus_signs_in_an_exporter() {
    require!("prometheus");
    let Some(config) = seed("prometheus-remote-write.yml") else { return };
    let scene = scene(&require_python!(python()));
    // The block with its one level of keys, and the URL, as they stand in the file.
    let url = config.lines().find_map(|line| line.trim().strip_prefix("- url: ")).unwrap();
    let block: Vec<&str> = config.lines().skip_while(|line| !line.contains("sigv4:")).map(str::trim).collect();
    assert_eq!(block[0], "sigv4:");
    let block = block[1..].join(", ");
    let target = Target::start(|n| counters(5, n));
    let mut oxidot = Oxidot::start_with(
        &format!(
            "receivers: {{prometheus: {{config: {{scrape_configs: [{}]}}}}}}\n\
             exporters: {{prometheusremotewrite: {{endpoint: \"{url}\", keep_scraped_names: true, sigv4: {{{block}}}}}}}\n\
             service: {{pipelines: {{metrics: {{receivers: [prometheus], exporters: [prometheusremotewrite]}}}}}}\n",
            job("work", &target.address(), "1s")
        ),
        |command| environment(command, &scene.home, &scene.variables),
    );
    let work = scene.prometheus.wait_for_samples("work_total{job=\"work\"}[1h]", 2);
    assert_eq!(work.len(), 5);
    assert_eq!(oxidot.end().code(), Some(0), "{}", oxidot.log());
    check(&scene);
}

/// Everything was signed with the key, and accepted.
fn check(scene: &Scene) {
    scene.store.assert_nothing_bad();
    assert_eq!(scene.store.refusals(), 0);
    assert_eq!(scene.store.signers().into_iter().collect::<Vec<_>>(), std::slice::from_ref(&scene.key.id));
    assert!(scene.store.url().ends_with(PATH));
}
