//! Discovery: finding the targets of jobs, and telling the scrape loops when they change.
//!
//! [`Discovery`] runs one [`Discoverer`] for each distinct setting, however many jobs use it, gathers what they
//! find, makes targets of it and hands out a [`Snapshot`] of all jobs whenever something changed: at once after a
//! quiet time, less and less often (down to every five seconds) while changes keep coming.

mod file;
mod group;
mod http;
mod metrics;
mod provider;
mod run;
mod watch;

#[cfg(test)]
mod tests;

pub use self::group::{ADDRESS, TargetGroup};
pub use self::provider::{Discoverer, Groups, Publisher};
pub use self::run::{Discovery, JobTargets, Snapshot};

pub(crate) use self::group::GroupText;
