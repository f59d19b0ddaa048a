//! What a sample costs on the wire, and that spreading samples over shards costs little of that.

use super::*;

/// Words of which names of a node_exporter's kind are made.
const WORDS: [&str; 24] = [
    "active", "alloc", "anon", "buffers", "cached", "commit", "dirty", "errors", "faults", "heap", "idle", "inuse",
    "kernel", "mapped", "mlocked", "objects", "packets", "reads", "shmem", "slab", "stack", "swap", "time", "writes",
];

fn flat(name: &str, attributes: &[(&str, &str)]) -> Arc<Series> {
    series(name, FamilyKind::Gauge, attributes)
}

/// A page as a node_exporter serves it: most series have no label of their own, the others one to three.
fn host() -> Vec<Arc<Series>> {
    let mut page = Vec::new();
    for (prefix, suffix, count) in [
        ("go_memstats", "bytes", 20),
        ("node_memory", "bytes", 48),
        ("node_netstat_Tcp", "total", 40),
        ("node_vmstat", "total", 90),
    ] {
        for n in 0..count {
            let (first, second) = (WORDS[n % 24], WORDS[(n / 24 * 7 + n) % 24]);
            page.push(flat(&format!("{prefix}_{first}_{second}_{suffix}"), &[]));
        }
    }
    for cpu in ["0", "1", "2", "3"] {
        for mode in ["idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user"] {
            page.push(flat("node_cpu_seconds_total", &[("cpu", cpu), ("mode", mode)]));
        }
    }
    for (kind, values, count) in [("disk", ["vda", "vdb", "zram0"], 16), ("network", ["docker0", "eth0", "lo"], 30)] {
        for n in 0..count {
            for value in values {
                page.push(flat(
                    &format!("node_{kind}_{}_{}_total", WORDS[n % 24], WORDS[n * 5 % 24]),
                    &[("device", value)],
                ));
            }
        }
    }
    for what in ["avail_bytes", "device_error", "files", "files_free", "free_bytes", "readonly", "size_bytes"] {
        for (device, mount) in [("/dev/vda1", "/"), ("/dev/vdb1", "/data"), ("tmpfs", "/run"), ("tmpfs", "/run/lock")] {
            let labels = [
                ("device", device),
                ("fstype", if device == "tmpfs" { "tmpfs" } else { "ext4" }),
                ("mountpoint", mount),
            ];
            page.push(flat(&format!("node_filesystem_{what}"), &labels));
        }
    }
    for what in ["duration_seconds", "success"] {
        for collector in WORDS {
            page.push(flat(&format!("node_scrape_collector_{what}"), &[("collector", collector)]));
        }
    }
    page
}

/// Many small families whose series differ in one label of several.
fn service() -> Vec<Arc<Series>> {
    let of = |n: usize| {
        let (family, path) = (format!("app_requests_{}_total", n / 10), format!("/api/v1/resource/{}", n % 10));
        let labels = [("code", "200"), ("handler", path.as_str()), ("method", "GET"), ("pod", "frontend-6d5f7c9b8-x")];
        series(&family, FamilyKind::COUNTER, &labels)
    };
    (0..1000).map(of).collect()
}

/// Classic histograms, flat, as they are scraped.
fn latencies() -> Vec<Arc<Series>> {
    let bounds = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "+Inf"];
    let mut page = Vec::new();
    for n in 0..70 {
        let name = format!("rpc_{}_duration_seconds", WORDS[n / 10]);
        let kind = FamilyKind::Histogram { temporality: pipeline::Temporality::Cumulative };
        let family = Arc::new(Family { name: name.as_str().into(), kind, ..Family::default() });
        let method = format!("/grpc.service.v1/Method{}", n % 10);
        let mut part = |suffix: &str, part| {
            let own = Attributes::from_pairs([("method", method.as_str())]);
            page.push(Series::intern(Arc::clone(&family), format!("{name}{suffix}").as_str().into(), part, own));
        };
        bounds.iter().for_each(|le| part("_bucket", Part::Bucket((*le).into())));
        part("_sum", Part::Sum);
        part("_count", Part::Count);
    }
    page
}

