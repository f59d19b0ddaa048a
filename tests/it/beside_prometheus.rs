//! Side by side with Prometheus: the same targets, scraped from the same configuration, look the same in a Prometheus
//! server, whether it scraped them itself or Oxidot did and wrote to it.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::oxidot::{Oxidot, job, scrape_and_write};
use crate::support::page::{OPEN_METRICS, Target};
use crate::support::prometheus::{Labels, Point, QueryServer, node_exporter, prometheus};
use crate::support::{require, wait_for, wait_until};

/// Scrapes that both make before they are compared.
const SCRAPES: usize = 5;

/// Two servers with the same targets.
struct Pair {
    /// Written to by Oxidot.
    through: QueryServer,
    /// Scraping by itself.
    direct: QueryServer,
    _oxidot: Oxidot,
}

impl Pair {
    fn start(jobs: &str) -> Self {
        let (through, direct) = (prometheus(""), prometheus(jobs));
        let oxidot = Oxidot::start(&scrape_and_write(jobs, &through.write_url(), "batch_send_deadline: 100ms"));
        Self { through, direct, _oxidot: oxidot }
    }

    /// All samples of both, once both have enough of the job from the same time. What was scraped before both of
    /// them scraped is left out, since the one that began later cannot know it.
    fn samples(&self, job: &str) -> [BTreeMap<Labels, Vec<Point>>; 2] {
        let up = format!("up{{job=\"{job}\"}}[1h]");
        let times =
            |server: &QueryServer| -> Vec<f64> { server.samples(&up).values().flatten().map(|(at, _)| *at).collect() };
        let servers = [&self.through, &self.direct];
        let began = wait_for("scrapes of both", || {
            let [a, b] = servers.map(times);
            let began = a.first()?.max(*b.first()?);
            let common = |times: &[f64]| times.iter().filter(|at| **at >= began).count() >= SCRAPES;
            (common(&a) && common(&b)).then_some(began)
        });
        servers.map(|server| {
            let mut samples = server.samples(&format!("{{job=\"{job}\"}}[1h]"));
            for points in samples.values_mut() {
                // Points with a time of the target's own may all be older.
                if points.last().is_some_and(|(at, _)| *at >= began) {
                    points.retain(|(at, _)| *at >= began);
                }
            }
            samples
        })
    }
}

/// The value of a series that never had another.
fn constant(points: &[Point]) -> Option<&str> {
    let (_, first) = points.first()?;
    points.iter().all(|(_, value)| value == first).then_some(first)
}

/// Fails unless both have the same series, and the same values where these do not change. Returns how many
/// series had the same constant value.
fn assert_equal(through: &BTreeMap<Labels, Vec<Point>>, direct: &BTreeMap<Labels, Vec<Point>>) -> usize {
    let only = |a: &BTreeMap<Labels, Vec<Point>>, b: &BTreeMap<Labels, Vec<Point>>| -> Vec<Labels> {
        a.keys().filter(|labels| !b.contains_key(*labels)).cloned().collect()
    };
    let (extra, missing) = (only(through, direct), only(direct, through));
    assert!(extra.is_empty() && missing.is_empty(), "only through Oxidot: {extra:#?}\nonly direct: {missing:#?}");
    let mut equal = 0;
    for (labels, points) in through {
        if depends_on_scraper(&labels["__name__"]) {
            continue;
        }
        if let (Some(through), Some(direct)) = (constant(points), constant(&direct[labels])) {
            assert_eq!(through, direct, "{labels:?}");
            equal += 1;
        }
    }
    equal
}

/// Prometheus 2.42 takes `le` and `quantile` as the page has them; Oxidot writes whole numbers as Prometheus 3 does,
/// whatever the format of the page, so that a histogram stays the same series when its target begins to speak
/// OpenMetrics.
fn as_prometheus_3(mut labels: Labels) -> Labels {
    for name in ["le", "quantile"] {
        if let Some(bound) = labels.get_mut(name)
            && bound.parse::<i64>().is_ok()
        {
            bound.push_str(".0");
        }
    }
    labels
}

