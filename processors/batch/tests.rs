#![expect(clippy::unwrap_used, reason = "tests")]

use super::FACTORY;
use super::pending::Pending;
use crate::testing::{Running, build, context, exemplar, group, origin, point, problems, table};
use pipeline::component::Signal;
use pipeline::{
    Ack, AckOutcome, Acks, Attributes, Batch, Family, FamilyKind, MessageBatch, MetricBatch, Origin, Part, PointGroup,
    Series, SeriesTable, Source, Temporality,
};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

fn place() -> (Arc<Origin>, Arc<SeriesTable>) {
    (origin("batch", "a:1", &[]), table("batch_test", 4))
}

fn batch_of(times: std::ops::Range<i64>) -> MetricBatch {
    let (origin, table) = place();
    MetricBatch::new(vec![group(&origin, &table, times.map(|t| point((t % 4) as u32, t)).collect())])
}

fn awaited(mut batch: MetricBatch) -> (MetricBatch, oneshot::Receiver<AckOutcome>) {
    let (ack, waiter) = Ack::channel();
    batch.acks = Acks::one(ack);
    (batch, waiter)
}

fn metrics(batches: Vec<Batch>) -> Vec<MetricBatch> {
    let metrics = batches.into_iter().filter_map(|batch| match batch {
        Batch::Metrics(batch) => Some(batch),
        Batch::Messages(_) => None,
    });
    metrics.collect()
}

/// A request of logs with `items` records.
fn logs(items: usize) -> MessageBatch {
    let mut body = Vec::new();
    otlp::wire::put_message(&mut body, 1, |out| {
        otlp::wire::put_message(out, 2, |out| {
            for item in 0..items {
                otlp::wire::put_message(out, 2, |out| otlp::wire::put_bytes(out, 3, item.to_string().as_bytes()));
            }
        });
    });
    MessageBatch { signal: Signal::Logs, body: body.into(), items, acks: Acks::default() }
}

fn times(batch: &MetricBatch) -> Vec<i64> {
    batch.groups().iter().flat_map(|g| g.points.iter().map(|p| p.time)).collect()
}

#[test]
fn configuration_problems_are_told_in_the_collectors_words() {
    assert_eq!(problems(&FACTORY, ""), [""; 0]);
    assert_eq!(problems(&FACTORY, "timeout: 60s\nsend_batch_size: 50\nmetadata_keys: [a]"), [""; 0]);
    assert_eq!(
        problems(&FACTORY, "send_batch_max_size: 100"),
        ["send_batch_max_size must be greater or equal to send_batch_size"]
    );
    assert_eq!(
        problems(&FACTORY, "timeout: -1s\nmetadata_keys: [a, A]"),
        ["timeout must be greater or equal to 0", "duplicate entry in metadata_keys: \"a\" (case-insensitive)"]
    );
    assert_eq!(problems(&FACTORY, "send_batch_sise: 1"), ["has invalid keys: send_batch_sise"]);
}

