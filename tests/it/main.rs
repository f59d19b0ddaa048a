//! The program as its users meet it: the built binary beside real Prometheus servers, and beside stores and targets
//! that fail on purpose.
//!
//! Everything runs on loopback and on free ports, in directories that are gone afterwards. A test that needs a
//! program which is not installed says `skipped: ...` and passes; `./test` sums these lines up.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod aws;
mod beside_prometheus;
mod churn;
mod command_line;
mod configs;
mod doctor;
mod durable;
mod faults;
mod native_histograms;
mod otlp;
mod otlp_out;
mod outages;
mod receiving;
mod reload;
mod sender_rules;
mod staleness;
mod support;
