//! Starting, running and stopping.

use super::parts::Order;
use super::*;
use std::sync::atomic::Ordering;

/// One receiver, two processors, one exporter, one extension.
fn chain(name: &str) -> String {
    "
receivers: {feed: {probe: P}}
processors: {tap/1: {probe: P}, tap/2: {probe: P, mode: hold}}
exporters: {sink: {probe: P}}
extensions: {note: {probe: P}}
service:
  extensions: [note]
  pipelines:
    metrics: {receivers: [feed], processors: [tap/1, tap/2], exporters: [sink]}
"
    .replace('P', name)
}

#[tokio::test]
async fn starts_from_the_end_and_stops_from_the_beginning() {
    let service = run("order", &chain("order"));
    let probe = Arc::clone(&service.probe);
    probe.until("feed runs", 1).await;
    probe.tell("feed", Order::Send(7));
    probe.until("feed sent 7", 1).await;
    service.stop().await.unwrap();
    let at = |event: &str| probe.position(event).unwrap_or_else(|| panic!("{event} in {:?}", probe.events()));
    assert!(at("note started") < at("sink started"));
    assert!(at("sink started") < at("feed started"));
    assert!(at("feed gone") < at("tap/1 gone"));
    assert!(at("tap/1 gone") < at("tap/2 gone"));
    assert!(at("tap/2 gone") < at("sink gone"));
    assert!(at("sink gone") < at("note gone"));
    assert!(at("sink got 7") < at("sink drains"), "what a processor held is flushed");
    assert!(at("note sees Ready") < at("note sees Stopping"));
}

#[tokio::test]
async fn one_receiver_feeds_several_pipelines_and_one_exporter_serves_them() {
    let text = "
receivers: {feed: {probe: fan}, feed/b: {probe: fan}}
processors: {tap: {probe: fan}}
exporters: {sink: {probe: fan}, sink/b: {probe: fan}}
service:
  pipelines:
    metrics: {receivers: [feed], processors: [tap], exporters: [sink]}
    metrics/b: {receivers: [feed, feed/b], processors: [tap], exporters: [sink, sink/b]}
";
    let service = run("fan", text);
    let probe = Arc::clone(&service.probe);
    probe.until("feed runs", 1).await;
    probe.until("feed/b runs", 1).await;
    probe.tell("feed", Order::Send(1));
    probe.tell("feed/b", Order::Send(2));
    probe.until("feed sent 1", 1).await;
    probe.until("feed/b sent 2", 1).await;
    service.stop().await.unwrap();
    let counts = ["feed built", "feed/b built", "sink built", "sink/b built", "tap built"].map(|e| probe.count(e));
    assert_eq!(counts, [1, 1, 1, 1, 2], "a processor is one instance in each pipeline");
    let got = ["sink got 1", "sink/b got 1", "sink got 2", "sink/b got 2"].map(|event| probe.count(event));
    assert_eq!(got, [2, 1, 1, 1]);
}

