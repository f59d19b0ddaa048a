#![expect(clippy::unwrap_used, reason = "tests")]

use prometheus::labels::{Labels, LabelsBuilder};
use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::labels::{Defaults, discovered, finish};
use super::url::{param_of, target_url};
use super::{Keep, Target, TargetSet, offset_seed, resource_attributes};
use crate::prometheus::config::ScrapeJob;
use crate::prometheus::config::vectors::{job, member, report, rows};
use crate::prometheus::discovery::TargetGroup;

fn labels(value: &Value) -> Labels {
    let entries = value.as_object().into_iter().flatten();
    entries.map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect()
}

fn group(source: &str, targets: Vec<Labels>, labels: Labels) -> Arc<TargetGroup> {
    Arc::new(TargetGroup { source: source.into(), targets, labels })
}

fn addresses(addresses: &[&str]) -> Arc<TargetGroup> {
    let targets = addresses.iter().map(|address| [("__address__", address)].into_iter().collect());
    group("0", targets.collect(), Labels::default())
}

fn build(job: &ScrapeJob, groups: &[Arc<TargetGroup>]) -> TargetSet {
    TargetSet::build(job, groups, Keep::Discovered)
}

#[test]
fn labels_are_populated_as_observed() {
    for row in rows("vectors/scrape_vectors.json", "populate_labels") {
        let own = &row["target_labels"];
        if own.as_object().unwrap().values().any(|value| value.as_str().unwrap().starts_with("<byte ")) {
            report(&format!("skipped: {}: no source of targets lets through what is not UTF-8", row["case"]));
            continue;
        }
        let job = job(member(&row, "scrape_config_yaml"));
        let groups = [group("0", vec![labels(own)], labels(&row["group_labels"]))];
        let set = build(&job, &groups);
        match member(&row, "error") {
            "" => {
                let target = set.targets().first().unwrap_or_else(|| panic!("{row}: {:?}", set.failures));
                assert_eq!(target.discovered, Some(labels(&row["discovered_labels"])), "{row}");
                assert_eq!(target.labels, labels(&row["public_labels"]), "{row}");
                assert_eq!(&*target.url, member(&row, "url"), "{row}");
                assert_eq!(target.hash.to_string(), member(&row, "hash_fnv64a"), "{row}");
            }
            error => {
                let failure = set.failures.first().unwrap_or_else(|| panic!("{row}: accepted"));
                assert_eq!(failure.error.to_string(), error, "{row}");
                assert_eq!(failure.to_string(), format!("instance 0 in group 0: {error}"), "{row}");
            }
        }
    }
}

#[test]
fn urls_are_spelt_as_observed() {
    for row in rows("vectors/scrape_vectors.json", "target_url_and_hash") {
        let labels = labels(&row["labels"]);
        let params: BTreeMap<String, Vec<String>> = serde_json::from_value(row["params"].clone()).unwrap_or_default();
        let params: Vec<_> = params.into_iter().collect();
        let get = |name: &str| labels.get(name).unwrap_or_default();
        let param_labels = labels.iter().filter_map(|(name, value)| Some((param_of(name)?, value)));
        assert_eq!(target_url(get, param_labels, &params), member(&row, "url"), "{row}");
    }
}

#[test]
fn resources_are_those_of_the_collector() {
    for row in rows("vectors/prom_resource.json", "cases") {
        let attributes =
            resource_attributes(member(&row, "job"), member(&row, "instance"), &labels(&row["target_labels"]));
        let expected: BTreeMap<&str, &str> =
            row["expected"].as_object().unwrap().iter().map(|(k, v)| (k.as_str(), v.as_str().unwrap())).collect();
        let given: BTreeMap<&str, &str> =
            attributes.iter().map(|(key, _)| (key, attributes.get_str(key).unwrap())).collect();
        assert_eq!(given, expected, "{row}");
    }
}

#[test]
fn hosts_that_mean_the_machine_itself_are_no_server_address() {
    for (instance, address, port) in [
        ("localhost:1", None, "1"),
        ("127.0.0.1:1", None, "1"),
        ("[::1]:1", None, "1"),
        ("0.0.0.0:1", None, "1"),
        ("::1", None, ""),
        ("[fd00::1]:9100", Some("fd00::1"), "9100"),
        ("a:b:c", Some("a:b:c"), ""),
        ("[a", Some("[a"), ""),
    ] {
        let attributes = resource_attributes("j", instance, &Labels::default());
        assert_eq!(attributes.get_str("server.address"), address, "{instance}");
        assert_eq!(attributes.get_str("server.port"), Some(port), "{instance}");
    }
}

