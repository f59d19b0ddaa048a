#![expect(clippy::unwrap_used, reason = "tests")]

use super::FACTORY;
use pipeline::channel::{Output, channel_of};
use pipeline::component::{Build, BuildContext, ComponentError, ExporterContext, Program, Shared, Signal};
use pipeline::config::parse;
use pipeline::stop::Stop;
use pipeline::telemetry::Telemetry;
use pipeline::{Ack, AckOutcome, Acks, Batch, MessageBatch, MetricBatch};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

fn request(signal: Signal, json: &Value) -> Vec<u8> {
    otlp::json::to_protobuf(signal, json.to_string().as_bytes()).unwrap()
}

/// A batch with one log record for each pair of a resource's attribute and a text.
fn logs(records: &[(Option<&str>, &str)]) -> Batch {
    let resource = |(segment, text): &(Option<&str>, &str)| {
        let attributes: Vec<Value> = segment
            .iter()
            .map(|segment| json!({"key": "fileexporter.path_segment", "value": {"stringValue": segment}}))
            .collect();
        json!({"resource": {"attributes": attributes}, "scopeLogs": [{"logRecords": [{"body": {"stringValue": text}}]}]})
    };
    let all: Vec<Value> = records.iter().map(resource).collect();
    let body = request(Signal::Logs, &json!({"resourceLogs": all})).into();
    MessageBatch { signal: Signal::Logs, body, items: records.len(), acks: Acks::default() }.into()
}

fn metrics() -> (Value, Batch) {
    let sent = json!({"resourceMetrics": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "s"}}]},
        "scopeMetrics": [{"scope": {"name": "l"}, "metrics": [{"name": "m", "gauge": {"dataPoints": [{"timeUnixNano": "5", "asInt": "7"}]}}]}]}]});
    let groups = otlp::decode::MetricsReader::default().read(&request(Signal::Metrics, &sent), 0).unwrap().groups;
    (sent, MetricBatch::new(groups).into())
}

fn body(batch: &Batch) -> bytes::Bytes {
    let encoded = super::encode::Encoded::of(batch, &mut otlp::encode::MetricsEncoder::default());
    encoded.requests.unwrap().body
}

/// Writes batches by an exporter with these keys.
async fn export(directory: &Path, keys: &str, batches: Vec<Batch>) -> Result<Telemetry, ComponentError> {
    let telemetry = Telemetry::default();
    let context = BuildContext {
        id: "file".parse().unwrap(),
        program: Program { name: "oxidot", version: "0" },
        telemetry: telemetry.clone(),
        shared: Shared::default(),
        signal: None,
    };
    let yaml = keys.replace("DIR", &directory.display().to_string());
    let Build::Exporter(build) = FACTORY.build else { panic!("an exporter") };
    let mut exporter = build(&parse(&yaml, "test.yaml").unwrap(), &context)?;
    exporter.start().await?;
    let (entry, input) = channel_of(batches.len().max(1));
    let output = Output::to(vec![entry]);
    for batch in batches {
        output.send(batch).await.unwrap();
    }
    drop(output);
    exporter.run(ExporterContext { input, stop: Stop::never() }).await?;
    Ok(telemetry)
}

fn read(path: &Path) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn texts(path: &Path) -> Vec<String> {
    let texts = |line: &Value| {
        let resources = line["resourceLogs"].as_array().unwrap().iter();
        let text = |r: &Value| r["scopeLogs"][0]["logRecords"][0]["body"]["stringValue"].as_str().unwrap().to_owned();
        resources.map(text).collect::<Vec<_>>().join("+")
    };
    read(path).iter().map(texts).collect()
}

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn each_batch_is_a_line_of_json() {
    let directory = directory();
    let (sent, batch) = metrics();
    let telemetry = export(directory.path(), "path: DIR/out.json", vec![batch, logs(&[(None, "a\nb")])]).await.unwrap();
    let lines = read(&directory.path().join("out.json"));
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0], sent);
    assert_eq!(lines[1]["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["body"]["stringValue"], "a\nb");
    for name in ["metric_points", "log_records"] {
        assert_eq!(telemetry.value(&format!("otelcol_exporter_sent_{name}"), &[("exporter", "file")]), Some(1.0));
    }
}

#[tokio::test]
async fn protobuf_and_compressed_requests_come_behind_their_lengths() {
    for (keys, zstd, json) in [
        ("format: proto", false, false),
        ("format: proto\ncompression: zstd", true, false),
        ("compression: zstd", true, true),
    ] {
        let directory = directory();
        let batches = vec![logs(&[(None, "one")]), logs(&[(None, "two")])];
        let bodies: Vec<_> = batches.iter().map(body).collect();
        export(directory.path(), &format!("path: DIR/out\n{keys}"), batches).await.unwrap();
        let written = std::fs::read(directory.path().join("out")).unwrap();
        let mut rest = written.as_slice();
        let mut found = Vec::new();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let (framed, after) = after.split_at(u32::from_be_bytes(*length) as usize);
            let body = if zstd { zstd::bulk::decompress(framed, 1 << 20).unwrap() } else { framed.to_vec() };
            found.push(if json { otlp::json::to_protobuf(Signal::Logs, &body).unwrap() } else { body });
            rest = after;
        }
        assert_eq!(found, bodies, "{keys}");
    }
}

