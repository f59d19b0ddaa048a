//! Requests that a store does not take as they are.

use super::delivery::{PATIENCE, Running, learn};
use super::*;
use parking_lot::Mutex;
use pipeline::AckOutcome;
use prometheus::remote_write::Batch;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const V2: &str = "protobuf_message: io.prometheus.write.v2.Request\n";

/// A request as a store looks at it.
pub(super) struct Posted {
    pub(super) version: ProtocolVersion,
    pub(super) headers: Vec<(String, String)>,
    pub(super) bytes: usize,
    pub(super) plain: Vec<u8>,
}

impl Posted {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn batch(&self) -> Batch<'_> {
        Batch::decode(self.version, &self.plain).unwrap()
    }

    /// The value of a label of each series.
    pub(super) fn values_of(&self, name: &str) -> Vec<String> {
        let batch = self.batch();
        let value = |series: &TimeSeries<'_>| {
            let found = series.labels.iter().find(|(known, _)| *known == name.as_bytes());
            found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        };
        batch.series.iter().filter_map(value).collect()
    }
}

/// What it answers: a status line with further header fields, and a body.
pub(super) type Answer = (String, String);

/// A request and what it was answered.
type Answered = (Arc<Posted>, Answer);

type Rule = Box<dyn Fn(usize, &Posted) -> Answer + Send + Sync>;

/// A store that looks into requests before it answers.
pub(super) struct Judge {
    pub(super) address: SocketAddr,
    pub(super) posted: Arc<Mutex<Vec<Answered>>>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Judge {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) fn status(line: &str) -> Answer {
    (line.to_owned(), String::new())
}

/// What a store of version 2.0 says that takes everything, and what one of version 1.0 says.
pub(super) fn taken(posted: &Posted) -> Answer {
    if posted.version == ProtocolVersion::V1 {
        return status("204 No Content");
    }
    let counts = posted.batch().counts(0..usize::MAX);
    let written = |samples, histograms, exemplars| {
        format!(
            "204 No Content\r\nX-Prometheus-Remote-Write-Samples-Written: {samples}\r\n\
             X-Prometheus-Remote-Write-Histograms-Written: {histograms}\r\n\
             X-Prometheus-Remote-Write-Exemplars-Written: {exemplars}"
        )
    };
    (written(counts.samples, counts.histograms, counts.exemplars), String::new())
}

impl Judge {
    pub(super) async fn start(rule: impl Fn(usize, &Posted) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let posted = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (keeps, counts, rule) = (Arc::clone(&posted), Arc::clone(&connections), Arc::new(Box::new(rule) as Rule));
        let task = tokio::spawn(async move {
            let mut tasks = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counts.fetch_add(1, Ordering::Relaxed);
                tasks.spawn(converse(stream, Arc::clone(&keeps), Arc::clone(&rule)));
            }
        });
        Self { address, posted, connections, task }
    }

    pub(super) fn seen(&self) -> Vec<(Arc<Posted>, Answer)> {
        self.posted.lock().clone()
    }

    /// Those that were answered with 204.
    pub(super) fn accepted(&self) -> Vec<Arc<Posted>> {
        self.seen().into_iter().filter(|(_, (line, _))| line.starts_with("20")).map(|(posted, _)| posted).collect()
    }

    /// The values of label `i` in what was accepted, in the order of arrival.
    fn kept(&self) -> Vec<String> {
        self.accepted().iter().flat_map(|posted| posted.values_of("i")).collect()
    }
}

async fn converse(stream: TcpStream, posted: Arc<Mutex<Vec<Answered>>>, rule: Arc<Rule>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.ok().filter(|n| *n > 0)?;
            if line == "\r\n" {
                break;
            }
            match line.trim_end().split_once(": ") {
                Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
                None => headers.push(("request".to_owned(), line.trim_end().to_owned())),
            }
        }
        let find = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let mut body = vec![0; find("content-length").unwrap().parse().unwrap()];
        stream.read_exact(&mut body).await.ok()?;
        let version = ProtocolVersion::from_content_type(find("content-type").as_deref()).unwrap();
        let mut plain = Vec::new();
        match find("content-encoding").as_deref() {
            Some("zstd") => plain = zstd::bulk::decompress(&body, 1 << 26).unwrap(),
            _ => decode_block(&body, 1 << 30, &mut plain).unwrap(),
        }
        let one = Arc::new(Posted { version, headers, bytes: body.len(), plain });
        let answer = {
            let mut posted = posted.lock();
            let answer = rule(posted.len(), &one);
            posted.push((one, answer.clone()));
            answer
        };
        let (line, text) = answer;
        if line.is_empty() {
            // Closed without a word.
            return None;
        }
        let answer = format!("HTTP/1.1 {line}\r\nContent-Length: {}\r\n\r\n{text}", text.len());
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

