//! The real programs: Prometheus as store, scraper and agent, node_exporter, and VictoriaMetrics.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value as Json;

use super::process::Program;
use super::{free_port, http, wait_for, wait_until};

/// Labels of a series.
pub(crate) type Labels = BTreeMap<String, String>;
/// Time in seconds and value, both as the API writes them.
pub(crate) type Point = (f64, String);

/// Something that answers Prometheus' query API.
pub(crate) struct QueryServer {
    program: Program,
    port: u16,
    _directory: tempfile::TempDir,
}

/// Prometheus with its receiver for remote write, scraping `jobs` (flow mappings of `scrape_configs`).
pub(crate) fn prometheus(jobs: &str) -> QueryServer {
    prometheus_on(free_port(), jobs)
}

/// The same, on this port.
pub(crate) fn prometheus_on(port: u16, jobs: &str) -> QueryServer {
    let (directory, file) = config_file(&format!("scrape_configs: [{jobs}]\n"));
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={file}"))
        .arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .args([
            "--web.enable-remote-write-receiver",
            "--enable-feature=exemplar-storage,native-histograms",
            "--log.level=warn",
        ]);
    QueryServer::start(&mut command, directory, port, "/-/ready")
}

/// Prometheus as an agent that scrapes `jobs` and writes to `url`.
pub(crate) fn agent(jobs: &str, url: &str) -> QueryServer {
    let (directory, file) = config_file(&format!(
        "scrape_configs: [{jobs}]\nremote_write: [{{url: \"{url}\", queue_config: {{batch_send_deadline: 200ms}}}}]\n"
    ));
    let port = free_port();
    let mut command = Command::new("prometheus");
    command
        .arg("--enable-feature=agent")
        .arg(format!("--config.file={file}"))
        .arg(format!("--storage.agent.path={}", directory.path().join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--log.level=warn");
    QueryServer::start(&mut command, directory, port, "/-/ready")
}

/// VictoriaMetrics, whose answers hold the newest samples at once.
pub(crate) fn victoria_metrics() -> QueryServer {
    victoria_metrics_on(free_port())
}

/// The same, on this port.
pub(crate) fn victoria_metrics_on(port: u16) -> QueryServer {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new("victoria-metrics");
    command
        .arg(format!("-storageDataPath={}", directory.path().join("data").display()))
        .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
        .args(["-search.latencyOffset=0s", "-search.disableCache", "-retentionPeriod=1d"]);
    QueryServer::start(&mut command, directory, port, "/health")
}

/// node_exporter, and the port it listens on.
pub(crate) fn node_exporter() -> (Program, u16) {
    let port = free_port();
    let mut command = Command::new("prometheus-node-exporter");
    command.arg(format!("--web.listen-address=127.0.0.1:{port}")).arg("--log.level=warn");
    let mut program = Program::start(&mut command);
    wait_until("node_exporter's page", || {
        program.assert_running();
        http::get(port, "/metrics").is_some_and(|answer| answer.status == 200)
    });
    (program, port)
}

fn config_file(text: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("prometheus.yml");
    std::fs::write(&file, text).unwrap();
    let file = file.to_string_lossy().into_owned();
    (directory, file)
}

impl QueryServer {
    fn start(command: &mut Command, directory: tempfile::TempDir, port: u16, ready: &str) -> Self {
        let mut program = Program::start(command);
        wait_until(&format!("{command:?} to be ready"), || {
            program.assert_running();
            http::get(port, ready).is_some_and(|answer| answer.status == 200)
        });
        Self { program, port, _directory: directory }
    }

    /// Where it takes remote write.
    pub(crate) fn write_url(&self) -> String {
        format!("http://127.0.0.1:{}/api/v1/write", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn log(&self) -> String {
        self.program.output()
    }

    /// The answer of the API at `path`, which may have a query string.
    fn ask(&self, path: &str) -> Json {
        let answer = http::get(self.port, path).expect("the server answers");
        let json: Json = serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{path}: {}", answer.body));
        assert_eq!(json["status"], "success", "{path}: {}", answer.body);
        json["data"].clone()
    }

    /// The samples that a range selector like `up[1h]` stands for.
    pub(crate) fn samples(&self, selector: &str) -> BTreeMap<Labels, Vec<Point>> {
        let data = self.ask(&format!("/api/v1/query?query={}", http::escape(selector)));
        assert_eq!(data["resultType"], "matrix", "{selector}");
        let result = data["result"].as_array().unwrap();
        result.iter().map(|series| (labels(&series["metric"]), points(&series["values"]))).collect()
    }

    /// What a query comes to now, whatever it is, without the labels.
    pub(crate) fn results(&self, query: &str) -> Vec<Json> {
        let data = self.ask(&format!("/api/v1/query?query={}", http::escape(query)));
        let mut results = data["result"].as_array().unwrap().clone();
        for result in &mut results {
            // A moment's value bears the moment of the query.
            if let Some(moment) = ["value", "histogram"].iter().find_map(|key| result.get(key)?.get(1)) {
                *result = moment.clone();
            } else if let Some(fields) = result.as_object_mut() {
                fields.remove("metric");
            }
        }
        results
    }

    /// Exemplars by the labels of their series: labels, value and time of each as the API writes them.
    pub(crate) fn exemplars(&self, query: &str) -> BTreeMap<Labels, Vec<String>> {
        let data = self.ask(&format!("/api/v1/query_exemplars?start=0&end=9999999999&query={}", http::escape(query)));
        let of = |series: &Json| {
            let all = series["exemplars"].as_array().unwrap().iter().map(Json::to_string).collect();
            (labels(&series["seriesLabels"]), all)
        };
        data.as_array().unwrap().iter().map(of).collect()
    }

    /// Waits until `selector` stands for something with at least `samples` samples in each of its series, and gives it.
    pub(crate) fn wait_for_samples(&self, selector: &str, samples: usize) -> BTreeMap<Labels, Vec<Point>> {
        wait_for(&format!("{samples} samples of {selector}"), || {
            let found = self.samples(selector);
            (!found.is_empty() && found.values().all(|points| points.len() >= samples)).then_some(found)
        })
    }
}

fn labels(json: &Json) -> Labels {
    let text = |value: &Json| value.as_str().unwrap().to_owned();
    json.as_object().unwrap().iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

fn points(json: &Json) -> Vec<Point> {
    let point = |point: &Json| (point[0].as_f64().unwrap(), point[1].as_str().unwrap().to_owned());
    json.as_array().unwrap().iter().map(point).collect()
}
