//! What becomes of requests, in which order they begin, and what is counted.

use super::*;

#[tokio::test]
async fn all_signals_are_delivered_and_counted() {
    let destination = Destination::new(Vec::new());
    let mut running = Running::start("{}", &destination).await;
    let spans_end = running.send_awaited(spans(&["a", "b"])).await;
    let points_end = running.send_awaited(points("r", &["m", "n", "o"])).await;
    assert_eq!(spans_end.await.unwrap(), AckOutcome::Delivered);
    assert_eq!(points_end.await.unwrap(), AckOutcome::Delivered);
    let Batch::Messages(untouched) = spans(&["a", "b"]) else { panic!("spans are messages") };
    assert!(destination.bodies().contains(&untouched.body), "the bytes that came are those that leave");
    running.finish().await;
    assert_eq!(running.spans(), (2.0, 0.0, 0.0));
    assert_eq!(
        (running.value("sent_metric_points", &[]), running.size("metrics"), running.size("traces")),
        (3.0, 0.0, 0.0)
    );
    assert_eq!(running.value("queue_capacity", &[("data_type", "traces")]), 1000.0);
    let signals: Vec<Signal> = destination.seen.lock().iter().map(|seen| seen.signal).collect();
    assert!(signals.contains(&Signal::Metrics) && signals.contains(&Signal::Traces));
}

