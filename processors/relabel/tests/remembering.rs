//! What is remembered, shared, and let go.

use super::{batch, relabeller};
use crate::relabel::edit::OriginEdit;
use crate::routing::{Entry, Routes, Sizes};
use crate::testing::{group, origin, point, series, table};
use pipeline::{MetricBatch, Origin, SeriesTable};
use std::sync::Arc;

/// Origins of a job that no other test may have: equal ones are one, and another test would keep them alive.
fn origins(job: &str, count: u32) -> Vec<Arc<Origin>> {
    (0..count).map(|i| origin(job, &format!("host-{i}:9100"), &[("rack", &i.to_string())])).collect()
}

#[test]
fn targets_that_serve_one_page_share_one_set_of_verdicts() {
    // None of these rules reads what differs between the targets, though some write it.
    let rules = "- {source_labels: [__name__], regex: relabel_share_7, action: drop}\n\
                 - {source_labels: [__name__], regex: relabel_share_8, target_label: __name__, replacement: eight}\n\
                 - {action: labeldrop, regex: rack}\n\
                 - {target_label: cluster, replacement: c1}";
    let mut relabeller = relabeller(rules);
    let (targets, table) = (origins("relabel_share", 50), table("relabel_share", 20));
    let mut tables = Vec::new();
    for target in &targets {
        let (out, dropped) = relabeller.lead(batch(target, &table));
        assert_eq!((out.len(), dropped.rule, out.groups().len()), (19, 1, 1));
        tables.push(Arc::clone(&out.groups()[0].table));
        assert_eq!(out.groups()[0].origin.labels.get_str("cluster"), Some("c1"), "kept once for the target");
        assert_eq!(out.groups()[0].origin.labels.get_str("rack"), None);
    }
    assert_eq!(relabeller.cache.evaluated(), 20);
    let sizes = Sizes { entries: 50, origins: 50, mappings: 1, projections: 1 };
    assert_eq!(relabeller.cache.sizes(), sizes);
    assert!(tables.iter().all(|table| Arc::ptr_eq(table, &tables[0])));
}

#[test]
fn what_depends_on_the_target_alone_stays_with_the_target() {
    let rules = "- {source_labels: [instance], regex: '(.*):.*', target_label: host}";
    let mut relabeller = relabeller(rules);
    let (targets, table) = (origins("relabel_host", 10), table("relabel_host", 20));
    for (i, target) in targets.iter().enumerate() {
        let (out, _) = relabeller.lead(batch(target, &table));
        let group = &out.groups()[0];
        assert!(Arc::ptr_eq(&group.table, &table));
        assert_eq!(group.origin.labels.get_str("host"), Some(&*format!("host-{i}")));
    }
}

#[test]
fn routes_are_stored_once_even_where_targets_look_different() {
    let rules = "- {source_labels: [instance], target_label: host}\n\
                 - {source_labels: [__name__], regex: relabel_routes_1, action: drop}";
    let mut relabeller = relabeller(rules);
    let (targets, table) = (origins("relabel_routes", 10), table("relabel_routes", 20));
    let first = batch(&targets[0], &table);
    let second = batch(&targets[1], &table);
    drop((relabeller.lead(first.clone()), relabeller.lead(second.clone())));
    let routes = |entry: &Entry<OriginEdit>| entry.mapping.routes.clone();
    let one = routes(relabeller.cache.entry(&first.groups()[0]));
    assert!(matches!(one, Routes::One(_)));
    assert!(one.is_same_allocation(&routes(relabeller.cache.entry(&second.groups()[0]))));
    assert_eq!(relabeller.cache.sizes().projections, 2);
}

