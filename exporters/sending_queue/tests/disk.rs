//! Queues on disk: what survives, and what a bad disk costs.

use std::path::Path;

use wal::SyncPolicy;

use super::*;

const DURABLE: &str = "sending_queue: {storage: file_storage, num_consumers: 3}";

/// What the extension of this name offers.
fn storage(directory: &Path) -> Shared {
    // Tasks that were ended let go of the lock a little later.
    storage_with(directory, Duration::from_secs(60))
}

fn storage_with(directory: &Path, timeout: Duration) -> Shared {
    let shared = Shared::default();
    let storage = Storage { directory: directory.to_owned(), permissions: 0o750, timeout, sync: SyncPolicy::Never };
    shared.provide(ComponentId::new("file_storage", "").unwrap(), storage);
    shared
}

#[tokio::test]
async fn what_is_on_disk_survives_a_kill_in_its_order() {
    let scratch = tempfile::tempdir().unwrap();
    let shared = storage(scratch.path());
    let down = Destination::gated();
    let running = Running::start_with(DURABLE, &down, &shared).await;
    let sent: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    for name in &sent {
        // Whoever waits is told that it is on disk.
        let end = running.send_awaited(spans(&[name.as_str()])).await;
        assert_eq!(end.await.unwrap(), AckOutcome::Persisted);
    }
    for name in ["x", "y"] {
        let end = running.send_awaited(points("r", &[name])).await;
        assert_eq!(end.await.unwrap(), AckOutcome::Persisted);
    }
    down.wait_for(4).await;
    assert_eq!(running.size("traces"), 20.0);
    running.kill().await;

    let up = Destination::new(Vec::new());
    let mut running =
        Running::start_with("sending_queue: {storage: file_storage, num_consumers: 1}", &up, &shared).await;
    // Without anything new coming in.
    up.wait_for(22).await;
    running.finish().await;
    let delivered = |signal: Signal| -> Vec<String> {
        let seen = up.seen.lock();
        seen.iter().filter(|seen| seen.signal == signal).flat_map(|seen| names(&seen.body)).collect()
    };
    assert_eq!((delivered(Signal::Traces), delivered(Signal::Metrics)), (sent, vec!["x".to_owned(), "y".to_owned()]));
    assert_eq!((running.spans(), running.size("traces")), ((20.0, 0.0, 0.0), 0.0));

    // What was delivered is not delivered again.
    let again = Destination::new(Vec::new());
    let mut running = Running::start_with(DURABLE, &again, &shared).await;
    running.finish().await;
    assert!(again.seen.lock().is_empty());
}

