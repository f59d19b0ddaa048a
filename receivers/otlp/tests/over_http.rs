//! HTTP: statuses, bodies and content types.

use super::*;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

#[tokio::test]
async fn every_signal_is_taken_in_both_encodings() {
    let mut running = Running::start(BOTH).await;
    for (signal, path) in PATHS {
        let (status, head, body) = running.post(path, PROTOBUF, &protobuf(signal)).await;
        assert_eq!((status, body.as_str()), (200, ""), "{head}");
        assert!(head.contains("content-type: application/x-protobuf\r\n"), "{head}");
        let (status, head, body) = running.post(path, "application/json; charset=utf-8", json(signal).as_bytes()).await;
        assert_eq!((status, body.as_str()), (200, "{}"), "{head}");
        assert!(head.contains("content-type: application/json\r\n"), "{head}");
        for _ in 0..2 {
            let batch = running.input.recv_any().await.unwrap();
            assert_eq!((batch.signal(), batch.len(), batch.acks().awaited()), (signal, 2, false));
            if let Batch::Messages(batch) = batch {
                assert_eq!(batch.body, protobuf(signal));
            }
        }
        let labels = [("receiver", "otlp"), ("transport", "http")];
        let name = format!("otelcol_receiver_accepted_{}", signal.items());
        assert_eq!(running.telemetry.value(&name, &labels), Some(4.0));
    }
    running.stop().await;
}

#[tokio::test]
async fn an_empty_request_is_taken_and_goes_nowhere() {
    let mut running = Running::start(BOTH).await;
    for (_, path) in PATHS {
        assert_eq!(running.post(path, PROTOBUF, b"").await.0, 200);
        assert_eq!(running.post(path, JSON, b"{}").await.0, 200);
    }
    assert!(running.input.try_recv_any().is_none());
    running.stop().await;
}

#[tokio::test]
async fn what_is_no_otlp_is_refused_as_the_collector_does() {
    let running = Running::start(BOTH).await;
    let (status, head, body) = running.send("GET /v1/metrics HTTP/1.1", b"").await;
    assert_eq!((status, body.as_slice()), (405, &b"405 method not allowed, supported: [POST]"[..]));
    assert!(head.contains("content-type: text/plain\r\n"), "{head}");
    let (status, head, body) = running.post("/v1/metrics", "text/plain", b"x").await;
    assert_eq!(
        (status, body.as_str()),
        (415, "415 unsupported media type, supported: [application/json, application/x-protobuf]")
    );
    assert!(head.contains("content-type: text/plain\r\n"), "{head}");
    assert_eq!(running.post("/v1/profiles", PROTOBUF, b"").await.0, 404);
    let (status, head, body) = running.post("/v1/traces", JSON, b"{\"resourceSpans\":5}").await;
    assert_eq!(status, 400);
    assert!(head.contains("content-type: application/json\r\n"), "{head}");
    assert!(body.starts_with("{\"code\":3,\"message\":\"") && body.contains("a list for resourceSpans"), "{body}");
    for (signal, path) in PATHS {
        let whole = protobuf(signal);
        let (status, head, body) =
            running.send(&format!("POST {path} HTTP/1.1\r\nContent-Type: {PROTOBUF}"), &whole[..whole.len() - 1]).await;
        assert_eq!(status, 400);
        assert!(head.contains("content-type: application/x-protobuf\r\n"), "{head}");
        let status = otlp::response::Status::from_protobuf(&body);
        assert_eq!((status.code, status.message.as_str()), (3, "unexpected end of data"));
    }
    let labels = [("receiver", "otlp"), ("transport", "http"), ("reason", "malformed")];
    assert_eq!(running.telemetry.value("oxidot_receiver_refused_requests", &labels), Some(4.0));
    running.stop().await;
}

#[tokio::test]
async fn only_signals_that_a_pipeline_carries_have_a_path() {
    let (entry, input) = channel();
    let running = Running::start_with(BOTH, output_of(&[Signal::Logs], &entry), input).await;
    assert_eq!(running.post("/v1/logs", PROTOBUF, b"").await.0, 200);
    let (status, _, body) = running.post("/v1/metrics", PROTOBUF, b"").await;
    assert_eq!((status, body.as_str()), (404, "404 page not found\n"));
    running.stop().await;
}

#[tokio::test]
async fn paths_can_be_chosen() {
    let yaml = "protocols: {http: {endpoint: '127.0.0.1:0', traces_url_path: spans, metrics_url_path: /m}}";
    let running = Running::start(yaml).await;
    for (path, status) in [("/spans", 200), ("/m", 200), ("/v1/logs", 200), ("/v1/traces", 404), ("/v1/metrics", 404)] {
        assert_eq!(running.post(path, PROTOBUF, b"").await.0, status, "{path}");
    }
    running.stop().await;
}

