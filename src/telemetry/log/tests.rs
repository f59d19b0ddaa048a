#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::config::{SamplingConfig, TelemetryConfig};
use pipeline::config::parse;
use std::time::{Instant, SystemTime};

fn logging(config: &LogsConfig, write: impl FnOnce(&Log)) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let config = LogsConfig { output_paths: [path.to_string_lossy()].into_iter().collect(), ..config.clone() };
    let (log, subscriber) = Log::new(&config).unwrap();
    tracing::subscriber::with_default(subscriber, || write(&log));
    std::fs::read_to_string(path).unwrap()
}

fn without_time(line: &str) -> String {
    line.split_once('\t').unwrap().1.to_owned()
}

#[test]
fn console_lines_have_time_level_text_and_fields() {
    let text = logging(&LogsConfig::default(), |_| {
        let span = tracing::error_span!("component", "otelcol.component.id" = "prometheus/a");
        let _entered = span.enter();
        tracing::info!(target = "a:1", samples = 3, ok = true, "Scraped.");
        tracing::debug!("not at this level");
        tracing::error!(target: "hyper::client", "from a library");
        tracing::info!(target: "hyper::client", "of no interest");
    });
    let lines: Vec<String> = text.lines().map(without_time).collect();
    assert_eq!(
        lines,
        [
            "info\tScraped.\t{\"otelcol.component.id\":\"prometheus/a\",\"target\":\"a:1\",\"samples\":3,\"ok\":true}",
            "error\tfrom a library\t{\"otelcol.component.id\":\"prometheus/a\"}",
        ]
    );
}

#[test]
fn json_lines_have_the_keys_of_the_collector() {
    let node = parse("logs: {encoding: json, initial_fields: {team: a, shard: 7, on: true}}", "t.yaml").unwrap();
    let config = TelemetryConfig::read(Some(&node), &mut Vec::new()).unwrap().logs;
    let text = logging(&config, |_| tracing::warn!(error = %"no \"route\"", "Failed."));
    let line: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    let keys: Vec<&str> = line.keys().map(String::as_str).collect();
    assert_eq!(keys, ["level", "ts", "msg", "on", "shard", "team", "error"]);
    assert_eq!(line.get("level").unwrap(), "warn");
    assert_eq!(line.get("shard").unwrap(), 7);
    assert_eq!(line.get("error").unwrap(), "no \"route\"");
}

#[test]
fn the_level_changes_while_the_program_runs() {
    let text = logging(&LogsConfig::default(), |log| {
        let say = || tracing::debug!("details");
        say();
        let path = log.core.settings.load().outputs.first().unwrap().to_string();
        let output_paths = [path].into_iter().collect();
        log.apply(&LogsConfig { level: LogLevel::Debug, output_paths, ..LogsConfig::default() }).unwrap();
        say();
    });
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn a_file_that_cannot_be_opened_is_named_with_its_key() {
    let config =
        LogsConfig { output_paths: ["/nonexistent/oxidot/log"].into_iter().collect(), ..LogsConfig::default() };
    let error = Log::new(&config).map(|_| ()).unwrap_err().to_string();
    assert!(
        error.starts_with("service::telemetry::logs::output_paths: cannot open \"/nonexistent/oxidot/log\": "),
        "{error}"
    );
}

#[test]
fn repeated_warnings_are_left_out_and_counted() {
    let config = LogsConfig {
        sampling: SamplingConfig { initial: 2, thereafter: 5, ..SamplingConfig::default() },
        ..LogsConfig::default()
    };
    let text = logging(&config, |_| {
        for attempt in 0..8 {
            tracing::warn!(attempt, "Refused.");
        }
        tracing::warn!("Something else.");
    });
    let lines: Vec<String> = text.lines().map(without_time).collect();
    assert_eq!(
        lines,
        [
            "warn\tRefused.\t{\"attempt\":0}",
            "warn\tRefused.\t{\"attempt\":1}",
            "warn\tRefused.\t{\"attempt\":6,\"suppressed\":4}",
            "warn\tSomething else.",
        ]
    );
}

#[test]
fn one_line_a_second_is_written_and_silence_brings_out_the_rest() {
    let mut repeats = Repeats::new(SamplingConfig { initial: 1, thereafter: 0, ..SamplingConfig::default() });
    let start = Instant::now();
    let at = |millis| start + Duration::from_millis(millis);
    let mut judge = |millis| repeats.judge(1, "x", at(millis));
    assert_eq!(judge(0), Verdict::Write { left_out: 0 });
    assert_eq!(judge(500), Verdict::LeaveOut);
    assert_eq!(judge(999), Verdict::LeaveOut);
    assert_eq!(judge(1000), Verdict::Write { left_out: 2 });
    assert_eq!(judge(1500), Verdict::LeaveOut);
    assert_eq!(repeats.sweep(at(2000)), []);
    assert_eq!(repeats.sweep(at(11_500)), [("x".to_owned(), 1)]);
    assert_eq!(repeats.judge(1, "x", at(11_600)), Verdict::Write { left_out: 0 });
}

#[test]
fn texts_that_never_repeat_are_all_written() {
    let mut repeats = Repeats::new(SamplingConfig::default());
    let now = Instant::now();
    for cause in 0..10_000 {
        assert_eq!(repeats.judge(cause, "x", now), Verdict::Write { left_out: 0 });
    }
}

#[test]
fn times_are_in_the_gregorian_calendar() {
    let at = |seconds, millis| {
        line::timestamp(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_millis(millis))
    };
    assert_eq!(at(0, 0), "1970-01-01T00:00:00.000Z");
    assert_eq!(at(951_782_400, 7), "2000-02-29T00:00:00.007Z");
    assert_eq!(at(1_709_251_199, 999), "2024-02-29T23:59:59.999Z");
    assert_eq!(at(4_107_542_400, 0), "2100-03-01T00:00:00.000Z");
}
