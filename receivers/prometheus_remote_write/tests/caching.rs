//! That series are found again, and let go.

use std::sync::Arc;

use pipeline::SeriesTable;
use prometheus::remote_write::protocol::ProtocolVersion;
use prometheus::remote_write::wire::DecodeLimits;

use super::super::cache::SeriesCache;
use super::super::request::read;
use super::floats;

fn tables(body: &[u8], cache: &mut SeriesCache, now: u32) -> Vec<Arc<SeriesTable>> {
    let taken = read(ProtocolVersion::V1, body, &DecodeLimits::default(), cache, now).unwrap();
    taken.groups.into_iter().map(|group| group.table).collect()
}

/// Names differ from test to test, because interned series are shared by the whole process.
fn page(names: std::ops::Range<usize>, job: &str) -> Vec<u8> {
    let names: Vec<String> = names.map(|n| format!("{job}_{n}")).collect();
    let mut body = Vec::new();
    for name in &names {
        body.extend(floats(&[(&[("__name__", name), ("job", job)], 1.0, 1)]));
    }
    body
}

#[test]
fn steady_state_reuses_the_table() {
    let mut cache = SeriesCache::default();
    let body = page(0..10, "steady");
    let first = tables(&body, &mut cache, 0);
    let second = tables(&body, &mut cache, 15);
    assert_eq!(first.len(), 1);
    assert!(Arc::ptr_eq(first.first().unwrap(), second.first().unwrap()));
    let some = tables(&page(3..5, "steady"), &mut cache, 30);
    assert!(Arc::ptr_eq(first.first().unwrap(), some.first().unwrap()), "a part of the series is in the same table");
    let grown = tables(&page(0..11, "steady"), &mut cache, 45);
    let grown = grown.first().unwrap();
    assert_eq!(grown.len(), 11);
    assert!(grown.as_slice().iter().zip(first.first().unwrap().as_slice()).all(|(a, b)| Arc::ptr_eq(a, b)));
}

#[test]
fn a_large_origin_has_several_tables() {
    let mut cache = SeriesCache::default();
    let all = tables(&page(0..2500, "large"), &mut cache, 0);
    assert_eq!(all.iter().map(|table| table.len()).collect::<Vec<_>>(), [1024, 1024, 452]);
    assert_eq!(cache.pages(), 3);
}

#[test]
fn what_is_not_seen_for_minutes_is_let_go() {
    let mut cache = SeriesCache::default();
    tables(&page(0..2000, "idle"), &mut cache, 0);
    // A few series of the first page go on; the rest of that page must not be kept for their sake.
    for now in (60..=420).step_by(60) {
        tables(&page(0..10, "idle"), &mut cache, now);
    }
    assert_eq!(cache.sizes().0, 10);
    assert_eq!(cache.pages(), 1);
    let table = tables(&page(0..10, "idle"), &mut cache, 421);
    assert_eq!(table.first().unwrap().len(), 10);
    let names: Vec<&str> = table.first().unwrap().as_slice().iter().map(|series| &*series.name).collect();
    assert!((0..10).all(|n| names.contains(&format!("idle_{n}").as_str())), "{names:?}");
    drop(table);
    read(ProtocolVersion::V1, &[], &DecodeLimits::default(), &mut cache, 1000).unwrap();
    assert_eq!((cache.sizes(), cache.pages()), ((0, 0), 0));
}

#[test]
fn places_stay_right_when_a_page_is_packed() {
    let mut cache = SeriesCache::default();
    tables(&page(0..100, "packed"), &mut cache, 0);
    for now in (60..=480).step_by(60) {
        let taken =
            read(ProtocolVersion::V1, &page(90..100, "packed"), &DecodeLimits::default(), &mut cache, now).unwrap();
        let group = taken.groups.first().unwrap();
        let names: Vec<&str> = group.points.iter().map(|p| &*group.table.get(p.series).unwrap().name).collect();
        assert_eq!(names, (90..100).map(|n| format!("packed_{n}")).collect::<Vec<_>>(), "second {now}");
    }
}

#[test]
fn endless_churn_keeps_memory_flat() {
    let mut cache = SeriesCache::default();
    // A day, every series renamed each minute.
    for minute in 0..1440u32 {
        let n = minute as usize * 50;
        tables(&page(n..n + 50, "churn"), &mut cache, minute * 60);
        let (series, families) = cache.sizes();
        assert!(series <= 400 && families <= 800 && cache.pages() <= 2, "{series} {families} {}", cache.pages());
    }
}

#[test]
fn a_full_cache_starts_over_and_goes_on() {
    let mut cache = SeriesCache::with_max_series(100);
    for n in 0..5 {
        tables(&page(n * 40..n * 40 + 40, "full"), &mut cache, 0);
        assert!(cache.sizes().0 <= 140);
    }
    assert_eq!(tables(&page(0..10, "full"), &mut cache, 0).len(), 1);
}
