//! Every file of `configs/` is valid as it is, and does what it says when it runs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::http::{self, Reply, Server};
use crate::support::oxidot::{command, own_metrics_at};
use crate::support::page::Target;
use crate::support::process::Program;
use crate::support::samples::{STALE, Samples};
use crate::support::store::Store;
use crate::support::{free_port, wait_until};

fn files() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

#[test]
fn every_file_is_valid_without_any_environment() {
    for file in files() {
        let output = command(&["validate", "--config", &file.to_string_lossy()]).env_clear().output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""), "{}", file.display());
    }
}

/// The blocks of YAML in a document that are configurations or parts of one.
fn configurations(document: &str) -> Vec<String> {
    let parts = ["receivers:", "processors:", "exporters:", "extensions:", "connectors:", "service:"];
    let blocks = document.split("```yaml\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    blocks.filter(|block| parts.iter().any(|part| block.starts_with(part))).map(|block| format!("{block}\n")).collect()
}

#[test]
fn every_configuration_in_the_documents_is_valid() {
    let directory = tempfile::tempdir().unwrap();
    let written = |name: &str, text: &str| {
        std::fs::write(directory.path().join(name), text).unwrap();
        directory.path().join(name).to_string_lossy().into_owned()
    };
    let secret = written("secret", "of nobody");
    let mut count = 0;
    for document in ["README.md", "docs/aws.md", "docs/configuration.md", "docs/operations.md"] {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(document)).unwrap();
        for block in configurations(&text) {
            // What a part leaves out, so that it can be tried.
            let url = if block.contains("exporters:") { "{}" } else { "{endpoint: 'http://127.0.0.1:9/w'}" };
            let rest = format!(
                "receivers: {{otlp: {{protocols: {{http: }}}}}}\nexporters: {{prometheusremotewrite: {url}}}\nservice: {{pipelines: {{metrics: {{receivers: [otlp], exporters: [prometheusremotewrite]}}}}}}\n"
            );
            let (rest, part) =
                (written("rest", &rest), written("part", &block.replace("/etc/oxidot/writer-secret", &secret)));
            let output = command(&["validate", "--config", &rest, "--config", &part])
                .env_clear()
                .envs([("TOKEN", "t"), ("WRITER_KEY", "AKIAOFNOBODY")])
                .output()
                .unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""), "{document}:\n{block}");
            count += 1;
        }
    }
    assert!(count >= 6, "only {count} blocks were found");
}

/// What a file's configuration talks to.
struct Scene {
    target: Target,
    store: Store,
    second: Store,
    discovery: Server,
    /// Takes OTLP over HTTP, and what it got.
    peer: Server,
    sent_to_peer: Arc<Mutex<Vec<Vec<u8>>>>,
    sts: Server,
    directory: tempfile::TempDir,
    /// For the page of what passed, the receiver and the health check.
    ports: [u16; 3],
    /// For OTLP by gRPC and by HTTP.
    otlp: [u16; 2],
    /// Where what came by OTLP goes, by gRPC and by HTTP.
    next: [u16; 2],
}

