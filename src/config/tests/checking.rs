//! What makes a service, and every message about what does not.

use super::*;

const GOOD: &str = "
extensions:
  health_check:
receivers:
  otlp:
  prometheus/app: {config: {scrape_configs: []}}
processors:
  batch:
    timeout: 1s
exporters:
  prometheusremotewrite/amp: {endpoint: 'http://x'}
  debug:
service:
  extensions: [health_check]
  pipelines:
    metrics:
      receivers: [otlp, prometheus/app]
      processors: [batch]
      exporters: [prometheusremotewrite/amp, debug]
    traces/all: {receivers: [otlp], exporters: debug}
";

fn read(text: &str) -> Result<ServiceConfig, ConfigErrors> {
    read_with(text, false)
}

fn read_with(text: &str, allow_no_pipelines: bool) -> Result<ServiceConfig, ConfigErrors> {
    ServiceConfig::read(&pipeline::config::parse(text, "t.yaml").unwrap(), &Types, allow_no_pipelines)
}

fn errors(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

/// A good file with parts of it replaced.
fn changed(changes: &[(&str, &str)]) -> String {
    let mut text = GOOD.trim_start().to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    text
}

#[test]
fn a_good_file_is_taken_apart() {
    let config = read(GOOD).unwrap();
    let ids = |components: &Components| components.keys().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    assert_eq!(ids(&config.receivers), "otlp prometheus/app");
    assert_eq!(ids(&config.exporters), "debug prometheusremotewrite/amp");
    assert_eq!(ids(config.components(ComponentKind::Extension)), "health_check");
    assert_eq!(config.enabled_extensions.len(), 1);
    let amp = config.exporters.values().find(|component| component.id.name() == "amp").unwrap();
    assert_eq!(amp.component_type.canonical, "prometheus_remote_write");
    assert_eq!(amp.body.get("endpoint").unwrap().as_text(), Some("http://x"));
    let pipelines: Vec<String> = config.pipelines.iter().map(|pipeline| pipeline.id.to_string()).collect();
    assert_eq!(pipelines, ["metrics", "traces/all"]);
    assert_eq!(config.pipelines[0].receivers.len(), 2);
    assert_eq!(config.pipelines[1].exporters[0].to_string(), "debug");
    assert!(config.warnings.is_empty());
}

#[test]
fn all_problems_of_a_file_are_reported_at_once() {
    let text = "\
recievers: {}
receivers:
  otlpp:
  1bad:
  otlp:
processors:
  batch:
    timout: 1s
    send_batch_size: -5
  batch/list: []
exporters:
  prometheusremotewrite:
  logging: {loglevel: debug}
extensions:
  health_check:
service:
  extensions: [healthcheck]
  pipeline: {}
  telemetry:
    logs: {level: loud}
  pipelines:
    metrics:
      recievers: [otlp]
      receivers: [otlp/2, otlpp]
      processors: [batch, batch, memory_limiter]
      exporters: [prometheus_remote_write]
    traces:
      receivers: [otlp]
      exporters: [prometheusremotewrite]
    metric:
      receivers: [otlp]
    logs:
";
    assert_eq!(
        errors(text),
        r#"t.yaml:1:1: has invalid keys: recievers; did you mean "receivers"?
t.yaml:3:3: receivers: unknown type: "otlpp" for id: "otlpp" (valid values: [otlp prometheus]); did you mean "otlp"?
t.yaml:4:3: receivers: in "1bad" id: invalid character(s) in type "1bad"
t.yaml:8:5: processors::batch: has invalid keys: timout; did you mean "timeout"?
t.yaml:9:22: processors::batch::send_batch_size: expected a non-negative integer, got the integer -5
t.yaml:10:3: processors::batch/list: error reading configuration for "batch/list": expected a mapping
t.yaml:13:3: exporters: unknown type: "logging" for id: "logging" (valid values: [debug prometheus_remote_write])
t.yaml:17:16: service::extensions: references extension "healthcheck" which is not configured; did you mean "health_check"?
t.yaml:18:3: service: has invalid keys: pipeline; did you mean "pipelines"?
t.yaml:20:19: service::telemetry::logs::level: unknown value "loud" (valid values: debug, info, warn, error, fatal)
t.yaml:23:7: service::pipelines::metrics: has invalid keys: recievers; did you mean "receivers"?
t.yaml:24:19: service::pipelines::metrics: references receiver "otlp/2" which is not configured; did you mean "otlp"?
t.yaml:25:27: service::pipelines::metrics: references processor "batch" multiple times
t.yaml:25:34: service::pipelines::metrics: references processor "memory_limiter" which is not configured
t.yaml:26:19: service::pipelines::metrics: references exporter "prometheus_remote_write" which is not configured; did you mean "prometheusremotewrite"?
t.yaml:29:19: service::pipelines::traces: failed to create "prometheusremotewrite" exporter for data type "traces": telemetry type is not supported
t.yaml:30:5: service::pipelines: pipeline "metric": unknown signal "metric" (valid values: metrics, traces, logs); did you mean "metrics"?
t.yaml:32:5: service::pipelines::logs: must have at least one receiver
t.yaml:32:5: service::pipelines::logs: must have at least one exporter"#
    );
}

#[test]
fn what_is_missing_is_said() {
    assert_eq!(errors(""), "t.yaml:1:1: empty configuration file");
    assert_eq!(
        errors("receivers:\nexporters: {}\nservice:\n"),
        "t.yaml:1:1: empty configuration file\n\
         t.yaml:3:1: service::pipelines: service must have at least one pipeline"
    );
    let none = errors("processors: {batch: }\n");
    for part in [
        "receivers: no receiver configuration specified in config",
        "exporters: no exporter configuration specified in config",
        "service::pipelines: service must have at least one pipeline",
    ] {
        assert!(none.contains(part), "{none}");
    }
    let without = "receivers: {otlp: }\nexporters: {debug: }\nservice: {pipelines: {}}\n";
    assert!(errors(without).contains("t.yaml:3:11: service::pipelines: service must have at least one pipeline"));
    assert!(read_with(without, true).unwrap().pipelines.is_empty());
}

#[test]
fn wrong_kinds_of_values_are_said() {
    for (changes, part) in [
        (&[("extensions:\n  health_check:", "extensions: [a]")][..], "extensions: expected a mapping of extension ids"),
        (
            &[("[otlp, prometheus/app]", "{a: b}")],
            "service::pipelines::metrics::receivers: expected a list of component ids",
        ),
        (
            &[("[otlp, prometheus/app]", "[otlp, [x], ~, 'a b/']")],
            "receivers: in \"a b/\" id: the part after / should not be empty",
        ),
        (&[("[otlp, prometheus/app]", "[otlp, [x]]")], "receivers: expected the id of a component"),
        (&[("[otlp, prometheus/app]", "[]")], "service::pipelines::metrics: must have at least one receiver"),
        (
            &[("    traces/all: {receivers: [otlp], exporters: debug}", "    traces/all: 5")],
            "expected a mapping of receivers, processors and exporters",
        ),
        (&[("  otlp:\n", "  otlp:\n  ' otlp ':\n")], "duplicate name \"otlp\" after trimming spaces"),
        (
            &[("extensions: [health_check]", "extensions: [health_check, health_check/2]")],
            "references extension \"health_check/2\" which is not configured",
        ),
    ] {
        let message = errors(&changed(changes));
        assert!(message.contains(part), "{part:?} is not in {message}");
    }
    assert!(errors("service: 5\nreceivers: {otlp: }\n").contains("service: expected a mapping of extensions"));
    assert!(errors("service: {pipelines: [a]}\n").contains("expected a mapping of pipeline ids to pipelines"));
}

#[test]
fn connectors_must_join_and_not_circle() {
    let file = |pipelines: &str| {
        format!(
            "receivers: {{otlp: }}\nexporters: {{debug: }}\nconnectors: {{forward: , forward/b: }}\nservice:\n  pipelines:\n{pipelines}"
        )
    };
    let good = "    metrics/in: {receivers: [otlp], exporters: [forward]}\n    metrics: {receivers: [forward], exporters: [debug]}\n";
    assert_eq!(read(&file(good)).unwrap().pipelines.len(), 2);
    let loose = "    metrics: {receivers: [otlp], exporters: [forward]}\n";
    assert_eq!(
        errors(&file(loose)),
        "t.yaml:3:14: connectors::forward: connector \"forward\" used as exporter in [metrics] pipeline but not used \
         in any supported receiver pipeline"
    );
    let open = "    metrics: {receivers: [forward], exporters: [debug]}\n";
    assert!(
        errors(&file(open))
            .contains("used as receiver in [metrics] pipeline but not used in any supported exporter pipeline")
    );
    let circle = "    metrics/a: {receivers: [otlp, forward/b], exporters: [forward]}\n    metrics/b: {receivers: [forward], exporters: [forward/b]}\n";
    assert_eq!(
        errors(&file(circle)),
        "t.yaml:6:5: service::pipelines::metrics/a: cycle detected: connector \"forward\" (metrics to metrics) -> connector \"forward/b\" (metrics to metrics) \
         -> connector \"forward\" (metrics to metrics)"
    );
    let own = "    metrics: {receivers: [otlp, forward], exporters: [debug, forward]}\n";
    let itself =
        "cycle detected: connector \"forward\" (metrics to metrics) -> connector \"forward\" (metrics to metrics)";
    assert!(errors(&file(own)).contains(itself));
    let other_signals = "    metrics: {receivers: [otlp], exporters: [forward]}\n    traces: {receivers: [forward], exporters: [debug]}\n";
    assert!(errors(&file(other_signals)).contains("\"forward\" used as exporter in [metrics] pipeline but not used"));
    assert!(errors(&file(other_signals)).contains("\"forward\" used as receiver in [traces] pipeline but not used"));
    let both_ways = "    metrics: {receivers: [otlp], exporters: [forward]}\n    metrics/b: {receivers: [forward], exporters: [debug]}\n    \
                     traces: {receivers: [forward], exporters: [debug]}\n    traces/b: {receivers: [otlp], exporters: [forward]}\n";
    assert_eq!(read(&file(both_ways)).unwrap().pipelines.len(), 4);
    struct Both;
    impl ComponentTypes for Both {
        fn resolve(&self, _: ComponentKind, name: &str) -> Option<ComponentType> {
            (name == "forward").then_some(ComponentType { canonical: "forward", signals: ALL })
        }
        fn names(&self, _: ComponentKind) -> Vec<&'static str> {
            vec!["forward"]
        }
        fn validate(&self, _: ComponentKind, _: &str, _: &Node) -> Result<(), ConfigErrors> {
            Ok(())
        }
    }
    let text = "receivers: {forward: }\nconnectors: {forward: }\nexporters: {forward/x: }\n\
                service: {pipelines: {metrics: {receivers: [forward], exporters: [forward/x]}}}";
    let error =
        ServiceConfig::read(&pipeline::config::parse(text, "t").unwrap(), &Both, false).unwrap_err().to_string();
    assert!(
        error.contains("connectors::forward: ambiguous ID: Found both \"forward\" receiver and \"forward\" connector."),
        "{error}"
    );
}