/// Some series are wrong for the store, and it says so of whichever it meets first, as Prometheus does: nothing of a
/// request with one of them is taken.
#[tokio::test]
async fn culprits_are_found_and_the_rest_is_delivered_in_order() {
    for version in ["", V2] {
        let judge = Judge::start(|_, posted| {
            let bad = ["17", "18", "400"];
            match posted.values_of("i").iter().find(|value| bad.contains(&value.as_str())) {
                Some(value) => (
                    "400 Bad Request".to_owned(),
                    format!("out of order sample (timestamp: 1000), series: {{i=\"{value}\"}}"),
                ),
                None => taken(posted),
            }
        })
        .await;
        let mut exporter = Running::start_at(judge.address, version).await;
        assert_eq!(learn(exporter.send(500).await).await, AckOutcome::Rejected);
        assert_eq!(learn(exporter.send(10).await).await, AckOutcome::Delivered);
        exporter.end().await;
        let mut expected = numbers(0..500);
        expected.retain(|n| !["17", "18", "400"].contains(&n.as_str()));
        expected.extend(numbers(0..10));
        assert_eq!(judge.kept(), expected);
        assert_eq!(exporter.dropped("rejected_400"), Some(3.0));
        assert_eq!(exporter.counted("send_failed_metric_points"), 3.0);
        assert_eq!(exporter.counted("sent_metric_points"), 507.0);
        assert_eq!(exporter.counted("prometheusremotewrite_split_requests"), 1.0);
        assert!(judge.seen().len() < 50, "{}", judge.seen().len());
        assert!(judge.seen().iter().all(|(posted, _)| posted.header("retry-attempt").is_none()));
    }
}

/// What waited during an outage has many samples of each series. If the store minds one series, it minds all of them; those of
/// the other series are delivered, and stay in order.
#[tokio::test]
async fn a_series_that_is_always_refused_takes_no_other_with_it() {
    let judge = Judge::start(|_, posted| match posted.values_of("i").contains(&"3".to_owned()) {
        true => ("400 Bad Request".to_owned(), "out of order sample, series: {i=\"3\"}".to_owned()),
        false => taken(posted),
    })
    .await;
    let mut exporter = Running::start_at(judge.address, "").await;
    let origin = super::origin(Source::Scrape, &[("service.name", "job")], &[]);
    let table: Vec<_> = (0..10).map(|i| super::series("x", FamilyKind::Gauge, &[("i", &i.to_string())])).collect();
    let points = (0..60).flat_map(|scrape| (0..10).map(move |i| super::point(i, 1000 + scrape, 1.0))).collect();
    let fate = exporter.send_batch(super::batch(&origin, table, points)).await;
    assert_eq!(learn(fate).await, AckOutcome::Rejected);
    exporter.end().await;
    assert_eq!(exporter.dropped("rejected_400"), Some(60.0));
    assert_eq!(exporter.counted("sent_metric_points"), 540.0);
    let mut times: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for posted in judge.accepted() {
        for series in &posted.batch().series {
            let name = series.labels.iter().find(|(name, _)| *name == b"i").unwrap().1;
            let of = times.entry(String::from_utf8_lossy(name).into_owned()).or_default();
            of.extend(series.samples.iter().map(|sample| sample.timestamp_ms));
        }
    }
    assert_eq!(times.len(), 9);
    assert!(times.values().all(|times| *times == (1000..1060).collect::<Vec<i64>>()), "{times:?}");
}

