//! One log line as text.

use crate::config::Encoding;
use serde_json::{Map, Value as Json};
use std::time::SystemTime;
use tracing::Level;

/// The line, with its line feed.
pub(super) fn format(encoding: Encoding, level: Level, message: &str, fields: Map<String, Json>) -> String {
    let level = level_name(level);
    let time = timestamp(SystemTime::now());
    match encoding {
        Encoding::Console => {
            let mut line = format!("{time}\t{level}\t{message}");
            if !fields.is_empty() {
                line.push('\t');
                line.push_str(&Json::Object(fields).to_string());
            }
            line.push('\n');
            line
        }
        Encoding::Json => {
            let mut object = Map::new();
            object.insert("level".into(), level.into());
            object.insert("ts".into(), time.into());
            object.insert("msg".into(), message.into());
            object.extend(fields);
            let mut line = Json::Object(object).to_string();
            line.push('\n');
            line
        }
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        _ => "debug",
    }
}

/// ISO 8601 in UTC with milliseconds, as the Collector writes it.
pub(super) fn timestamp(time: SystemTime) -> String {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = since_epoch.as_secs();
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let millis = since_epoch.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Year, month and day of the given day after 1970-01-01, in the Gregorian calendar.
///
/// Counted in years that begin in March, so that the leap day is a year's last, and from the first of March of
/// the year 0, where a cycle of 400 years begins.
fn date(days_since_epoch: u64) -> (u64, u64, u64) {
    const DAYS_BEFORE_EPOCH: u64 = 719_468;
    const DAYS_IN_400_YEARS: u64 = 146_097;
    let days = days_since_epoch + DAYS_BEFORE_EPOCH;
    let day_of_cycle = days % DAYS_IN_400_YEARS;
    let year_of_cycle = (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    // The months from March on have 31, 30, 31, 30, 31 days, over and over: 153 days in five months.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = days / DAYS_IN_400_YEARS * 400 + year_of_cycle + u64::from(month <= 2);
    (year, month, day)
}
