//! One exporter, several stores.

use super::{QUICK, SERIES, down, missing, up};
use crate::support::oxidot::{Oxidot, job};
use crate::support::page::{Target, counters};
use crate::support::samples::Samples;
use crate::support::store::Store;
use crate::support::wait_until;

/// Two stores that get the same, but for a label.
struct Pair {
    oxidot: Oxidot,
    target: Target,
    stores: [Store; 2],
}

impl Pair {
    fn start(keys: &str) -> Self {
        let target = Target::start(move |n| counters(SERIES, n));
        let stores = [Store::start(up), Store::start(down)];
        let config = format!(
            "receivers: {{prometheus: {{config: {{scrape_configs: [{}]}}}}}}\n\
             exporters: {{prometheusremotewrite: {{keep_scraped_names: true, {QUICK}, external_labels: {{zone: z}}, {keys} \
               endpoints: [{{endpoint: \"{}\", name: first, external_labels: {{store: a}}}}, {{endpoint: \"{}\"}}]}}}}\n\
             service: {{pipelines: {{metrics: {{receivers: [prometheus], exporters: [prometheusremotewrite]}}}}}}\n",
            job("work", &target.address(), "200ms"),
            stores[0].url(),
            stores[1].url(),
        );
        Self { oxidot: Oxidot::start(&config), target, stores }
    }

    /// One store is away; the other gets all in time. When it is back, it gets all as well.
    fn check(mut self) {
        let reached = |store: &Store, page: u64| missing(&store.accepted(), 1..=page).is_empty();
        wait_until("scrapes", || self.target.scrapes() >= 5);
        wait_until("the store that is there", || reached(&self.stores[0], 5));
        assert_eq!(self.stores[1].accepted().len(), 0);
        let url = self.stores[1].url();
        assert!(self.oxidot.own("otelcol_exporter_prometheusremotewrite_retries", &[&url]) > 0.0);
        assert_eq!(self.oxidot.own("otelcol_exporter_prometheusremotewrite_retries", &["endpoint=\"first\""]), 0.0);
        let queue = |name: &str, endpoint: &str| {
            let endpoint = format!("endpoint=\"{endpoint}\"");
            self.oxidot.own(&format!("otelcol_exporter_queue_{name}"), &["data_type=\"metrics\"", &endpoint])
        };
        wait_until("requests that wait for the store that is away", || queue("size", &url) > 0.0);
        wait_until("nothing that waits for the other", || queue("size", "first") == 0.0);
        assert!(queue("capacity", &url) > 0.0 && queue("capacity", "first") == queue("capacity", &url));
        self.stores[1].change(up);
        wait_until("the other store", || reached(&self.stores[1], 8));
        assert_eq!(self.oxidot.end().code(), Some(0), "{}", self.oxidot.log());
        let [first, second] = self.stores.each_ref().map(Store::accepted);
        for samples in [&first, &second] {
            samples.assert_in_order(&Samples::default());
            assert_eq!(missing(samples, 1..=self.target.scrapes() - 1), [0; 0]);
        }
        assert!(first.0.keys().all(|labels| labels.contains("store=\"a\"") && labels.contains("zone=\"z\"")));
        assert!(second.0.keys().all(|labels| !labels.contains("store=") && labels.contains("zone=\"z\"")));
    }
}

#[test]
fn a_store_that_is_away_does_not_hold_up_the_other() {
    Pair::start("").check();
}

#[test]
fn each_store_has_its_own_place_in_the_log() {
    let directory = tempfile::tempdir().unwrap();
    Pair::start(&format!("wal: {{directory: \"{}\"}},", directory.path().display())).check();
}

/// What a store that is taken out of the configuration did not get is dropped, and counted under its name; one in its place
/// gets it.
#[test]
fn what_waits_for_a_store_that_is_removed_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let target = Target::start(move |n| counters(SERIES, n));
    let stores = [Store::start(up), Store::start(down)];
    // As long as those of a managed service.
    let long = format!("the-store-{}", "x".repeat(140));
    let config = |endpoints: &str| {
        format!(
            "receivers: {{prometheus: {{config: {{scrape_configs: [{}]}}}}}}\n\
             exporters: {{prometheusremotewrite: {{keep_scraped_names: true, {QUICK}, wal: {{directory: \"{}\"}}, endpoints: [{endpoints}]}}}}\n\
             service: {{pipelines: {{metrics: {{receivers: [prometheus], exporters: [prometheusremotewrite]}}}}}}\n",
            job("work", &target.address(), "200ms"),
            directory.path().display(),
        )
    };
    let endpoint = |at: usize, name: &str| format!("{{endpoint: \"{}\", name: {name}}},", stores[at].url());
    let end_at_once = |mut oxidot: Oxidot| {
        oxidot.signal("TERM");
        oxidot.wait_for_log("Starting shutdown");
        oxidot.signal("TERM");
        assert_eq!(oxidot.wait().code(), Some(0), "{}", oxidot.log());
    };
    let lag = |oxidot: &Oxidot| oxidot.own("otelcol_exporter_prometheusremotewrite_wal_lag_samples", &[]);
    let oxidot = Oxidot::start(&config(&(endpoint(0, "first") + &endpoint(1, &long))));
    wait_until("a backlog", || lag(&oxidot) > 200.0);
    end_at_once(oxidot);
    // Another one is in its place: it gets what waits.
    let oxidot = Oxidot::start(&config(&(endpoint(0, "first") + &endpoint(1, "renamed"))));
    wait_until("the backlog", || lag(&oxidot) > 200.0);
    assert_eq!(oxidot.own("otelcol_exporter_dropped_metric_points", &[]), 0.0);
    end_at_once(oxidot);
    // Nobody is.
    let oxidot = Oxidot::start(&config(&endpoint(0, "first")));
    let reasons = ["reason=\"endpoint_removed\"", "endpoint=\"renamed\""];
    let dropped = oxidot.own("otelcol_exporter_dropped_metric_points", &reasons);
    assert!(dropped > 200.0, "{dropped}");
    assert_eq!(oxidot.own("otelcol_exporter_send_failed_metric_points", &[]), dropped);
}
