//! Exchanging what runs.

use super::parts::Order;
use super::*;
use std::sync::atomic::Ordering;

fn base(name: &str) -> String {
    "
receivers: {feed: {probe: P}, live: {probe: P, word: a}}
processors: {tap: {probe: P}}
exporters: {sink: {probe: P}}
extensions: {note: {probe: P}}
service:
  extensions: [note]
  pipelines:
    metrics: {receivers: [feed, live], processors: [tap], exporters: [sink]}
"
    .replace('P', name)
}

async fn started(name: &str, text: &str) -> Running {
    let service = run(name, text);
    service.probe.until("feed runs", 1).await;
    service
}

/// How often each part was built.
fn built(probe: &Probe) -> [usize; 5] {
    ["feed built", "live built", "tap built", "sink built", "note built"].map(|event| probe.count(event))
}

#[tokio::test]
async fn what_did_not_change_keeps_running() {
    let service = started("same", &base("same")).await;
    let probe = Arc::clone(&service.probe);
    service.reload(&base("same")).await;
    service.reload(&base("same").replace("word: a", "word: b")).await;
    probe.until("live updated b", 1).await;
    probe.tell("feed", Order::Send(1));
    probe.until("sink got 1", 1).await;
    assert_eq!(service.source.times_in_force(), 2);
    service.stop().await.unwrap();
    assert_eq!(built(&probe), [1; 5]);
}

#[tokio::test]
async fn a_refused_configuration_leaves_everything_as_it_is() {
    let service = started("refused", &base("refused")).await;
    let probe = Arc::clone(&service.probe);
    service.source.0.lock().0.push_back(Err("a.yaml:1:1: is wrong\na.yaml:2:1: is wrong too".to_owned()));
    service.ask(Request::Reload).await;
    let unbuildable = base("refused").replace("word: a", "word: b").replace("sink: {", "sink: {mode: unbuildable, ");
    service.reload(&unbuildable).await;
    service.reload(&base("refused").replace("feed: {", "feed: {word: c, ")).await;
    probe.until("feed runs", 2).await;
    probe.tell("feed", Order::Send(1));
    probe.until("sink got 1", 1).await;
    assert_eq!(service.source.times_in_force(), 1);
    service.stop().await.unwrap();
    assert_eq!(built(&probe), [2, 1, 1, 1, 1]);
    assert_eq!(probe.count("live updated b"), 0);
}

#[tokio::test]
async fn a_new_component_that_cannot_start_leaves_everything_as_it_is() {
    let service = started("newport", &base("newport")).await;
    let probe = Arc::clone(&service.probe);
    probe.occupy("9");
    let more = base("newport")
        .replace("exporters: {", "exporters: {sink/b: {probe: newport, port: 9}, ")
        .replace("exporters: [sink]", "exporters: [sink, sink/b]");
    service.reload(&more).await;
    probe.until("sink/b gone", 1).await;
    probe.tell("feed", Order::Send(1));
    probe.until("sink got 1", 1).await;
    assert_eq!(service.source.times_in_force(), 0);
    service.stop().await.unwrap();
    assert_eq!(built(&probe), [1; 5]);
}

#[tokio::test]
async fn a_replaced_exporter_takes_over_after_the_old_one_has_drained() {
    let name = "takeover";
    let text = base(name).replace("sink: {", "sink: {mode: keep, ");
    let service = started(name, &text).await;
    let probe = Arc::clone(&service.probe);
    probe.tell("feed", Order::Send(1));
    probe.until("sink got 1", 1).await;
    service.reload(&base(name).replace("sink: {", "sink: {word: then, ")).await;
    probe.until("sink drains", 1).await;
    probe.tell("feed", Order::Send(2));
    probe.until("tap passes 2", 1).await;
    assert_eq!(probe.count("sink runs"), 1, "the new one waits");
    probe.released.send_replace(true);
    probe.until("sink then 2", 1).await;
    assert!(probe.position("sink gone") < probe.position("sink then 2"));
    service.stop().await.unwrap();
    assert_eq!(built(&probe), [1, 1, 1, 2, 1]);
}