/// Whether a series counts what goes on at the moment of a scrape, which its scraper is a part of: connections, files,
/// threads. Its value may be another for each scraper and yet always the same.
fn depends_on_scraper(name: &str) -> bool {
    let prefixes = ["go_", "process_", "node_filefd_", "node_netstat_", "node_procs_", "node_sockstat_", "promhttp_"];
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

#[test]
fn node_exporter_looks_the_same() {
    require!("prometheus", "prometheus-node-exporter");
    let (_exporter, port) = node_exporter();
    let pair = Pair::start(&job("node", &format!("127.0.0.1:{port}"), "1s"));
    let [mut through, mut direct] = pair.samples("node");
    for samples in [&mut through, &mut direct] {
        // What differs by nature: these say how long a scrape took and what the first one found.
        let by_nature = ["scrape_duration_seconds", "scrape_series_added"];
        samples.retain(|labels, _| !by_nature.contains(&labels["__name__"].as_str()));
    }
    let direct = direct.into_iter().map(|(labels, points)| (as_prometheus_3(labels), points)).collect();
    let equal = assert_equal(&through, &direct);
    // Of some 500 to 1500 series; the others count what the machine does meanwhile.
    assert!(equal > 100 && equal > through.len() / 4, "{equal} of {} are constant", through.len());
}

/// Everything that the text format has and Prometheus 2.42 takes; `at` is a time for explicit timestamps.
fn text_page(at: i64) -> String {
    format!(
        "# HELP esc_total A counter with \\\\ and \\n in its help.\n\
         # TYPE esc_total counter\n\
         esc_total{{path=\"C:\\\\DIR\\\\\",error=\"cannot \\\"open\\\"\\nit\"}} 1.458255915e9\n\
         # a comment\n\
         \n\
         #\n\
         # TYPE g gauge\n\
         g{{}} -1\n\
         g{{a=\"1\",}} 2\n\
         g {{ b = \"x\" , c = \"y\" }} 3\n\
         g{{empty=\"\",d=\"\u{e4}\u{4e16}\"}} 4\n\
         not_a_number NaN\n\
         plus_infinity +Inf\n\
         minus_infinity -Inf\n\
         also_infinity Inf\n\
         small 4.9e-324\n\
         big 1.7976931348623157e308\n\
         zero 0\n\
         minus_zero -0\n\
         long 12345678901234567890123\n\
         with:colons:in_it 5\n\
         tabs\t6\n\
         spaces    7   \n\
         timed 8 {at}\n\
         timed_before 9 {before}\n\
         # TYPE h histogram\n\
         h_bucket{{le=\"0.05\"}} 24054\n\
         h_bucket{{le=\"0.5\"}} 129389\n\
         h_bucket{{le=\"2.5e-05\"}} 3\n\
         h_bucket{{le=\"+Inf\"}} 144320\n\
         h_sum 53423\n\
         h_count 144320\n\
         # TYPE s summary\n\
         s{{quantile=\"0.01\"}} 3102\n\
         s{{quantile=\"0.999\"}} 76656\n\
         s{{quantile=\"0.5\"}} NaN\n\
         s_sum 1.7560473e+07\n\
         s_count 2693\n\
         # TYPE u untyped\n\
         u 11\n\
         instance_label{{instance=\"mine\",job=\"also mine\"}} 12\n\
         # HELP typeless Help without type.\n\
         typeless 13\n",
        before = at - 30_000,
    )
}

/// Everything that OpenMetrics has and Prometheus 2.42 takes.
fn open_metrics_page(at: i64) -> String {
    let seconds = at as f64 / 1000.0;
    format!(
        "# HELP requests A counter.\n\
         # TYPE requests counter\n\
         requests_total{{code=\"200\"}} 17 {seconds} # {{trace_id=\"abc\"}} 0.5 {seconds}\n\
         requests_created{{code=\"200\"}} 1520872607.123\n\
         # TYPE load_ratio gauge\n\
         # UNIT load_ratio ratio\n\
         # HELP load_ratio A gauge with \\\\ and \\\"quotes\\\" and a \\nline.\n\
         load_ratio 0.25\n\
         # TYPE sizes_bytes histogram\n\
         # UNIT sizes_bytes bytes\n\
         sizes_bytes_bucket{{le=\"1.0\"}} 1 # {{trace_id=\"d\",span_id=\"e\"}} 0.7 {seconds}\n\
         sizes_bytes_bucket{{le=\"1000.0\"}} 4 # {{trace_id=\"f\"}} 17.5 {seconds}\n\
         sizes_bytes_bucket{{le=\"+Inf\"}} 5\n\
         sizes_bytes_count 5\n\
         sizes_bytes_sum 2000.5\n\
         sizes_bytes_created 1520872607.5\n\
         # TYPE waits_seconds summary\n\
         # UNIT waits_seconds seconds\n\
         waits_seconds{{quantile=\"0.5\"}} 0.25\n\
         waits_seconds{{quantile=\"1.0\"}} 2.0\n\
         waits_seconds_count 7\n\
         waits_seconds_sum 9.5\n\
         waits_seconds_created 1520872607.5\n\
         # TYPE build info\n\
         build_info{{version=\"1.2\",revision=\"a\\\"b\"}} 1\n\
         # TYPE state stateset\n\
         state{{state=\"on\"}} 1\n\
         state{{state=\"off\"}} 0\n\
         # TYPE ages gaugehistogram\n\
         ages_bucket{{le=\"10.0\"}} 3\n\
         ages_bucket{{le=\"+Inf\"}} 4\n\
         ages_gcount 4\n\
         ages_gsum 51.5\n\
         # TYPE what unknown\n\
         what{{sort=\"\"}} NaN\n\
         untold -Inf\n\
         # EOF\n"
    )
}

/// A few seconds ago, in milliseconds: what a target would say of values that it has cached.
fn recently() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64 - 5_000
}

