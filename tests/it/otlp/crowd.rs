//! Ten thousand clients at once, some of them slow or hostile: the others are served, and memory stays bounded.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::support::oxidot::Oxidot;
use crate::support::{free_port, http, note};

/// Connections that are wanted: as many as a server takes by default, less some for those that come and go.
const WANTED: usize = 9_900;
/// Memory for each connection that waits with the beginning of a body. hyper's buffer is most of it.
const BYTES_PER_CONNECTION: u64 = 32 << 10;

/// As many connections as two processes may have under the limit of descriptors that there is; the slow ones are held twice here.
fn possible() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let soft: usize = line.split_whitespace().nth(3).unwrap().parse().unwrap_or(usize::MAX);
    (soft.saturating_sub(200) / 11 * 10).min(WANTED)
}

fn metric(n: usize) -> String {
    format!(
        "{{\"resourceMetrics\":[{{\"scopeMetrics\":[{{\"metrics\":[{{\"name\":\"m\",\"gauge\":{{\"dataPoints\":[{{\"asInt\":{n}}}]}}}}]}}]}}]}}"
    )
}

fn head(length: usize) -> String {
    format!(
        "POST /v1/metrics HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// Connections that send the rest of a body a byte at a time: what stands still for a minute is given up.
struct Slow<'a> {
    connections: Vec<TcpStream>,
    body: &'a str,
    sent: usize,
    last: Instant,
}

impl Slow<'_> {
    /// Sends a byte more, if it is time to.
    fn go_on(&mut self) {
        if self.last.elapsed() < Duration::from_secs(5) || self.sent + 1 >= self.body.len() {
            return;
        }
        for connection in &mut self.connections {
            connection.write_all(&self.body.as_bytes()[self.sent..=self.sent]).unwrap();
        }
        self.sent += 1;
        self.last = Instant::now();
    }

    /// Sends what is left.
    fn finish(mut self) -> Vec<TcpStream> {
        for connection in &mut self.connections {
            connection.write_all(&self.body.as_bytes()[self.sent..]).unwrap();
        }
        self.connections
    }
}

#[test]
fn ten_thousand_connections_are_served_beside_slow_and_hostile_ones() {
    let port = free_port();
    // A busy machine takes longer to open and to fill ten thousand connections than servers allow by default, and what is shown here is
    // not when they lose patience.
    let patient = "read_header_timeout: 10m, write_timeout: 10m, idle_timeout: 10m";
    let oxidot = Oxidot::start(&format!(
        "receivers: {{otlp: {{protocols: {{http: {{endpoint: \"127.0.0.1:{port}\", {patient}}}}}}}}}\n\
         exporters: {{debug: {{sampling_initial: 0, sampling_thereafter: 0}}}}\n\
         service: {{pipelines: {{metrics: {{receivers: [otlp], exporters: [debug]}}}}}}\n"
    ));
    let count = possible();
    note(&format!("otlp::crowd: {count} connections, as many as the limit of open files allows of {WANTED}"));
    let before = oxidot.resident_bytes();
    let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let mut connections: Vec<TcpStream> = (0..count).map(|_| connect()).collect();
    let slow: Vec<TcpStream> = connections.iter().step_by(10).map(|slow| slow.try_clone().unwrap()).collect();
    let whole = metric(1);
    let mut slow = Slow { connections: slow, body: &whole, sent: 5, last: Instant::now() };
    // Every tenth begins a request and hardly goes on with it.
    for (n, connection) in connections.iter_mut().enumerate() {
        let body = if n % 10 == 0 { &whole[..5] } else { &whole };
        connection.write_all(format!("{}{body}", head(whole.len())).as_bytes()).unwrap();
    }
    let mut answered = 0;
    for (n, connection) in connections.iter_mut().enumerate() {
        if n % 10 != 0 {
            let mut start = [0; 12];
            connection.read_exact(&mut start).unwrap();
            assert_eq!(&start, b"HTTP/1.1 200");
            answered += 1;
        }
        slow.go_on();
    }
    let accepted = || oxidot.own("otelcol_receiver_accepted_metric_points", &[]);
    assert_eq!(accepted(), answered as f64);
    let each = oxidot.resident_bytes().saturating_sub(before) / count as u64;
    assert!(each < BYTES_PER_CONNECTION, "{each} bytes a connection");

    slow.go_on();
    // Beside them, wrong requests get their statuses and right ones are taken.
    let post = |content_type: &str, body: &[u8]| http::post(port, "/v1/metrics", content_type, body).unwrap().status;
    assert_eq!(post("application/json", b"{"), 400);
    assert_eq!(post("application/x-protobuf", &[0x0a, 0x7f]), 400);
    assert_eq!(post("text/plain", b"x"), 415);
    assert_eq!(post("application/json", whole.as_bytes()), 200);
    let answer_to = |sent: &str, cut_off: bool| {
        let mut connection = connect();
        connection.write_all(sent.as_bytes()).unwrap();
        if cut_off {
            connection.shutdown(Shutdown::Write).unwrap();
        }
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        answer
    };
    let answer = answer_to(&head(30 << 20), false);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    for encoding in ["gzip", "zstd", "no-such-encoding"] {
        slow.go_on();
        let encoded =
            head(whole.len()).replace("Host:", &format!("Connection: close\r\nContent-Encoding: {encoding}\r\nHost:"));
        let answer = answer_to(&format!("{encoded}{whole}"), false);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{encoding}: {answer}");
    }
    // Nobody is there any more who could be told.
    let answer = answer_to(&format!("{}{}", head(whole.len()), &whole[..20]), true);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");

    // The slow ones finish in the end.
    for mut connection in slow.finish() {
        let mut start = [0; 12];
        connection.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"HTTP/1.1 200");
    }
    assert_eq!(accepted(), (count + 1) as f64);
}