fn telemetry(text: &str) -> Result<ServiceConfig, ConfigErrors> {
    read(&changed(&[("service:\n", &format!("service:\n  telemetry: {text}\n"))]))
}

#[test]
fn telemetry_has_the_collectors_defaults() {
    let defaults = read(GOOD).unwrap().telemetry;
    assert_eq!((defaults.logs.level, defaults.logs.encoding), (LogLevel::Info, Encoding::Console));
    assert_eq!((&defaults.logs.output_paths.0, defaults.logs.sampling.initial), (&vec!["stderr".to_owned()], 10));
    assert_eq!(defaults.metrics.pages(), [PrometheusPull::default()]);
    let full = telemetry(
        "{logs: {level: DEBUG, encoding: json, output_paths: [stdout, /x], sampling: {enabled: false}, \
         initial_fields: {a: 1}, development: true}, metrics: {level: detailed, readers: [{pull: {exporter: \
         {prometheus: {host: 0.0.0.0, port: 9999}}}}]}, resource: {service.name: x, service.version: , n: 5}}",
    )
    .unwrap();
    let config = full.telemetry;
    assert_eq!((config.logs.level, config.logs.encoding), (LogLevel::Debug, Encoding::Json));
    assert_eq!(config.metrics.level, MetricsLevel::Detailed);
    let pages = config.metrics.pages();
    assert_eq!((pages[0].host.as_str(), pages[0].port, pages[0].without_units), ("0.0.0.0", 9999, true));
    let resource: Vec<_> = config.resource_attributes.into_iter().collect();
    let text = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
    assert_eq!(resource, [text("n", "5"), text("service.name", "x"), ("service.version".to_owned(), None)]);
    assert!(full.warnings.is_empty());
    assert!(telemetry("{metrics: {level: none}}").unwrap().telemetry.metrics.pages().is_empty());
    assert!(telemetry("{metrics: {readers: []}}").unwrap().telemetry.metrics.pages().is_empty());
    let bare = telemetry("{metrics: {readers: [{pull: {exporter: {prometheus: }}}]}}").unwrap();
    assert_eq!(bare.telemetry.metrics.pages(), [PrometheusPull::default()]);
    let listed = telemetry("{resource: {attributes: [{name: a, value: b}]}}").unwrap();
    assert_eq!(listed.telemetry.resource_attributes["a"].as_deref(), Some("b"));
}

