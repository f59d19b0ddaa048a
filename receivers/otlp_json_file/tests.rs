#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use super::FACTORY;
use pipeline::channel::{Gate, Input, Output, channel_of};
use pipeline::component::{Build, BuildContext, ComponentError, Program, ReceiverContext, Shared};
use pipeline::config::{Node, parse};
use pipeline::stop::StopSource;
use pipeline::telemetry::Telemetry;
use pipeline::{AckOutcome, Batch};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// A line with one log record.
fn line(text: &str) -> String {
    format!(
        "{{\"resourceLogs\":[{{\"scopeLogs\":[{{\"logRecords\":[{{\"body\":{{\"stringValue\":\"{text}\"}}}}]}}]}}]}}\n"
    )
}

fn append(path: &Path, text: &str) {
    OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// A folder for files, and one for offsets.
struct Scene {
    directory: TempDir,
    telemetry: Telemetry,
}

/// A receiver that runs.
struct Running {
    input: Input,
    stop: StopSource,
    task: JoinHandle<Result<(), ComponentError>>,
}

impl Scene {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), telemetry: Telemetry::default() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn node(&self, more: &str) -> Node {
        let files = self.directory.path().display();
        parse(&format!("include: ['{files}/*.json']\npoll_interval: 5ms\n{more}"), "test.yaml").unwrap()
    }

    fn start(&self, more: &str) -> Running {
        self.start_behind(more, Vec::new())
    }

    fn start_behind(&self, more: &str, gates: Vec<Arc<dyn Gate>>) -> Running {
        let shared = Shared::default();
        let storage = wal::Storage {
            directory: self.directory.path().join("storage"),
            permissions: 0o700,
            timeout: Duration::ZERO,
            sync: wal::SyncPolicy::Never,
        };
        shared.provide("file_storage".parse().unwrap(), storage);
        let context = BuildContext {
            id: "otlpjsonfile".parse().unwrap(),
            program: Program { name: "oxidot", version: "0" },
            telemetry: self.telemetry.clone(),
            shared,
            signal: None,
        };
        let Build::Receiver(build) = FACTORY.build else { panic!("a receiver") };
        let receiver = build(&self.node(more), &context).unwrap();
        let (entry, input) = channel_of(4);
        let stop = StopSource::default();
        let context = ReceiverContext {
            output: Output::to(vec![entry.with_gates(gates)]),
            stop: stop.handle(),
            updates: tokio::sync::mpsc::channel(1).1,
        };
        let task = tokio::spawn(receiver.run(context));
        Running { input, stop, task }
    }

    fn malformed(&self) -> f64 {
        let labels = [("receiver", "otlpjsonfile"), ("transport", "file"), ("reason", "malformed")];
        self.telemetry.value("oxidot_receiver_refused_requests", &labels).unwrap_or_default()
    }
}

async fn next(input: &mut Input) -> Batch {
    timeout(Duration::from_secs(60), input.recv_any()).await.expect("a batch").unwrap()
}

