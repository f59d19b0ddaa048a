#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};

use pipeline::component::{BuildContext, Extension as _, ExtensionContext, Program, ServiceStatus, Shared};
use pipeline::config::parse;
use pipeline::stop::StopSource;
use pipeline::telemetry::Telemetry;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::body::{available, rfc3339};
use super::failures::{FailureWatch, PipelineCheck};
use super::{DEFAULT_ENDPOINT, FACTORY, HealthCheck, HealthCheckConfig};

struct Running {
    address: SocketAddr,
    status: watch::Sender<ServiceStatus>,
    telemetry: Telemetry,
    stop: StopSource,
    task: JoinHandle<()>,
}

impl Running {
    async fn start(settings: &str) -> Self {
        let node = parse(&format!("endpoint: 127.0.0.1:0\n{settings}"), "t.yaml").unwrap();
        (FACTORY.validate)(&node).unwrap();
        let telemetry = Telemetry::default();
        let context = BuildContext {
            id: "health_check".parse().unwrap(),
            program: Program { name: "oxidot", version: "0" },
            telemetry: telemetry.clone(),
            shared: Shared::default(),
            signal: None,
        };
        let mut extension = HealthCheck::build(&node, &context).unwrap();
        let address = extension.bind().await.unwrap().unwrap();
        let (status, seen) = watch::channel(ServiceStatus::Starting);
        let stop = StopSource::default();
        let context = ExtensionContext { stop: stop.handle(), status: seen };
        let task = tokio::spawn(async move { Box::new(extension).run(context).await.unwrap() });
        Self { address, status, telemetry, stop, task }
    }

    /// Status, head and body of the answer to a probe.
    async fn probe(&self, path: &str) -> (u16, String, String) {
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_ascii_lowercase(), body.to_owned())
    }

    /// Probes until the status is `wanted`; the body then.
    async fn until(&self, wanted: u16) -> String {
        loop {
            let (status, _, body) = self.probe("/").await;
            if status == wanted {
                return body;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn stop(self) {
        self.stop.stop(Instant::now() + Duration::from_secs(5));
        self.task.await.unwrap();
    }
}

#[tokio::test]
async fn healthy_only_while_the_service_runs() {
    let running = Running::start("").await;
    let not_available = r#"{"status":"Server not available","upSince":"0001-01-01T00:00:00Z","uptime":""}"#;
    let (status, head, body) = running.probe("/").await;
    assert_eq!((status, body.as_str()), (503, not_available));
    assert!(head.contains("content-type: application/json"), "{head}");
    running.status.send(ServiceStatus::Ready).unwrap();
    let body: serde_json::Value = serde_json::from_str(&running.until(200).await).unwrap();
    assert_eq!(body["status"], "Server available");
    assert!(body["upSince"].as_str().unwrap().ends_with('Z') && body["uptime"].as_str().unwrap().ends_with('s'));
    assert_eq!(running.probe("/any/path?x=y").await.0, 200, "the default path is everything");
    running.status.send(ServiceStatus::Stopping).unwrap();
    assert_eq!(running.until(503).await, not_available);
    running.stop().await;
}

#[tokio::test]
async fn path_and_bodies_are_configurable() {
    let settings = "path: /health\nresponse_body:\n  healthy: all fine\n  unhealthy: not fine\n";
    let running = Running::start(settings).await;
    let (status, _, body) = running.probe("/health").await;
    assert_eq!((status, body.as_str()), (503, "not fine"));
    running.status.send(ServiceStatus::Ready).unwrap();
    while running.probe("/health").await.0 != 200 {}
    assert_eq!(running.probe("/health").await.2, "all fine");
    for other in ["/", "/health/", "/healthy"] {
        assert_eq!(running.probe(other).await.0, 404, "{other}");
    }
    running.stop().await;
}

#[tokio::test]
async fn failing_exporters_make_it_unhealthy_if_asked() {
    let check = "check_collector_pipeline:\n  enabled: true\n  interval: 2s\n  exporter_failure_threshold: 2\n";
    let running = Running::start(check).await;
    running.status.send(ServiceStatus::Ready).unwrap();
    running.until(200).await;
    let failures = |name, exporter| running.telemetry.counter(name, "Failures.", &[("exporter", exporter)]);
    let (a, b) = (failures(super::FAILURES[0], "a"), failures(super::FAILURES[1], "b"));
    let failing = async {
        loop {
            a.add(1000);
            b.inc();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        body = running.until(503) => assert!(body.contains("Server not available"), "{body}"),
        () = failing => {}
    }
    running.until(200).await;
    running.stop().await;
}

#[test]
fn failures_are_counted_as_often_as_the_counter_grows() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut watch = FailureWatch::new(PipelineCheck { interval: Duration::from_secs(300), threshold: 2 });
    let totals = [(0, 0.0), (1, 5000.0), (2, 5000.0), (3, 5001.0)];
    assert!(totals.iter().all(|(second, total)| !watch.observe(at(*second), *total)));
    assert!(watch.observe(at(4), 5002.0), "the third one is too many");
    assert!(watch.observe(at(300), 5002.0));
    assert!(!watch.observe(at(302), 5002.0), "the first is forgotten after the interval");
    assert!(!watch.observe(at(303), 10.0), "an exporter went away");
    assert!(watch.observe(at(303), 11.0));
}

#[test]
fn bodies_are_the_collectors() {
    let since = UNIX_EPOCH + Duration::new(1_709_210_096, 120_000_000);
    assert_eq!(rfc3339(since), "2024-02-29T12:34:56.12Z");
    assert_eq!(rfc3339(UNIX_EPOCH), "1970-01-01T00:00:00Z");
    assert_eq!(
        available(since, Duration::from_millis(61_200)),
        r#"{"status":"Server available","upSince":"2024-02-29T12:34:56.12Z","uptime":"1m1.2s"}"#
    );
}

#[test]
fn settings_are_checked() {
    let read = |text: &str| HealthCheckConfig::read(&parse(text, "t.yaml").unwrap());
    let error = |text: &str| read(text).unwrap_err().to_string();
    assert_eq!(error("path: health"), "t.yaml:1:1: path: bad config: path must start with /");
    assert!(error("endpoint: ''").contains("bad config: endpoint must be specified"));
    let threshold = error("check_collector_pipeline:\n  enabled: true\n  exporter_failure_threshold: 0\n");
    assert!(threshold.contains("exporter_failure_threshold expects a positive number"), "{threshold}");
    assert!(error("check_collector_pipeline:\n  enabled: true\n  interval: 0\n").contains("at least 1s"));
    assert!(read("check_collector_pipeline:\n  exporter_failure_threshold: 0\n").is_ok(), "it is off");
    assert!(error("endpint: x").contains("did you mean \"endpoint\"?"));
    let bare = read("").unwrap();
    assert_eq!((bare.path().as_str(), bare.check_collector_pipeline.check().is_none()), ("/", true));
    let settings = bare.http_server().settings(DEFAULT_ENDPOINT, &net::auth::Authenticators::default()).unwrap();
    assert_eq!(settings.endpoint, "0.0.0.0:13133");
}

proptest! {
    /// Every day is followed by another one.
    #[test]
    fn dates_ascend(seconds in 0u64..10_000_000_000) {
        let time = |seconds| rfc3339(UNIX_EPOCH + Duration::from_secs(seconds));
        prop_assert!(time(seconds) < time(seconds + 1));
        prop_assert!(time(seconds) < time(seconds + 86_400));
    }
}
