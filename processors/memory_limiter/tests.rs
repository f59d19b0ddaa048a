#![expect(clippy::unwrap_used, reason = "tests")]

use super::config::Config;
use super::limiter::Limits;
use super::system::System;
use super::{FACTORY, MemoryLimiter};
use crate::testing::{Running, context, group, node, origin, point, problems, table};
use pipeline::component::Processor;
use pipeline::{MetricBatch, SendError};
use std::fs;
use std::path::Path;
use std::time::Duration;

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn resident(root: &Path, mib: u64) {
    write(root, "proc/self/status", &format!("Name:\toxidot\nVmRSS:\t  {} kB\nThreads:\t2\n", mib * 1024));
}

fn machine(root: &Path, mib: u64) {
    write(root, "proc/meminfo", &format!("MemTotal:       {} kB\nMemFree: 1 kB\n", mib * 1024));
}

fn batch() -> MetricBatch {
    MetricBatch::new(vec![group(&origin("m", "i", &[]), &table("memory_test", 2), vec![point(0, 1), point(1, 1)])])
}

#[test]
fn configuration_problems_are_told_in_the_collectors_words() {
    assert_eq!(
        problems(&FACTORY, ""),
        ["'check_interval' must be greater than zero", "'limit_mib' or 'limit_percentage' must be greater than zero"]
    );
    let of = |keys: &str| problems(&FACTORY, &format!("check_interval: 1s\n{keys}"));
    assert_eq!(of("limit_mib: 400\nspike_limit_mib: 80"), [""; 0]);
    assert_eq!(of("limit_percentage: 40\nspike_limit_percentage: 8"), [""; 0]);
    assert_eq!(of("limit_mib: 5\nspike_limit_mib: 5"), ["'spike_limit_mib' must be smaller than 'limit_mib'"]);
    assert_eq!(
        of("limit_percentage: 5\nspike_limit_percentage: 5"),
        ["'spike_limit_percentage' must be smaller than 'limit_percentage'"]
    );
    assert_eq!(
        of("limit_percentage: 101"),
        ["'limit_percentage' and 'spike_limit_percentage' must be greater than zero and less than or equal to hundred"]
    );
    assert_eq!(
        of("limit_mib: 5\nmin_gc_interval_when_soft_limited: 1s\nmin_gc_interval_when_hard_limited: 2s"),
        ["'min_gc_interval_when_soft_limited' should be larger than 'min_gc_interval_when_hard_limited'"]
    );
    assert_eq!(of("limit_mb: 5\nlimit_mib: 5"), ["has invalid keys: limit_mb"]);
}

fn limits(root: &Path, keys: &str) -> Limits {
    Config::read(&node(&format!("check_interval: 1s\n{keys}"))).unwrap().limits(&System::at(root)).unwrap()
}

#[test]
fn limits_come_from_the_keys_and_the_smallest_control_group() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let mib = |hard: u64, soft: u64| Limits { hard: hard << 20, soft: soft << 20 };
    assert_eq!(limits(root, "limit_mib: 100"), mib(100, 80));
    assert_eq!(limits(root, "limit_mib: 100\nspike_limit_mib: 30\nlimit_percentage: 1"), mib(100, 70));
    machine(root, 1000);
    let half = |root: &Path| limits(root, "limit_percentage: 50\nspike_limit_percentage: 10");
    assert_eq!(half(root), mib(500, 400));

    write(root, "proc/self/cgroup", "0::/pods/one\n");
    write(root, "sys/fs/cgroup/pods/one/memory.max", "max\n");
    assert_eq!(half(root), mib(500, 400));
    write(root, "sys/fs/cgroup/pods/memory.max", "104857600\n");
    assert_eq!(half(root), mib(50, 40), "the group around it is smaller");
    write(root, "sys/fs/cgroup/pods/one/memory.max", "52428800\n");
    assert_eq!(half(root), mib(25, 20));

    write(root, "proc/self/cgroup", "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n1:name=systemd:/\n");
    write(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", "209715200\n");
    assert_eq!(half(root), mib(100, 80), "inside a container the group is mounted as the root");
    write(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    assert_eq!(half(root), mib(500, 400), "no limit in version 1");
}

#[test]
fn a_percentage_of_unknown_memory_is_an_error_that_says_what_to_write() {
    let root = tempfile::tempdir().unwrap();
    let config = Config::read(&node("check_interval: 1s\nlimit_percentage: 50")).unwrap();
    let error = config.limits(&System::at(root.path())).unwrap_err().to_string();
    assert!(error.starts_with("limit_percentage: ") && error.contains("write limit_mib instead"), "{error}");
}

#[test]
#[cfg(target_os = "linux")]
fn the_memory_of_this_process_can_be_read() {
    let system = System::default();
    let resident = system.resident().unwrap();
    assert!(resident > 1 << 20 && resident < system.available().unwrap(), "{resident}");
}

#[tokio::test(start_paused = true)]
async fn refuses_above_the_soft_limit_and_admits_below_it() {
    let root = tempfile::tempdir().unwrap();
    let context = context("memory_limiter");
    resident(root.path(), 79);
    let yaml = "check_interval: 1s\nlimit_mib: 100";
    let limiter = MemoryLimiter::new(&node(yaml), &context, System::at(root.path())).unwrap();
    let running = Running::start(Box::new(limiter), 8);
    let input = running.input.clone().unwrap();
    let refused = Err(SendError::Refused("data refused due to high memory usage"));
    for (mib, expected) in [(79, Ok(())), (80, refused), (120, refused), (79, Ok(()))] {
        resident(root.path(), mib);
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(input.send(batch()).await, expected, "{mib} MiB");
    }
    drop(input);
    assert_eq!(running.finish().await.len(), 2);
    let value = |name| context.telemetry.value(name, &[("processor", "memory_limiter")]);
    assert_eq!(value("otelcol_processor_memory_limiter_accepted_metric_points"), Some(4.0));
    assert_eq!(value("otelcol_processor_memory_limiter_refused_metric_points"), Some(4.0));
}

#[tokio::test(start_paused = true)]
async fn what_is_inside_passes_and_checks_go_on_while_it_waits() {
    let root = tempfile::tempdir().unwrap();
    resident(root.path(), 1);
    let yaml = "check_interval: 1s\nlimit_mib: 100";
    let limiter = MemoryLimiter::new(&node(yaml), &context("memory_limiter"), System::at(root.path())).unwrap();
    let running = Running::start(Box::new(limiter), 1);
    // One batch in the channel behind, one that waits for room there, one in the channel in front.
    for _ in 0..3 {
        running.send(batch()).await;
    }
    resident(root.path(), 100);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let admitted = running.input.as_ref().unwrap().admit(pipeline::component::Signal::Metrics, 1);
    assert_eq!(admitted, Err(SendError::Refused("data refused due to high memory usage")));
    assert_eq!(running.finish().await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn memory_that_cannot_be_read_admits_everything() {
    let root = tempfile::tempdir().unwrap();
    let yaml = "check_interval: 1s\nlimit_mib: 1";
    let limiter = MemoryLimiter::new(&node(yaml), &context("memory_limiter"), System::at(root.path())).unwrap();
    let gate = limiter.gate().unwrap();
    let running = Running::start(Box::new(limiter), 8);
    resident(root.path(), 5);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(gate.admit().is_err());
    fs::remove_file(root.path().join("proc/self/status")).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(gate.admit().is_ok());
    running.finish().await;
}
