//! Batches pass, with their acknowledgements.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use pipeline::channel::channel;
use pipeline::component::{Program, Shared};
use pipeline::config::parse;
use pipeline::telemetry::Telemetry;
use pipeline::{Ack, AckOutcome, Acks, Batch, MessageBatch, MetricBatch, Output};

fn context(telemetry: &Telemetry) -> BuildContext {
    BuildContext {
        id: "forward/a".parse().unwrap(),
        program: Program { name: "oxidot", version: "0" },
        telemetry: telemetry.clone(),
        shared: Shared::default(),
        signal: None,
    }
}

#[tokio::test]
async fn each_signal_goes_its_own_way_and_acknowledgements_with_it() {
    let telemetry = Telemetry::default();
    let node = parse("", "t.yaml").unwrap();
    let connector = build(&node, &context(&telemetry)).unwrap();
    let (entry, input) = channel();
    let ((metrics_entry, mut metrics), (traces_entry, mut traces)) = (channel(), channel());
    let output = Output::default();
    output.set([(Signal::Metrics, metrics_entry), (Signal::Traces, traces_entry)]);
    let task = tokio::spawn(connector.run(ConnectorContext { input, output }));
    let into = Output::to(vec![entry]);
    let (ack, fate) = Ack::channel();
    into.send(MetricBatch::with_acks(Vec::new(), Acks::one(ack))).await.unwrap();
    let message = |signal| MessageBatch { signal, body: vec![10, 0].into(), items: 7, acks: Acks::default() };
    into.send(message(Signal::Traces)).await.unwrap();
    into.send(message(Signal::Logs)).await.unwrap();
    drop(into);
    task.await.unwrap().unwrap();
    let got = metrics.recv().await.unwrap();
    got.acks.resolve(AckOutcome::Persisted);
    assert_eq!(fate.await.unwrap(), AckOutcome::Persisted);
    assert!(matches!(traces.recv_any().await.unwrap(), Batch::Messages(batch) if batch.items == 7));
    assert!(metrics.recv_any().await.is_none() && traces.recv_any().await.is_none());
    let consumed = |signal| {
        telemetry.value("otelcol_connector_consumed_items", &[("connector", "forward/a"), ("otel_signal", signal)])
    };
    assert_eq!((consumed("traces"), consumed("logs")), (Some(7.0), Some(7.0)));
}

#[tokio::test]
async fn what_the_next_pipeline_does_not_take_is_counted() {
    let telemetry = Telemetry::default();
    let connector = build(&parse("", "t.yaml").unwrap(), &context(&telemetry)).unwrap();
    let ((entry, input), (next, gone)) = (channel(), channel());
    drop(gone);
    let task = tokio::spawn(connector.run(ConnectorContext { input, output: Output::to(vec![next]) }));
    let (ack, fate) = Ack::channel();
    let acks = Acks::one(ack);
    let batch = MessageBatch { signal: Signal::Logs, body: vec![10, 0].into(), items: 3, acks };
    Output::to(vec![entry]).send(batch).await.unwrap();
    assert_eq!(fate.await.unwrap(), AckOutcome::Dropped);
    task.await.unwrap().unwrap();
    let labels = [("connector", "forward/a"), ("reason", "pipeline_stopped")];
    assert_eq!(telemetry.value("otelcol_connector_dropped_log_records", &labels), Some(3.0));
}

#[test]
fn there_are_no_keys() {
    assert!(validate(&parse("", "t.yaml").unwrap()).is_ok());
    let error = validate(&parse("x: 1", "t.yaml").unwrap()).unwrap_err().to_string();
    assert!(error.contains('x'), "{error}");
}