#[test]
fn a_new_page_costs_the_series_that_are_new() {
    let rules = "- {source_labels: [__name__], regex: .*_3, action: drop}\n\
                 - {source_labels: [__name__], regex: (.*)_4, target_label: __name__, replacement: '${1}_four'}";
    for rules in
        [rules.to_owned(), format!("{rules}\n- {{source_labels: [__name__], target_label: instance, regex: .*_5}}")]
    {
        let mut relabeller = relabeller(&rules);
        let target = origin("j", "i", &[]);
        let names: Vec<_> = (0..100).map(|i| series(&format!("relabel_page_{i}"), &[])).collect();
        let fresh = |series: &[Arc<pipeline::Series>]| {
            let mut new = self::relabeller(&rules);
            new.lead(batch(&target, &SeriesTable::intern(series.to_vec()))).0
        };
        relabeller.lead(batch(&target, &SeriesTable::intern(names[..90].to_vec())));
        assert_eq!(relabeller.cache.evaluated(), 90);
        // Two appended; then one gone from the middle, so that all behind it move; then the order reversed.
        let mut page = names[..92].to_vec();
        for expected in [92, 92, 92] {
            let out = relabeller.lead(batch(&target, &SeriesTable::intern(page.clone()))).0;
            assert_eq!(relabeller.cache.evaluated(), expected);
            let listed = |batch: &MetricBatch| super::flat_all(batch.groups());
            assert_eq!(listed(&out), listed(&fresh(&page)));
            page.remove(10);
            page.reverse();
        }
    }
}

#[test]
fn what_the_rules_leave_alone_is_passed_on_without_a_copy() {
    let mut relabeller = relabeller("- {source_labels: [__name__], regex: never, action: drop}");
    let incoming = batch(&origin("j", "i", &[]), &table("relabel_pass", 5));
    let shared = incoming.clone();
    let (out, _) = relabeller.lead(incoming);
    assert!(std::ptr::eq(out.groups(), shared.groups()));
}

#[test]
fn nothing_is_left_of_what_has_ended() {
    for rules in [
        "- {source_labels: [instance], target_label: host}\n- {source_labels: [__name__], target_label: n}",
        "- {source_labels: [__name__], target_label: instance}",
        "- {source_labels: [__name__], regex: x, action: drop}",
    ] {
        let mut relabeller = relabeller(rules);
        for (i, target) in origins("relabel_end", 20).iter().enumerate() {
            relabeller.lead(batch(target, &table(&format!("relabel_end_{i}"), 5)));
        }
        assert_eq!(relabeller.cache.sizes().entries, 20);
        for _ in 0..2 {
            relabeller.cache.timed_sweep();
        }
        let sizes = relabeller.cache.sizes();
        assert_eq!(sizes, Sizes { entries: 0, origins: 0, mappings: 0, projections: 0 }, "{rules}");
    }
}

#[test]
fn what_is_idle_is_let_go_although_it_lives() {
    let mut relabeller = relabeller("- {source_labels: [__name__], target_label: n}");
    let (busy, idle) = (origin("j", "busy", &[]), origin("j", "idle", &[]));
    let table = table("relabel_idle", 5);
    relabeller.lead(batch(&idle, &table));
    for _ in 0..12 {
        relabeller.lead(batch(&busy, &table));
        relabeller.cache.timed_sweep();
    }
    assert_eq!(relabeller.cache.sizes(), Sizes { entries: 1, origins: 1, mappings: 1, projections: 1 });
}

#[test]
fn endless_churn_stays_within_bounds() {
    churn("- {source_labels: [instance], target_label: host}\n- {source_labels: [__name__], target_label: n}");
    churn("- {source_labels: [__name__], regex: never, action: drop}");
}

fn churn(rules: &str) {
    let mut relabeller = relabeller(rules);
    let lasting = origin("j", "lasting", &[]);
    let mut largest = 0;
    for round in 0..2_000 {
        // A target whose series are all renamed each time, and a target that comes once.
        let churned = table(&format!("relabel_churn_{round}"), 50);
        let once = origin("j", &format!("pod-{round}"), &[]);
        let groups = [&lasting, &once].map(|o| group(o, &churned, (0..50).map(|i| point(i, 0)).collect()));
        let (out, _) = relabeller.lead(MetricBatch::new(groups.into()));
        assert_eq!(out.len(), 100);
        largest = largest.max(relabeller.cache.sizes().entries);
    }
    // Each round adds two entries with fifty series each, and a sweep comes after some 16,384 series.
    assert!(largest < 1_000, "{largest} entries at once");
    for _ in 0..2 {
        relabeller.cache.timed_sweep();
    }
    let left = Sizes { entries: 1, origins: 1, mappings: 1, projections: 1 };
    assert_eq!(relabeller.cache.sizes(), left, "the lasting target's last table");
}