/// A series that a store minds is not looked for in each request anew, and nobody suffers for having been one.
#[tokio::test]
async fn a_series_that_was_found_is_known_the_next_time() {
    let minds = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let told = Arc::clone(&minds);
    let judge = Judge::start(move |_, posted| {
        let bad = |value: &String| ["17", "300"].contains(&value.as_str());
        match told.load(Ordering::Relaxed) && posted.values_of("i").iter().any(bad) {
            true => ("400 Bad Request".to_owned(), "label value too long".to_owned()),
            false => taken(posted),
        }
    })
    .await;
    let mut exporter = Running::start_at(judge.address, "").await;
    let mut asked = Vec::new();
    for _ in 0..4 {
        let before = judge.seen().len();
        assert_eq!(learn(exporter.send(500).await).await, AckOutcome::Rejected);
        asked.push(judge.seen().len() - before);
    }
    // All of it, the others, the two, each of them.
    assert!(asked[0] > 20 && asked[1..] == [5, 5, 5], "{asked:?}");
    assert_eq!(exporter.dropped("rejected_400"), Some(8.0));
    minds.store(false, Ordering::Relaxed);
    assert_eq!(learn(exporter.send(500).await).await, AckOutcome::Delivered);
    exporter.end().await;
    assert_eq!(exporter.counted("sent_metric_points"), 4.0 * 498.0 + 500.0);
    let mut each: BTreeMap<String, usize> = BTreeMap::new();
    judge.kept().into_iter().for_each(|value| *each.entry(value).or_default() += 1);
    assert!(each.iter().all(|(value, count)| *count == if ["17", "300"].contains(&value.as_str()) { 1 } else { 5 }));
}

#[tokio::test]
async fn a_store_that_refuses_everything_is_not_asked_for_ever_and_blocks_nothing() {
    let judge = Judge::start(|_, _| ("400 Bad Request".to_owned(), "sample too old".to_owned())).await;
    let mut exporter = Running::start_at(judge.address, "").await;
    assert_eq!(learn(exporter.send(2000).await).await, AckOutcome::Rejected);
    let asked = judge.seen().len();
    assert!((2..=60).contains(&asked), "{asked}");
    assert_eq!(learn(exporter.send(1).await).await, AckOutcome::Rejected);
    assert_eq!(judge.seen().len(), asked + 1);
    exporter.end().await;
    assert_eq!(exporter.dropped("rejected_400"), Some(2001.0));
}

#[tokio::test]
async fn what_is_wrong_with_a_whole_request_is_not_looked_for_in_its_parts() {
    for (line, text) in [
        ("400 Bad Request", ""),
        ("400 Bad Request", "Bad request\n"),
        ("400 Bad Request", "snappy: corrupt input"),
        ("400 Bad Request", "<html>no</html>"),
        ("401 Unauthorized", "who are you? sample too old"),
        ("403 Forbidden", "no"),
        ("404 Not Found", "no such tenant"),
        ("301 Moved", "elsewhere"),
    ] {
        let judge = Judge::start(move |_, _| (line.to_owned(), text.to_owned())).await;
        let mut exporter = Running::start_at(judge.address, "").await;
        assert_eq!(learn(exporter.send(8).await).await, AckOutcome::Rejected, "{line} {text}");
        exporter.end().await;
        assert_eq!(judge.seen().len(), 1, "{line} {text}");
        assert_eq!(exporter.counted("send_failed_metric_points"), 8.0, "{line} {text}");
    }
}

#[tokio::test]
async fn a_request_that_is_too_large_is_halved_down_to_one_series() {
    for version in ["", V2] {
        let judge = Judge::start(|_, posted| match posted.values_of("i").len() {
            0..=3 => taken(posted),
            _ => ("413 Request Entity Too Large".to_owned(), "too large".to_owned()),
        })
        .await;
        let mut exporter = Running::start_at(judge.address, version).await;
        assert_eq!(learn(exporter.send(100).await).await, AckOutcome::Delivered);
        exporter.end().await;
        assert_eq!(judge.kept(), numbers(0..100));
        assert_eq!(exporter.counted("sent_metric_points"), 100.0);
        assert_eq!(exporter.counted("send_failed_metric_points"), 0.0);
    }
    let judge = Judge::start(|_, posted| match posted.values_of("i").contains(&"5".to_owned()) {
        false => taken(posted),
        true => ("413 Request Entity Too Large".to_owned(), "one series is too large by itself".to_owned()),
    })
    .await;
    let mut exporter = Running::start_at(judge.address, "").await;
    assert_eq!(learn(exporter.send(10).await).await, AckOutcome::Rejected);
    exporter.end().await;
    assert_eq!(exporter.dropped("rejected_413"), Some(1.0));
    assert_eq!(exporter.counted("sent_metric_points"), 9.0);
}