#[test]
fn own_labels_win_over_those_of_the_group_and_the_job() {
    let own = [("__address__", "h:1"), ("job", "own"), ("a", "own")].into_iter().collect();
    let shared = [("a", "group"), ("b", "group"), ("__scheme__", "https")].into_iter().collect();
    let set = build(&job("job_name: j"), &[group("0", vec![own], shared)]);
    let target = set.targets().first().unwrap();
    let expected = [("a", "own"), ("b", "group"), ("instance", "h:1"), ("job", "own")];
    assert_eq!(target.labels, expected.into_iter().collect());
    assert_eq!(target.uri().unwrap().to_string(), "https://h:1/metrics");
    assert_eq!(target.resource.get_str("url.scheme"), Some("https"));
}

#[test]
fn targets_of_equal_labels_are_one() {
    let set = build(&job("job_name: j"), &[addresses(&["h:1", "h:2", "h:1"]), addresses(&["h:2"])]);
    assert_eq!(set.targets().len(), 2);
}

#[test]
fn dropped_targets_are_counted_and_remembered_as_far_as_wanted() {
    let yaml = "job_name: j\nkeep_dropped_targets: 1\nrelabel_configs: [{source_labels: [__address__], regex: 'b.*', action: drop}]";
    let groups = [addresses(&["a:1", "b:1", "b:2"])];
    let set = build(&job(yaml), &groups);
    assert_eq!((set.targets().len(), set.dropped, set.dropped_labels.len()), (1, 2, 1));
    let forgetful = TargetSet::build(&job(yaml), &groups, Keep::Nothing);
    assert_eq!((forgetful.dropped, forgetful.dropped_labels.len()), (2, 0));
    assert!(forgetful.targets().iter().all(|target| target.discovered.is_none()));
    // What has no label left that samples could carry is dropped as well.
    let bare = job(
        "job_name: j\nrelabel_configs: [{action: labelkeep, regex: '__.*'}, {target_label: instance, replacement: ''}]",
    );
    assert_eq!(build(&bare, &groups).dropped, 0, "the instance is filled in after relabelling");
}

#[test]
fn too_many_targets_are_a_verdict_on_the_job() {
    let limited = job("job_name: j\ntarget_limit: 2");
    assert_eq!(build(&limited, &[addresses(&["a:1", "b:1"])]).over_limit, None);
    let set = build(&limited, &[addresses(&["a:1", "b:1", "c:1"])]);
    assert_eq!(set.targets().len(), 3, "they are scraped in vain, and `up` says so");
    assert_eq!(set.over_limit.unwrap().to_string(), "target_limit exceeded (number of targets: 3, limit: 2)");
}

#[test]
fn a_target_that_cannot_be_used_leaves_the_others_alone() {
    let set = build(
        &job("job_name: j\nrelabel_configs: [{target_label: x, replacement: y}]"),
        &[addresses(&["a:1", "http://b", "c:1"])],
    );
    assert_eq!((set.targets().len(), set.failed), (2, 1));
    assert_eq!(
        set.failures.first().unwrap().to_string(),
        "instance 1 in group 0: \"http://b\" is not a valid hostname"
    );
}

#[test]
fn an_address_that_no_url_can_have_is_still_a_target() {
    let set = build(&job("job_name: j"), &[addresses(&["::1"])]);
    let target = set.targets().first().unwrap();
    assert_eq!(&*target.url, "http://::1/metrics");
    assert!(target.uri().unwrap_err().to_string().starts_with("invalid target URL \"http://::1/metrics\": "));
}

