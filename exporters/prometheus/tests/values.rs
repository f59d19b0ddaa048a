//! How values follow on one another.

use pipeline::model::Source;
use pipeline::value::{ExponentialHistogram, Histogram, Value};
use pipeline::{FamilyKind, Temporality};

use super::{OPEN_METRICS, Shop, TEXT, dropped, origin, samples, whole};

const DELTA: FamilyKind = FamilyKind::Sum { monotonic: true, temporality: Temporality::Delta };
const DELTA_HISTOGRAM: FamilyKind = FamilyKind::Histogram { temporality: Temporality::Delta };

/// Takes points of one series one after the other and shows the page after each.
fn story(kind: FamilyKind, points: &[(i64, i64, Value)]) -> Vec<String> {
    let mut shop = Shop::new("");
    let from = origin(Source::Otlp, &[]);
    let mut pages = Vec::new();
    for (start, time, value) in points {
        let taken = shop.take_spans(&from, vec![(whole("m", "", kind, &[]), *start, *time, value.clone())]);
        let mut shown = samples(&shop.page(TEXT)).join(" ");
        for (reason, _) in dropped(&taken) {
            shown = format!("{shown} ({reason})");
        }
        pages.push(shown);
    }
    pages
}

#[test]
fn newer_values_replace_older_ones_and_markers_end_a_series() {
    let float = Value::Float;
    let pages = story(
        FamilyKind::Gauge,
        &[
            (0, 5, float(1.0)),
            (0, 4, float(2.0)),
            (0, 5, float(3.0)),
            (0, 4, Value::NONE),
            (0, 6, Value::NONE),
            (0, 7, Value::NONE),
            (0, 6, float(4.0)),
        ],
    );
    assert_eq!(pages, ["m 1", "m 1 (older_than_shown)", "m 3", "m 3", "", "", "m 4"]);
}

#[test]
fn a_marker_does_not_hide_the_points_behind_it() {
    let mut shop = Shop::new("");
    let from = origin(Source::Otlp, &[]);
    let points = |first| {
        vec![
            (whole("m", "", FamilyKind::Gauge, &[("n", "1")]), 1, first),
            (whole("m", "", FamilyKind::Gauge, &[("n", "2")]), 1, Value::Int(2)),
        ]
    };
    shop.take(&from, points(Value::Int(1)));
    assert_eq!(shop.take(&from, points(Value::NONE)).shown, 2);
    assert_eq!(samples(&shop.page(TEXT)), ["m{n=\"2\"} 2"]);
}

#[test]
fn series_are_shown_until_they_expire() {
    let mut shop = Shop::new("metric_expiration: 1m");
    let from = origin(Source::Otlp, &[]);
    let series = |n| whole("m", "", FamilyKind::Gauge, &[("n", n)]);
    shop.take(&from, vec![(series("1"), 1, Value::Int(1)), (series("2"), 1, Value::Int(2))]);
    shop.pass(50);
    shop.take(&from, vec![(series("2"), 2, Value::Int(3))]);
    shop.pass(11);
    assert_eq!(samples(&shop.page(TEXT)), ["m{n=\"2\"} 3"]);
    shop.pass(50);
    assert_eq!(shop.page(TEXT), "");
}

#[test]
fn deltas_of_counters_are_added_up() {
    let pages = story(
        DELTA,
        &[
            (0, 10, Value::Int(5)),
            (10, 20, Value::Int(2)),
            (10, 20, Value::Int(2)),
            (20, 30, Value::Float(0.5)),
            (40, 50, Value::Int(1)),
            (30, 40, Value::Int(9)),
        ],
    );
    assert_eq!(
        pages,
        [
            "m_total 5",
            "m_total 7",
            "m_total 7 (delta_repeated)",
            "m_total 7.5",
            "m_total 1",
            "m_total 1 (older_than_shown)",
        ]
    );
}

#[test]
fn deltas_of_histograms_are_added_up() {
    let histogram = |bounds: &[f64], counts: &[u64]| {
        let count = counts.iter().sum();
        let (bounds, bucket_counts) = (bounds.into(), counts.into());
        Value::Histogram(Box::new(Histogram { count, sum: Some(1.5), bounds, bucket_counts, ..Histogram::default() }))
    };
    let pages = story(
        DELTA_HISTOGRAM,
        &[
            (0, 10, histogram(&[1.0], &[1, 2])),
            (10, 20, histogram(&[1.0], &[1, 1])),
            (15, 30, histogram(&[1.0], &[9, 9])),
            (20, 30, histogram(&[2.0], &[3, 0])),
            (50, 60, histogram(&[2.0], &[1, 1])),
        ],
    );
    let shown = |bound, low, count, sum| {
        format!("m_bucket{{le=\"{bound}\"}} {low} m_bucket{{le=\"+Inf\"}} {count} m_sum {sum} m_count {count}")
    };
    assert_eq!(
        pages,
        [
            shown("1", 1, 3, "1.5"),
            shown("1", 2, 5, "3"),
            shown("1", 2, 5, "3") + " (delta_misaligned)",
            shown("2", 3, 3, "1.5"),
            shown("2", 1, 2, "1.5"),
        ]
    );
}