/// What a store has refused as too large teaches how large the next requests may be.
#[tokio::test]
async fn later_requests_are_as_large_as_the_store_takes() {
    let judge = Judge::start(|_, posted| match posted.bytes {
        0..=40_000 => taken(posted),
        _ => ("413 Request Entity Too Large".to_owned(), String::new()),
    })
    .await;
    let mut exporter = Running::start_at(judge.address, "").await;
    // Values that do not compress, so that requests are large.
    let o = origin(Source::Scrape, &[("service.name", "j")], &[]);
    let large = |round: i64| {
        let all = (0..8000u32).map(|i| series("x", FamilyKind::Gauge, &[("i", &i.to_string())])).collect();
        let value = |i: u32| f64::from_bits(u64::from(i).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 2);
        batch(&o, all, (0..8000).map(|i| Point { value: Value::Float(value(i)), ..point(i, round, 0.0) }).collect())
    };
    assert_eq!(learn(exporter.send_batch(large(1)).await).await, AckOutcome::Delivered);
    let refused = |judge: &Judge| judge.seen().iter().filter(|(_, (line, _))| line.starts_with("413")).count();
    let first = refused(&judge);
    assert!(first > 0);
    for round in 2..6 {
        assert_eq!(learn(exporter.send_batch(large(round)).await).await, AckOutcome::Delivered);
    }
    exporter.end().await;
    assert_eq!(refused(&judge), first, "later requests are small enough from the start");
    assert_eq!(judge.kept().len(), 5 * 8000);
}

#[tokio::test]
async fn failures_in_between_are_waited_out_without_losing_the_order() {
    let judge = Judge::start(|number, posted| {
        if number % 3 == 1 {
            return ("503 Service Unavailable\r\nRetry-After: 0".to_owned(), "busy".to_owned());
        }
        match posted.values_of("i").contains(&"20".to_owned()) {
            true => ("422 Unprocessable Entity".to_owned(), "duplicate sample for timestamp".to_owned()),
            false => taken(posted),
        }
    })
    .await;
    let mut exporter = Running::start_at(judge.address, "retry_on_failure: {initial_interval: 1ms}").await;
    assert_eq!(learn(exporter.send(50).await).await, AckOutcome::Rejected);
    exporter.end().await;
    let mut expected = numbers(0..50);
    expected.remove(20);
    assert_eq!(judge.kept(), expected);
    assert_eq!(exporter.dropped("rejected_422"), Some(1.0));
}

#[tokio::test]
async fn what_is_left_when_time_is_over_is_counted() {
    let judge = Judge::start(|number, posted| match number {
        0 => ("413 Request Entity Too Large".to_owned(), String::new()),
        1 => taken(posted),
        _ => ("503 Service Unavailable".to_owned(), String::new()),
    })
    .await;
    let keys = "retry_on_failure: {initial_interval: 1ms, max_interval: 2ms, max_elapsed_time: 200ms}";
    let mut exporter = Running::start_at(judge.address, keys).await;
    assert_eq!(learn(exporter.send(10).await).await, AckOutcome::Dropped);
    exporter.end().await;
    assert_eq!(exporter.counted("sent_metric_points"), 5.0);
    assert_eq!(exporter.dropped("retries_exhausted"), Some(5.0));
}

/// Samples that have waited too long are left out of their request when it is tried again.
#[tokio::test]
async fn samples_over_age_are_dropped_and_the_rest_is_sent() {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64;
    let judge = Judge::start(|_, posted| {
        // Until the older ones are gone, there is no answer but this.
        match posted.values_of("i").len() {
            10 => ("503 Service Unavailable".to_owned(), String::new()),
            _ => taken(posted),
        }
    })
    .await;
    let keys =
        "remote_write_queue: {sample_age_limit: 60s}\nretry_on_failure: {initial_interval: 5ms, max_interval: 20ms}";
    let mut exporter = Running::start_at(judge.address, keys).await;
    let o = origin(Source::Scrape, &[("service.name", "j")], &[]);
    let all = (0..12u32).map(|i| series("x", FamilyKind::Gauge, &[("i", &i.to_string())])).collect();
    let time = |i: u32| match i {
        0..=3 => now - 58_500,
        10..=11 => now - 120_000,
        _ => now,
    };
    let points = (0..12).map(|i| point(i, time(i), 1.0)).collect();
    assert_eq!(learn(exporter.send_batch(batch(&o, all, points)).await).await, AckOutcome::Dropped);
    exporter.end().await;
    assert_eq!(judge.kept(), numbers(4..10));
    assert_eq!(exporter.dropped("too_old"), Some(6.0), "two before they were encoded, four while they waited");
}

