//! A store with the limits of Amazon Managed Service for Prometheus, known by its name: what is over them is counted under the
//! reasons that it uses itself, and everything else arrives.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use super::keys::Key;
use super::scene::{Home, QUICK, environment};
use super::store::{AwsStore, PATH, REGION, now_ms};
use super::verifier::python;
use crate::support::http::{Reply, Request};
use crate::support::oxidot::{Oxidot, job};
use crate::support::page::{OPEN_METRICS, Target};
use crate::support::python::require_python;
use crate::support::samples::{STALE, Samples};
use crate::support::wait_until;

const HOUR_MS: i64 = 3_600_000;
/// Of names and values.
const LABEL_BYTES: usize = 7 * 1024;
const LABELS: usize = 150;
const REQUEST_BYTES: usize = 1_000_000;

/// Series that the service refuses, its words, and the reason that it counts them under.
const REFUSED: [(&str, &str, &str); 3] = [
    ("late", "user=1: err: out of order sample. timestamp=2026-01-01T00:00:00Z", "sample-out-of-order"),
    ("twice", "user=1: err: duplicate sample for timestamp. timestamp=2026-01-01T00:00:00Z", "new-value-for-timestamp"),
    (
        "beyond",
        "per-user series limit of 2000000 exceeded, Capacity from 2,000,000 to 10,000,000",
        "per_user_series_limit",
    ),
];

/// Answers as the service does.
fn amp(
    request: &Request,
    samples: &Samples,
    violations: &Mutex<Vec<String>>,
    seen: &mut HashSet<(String, i64)>,
) -> Option<Reply> {
    let refuse = |status: u16, words: String| {
        violations.lock().unwrap().push(words.clone());
        Some(Reply::status(status, &format!("{{\"message\":\"{words}\"}}")))
    };
    if request.body.len() > REQUEST_BYTES {
        return refuse(413, format!("request of {} bytes", request.body.len()));
    }
    if request.body.len() > 900_000 {
        return refuse(413, format!("{} bytes are too near to the limit", request.body.len()));
    }
    // What nobody can know beforehand: the service takes nothing of a request with such a series.
    for (name, words, _) in REFUSED {
        if let Some((series, _)) = samples.with(&[&format!("__name__=\"{name}\"")]).next() {
            let body = serde_json::json!({ "message": format!("{words}, series={series}") }).to_string();
            return Some(Reply::status(400, &body));
        }
    }
    for (series, samples) in &samples.0 {
        let labels = series.matches("=\"").count();
        // Without braces, and without the quotes, signs and commas of each label.
        let bytes = series.len() - 2 - 3 * labels - (labels - 1);
        if labels > LABELS {
            return refuse(400, format!("series has too many labels (actual: {labels}, limit: {LABELS})"));
        }
        if bytes > LABEL_BYTES {
            return refuse(400, format!("label value too long: {bytes} bytes in all"));
        }
        for (time, _) in samples {
            // Time passes between the one who sends and the one who judges.
            if *time < now_ms() - HOUR_MS - 30_000 {
                return refuse(400, format!("timestamp too old: {time}"));
            }
            if !seen.insert((series.clone(), *time)) {
                return refuse(400, format!("duplicate sample for timestamp {time} of {series}"));
            }
        }
    }
    None
}

/// A series of this many labels besides those of the target.
fn many(name: &str, labels: usize) -> String {
    let labels: Vec<String> = (0..labels).map(|at| format!("l{at:03}=\"v\"")).collect();
    format!("# TYPE {name} gauge\n{name}{{{}}} 1\n", labels.join(","))
}

/// A series of one label whose names and values have so many bytes, together with the target's own labels.
fn long(name: &str, bytes: usize, port: u16) -> String {
    let own = "__name__".len()
        + name.len()
        + "instancejob".len()
        + format!("127.0.0.1:{port}").len()
        + "amp".len()
        + "l".len();
    format!("# TYPE {name} gauge\n{name}{{l=\"{}\"}} 1\n", "x".repeat(bytes - own))
}

/// A page with something over each limit, and something just below each.
fn page(n: u64, port: u16) -> String {
    let old = |age: i64| (now_ms() - age) as f64 / 1000.0;
    // __name__, instance and job belong to a series too.
    let mut page = many("at_most_labels", LABELS - 3) + &many("too_many_labels", LABELS - 2);
    page += &(long("at_most_bytes", LABEL_BYTES, port) + &long("too_many_bytes", LABEL_BYTES + 1, port));
    page += &format!("# TYPE young gauge\nyoung 1 {:.3}\n", old(HOUR_MS - 120_000));
    page += &format!("# TYPE too_old gauge\ntoo_old 1 {:.3}\n", old(HOUR_MS + 120_000));
    for (name, ..) in REFUSED {
        page += &format!("# TYPE {name} gauge\n{name} {n}\n");
    }
    page += &format!("# TYPE work counter\nwork_total {n} # {{trace_id=\"t{n}\"}} 1\n");
    page + "# EOF\n"
}

