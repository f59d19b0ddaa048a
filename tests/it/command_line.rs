//! The command line: what it prints, where, and with which exit code.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output};

use crate::support::http::{self, Reply, Server};
use crate::support::oxidot::{Oxidot, command, total};
use crate::support::process::Program;
use crate::support::{free_port, wait_for, wait_until};

/// A configuration with secrets in it.
const CONFIG: &str = "\
receivers:
  prometheus:
    config:
      scrape_configs:
        - job_name: j
          basic_auth: {username: me, password: hunter2}
          static_configs: [{targets: ['127.0.0.1:9']}]
exporters:
  prometheusremotewrite:
    endpoint: http://127.0.0.1:9/api/v1/write
    headers: {X-Token: hunter3}
service:
  pipelines:
    metrics: {receivers: [prometheus], exporters: [prometheusremotewrite]}
";

/// A file with this text, and the directory it is in.
fn file(text: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.yaml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_string_lossy().into_owned();
    (directory, path)
}

fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_valid_configuration_is_passed_without_a_word() {
    let (_directory, path) = file(CONFIG);
    assert_eq!(run(&mut command(&["validate", "--config", &path])), (Some(0), String::new(), String::new()));
    assert_eq!(run(&mut command(&["-config", &path, "validate"])), (Some(0), String::new(), String::new()));
}

#[test]
fn a_key_that_is_wrong_hides_no_other() {
    let text = "\
receivers:
  otlp:
    protocols:
      grpc: {endpoint: nowhere, mistake: 1}
exporters:
  prometheusremotewrite:
    endpoint: store/api/v1/write
    timeot: 5s
    max_batch_size_bytes: many
    headers: {X-Prometheus-Remote-Write-Version: '1'}
  otlphttp: {encoding: xml, mistake: 1}
service:
  pipelines:
    metrics: {receivers: [otlp], exporters: [prometheusremotewrite, otlphttp]}
";
    let (_directory, path) = file(text);
    let (code, _, stderr) = run(&mut command(&["validate", "--config", &path]));
    let lines: Vec<&str> =
        stderr.lines().filter_map(|line| line.strip_prefix(&format!("{path}:"))?.split(':').next()).collect();
    assert_eq!((code, lines), (Some(1), vec!["4", "4", "7", "8", "9", "10", "11", "11", "11"]), "{stderr}");
}

#[test]
fn addresses_to_listen_on_are_checked_before_anything_listens() {
    let text = "\
receivers:
  otlp:
    protocols:
      grpc: {endpoint: localhost}
      http: {endpoint: 'http://0.0.0.0:4318'}
  prometheusremotewrite: {endpoint: gateway, transport: tcp4}
exporters:
  prometheus: {endpoint: '0.0.0.0'}
extensions:
  health_check: {endpoint: 'localhost:port'}
service:
  extensions: [health_check]
  telemetry: {metrics: {address: localhost}}
  pipelines:
    metrics: {receivers: [otlp, prometheusremotewrite], exporters: [prometheus]}
";
    let (_directory, path) = file(text);
    let (code, _, stderr) = run(&mut command(&["validate", "--config", &path]));
    assert_eq!(code, Some(1));
    for (line, parts) in [
        (4, ["receivers::otlp::protocols::grpc::endpoint", "missing port in address"]),
        (5, ["receivers::otlp::protocols::http::endpoint", "leave out http:// and write 0.0.0.0:4318"]),
        (6, ["receivers::prometheusremotewrite::endpoint", "such as gateway:"]),
        (8, ["exporters::prometheus::endpoint", "missing port in address"]),
        (10, ["extensions::health_check::endpoint", "invalid port in address"]),
        (13, ["service::telemetry::metrics::address", "write host:port"]),
    ] {
        let told = stderr
            .lines()
            .any(|told| told.contains(&format!("{path}:{line}:")) && parts.iter().all(|part| told.contains(part)));
        assert!(told, "{line} {parts:?} is not in {stderr}");
    }
}