#[tokio::test]
async fn a_replaced_processor_flushes_before_the_new_one_passes_anything() {
    let name = "flush";
    let service = started(name, &base(name).replace("tap: {", "tap: {mode: hold, ")).await;
    let probe = Arc::clone(&service.probe);
    probe.tell("feed", Order::Send(1));
    probe.until("tap passes 1", 1).await;
    service.reload(&base(name)).await;
    probe.until("tap gone", 1).await;
    probe.tell("feed", Order::Send(2));
    probe.until("sink got 2", 1).await;
    assert!(probe.position("sink got 1").is_some_and(|at| Some(at) < probe.position("sink got 2")));
    service.stop().await.unwrap();
}

#[tokio::test]
async fn a_gate_that_comes_with_a_reload_closes_the_entry() {
    let name = "lategate";
    let service = started(name, &base(name)).await;
    let probe = Arc::clone(&service.probe);
    probe.closed.store(true, Ordering::Relaxed);
    service.reload(&base(name).replace("tap: {", "tap: {mode: gate, ")).await;
    probe.until("tap gone", 1).await;
    probe.tell("feed", Order::Send(1));
    probe.until("feed could not send 1: the gate is closed", 1).await;
    service.stop().await.unwrap();
    assert_eq!(built(&probe), [1, 1, 2, 1, 1]);
}

#[tokio::test]
async fn a_removed_receiver_stops_and_takes_its_metrics_along() {
    let name = "removed";
    let service = started(name, &base(name)).await;
    let probe = Arc::clone(&service.probe);
    service.telemetry.counter("x", "X.", &[("receiver", "feed")]).inc();
    service.telemetry.counter("x", "X.", &[("receiver", "live")]).inc();
    probe.until("live runs", 1).await;
    service.reload(&base(name).replace("[feed, live]", "[live]")).await;
    probe.until("feed gone", 1).await;
    probe.tell("live", Order::Send(1));
    probe.until("sink got 1", 1).await;
    let telemetry = service.telemetry.clone();
    service.stop().await.unwrap();
    assert_eq!(telemetry.value("x", &[("receiver", "feed")]), None);
    assert_eq!(telemetry.value("x", &[("receiver", "live")]), Some(1.0));
}

#[tokio::test]
async fn a_port_is_handed_over_from_the_old_to_the_new() {
    let name = "handover";
    let text = base(name).replace("feed: {", "feed: {port: 9, ").replace("note: {", "note: {port: 10, ");
    let service = started(name, &text).await;
    let probe = Arc::clone(&service.probe);
    let changed = text.replace("port: 9", "port: 9, word: x").replace("port: 10", "port: 10, word: x");
    service.reload(&changed).await;
    probe.until("feed runs", 2).await;
    probe.until("note started", 2).await;
    // The same port under another name.
    let renamed = changed.replace("feed: {", "feed/b: {").replace("[feed,", "[feed/b,");
    service.reload(&renamed).await;
    probe.until("feed/b runs", 1).await;
    probe.tell("feed/b", Order::Send(1));
    probe.until("sink got 1", 1).await;
    service.stop().await.unwrap();
}

#[tokio::test]
async fn a_replacement_that_cannot_start_brings_the_old_configuration_back() {
    let name = "goback";
    let text = base(name).replace("sink: {", "sink: {port: 9, ");
    let service = started(name, &text).await;
    let probe = Arc::clone(&service.probe);
    probe.occupy("10");
    let bad = text.replace("port: 9", "port: 10, word: never").replace("feed: {", "feed: {word: x, ");
    service.reload(&bad).await;
    // Once for the start, once for the replacement, once for the return.
    probe.until("feed runs", 3).await;
    probe.until("sink runs", 2).await;
    probe.tell("feed", Order::Send(1));
    probe.until("sink got 1", 1).await;
    service.stop().await.unwrap();
    assert_eq!(probe.count("sink never 1"), 0);
}

#[tokio::test(start_paused = true)]
async fn what_hangs_when_it_is_replaced_is_ended_by_force() {
    let name = "hangreload";
    let service = started(name, &base(name).replace("sink: {", "sink: {mode: hang, ")).await;
    let probe = Arc::clone(&service.probe);
    service.reload(&base(name)).await;
    probe.until("sink gone", 1).await;
    probe.until("sink runs", 2).await;
    probe.tell("feed", Order::Send(1));
    probe.until("sink got 1", 1).await;
    service.stop().await.unwrap();
}
