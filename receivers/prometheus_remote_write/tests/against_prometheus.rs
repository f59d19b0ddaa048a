//! The receiver and a real Prometheus in agent mode.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pipeline::{FamilyKind, Value};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::http::Running;
use super::say;

/// What the target exposes at first; later without the series `fleeting`, and with one that comes late.
const PAGE: &str = "# HELP requests_total Requests.\n# TYPE requests_total counter\nrequests_total{code=\"200\"} 7\n\
    # TYPE temperature gauge\ntemperature{room=\"a\\\"b\\\\c\\né\"} -1.5\ntemperature{room=\"inf\"} +Inf\n\
    # TYPE late_total counter\n# HELP late_total Late.\n# TYPE lat histogram\nlat_bucket{le=\"0.5\"} 1\nlat_bucket{le=\"+Inf\"} 2\nlat_sum 3.5\nlat_count 2\n";

/// Ends the process with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A target; `later` switches to the second page.
async fn target(later: Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut request = [0; 4096];
            drop(connection.read(&mut request).await);
            let more = if later.load(Ordering::SeqCst) { "late_total 1\n" } else { "fleeting 1\n" };
            let page = format!("{PAGE}{more}");
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n";
            let answer = format!("{head}Content-Length: {}\r\n\r\n{page}", page.len());
            drop(connection.write_all(answer.as_bytes()).await);
        }
    });
    address
}

fn agent(directory: &std::path::Path, target: SocketAddr, receiver: SocketAddr) -> Option<Program> {
    let config = directory.join("prometheus.yml");
    let text = format!(
        "global: {{scrape_interval: 1s}}\n\
         scrape_configs:\n- job_name: team/app\n  static_configs: [{{targets: [\"{target}\"], labels: {{zone: z1}}}}]\n\
         remote_write:\n- url: http://{receiver}/api/v1/write\n  metadata_config: {{send_interval: 1s}}\n"
    );
    std::fs::File::create(&config).unwrap().write_all(text.as_bytes()).unwrap();
    let started = Command::new("prometheus")
        .arg("--enable-feature=agent")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.agent.path={}", directory.join("data").display()))
        .args(["--web.listen-address=127.0.0.1:0", "--log.level=warn"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match started {
        Ok(child) => Some(Program(child)),
        Err(error) => {
            say(&format!("skipped: prometheus cannot be started: {error}"));
            None
        }
    }
}

/// Name and attributes of a series, as text.
fn shown(series: &pipeline::Series) -> String {
    let part = series.part.label().map(|(name, value)| format!("{name}={value:?}"));
    let own = series.attributes.iter().map(|(name, value)| match value {
        pipeline::AttributeValue::Str(text) => format!("{name}={text:?}"),
        other => format!("{name}={other:?}"),
    });
    let labels: Vec<String> = own.chain(part).collect();
    format!("{}{{{}}}", series.name, labels.join(","))
}

/// Scrapes of the first page before the target changes to the second.
const ROUNDS_BEFORE_CHANGE: usize = 6;

#[tokio::test]
async fn everything_that_an_agent_scrapes_arrives() {
    // Far more than it takes: a test that hangs tells nobody why.
    tokio::time::timeout(Duration::from_secs(180), scrape_and_receive()).await.unwrap();
}

async fn scrape_and_receive() {
    let directory = tempfile::tempdir().unwrap();
    let later = Arc::new(AtomicBool::new(false));
    let target = target(Arc::clone(&later)).await;
    let mut running = Running::start("").await;
    let Some(_agent) = agent(directory.path(), target, running.address) else { return running.stop().await };

    let expected = [
        ("requests_total{code=\"200\",zone=\"z1\"}", Value::Float(7.0)),
        ("temperature{room=\"a\\\"b\\\\c\\né\",zone=\"z1\"}", Value::Float(-1.5)),
        ("temperature{room=\"inf\",zone=\"z1\"}", Value::Float(f64::INFINITY)),
        ("lat_sum{zone=\"z1\"}", Value::Float(3.5)),
        ("lat_count{zone=\"z1\"}", Value::Float(2.0)),
        ("up{zone=\"z1\"}", Value::Float(1.0)),
        ("fleeting{zone=\"z1\"}", Value::NONE),
        ("late_total{zone=\"z1\"}", Value::Float(1.0)),
    ];
    let (mut seen, mut kinds, mut times) = (HashMap::new(), HashMap::new(), HashMap::<String, i64>::new());
    let complete = |seen: &HashMap<String, Value>| expected.iter().all(|(name, value)| seen.get(*name) == Some(value));
    let mut rounds = 0;
    while !complete(&seen) {
        let batch = running.input.recv().await.unwrap();
        for group in batch.groups() {
            let resource = &group.origin.resource.attributes;
            assert_eq!(resource.get_str("service.name"), Some("team/app"), "the exact text of the job");
            assert_eq!(resource.get_str("service.instance.id"), Some(target.to_string().as_str()));
            for point in &group.points {
                let series = group.table.get(point.series).unwrap();
                let name = shown(series);
                let before = times.insert(name.clone(), point.time);
                assert!(before.is_none_or(|before| before < point.time), "{name} comes in order");
                kinds.insert(series.name.to_string(), series.family.kind);
                seen.insert(name, point.value.clone());
            }
        }
        // The agent sends metadata as often as it scrapes: after some rounds the receiver has had it.
        rounds += usize::from(batch.groups().iter().any(|group| {
            group.points.iter().any(|p| group.table.get(p.series).is_some_and(|s| &*s.name == "fleeting"))
        }));
        if rounds >= ROUNDS_BEFORE_CHANGE {
            later.store(true, Ordering::SeqCst);
        }
    }
    // Whether its metadata came before it decides whether `le` is a part or an attribute, which is shown first.
    assert!(
        ["zone=\"z1\",le=\"0.5\"", "le=\"0.5\",zone=\"z1\""]
            .iter()
            .any(|labels| { seen.get(&format!("lat_bucket{{{labels}}}")) == Some(&Value::Float(1.0)) })
    );
    assert_eq!(kinds.get("late_total"), Some(&FamilyKind::COUNTER), "its metadata was there before it");
    assert_eq!(running.counted("otelcol_receiver_failed_metric_points"), 0.0);
    assert_eq!(running.counted("oxidot_receiver_refused_requests"), 0.0);
    running.stop().await;
}