impl Scene {
    fn new() -> Self {
        let target = Target::start(|n| format!("# TYPE tries_total counter\ntries_total {n}\ngo_gc_runs 1\n"));
        let list = format!("[{{\"targets\": [\"{}\"]}}]", target.address());
        let json = vec![("Content-Type", "application/json".to_owned())];
        let discovery = Server::start({
            let list = list.clone();
            move |_| Reply::Answer { status: 200, headers: json.clone(), body: list.clone().into_bytes() }
        });
        let sent_to_peer = Arc::new(Mutex::new(Vec::new()));
        let peer = Server::start({
            let sent = Arc::clone(&sent_to_peer);
            move |request| {
                assert_eq!(request.path, "/v1/metrics");
                sent.lock().unwrap().push(request.body);
                Reply::Answer { status: 200, headers: Vec::new(), body: Vec::new() }
            }
        });
        // Gives the keys of a role to whoever asks.
        let sts = Server::start(|_| {
            Reply::status(
                200,
                "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIAOFTHEROLE</AccessKeyId><SecretAccessKey>x</SecretAccessKey><SessionToken>y</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>",
            )
        });
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("t.json"), list).unwrap();
        let (ports, otlp, next) =
            ([(); 3].map(|()| free_port()), [(); 2].map(|()| free_port()), [(); 2].map(|()| free_port()));
        let (store, second) = (Store::accepting(), Store::accepting());
        Self { target, store, second, discovery, peer, sent_to_peer, sts, directory, ports, otlp, next }
    }

    /// The file, started with ports and addresses of this scene.
    fn start(&self, file: &Path) -> Program {
        let [page, receiver, health] = self.ports;
        let mut command = command(&["--config", &file.to_string_lossy()]);
        command
            .env("TARGET", self.target.address())
            .env("TARGETS", format!("[\"{}\"]", self.target.address()))
            .env("TARGET_FILES", self.directory.path().join("*.json"))
            .env("SD_URL", format!("http://127.0.0.1:{}/", self.discovery.port()))
            .env("REMOTE_WRITE_URL", self.store.url())
            .env("PAGE_ENDPOINT", format!("127.0.0.1:{page}"))
            .env("HEALTH_ENDPOINT", format!("127.0.0.1:{health}"))
            .env("OTLP_GRPC_ENDPOINT", format!("127.0.0.1:{}", self.otlp[0]))
            .env("OTLP_HTTP_ENDPOINT", format!("127.0.0.1:{}", self.otlp[1]))
            .env("SECOND_REMOTE_WRITE_URL", self.second.url())
            .env("WAL_DIRECTORY", self.directory.path().join("wal"))
            .env("OTLP_SERVER", format!("http://127.0.0.1:{}", self.next[0]))
            .env("CLOUDWATCH_METRICS", format!("http://127.0.0.1:{}/v1/metrics", self.next[1]))
            .env("XRAY_TRACES", format!("http://127.0.0.1:{}/v1/traces", self.next[1]))
            .env("CLOUDWATCH_LOGS", format!("http://127.0.0.1:{}/v1/logs", self.next[1]))
            .env("STORAGE_DIRECTORY", self.directory.path().join("storage"))
            .env("SPOOL_DIRECTORY", self.directory.path().join("spool"))
            .env("HOSTNAME", "the-host")
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "a-secret-of-nobody")
            .env("AWS_REGION", "eu-west-1")
            .env("AWS_ENDPOINT_URL_STS", format!("http://127.0.0.1:{}", self.sts.port()))
            .env("SCRAPE_INTERVAL", "1s")
            .env("SCRAPE_TIMEOUT", "1s");
        let mut set = |setting: String| {
            command.args(["--set", &setting]);
        };
        let quickly = || "receivers.prometheus.config.global.scrape_interval=1s".to_owned();
        let health_here = || format!("extensions.health_check.endpoint=127.0.0.1:{health}");
        let receiver_here = || format!("receivers.prometheusremotewrite.endpoint=127.0.0.1:{receiver}");
        let page_here = || format!("exporters.prometheus.endpoint=127.0.0.1:{page}");
        match name_of(file) {
            "debug.yaml" => {
                set(page_here());
                set("receivers.prometheus.config.scrape_configs=[{job_name: debug, scrape_interval: 1s, static_configs: [{targets: ['${env:TARGET}']}]}]".to_owned());
            }
            "default.yaml" => {
                set(page_here());
                set(receiver_here());
                set(format!("receivers.otlp.protocols.grpc.endpoint=127.0.0.1:{}", self.otlp[0]));
                set(format!("receivers.otlp.protocols.http.endpoint=127.0.0.1:{}", self.otlp[1]));
                set(format!("exporters.prometheusremotewrite.endpoint=http://127.0.0.1:{receiver}/api/v1/write"));
                set("receivers.prometheus.config.scrape_configs=[{job_name: oxidot, scrape_interval: 1s, static_configs: [{targets: ['${env:TARGET}']}]}]".to_owned());
            }
            "delta.yaml" => set("receivers.otlp.mark_stale_after=1s".to_owned()),
            "gateway.yaml" => {
                set(health_here());
                set(receiver_here());
            }
            "prometheus-to-otlp.yaml" => {
                set(format!("exporters.otlphttp.endpoint=http://127.0.0.1:{}", self.peer.port()));
                set("exporters.otlphttp.compression=none".to_owned());
            }
            "file-sd.yaml" | "high-availability.yaml" | "keep-scraped-names.yaml" => set(quickly()),
            _ => {}
        }
        if name_of(file) != "sidecar.yaml" {
            command.args(["--config", &own_metrics_at(free_port())]);
        }
        Program::start(&mut command)
    }

    /// Sends a point, a span and a log record, and waits for the lines of the last two.
    fn send_otlp(&self, program: &mut Program) {
        self.post_otlp();
        program.wait_for_line("Traces");
        program.wait_for_line("Logs");
    }

    /// An OTLP server at the end of it all, which shows what it gets.
    fn next_server(&self) -> Program {
        let [grpc, http] = self.next;
        let config = format!(
            "receivers: {{otlp: {{protocols: {{grpc: {{endpoint: \"127.0.0.1:{grpc}\"}}, http: {{endpoint: \"127.0.0.1:{http}\"}}}}}}}}\n\
             exporters: {{debug: }}\n\
             service: {{pipelines: {{metrics: {{receivers: [otlp], exporters: [debug]}}, traces: {{receivers: [otlp], exporters: [debug]}}, \
               logs: {{receivers: [otlp], exporters: [debug]}}}}}}\n"
        );
        let mut command = command(&["--config", &format!("yaml:{config}"), "--config", &own_metrics_at(free_port())]);
        let mut program = Program::start(&mut command);
        program.wait_for_line("Everything is ready");
        program
    }

    /// Sends a point, a span and a log record, and waits for all of them at the end.
    fn pass_otlp_on(&self, next: &mut Program) {
        self.post_otlp();
        for signal in ["Metrics", "Traces", "Logs"] {
            next.wait_for_line(signal);
        }
    }

    /// Sends a point, a span and a log record.
    fn post_otlp(&self) {
        let resource =
            "\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":\"shop\"}}]}";
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
        for (path, body) in [
            (
                "/v1/metrics",
                format!(
                    "{{\"resourceMetrics\":[{{{resource},\"scopeMetrics\":[{{\"metrics\":[{{\"name\":\"sent\",\"sum\":{{\"isMonotonic\":true,\"aggregationTemporality\":2,\"dataPoints\":[{{\"timeUnixNano\":\"{now}\",\"asInt\":\"7\"}}]}}}}]}}]}}]}}"
                ),
            ),
            (
                "/v1/traces",
                format!("{{\"resourceSpans\":[{{{resource},\"scopeSpans\":[{{\"spans\":[{{\"name\":\"a\"}}]}}]}}]}}"),
            ),
            ("/v1/logs", format!("{{\"resourceLogs\":[{{{resource},\"scopeLogs\":[{{\"logRecords\":[{{}}]}}]}}]}}")),
        ] {
            let answer = http::post(self.otlp[1], path, "application/json", body.as_bytes()).unwrap();
            assert_eq!((answer.status, answer.body.as_str()), (200, "{}"), "{path}");
        }
    }

    /// Sends what was counted from some seconds ago to some seconds ago.
    fn send_hits(&self, from: u64, to: u64, delta: i64) {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let ago = |seconds| (now - Duration::from_secs(seconds)).as_nanos();
        let attribute = |key, value| format!("{{\"key\":\"{key}\",\"value\":{{\"stringValue\":\"{value}\"}}}}");
        let body = format!(
            "{{\"resourceMetrics\":[{{\"resource\":{{\"attributes\":[{},{}]}},\"scopeMetrics\":[{{\"metrics\":[{{\"name\":\"sent\",\"sum\":{{\"isMonotonic\":true,\"aggregationTemporality\":1,\"dataPoints\":[{{\"startTimeUnixNano\":\"{}\",\"timeUnixNano\":\"{}\",\"asInt\":\"{delta}\"}}]}}}}]}}]}}]}}",
            attribute("service.name", "shop"),
            attribute("k8s.namespace.name", "ns"),
            ago(from),
            ago(to)
        );
        let answer = http::post(self.otlp[1], "/v1/metrics", "application/json", body.as_bytes()).unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "{}"));
    }

    /// Sends a delta of 7 from a sum.
    fn send_delta(&self, start: u128, time: u128) {
        let body = format!(
            "{{\"resourceMetrics\":[{{\"scopeMetrics\":[{{\"metrics\":[{{\"name\":\"added\",\"sum\":{{\"isMonotonic\":true,\"aggregationTemporality\":1,\"dataPoints\":[{{\"startTimeUnixNano\":\"{start}\",\"timeUnixNano\":\"{time}\",\"asInt\":\"7\"}}]}}}}]}}]}}]}}"
        );
        let answer = http::post(self.otlp[1], "/v1/metrics", "application/json", body.as_bytes()).unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "{}"));
    }

    /// Waits for samples of the target's counter in the store.
    fn wait_for_tries(&self, labels: &[&str]) -> Samples {
        wait_until("samples in the store", || {
            self.store.accepted().with(&[&["tries_total"], labels].concat()).next().is_some()
        });
        self.store.accepted()
    }

    /// Waits for the target's counter on the page of the `prometheus` exporter.
    fn wait_for_page(&self) {
        let page = || http::get(self.ports[0], "/metrics");
        wait_until("the counter on the page", || page().is_some_and(|answer| answer.body.contains("\ntries_total{")));
    }
}

