#![expect(clippy::unwrap_used, reason = "tests")]

use parking_lot::Mutex;
use pipeline::component::Program;
use pipeline::stop::StopSource;
use pipeline::telemetry::Telemetry;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::file::{json_groups, read_groups};
use super::{Discovery, Snapshot};
use crate::prometheus::config::ScrapeJob;
use crate::prometheus::config::vectors::{load, report, shared};
use crate::prometheus::target::Keep;

/// How long a test waits for something that is bound to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running discovery.
struct Running {
    jobs: watch::Sender<Arc<[Arc<ScrapeJob>]>>,
    snapshots: watch::Receiver<Snapshot>,
    telemetry: Telemetry,
    stop: StopSource,
    task: JoinHandle<()>,
}

fn jobs(yaml: &str) -> Arc<[Arc<ScrapeJob>]> {
    load(yaml, "test.yml").unwrap().1.into()
}

impl Running {
    fn start(yaml: &str) -> Self {
        let telemetry = Telemetry::default();
        let program = Program { name: "oxidot", version: "0" };
        let (discovery, snapshots) = Discovery::new(&telemetry, "prometheus", program, Keep::Nothing);
        let (jobs, seen) = watch::channel(jobs(yaml));
        let stop = StopSource::default();
        let task = tokio::spawn(discovery.run(seen, stop.handle()));
        Self { jobs, snapshots, telemetry, stop, task }
    }

    /// Waits until the targets of all jobs have exactly these instances, in any order.
    async fn until(&mut self, expected: &[&str]) {
        let instances = |snapshot: &Snapshot| {
            let targets = snapshot.iter().flat_map(|job| job.targets.targets());
            let mut all: Vec<_> = targets.map(|target| target.labels.get("instance").unwrap().to_owned()).collect();
            all.sort();
            all
        };
        let waited = self.snapshots.wait_for(|snapshot| instances(snapshot) == expected);
        if tokio::time::timeout(PATIENCE, waited).await.is_err() {
            panic!("{:?} instead of {expected:?}", instances(&self.snapshots.borrow()));
        }
    }