#[test]
fn old_telemetry_settings_are_read_with_a_warning() {
    for (address, host, port) in [
        ("0.0.0.0:8888", "0.0.0.0", 8888),
        (":9000", "0.0.0.0", 9000),
        ("'[::1]:1'", "::1", 1),
        ("localhost:2", "localhost", 2),
    ] {
        let config = telemetry(&format!("{{metrics: {{address: {address}}}}}")).unwrap();
        let pages = config.telemetry.metrics.pages();
        assert_eq!((pages[0].host.as_str(), pages[0].port), (host, port));
        assert_eq!(config.warnings.len(), 1);
        assert!(
            config.warnings[0].to_string().contains("service::telemetry::metrics::address: address is the old form")
        );
    }
    let quiet = telemetry("{traces: {level: none}}").unwrap();
    assert!(quiet.warnings.is_empty());
    let traces = telemetry("{traces: {processors: [{batch: }]}}").unwrap();
    assert!(traces.warnings[0].to_string().contains("service::telemetry::traces: has no effect here"));
}

#[test]
fn telemetry_mistakes_are_errors() {
    for (text, part) in [
        ("{metrics: {address: nonsense}}", "metrics::address: \"nonsense\" is no address"),
        ("{metrics: {readers: [{periodic: {}}]}}", "metrics::readers: reader 0: a periodic reader cannot be served"),
        ("{metrics: {levl: none}}", "service::telemetry::metrics: has invalid keys: levl; did you mean \"level\"?"),
        ("{logs: {sampling: {tick: 0s}}}", "logs::sampling::tick: must be greater than zero"),
        ("{resource: [a]}", "service::telemetry::resource: expected a mapping, got a list"),
        ("5", "service::telemetry: expected a mapping"),
    ] {
        let message = telemetry(text).unwrap_err().to_string();
        assert!(message.contains(part), "{part:?} is not in {message}");
    }
}

#[test]
fn authenticators_have_to_run() {
    let auth = "{endpoint: 'http://x', auth: {authenticator: sigv4auth}}";
    let with = |extensions: &str, more: &str| {
        changed(&[
            ("{endpoint: 'http://x'}", auth),
            ("extensions: [health_check]", extensions),
            ("  health_check:\n", more),
        ])
    };
    let missing = errors(&with("extensions: [health_check]", "  health_check:\n"));
    assert!(
        missing.contains("exporters::prometheusremotewrite/amp::auth::authenticator: failed to resolve authenticator \"sigv4auth\": authenticator not found"),
        "{missing}"
    );
    // It is configured, and does not run.
    let idle = errors(&with("extensions: [health_check]", "  health_check:\n  sigv4auth:\n"));
    assert!(idle.contains("list it under service::extensions"), "{idle}");
    read(&with("extensions: [health_check, sigv4auth]", "  health_check:\n  sigv4auth:\n")).unwrap();
    // What does not run needs nobody.
    let unused = changed(&[("{endpoint: 'http://x'}", auth), ("[prometheusremotewrite/amp, debug]", "[debug]")]);
    read(&unused).unwrap();
}
