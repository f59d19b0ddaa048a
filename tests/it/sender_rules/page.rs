//! The page that most rules are shown on.

use std::sync::OnceLock;

use super::{Run, V2, run};
use crate::support::page::OPEN_METRICS;

/// A value of ten thousand bytes.
pub(super) fn huge() -> String {
    "huge-label-value-".repeat(600)
}

/// A name of some hundred bytes.
pub(super) fn long_name() -> String {
    format!("a_metric_{}name", "with_a_long_".repeat(20))
}

/// Counters, gauges, histograms, summaries, info, with help, units, exemplars, odd values and odd labels.
pub(super) fn everything(scrape: u64) -> String {
    let mut page = String::from(
        "# HELP requests The number of HTTP requests.\n# TYPE requests counter\n\
         requests_total{method=\"GET\",status=\"200\"} 1000 # {trace_id=\"abc123\",span_id=\"def456\"} 999 1234567890.123\n\
         requests_created{method=\"GET\",status=\"200\"} 1600000000.5\n\
         requests_total{method=\"POST\",status=\"200\"} 500\n\
         requests_total{method=\"GET\",status=\"404\"} 50 # {user_id=\"user123\",request_id=\"req456\"} 49 1234567890.5\n\
         # TYPE memory_bytes gauge\n# UNIT memory_bytes bytes\n# HELP memory_bytes Memory \\\"in\\\" use,\\nwith \\\\ and more.\n\
         memory_bytes 1048576\n\
         # TYPE no_help gauge\nno_help 7\n\
         # HELP latency_seconds Duration.\n# TYPE latency_seconds histogram\n# UNIT latency_seconds seconds\n\
         latency_seconds_bucket{le=\"0.1\"} 10 # {trace_id=\"hist1\"} 0.05 1234567890.0\n\
         latency_seconds_bucket{le=\"0.5\"} 50 # {trace_id=\"hist2\"} 0.3 1234567891.0\n\
         latency_seconds_bucket{le=\"1.0\"} 100\nlatency_seconds_bucket{le=\"+Inf\"} 1000000000\n\
         latency_seconds_sum 5000000000.5\nlatency_seconds_count 1000000000\nlatency_seconds_created 1600000000\n\
         # TYPE idle_seconds histogram\n# UNIT idle_seconds seconds\nidle_seconds_bucket{le=\"+Inf\"} 0\nidle_seconds_sum 0\nidle_seconds_count 0\n\
         # HELP rpc RPC durations.\n# TYPE rpc summary\nrpc{quantile=\"0.5\"} 0.05\nrpc{quantile=\"0.9\"} 0.1\nrpc_sum 10.5\nrpc_count 100\n\
         # TYPE build info\nbuild_info{version=\"1\"} 1\n",
    );
    for (name, value) in [
        ("whole", "42"),
        ("decimal", "123.45"),
        ("zero", "0"),
        ("negative", "-15.5"),
        ("plus_infinity", "+Inf"),
        ("minus_infinity", "-Inf"),
        ("not_a_number", "NaN"),
        ("large", "1.7976931348623157e+308"),
        ("small", "2.2250738585072014e-308"),
        ("scientific", "1.23e-4"),
        ("precise", "0.123456789012345"),
        ("with:colons:inside", "0.5"),
    ] {
        page.push_str(&format!("# TYPE {name} gauge\n{name} {value}\n"));
    }
    page.push_str(&format!("# TYPE {0} gauge\n{0} 1\n", long_name()));
    page.push_str("# TYPE odd gauge\n");
    for labels in [
        "emoji=\"🚀\",chinese=\"测试\",arabic=\"مرحبا\",vietnamese=\"tôi yêu việt nam\"".to_owned(),
        "path=\"/api/v1/users\",query=\"foo=bar&baz=qux\",quoted=\"a\\\"b\\\\c\\nd\"".to_owned(),
        "zzz=\"3\",aaa=\"1\",bbb=\"2\"".to_owned(),
        "empty=\"\",full=\"yes\"".to_owned(),
        format!("huge=\"{}\"", huge()),
        "a_very_long_label_name_that_goes_on_for_quite_a_while_and_is_still_a_valid_name=\"v\"".to_owned(),
        (1..=20).map(|n| format!("l{n}=\"v{n}\"")).collect::<Vec<_>>().join(","),
    ] {
        page.push_str(&format!("odd{{{labels}}} 1\n"));
    }
    page.push_str("# TYPE many gauge\n");
    for n in 0..120 {
        page.push_str(&format!("many{{endpoint=\"/e/{}\",zone=\"z{}\"}} {n}\n", n / 4, n % 4));
    }
    page.push_str("# TYPE rounds counter\n");
    page.push_str(&format!("rounds_total {scrape}\n"));
    if scrape < 3 {
        page.push_str("# TYPE fleeting gauge\nfleeting 1\n");
    }
    page.push_str("# EOF\n");
    page
}

/// What version 2.0 made of it.
pub(super) fn of_everything() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| run(OPEN_METRICS, V2, "", everything))
}
