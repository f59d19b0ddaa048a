//! Endless churn: memory stays flat however many series come and go.

use crate::support::oxidot::{Oxidot, job, scrape_and_write, total};
use crate::support::page::Target;
use crate::support::store::Store;
use crate::support::wait_until;

/// Series that are there at a time.
const SERIES: usize = 200;
/// A day of minutes, in each of which every series gets another name.
const GENERATIONS: u64 = 1440;
/// By then everything that grows only at the start has grown.
const WARM: u64 = 200;

#[test]
fn memory_is_flat_over_a_day_of_new_series_every_minute() {
    // What arrives is not kept, as the test's own memory must not grow either.
    let store = Store::forgetful();
    let target = Target::start(|n| {
        let series = |i| format!("churn_{n}_{i}_total{{generation=\"{n}\",series=\"{i}\"}} {n}\n");
        (0..SERIES).map(series).collect()
    });
    let config = scrape_and_write(&job("churn", &target.address(), "40ms"), &store.url(), "batch_send_deadline: 50ms");
    let oxidot = Oxidot::start(&config);
    wait_until("the first generations", || target.scrapes() >= WARM);
    let (early_bytes, early) = (oxidot.resident_bytes(), held(&oxidot));
    wait_until("half a day", || target.scrapes() >= GENERATIONS / 2);
    wait_until("the day's end", || target.scrapes() >= GENERATIONS);
    let (late_bytes, late) = (oxidot.resident_bytes(), held(&oxidot));
    // A generation is 80 kB or more in every cache: one that is kept would add 100 MB over the day.
    assert!(late_bytes < early_bytes * 3 / 2 + (4 << 20), "{early_bytes} bytes became {late_bytes}");
    for ((name, early), (_, late)) in early.iter().zip(&late) {
        // Two generations are held at once, and one more for each 40 ms that a busy machine lets batches wait; the caches keep
        // as many places as were ever needed at once. All generations together would be 288,000.
        assert!(*late <= early.max(50.0 * SERIES as f64), "{name}: {early} became {late}");
    }
    let missed = oxidot.own("oxidot_receiver_failed_scrapes", &[]);
    assert!(missed < GENERATIONS as f64 / 10.0, "{missed} scrapes have failed");
}

/// What is held in memory of series.
fn held(oxidot: &Oxidot) -> Vec<(&'static str, f64)> {
    let page = oxidot.own_page();
    let names = [
        "oxidot_active_series",
        "oxidot_active_origins",
        "otelcol_exporter_prometheusremotewrite_cached_series",
        "otelcol_exporter_prometheusremotewrite_cached_origins",
    ];
    names.map(|name| (name, total(&page, name, &[]))).to_vec()
}
