//! OTLP from independent clients, more of them than usual, and by way of files.

mod crowd;
mod delta;
mod files;
mod from_prometheus;
mod sdk;
