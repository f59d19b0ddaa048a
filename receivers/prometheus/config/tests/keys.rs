//! Keys of the receiver and of jobs, one rule a test.

use super::*;
use crate::prometheus::config::{PrometheusConfig, ScrapeJob};
use std::sync::Arc;

fn receiver(yaml: &str) -> Result<ReceiverConfig, ConfigErrors> {
    ReceiverConfig::read(&parse(yaml, "c.yaml").unwrap(), "receivers::prometheus")
}

fn messages(errors: &ConfigErrors) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

fn jobs(yaml: &str) -> Vec<Arc<ScrapeJob>> {
    load(yaml, "test.yml").unwrap().1
}

#[test]
fn receiver_keys_and_defaults() {
    let yaml = "
config: {scrape_configs: [{job_name: a, static_configs: [{targets: [h:1], labels: {x: 1}}]}]}
initial_scrape_offset: 3s
scrape_on_shutdown: true
report_extra_scrape_metrics: true
use_start_time_metric: true
api_server: {enabled: false}
";
    let config = receiver(yaml).unwrap();
    let job = config.prometheus.jobs.first().unwrap();
    assert_eq!(config.initial_scrape_offset, Duration::from_secs(3));
    assert!(config.scrape_on_shutdown && !config.trim_metric_suffixes && job.extra_scrape_metrics);
    assert_eq!(job.fallback_protocol, Some(ScrapeProtocol::PrometheusText0));
    assert_eq!((job.interval, job.timeout), (Duration::from_secs(60), Duration::from_secs(10)));
    assert_eq!(config.warnings.len(), 2, "{:?}", config.warnings);
    let DiscoveryConfig::Static(groups) = job.discovery.first().unwrap() else { panic!("{:?}", job.discovery) };
    assert_eq!(groups.first().unwrap().labels.get("x"), Some("1"));
}

#[test]
fn a_receiver_without_jobs_is_refused() {
    for yaml in ["", "config:", "config: {global: {}}", "config: {scrape_configs: []}"] {
        let errors = receiver(yaml).unwrap_err();
        assert!(errors.to_string().contains("no Prometheus scrape_configs or target_allocator set"), "{errors}");
    }
}

#[test]
fn what_only_a_server_does_is_refused() {
    let yaml = "
config:
  rule_files: [a]
  remote_write: [{url: 'http://x'}]
  alerting: {alertmanagers: [{}], alert_relabel_configs: [{target_label: a}]}
  scrape_configs: [{job_name: a}]
target_allocator: {endpoint: x}
api_server: {enabled: true}
";
    let errors = receiver(yaml).unwrap_err();
    let text = errors.to_string();
    let features = "unsupported features:\n\talert_config.alertmanagers\n\talert_config.relabel_configs\n\t\
                    remote_write\n\trule_files";
    assert!(text.contains(features), "{text}");
    assert!(text.contains("c.yaml:7:1: receivers::prometheus::target_allocator: target_allocator cannot"), "{text}");
    assert!(text.contains("receivers::prometheus::api_server: api_server cannot be used"), "{text}");
}