#[tokio::test]
async fn what_is_there_is_cut_off_unless_it_is_to_be_appended_to() {
    let directory = directory();
    let path = directory.path().join("out.json");
    for (keys, expected) in
        [("append: false", vec!["a"]), ("append: true", vec!["a", "a"]), ("append: false", vec!["a"])]
    {
        export(directory.path(), &format!("path: DIR/out.json\n{keys}"), vec![logs(&[(None, "a")])]).await.unwrap();
        assert_eq!(texts(&path), expected, "{keys}");
    }
}

#[tokio::test]
async fn full_files_are_put_aside() {
    let directory = directory();
    let large = "x".repeat(600 << 10);
    let batches = (0..4).map(|at| logs(&[(None, &format!("{at}{large}"))])).collect();
    export(directory.path(), "path: DIR/out.json\nrotation: {max_megabytes: 1, max_backups: 2}", batches)
        .await
        .unwrap();
    let mut files: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let found: Vec<String> =
        files.iter().map(|file| texts(file).iter().map(|text| text[..1].to_owned()).collect()).collect();
    assert_eq!(found, ["1", "2", "3"], "the oldest is gone, the newest has its name: {files:?}");
    assert_eq!(files[2], directory.path().join("out.json"));
}

#[tokio::test]
async fn resources_go_to_the_files_that_they_name() {
    let directory = directory();
    let keys = "path: DIR/out/*.json\ngroup_by: {enabled: true, max_open_files: 1}";
    let batches = vec![
        logs(&[(Some("a"), "1"), (Some("b/c"), "2"), (Some("a"), "3"), (None, "4")]),
        logs(&[(Some("../../a"), "5")]),
    ];
    let telemetry = export(directory.path(), keys, batches).await.unwrap();
    assert_eq!(texts(&directory.path().join("out/a.json")), ["1+3", "5"]);
    assert_eq!(texts(&directory.path().join("out/b/c.json")), ["2"]);
    let dropped = [("exporter", "file"), ("reason", "no_path_segment")];
    assert_eq!(telemetry.value("otelcol_exporter_dropped_log_records", &dropped), Some(1.0));
    assert_eq!(telemetry.value("otelcol_exporter_sent_log_records", &[("exporter", "file")]), Some(4.0));
}