#[test]
fn what_changed_between_sets() {
    let job = job("job_name: j");
    let old = build(&job, &[addresses(&["a:1", "b:1", "c:1"])]);
    let new = build(&job, &[addresses(&["d:1", "c:1", "a:1"])]);
    let diff = new.diff(&old);
    let names = |targets: Vec<&Arc<super::Target>>| {
        let mut names: Vec<_> =
            targets.into_iter().map(|target| target.labels.get("instance").unwrap().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(names(diff.kept.iter().map(|(old, _)| old).collect()), ["a:1", "c:1"]);
    assert_eq!(names(diff.added.iter().collect()), ["d:1"]);
    assert_eq!(names(diff.removed.iter().collect()), ["b:1"]);
    let (added, removed) = (new.diff(&TargetSet::default()).added.len(), TargetSet::default().diff(&new).removed.len());
    assert_eq!((added, removed), (3, 3));
}

#[test]
fn the_seed_differs_with_the_external_labels_only() {
    let labels = |replica: &str| [("replica", replica)].into_iter().collect::<Labels>();
    assert_eq!(offset_seed(&labels("a")), offset_seed(&labels("a")));
    assert_ne!(offset_seed(&labels("a")), offset_seed(&labels("b")));
}

#[test]
fn targets_are_spread_over_the_interval_in_steps_and_keep_their_phase() {
    let names: Vec<String> = (0..2000).map(|i| format!("h{i}:1")).collect();
    let group = addresses(&names.iter().map(String::as_str).collect::<Vec<_>>());
    // The interval in milliseconds, and what its phases are multiples of in microseconds.
    for (interval, step) in [(60_000, 100_000), (5000, 100_000), (1000, 20_000), (10, 200)] {
        let job = job(&format!("{{job_name: j, scrape_interval: {interval}ms, scrape_timeout: 5ms}}"));
        let set = build(&job, std::slice::from_ref(&group));
        let (interval, step) = (interval * 1_000_000, step * 1000);
        let phase = |target: &Target, now: u64| {
            let delay = u64::try_from(target.first_scrape_delay(now, 7).as_nanos()).unwrap();
            assert!(delay <= interval, "{now} {delay}");
            (now + delay) % interval
        };
        let mut at_once: BTreeMap<u64, usize> = BTreeMap::new();
        for target in set.targets() {
            let at = phase(target, 1_700_000_000_123_456_789);
            assert_eq!(at % step, 0, "{}", target.url);
            assert_eq!(at, phase(target, 1_700_000_777_000_000_001), "{}", target.url);
            *at_once.entry(at).or_default() += 1;
        }
        let expected = set.targets().len() as f64 / (interval / step) as f64;
        let most = at_once.values().max().copied().unwrap() as f64;
        assert!(most < expected + 6.0 * expected.sqrt() + 6.0, "{most} at once, of an expected {expected}");
    }
}

fn pairs() -> impl Strategy<Value = BTreeMap<String, String>> {
    let names = prop_oneof![
        "[a-c]",
        Just("job".to_owned()),
        Just("instance".to_owned()),
        Just("__scheme__".to_owned()),
        Just("__meta_x".to_owned())
    ];
    prop::collection::btree_map(names, "[a-z0-9]{0,3}", 0..5)
}

proptest! {
    /// Labels that were filled up once are not changed by doing it again.
    #[test]
    fn populating_twice_is_populating_once(mut own in pairs(), shared in pairs()) {
        own.insert("__address__".to_owned(), "h:1".to_owned());
        let job = job("job_name: j\nparams: {m: [x, y]}");
        let defaults = Defaults::new(&job);
        let group = group("0", Vec::new(), shared.iter().collect());
        let mut builder = LabelsBuilder::new();
        discovered(&mut builder, &own.iter().collect(), &group, &defaults);
        let once = builder.build();
        discovered(&mut builder, &once, &group, &defaults);
        prop_assert_eq!(&once, &builder.build());
        finish(&mut builder).unwrap();
        let finished = builder.build();
        finish(&mut builder).unwrap();
        prop_assert_eq!(finished, builder.build());
    }

    /// Whatever the order of groups, the same targets come out, and a set does not differ from itself.
    #[test]
    fn the_order_of_discovery_does_not_matter(mut hosts in prop::collection::vec("[a-d]:[12]", 0..8)) {
        let job = job("job_name: j");
        let set = |hosts: &[String]| {
            build(&job, &hosts.iter().map(|host| addresses(&[host.as_str()])).collect::<Vec<_>>())
        };
        let first = set(&hosts);
        hosts.reverse();
        let second = set(&hosts);
        prop_assert_eq!(&first, &second);
        let diff = second.diff(&first);
        prop_assert_eq!((diff.kept.len(), diff.added.len(), diff.removed.len()), (first.targets().len(), 0, 0));
    }

    /// No labels, whatever they are, make anything panic.
    #[test]
    fn arbitrary_labels_are_survived(own in prop::collection::btree_map(".{0,12}", ".{0,12}", 0..6), path in ".{0,8}") {
        let job = job("job_name: j");
        let shared = [("__address__", "h:1"), ("__metrics_path__", path.as_str())].into_iter().collect();
        let set = build(&job, &[group("0", vec![own.iter().collect()], shared)]);
        for target in set.targets() {
            drop(target.uri());
        }
    }
}