#[test]
fn all_mistakes_are_found_at_once_and_where_they_are() {
    let yaml = "
config:
  globl: {}
  scrape_configs:
  - job_name: a
    metric_path: /x
    scrape_interval: 5
    sample_limit: -1
    relabel_configs: [{action: kep, source_labels: [x]}]
  - job_name: a
    tls_config: {key_file: x}
    http_sd_configs: [{url: ftp://x, refresh: 5s}]
";
    let errors = receiver(yaml).unwrap_err();
    let at = "receivers::prometheus::config";
    let expected = [
        format!("c.yaml:3:3: {at}: field globl not found in type config.plain; did you mean \"global\"?"),
        format!(
            "c.yaml:6:5: {at}::scrape_configs[0]: field metric_path not found in type config.ScrapeConfig; \
             did you mean \"metrics_path\"?"
        ),
        format!("c.yaml:7:22: {at}::scrape_configs[0]::scrape_interval: not a valid duration string: \"5\""),
        format!("c.yaml:8:19: {at}::scrape_configs[0]::sample_limit: cannot unmarshal !!int `-1` into uint"),
        format!("c.yaml:9:24: {at}::scrape_configs[0]::relabel_configs[0]::action: unknown relabel action \"kep\""),
        format!("c.yaml:10:5: {at}::scrape_configs[1]::job_name: found multiple scrape configs with job name \"a\""),
        format!(
            "c.yaml:11:5: {at}::scrape_configs[1]::tls_config: exactly one of cert or cert_file must be configured \
             when a client key is configured"
        ),
        format!("c.yaml:12:24: {at}::scrape_configs[1]::http_sd_configs[0]::url: URL scheme must be 'http' or 'https'"),
        format!(
            "c.yaml:12:38: {at}::scrape_configs[1]::http_sd_configs[0]: field refresh not found in type http.plain"
        ),
    ];
    let messages = messages(&errors);
    for (message, expected) in messages.iter().zip(&expected) {
        assert!(message.starts_with(expected.as_str()), "{message}\nexpected\n{expected}");
    }
    assert_eq!(messages.len(), expected.len(), "{messages:#?}");
}

#[test]
fn jobs_inherit_what_they_do_not_say() {
    let yaml = "
global: {scrape_interval: 20s, scrape_timeout: 15s, sample_limit: 5, body_size_limit: 1MB, extra_scrape_metrics: true,
  metric_name_validation_scheme: legacy, scrape_protocols: [PrometheusText0.0.4]}
scrape_configs:
- {job_name: a}
- {job_name: b, scrape_interval: 5s, sample_limit: 9, extra_scrape_metrics: false, scrape_protocols: [OpenMetricsText1.0.0],
   metric_name_validation_scheme: utf8}
";
    let jobs = jobs(yaml);
    let [a, b] = jobs.as_slice() else { panic!("{jobs:?}") };
    assert_eq!((a.interval.as_secs(), a.timeout.as_secs()), (20, 15));
    assert_eq!((b.interval.as_secs(), b.timeout.as_secs()), (5, 5));
    assert_eq!((a.limits.samples, b.limits.samples, b.limits.body_size), (5, 9, 1 << 20));
    assert_eq!((a.extra_scrape_metrics, b.extra_scrape_metrics), (true, false));
    assert_eq!((a.escaping.as_str(), b.escaping.as_str()), ("underscores", "allow-utf-8"));
    assert_eq!(a.accept, "text/plain;version=0.0.4;q=0.6,*/*;q=0.5");
    assert_eq!(b.accept, "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,*/*;q=0.5");
}

#[test]
fn formats_that_are_not_read_here_are_not_asked_for() {
    let jobs = jobs("scrape_configs: [{job_name: a, scrape_native_histograms: true}]");
    let job = jobs.first().unwrap();
    assert_eq!(job.protocols, ScrapeProtocol::DEFAULT_WITH_NATIVE_HISTOGRAMS);
    assert!(job.accept.starts_with("application/openmetrics-text;version=1.0.0;"), "{}", job.accept);
}

#[test]
fn equal_jobs_compare_equal_wherever_they_are_written() {
    let one = jobs("scrape_configs: [{job_name: a, relabel_configs: [{target_label: x, replacement: y}]}]");
    let same = jobs("\n\nscrape_configs:\n- relabel_configs:\n  - {replacement: y, target_label: x}\n  job_name: a\n");
    let other = jobs("scrape_configs: [{job_name: a, relabel_configs: [{target_label: x, replacement: z}]}]");
    assert_eq!(one, same);
    assert_ne!(one, other);
}

#[test]
fn relative_paths() {
    let yaml = "
scrape_configs:
- job_name: a
  authorization: {credentials_file: token}
  tls_config: {cert_file: /abs, key_file: key}
  file_sd_configs: [{files: ['t/*.json']}]
";
    let read = |base: PathBase| {
        let node = parse(yaml, "/etc/p/prometheus.yml").unwrap();
        let options = super::super::ReadOptions { paths: base, ..Default::default() };
        format!("{:?}", PrometheusConfig::read(&node, "", &options).unwrap().jobs)
    };
    let (beside, as_written) = (read(PathBase::FileDirectory), read(PathBase::WorkingDirectory));
    for path in ["\"/etc/p/token\"", "\"/abs\"", "\"/etc/p/key\"", "\"/etc/p/t/*.json\""] {
        assert!(beside.contains(path), "{path} in {beside}");
    }
    for path in ["\"token\"", "\"/abs\"", "\"key\"", "\"t/*.json\""] {
        assert!(as_written.contains(path), "{path} in {as_written}");
    }
}

#[test]
fn scrape_config_files_are_read_with_their_own_places() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let main = folder.path().join("main.yml");
    let read = |yaml: &str| load(yaml, &main.to_string_lossy());
    let pattern = "scrape_config_files: ['jobs-*.yml']\nscrape_configs: [{job_name: m}]\n";
    assert_eq!(read(pattern).unwrap().1.len(), 1, "no file is no mistake");

    write("jobs-1.yml", "scrape_configs:\n- job_name: a\n  bearer_token_file: token\n");
    write("jobs-2.yml", "scrape_configs:\n- job_name: b\n  scrape_interval: 7s\n");
    let (_, jobs) = read(pattern).unwrap();
    let names: Vec<&str> = jobs.iter().map(|job| job.job_name.as_ref()).collect();
    assert_eq!(names, ["m", "a", "b"]);
    let token = folder.path().join("token");
    assert!(format!("{:?}", jobs[1].client).contains(&format!("{token:?}")));

    write("jobs-2.yml", "scrape_configs:\n- job_name: m\n- job_name: a\n- job_nam: c\n");
    let errors = read(pattern).unwrap_err();
    let file = folder.path().join("jobs-2.yml").display().to_string();
    let first = folder.path().join("jobs-1.yml").display().to_string();
    let expected = [
        format!(
            "{file}:2:3: scrape_configs[0]::job_name: found multiple scrape configs with job name \"m\", first found \
             in main config file"
        ),
        format!(
            "{file}:3:3: scrape_configs[1]::job_name: found multiple scrape configs with job name \"a\", first found \
             in \"{first}\""
        ),
    ];
    let messages = messages(&errors);
    assert_eq!(messages.get(..2).unwrap(), expected);
    assert!(messages[2].contains("field job_nam not found in type config.ScrapeConfig"), "{messages:#?}");
}

#[test]
fn missing_credential_files_stop_the_start() {
    let yaml = "
scrape_configs:
- job_name: a
  authorization: {credentials_file: /nowhere/token}
  tls_config: {cert_file: /nowhere/cert, key_file: /nowhere/key, ca_file: /nowhere/ca}
";
    let errors = jobs(yaml).first().unwrap().check_files().unwrap_err();
    let messages: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let expected =
        [("authorization credentials file", "token"), ("client cert file", "cert"), ("client key file", "key")];
    let expected = expected.map(|(what, name)| {
        format!("error checking {what} \"/nowhere/{name}\": stat /nowhere/{name}: no such file or directory")
    });
    assert_eq!(messages, expected);
    assert!(jobs("scrape_configs: [{job_name: a, bearer_token: x}]").first().unwrap().check_files().is_ok());
}

#[test]
fn null_in_rules_is_the_empty_text() {
    let jobs = jobs("scrape_configs: [{job_name: a, relabel_configs: [{regex: , source_labels: [x], action: keep}]}]");
    let mut labels = prometheus::labels::LabelsBuilder::new();
    labels.set("x", "1");
    assert!(!jobs.first().unwrap().relabel.apply(&mut labels));
    labels.clear();
    labels.set("y", "1");
    assert!(jobs.first().unwrap().relabel.apply(&mut labels));
}

#[test]
fn secrets_do_not_show() {
    let yaml = "
scrape_configs:
- job_name: a
  basic_auth: {username: u, password: hunter2}
  http_sd_configs: [{url: 'http://u:hunter2@h/', authorization: {credentials: hunter2}}]
";
    let jobs = jobs(yaml);
    let DiscoveryConfig::Http(http) = jobs.first().unwrap().discovery.first().unwrap() else { panic!("{jobs:?}") };
    assert!(!http.shown_url().contains("hunter2"));
    assert!(!format!("{jobs:?}").contains("hunter2"), "{jobs:?}");
}

#[test]
fn a_misspelt_job_name_is_one_problem() {
    let errors = receiver("config: {scrape_configs: [{job_nam: a}]}").unwrap_err();
    assert_eq!(errors.len(), 1, "{errors}");
    assert!(errors.to_string().contains("field job_nam not found"), "{errors}");
    assert!(errors.to_string().contains(r#"did you mean "job_name"?"#), "{errors}");
    let errors = receiver("config: {scrape_configs: [{metrics_pat: /a}]}").unwrap_err();
    assert_eq!(errors.len(), 2, "an unrelated typo does not excuse the missing name: {errors}");
}
