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