#[tokio::test]
async fn what_was_delivered_behind_a_gap_is_delivered_again() {
    let scratch = tempfile::tempdir().unwrap();
    let shared = storage(scratch.path());
    let destination = Destination::gated();
    let running = Running::start_with(DURABLE, &destination, &shared).await;
    for name in ["a", "b", "c"] {
        running.send_awaited(spans(&[name])).await.await.unwrap();
    }
    destination.wait_for(3).await;
    // Which of the three gets the permits is not said; at most those before the first open one are done with.
    destination.open(2);
    eventually(|| running.spans().0 == 2.0).await;
    running.kill().await;
    let up = Destination::new(Vec::new());
    let mut running = Running::start_with(DURABLE, &up, &shared).await;
    running.finish().await;
    let mut all = destination.names();
    all.extend(up.names());
    for name in ["a", "b", "c"] {
        assert!(all.iter().any(|delivered| delivered == name), "{name} is in none of {all:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn at_the_end_what_fails_stays_on_disk() {
    let scratch = tempfile::tempdir().unwrap();
    let shared = storage(scratch.path());
    let down = Destination::new(Vec::new());
    down.always(failed(None));
    let mut running = Running::start_with(DURABLE, &down, &shared).await;
    for name in ["a", "b", "c", "d", "e"] {
        running.send(spans(&[name])).await;
    }
    down.wait_for(3).await;
    // Long before the destination would be tried again, and with nothing lost.
    running.finish().await;
    assert_eq!(running.spans(), (0.0, 0.0, 0.0));
    let up = Destination::new(vec![rejected()]);
    let mut running = Running::start_with(DURABLE, &up, &shared).await;
    up.wait_for(5).await;
    running.finish().await;
    // The one that is rejected does not hold up the others.
    assert_eq!(running.spans(), (4.0, 1.0, 0.0));
}

#[tokio::test]
async fn a_disk_that_cannot_be_written_is_made_up_for_by_memory() {
    let scratch = tempfile::tempdir().unwrap();
    let shared = storage(scratch.path());
    let destination = Destination::gated();
    let yaml = "sending_queue: {storage: file_storage, num_consumers: 1}";
    let mut running = Running::start_with(yaml, &destination, &shared).await;
    // No segment can be begun in a directory that is gone.
    let directory = scratch.path().join("exporter_otlp__traces");
    std::fs::remove_dir_all(&directory).unwrap();
    let mut ends = Vec::new();
    for name in ["a", "b", "c"] {
        ends.push(running.send_awaited(spans(&[name])).await);
    }
    destination.wait_for(1).await;
    let failing = |running: &Running| running.value("storage_failing", &[("data_type", "traces")]);
    eventually(|| failing(&running) == 1.0).await;
    assert!(ends.iter_mut().all(|end| end.try_recv().is_err()), "nobody is told that it is on disk");
    std::fs::create_dir(&directory).unwrap();
    eventually(|| failing(&running) == 0.0).await;
    destination.open(3);
    running.finish().await;
    assert_eq!(destination.names(), ["a", "b", "c"]);
    assert_eq!(running.spans(), (3.0, 0.0, 0.0));
    let outcomes = [ends.remove(0).await.unwrap(), ends.remove(0).await.unwrap(), ends.remove(0).await.unwrap()];
    assert_eq!(outcomes, [AckOutcome::Delivered, AckOutcome::Persisted, AckOutcome::Persisted]);
}

#[tokio::test]
async fn damage_costs_what_it_touches() {
    let scratch = tempfile::tempdir().unwrap();
    let shared = storage(scratch.path());
    let down = Destination::gated();
    let running = Running::start_with(DURABLE, &down, &shared).await;
    for name in ["a", "b", "c", "d"] {
        running.send_awaited(spans(&[name, name])).await.await.unwrap();
    }
    running.kill().await;
    let directory = scratch.path().join("exporter_otlp__traces");
    let segment = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
    let segment = segment.filter(|path| path.extension().is_some_and(|e| e == "segment")).max().unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle - 20..middle].fill(0xff);
    std::fs::write(&segment, bytes).unwrap();
    let up = Destination::new(Vec::new());
    let mut running = Running::start_with(DURABLE, &up, &shared).await;
    running.finish().await;
    let (sent, failed, _) = running.spans();
    assert!(sent >= 4.0 && sent + failed == 8.0, "{sent} {failed}");
    assert_eq!(running.value("dropped_spans", &[("reason", "queue_corrupt")]), failed);
}

#[tokio::test]
async fn requests_on_disk_are_put_together_too() {
    let scratch = tempfile::tempdir().unwrap();
    let shared = storage(scratch.path());
    let destination = Destination::gated();
    let yaml = "sending_queue: {storage: file_storage, num_consumers: 1, batch: {min_size: 4, max_size: 4, flush_timeout: 1h}}";
    let mut running = Running::start_with(yaml, &destination, &shared).await;
    for n in 0..4 {
        running.send_awaited(spans(&[&format!("{n}a"), &format!("{n}b")])).await.await.unwrap();
    }
    destination.open(2);
    running.finish().await;
    let requests: Vec<usize> = destination.bodies().iter().map(|body| names(body).len()).collect();
    assert_eq!((requests, running.spans()), (vec![4, 4], (8.0, 0.0, 0.0)));
}

#[tokio::test]
async fn a_directory_belongs_to_one_process() {
    let scratch = tempfile::tempdir().unwrap();
    let shared = storage_with(scratch.path(), Duration::ZERO);
    let destination = Destination::new(Vec::new());
    let mut running = Running::start_with(DURABLE, &destination, &shared).await;
    let second = || async {
        let Delivery { queue, retry } = delivery(DURABLE).unwrap();
        let transport = Arc::clone(&destination) as Arc<dyn Transport>;
        SendingQueue::open(queue, retry, transport, &context(&shared)).await
    };
    let error = second().await.err().unwrap().to_string();
    assert!(error.contains("the queue on disk cannot be opened") && error.contains("exporter_otlp__"), "{error}");
    running.finish().await;
    drop(running);
    // It is free when the first one has ended.
    let free = async { while second().await.is_err() {} };
    tokio::time::timeout(PATIENCE, free).await.unwrap();
    let Delivery { queue, retry } = delivery("sending_queue: {storage: file_storage/other}").unwrap();
    let transport = Arc::clone(&destination) as Arc<dyn Transport>;
    let error = SendingQueue::open(queue, retry, transport, &context(&shared)).await.err().unwrap().to_string();
    assert!(error.contains("there is no storage extension file_storage/other"), "{error}");
}

/// Numbers that a seed leads to (a 64-bit linear congruential generator; its upper bits).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// A destination that fails at random, behind a queue whose process is killed at random moments: nothing that was persisted is lost, the
/// points of a resource arrive in order, and what comes twice was open when a process died.
#[tokio::test]
async fn whatever_fails_nothing_is_lost_and_order_is_kept() {
    for seed in 0..40 {
        let mut dice = Dice(seed);
        let scratch = tempfile::tempdir().unwrap();
        let shared = storage(scratch.path());
        let mut sent: Vec<Vec<String>> = vec![Vec::new(); 3];
        let mut accepted: Vec<Vec<String>> = Vec::new();
        for run in 0..4 {
            let last = run == 3;
            let script = (0..40).map(|_| if dice.below(3) == 0 { failed(None) } else { Attempt::Accepted(None) });
            let destination = Destination::new(script.collect());
            let batch = ["", ", batch: {min_size: 3, flush_timeout: 2ms}", ", batch: {max_size: 1}"][dice.below(3)];
            let yaml = format!(
                "sending_queue: {{storage: file_storage, num_consumers: {}{batch}}}\n\
                 retry_on_failure: {{initial_interval: 1ms, max_interval: 4ms}}",
                1 + dice.below(4)
            );
            let mut running = Running::start_with(&yaml, &destination, &shared).await;
            for _ in 0..dice.below(15) {
                let resource = dice.below(3);
                let name = format!("{resource}/{}", sent[resource].len());
                let end = running.send_awaited(points(&resource.to_string(), &[name.as_str()])).await;
                assert_eq!(end.await.unwrap(), AckOutcome::Persisted, "seed {seed}");
                sent[resource].push(name);
            }
            if last {
                // An end would leave on disk what fails just then.
                let all = || {
                    let now = destination.names();
                    let came = |name: &String| now.contains(name) || accepted.iter().any(|run| run.contains(name));
                    sent.iter().flatten().all(came)
                };
                tokio::time::timeout(PATIENCE, eventually(all)).await.unwrap_or_else(|_| panic!("seed {seed}: lost"));
                running.finish().await;
            } else {
                tokio::time::sleep(Duration::from_millis(dice.below(8) as u64)).await;
                running.kill().await;
            }
            accepted.push(destination.names());
        }
        for (resource, sent) in sent.iter().enumerate() {
            let of = |names: &Vec<String>| -> Vec<usize> {
                let own = names.iter().filter_map(|name| name.strip_prefix(&format!("{resource}/")));
                own.map(|number| number.parse().unwrap()).collect()
            };
            let mut next = 0;
            for names in &accepted {
                let run = of(names);
                // Each process goes on where the one before it was, or at something that was open then.
                assert!(run.windows(2).all(|pair| pair[1] == pair[0] + 1), "seed {seed}: {accepted:?}");
                assert!(run.first().is_none_or(|first| *first <= next), "seed {seed}: {accepted:?}");
                next = next.max(run.last().map_or(0, |last| last + 1));
            }
            assert_eq!(next, sent.len(), "seed {seed}: {accepted:?}");
        }
    }
}

/// Whose a request is stays known across a restart.
#[tokio::test]
async fn requests_of_different_clients_stay_apart_on_disk() {
    let scratch = tempfile::tempdir().unwrap();
    let shared = storage(scratch.path());
    let down = Destination::gated();
    let yaml = "sending_queue: {storage: file_storage, num_consumers: 1, batch: {min_size: 2, flush_timeout: 1h, partition: {metadata_keys: [x-tenant]}}}";
    let running = Running::start_with(yaml, &down, &shared).await;
    for (tenant, name) in [("a", "a1"), ("b", "b1"), ("a", "a2"), ("b", "b2")] {
        let (ack, outcome) = Ack::channel();
        let mut batch = sent_by(&[("X-Tenant", tenant)], spans(&[name]));
        let acks = Acks::one(ack).from_client(batch.acks().client().cloned());
        batch.acks_mut().merge(acks);
        running.send(batch).await;
        assert_eq!(outcome.await.unwrap(), AckOutcome::Persisted);
    }
    running.send_awaited(spans(&["n1"])).await.await.unwrap();
    running.kill().await;
    let up = Destination::new(Vec::new());
    let mut running = Running::start_with(yaml, &up, &shared).await;
    running.finish().await;
    let requests: Vec<Vec<String>> = up.bodies().iter().map(|body| names(body)).collect();
    assert_eq!(requests, [vec!["a1", "a2"], vec!["b1", "b2"], vec!["n1"]]);
    assert_eq!((running.spans(), running.size("traces")), ((5.0, 0.0, 0.0), 0.0));
}

/// A request whose only span has a name that cannot be compressed to less than half.
fn bulky(number: u64, bytes: usize) -> (String, Batch) {
    let mut state = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut name = format!("{number}-");
    while name.len() < bytes {
        state = (state ^ (state >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        name.push_str(&format!("{state:016x}"));
    }
    let spans = spans(&[name.as_str()]);
    (name, spans)
}

/// Beyond its limit of bytes the queue drops the oldest requests, and counts them.
#[tokio::test]
async fn beyond_its_bytes_the_oldest_requests_go_and_are_counted() {
    let scratch = tempfile::tempdir().unwrap();
    let shared = storage(scratch.path());
    let destination = Destination::gated();
    let yaml = "sending_queue: {storage: file_storage, num_consumers: 1, queue_size: 100000, max_bytes: 1048576}";
    let mut running = Running::start_with(yaml, &destination, &shared).await;
    let mut sent = Vec::new();
    for number in 0..40 {
        let (name, request) = bulky(number, 100_000);
        running.send_awaited(request).await.await.unwrap();
        sent.push(name);
    }
    destination.wait_for(1).await;
    destination.open(1000);
    running.finish().await;
    let delivered = destination.names();
    let dropped = running.value("dropped_spans", &[("reason", "queue_max_bytes")]);
    assert!(dropped >= 15.0 && delivered.len() as f64 + dropped == 40.0, "{dropped} {}", delivered.len());
    // The one that was under way, and the newest.
    assert!(delivered[0] == sent[0] && delivered[1..] == sent[40 - (delivered.len() - 1)..]);
    assert_eq!(running.size("traces"), 0.0);
}

/// What has waited for too long is dropped, and counted.
#[tokio::test]
async fn requests_over_age_go_and_are_counted() {
    let scratch = tempfile::tempdir().unwrap();
    let shared = storage(scratch.path());
    let destination = Destination::gated();
    let yaml = "sending_queue: {storage: file_storage, num_consumers: 1, max_age: 1s}";
    let mut running = Running::start_with(yaml, &destination, &shared).await;
    for name in ["a", "b", "c", "d", "e"] {
        running.send_awaited(spans(&[name])).await.await.unwrap();
    }
    destination.wait_for(1).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    running.send_awaited(spans(&["young"])).await.await.unwrap();
    destination.open(1000);
    running.finish().await;
    let delivered = destination.names();
    let dropped = running.value("dropped_spans", &[("reason", "queue_max_age")]);
    assert!(dropped >= 1.0 && delivered.len() as f64 + dropped == 6.0, "{dropped} {delivered:?}");
    assert_eq!((delivered[0].as_str(), delivered.last().unwrap().as_str()), ("a", "young"));
}