#[test]
fn exponential_histograms_show_sum_and_count() {
    let kind = FamilyKind::ExponentialHistogram { temporality: Temporality::Delta };
    let histogram = |count, scale| {
        Value::ExponentialHistogram(Box::new(ExponentialHistogram {
            count,
            sum: Some(0.5),
            scale,
            ..ExponentialHistogram::default()
        }))
    };
    let pages = story(kind, &[(0, 10, histogram(2, 3)), (10, 20, histogram(3, -2))]);
    assert_eq!(pages.last().map(String::as_str), Some("m_bucket{le=\"+Inf\"} 5 m_sum 1 m_count 5"));
}

#[test]
fn fractions_are_shown_as_they_are() {
    let cumulative = Temporality::Cumulative;
    let exponential = Value::FloatExponentialHistogram(Box::new(ExponentialHistogram {
        count: 2.5,
        sum: Some(0.5),
        ..ExponentialHistogram::default()
    }));
    let pages = story(FamilyKind::ExponentialHistogram { temporality: cumulative }, &[(0, 10, exponential)]);
    assert_eq!(pages, ["m_bucket{le=\"+Inf\"} 2.5 m_sum 0.5 m_count 2.5"]);
    let explicit = Value::FloatHistogram(Box::new(Histogram {
        count: 2.75,
        sum: Some(9.0),
        bounds: [0.5, 1.0].into(),
        bucket_counts: [0.25, 0.5, 2.0].into(),
        ..Histogram::default()
    }));
    let pages = story(FamilyKind::Histogram { temporality: cumulative }, &[(0, 10, explicit)]);
    assert_eq!(
        pages,
        ["m_bucket{le=\"0.5\"} 0.25 m_bucket{le=\"1\"} 0.75 m_bucket{le=\"+Inf\"} 2.75 m_sum 9 m_count 2.75"]
    );
}

/// As they come by remote write; scraped ones have a series for each sample.
#[test]
fn gauge_histograms_that_travel_whole_have_their_own_type_in_open_metrics() {
    let mut shop = Shop::new("enable_open_metrics: true");
    let value = Value::FloatHistogram(Box::new(Histogram {
        count: 1.5,
        sum: Some(2.0),
        bounds: [1.0].into(),
        bucket_counts: [0.5, 1.0].into(),
        ..Histogram::default()
    }));
    shop.take(&origin(Source::RemoteWrite, &[]), vec![(whole("g", "", FamilyKind::GaugeHistogram, &[]), 1, value)]);
    let of = |page: &str| page.lines().filter(|line| !line.starts_with("# HELP")).collect::<Vec<_>>().join("\n");
    assert_eq!(
        of(&shop.page(TEXT)),
        "# TYPE g histogram\ng_bucket{le=\"1\"} 0.5\ng_bucket{le=\"+Inf\"} 1.5\ng_sum 2\ng_count 1.5"
    );
    assert_eq!(
        of(&shop.page(OPEN_METRICS)),
        "# TYPE g gaugehistogram\ng_bucket{le=\"1.0\"} 0.5\ng_bucket{le=\"+Inf\"} 1.5\ng_gsum 2.0\ng_gcount 1.5\n# EOF"
    );
}

#[test]
fn what_cannot_be_added_up_is_dropped_with_a_reason() {
    let sum = |monotonic, temporality| FamilyKind::Sum { monotonic, temporality };
    for (kind, reason) in [
        (sum(false, Temporality::Delta), "delta_not_monotonic"),
        (sum(true, Temporality::Unspecified), "unspecified_temporality"),
        (FamilyKind::Histogram { temporality: Temporality::Unspecified }, "unspecified_temporality"),
    ] {
        assert_eq!(story(kind, &[(0, 1, Value::Int(1))]), [format!(" ({reason})")]);
    }
    let mut shop = Shop::new("");
    let bad = vec![(whole("...", "", FamilyKind::Gauge, &[]), 1, Value::Int(1))];
    assert_eq!(dropped(&shop.take(&origin(Source::Otlp, &[]), bad)), [("untranslatable_name", 1)]);
    let bad = vec![(whole("m", "", FamilyKind::Gauge, &[("__", "v")]), 1, Value::Int(1))];
    assert_eq!(dropped(&shop.take(&origin(Source::Otlp, &[]), bad)), [("untranslatable_name", 1)]);
}