#[tokio::test]
async fn a_closed_gate_refuses_at_the_entry_of_its_pipeline() {
    let text = chain("gate").replace("mode: hold", "mode: gate");
    let service = run("gate", &text);
    let probe = Arc::clone(&service.probe);
    probe.until("feed runs", 1).await;
    probe.closed.store(true, Ordering::Relaxed);
    probe.tell("feed", Order::Send(1));
    probe.until("feed could not send 1: the gate is closed", 1).await;
    probe.closed.store(false, Ordering::Relaxed);
    probe.tell("feed", Order::Send(2));
    probe.until("sink got 2", 1).await;
    service.stop().await.unwrap();
    assert_eq!(probe.count("tap/1 passes 1"), 0, "the gate of the second processor stands before the first");
    assert_eq!(probe.refused.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_cannot_be_built_is_told_in_the_words_of_the_collector() {
    let service = run("unbuildable", &chain("unbuildable").replace("sink: {", "sink: {mode: unbuildable, "));
    let error = service.task.await.unwrap().unwrap_err().to_string();
    assert_eq!(
        error,
        "failed to build pipelines: failed to create \"sink\" exporter for data type \"metrics\": cannot be made"
    );
    assert_eq!(service.probe.count("feed started"), 0);
}

#[tokio::test]
async fn a_port_in_use_keeps_the_service_from_starting() {
    let probe = Probe::new("port");
    probe.occupy("9");
    let service = run_with(Arc::clone(&probe), &chain("port").replace("feed: {", "feed: {port: 9, "));
    let error = service.task.await.unwrap().unwrap_err().to_string();
    assert_eq!(error, "cannot start pipelines: failed to start \"feed\" receiver: port 9 is in use");
    for part in ["note gone", "sink gone", "feed gone", "tap/1 gone"] {
        assert_eq!(probe.count(part), 1, "{part}");
    }
}

#[tokio::test]
async fn an_extension_that_cannot_start_is_told_as_one() {
    let probe = Probe::new("extport");
    probe.occupy("9");
    let service = run_with(Arc::clone(&probe), &chain("extport").replace("note: {", "note: {port: 9, "));
    let error = service.task.await.unwrap().unwrap_err().to_string();
    assert_eq!(error, "failed to start extensions: failed to start \"note\" extension: port 9 is in use");
}

#[tokio::test]
async fn a_component_that_fails_ends_the_service_after_a_drain() {
    let service = run("failing", &chain("failing"));
    let probe = Arc::clone(&service.probe);
    probe.until("feed runs", 1).await;
    probe.tell("feed", Order::Send(7));
    probe.until("feed sent 7", 1).await;
    probe.tell("feed", Order::Fail);
    let error = service.task.await.unwrap().unwrap_err().to_string();
    assert_eq!(error, "\"feed\" receiver: lost its socket");
    assert_eq!(probe.count("sink got 7"), 1);
    assert_eq!(probe.count("note gone"), 1);
}

#[tokio::test]
async fn a_panic_is_a_failure_of_its_component() {
    let service = run("panicking", &chain("panicking"));
    let probe = Arc::clone(&service.probe);
    probe.until("feed runs", 1).await;
    probe.tell("feed", Order::Panic);
    let error = service.task.await.unwrap().unwrap_err().to_string();
    assert_eq!(error, "\"feed\" receiver: panicked: index out of range");
    assert_eq!(probe.count("sink gone"), 1);
}

#[tokio::test]
async fn a_receiver_that_is_done_does_not_end_the_service() {
    let service = run("done", &chain("done"));
    let probe = Arc::clone(&service.probe);
    probe.until("feed runs", 1).await;
    probe.tell("feed", Order::End);
    probe.until("feed gone", 1).await;
    assert_eq!(probe.count("sink drains"), 0);
    service.stop().await.unwrap();
    assert_eq!(probe.count("sink drains"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_done_by_the_deadline_is_ended_by_force() {
    let service = run("hanging", &chain("hanging").replace("sink: {", "sink: {mode: hang, "));
    let probe = Arc::clone(&service.probe);
    probe.until("feed runs", 1).await;
    let asked = Instant::now();
    let error = service.stop().await.unwrap_err();
    assert!(matches!(error, ServiceError::Lost { .. }), "{error}");
    let took = asked.elapsed();
    assert!(took >= DRAIN_DEADLINE && took < DRAIN_DEADLINE + Duration::from_secs(2), "{took:?}");
    assert_eq!(probe.count("sink gone"), 1);
    assert!(probe.position("sink gone") < probe.position("note gone"));
}

#[tokio::test(start_paused = true)]
async fn an_exporter_that_knows_the_deadline_gives_up_by_itself() {
    let service = run("keeping", &chain("keeping").replace("sink: {", "sink: {mode: keep, "));
    let probe = Arc::clone(&service.probe);
    probe.until("feed runs", 1).await;
    service.stop().await.unwrap();
    assert_eq!(probe.count("sink gives up"), 1);
}

#[tokio::test(start_paused = true)]
async fn asked_twice_it_stops_at_once() {
    let service = run("twice", &chain("twice").replace("sink: {", "sink: {mode: hang, "));
    let probe = Arc::clone(&service.probe);
    probe.until("feed runs", 1).await;
    let asked = Instant::now();
    service.ask(Request::Stop).await;
    probe.until("sink drains", 1).await;
    let error = service.stop().await.unwrap_err();
    assert!(matches!(error, ServiceError::Lost { .. }), "{error}");
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
}