#[test]
fn a_page_with_everything_looks_the_same() {
    require!("prometheus");
    let at = recently();
    let target = Target::start(move |_| text_page(at));
    let honoring = job("honoring", &target.address(), "1s").replacen('{', "{honor_labels: true, ", 1);
    let relabelling = job("relabelling", &target.address(), "1s").replacen(
        '{',
        "{metric_relabel_configs: [{source_labels: [__name__], regex: '(h)_(bucket|sum)', target_label: part, replacement: '$2 of ${1}'}, \
         {source_labels: [path], regex: 'C:(.*)', target_label: path}, \
         {source_labels: [__name__], regex: 'g|zero', action: drop}], honor_timestamps: false, ",
        1,
    );
    let jobs = [job("plain", &target.address(), "1s"), honoring, relabelling].join(", ");
    let pair = Pair::start(&jobs);
    for job in ["plain", "also mine", "honoring", "relabelling"] {
        if job == "also mine" {
            wait_until("samples under the target's own job", || {
                !pair.through.samples("{job=\"also mine\"}[1h]").is_empty()
            });
            let of = |server: &QueryServer| server.samples("{job=\"also mine\"}[1h]").into_keys().collect::<Vec<_>>();
            wait_until("the same in both", || of(&pair.through) == of(&pair.direct));
            continue;
        }
        let [mut through, mut direct] = pair.samples(job);
        through.retain(|labels, _| labels["__name__"] != "scrape_duration_seconds");
        direct.retain(|labels, _| labels["__name__"] != "scrape_duration_seconds");
        let equal = assert_equal(&through, &direct);
        // All but `scrape_series_added`.
        assert_eq!(equal, through.len() - 1, "{job}");
        assert!(equal > 30, "{job}");
        for (labels, points) in &through {
            if labels["__name__"].starts_with("timed") && job != "relabelling" {
                assert_eq!(points, &direct[labels], "{labels:?}");
                assert_eq!(points.len(), 1, "an explicit time makes one sample: {points:?}");
            }
        }
    }
}

#[test]
fn an_open_metrics_page_with_everything_looks_the_same() {
    require!("prometheus");
    let at = recently();
    let target = Target::start_typed(OPEN_METRICS, move |_| open_metrics_page(at));
    let pair = Pair::start(&job("om", &target.address(), "1s"));
    let [mut through, mut direct] = pair.samples("om");
    through.retain(|labels, _| labels["__name__"] != "scrape_duration_seconds");
    direct.retain(|labels, _| labels["__name__"] != "scrape_duration_seconds");
    let equal = assert_equal(&through, &direct);
    assert_eq!(equal, through.len() - 1, "all but scrape_series_added");
    let exemplars = |server: &QueryServer| server.exemplars("{job=\"om\"}");
    let (through, direct) = (exemplars(&pair.through), exemplars(&pair.direct));
    assert_eq!(through, direct);
    assert_eq!(through.values().flatten().count(), 3, "{through:?}");
}

/// See [`as_prometheus_3`].
#[test]
fn bounds_that_are_whole_numbers_look_as_prometheus_3_has_them() {
    require!("prometheus");
    let page = "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 4\nh_count 3\n";
    let target = Target::start(move |_| page.to_owned());
    let pair = Pair::start(&job("le", &target.address(), "1s"));
    let [through, direct] = pair.samples("le");
    let bounds = |samples: &BTreeMap<Labels, Vec<Point>>| -> Vec<String> {
        samples.keys().filter_map(|labels| labels.get("le").cloned()).collect()
    };
    assert_eq!(bounds(&through), ["+Inf", "1.0"]);
    assert_eq!(bounds(&direct), ["+Inf", "1"]);
}
