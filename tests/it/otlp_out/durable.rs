//! Queues on disk: a process that is killed loses nothing that it has answered for.

use std::path::Path;

use pipeline::component::Signal;

use super::{Sink, answer, ok, pass_on, post, spans};
use crate::support::oxidot::{Oxidot, command};
use crate::support::{free_port, wait_until};

fn config(storage: &Path, port: u16, sink: u16) -> String {
    config_of(storage, port, sink, 4)
}

fn config_of(storage: &Path, port: u16, sink: u16, consumers: usize) -> String {
    let exporter = format!(
        "{{endpoint: \"http://127.0.0.1:{sink}\", compression: none, sending_queue: {{storage: file_storage, num_consumers: {consumers}, queue_size: 100000}}, \
         retry_on_failure: {{initial_interval: 50ms, max_interval: 200ms}}}}"
    );
    let config = pass_on(&format!("{{http: {{endpoint: \"127.0.0.1:{port}\"}}}}"), "otlphttp", &exporter);
    format!(
        "extensions: {{file_storage: {{directory: \"{}\", create_directory: true}}}}\n{}",
        storage.display(),
        config.replace("service: {", "service: {extensions: [file_storage], ")
    )
}

fn waiting(oxidot: &Oxidot) -> f64 {
    oxidot.own("otelcol_exporter_queue_size", &["data_type=\"traces\""])
}

/// Each name at the place where it came first.
fn firsts(names: &[String]) -> Vec<&str> {
    let mut firsts: Vec<&str> = Vec::new();
    for name in names {
        if !firsts.contains(&name.as_str()) {
            firsts.push(name);
        }
    }
    firsts
}

#[test]
fn what_was_answered_for_survives_kills_during_an_outage() {
    let storage = tempfile::tempdir().unwrap();
    let down = Sink::start(|_| answer(503, &[], b""));
    let sink_port = down.port();
    let mut sent = Vec::new();
    // Three times a process takes in spans while the server is down, and is killed at some moment.
    for run in 0..3 {
        let port = free_port();
        let mut oxidot = Oxidot::start(&config(storage.path(), port, sink_port));
        for n in 0..20 {
            let name = format!("{run}-{n}");
            post(port, Signal::Traces, &spans(&[&name]));
            sent.push(name);
        }
        // The answer comes when the exporter's channel has the spans; a moment later they are on disk.
        let all = sent.len() as f64;
        wait_until("the spans on disk", || waiting(&oxidot) == all);
        oxidot.signal("KILL");
        assert!(!oxidot.wait().success());
    }
    drop(down);
    // It comes back in the middle of a fourth run, which is killed while it delivers.
    let slow = Sink::start_on(sink_port, |n| if n % 3 == 0 { answer(503, &[], b"") } else { ok() });
    let mut oxidot = Oxidot::start(&config(storage.path(), free_port(), sink_port));
    slow.wait_for(25, |_| ());
    oxidot.signal("KILL");
    oxidot.wait();
    let before = slow.names();
    drop(slow);
    let sink = Sink::start_on(sink_port, |_| ok());
    let mut oxidot = Oxidot::start(&config_of(storage.path(), free_port(), sink_port, 1));
    wait_until("the end of the queue", || waiting(&oxidot) == 0.0 && !sink.names().is_empty());
    let after = sink.names();
    for name in &sent {
        assert!(before.contains(name) || after.contains(name), "{name} is lost");
    }
    // What is delivered again begins at the oldest that was open, and goes on in the order of the queue.
    let again = firsts(&after);
    let from = sent.len() - again.len();
    assert_eq!(again, sent.iter().skip(from).map(String::as_str).collect::<Vec<_>>());
    assert_eq!(oxidot.end().code(), Some(0));
}

#[test]
fn an_end_in_an_outage_is_quick_and_the_next_start_delivers() {
    let storage = tempfile::tempdir().unwrap();
    let down = Sink::start(|_| answer(503, &[("Retry-After", "300")], b""));
    let sink_port = down.port();
    let port = free_port();
    let mut oxidot = Oxidot::start(&config(storage.path(), port, sink_port));
    for name in ["a", "b", "c"] {
        post(port, Signal::Traces, &spans(&[name]));
    }
    down.wait_for(1, |_| ());
    wait_until("the spans on disk", || waiting(&oxidot) == 3.0);
    assert_eq!(oxidot.end().code(), Some(0));
    assert!(oxidot.log().contains("stay on disk for the next start"), "{}", oxidot.log());
    drop(down);
    let sink = Sink::start_on(sink_port, |_| ok());
    let mut oxidot = Oxidot::start(&config(storage.path(), free_port(), sink_port));
    wait_until("the end of the queue", || waiting(&oxidot) == 0.0 && sink.names().len() >= 3);
    let mut names = sink.names();
    names.sort();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(oxidot.end().code(), Some(0));
}

#[test]
fn a_second_process_on_the_directory_says_so_and_stops() {
    let storage = tempfile::tempdir().unwrap();
    let sink = Sink::accepting();
    let first = Oxidot::start(&config(storage.path(), free_port(), sink.port()));
    let file = storage.path().join("second.yaml");
    std::fs::write(&file, config(storage.path(), free_port(), sink.port())).unwrap();
    let output = command(&["--config", &file.to_string_lossy()])
        .args(["--config", &crate::support::oxidot::own_metrics_at(free_port())])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && stderr.contains("is in use by process"), "{stderr}");
    drop(first);
}

#[test]
fn a_reload_hands_the_directory_over() {
    let storage = tempfile::tempdir().unwrap();
    let down = Sink::start(|_| answer(503, &[], b""));
    let up = Sink::accepting();
    let port = free_port();
    let mut oxidot = Oxidot::start(&config(storage.path(), port, down.port()));
    for name in ["a", "b"] {
        post(port, Signal::Traces, &spans(&[name]));
    }
    down.wait_for(1, |_| ());
    oxidot.reload(&config(storage.path(), port, up.port()));
    wait_until("what waited for the former server", || up.names().len() >= 2);
    let mut names = up.names();
    names.sort();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(oxidot.end().code(), Some(0));
}
