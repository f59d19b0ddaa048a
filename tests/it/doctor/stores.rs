//! Stores that are real, and exporters that do not sign.

use super::{Answering, config, doctor, signed, sts, with_keys};
use crate::support::oxidot::command;
use crate::support::prometheus::{prometheus, victoria_metrics};
use crate::support::require;
use crate::support::store::Store;

fn plain(url: &str) -> String {
    config(&format!("prometheusremotewrite: {{endpoint: \"{url}\"}}"), "")
}

#[test]
fn a_canary_is_one_sample_of_its_own_series() {
    let (store, sts) = (Store::accepting(), sts());
    let run = |flag: &str| {
        doctor(&signed(&store.url()), |command| {
            with_keys(&sts)(command);
            command.arg(flag);
        })
    };
    run("--set=service.telemetry.metrics.level=none").says(0, &["the store has taken an empty write"]);
    assert_eq!(store.accepted().len(), 0);
    run("--canary").says(0, &["the store has taken a write of one sample"]);
    let samples = store.accepted();
    let parts = ["__name__=\"oxidot_doctor_canary\"", "exporter=\"prometheusremotewrite\"", "instance=\""];
    let (_, values) = samples.with(&parts).next().unwrap();
    assert_eq!((samples.len(), values[0].1), (1, 1.0_f64.to_bits()));
}

#[test]
fn what_is_not_signed_is_reached_or_not_all_the_same() {
    let store = Answering::new(204, &[], "");
    let url = format!("http://user:hunter2@127.0.0.1:{}/api/v1/write?token=hunter3", store.server.port());
    let outcome = doctor(&plain(&url), |_| {});
    outcome.says(
        0,
        &[
            "signing ok requests are not signed",
            "write ok HTTP 204 No Content",
            "none of them signed for AWS: all is well.",
        ],
    );
    outcome.does_not_say(&["hunter", "credentials", "identity"]);
    assert!(store.requests()[0].header("authorization").unwrap().starts_with("Basic "));
    let strict = Answering::new(401, &[("WWW-Authenticate", "Bearer")], "no");
    let url = format!("http://127.0.0.1:{}/api/v1/write", strict.server.port());
    doctor(&plain(&url), |_| {})
        .says(1, &["it does not accept who asks (no)", "headers (Authorization, X-Scope-OrgID)"]);
    let elsewhere = Answering::new(404, &[], "404 page not found");
    let url = format!("http://127.0.0.1:{}/write", elsewhere.server.port());
    doctor(&plain(&url), |_| {})
        .says(1, &["The path /write of the endpoint is wrong", "Mimir and Cortex /api/v1/push"]);
}

#[test]
fn exporters_that_send_nowhere_are_passed_over() {
    doctor(&config("debug: {}", ""), |_| {}).says(
        0,
        &[
            "exporter \"debug\" endpoint note it sends to no other machine",
            "No exporter sends to another machine: all is well.",
        ],
    );
    doctor(&config("prometheus: {endpoint: '127.0.0.1:9464'}", ""), |_| {}).says(0, &["sends to no other machine"]);
}

#[test]
fn several_exporters_are_told_apart() {
    let (good, bad, sts) = (Answering::new(204, &[], ""), Answering::new(500, &[], ""), sts());
    let url = |store: &Answering| format!("http://127.0.0.1:{}/api/v1/write", store.server.port());
    let config = signed(&url(&good))
        .replace("exporters: {prometheusremotewrite", &format!("exporters: {{awsprometheusremotewrite/old: {{endpoint: \"{}\", aws_auth: {{region: eu-west-1, service: aps}}}}, prometheusremotewrite", url(&bad)))
        .replace("exporters: [prom", "exporters: [awsprometheusremotewrite/old, prom");
    doctor(&config, with_keys(&sts)).says(
        1,
        &[
            "exporter \"awsprometheusremotewrite/old\" -> ",
            "signing ok for aps in eu-west-1 (as configured), by awsprometheusremotewrite itself",
            "exporter \"prometheusremotewrite\" -> ",
            "2 exporters, signed for AWS: 1 has something to fix.",
        ],
    );
}

#[test]
fn prometheus_and_victoria_metrics_take_what_the_doctor_sends() {
    require!("prometheus", "victoria-metrics");
    let (prometheus, victoria) = (prometheus(""), victoria_metrics());
    for url in [prometheus.write_url(), victoria.write_url()] {
        doctor(&plain(&url), |_| {}).says(0, &["the store has taken an empty write"]);
        doctor(&plain(&url), |command| {
            command.arg("--canary");
        })
        .says(0, &["the store has taken a write of one sample"]);
    }
    let found = prometheus.wait_for_samples("oxidot_doctor_canary[1h]", 1);
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn the_command_line_knows_it() {
    let help = command(&["doctor", "--help"]).output().unwrap();
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    assert_eq!(help.status.code(), Some(0));
    assert!(text.contains("--canary") && text.contains("--config") && text.contains("exit code"), "{text}");
}
