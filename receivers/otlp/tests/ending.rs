//! Series that are not sent any more.

use super::*;
use pipeline::{MetricBatch, Value};

fn metrics(series: &[&str], value: i64) -> String {
    let point = |name: &&str| {
        format!(
            r#"{{"asInt":"{value}","timeUnixNano":"1","attributes":[{{"key":"s","value":{{"stringValue":"{name}"}}}}]}}"#
        )
    };
    let points: Vec<String> = series.iter().map(point).collect();
    let points = points.join(",");
    format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"m","gauge":{{"dataPoints":[{points}]}}}}]}}]}}]}}"#
    )
}

/// Attribute and value of each point of the next batch.
async fn next(running: &mut Running) -> Vec<(String, Value)> {
    let Some(Batch::Metrics(batch)) = running.input.recv_any().await else { panic!("no metrics") };
    listing(&batch)
}

fn listing(batch: &MetricBatch) -> Vec<(String, Value)> {
    let groups = batch.groups().iter();
    let points =
        groups.flat_map(|group| group.points.iter().map(|point| (group.table.get(point.series).unwrap(), point)));
    points.map(|(series, point)| (series.attributes.get_str("s").unwrap().to_owned(), point.value.clone())).collect()
}

#[tokio::test]
async fn a_series_that_is_not_sent_any_more_is_marked_once() {
    let mut running = Running::start(&format!("{BOTH}\nmark_stale_after: 2s")).await;
    let post = async |running: &Running, series: &[&str]| {
        assert_eq!(running.post("/v1/metrics", "application/json", metrics(series, 5).as_bytes()).await.0, 200);
    };
    post(&running, &["a", "b"]).await;
    assert_eq!(next(&mut running).await.len(), 2);
    // While `a` is sent, `b` is the only one that ends.
    let (mut marked, mut sent, mut longest) = (Vec::new(), Instant::now(), Duration::ZERO);
    while marked.is_empty() {
        post(&running, &["a"]).await;
        longest = longest.max(sent.elapsed());
        sent = Instant::now();
        tokio::time::sleep(Duration::from_millis(50)).await;
        while let Some(Batch::Metrics(batch)) = running.input.try_recv_any() {
            marked.extend(listing(&batch).into_iter().filter(|(_, value)| *value == Value::NONE));
        }
    }
    // On a machine that stands still for seconds, `a` was not sent either.
    if longest < Duration::from_secs(2) {
        assert_eq!(marked, [("b".to_owned(), Value::NONE)]);
    }
    // They may come back, and end again, once each.
    post(&running, &["a", "b"]).await;
    let mut ended = Vec::new();
    while ended.len() < 2 {
        ended.extend(next(&mut running).await.into_iter().filter(|(_, value)| *value == Value::NONE));
    }
    ended.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(ended.iter().map(|(series, _)| series.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let markers = running.telemetry.value("oxidot_receiver_staleness_markers", &[("receiver", "otlp")]);
    assert!(markers.is_some_and(|markers| markers >= 3.0), "{markers:?}");
    running.stop().await;
}

#[test]
fn the_time_after_which_series_are_marked_is_checked() {
    let validate = |keys: &str| (FACTORY.validate)(&parse(&format!("{BOTH}\n{keys}"), "t.yaml").unwrap());
    for keys in ["", "mark_stale_after: 0s", "mark_stale_after: 5m", "mark_stale_after: 1s"] {
        validate(keys).unwrap_or_else(|errors| panic!("{errors}"));
    }
    let error = validate("mark_stale_after: 500ms").unwrap_err().to_string();
    assert!(error.contains("mark_stale_after") && error.contains("at least 1s"), "{error}");
}
