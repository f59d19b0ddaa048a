//! Disks that are full, and files that are damaged.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Scene, down, missing, up};
use crate::support::oxidot::BINARY;
use crate::support::process::is_installed;
use crate::support::samples::Samples;
use crate::support::store::Store;
use crate::support::{require, skipped, wait_until};

/// The segments of a log, in order.
pub(crate) fn segments(log: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "segment")).collect();
    segments.sort();
    segments
}

/// Through a disk that takes nothing for a while: with the store away, and with the store there.
fn survives(mut scene: Scene, full: impl Fn(&Scene, bool)) {
    scene.wait_for_scrapes(3);
    full(&scene, true);
    wait_until("the fallback to memory", || scene.of_log("fallback") == 1.0);
    scene.oxidot.wait_for_log("The log does not take samples");
    scene.wait_for_scrapes(3);
    wait_until("samples in memory", || scene.of_log("in_memory_samples") > 0.0);
    scene.store.change(up);
    // What memory has is delivered, in its place behind what the log has.
    scene.wait_for_scrapes(3);
    scene.wait_for_delivery(scene.target.scrapes() - 1);
    assert_eq!(scene.of_log("fallback"), 1.0);
    full(&scene, false);
    scene.oxidot.wait_for_log("The log takes samples again");
    assert_eq!(scene.of_log("fallback"), 0.0);
    scene.wait_for_scrapes(3);
    let scraped = scene.target.scrapes() - 1;
    scene.wait_for_delivery(scraped);
    assert_eq!(scene.oxidot.own("otelcol_exporter_dropped_metric_points", &[]), 0.0);
    assert_eq!(scene.oxidot.end().code(), Some(0), "{}", scene.oxidot.log());
    let samples = scene.store.accepted();
    samples.assert_in_order(&Samples::default());
    assert_eq!(missing(&samples, 1..=scraped), [0; 0]);
}

/// The signal that comes with a limit of file sizes would end the program; ignored, writes fail as on a full disk.
fn ignoring_limits(command: &mut Command) {
    let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh", BINARY]).args(arguments);
    *command = shell;
}

/// Keeps all files of the program from growing, or no longer.
fn limit_files(scene: &Scene, limited: bool) {
    let limit = if limited { "--fsize=0:unlimited" } else { "--fsize=unlimited:unlimited" };
    let status = Command::new("prlimit").args(["--pid", &scene.oxidot.id().to_string(), limit]).status().unwrap();
    assert!(status.success());
}

#[test]
fn when_files_cannot_grow_memory_steps_in() {
    require!("prlimit");
    survives(Scene::start_with(Store::start(down), "", ignoring_limits), limit_files);
}

#[test]
fn what_only_memory_has_at_the_end_is_lost_and_told() {
    require!("prlimit");
    let mut scene = Scene::start_with(Store::start(down), "", ignoring_limits);
    scene.wait_for_scrapes(3);
    limit_files(&scene, true);
    wait_until("samples in memory", || scene.of_log("in_memory_samples") > 0.0);
    scene.oxidot.signal("TERM");
    scene.oxidot.wait_for_log("Starting shutdown");
    scene.oxidot.signal("TERM");
    assert_eq!(scene.oxidot.wait().code(), Some(3), "{}", scene.oxidot.log());
    scene.oxidot.wait_for_log("what was left is lost");
    // What the log has is not lost.
    scene.store.change(up);
    scene.start_again();
    scene.wait_for_delivery(2);
}

/// A small file system in memory, gone when dropped.
pub(crate) struct SmallDisk(pub(crate) tempfile::TempDir);

impl SmallDisk {
    /// Mounts it, where that is allowed.
    pub(crate) fn mount() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(directory.path());
        let mounted = is_installed("mount") && mount.output().is_ok_and(|output| output.status.success());
        mounted.then_some(Self(directory))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").args(["--lazy"]).arg(self.0.path()).status().ok();
    }
}

#[test]
fn a_full_disk_is_survived_and_used_again_when_there_is_room() {
    let Some(disk) = SmallDisk::mount() else {
        return skipped(
            "a_full_disk_is_survived_and_used_again_when_there_is_room: a file system cannot be mounted here",
        );
    };
    let scene = Scene::start_in(disk.0.path(), Store::start(down), "", |_| {});
    let filler = disk.0.path().join("somebody-elses-file");
    survives(scene, |_, full| {
        if full {
            // Until nothing more fits; what is written is kept.
            let mut file = std::fs::File::create(&filler).unwrap();
            while std::io::Write::write_all(&mut file, &[7; 4096]).is_ok() {}
        } else {
            std::fs::remove_file(&filler).unwrap();
        }
    });
}

#[test]
fn bytes_that_are_damaged_cost_what_they_touch_and_no_more() {
    let mut scene = Scene::start(Store::start(down));
    // Some twenty records at least.
    scene.wait_for_scrapes(30);
    scene.end_at_once();
    let scraped = scene.target.scrapes() - 1;
    let segment = segments(&scene.log).pop().unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    std::fs::write(&segment, bytes).unwrap();
    scene.store.change(up);
    scene.start_again();
    scene.oxidot.wait_for_log("The log is damaged");
    scene.wait_for_scrapes(2);
    wait_until("the end of the replay", || scene.of_log("replay_samples") == 0.0);
    let lost = scene.dropped("wal_corrupt");
    let samples = scene.store.accepted();
    samples.assert_in_order(&Samples::default());
    let missing = missing(&samples, 1..=scraped);
    assert!(lost > 0.0);
    // A record holds one scrape or two.
    assert!(!missing.is_empty() && missing.len() <= 3 * super::SERIES, "{missing:?}");
    assert!(lost >= missing.len() as f64, "{lost} were counted, {} are missing", missing.len());
}

#[test]
fn a_torn_tail_is_cut_off_and_told() {
    let mut scene = Scene::start(Store::start(down));
    scene.wait_for_scrapes(10);
    scene.end_at_once();
    let segment = segments(&scene.log).pop().unwrap();
    let len = std::fs::metadata(&segment).unwrap().len();
    std::fs::File::options().write(true).open(&segment).unwrap().set_len(len - 5).unwrap();
    scene.store.change(up);
    scene.start_again();
    scene.oxidot.wait_for_log("it is cut off at the last whole one");
    assert!(scene.of_log("torn_bytes") > 0.0);
    // The header of the record is whole, and says how many samples are gone.
    assert!(scene.dropped("wal_torn") >= (super::SERIES + 5) as f64, "{}", scene.dropped("wal_torn"));
    // All but what the last record held: the last scrape, and what came with it.
    scene.wait_for_delivery(scene.target.scrapes().saturating_sub(12));
    scene.wait_for_scrapes(3);
    scene.store.accepted().assert_in_order(&Samples::default());
}