#[tokio::test(start_paused = true)]
async fn waits_for_the_timeout_and_then_sends_what_is_there() {
    let context = context("batch/x");
    let mut running = Running::start(build(&FACTORY, "timeout: 10s", &context), 8);
    running.send(batch_of(0..3)).await;
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert!(running.output.try_recv().is_none());
    running.send(batch_of(3..5)).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let batch = running.output.try_recv().unwrap();
    assert_eq!(times(&batch), [0, 1, 2, 3, 4]);
    assert_eq!(batch.groups().len(), 1, "adjacent groups of one origin and table become one");
    let value = |name| context.telemetry.value(name, &[("processor", "batch/x")]);
    assert_eq!(value("otelcol_processor_batch_timeout_trigger_send"), Some(1.0));
    assert_eq!(value("otelcol_processor_batch_batch_size_trigger_send"), Some(0.0));
    let items = [("processor", "batch/x"), ("otel_signal", "metrics")];
    assert_eq!(context.telemetry.value("otelcol_processor_incoming_items", &items), Some(5.0));
    assert_eq!(context.telemetry.value("otelcol_processor_outgoing_items", &items), Some(5.0));
    assert!(context.telemetry.render().contains("batch_batch_send_size_sum{processor=\"batch/x\"} 5\n"));
    assert!(running.finish().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn sends_at_the_size_and_keeps_what_is_too_little() {
    let yaml = "timeout: 10s\nsend_batch_size: 4\nsend_batch_max_size: 5";
    let mut running = Running::start(build(&FACTORY, yaml, &context("batch")), 8);
    running.send(batch_of(0..3)).await;
    running.send(batch_of(3..12)).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(times(&running.output.try_recv().unwrap()), [0, 1, 2, 3, 4]);
    assert_eq!(times(&running.output.try_recv().unwrap()), [5, 6, 7, 8, 9]);
    assert!(running.output.try_recv().is_none());
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(times(&running.output.try_recv().unwrap()), [10, 11]);
    running.finish().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_waits_without_timeout_or_size() {
    for yaml in ["timeout: 0s", "send_batch_size: 0"] {
        let mut running = Running::start(build(&FACTORY, yaml, &context("batch")), 8);
        running.send(batch_of(0..1)).await;
        assert_eq!(times(&running.output.recv().await.unwrap()), [0]);
        running.finish().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_somebody_waits_for_is_sent_at_once() {
    let mut running = Running::start(build(&FACTORY, "timeout: 1h", &context("batch")), 8);
    running.send(batch_of(0..2)).await;
    let (batch, waiter) = awaited(batch_of(2..3));
    running.send(batch).await;
    let before = tokio::time::Instant::now();
    let out = running.output.recv().await.unwrap();
    assert!(before.elapsed() < Duration::from_secs(1), "the clock is paused and moves only if all wait");
    assert_eq!(times(&out), [0, 1, 2]);
    out.acks.resolve(AckOutcome::Delivered);
    assert_eq!(waiter.await, Ok(AckOutcome::Delivered));
    running.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_input_sends_what_is_held() {
    let running = Running::start(build(&FACTORY, "timeout: 1h", &context("batch")), 8);
    running.send(batch_of(0..2)).await;
    let out = running.finish().await;
    assert_eq!(out.iter().map(times).collect::<Vec<_>>(), [[0, 1]]);
}

#[tokio::test]
async fn what_is_not_taken_is_counted() {
    let context = context("batch");
    let processor = build(&FACTORY, "timeout: 0s", &context);
    let mut running = Running::start(processor, 8);
    let (_, closed) = pipeline::channel::channel();
    drop(std::mem::replace(&mut running.output, closed));
    let (batch, waiter) = awaited(batch_of(0..3));
    running.send(batch).await;
    assert_eq!(waiter.await, Ok(AckOutcome::Dropped));
    running.finish().await;
    let labels = [("processor", "batch"), ("reason", "pipeline_stopped")];
    assert_eq!(context.telemetry.value("otelcol_processor_dropped_metric_points", &labels), Some(3.0));
}

#[tokio::test(start_paused = true)]
async fn traces_and_logs_are_joined_as_they_are_and_cut_where_a_maximum_is_set() {
    let context = pipeline::component::BuildContext { signal: Some(Signal::Logs), ..context("batch/l") };
    let yaml = "send_batch_size: 4\nsend_batch_max_size: 5";
    let running = Running::start(build(&FACTORY, yaml, &context), 8);
    let (ack, mut fate) = Ack::channel();
    let into = running.input.clone().unwrap();
    into.send(logs(1)).await.unwrap();
    into.send(MessageBatch { acks: Acks::one(ack), ..logs(11) }).await.unwrap();
    drop(into);
    let out = running.finish_any().await;
    assert_eq!(out.iter().map(Batch::len).collect::<Vec<_>>(), [5, 5, 2]);
    let mut together = Vec::new();
    for batch in out {
        let Batch::Messages(batch) = batch else { panic!("logs") };
        assert_eq!(otlp::request::check(Signal::Logs, &batch.body), Ok(batch.items));
        together.extend_from_slice(&batch.body);
        assert!(fate.try_recv().is_err(), "not before the last piece");
        batch.acks.resolve(AckOutcome::Delivered);
    }
    assert_eq!(fate.await, Ok(AckOutcome::Delivered));
    assert_eq!(otlp::request::check(Signal::Logs, &together), Ok(12));
    let labels = [("processor", "batch/l"), ("otel_signal", "logs")];
    assert_eq!(context.telemetry.value("otelcol_processor_incoming_items", &labels), Some(12.0));
}

#[test]
fn messages_that_fit_together_are_put_one_behind_the_other() {
    let mut pending = Pending::new(0);
    pending.push(logs(2).into());
    pending.push(logs(3).into());
    let out = pending.take_all();
    let [Batch::Messages(batch)] = out.as_slice() else { panic!("one batch") };
    let expected: Vec<u8> = logs(2).body.iter().chain(logs(3).body.iter()).copied().collect();
    assert_eq!((batch.items, batch.body.as_ref()), (5, expected.as_slice()));
}

/// Points of a page: a gauge, then histograms of six series each.
fn page(source: Source, histograms: u32) -> MetricBatch {
    let origin = Origin::intern(source, Default::default(), Default::default(), Default::default());
    let family = |name: &str, kind| Arc::new(Family { name: name.into(), kind, ..Family::default() });
    let gauge = family("g", FamilyKind::Gauge);
    let mut series = vec![Series::intern(gauge, "g".into(), Part::Whole, Default::default())];
    let kind = FamilyKind::Histogram { temporality: Temporality::Cumulative };
    let histogram = family("h", kind);
    for number in 0..histograms {
        let buckets = ["1", "2", "5", "+Inf"].map(|bound| Part::Bucket(bound.into()));
        for part in buckets.into_iter().chain([Part::Sum, Part::Count]) {
            let attributes = Attributes::from_pairs([("n", number.to_string().as_str())]);
            let name = format!("h{}", part.suffix()).into();
            series.push(Series::intern(Arc::clone(&histogram), name, part, attributes));
        }
    }
    let points = (0..series.len() as u32).map(|series| point(series, 1)).collect();
    MetricBatch::new(vec![PointGroup::new(origin, SeriesTable::intern(series), points)])
}

#[test]
fn a_scraped_histogram_is_not_torn_apart() {
    let sizes = |source, max| -> Vec<usize> {
        let mut pending = Pending::new(max);
        pending.push(page(source, 3).into());
        pending.push(page(source, 1).into());
        let sizes: Vec<usize> = pending.take_all().iter().map(Batch::len).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 26);
        sizes
    };
    assert_eq!(sizes(Source::Scrape, 8), [7, 6, 7, 6]);
    assert_eq!(sizes(Source::Scrape, 7), [7, 6, 7, 6]);
    assert_eq!(sizes(Source::Scrape, 14), [13, 13]);
    assert_eq!(sizes(Source::Scrape, 4), [1, 6, 6, 6, 1, 6], "what does not fit is larger than the rest");
    assert_eq!(sizes(Source::Scrape, 26), [26]);
    assert_eq!(sizes(Source::RemoteWrite, 8), [8, 8, 8, 2], "their parts come apart anyway");
}

#[test]
fn a_batch_that_fits_alone_is_not_copied() {
    let batch = batch_of(0..3);
    let shared = batch.clone();
    let mut pending = Pending::new(3);
    pending.push(batch.into());
    let out = metrics(pending.take_all());
    assert!(std::ptr::eq(out.first().unwrap().groups(), shared.groups()));
}

#[test]
fn a_batch_without_points_has_arrived() {
    let (batch, mut waiter) = awaited(MetricBatch::default());
    let mut pending = Pending::new(0);
    pending.push(batch.into());
    assert!(pending.is_empty());
    assert_eq!(waiter.try_recv(), Ok(AckOutcome::Delivered));
}

/// What a batch in a random run looks like: groups of points with their place, and exemplars.
#[derive(Debug, Clone)]
struct Incoming {
    groups: Vec<(bool, bool, usize, Vec<usize>)>,
    awaited: bool,
}

fn incoming() -> impl Strategy<Value = Incoming> {
    let group = (any::<bool>(), any::<bool>(), 0..30_usize, prop::collection::vec(0..30_usize, 0..4));
    (prop::collection::vec(group, 0..4), any::<bool>()).prop_map(|(groups, awaited)| Incoming { groups, awaited })
}

/// Everything that identifies a point: its place, its series, its time, and the times of its exemplars.
fn listing(groups: &[PointGroup]) -> Vec<(u32, u32, u32, i64, Vec<i64>)> {
    let mut out = Vec::new();
    for group in groups {
        for (at, point) in group.points.iter().enumerate() {
            let exemplars = group.exemplars.iter().filter(|e| e.point as usize == at).map(|e| e.time).collect();
            out.push((group.origin.slot().id, group.table.slot().id, point.series, point.time, exemplars));
        }
        assert!(group.exemplars.iter().all(|e| (e.point as usize) < group.points.len()));
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes in goes out once, in order, in pieces of the right size, with its exemplars; and whoever
    /// waits hears of exactly the pieces that hold his points.
    #[test]
    fn nothing_is_lost_doubled_or_reordered(
        batches in prop::collection::vec(incoming(), 1..8),
        max in 0..20_usize,
        least in 1..12_usize,
        take_after in prop::collection::vec(any::<bool>(), 8),
    ) {
        let origins = [origin("batch", "a:1", &[]), origin("batch", "b:1", &[])];
        let tables = [table("batch_test", 4), table("batch_other", 4)];
        let (mut clock, mut expected, mut waiters) = (0, Vec::new(), Vec::new());
        let mut pending = Pending::new(max);
        let mut out = Vec::new();
        for (i, incoming) in batches.iter().enumerate() {
            let mut groups = Vec::new();
            let first = clock;
            for (o, t, points, exemplars) in &incoming.groups {
                let mut made = group(
                    &origins[usize::from(*o)],
                    &tables[usize::from(*t)],
                    (0..*points).map(|i| { clock += 1; point((i % 4) as u32, clock) }).collect(),
                );
                for at in exemplars.iter().filter(|at| *at < points) {
                    clock += 1;
                    made.exemplars.push(exemplar(*at as u32, clock));
                }
                groups.push(made);
            }
            expected.extend(listing(&groups));
            let mut batch = MetricBatch::new(groups);
            if incoming.awaited {
                let (ack, waiter) = Ack::channel();
                batch.acks = Acks::one(ack);
                waiters.push((first..clock + 1, waiter));
            }
            pending.push(batch.into());
            if take_after[i] {
                out.extend(metrics(pending.take_while_at_least(least)));
                prop_assert!(pending.len() < least);
            }
        }
        out.extend(metrics(pending.take_all()));
        prop_assert!(pending.is_empty());
        let all: Vec<_> = out.iter().flat_map(|batch| listing(batch.groups())).collect();
        prop_assert_eq!(all, expected);
        for batch in &out {
            prop_assert!(!batch.is_empty() && (max == 0 || batch.len() <= max));
        }
        // The first piece fails: exactly those with points in it hear of it.
        let failed = out.first().map(times).unwrap_or_default();
        for (at, batch) in out.into_iter().enumerate() {
            batch.acks.resolve(if at == 0 { AckOutcome::Rejected } else { AckOutcome::Delivered });
        }
        for (range, mut waiter) in waiters {
            let hit = failed.iter().any(|time| *time > range.start && *time < range.end);
            let outcome = if hit { AckOutcome::Rejected } else { AckOutcome::Delivered };
            prop_assert_eq!(waiter.try_recv(), Ok(outcome));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn clients_are_kept_apart_where_that_is_wanted() {
    use pipeline::{Acks, Client};
    let (origin, table) = (origin("j", "i", &[]), table("batch_clients", 1));
    let of = |tenant: &str, time: i64| {
        let client = Client::new(None, [("X-Tenant", tenant), ("x-request", &time.to_string())]);
        let mut batch = MetricBatch::new(vec![group(&origin, &table, vec![point(0, time)])]);
        batch.acks = Acks::default().from_client(Some(Arc::new(client)));
        batch
    };
    let context = context("batch");
    let yaml = "timeout: 1s\nmetadata_keys: [X-Tenant]\nmetadata_cardinality_limit: 2";
    let running = Running::start(build(&FACTORY, yaml, &context), 16);
    for (tenant, time) in [("a", 1), ("b", 2), ("a", 3), ("c", 4), ("b", 5)] {
        running.send(of(tenant, time)).await;
    }
    let out = running.finish().await;
    let found: Vec<(String, Vec<i64>, bool)> = out
        .iter()
        .map(|batch| {
            let client = batch.acks.client().unwrap();
            let tenant = client.metadata("x-tenant").unwrap().join(";");
            let times = batch.groups().iter().flat_map(|group| group.points.iter().map(|point| point.time)).collect();
            (tenant, times, client.metadata("x-request").is_some())
        })
        .collect();
    // The third client has no place, and is not held up.
    let expected = [("c", vec![4], true), ("a", vec![1, 3], false), ("b", vec![2, 5], false)];
    assert_eq!(found, expected.map(|(tenant, times, all)| (tenant.to_owned(), times, all)));
}