fn name_of(file: &Path) -> &str {
    file.file_name().and_then(|name| name.to_str()).unwrap()
}

/// A service that pushes the target's page to the scene's receiver by remote write.
fn push(scene: &Scene) -> Program {
    let config = crate::support::oxidot::scrape_and_write(
        &crate::support::oxidot::job("pushed", &scene.target.address(), "1s"),
        &format!("http://127.0.0.1:{}/api/v1/write", scene.ports[1]),
        "batch_send_deadline: 50ms",
    );
    let mut command: Command =
        command(&["--config", &format!("yaml:{config}"), "--config", &own_metrics_at(free_port())]);
    Program::start(&mut command)
}

#[test]
fn every_file_runs_and_does_its_job() {
    // All at once, since each of them mostly waits.
    std::thread::scope(|scope| {
        for file in files() {
            scope.spawn(move || check(&file));
        }
    });
}

fn check(file: &Path) {
    let scene = Scene::new();
    let mut program = scene.start(file);
    program.wait_for_line("Everything is ready");
    let health = || http::get(scene.ports[2], "/").is_some_and(|answer| answer.status == 200);
    match name_of(file) {
        "managed-prometheus.yaml" | "managed-prometheus-2021.yaml" | "managed-prometheus-cross-account.yaml" => {
            scene.wait_for_tries(&["job=\"node\""]);
        }
        "managed-prometheus-high-availability.yaml" => {
            let samples = scene.wait_for_tries(&["__replica__=\"replica-1\"", "cluster=\"main\""]);
            assert_eq!(samples.with(&["cluster=\"main\""]).count(), samples.0.len());
        }
        "managed-prometheus-on-premises.yaml" => {
            let samples = scene.wait_for_tries(&["site=\"on-premises\""]);
            assert_eq!(samples.with(&["site=\"on-premises\""]).count(), samples.0.len());
            wait_until("health", health);
        }
        "debug.yaml" => {
            scene.wait_for_page();
            program.wait_for_line("tries_total");
        }
        "default.yaml" => {
            scene.wait_for_page();
            scene.send_otlp(&mut program);
            let page = || http::get(scene.ports[0], "/metrics");
            wait_until("what came by OTLP", || page().is_some_and(|answer| answer.body.contains("\nsent_total{")));
        }
        "file-sd.yaml" => {
            scene.wait_for_tries(&["job=\"files\"", "source_file=\"t\""]);
            scene.wait_for_tries(&["job=\"http\""]);
        }
        "file-storage.yaml" => {
            scene.wait_for_tries(&["job=\"node\""]);
            assert!(scene.directory.path().join("storage/exporter_prometheusremotewrite_/lock").is_file());
        }
        "gateway.yaml" => {
            let _sender = push(&scene);
            let samples = scene.wait_for_tries(&["job=\"pushed\""]);
            assert_eq!(samples.with(&["go_gc_runs"]).count(), 0);
            wait_until("health", health);
        }
        "high-availability.yaml" => {
            let samples = scene.wait_for_tries(&["__replica__=\"replica-1\"", "cluster=\"main\""]);
            assert_eq!(samples.with(&["cluster=\"main\""]).count(), samples.0.len());
            wait_until("health", health);
        }
        "keep-scraped-names.yaml" => {
            let samples = scene.wait_for_tries(&["prometheus=\"oxidot\"", "job=\"node\""]);
            assert_eq!(samples.with(&["target_info"]).count(), 0);
        }
        "delta.yaml" => {
            for (from, to, delta) in [(3, 2, 3), (2, 1, 4)] {
                scene.send_hits(from, to, delta);
            }
            let of = ["sent_total", "job=\"shop\"", "k8s_namespace_name=\"ns\""];
            wait_until("both totals and the marker of the end", || {
                let values: Vec<u64> = scene.store.accepted().of(&of).iter().map(|(_, bits)| *bits).collect();
                values == [3f64.to_bits(), 7f64.to_bits(), STALE]
            });
        }
        "otlp.yaml" => {
            scene.send_otlp(&mut program);
            wait_until("samples in the store", || {
                scene.store.accepted().with(&["sent_total", "job=\"shop\""]).next().is_some()
            });
        }
        "otlp-gateway.yaml" | "cloudwatch-otlp.yaml" => scene.pass_otlp_on(&mut scene.next_server()),
        "otlp-attributes.yaml" => {
            scene.send_otlp(&mut program);
            program.wait_for_line("-> deployment.environment.name: Str(production)");
            wait_until("samples in the store", || {
                let samples = scene.store.accepted();
                samples.with(&["sent_total", "job=\"shop\"", "environment=\"production\""]).next().is_some()
            });
        }
        "otlp-deltas.yaml" => {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
            scene.send_delta(now - 2_000_000_000, now - 1_000_000_000);
            scene.send_delta(now - 1_000_000_000, now);
            wait_until("the sum of both in the store", || {
                let samples = scene.store.accepted();
                let mut values = samples.with(&["added_total"]).flat_map(|(_, samples)| samples);
                values.any(|(_, bits)| f64::from_bits(*bits) == 14.0)
            });
            program.wait_for_line("AggregationTemporality: Delta");
        }
        "otlp-files.yaml" => {
            scene.send_otlp(&mut program);
            wait_until("samples in the store", || {
                scene.store.accepted().with(&["sent_total", "job=\"shop\""]).next().is_some()
            });
            assert!(scene.directory.path().join("spool/out.json").is_file());
        }
        "prometheus-to-otlp.yaml" => {
            // The second scrape is the first one that is after the start.
            let mut reader = otlp::decode::MetricsReader::default();
            let mut starts = move |body: &[u8]| {
                let groups = reader.read(body, 0).unwrap().groups;
                let points = groups
                    .iter()
                    .flat_map(|group| group.points.iter().map(|point| (group.table.get(point.series).unwrap(), point)));
                let of_tries = points.filter(|(series, _)| &*series.name == "tries_total");
                of_tries.map(|(_, point)| (point.start, point.time)).collect::<Vec<_>>()
            };
            wait_until("a counter that counts from its first scrape", || {
                let bodies = std::mem::take(&mut *scene.sent_to_peer.lock().unwrap());
                bodies.iter().flat_map(|body| starts(body)).any(|(start, time)| 0 < start && start < time)
            });
        }
        "prometheus-to-remote-write.yaml" => {
            let samples = scene.wait_for_tries(&["job=\"node\""]);
            assert_eq!(samples.with(&["go_gc_runs"]).count(), 0);
            wait_until("health", health);
        }
        "two-stores.yaml" => {
            scene.wait_for_tries(&["job=\"node\""]);
            let second = || scene.second.accepted();
            wait_until("the second store", || second().with(&["tries_total", "copy=\"2\""]).next().is_some());
            assert_eq!(scene.store.accepted().with(&["copy"]).count(), 0);
            assert!(scene.directory.path().join("wal/exporter_prometheusremotewrite_/cursor-second").is_file());
        }
        "sidecar.yaml" => {
            scene.wait_for_tries(&["job=\"app\"", "instance=\"the-host\""]);
            wait_until("health", health);
        }
        other => panic!("configs/{other} is new: say here what it does"),
    }
    program.signal("TERM");
    let code = program.wait().code();
    // What writes to itself has no store any more once it ends.
    let lost = code == Some(3) && name_of(file) == "default.yaml";
    assert!(lost || code == Some(0), "{}: {code:?}\n{}", file.display(), program.output());
}