#[tokio::test]
async fn directories_are_made_if_that_is_wanted() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = directory();
    let error = export(directory.path(), "path: DIR/a/b/out.json", Vec::new()).await.err().unwrap().to_string();
    assert!(error.contains("create_directory: true"), "{error}");
    let keys = "path: DIR/a/b/out.json\ncreate_directory: true\ndirectory_permissions: '0700'";
    export(directory.path(), keys, vec![logs(&[(None, "x")])]).await.unwrap();
    assert_eq!(texts(&directory.path().join("a/b/out.json")), ["x"]);
    let mode = std::fs::metadata(directory.path().join("a/b")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn what_cannot_be_written_is_said_and_counted() {
    // A file that takes nothing.
    let full = Path::new("/dev/full");
    if !full.exists() {
        use std::io::Write as _;
        writeln!(std::io::stderr(), "skipped: there is no /dev/full here").unwrap();
        return;
    }
    let mut batch = logs(&[(None, "x")]);
    let (ack, fate) = Ack::channel();
    if let Batch::Messages(batch) = &mut batch {
        batch.acks = Acks::one(ack);
    }
    let telemetry = export(full, "path: DIR", vec![batch]).await.unwrap();
    assert_eq!(fate.await.unwrap(), AckOutcome::Dropped);
    let dropped = [("exporter", "file"), ("reason", "write_error")];
    assert_eq!(telemetry.value("otelcol_exporter_dropped_log_records", &dropped), Some(1.0));
    assert_eq!(telemetry.value("otelcol_exporter_send_failed_log_records", &[("exporter", "file")]), Some(1.0));
}

/// A batch of a scrape with a gauge histogram, which OTLP does not have, and a gauge if that is wanted.
fn scraped(with_gauge: bool) -> Batch {
    let series = |name: &str, kind, part| {
        let family = pipeline::Family { name: "f".into(), kind, ..pipeline::Family::default() };
        pipeline::Series::intern(std::sync::Arc::new(family), name.into(), part, pipeline::Attributes::default())
    };
    let table = pipeline::SeriesTable::intern(vec![
        series("f_gcount", pipeline::FamilyKind::GaugeHistogram, pipeline::Part::Count),
        series("f_gsum", pipeline::FamilyKind::GaugeHistogram, pipeline::Part::Sum),
        series("f", pipeline::FamilyKind::Gauge, pipeline::Part::Whole),
    ]);
    let resource = pipeline::Resource {
        attributes: pipeline::Attributes::from_pairs([("fileexporter.path_segment", "a")]),
        ..pipeline::Resource::default()
    };
    let origin =
        pipeline::Origin::intern(pipeline::Source::Scrape, resource, pipeline::Scope::default(), Default::default());
    let points = (0..if with_gauge { 3 } else { 2 }).map(|series| pipeline::Point {
        series,
        flags: 0,
        time: 1_000_000,
        start: 0,
        value: pipeline::Value::Float(1.0),
    });
    MetricBatch::new(vec![pipeline::PointGroup::new(origin, table, points.collect())]).into()
}

#[tokio::test]
async fn what_otlp_has_no_place_for_is_counted_and_leaves_no_empty_line() {
    for keys in ["path: DIR/a.json", "path: DIR/*.json\ngroup_by: {enabled: true}"] {
        let directory = directory();
        let telemetry = export(directory.path(), keys, vec![scraped(true), scraped(false)]).await.unwrap();
        let lines = read(&directory.path().join("a.json"));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(lines[0]["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["name"], "f");
        let dropped = [("exporter", "file"), ("reason", "gauge_histogram")];
        assert_eq!(telemetry.value("otelcol_exporter_dropped_metric_points", &dropped), Some(4.0));
        assert_eq!(telemetry.value("otelcol_exporter_sent_metric_points", &[("exporter", "file")]), Some(1.0));
    }
}

#[test]
fn configurations_are_checked() {
    let problems = |yaml: &str| match (FACTORY.validate)(&parse(yaml, "test.yaml").unwrap()) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.iter().map(|error| error.message.clone()).collect::<Vec<_>>(),
    };
    for (yaml, expected) in [
        ("{}", "path must be non-empty"),
        ("path: a\nformat: csv", "format type is not supported: use json or proto"),
        ("path: a\ncompression: gzip", "compression is not supported: use zstd or leave it out"),
        (
            "path: a\nappend: true\ncompression: zstd",
            "append and compression enabled at the same time is not supported",
        ),
        ("path: a\nappend: true\nrotation:", "append and rotation enabled at the same time is not supported"),
        ("path: a\nflush_interval: -1s", "flush_interval must be larger than zero"),
        (
            "path: a\ndirectory_permissions: '0999'",
            "directory_permissions value must be a valid octal representation like 0755",
        ),
        ("path: a\ngroup_by: {enabled: true}", "path must contain exactly one * when group_by is enabled"),
        ("path: '*.json'\ngroup_by: {enabled: true}", "path must not start with * when group_by is enabled"),
    ] {
        assert_eq!(problems(yaml), [expected], "{yaml}");
    }
    let all = "path: a\nrotation: {enabled: true, max_megabytes: 1, max_days: 2, max_backups: 3, localtime: true}\n\
               format: proto\ncompression: zstd\nflush_interval: 5s\ncreate_directory: true";
    assert_eq!(problems(all), [""; 0]);
}