    /// Waits until counter `name` has reached `least`.
    async fn until_counted(&self, name: &str, least: f64) {
        let reached = async {
            while self.telemetry.total(name) < least {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("{name} has not reached {least}"));
    }

    async fn end(self) {
        self.stop.stop(tokio::time::Instant::now());
        self.task.await.unwrap();
    }
}

fn put(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(beside, path).unwrap();
}

#[tokio::test]
async fn static_targets_are_there_at_once_and_follow_the_jobs() {
    let mut running = Running::start("scrape_configs: [{job_name: a, static_configs: [{targets: [h:1]}]}]");
    running.until(&["h:1"]).await;
    let before = running.snapshots.borrow().clone();
    let both = "scrape_configs: [{job_name: a, static_configs: [{targets: [h:1]}]}, \
                {job_name: b, static_configs: [{targets: [h:2]}, {targets: [h:3]}]}]";
    running.jobs.send_replace(jobs(both));
    running.until(&["h:1", "h:2", "h:3"]).await;
    let after = running.snapshots.borrow().clone();
    assert!(Arc::ptr_eq(&before[0].targets, &after[0].targets), "an equal job keeps its targets as they are");
    assert_eq!(running.telemetry.total("prometheus_sd_discovered_targets"), 3.0);
    running.jobs.send_replace(jobs("scrape_configs: [{job_name: b}]"));
    running.until(&[]).await;
    assert_eq!(running.telemetry.total("prometheus_sd_discovered_targets"), 0.0);
    running.end().await;
}

#[tokio::test]
async fn files_come_change_break_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let (json, yaml) = (folder.path().join("a.json"), folder.path().join("b.yml"));
    put(&json, r#"[{"targets": ["a:1"], "labels": {"x": "y"}}]"#);
    let config = format!(
        "scrape_configs: [{{job_name: j, file_sd_configs: [{{files: ['{0}/*.json', '{0}/b.yml'], refresh_interval: 1h}}]}}]",
        folder.path().display()
    );
    let mut running = Running::start(&config);
    running.until(&["a:1"]).await;
    // A file that appears later, then a file that is replaced in one step.
    put(&yaml, "- targets: [b:1]\n");
    running.until(&["a:1", "b:1"]).await;
    put(&json, r#"[{"targets": ["a:2", "a:3"]}]"#);
    running.until(&["a:2", "a:3", "b:1"]).await;
    // A file that breaks keeps what it had, and does not keep others from changing.
    put(&json, r#"[{"targets": ["a:4"]"#);
    running.until_counted("prometheus_sd_file_read_errors_total", 1.0).await;
    put(&yaml, "- targets: [b:2]\n");
    running.until(&["a:2", "a:3", "b:2"]).await;
    std::fs::remove_file(&json).unwrap();
    running.until(&["b:2"]).await;
    // Written in place instead of replaced.
    std::fs::write(&yaml, "- targets: [b:3]\n").unwrap();
    running.until(&["b:3"]).await;
    let metric = [("receiver", "prometheus"), ("filename", &*yaml.to_string_lossy())];
    assert!(running.telemetry.value("prometheus_sd_file_mtime_seconds", &metric).unwrap() > 1.0e9);
    running.end().await;
}

#[tokio::test]
async fn a_directory_may_appear_later_and_be_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let late = folder.path().join("late/deep");
    let config = format!(
        "scrape_configs: [{{job_name: j, file_sd_configs: [{{files: ['{}/*.yml'], refresh_interval: 1h}}]}}]",
        late.display()
    );
    let mut running = Running::start(&config);
    running.until_counted("prometheus_sd_received_updates_total", 1.0).await;
    for target in ["h:1", "h:2"] {
        std::fs::create_dir_all(&late).unwrap();
        put(&late.join("a.yml"), &format!("- targets: [{target}]\n"));
        running.until(&[target]).await;
        std::fs::remove_dir_all(folder.path().join("late")).unwrap();
        running.until(&[]).await;
    }
    running.end().await;
}

#[tokio::test]
async fn links_are_switched_as_kubernetes_does_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for version in ["1", "2"] {
        std::fs::create_dir(at(version)).unwrap();
        std::fs::write(at(version).join("t.yml"), format!("- targets: [h:{version}]\n")).unwrap();
    }
    std::os::unix::fs::symlink("1", at("..data")).unwrap();
    std::os::unix::fs::symlink("..data/t.yml", at("t.yml")).unwrap();
    let config = format!(
        "scrape_configs: [{{job_name: j, file_sd_configs: [{{files: ['{}'], refresh_interval: 1h}}]}}]",
        at("t.yml").display()
    );
    let mut running = Running::start(&config);
    running.until(&["h:1"]).await;
    std::os::unix::fs::symlink("2", at("..new")).unwrap();
    std::fs::rename(at("..new"), at("..data")).unwrap();
    running.until(&["h:2"]).await;
    running.end().await;
}

/// What a test's HTTP endpoint answers, and what it was asked.
#[derive(Default)]
struct Endpoint {
    status: Mutex<String>,
    content_type: Mutex<String>,
    body: Mutex<String>,
    asked: AtomicUsize,
    last_request: Mutex<String>,
}

impl Endpoint {
    async fn serve() -> (Arc<Self>, String, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/sd", listener.local_addr().unwrap());
        let endpoint = Arc::new(Self::default());
        endpoint.answer("200 OK", "application/json", "[]");
        let serving = Arc::clone(&endpoint);
        let task = tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = connection.read_u8().await else { break };
                    request.push(byte);
                }
                serving.asked.fetch_add(1, Ordering::SeqCst);
                *serving.last_request.lock() = String::from_utf8_lossy(&request).to_lowercase();
                let answer = {
                    let body = serving.body.lock();
                    format!(
                        "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
                        serving.status.lock(),
                        serving.content_type.lock(),
                        body.len(),
                        body
                    )
                };
                if connection.write_all(answer.as_bytes()).await.is_err() {
                    continue;
                }
            }
        });
        (endpoint, url, task)
    }

    fn answer(&self, status: &str, content_type: &str, body: &str) {
        *self.status.lock() = status.to_owned();
        *self.content_type.lock() = content_type.to_owned();
        *self.body.lock() = body.to_owned();
    }
}