#[tokio::test]
async fn a_store_without_version_2_gets_1_and_is_remembered() {
    // One says so; another, as Prometheus before 2.54, finds nothing in the message and is content; the third cannot read it.
    for (answer, words) in [
        ("415 Unsupported Media Type", "send 1.0"),
        ("204 No Content", ""),
        ("400 Bad Request", "proto: wrong wireType = 2 for field Timeseries"),
    ] {
        let judge = Judge::start(move |_, posted| match posted.version {
            ProtocolVersion::V1 => taken(posted),
            ProtocolVersion::V2 => (answer.to_owned(), words.to_owned()),
        })
        .await;
        // Version 1.0 sends metadata in requests of their own, whenever the series are still there.
        let mut exporter = Running::start_at(judge.address, &format!("{V2}send_metadata: false\n")).await;
        for _ in 0..3 {
            assert_eq!(learn(exporter.send(4).await).await, AckOutcome::Delivered);
        }
        exporter.end().await;
        let seen = judge.seen();
        let versions: Vec<_> = seen.iter().map(|(posted, _)| posted.version).collect();
        let [first, rest @ ..] = versions.as_slice() else { panic!("nothing came") };
        assert_eq!((*first, rest), (ProtocolVersion::V2, &[ProtocolVersion::V1; 3][..]));
        assert_eq!(seen[1].0.header("content-type"), Some("application/x-protobuf"));
        assert_eq!(seen[1].0.header("x-prometheus-remote-write-version"), Some("0.1.0"));
        assert_eq!(seen[1].0.values_of("i"), numbers(0..4));
        assert_eq!(exporter.counted("prometheusremotewrite_fallbacks"), 1.0);
        assert_eq!(exporter.counted("sent_metric_points"), 12.0);
    }
}

#[tokio::test]
async fn a_store_that_has_taken_version_2_is_not_taken_for_one_that_cannot_read_it() {
    let judge = Judge::start(|number, posted| match number {
        1 => ("400 Bad Request".to_owned(), "snappy: corrupt input".to_owned()),
        _ => taken(posted),
    })
    .await;
    let mut exporter = Running::start_at(judge.address, V2).await;
    for expected in [AckOutcome::Delivered, AckOutcome::Rejected, AckOutcome::Delivered] {
        assert_eq!(learn(exporter.send(4).await).await, expected);
    }
    exporter.end().await;
    let seen = judge.seen();
    assert!(seen.len() == 3 && seen.iter().all(|(posted, _)| posted.version == ProtocolVersion::V2));
    assert_eq!(exporter.dropped("rejected_400"), Some(4.0));
}

#[tokio::test(start_paused = true)]
async fn version_2_is_tried_again_after_an_hour() {
    use super::super::send::{FALL_BACK_FOR, Spoken};
    let spoken = Spoken::new(ProtocolVersion::V2);
    assert_eq!(spoken.now(), ProtocolVersion::V2);
    assert!(spoken.fall_back());
    assert!(!spoken.fall_back(), "it is no news the second time");
    assert_eq!(spoken.now(), ProtocolVersion::V1);
    tokio::time::advance(FALL_BACK_FOR + Duration::from_secs(1)).await;
    assert_eq!(spoken.now(), ProtocolVersion::V2);
    assert!(spoken.fall_back());
}