#[tokio::test]
async fn a_pipeline_that_refuses_asks_senders_to_come_again() {
    let running = refusing().await;
    let (status, head, body) = running.post("/v1/metrics", JSON, json(Signal::Metrics).as_bytes()).await;
    assert_eq!((status, body.as_str()), (503, "{\"code\":14,\"message\":\"data refused due to high memory usage\"}"));
    assert!(head.contains("retry-after: 5\r\n"), "{head}");
    running.stop().await;
}

#[tokio::test]
async fn points_that_are_left_out_are_named() {
    let mut running = Running::start(BOTH).await;
    let body = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","gauge":{"dataPoints":[{"asInt":1},{},{}]}}]}]}]}"#;
    let (status, _, answer) = running.post("/v1/metrics", JSON, body.as_bytes()).await;
    let expected = "{\"partialSuccess\":{\"rejectedDataPoints\":\"2\",\"errorMessage\":\"a data point of metric \\\"m\\\" is left out: \
                    it has no value (2 data points are left out in all)\"}}";
    assert_eq!((status, answer.as_str()), (200, expected));
    assert_eq!(running.input.recv().await.unwrap().len(), 1);
    let labels = [("receiver", "otlp"), ("transport", "http")];
    assert_eq!(running.telemetry.value("otelcol_receiver_failed_metric_points", &labels), Some(2.0));
    running.stop().await;
}