fn text(batch: &Batch) -> String {
    let Batch::Messages(batch) = batch else { panic!("logs") };
    let json = otlp::json::from_protobuf(batch.signal, &batch.body).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    json["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["body"]["stringValue"].as_str().unwrap().to_owned()
}

impl Running {
    /// The next so many lines, delivered.
    async fn lines(&mut self, count: usize) -> Vec<String> {
        let mut lines = Vec::new();
        for _ in 0..count {
            let batch = next(&mut self.input).await;
            lines.push(text(&batch));
            batch.into_acks().resolve(AckOutcome::Delivered);
        }
        lines
    }

    /// What comes before a last line that is written now.
    async fn lines_before(&mut self, path: &Path, last: &str) -> Vec<String> {
        append(path, &line(last));
        let mut lines = Vec::new();
        loop {
            lines.extend(self.lines(1).await);
            if lines.last().is_some_and(|line| line == last) {
                lines.pop();
                return lines;
            }
        }
    }

    async fn stop(self) {
        self.stop.stop(Instant::now() + Duration::from_secs(60));
        self.task.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn files_are_read_from_where_they_are_said_to_and_while_they_grow() {
    let scene = Scene::new();
    append(&scene.file("a.json"), &line("old"));
    append(&scene.file("b.json"), "{\"resourceLogs\":[half of");
    let mut running = scene.start("start_at: end");
    // Only what is there at the start is passed over, with the rest of a line that had begun.
    while scene.telemetry.value("oxidot_receiver_open_files", &[("receiver", "otlpjsonfile")]) != Some(2.0) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    append(&scene.file("b.json"), &format!(" it]\n{}", line("b1")));
    append(&scene.file("c.json"), &line("new"));
    let mut found = running.lines(2).await;
    found.sort();
    assert_eq!(found, ["b1", "new"]);
    append(&scene.file("a.json"), &line("a1"));
    assert_eq!(running.lines(1).await, ["a1"]);
    assert_eq!(scene.malformed(), 0.0);
    running.stop().await;

    let mut running = scene.start("start_at: beginning");
    let mut found = running.lines(4).await;
    found.sort();
    assert_eq!(found, ["a1", "b1", "new", "old"], "nothing is kept without storage");
    assert_eq!(scene.malformed(), 1.0, "the line with half of it");
    running.stop().await;
}

#[tokio::test]
async fn excluded_files_are_not_read() {
    let scene = Scene::new();
    append(&scene.file("no.json"), &line("no"));
    append(&scene.file("yes.json"), &line("yes"));
    append(&scene.file("other.txt"), &line("other"));
    let exclude = format!("exclude: ['{}/no.*']\nstart_at: beginning", scene.directory.path().display());
    let mut running = scene.start(&exclude);
    assert_eq!(running.lines(1).await, ["yes"]);
    assert_eq!(running.lines_before(&scene.file("yes.json"), "end").await, [""; 0]);
    running.stop().await;
}

#[tokio::test]
async fn renamed_copied_and_truncated_files_are_read_once_and_to_their_ends() {
    let scene = Scene::new();
    let (path, aside) = (scene.file("a.json"), scene.file("a-1.json"));
    append(&path, &line("one"));
    let mut running = scene.start("start_at: beginning");
    assert_eq!(running.lines(1).await, ["one"]);

    // Renamed within what is read, with a line that nobody has seen yet, and another file in its place.
    append(&path, &line("two"));
    fs::rename(&path, &aside).unwrap();
    append(&path, &line("three"));
    let mut found = running.lines(2).await;
    found.sort();
    assert_eq!(found, ["three", "two"]);

    // Renamed to where nothing is read.
    append(&path, &line("four"));
    fs::rename(&path, scene.file("a.old")).unwrap();
    append(&scene.file("a.old"), &line("five"));
    append(&path, &line("six"));
    let mut found = running.lines(3).await;
    found.sort();
    assert_eq!(found, ["five", "four", "six"]);

    // Copied, then cut off and written to again, beyond its old length.
    fs::copy(&path, scene.file("copy.json")).unwrap();
    fs::write(&path, format!("{}{}", line("seven, which is longer"), line("eight"))).unwrap();
    assert_eq!(running.lines(2).await, ["seven, which is longer", "eight"]);
    assert_eq!(running.lines_before(&path, "end").await, [""; 0], "the copy was read before");
    assert_eq!(scene.malformed(), 0.0);
    running.stop().await;
}

#[test]
fn what_is_cut_off_and_written_to_between_a_look_and_a_read_is_read_from_its_beginning() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.json");
    append(&path, "one\n");
    let mut tail = super::tail::Tail::open(&path).unwrap();
    let read = |tail: &mut super::tail::Tail| {
        let mut found = std::collections::VecDeque::new();
        assert!(!tail.read(1000, &mut found).unwrap());
        found.iter().map(|found| (format!("{:?}", found.line), found.number)).collect::<Vec<_>>()
    };
    let text = |text: &str| format!("{:?}", super::tail::Line::Text(text.into()));
    assert!(!tail.notice_truncation().unwrap());
    assert_eq!(read(&mut tail), [(text("one"), 1)]);
    assert!(!tail.notice_truncation().unwrap());
    fs::write(&path, "a longer one\ntwo\n").unwrap();
    assert_eq!(read(&mut tail), []);
    assert!(tail.notice_truncation().unwrap());
    assert_eq!(read(&mut tail), [(text("a longer one"), 1), (text("two"), 2)]);
    assert!(!tail.notice_truncation().unwrap());
    append(&path, "three\n");
    assert_eq!(read(&mut tail), [(text("three"), 3)]);
}

#[tokio::test]
async fn a_last_line_without_its_end_is_read_once_it_is_whole() {
    let scene = Scene::new();
    let path = scene.file("a.json");
    let whole = line("one");
    let (first, second) = whole.trim_end().split_at(30);
    append(&path, first);
    let mut running = scene.start("start_at: beginning");
    tokio::time::sleep(Duration::from_millis(50)).await;
    append(&path, second);
    assert_eq!(running.lines(1).await, ["one"]);
    append(&path, &format!("\n{}", line("two")));
    assert_eq!(running.lines(1).await, ["two"]);
    assert_eq!(scene.malformed(), 0.0);
    running.stop().await;
}

#[tokio::test]
async fn malformed_lines_are_counted_and_the_others_read() {
    let scene = Scene::new();
    let path = scene.file("a.json");
    let long = "x".repeat(2000);
    append(
        &path,
        &format!("nonsense\n\n{{\"resourceLogs\":7}}\n{{\"other\":1}}\n{}{}\r\n", line(&long), line("good").trim_end()),
    );
    let mut running = scene.start("start_at: beginning\nmax_log_size: 1KiB");
    assert_eq!(running.lines(1).await, ["good"]);
    assert_eq!(scene.malformed(), 4.0);
    running.stop().await;
}

#[tokio::test]
async fn all_signals_are_read() {
    let scene = Scene::new();
    let path = scene.file("a.json");
    append(
        &path,
        "{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[{\"name\":\"m\",\"gauge\":{\"dataPoints\":[{\"asInt\":\"1\"},{\"attributes\":[]}]}}]}]}]}\n",
    );
    append(&path, "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"name\":\"s\"}]}]}]}\n");
    append(&path, &line("l"));
    let mut running = scene.start("start_at: beginning");
    let mut found = Vec::new();
    for _ in 0..3 {
        let batch = next(&mut running.input).await;
        found.push((batch.signal().name(), batch.len()));
    }
    assert_eq!(found, [("metrics", 1), ("traces", 1), ("logs", 1)]);
    let labels = [("receiver", "otlpjsonfile"), ("transport", "file")];
    for name in ["metric_points", "spans", "log_records"] {
        let accepted = scene.telemetry.value(&format!("otelcol_receiver_accepted_{name}"), &labels);
        assert_eq!(accepted, Some(1.0), "{name}");
    }
    let failed = scene.telemetry.value("otelcol_receiver_failed_metric_points", &labels);
    assert_eq!(failed, Some(1.0), "the point without a value");
    running.stop().await;
}

#[tokio::test]
async fn with_storage_reading_goes_on_after_a_restart_with_what_was_not_delivered() {
    const KEYS: &str = "start_at: beginning\nstorage: file_storage";
    let scene = Scene::new();
    let path = scene.file("a.json");
    append(&path, &format!("{}bad\n{}", line("one"), line("two")));
    let mut running = scene.start(KEYS);
    assert_eq!(running.lines(1).await, ["one"]);
    // The second is taken, and lost when the service ends.
    let second = next(&mut running.input).await;
    assert_eq!(text(&second), "two");
    running.stop.stop(Instant::now() + Duration::from_secs(60));
    drop(second);
    running.task.await.unwrap().unwrap();

    // While nobody looks, the file grows, is renamed, and another takes its name.
    append(&path, &line("three"));
    fs::rename(&path, scene.file("b.json")).unwrap();
    append(&path, &line("four"));
    // Where to begin is known now.
    const AT_END: &str = "start_at: end\nstorage: file_storage";
    let mut running = scene.start(AT_END);
    let mut found = running.lines(3).await;
    found.sort();
    assert_eq!(found, ["four", "three", "two"]);
    assert_eq!(running.lines_before(&path, "end").await, [""; 0]);
    running.stop().await;
    assert_eq!(scene.malformed(), 1.0, "the bad line is not read again");

    let mut running = scene.start(AT_END);
    assert_eq!(running.lines_before(&path, "end of all").await, [""; 0]);
    running.stop().await;
}

#[tokio::test]
async fn offsets_that_cannot_be_read_stop_the_receiver() {
    let scene = Scene::new();
    let directory = scene.file("storage").join("receiver_otlpjsonfile_");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("offsets.json"), "{\"files\":[{]").unwrap();
    let running = scene.start("storage: file_storage");
    let error = running.task.await.unwrap().unwrap_err().to_string();
    assert!(error.contains("offsets.json cannot be read: repair or remove it"), "{error}");
}

/// A gate that is closed at first.
#[derive(Default)]
struct Closed(AtomicBool);

impl Gate for Closed {
    fn admit(&self) -> Result<(), &'static str> {
        if self.0.load(Ordering::SeqCst) { Ok(()) } else { Err("closed") }
    }

    fn refused(&self, _items: usize) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn what_the_pipeline_refuses_is_offered_again() {
    let scene = Scene::new();
    append(&scene.file("a.json"), &line("one"));
    let gate = Arc::new(Closed::default());
    let mut running = scene.start_behind("start_at: beginning", vec![gate]);
    assert_eq!(running.lines(1).await, ["one"]);
    let labels = [("receiver", "otlpjsonfile"), ("transport", "file")];
    assert_eq!(scene.telemetry.value("otelcol_receiver_refused_log_records", &labels), Some(1.0));
    running.stop().await;
}

#[test]
fn configurations_are_checked() {
    let problems = |yaml: &str| match (FACTORY.validate)(&parse(yaml, "test.yaml").unwrap()) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.iter().map(|error| error.message.clone()).collect::<Vec<_>>(),
    };
    assert_eq!(problems("{}"), ["required argument `include` is empty"]);
    assert_eq!(
        problems("include: [a]\nstart_at: middle"),
        ["invalid start_at location \"middle\": use beginning or end"]
    );
    assert_eq!(problems("include: [a]\npoll_interval: 0s"), ["poll_interval must be greater than zero"]);
    assert!(problems("include: ['a***']").concat().starts_with("parse glob \"a***\""));
    assert_eq!(problems("include: [a]\nmax_log_size: 4 MiB\nfingerprint_size: 1kb\nencoding: utf-8"), [""; 0]);
    for name in ["otlpjsonfile", "otlp_json_file", "file"] {
        assert!(FACTORY.is_called(name));
    }
}