#[test]
fn all_mistakes_are_told_at_once_with_their_places() {
    let broken = CONFIG
        .replace("job_name: j", "job_nam: j")
        .replace("    endpoint: http", "    endpont: http")
        .replace("exporters: [prometheusremotewrite]", "exporters: [prometheusremotewrit, debug]");
    let (_directory, path) = file(&broken);
    for arguments in [&["validate", "--config", &path][..], &["--config", &path][..]] {
        let (code, stdout, stderr) = run(&mut command(arguments));
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
        let told = |place: &str, parts: &[&str]| {
            let place = format!("{path}:{place}: ");
            let mut lines = stderr.lines().filter(|line| line.contains(&place));
            assert!(
                lines.any(|line| parts.iter().all(|part| line.contains(part))),
                "{place}{parts:?} is not in {stderr}"
            );
        };
        told("5:11", &["job_nam", "did you mean", "job_name"]);
        told("10:5", &["endpont", "did you mean", "endpoint"]);
        told("14:52", &["references exporter \"prometheusremotewrit\" which is not configured", "did you mean"]);
        told("14:74", &["references exporter \"debug\" which is not configured"]);
    }
}

/// At three in the morning the reason is wanted, not what followed from it.
#[test]
fn a_mistake_that_a_missing_variable_has_made_says_so() {
    for (written, reason) in [
        ("${OXIDOT_TEST_MISSING}", "configuration references unset environment variable \"OXIDOT_TEST_MISSING\""),
        (
            "$OXIDOT_TEST_MISSING",
            "\"$OXIDOT_TEST_MISSING\" was left as it is: no environment variable of that name is set",
        ),
    ] {
        let (_directory, path) = file(&CONFIG.replace("http://127.0.0.1:9/api/v1/write", written));
        let (code, _, stderr) = run(&mut command(&["validate", "--config", &path]));
        assert_eq!(code, Some(1));
        let [line] = stderr.lines().collect::<Vec<_>>()[..] else { panic!("one problem is one line: {stderr}") };
        assert!(line.contains(":10:") && line.contains("endpoint") && line.contains(reason), "{stderr}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let (code, _, stderr) = run(&mut command(&["--config", "/nowhere/c.yaml"]));
    assert_eq!(code, Some(1));
    assert!(stderr.contains("/nowhere/c.yaml"), "{stderr}");
}

#[test]
fn the_components_are_listed() {
    let (code, stdout, stderr) = run(&mut command(&["components"]));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    for name in ["prometheus", "prometheusremotewrite", "batch", "memory_limiter", "relabel", "debug", "health_check"] {
        assert!(stdout.contains(&format!("- name: {name}\n")), "{name} is not in {stdout}");
    }
}

#[test]
fn the_version_is_told() {
    for flag in ["--version", "-version"] {
        let (code, stdout, _) = run(&mut command(&[flag]));
        assert_eq!((code, stdout), (Some(0), format!("oxidot version {}\n", env!("CARGO_PKG_VERSION"))));
    }
}

#[test]
fn a_printed_configuration_has_its_secrets_hidden_unless_asked() {
    let (_directory, path) = file(CONFIG);
    let (code, stdout, _) = run(&mut command(&["print-config", "--config", &path]));
    assert_eq!(code, Some(0));
    assert!(!stdout.contains("hunter"), "{stdout}");
    assert!(stdout.contains("username: me"), "{stdout}");
    let (code, stdout, _) = run(&mut command(&["print-config", "--config", &path, "--mode", "unredacted"]));
    assert_eq!(code, Some(0));
    assert!(stdout.contains("hunter2") && stdout.contains("hunter3"), "{stdout}");
    let (code, stdout, _) = run(&mut command(&["print-config", "--config", &path, "--format", "json"]));
    assert_eq!(code, Some(0));
    assert!(!stdout.contains("hunter"), "{stdout}");
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(json["exporters"]["prometheusremotewrite"]["endpoint"], "http://127.0.0.1:9/api/v1/write");
}

#[test]
fn later_files_and_settings_win() {
    let (_first, first) = file(CONFIG);
    let (_second, second) = file("exporters: {prometheusremotewrite: {timeout: 7s, namespace: second}}\n");
    let arguments = [
        "print-config",
        "--config",
        &first,
        "--config",
        &second,
        "--set",
        "exporters.prometheusremotewrite.namespace=set",
    ];
    let (code, stdout, stderr) = run(&mut command(&arguments));
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("timeout: 7s") && stdout.contains("namespace: set"), "{stdout}");
    assert!(stdout.contains("endpoint: http://127.0.0.1:9/api/v1/write"), "{stdout}");
}

#[test]
fn the_environment_variable_of_adot_replaces_files_and_settings() {
    let mut with_content =
        command(&["print-config", "--config", "/nowhere/c.yaml", "--set", "exporters.debug.verbosity=normal"]);
    let (code, stdout, stderr) = run(with_content.env("AOT_CONFIG_CONTENT", CONFIG));
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("http://127.0.0.1:9/api/v1/write") && !stdout.contains("verbosity"), "{stdout}");
    let broken = CONFIG.replace("endpoint", "endpont");
    let (code, _, stderr) = run(command(&[]).env("AOT_CONFIG_CONTENT", broken));
    assert_eq!(code, Some(1));
    assert!(stderr.contains("10:5: ") && stderr.contains("endpont"), "{stderr}");
}

