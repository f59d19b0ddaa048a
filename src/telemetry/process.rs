//! Metrics of the process itself, read from the kernel when somebody looks.

use pipeline::telemetry::Telemetry;
use std::time::{Instant, SystemTime};

/// The kernel counts processor time in hundredths of a second on every architecture that Linux shows to programs
/// (`USER_HZ`, proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;

/// Registers the metrics of the process. Where the kernel does not tell (other systems than Linux), those that
/// need it are left out.
pub fn register(telemetry: &Telemetry) {
    let started = Instant::now();
    telemetry.read_counter("otelcol_process_uptime", "Uptime of the process, in seconds.", &[], move || {
        started.elapsed().as_secs_f64()
    });
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    telemetry
        .gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", &[])
        .set(now.as_secs_f64());
    if cpu_seconds().is_some() {
        let help = "Total CPU user and system time in seconds.";
        telemetry.read_counter("otelcol_process_cpu_seconds", help, &[], || cpu_seconds().unwrap_or(f64::NAN));
    }
    let from_status: [(&str, &str, &str); 3] = [
        ("otelcol_process_memory_rss", "Total physical memory (resident set size), in bytes.", "VmRSS:"),
        (
            "otelcol_process_runtime_heap_alloc_bytes",
            "Resident memory that the program allocated itself, in bytes.",
            "RssAnon:",
        ),
        (
            "otelcol_process_runtime_total_sys_memory_bytes",
            "Memory that the program has asked the system for, in bytes.",
            "VmData:",
        ),
    ];
    for (name, help, key) in from_status {
        if status_bytes(key).is_some() {
            telemetry.read_gauge(name, help, &[], move || status_bytes(key).unwrap_or(f64::NAN));
        }
    }
    let help = "Series whose identity is held in memory, however many targets share them.";
    telemetry.read_gauge("oxidot_active_series", help, &[], || pipeline::Series::alive() as f64);
    let help = "Origins (targets, or resource and scope) held in memory.";
    telemetry.read_gauge("oxidot_active_origins", help, &[], || pipeline::Origin::alive() as f64);
}

/// User and system time so far.
fn cpu_seconds() -> Option<f64> {
    parse_cpu_seconds(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

/// Fields 14 and 15 of proc(5)'s `stat`. The second field is a name in parentheses that may hold anything.
fn parse_cpu_seconds(stat: &str) -> Option<f64> {
    let mut after_name = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || after_name.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

/// A field of proc(5)'s `status`, in bytes.
fn status_bytes(key: &str) -> Option<f64> {
    parse_status_bytes(&std::fs::read_to_string("/proc/self/status").ok()?, key)
}

fn parse_status_bytes(status: &str, key: &str) -> Option<f64> {
    let value = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kibibytes: f64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 1";
        assert_eq!(parse_cpu_seconds(stat), Some(2.0));
        assert_eq!(parse_cpu_seconds("7 (a) S 1"), None);
    }

    #[test]
    fn memory_is_given_in_bytes() {
        let status = "VmPeak:\t   9 kB\nVmRSS:\t    4 kB\n";
        assert_eq!(parse_status_bytes(status, "VmRSS:"), Some(4096.0));
        assert_eq!(parse_status_bytes(status, "RssAnon:"), None);
    }

    #[test]
    fn the_process_reports_itself() {
        let telemetry = Telemetry::default();
        register(&telemetry);
        assert!(telemetry.value("otelcol_process_uptime", &[]).is_some_and(|seconds| seconds >= 0.0));
        if cfg!(target_os = "linux") {
            assert!(telemetry.value("otelcol_process_memory_rss", &[]).is_some_and(|bytes| bytes > 0.0));
            assert!(telemetry.value("otelcol_process_cpu_seconds", &[]).is_some_and(|seconds| seconds >= 0.0));
        }
    }
}