#[tokio::test]
async fn what_a_store_has_not_written_is_counted() {
    let written = |samples: u64| {
        format!(
            "X-Prometheus-Remote-Write-Samples-Written: {samples}\r\nX-Prometheus-Remote-Write-Histograms-Written: 0\r\nX-Prometheus-Remote-Write-Exemplars-Written: 0"
        )
    };
    let judge = Judge::start(move |number, _| match number {
        0 => (format!("200 OK\r\n{}", written(7)), String::new()),
        // All of it was left out, and there is nothing wrong with that: a store that deduplicates, for one.
        1 => (format!("200 OK\r\n{}", written(0)), String::new()),
        // A part was written, and the rest is refused: nothing is sent again.
        _ => (format!("400 Bad Request\r\n{}", written(6)), "out of order sample".to_owned()),
    })
    .await;
    let mut exporter = Running::start_at(judge.address, V2).await;
    assert_eq!(learn(exporter.send(10).await).await, AckOutcome::Delivered);
    assert_eq!(learn(exporter.send(10).await).await, AckOutcome::Delivered);
    assert_eq!(learn(exporter.send(10).await).await, AckOutcome::Rejected);
    tokio::time::timeout(PATIENCE, exporter.end()).await.unwrap();
    assert_eq!(judge.seen().len(), 3);
    assert_eq!(exporter.counted("sent_metric_points"), 13.0);
    assert_eq!(exporter.counted("prometheusremotewrite_written_samples"), 13.0);
    assert_eq!(exporter.dropped("not_written"), Some(13.0));
    assert_eq!(exporter.dropped("rejected_400"), Some(4.0));
}

#[tokio::test]
async fn one_connection_serves_all_requests_of_a_shard() {
    let judge = Judge::start(|_, posted| taken(posted)).await;
    let mut exporter = Running::start_at(judge.address, "").await;
    for _ in 0..10 {
        assert_eq!(learn(exporter.send(3).await).await, AckOutcome::Delivered);
    }
    exporter.end().await;
    assert_eq!((judge.seen().len(), judge.connections.load(Ordering::Relaxed)), (10, 1));
}

/// A store that takes zstd gets it, in both versions and in parts as well; one that does not is known by its answer.
#[tokio::test]
async fn bodies_go_in_zstd_to_who_takes_it() {
    let encodings = |judge: &Judge| -> Vec<String> {
        judge.seen().iter().map(|(posted, _)| posted.header("content-encoding").unwrap().to_owned()).collect()
    };
    for version in ["", V2] {
        let judge = Judge::start(|_, posted| match posted.values_of("i").contains(&"3".to_owned()) {
            true => ("400 Bad Request".to_owned(), "sample too old".to_owned()),
            false => taken(posted),
        })
        .await;
        let mut exporter = Running::start_at(judge.address, &format!("compression: zstd\n{version}")).await;
        assert_eq!(learn(exporter.send(8).await).await, AckOutcome::Rejected);
        exporter.end().await;
        assert_eq!(judge.kept().len(), 7);
        assert!(encodings(&judge).iter().all(|encoding| encoding == "zstd"));
        let seen = judge.seen();
        assert_eq!(seen[0].0.header("x-victoriametrics-remote-write-version"), Some("1"));
        assert_eq!(
            exporter.counted("prometheusremotewrite_sent_bytes"),
            judge.accepted().iter().map(|posted| posted.bytes as f64).sum::<f64>()
        );

        for refusal in [
            ("415 Unsupported Media Type", ""),
            ("400 Bad Request", "snappy: corrupt input"),
            ("400 Bad Request", "cannot decompress"),
        ] {
            let judge = Judge::start(move |_, posted| match posted.header("content-encoding") {
                Some("zstd") => (refusal.0.to_owned(), refusal.1.to_owned()),
                _ => taken(posted),
            })
            .await;
            let mut exporter = Running::start_at(judge.address, &format!("compression: zstd\n{version}")).await;
            for _ in 0..3 {
                assert_eq!(learn(exporter.send(4).await).await, AckOutcome::Delivered);
            }
            exporter.end().await;
            assert_eq!(encodings(&judge), ["zstd", "snappy", "snappy", "snappy"], "{refusal:?}");
            assert!(
                judge.seen().iter().all(|(posted, _)| (posted.version == ProtocolVersion::V2) != version.is_empty())
            );
            assert_eq!(exporter.counted("send_failed_metric_points"), 0.0);
        }
    }
}

#[tokio::test]
async fn requests_go_through_a_proxy() {
    // The judge is the proxy; the endpoint does not exist.
    let judge = Judge::start(|_, posted| taken(posted)).await;
    let endpoint = SocketAddr::from(([127, 0, 0, 1], 9));
    let mut exporter = Running::start_at(endpoint, &format!("proxy_url: http://{}", judge.address)).await;
    assert_eq!(learn(exporter.send(3).await).await, AckOutcome::Delivered);
    exporter.end().await;
    assert_eq!(judge.seen()[0].0.header("request"), Some("POST http://127.0.0.1:9/api/v1/write HTTP/1.1"));
}
