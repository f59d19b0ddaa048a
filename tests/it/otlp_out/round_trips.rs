//! What is sent to one Oxidot leaves the next one as it was.

use pipeline::component::Signal;

use super::{SIGNALS, Sink, pass_on, post, rich};
use crate::support::free_port;
use crate::support::oxidot::Oxidot;

/// Sends everything to an Oxidot that has this exporter, which leads to another Oxidot, and compares what leaves that.
fn round_trip(exporter: &str, protocol: &str, keys: &str) {
    let sink = Sink::accepting();
    let (enters, between) = (free_port(), free_port());
    let second = Oxidot::start(&pass_on(
        &format!("{{{protocol}: {{endpoint: \"127.0.0.1:{between}\"}}}}"),
        "otlphttp",
        &format!("{{endpoint: \"{}\", compression: none}}", sink.url()),
    ));
    let first = Oxidot::start(&pass_on(
        &format!("{{http: {{endpoint: \"127.0.0.1:{enters}\"}}}}"),
        exporter,
        &keys.replace("PORT", &between.to_string()),
    ));
    for (n, signal) in SIGNALS.into_iter().enumerate() {
        let sent = rich(signal);
        post(enters, signal, &sent);
        sink.wait_for(n + 1, |got| {
            let last = got.last().unwrap();
            assert_eq!(last.signal(), Some(signal), "{exporter} {keys}");
            assert_eq!(last.request.header("content-type"), Some("application/x-protobuf"));
            let text = |body: &[u8]| otlp::json::from_protobuf(signal, body).unwrap();
            assert_eq!(text(&last.request.body), text(&sent), "{exporter} {keys}");
            if signal != Signal::Metrics {
                assert_eq!(last.request.body, sent, "{exporter} {keys}: byte for byte");
            }
        });
        let of = |oxidot: &Oxidot, what: &str| oxidot.own(&format!("otelcol_exporter_{what}_{}", signal.items()), &[]);
        let items = otlp::request::count(signal, &sent) as f64;
        for oxidot in [&first, &second] {
            crate::support::wait_until("the counts", || of(oxidot, "sent") == items);
            assert_eq!((of(oxidot, "send_failed"), of(oxidot, "enqueue_failed")), (0.0, 0.0));
        }
    }
}

#[test]
fn by_grpc() {
    round_trip("otlp", "grpc", "{endpoint: \"127.0.0.1:PORT\", tls: {insecure: true}}");
    round_trip("otlp_grpc", "grpc", "{endpoint: \"http://127.0.0.1:PORT\", compression: zstd}");
}

#[test]
fn by_http_in_protobuf() {
    round_trip("otlphttp", "http", "{endpoint: \"http://127.0.0.1:PORT\"}");
    round_trip("otlp_http", "http", "{endpoint: \"http://127.0.0.1:PORT\", compression: snappy}");
}

#[test]
fn by_http_in_json() {
    round_trip("otlphttp", "http", "{endpoint: \"http://127.0.0.1:PORT/\", encoding: json}");
    round_trip("otlphttp", "http", "{endpoint: \"http://127.0.0.1:PORT\", encoding: json, compression: lz4}");
}

#[test]
fn by_way_of_the_disk() {
    let storage = tempfile::tempdir().unwrap();
    let sink = Sink::accepting();
    let enters = free_port();
    let config = pass_on(
        &format!("{{http: {{endpoint: \"127.0.0.1:{enters}\"}}}}"),
        "otlphttp",
        &format!("{{endpoint: \"{}\", compression: none, sending_queue: {{storage: file_storage}}}}", sink.url()),
    );
    let extension = format!(
        "extensions: {{file_storage: {{directory: \"{}\"}}}}\n{}",
        storage.path().display(),
        config.replace("service: {", "service: {extensions: [file_storage], ")
    );
    let _oxidot = Oxidot::start(&extension);
    for (n, signal) in SIGNALS.into_iter().enumerate() {
        let sent = rich(signal);
        post(enters, signal, &sent);
        sink.wait_for(n + 1, |got| {
            let text = |body: &[u8]| otlp::json::from_protobuf(signal, body).unwrap();
            assert_eq!(text(&got.last().unwrap().request.body), text(&sent));
        });
    }
}