#[tokio::test(start_paused = true)]
async fn failures_are_tried_again_with_growing_intervals_or_when_the_destination_says() {
    let destination = Destination::new(vec![failed(None), failed(None), failed(Some(60)), failed(Some(1))]);
    let yaml = "retry_on_failure: {initial_interval: 2s, multiplier: 2, randomization_factor: 0, max_interval: 30s}";
    let mut running = Running::start(yaml, &destination).await;
    let end = running.send_awaited(spans(&["a"])).await;
    assert_eq!(end.await.unwrap(), AckOutcome::Delivered);
    let at: Vec<Instant> = destination.seen.lock().iter().map(|seen| seen.at).collect();
    let gaps: Vec<u64> = at.windows(2).map(|pair| (pair[1] - pair[0]).as_millis() as u64 / 100 * 100).collect();
    // The longer one of the own interval and what is asked for.
    assert_eq!(gaps, [2_000, 4_000, 60_000, 16_000]);
    let bodies = destination.bodies();
    assert!(bodies.iter().all(|body| body.as_ptr() == bodies[0].as_ptr()), "nothing is made twice");
    running.finish().await;
    assert_eq!((running.spans(), running.value("retries", &[("data_type", "traces")])), ((1.0, 0.0, 0.0), 4.0));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_accepted_in_time_is_given_up() {
    let destination = Destination::new(Vec::new());
    destination.always(failed(None));
    let mut running = Running::start("retry_on_failure: {max_elapsed_time: 1m}", &destination).await;
    let end = running.send_awaited(spans(&["a", "b"])).await;
    let began = Instant::now();
    assert_eq!(end.await.unwrap(), AckOutcome::Dropped);
    let took = began.elapsed();
    assert!(took > Duration::from_secs(15) && took <= Duration::from_secs(61), "{took:?}");
    running.finish().await;
    assert_eq!(running.spans(), (0.0, 2.0, 0.0));
    assert_eq!(running.value("dropped_spans", &[("reason", "retries_exhausted")]), 2.0);
}

#[tokio::test]
async fn without_retries_a_failure_is_the_end() {
    let destination = Destination::new(vec![failed(None)]);
    let mut running = Running::start("retry_on_failure: {enabled: false}", &destination).await;
    assert_eq!(running.send_awaited(spans(&["a"])).await.await.unwrap(), AckOutcome::Dropped);
    running.finish().await;
    assert_eq!((destination.seen.lock().len(), running.spans()), (1, (0.0, 1.0, 0.0)));
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_for_its_identity_waits_for_ever() {
    let refused = Attempt::Failed { why: "expired".to_owned(), pause: None, of_identity: true };
    let destination = Destination::new(vec![refused; 100]);
    let mut running = Running::start("{}", &destination).await;
    let began = Instant::now();
    assert_eq!(running.send_awaited(spans(&["a"])).await.await.unwrap(), AckOutcome::Delivered);
    assert!(began.elapsed() > Duration::from_secs(300), "far beyond max_elapsed_time");
    running.finish().await;
}

#[tokio::test]
async fn rejections_are_final_and_hold_nothing_up() {
    let destination = Destination::new(vec![rejected()]);
    let mut running = Running::start("sending_queue: {num_consumers: 1}", &destination).await;
    let first = running.send_awaited(spans(&["a"])).await;
    let second = running.send_awaited(spans(&["b"])).await;
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (AckOutcome::Rejected, AckOutcome::Delivered));
    running.finish().await;
    assert_eq!(running.spans(), (1.0, 1.0, 0.0));
    assert_eq!(running.value("dropped_spans", &[("reason", "rejected_400")]), 1.0);
    assert_eq!(destination.names(), ["b"]);
}

#[tokio::test]
async fn partial_success_counts_what_was_left_out() {
    let partial = |rejected| Attempt::Accepted(Some(PartialSuccess { rejected, message: "too old".to_owned() }));
    let destination = Destination::new(vec![partial(2), partial(0), partial(9)]);
    let mut running = Running::start("sending_queue: {num_consumers: 1}", &destination).await;
    let mut ends = Vec::new();
    for _ in 0..3 {
        ends.push(running.send_awaited(spans(&["a", "b", "c"])).await.await.unwrap());
    }
    assert_eq!(ends, [AckOutcome::Rejected, AckOutcome::Delivered, AckOutcome::Rejected]);
    running.finish().await;
    assert_eq!(running.spans(), (4.0, 5.0, 0.0));
    assert_eq!(running.value("dropped_spans", &[("reason", "rejected_partially")]), 5.0);
    assert_eq!(running.value("partial_successes", &[("data_type", "traces")]), 3.0);
    assert_eq!(destination.seen.lock().len(), 3, "what was accepted in part is not sent again");
}

#[tokio::test]
async fn what_cannot_be_sent_is_counted() {
    let destination = Destination::new(Vec::new());
    let mut running = Running::start("{}", &destination).await;
    assert_eq!(running.send_awaited(spans(&["unspeakable"])).await.await.unwrap(), AckOutcome::Rejected);
    assert_eq!(running.value("dropped_spans", &[("reason", "not_encodable")]), 1.0);
    // The destination has no place for logs.
    let Batch::Messages(mut logs) = spans(&["x"]) else { panic!("spans are messages") };
    logs.signal = Signal::Logs;
    assert_eq!(running.send_awaited(Batch::Messages(logs)).await.await.unwrap(), AckOutcome::Rejected);
    assert_eq!(running.value("dropped_log_records", &[("reason", "no_endpoint")]), 1.0);
    // Nothing is delivered of nothing.
    assert_eq!(running.send_awaited(spans(&[])).await.await.unwrap(), AckOutcome::Delivered);
    running.finish().await;
    assert!(destination.seen.lock().is_empty());
}

#[tokio::test]
async fn a_full_queue_makes_its_sender_wait() {
    let destination = Destination::gated();
    let mut running = Running::start("sending_queue: {queue_size: 3, num_consumers: 2}", &destination).await;
    for name in ["a", "b", "c", "d", "e", "f"] {
        running.send(spans(&[name])).await;
    }
    destination.wait_for(2).await;
    eventually(|| running.size("traces") == 3.0).await;
    assert_eq!(running.value("in_flight_requests", &[("data_type", "traces")]), 2.0);
    assert_eq!(destination.seen.lock().len(), 2);
    destination.open(6);
    running.finish().await;
    let mut names = destination.names();
    names.sort();
    assert_eq!((names, running.spans()), (["a", "b", "c", "d", "e", "f"].map(str::to_owned).to_vec(), (6.0, 0.0, 0.0)));
    assert_eq!(destination.most_at_once(), 2);
}

#[tokio::test]
async fn a_full_queue_refuses_if_it_is_told_to() {
    let destination = Destination::gated();
    let yaml = "sending_queue: {queue_size: 5, sizer: items, num_consumers: 1, block_on_overflow: false}";
    let mut running = Running::start(yaml, &destination).await;
    let first = running.send_awaited(spans(&["a", "b", "c"])).await;
    let large = running.send_awaited(spans(&["d", "e", "f"])).await;
    assert_eq!(large.await.unwrap(), AckOutcome::Dropped);
    let small = running.send_awaited(spans(&["g", "h"])).await;
    eventually(|| running.size("traces") == 5.0).await;
    destination.open(2);
    assert_eq!((first.await.unwrap(), small.await.unwrap()), (AckOutcome::Delivered, AckOutcome::Delivered));
    running.finish().await;
    assert_eq!((running.spans(), running.size("traces")), ((5.0, 0.0, 3.0), 0.0));
    assert_eq!(running.value("dropped_spans", &[("reason", "queue_full")]), 3.0);
}

#[tokio::test]
async fn what_is_larger_than_the_queue_goes_alone() {
    let destination = Destination::new(Vec::new());
    let mut running = Running::start("sending_queue: {queue_size: 1, sizer: bytes}", &destination).await;
    running.send(spans(&["a"])).await;
    running.send(spans(&["b"])).await;
    running.finish().await;
    assert_eq!((running.spans(), destination.most_at_once()), ((2.0, 0.0, 0.0), 1));
}

#[tokio::test]
async fn points_of_a_resource_never_overtake_each_other() {
    let destination = Destination::gated();
    let mut running = Running::start("{}", &destination).await;
    // Those of other resources go at once, up to the first that has to wait.
    for (resource, name) in [("r1", "a"), ("r2", "b"), ("r3", "c"), ("r1", "d"), ("r4", "e")] {
        running.send(points(resource, &[name])).await;
    }
    destination.wait_for(3).await;
    eventually(|| running.size("metrics") == 5.0).await;
    assert_eq!(destination.seen.lock().len(), 3);
    destination.open(3);
    destination.wait_for(5).await;
    destination.open(2);
    running.finish().await;
    let begun: Vec<String> = destination.bodies().iter().flat_map(|body| names(body)).collect();
    assert_eq!(begun, ["a", "b", "c", "d", "e"]);
}

#[tokio::test(start_paused = true)]
async fn a_retried_request_keeps_its_place_before_those_of_its_resource() {
    let destination = Destination::new(vec![failed(None), failed(None)]);
    let mut running = Running::start("{}", &destination).await;
    for name in ["1", "2", "3", "4"] {
        running.send(points("r", &[name])).await;
    }
    running.finish().await;
    assert_eq!(destination.names(), ["1", "2", "3", "4"]);
    assert_eq!(destination.most_at_once(), 1);
}

#[tokio::test(start_paused = true)]
async fn small_requests_leave_as_one() {
    let destination = Destination::new(Vec::new());
    let yaml = "sending_queue: {num_consumers: 1, batch: {flush_timeout: 10s, min_size: 4}}";
    let mut running = Running::start(yaml, &destination).await;
    let began = Instant::now();
    for name in ["a", "b", "c"] {
        running.send(spans(&[name])).await;
    }
    destination.wait_for(1).await;
    assert!(began.elapsed() >= Duration::from_secs(10), "they have waited for company");
    running.send(spans(&["d", "e"])).await;
    running.send(spans(&["f", "g", "h"])).await;
    destination.wait_for(2).await;
    assert!(began.elapsed() < Duration::from_secs(20), "enough are together");
    running.send(spans(&["i"])).await;
    running.finish().await;
    let requests: Vec<Vec<String>> = destination.bodies().iter().map(|body| names(body)).collect();
    assert_eq!(requests, [vec!["a", "b", "c"], vec!["d", "e", "f", "g", "h"], vec!["i"]]);
    assert_eq!(running.spans(), (9.0, 0.0, 0.0));
}

#[tokio::test]
async fn who_waits_for_an_outcome_does_not_wait_for_company() {
    let destination = Destination::new(Vec::new());
    let running = Running::start("sending_queue: {batch: {flush_timeout: 1h}}", &destination).await;
    assert_eq!(running.send_awaited(spans(&["a"])).await.await.unwrap(), AckOutcome::Delivered);
}

#[tokio::test(start_paused = true)]
async fn requests_of_different_clients_are_put_together_apart() {
    let destination = Destination::new(Vec::new());
    let yaml = "sending_queue: {num_consumers: 1, batch: {flush_timeout: 10s, min_size: 3, max_size: 3, partition: {metadata_keys: [X-Tenant]}}}";
    let mut running = Running::start(yaml, &destination).await;
    let began = Instant::now();
    // Other headers do not matter, and whoever does not say who it is is somebody as well.
    let agent = [("x-tenant", "a"), ("user-agent", "curl")];
    let clients: [&[(&str, &str)]; 7] =
        [&[("X-Tenant", "a")], &[("X-Tenant", "b")], &agent, &[], &[("X-Tenant", "a")], &[("X-Tenant", "a")], &[]];
    for (client, name) in clients.iter().zip(["a1", "b1", "a2", "n1", "a3", "a4", "n2"]) {
        running.send(sent_by(client, spans(&[name]))).await;
    }
    running.send(spans(&["n3"])).await;
    destination.wait_for(2).await;
    assert!(began.elapsed() < Duration::from_secs(10), "what is complete does not wait");
    destination.wait_for(4).await;
    assert!(began.elapsed() < Duration::from_secs(15), "each waits as long as it may");
    let requests = |destination: &Destination| -> Vec<Vec<String>> {
        destination.bodies().iter().map(|body| names(body)).collect()
    };
    assert_eq!(requests(&destination), [vec!["a1", "a2", "a3"], vec!["n1", "n2", "n3"], vec!["b1"], vec!["a4"]]);
    // A request that does not fit goes before it; at the end all go.
    for (tenant, name) in [("a", "a5"), ("b", "b2"), ("a", "a6")] {
        running.send(sent_by(&[("x-tenant", tenant)], spans(&[name]))).await;
    }
    running.send(sent_by(&[("x-tenant", "a")], spans(&["a7", "a8"]))).await;
    running.finish().await;
    assert_eq!(requests(&destination)[4..], [vec!["a5", "a6"], vec!["b2"], vec!["a7", "a8"]]);
    assert_eq!(running.spans(), (13.0, 0.0, 0.0));
}

#[tokio::test]
async fn large_requests_are_cut_and_their_sender_hears_the_worst() {
    for (batch, first) in
        [(spans(&["a", "b", "c", "d", "e"]), "spans"), (points("r", &["a", "b", "c", "d", "e"]), "metric_points")]
    {
        let destination = Destination::new(vec![Attempt::Accepted(None), rejected()]);
        let mut running = Running::start("sending_queue: {num_consumers: 1, batch: {max_size: 2}}", &destination).await;
        assert_eq!(running.send_awaited(batch).await.await.unwrap(), AckOutcome::Rejected);
        running.finish().await;
        let requests: Vec<Vec<String>> = destination.bodies().iter().map(|body| names(body)).collect();
        assert_eq!(requests, [vec!["a", "b"], vec!["c", "d"], vec!["e"]]);
        let of = |what: &str| running.value(&format!("{what}_{first}"), &[]);
        assert_eq!((of("sent"), of("send_failed")), (3.0, 2.0));
    }
}

#[tokio::test]
async fn requests_are_kept_below_a_number_of_bytes() {
    let destination = Destination::new(Vec::new());
    let yaml = "sending_queue: {num_consumers: 1, batch: {sizer: bytes, min_size: 0, max_size: 300}}";
    let mut running = Running::start(yaml, &destination).await;
    let sent: Vec<String> = (0..100).map(|n| format!("span {n} {}", "x".repeat(n % 60))).collect();
    running.send(spans(&sent.iter().map(String::as_str).collect::<Vec<_>>())).await;
    running.finish().await;
    assert_eq!(destination.names(), sent);
    assert!(destination.bodies().iter().all(|body| body.len() <= 300));
    assert_eq!(running.spans(), (100.0, 0.0, 0.0));
}

#[tokio::test]
async fn what_is_too_large_for_the_destination_is_sent_in_halves() {
    for (batch, kind) in
        [(spans(&["a", "b", "c", "d", "e"]), "spans"), (points("r", &["a", "b", "c", "d", "e"]), "metric_points")]
    {
        let destination = Destination::new(Vec::new());
        destination.most.store(2, Ordering::Relaxed);
        let mut running = Running::start("{}", &destination).await;
        assert_eq!(running.send_awaited(batch).await.await.unwrap(), AckOutcome::Delivered);
        let requests: Vec<Vec<String>> = destination.bodies().iter().map(|body| names(body)).collect();
        assert_eq!(requests, [vec!["a", "b"], vec!["c"], vec!["d", "e"]]);
        assert_eq!(running.value(&format!("sent_{kind}"), &[]), 5.0);
        // What has no halves is given up.
        destination.most.store(0, Ordering::Relaxed);
        assert_eq!(running.send_awaited(spans(&["x", "y"])).await.await.unwrap(), AckOutcome::Rejected);
        assert_eq!(running.value("dropped_spans", &[("reason", "rejected_413")]), 2.0);
        running.finish().await;
    }
}

#[tokio::test]
async fn what_there_is_no_time_for_is_counted() {
    let destination = Destination::gated();
    let mut running = Running::start("sending_queue: {num_consumers: 2, queue_size: 3}", &destination).await;
    let mut ends = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        ends.push(running.send_awaited(spans(&[name, name])).await);
    }
    destination.wait_for(2).await;
    running.cut_off().await;
    for end in ends {
        assert_eq!(end.await.unwrap(), AckOutcome::Dropped);
    }
    assert_eq!(running.spans(), (0.0, 12.0, 0.0));
    assert_eq!(running.value("dropped_spans", &[("reason", "shutdown")]), 12.0);
}

#[tokio::test]
async fn without_a_queue_nothing_waits() {
    let destination = Destination::gated();
    let yaml = "sending_queue: {enabled: false, num_consumers: 2, queue_size: 0}";
    let mut running = Running::start(yaml, &destination).await;
    assert_eq!(running.value("queue_capacity", &[("data_type", "traces")]), 0.0, "known when it is needed");
    for name in ["a", "b", "c"] {
        running.send(spans(&[name])).await;
    }
    destination.wait_for(2).await;
    eventually(|| running.size("traces") == 2.0).await;
    destination.open(3);
    running.finish().await;
    assert_eq!(running.spans(), (3.0, 0.0, 0.0));
}
