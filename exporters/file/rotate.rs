//! Files that were put aside: how they are called, and which are removed.

use super::config::Rotation;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Renames a file after the time, in the form that the Collector has: `name-2006-01-02T15-04-05.000.ext`.
pub(super) fn put_aside(path: &Path, now: SystemTime) -> io::Result<()> {
    let mut at = now;
    let mut aside = aside(path, at);
    // Two in one millisecond must not become one.
    while aside.symlink_metadata().is_ok() {
        at += Duration::from_millis(1);
        aside = self::aside(path, at);
    }
    fs::rename(path, aside)
}

/// Name and extension with its dot.
fn parts(path: &Path) -> (String, String) {
    let text = |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned());
    let extension = text(path.extension()).map(|extension| format!(".{extension}"));
    (text(path.file_stem()).unwrap_or_default(), extension.unwrap_or_default())
}

fn aside(path: &Path, time: SystemTime) -> PathBuf {
    let (name, extension) = parts(path);
    path.with_file_name(format!("{name}-{}{extension}", stamp(time)))
}

/// Removes files that were put aside, the oldest first, until the rest is within the bounds. What cannot be removed
/// is reported and stays.
pub(super) fn remove_old(path: &Path, rotation: Rotation, now: SystemTime) {
    let mut found = put_aside_before(path);
    // Names ascend with time.
    found.sort();
    let too_many = rotation.max_backups.map_or(0, |most| found.len().saturating_sub(most));
    let oldest = rotation.max_age.and_then(|age| now.checked_sub(age)).map(|time| aside(path, time));
    for (at, backup) in found.iter().enumerate() {
        let is_old = at < too_many || oldest.as_ref().is_some_and(|oldest| backup < oldest);
        if is_old && let Err(error) = fs::remove_file(backup) {
            tracing::warn!(file = %backup.display(), %error, "A file that was put aside long ago cannot be removed.");
        }
    }
}

fn put_aside_before(path: &Path) -> Vec<PathBuf> {
    let (name, extension) = parts(path);
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let is_ours = |file: &str| {
        let stamp = file.strip_prefix(&format!("{name}-")).and_then(|rest| rest.strip_suffix(&extension));
        stamp.is_some_and(is_stamp)
    };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(is_ours))
        .map(|entry| path.with_file_name(entry.file_name()))
        .collect()
}

/// Whether this is written as a time is.
fn is_stamp(text: &str) -> bool {
    const FORM: &[u8] = b"0000-00-00T00-00-00.000";
    text.len() == FORM.len()
        && text.bytes().zip(FORM).all(|(byte, form)| if *form == b'0' { byte.is_ascii_digit() } else { byte == *form })
}

/// A time in UTC.
fn stamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let second = since.as_secs() % 86_400;
    let (year, month, day) = date(since.as_secs() / 86_400);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let millis = since.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}-{minute:02}-{second:02}.{millis:03}")
}

/// Year, month and day of a number of days since 1970-01-01, by counting eras of 400 years that begin in March.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn seconds(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn backups_are_named_after_the_time() {
        assert_eq!(stamp(UNIX_EPOCH + Duration::from_millis(1_709_210_096_007)), "2024-02-29T12-34-56.007");
        assert_eq!(stamp(seconds(951_868_799)), "2000-02-29T23-59-59.000");
        assert_eq!(stamp(seconds(0)), "1970-01-01T00-00-00.000");
        assert_eq!(aside(Path::new("/d/a.b.json"), seconds(0)), Path::new("/d/a.b-1970-01-01T00-00-00.000.json"));
        assert_eq!(aside(Path::new("out"), seconds(0)), Path::new("out-1970-01-01T00-00-00.000"));
    }

    #[test]
    fn old_backups_are_removed_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.json");
        let day = 86_400;
        for (at, days) in [100, 101, 102, 103].into_iter().enumerate() {
            std::fs::write(&path, format!("{at}")).unwrap();
            put_aside(&path, seconds(days * day)).unwrap();
        }
        for other in ["out-a.json", "out-1970-01-01T00-00-00.000.txt", "other-1970-01-01T00-00-00.000.json"] {
            std::fs::write(directory.path().join(other), "x").unwrap();
        }
        let left = || {
            let mut left: Vec<_> =
                put_aside_before(&path).iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
            left.sort();
            left.concat()
        };
        let none = Rotation { max_bytes: 1, max_age: None, max_backups: None };
        remove_old(&path, none, seconds(200 * day));
        assert_eq!(left(), "0123");
        remove_old(&path, Rotation { max_backups: Some(3), ..none }, seconds(200 * day));
        assert_eq!(left(), "123");
        remove_old(&path, Rotation { max_age: Some(Duration::from_secs(2 * day)), ..none }, seconds(104 * day));
        assert_eq!(left(), "23");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2 + 3);
    }

    #[test]
    fn two_in_one_millisecond_stay_two() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.json");
        for _ in 0..2 {
            std::fs::write(&path, "x").unwrap();
            put_aside(&path, seconds(5)).unwrap();
        }
        assert_eq!(put_aside_before(&path).len(), 2);
    }
}