#[test]
fn feature_gates_are_known_or_refused() {
    let (_directory, path) = file(CONFIG);
    let known = "--feature-gates=exporter.prometheusremotewritexporter.RetryOn429";
    let (code, _, stderr) = run(&mut command(&["validate", "--config", &path, known]));
    assert_eq!(code, Some(0), "{stderr}");
    let unknown = "--feature-gates=exporter.prometheusremotewritexporter.RetryOn42";
    let (code, _, stderr) = run(&mut command(&["validate", "--config", &path, unknown]));
    assert_eq!(code, Some(1));
    assert!(stderr.contains("did you mean") && stderr.contains("RetryOn429"), "{stderr}");
}

#[test]
fn the_health_check_tells_by_its_exit_code() {
    let port = free_port();
    let probe = |port: u16| run(&mut command(&["healthcheck", "--port", &port.to_string()]));
    let (code, _, stderr) = probe(port);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("unable to retrieve health status"), "{stderr}");
    let health = format!("extensions: {{health_check: {{endpoint: '127.0.0.1:{port}'}}}}\n");
    let config = CONFIG.replace("service:\n", &format!("{health}service:\n  extensions: [health_check]\n"));
    let _oxidot = Oxidot::start(&config);
    wait_until("health", || probe(port).0 == Some(0));
    let (code, stdout, stderr) = probe(port);
    assert_eq!((code, stdout.as_str()), (Some(0), ""));
    assert!(stderr.ends_with(" STATUS: 200\n"), "{stderr}");
    // Called by the name that it has in ADOT's image.
    let (code, _, stderr) = run(command(&["-port", &port.to_string()]).arg0("healthcheck"));
    assert_eq!(code, Some(0), "{stderr}");
    let ill = Server::start(|_| Reply::status(503, "ill"));
    let (code, _, stderr) = probe(ill.port());
    assert_eq!(code, Some(1));
    assert!(stderr.ends_with(" STATUS: 503\n"), "{stderr}");
    for wrong in ["0", "65536", "-1", "http"] {
        assert_eq!(run(&mut command(&["healthcheck", "--port", wrong])).0, Some(1));
    }
}

#[test]
fn without_a_configuration_it_shows_the_main_job_on_itself() {
    let mut program = Program::start(&mut command(&[]));
    let line = program.wait_for_line("what arrived");
    let port = line.split("127.0.0.1:").nth(1).and_then(|rest| rest.split('/').next()).unwrap().parse().unwrap();
    wait_until("up on the page of what arrived", || {
        http::get(port, "/metrics").is_some_and(|answer| total(&answer.body, "up", &["job=\"oxidot\""]) == 1.0)
    });
    wait_for("a line about what was delivered", || {
        let output = program.output();
        let line = output.lines().rfind(|line| line.starts_with("delivered "))?;
        let samples: u64 = line.split(' ').nth(1)?.parse().ok()?;
        (samples > 0).then_some(())
    });
    program.signal("INT");
    let code = program.wait().code();
    let output = program.output();
    assert_eq!(code, Some(0), "{output}");
    // The store ends last, so all is delivered without a failure.
    assert!(!["\twarn\t", "\terror\t"].iter().any(|level| output.contains(level)), "{output}");
}

#[test]
fn a_port_in_use_is_named_and_ends_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (_directory, path) =
        file(&CONFIG.replace("service:\n", &format!("service:\n  telemetry: {{metrics: {{address: '{address}'}}}}\n")));
    let (code, _, stderr) = run(&mut command(&["--config", &path]));
    assert_eq!(code, Some(1));
    assert!(stderr.contains(&address), "{stderr}");
}