#[tokio::test]
async fn durable_answers_tell_of_delivery() {
    for (outcome, status, code) in [
        (AckOutcome::Delivered, 200, None),
        (AckOutcome::Persisted, 200, None),
        (AckOutcome::Rejected, 500, Some(13)),
        (AckOutcome::Dropped, 503, Some(14)),
    ] {
        let mut running = Running::start(&format!("acknowledge: durable\n{BOTH}")).await;
        for (signal, path) in PATHS {
            let body = protobuf(signal);
            let head = format!("POST {path} HTTP/1.1\r\nContent-Type: {PROTOBUF}");
            let answered = running.http;
            let sent = async {
                let mut connection = TcpStream::connect(answered.unwrap()).await.unwrap();
                let head = format!("{head}\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
                connection.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
                answer(connection).await
            };
            let settled = async { running.input.recv_any().await.unwrap().into_acks().resolve(outcome) };
            let ((got, _, body), ()) = tokio::join!(sent, settled);
            assert_eq!(got, status, "{outcome:?}");
            assert_eq!((!body.is_empty()).then(|| otlp::response::Status::from_protobuf(&body).code), code);
        }
        running.stop().await;
    }
}

#[tokio::test]
async fn bodies_may_be_compressed() {
    let mut running = Running::start(BOTH).await;
    let plain = protobuf(Signal::Metrics);
    let gzip = net::decode::gzip_compress(&plain, 6);
    let zstd = zstd::stream::encode_all(plain.as_slice(), 0).unwrap();
    let snappy = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
    let mut deflate = Vec::new();
    std::io::Read::read_to_end(
        &mut flate2::read::ZlibEncoder::new(plain.as_slice(), flate2::Compression::fast()),
        &mut deflate,
    )
    .unwrap();
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    std::io::Write::write_all(&mut lz4, &plain).unwrap();
    let lz4 = lz4.finish().unwrap();
    for (name, body) in [("gzip", gzip), ("zstd", zstd), ("snappy", snappy), ("deflate", deflate), ("lz4", lz4)] {
        let head = format!("POST /v1/metrics HTTP/1.1\r\nContent-Type: {PROTOBUF}\r\nContent-Encoding: {name}");
        assert_eq!(running.send(&head, &body).await.0, 200, "{name}");
        assert_eq!(running.input.recv().await.unwrap().len(), 2, "{name}");
        let (status, head, body) = running.send(&head, b"rubbish").await;
        assert_eq!(status, 400, "{name}");
        assert!(head.contains("content-type: application/x-protobuf\r\n"), "{head}");
        assert_eq!(otlp::response::Status::from_protobuf(&body).code, 3);
    }
    let head = format!("POST /v1/metrics HTTP/1.1\r\nContent-Type: {JSON}\r\nContent-Encoding: br");
    let (status, _, body) = running.send(&head, b"x").await;
    assert_eq!(
        (status, String::from_utf8(body).unwrap().as_str()),
        (400, "{\"code\":3,\"message\":\"unsupported Content-Encoding: br\"}")
    );
    running.stop().await;
}

#[tokio::test]
async fn web_pages_may_send_where_that_is_configured() {
    let yaml = "protocols: {http: {endpoint: '127.0.0.1:0', cors: {allowed_origins: ['https://*.example']}}}";
    let running = Running::start(yaml).await;
    let origin = "Origin: https://app.example";
    let (status, head, _) = running
        .send(&format!("OPTIONS /v1/traces HTTP/1.1\r\n{origin}\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type"), b"")
        .await;
    assert!(status == 204 && head.contains("access-control-allow-origin: https://app.example\r\n"), "{head}");
    let (status, head, _) =
        running.send(&format!("POST /v1/traces HTTP/1.1\r\n{origin}\r\nContent-Type: {JSON}"), b"{}").await;
    assert!(status == 200 && head.contains("access-control-allow-origin: https://app.example\r\n"), "{head}");
    running.stop().await;
}

#[tokio::test]
async fn who_sent_a_request_goes_along_with_it() {
    for (with, expected) in [(true, Some(vec!["a", "b"])), (false, None)] {
        let yaml = format!("protocols: {{http: {{endpoint: '127.0.0.1:0', include_metadata: {with}}}}}");
        let mut running = Running::start(&yaml).await;
        let head = format!("POST /v1/logs HTTP/1.1\r\nContent-Type: {JSON}\r\nX-Tenant: a\r\nx-tenant: b");
        assert_eq!(running.send(&head, json(Signal::Logs).as_bytes()).await.0, 200);
        let batch = running.input.recv_any().await.unwrap();
        let client = batch.acks().client().unwrap();
        assert!(client.address.is_some_and(|address| address.is_loopback()));
        let found = client.metadata("x-tenant").map(|values| values.iter().map(|value| &**value).collect::<Vec<_>>());
        assert_eq!(found, expected);
        running.stop().await;
    }
}

/// What the OTLP specification says about JSON, where it leaves a choice to senders: ids in either case, integers as
/// numbers or text, whole numbers for doubles, fields in any order, unknown ones, nulls, enums as numbers.
#[tokio::test]
async fn requests_are_taken_in_every_spelling_that_the_specification_allows() {
    let spans = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"endTimeUnixNano":"1700000001000000000","startTimeUnixNano":1700000000000000000,
        "kind":2,"name":"I'm a server span","parentSpanId":"","spanId":"EEE19B7EC3C1B174","traceId":"5b8efff798038103D269B633813FC60C",
        "attributes":[{"value":{"intValue":"5"},"key":"n"},{"key":"m","value":{"intValue":6}}],"status":{},"links":null,"later":{"x":[1,{}]}}],
        "scope":{"attributes":[],"version":"1.0.0","name":"my.library"}}],"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"my.service"}}]}}]}"#;
    let metrics = r#"{"resourceMetrics":[{"resource":{},"scopeMetrics":[{"scope":{"name":"my.library"},"metrics":[
        {"name":"my.counter","unit":"1","description":"","sum":{"aggregationTemporality":1,"isMonotonic":true,"dataPoints":[{"asDouble":5,"startTimeUnixNano":"1","timeUnixNano":2,"attributes":[]}]}},
        {"name":"my.gauge","gauge":{"dataPoints":[{"asInt":10,"timeUnixNano":"2"},{"asDouble":"-Infinity"}]}},
        {"name":"my.histogram","histogram":{"aggregationTemporality":1,"dataPoints":[{"count":2,"sum":2,"bucketCounts":[1,"1"],"explicitBounds":[1],"min":0,"max":2}]}},
        {"name":"my.exponential","exponentialHistogram":{"aggregationTemporality":1,"dataPoints":[{"count":3,"sum":10,"scale":0,"zeroCount":1,"positive":{"offset":1,"bucketCounts":["0",2]},"zeroThreshold":0}]}}]}]}]}"#;
    let logs = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1","observedTimeUnixNano":2,"severityNumber":10,"severityText":"Information",
        "traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174","body":{"stringValue":"Example log record"},
        "attributes":[{"key":"map","value":{"kvlistValue":{"values":[{"key":"k","value":{"arrayValue":{"values":[{"boolValue":true},{"doubleValue":1}]}}}]}}},{"key":"b","value":{"bytesValue":"aGk"}}]}]}]}]}"#;
    let mut running = Running::start(BOTH).await;
    for (path, body, items) in [("/v1/traces", spans, 1), ("/v1/metrics", metrics, 5), ("/v1/logs", logs, 1)] {
        let (status, _, answer) = running.post(path, JSON, body.as_bytes()).await;
        assert_eq!((status, answer.as_str()), (200, "{}"), "{path}");
        let batch = running.input.recv_any().await.unwrap();
        assert_eq!(batch.len(), items);
        let (signal, body) = match batch {
            Batch::Metrics(batch) => (Signal::Metrics, otlp::encode::metrics(&batch)),
            Batch::Messages(batch) => (batch.signal, batch.body),
        };
        let text = otlp::json::from_protobuf(signal, &body).unwrap();
        let expected: &[&str] = match signal {
            Signal::Traces => &[
                r#""traceId":"5b8efff798038103d269b633813fc60c""#,
                r#""startTimeUnixNano":"1700000000000000000""#,
                r#""kind":2"#,
                r#"{"key":"m","value":{"intValue":"6"}}"#,
            ],
            Signal::Metrics => &[
                r#""asDouble":5"#,
                r#""asInt":"10""#,
                r#""asDouble":"-Infinity""#,
                r#""bucketCounts":["1","1"]"#,
                r#""bucketCounts":["0","2"]"#,
            ],
            Signal::Logs => &[r#""severityNumber":10"#, r#"{"boolValue":true}"#, r#"{"bytesValue":"aGk="}"#],
        };
        for part in expected {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
    running.stop().await;
}