/// The exporter of 2021, whose endpoint is the service by its name; the way there is a proxy that is the store.
fn start(store: &AwsStore, home: &Home, key: &Key, job: &str, settings: &str) -> Oxidot {
    std::fs::write(home.credentials(), key.profile("default")).unwrap();
    let config = format!(
        "receivers: {{prometheus: {{config: {{scrape_configs: [{}]}}}}}}\n\
         exporters: {{awsprometheusremotewrite: {{endpoint: \"http://aps-workspaces.{REGION}.amazonaws.com{PATH}\", proxy_url: \"http://127.0.0.1:{}\", keep_scraped_names: true, {settings}}}}}\n\
         service: {{pipelines: {{metrics: {{receivers: [prometheus], exporters: [awsprometheusremotewrite]}}}}}}\n",
        job,
        store.port()
    );
    Oxidot::start_with(&config, |command| environment(command, home, &[]))
}

#[test]
fn what_is_over_a_limit_is_counted_by_its_reason_and_the_rest_arrives() {
    let python = require_python!(python());
    let (store, home, key) = (AwsStore::start(&python), Home::new(), Key::temporary());
    store.keys().add(&key);
    let violations = Arc::new(Mutex::new(Vec::new()));
    let (found, mut seen, mut number) = (Arc::clone(&violations), HashSet::new(), 0);
    store.judge(move |request, samples| {
        number += 1;
        assert!(request.path.starts_with("http://aps-workspaces.eu-west-1.amazonaws.com/"), "{}", request.path);
        match number % 7 {
            3 => Some(Reply::status(
                429,
                "ingestion rate limit (1666666) exceeded while adding 12 samples and 0 metadata",
            )),
            5 => Some(Reply::status(429, "{\"message\":\"Rate exceeded\"}")),
            _ => amp(request, samples, &found, &mut seen),
        }
    });
    // The page has to know its own port, for the label that is made of it.
    let port = Arc::new(Mutex::new(0));
    let own = Arc::clone(&port);
    let target = Target::start_typed(OPEN_METRICS, move |n| page(n, *own.lock().unwrap()));
    *port.lock().unwrap() = target.port();
    let mut oxidot = start(&store, &home, &key, &job("amp", &target.address(), "300ms"), QUICK);
    let samples = |name: &str| store.know(|known| known.accepted.of(&[&format!("__name__=\"{name}\"")])).len();
    wait_until("some scrapes", || samples("work_total") >= 10);
    let dropped =
        |reason: &str| oxidot.own("otelcol_exporter_dropped_metric_points", &[&format!("reason=\"{reason}\"")]);
    let own = ["max_label_names_per_series", "label_value_too_long", "greater_than_max_sample_age"];
    for reason in own.into_iter().chain(REFUSED.map(|(.., reason)| reason)) {
        // What the store minds is known by now, and sent after the rest of its request.
        wait_until(&format!("ten samples counted under {reason}"), || dropped(reason) >= 10.0);
    }
    assert_eq!(oxidot.own("otelcol_exporter_prometheusremotewrite_written_exemplars", &[]), 0.0);
    let log = oxidot.log();
    for (name, reason) in [
        ("too_many_labels", "max_label_names_per_series"),
        ("too_many_bytes", "label_value_too_long"),
        ("too_old", "greater_than_max_sample_age"),
    ] {
        let line = log.lines().find(|line| line.contains(reason)).unwrap();
        assert!(line.contains(name), "{line}");
    }
    assert_eq!(oxidot.end().code(), Some(0), "{}", oxidot.log());
    let accepted = store.accepted();
    assert_eq!(*violations.lock().unwrap(), [""; 0]);
    store.assert_nothing_bad();
    accepted.assert_in_order(&Samples::default());
    for name in ["too_many_labels", "too_many_bytes", "too_old", "late", "twice", "beyond"] {
        assert_eq!(samples(name), 0, "{name}");
    }
    for (at, up) in accepted.of(&["__name__=\"up\""]) {
        for name in ["at_most_labels", "at_most_bytes", "work_total"] {
            let there = accepted.of(&[&format!("__name__=\"{name}\"")]).iter().any(|(time, _)| *time == at);
            assert!(there || f64::from_bits(up) != 1.0 || up == STALE, "{name} at {at}");
        }
    }
    assert!(samples("young") >= 10);
}

#[test]
fn requests_stay_below_the_limit_whatever_they_are_compressed_to() {
    let python = require_python!(python());
    let (store, home, key) = (AwsStore::start(&python), Home::new(), Key::temporary());
    store.keys().add(&key);
    let violations = Arc::new(Mutex::new(Vec::new()));
    let (found, mut seen) = (Arc::clone(&violations), HashSet::new());
    store.judge(move |request, samples| amp(request, samples, &found, &mut seen));
    // Six kilobytes of nothing that could be compressed in each series.
    let page: String = (0..500)
        .map(|at| {
            let value: String = (0..16).map(|_| Key::temporary().token.unwrap()).collect();
            format!("wide{{at=\"{at}\",value=\"{value}\"}} 1\n")
        })
        .collect();
    let target = Target::start(move |_| page.clone());
    let mut oxidot =
        start(&store, &home, &key, &job("amp", &target.address(), "2s"), "timeout: 60s, batch_send_deadline: 3s");
    wait_until("large requests", || {
        store.know(|known| known.attempts.iter().filter(|attempt| attempt.body.1 > 700_000).count() >= 4)
    });
    assert_eq!(*violations.lock().unwrap(), [""; 0]);
    oxidot.signal("TERM");
    oxidot.wait_for_log("Starting shutdown");
    oxidot.end();
    assert_eq!(*violations.lock().unwrap(), [""; 0]);
    store.assert_nothing_bad();
}
