//! Pipelines that connectors join, and pipelines of several signals.

use super::parts::Order;
use super::*;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

/// Two pipelines and a connector between them; the processor of the second has a gate.
fn joined(name: &str) -> String {
    "
receivers: {feed: {probe: P}}
processors: {tap: {probe: P, mode: gate}}
connectors: {joint: {probe: P}}
exporters: {sink: {probe: P}}
service:
  pipelines:
    metrics/in: {receivers: [feed], exporters: [joint]}
    metrics/out: {receivers: [joint], processors: [tap], exporters: [sink]}
"
    .replace('P', name)
}

#[tokio::test]
async fn batches_pass_from_one_pipeline_to_the_next_and_are_flushed_at_the_end() {
    let service = run("joined", &joined("joined"));
    let probe = Arc::clone(&service.probe);
    probe.until("feed runs", 1).await;
    probe.tell("feed", Order::Send(1));
    probe.until("sink got 1", 1).await;
    probe.tell("feed", Order::Send(2));
    probe.until("feed sent 2", 1).await;
    service.stop().await.unwrap();
    assert_eq!((probe.count("joint passes 2"), probe.count("sink got 2")), (1, 1));
    assert!(probe.position("joint gone") < probe.position("sink gone"), "{:?}", probe.events());
}

#[tokio::test]
async fn a_gate_behind_a_connector_refuses_at_the_receiver() {
    let service = run("farjoint", &joined("farjoint"));
    let probe = Arc::clone(&service.probe);
    probe.until("feed runs", 1).await;
    probe.closed.store(true, Ordering::Relaxed);
    probe.tell("feed", Order::Send(1));
    probe.until("feed could not send 1: the gate is closed", 1).await;
    service.stop().await.unwrap();
    assert_eq!(probe.count("joint passes 1"), 0);
}

#[tokio::test]
async fn a_reload_puts_a_pipeline_behind_a_connector() {
    let text = joined("laterjoint");
    let before = text
        .replace("[joint]}\n    metrics/out", "[sink]}\n    metrics/out")
        .replace("receivers: [joint]", "receivers: [feed]");
    let service = run("laterjoint", &before);
    let probe = Arc::clone(&service.probe);
    probe.until("feed runs", 1).await;
    probe.tell("feed", Order::Send(1));
    probe.until("sink got 1", 2).await;
    service.reload(&text).await;
    probe.until("joint runs", 1).await;
    probe.tell("feed", Order::Send(2));
    probe.until("sink got 2", 1).await;
    service.reload(&before).await;
    probe.until("joint gone", 1).await;
    probe.tell("feed", Order::Send(3));
    probe.until("sink got 3", 2).await;
    service.stop().await.unwrap();
    assert_eq!((probe.count("sink built"), probe.count("feed built"), probe.count("tap built")), (1, 1, 1));
}

#[test]
fn a_plan_wires_each_signal_by_itself() {
    let text = "
receivers: {feed: {}}
connectors: {joint: {}}
exporters: {sink: {}}
service:
  pipelines:
    metrics: {receivers: [feed], exporters: [sink, joint]}
    metrics/b: {receivers: [joint], exporters: [sink]}
    traces: {receivers: [feed], exporters: [sink]}
";
    let graph = graph(text);
    let wired: Vec<String> = plan(&Graph::default(), &graph, &BTreeSet::new())
        .into_iter()
        .filter_map(|step| match step {
            Step::Wire { from, to } => {
                let to: Vec<_> = to.iter().map(|edge| format!("{} {}", edge.pipeline, edge.to)).collect();
                Some(format!("{from}: {}", to.join(", ")))
            }
            _ => None,
        })
        .collect();
    assert_eq!(
        wired,
        [
            "\"joint\" connector: metrics/b \"sink\" exporter",
            "\"feed\" receiver: metrics \"sink\" exporter, metrics \"joint\" connector, traces \"sink\" exporter",
        ]
    );
    // A reload that changes nothing changes nothing.
    assert_eq!(plan(&graph, &graph, &BTreeSet::new()), []);
}