#[tokio::test]
async fn endpoints_are_asked_again_and_failures_keep_what_was_found() {
    let (endpoint, url, server) = Endpoint::serve().await;
    endpoint.answer("200 OK", "application/json; charset=utf-8", r#"[{"targets": ["h:1"]}, {"targets": ["h:2"]}]"#);
    let config =
        format!("scrape_configs: [{{job_name: j, http_sd_configs: [{{url: '{url}', refresh_interval: 20ms}}]}}]");
    let mut running = Running::start(&config);
    running.until(&["h:1", "h:2"]).await;
    let request = endpoint.last_request.lock().clone();
    for line in [
        "get /sd http/1.1\r\n",
        "\r\naccept: application/json\r\n",
        "\r\nuser-agent: oxidot/0\r\n",
        "\r\nx-prometheus-refresh-interval-seconds: 0.02\r\n",
    ] {
        assert!(request.contains(line), "{line:?} in {request:?}");
    }
    for (failures, (status, content_type, body)) in [
        ("503 Service Unavailable", "application/json", "[]"),
        ("200 OK", "text/html", "[]"),
        ("200 OK", "application/json", "{"),
        ("200 OK", "application/json", "[null]"),
        ("200 OK", "application/json", r#"[{"target": []}]"#),
    ]
    .into_iter()
    .enumerate()
    {
        let before = running.telemetry.total("prometheus_sd_http_failures_total");
        endpoint.answer(status, content_type, body);
        running.until_counted("prometheus_sd_http_failures_total", before + 2.0).await;
        running.until(&["h:1", "h:2"]).await;
        assert!(running.telemetry.total("prometheus_sd_refresh_failures_total") > failures as f64);
    }
    endpoint.answer("200 OK", "application/json", r#"[{"targets": ["h:2"]}]"#);
    running.until(&["h:2"]).await;
    running.end().await;
    server.abort();
}

#[tokio::test]
async fn equal_settings_share_one_discoverer_which_outlives_a_reload() {
    let (endpoint, url, server) = Endpoint::serve().await;
    endpoint.answer("200 OK", "application/json", r#"[{"targets": ["h:1"]}]"#);
    let config = |interval: &str| {
        let discovery = format!("http_sd_configs: [{{url: '{url}', refresh_interval: 1h}}]");
        format!(
            "scrape_configs: [{{job_name: a, scrape_interval: {interval}, {discovery}}}, {{job_name: b, {discovery}}}]"
        )
    };
    let mut running = Running::start(&config("30s"));
    running.until(&["h:1", "h:1"]).await;
    running.jobs.send_replace(jobs(&config("40s")));
    let new_interval = |snapshot: &Snapshot| snapshot.iter().any(|job| job.job.interval.as_secs() == 40);
    running.snapshots.wait_for(new_interval).await.unwrap();
    running.until(&["h:1", "h:1"]).await;
    assert_eq!(endpoint.asked.load(Ordering::SeqCst), 1);
    running.end().await;
    server.abort();
}

#[tokio::test]
async fn a_job_keeps_its_targets_until_a_new_discoverer_has_found_some() {
    let (endpoint, url, server) = Endpoint::serve().await;
    endpoint.answer("200 OK", "application/json", r#"[{"targets": ["old:1"]}]"#);
    let config = |url: &str| {
        format!("scrape_configs: [{{job_name: j, http_sd_configs: [{{url: '{url}', refresh_interval: 1h}}]}}]")
    };
    let mut running = Running::start(&config(&url));
    running.until(&["old:1"]).await;
    // Somebody listens and does not answer until later.
    let slow = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let slow_url = format!("http://{}/", slow.local_addr().unwrap());
    running.jobs.send_replace(jobs(&config(&slow_url)));
    let (mut connection, _) = slow.accept().await.unwrap();
    running.until(&["old:1"]).await;
    let body = r#"[{"targets": ["new:1"]}]"#;
    let answer =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    connection.write_all(answer.as_bytes()).await.unwrap();
    running.until(&["new:1"]).await;
    running.end().await;
    server.abort();
}

#[test]
fn group_files_are_read_as_prometheus_reads_them() {
    let folder = shared().join("prom-testdata");
    if !folder.exists() {
        return report(&format!("skipped: {} is absent", folder.display()));
    }
    for (file, groups) in [
        ("file_sd/valid.json", 2),
        ("file_sd/valid.yml", 2),
        ("file_sd/valid2.yml", 3),
        ("file_sd/valid3.yml", 2),
        ("promtool/good-sd-file.json", 1),
        ("promtool/good-sd-file.yml", 2),
        ("promtool/good-sd-file.yaml", 2),
    ] {
        let path = folder.join(file);
        let read = read_groups(&path).unwrap_or_else(|error| panic!("{file}: {error}")).0;
        assert_eq!(read.len(), groups, "{file}");
        let source = format!("{}:{}", path.display(), groups - 1);
        let last = read.last().unwrap();
        assert_eq!(&*last.source, source);
        assert_eq!(last.labels.get("__meta_filepath"), Some(&*path.to_string_lossy()));
    }
    for file in ["file_sd/invalid_nil.json", "file_sd/invalid_nil.yml"] {
        let error = read_groups(&folder.join(file)).unwrap_err().to_string();
        assert_eq!(error, "nil target group item found at index 1", "{file}");
    }
    let error = read_groups(&folder.join("promtool/bad-sd-file-format.yml")).unwrap_err().to_string();
    assert!(error.contains("bad-sd-file-format.yml:1:3: [0]: field targats not found in type struct"), "{error}");
    let answer = std::fs::read(folder.join("http_sd/http_sd.good.json")).unwrap();
    assert_eq!(json_groups(&answer).unwrap().len(), 1);
}

#[test]
fn groups_of_labels_that_cannot_be_are_refused() {
    let error = json_groups(br#"[{"targets": ["h:1"], "labels": {"": "x"}}]"#).unwrap_err().to_string();
    assert!(error.starts_with("\"\" is not a valid label name"), "{error}");
    assert!(json_groups(br#"[{"targets": ["h:1"], "labels": {"a": 1}}]"#).is_err());
    assert!(json_groups(b"null").unwrap().is_empty());
}
