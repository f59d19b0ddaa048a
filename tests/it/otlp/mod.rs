//! OTLP from independent clients, and more of them than usual.

mod crowd;
mod delta;
mod from_prometheus;
mod sdk;