/// One family whose series differ in one label.
fn crowd() -> Vec<Arc<Series>> {
    (0..1000).map(|n| series("queue_depth_messages", FamilyKind::Gauge, &[("queue", &format!("orders-{n}"))])).collect()
}

/// Bytes a sample of the third scrape of `targets` targets that serve `page`, and of samples in the fullest shard how many times
/// as many as on average.
fn cost(keys: &str, page: &[Arc<Series>], targets: u32, shards: usize) -> (f64, f64) {
    let mut encoder =
        encoder(&format!("target_info: {{enabled: false}}\nexternal_labels: {{cluster: prod-eu-1}}\n{keys}"));
    encoder.spread_over(shards);
    let table = SeriesTable::intern(page.to_vec());
    let mut spent = (0.0, 0.0);
    for scrape in 0..3u64 {
        for target in 0..targets {
            let instance = format!("10.0.{}.{}:9100", target / 200, target % 200);
            let o = origin(
                Source::Scrape,
                &[("service.name", "node"), ("service.instance.id", &instance)],
                &[("zone", "a")],
            );
            let value = |n: u64| match n % 3 {
                0 => 0.0,
                1 => (n * 977 + scrape * 13) as f64,
                _ => (n * 7919 + u64::from(target) * 31 + scrape) as f64 / 7.0,
            };
            let millis = 1_700_000_000_000 + scrape as i64 * 15_000 + i64::from(target) * 17;
            let points = (0..page.len() as u32).map(|n| point(n, millis, value(u64::from(n)))).collect();
            encoder.encode(MetricBatch::new(vec![PointGroup::new(o, Arc::clone(&table), points)]));
        }
        encoder.seal_all();
        let requests: Vec<_> = std::iter::from_fn(|| encoder.next_sealed()).collect();
        let bytes: usize = requests.iter().map(|request| request.body.len()).sum();
        let mut load = vec![0; shards];
        requests.iter().for_each(|request| load[request.shard] += request.contents.samples);
        let samples: u64 = load.iter().sum();
        assert_eq!(samples, u64::from(targets) * page.len() as u64);
        let fullest = load.iter().max().copied().unwrap_or(0);
        spent = (bytes as f64 / samples as f64, fullest as f64 * shards as f64 / samples as f64);
    }
    spent
}

/// What samples may cost in one shard, in five and in twenty: of version 1.0, and of 2.0.
///
/// Values are some eight bytes of it. A page of few hundred series has some twenty in each of twenty shards, whose names have
/// little in common; of a larger one neighbours are left.
#[test]
fn samples_cost_about_as_much_in_many_shards_as_in_one() {
    let version2 = "protobuf_message: io.prometheus.write.v2.Request\n";
    for (name, page, most) in [
        ("host", host(), [[31.0, 37.0, 49.0], [23.0, 29.0, 42.0]]),
        ("service", service(), [[24.0, 26.0, 31.0], [18.0, 26.0, 30.0]]),
        ("latencies", latencies(), [[28.0, 30.0, 34.0], [18.0, 23.0, 26.0]]),
        ("crowd", crowd(), [[20.0, 21.0, 24.0], [20.0, 23.0, 24.0]]),
    ] {
        for (keys, most) in ["", version2].into_iter().zip(most) {
            let spent = [1, 5, 20].map(|shards| cost(keys, &page, 8, shards));
            let told =
                format!("{name} {keys}: bytes a sample, and the fullest shard: {spent:.1?}, bytes at most {most:?}");
            assert!(spent.iter().zip(most).all(|((bytes, _), most)| *bytes <= most), "{told}");
            assert!(spent.iter().all(|(_, load)| *load < 1.5), "{told}");
        }
    }
}
