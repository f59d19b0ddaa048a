//! What the tests are made of: programs that are started and ended, targets and stores that do as they are told.

pub(crate) mod http;
pub(crate) mod oxidot;
pub(crate) mod page;
pub(crate) mod process;
pub(crate) mod prometheus;
pub(crate) mod python;
pub(crate) mod samples;
pub(crate) mod store;

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// The longest that anything may take which is bound to happen. Far above what it takes, since the machine may be busy
/// with other things; a test that fails waits this long and then says what it waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Waits until `look` gives something, and fails with `what` if it does not within [`PATIENCE`].
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// As [`wait_for`], for what is only true or not.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    wait_for(what, || holds().then_some(()));
}

/// Ports for programs that have to be told one. They are below those that the system gives to outgoing connections, so
/// that none is taken between this look and the program's start, and no two tests get the same.
pub(crate) fn free_port() -> u16 {
    free_listener().local_addr().unwrap().port()
}

/// Listens at such a port.
pub(crate) fn free_listener() -> TcpListener {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = (std::process::id() % 100) as u16 * 100;
    for _ in 0..10_000 {
        let port = 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return listener;
        }
    }
    panic!("no port is free");
}

/// Writes a line to the standard output of the test program, past the capture of test output.
pub(crate) fn note(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("standard output is open");
}

/// Says that a test was left out.
pub(crate) fn skipped(why: &str) {
    note(&format!("skipped: {why}"));
}

/// Leaves the test unless all these programs are installed.
macro_rules! require {
    ($($program:expr),+) => {
        $(if !$crate::support::process::is_installed($program) {
            return $crate::support::skipped(&format!(
                "{}: {} is not installed",
                std::thread::current().name().unwrap_or("a test"),
                $program
            ));
        })+
    };
}
pub(crate) use require;
