//! What the parts of a sample's way cost by themselves: `cargo bench`, or `cargo bench -- relabel` for some of it.
//!
//! Numbers are for comparing one state of the code with another on one machine. Whole collectors are compared in
//! README.md, with processor time and memory of the process.

mod exposition;
mod gzip;
mod harness;
mod otlp_requests;
mod page;
mod relabel;
mod remote_write;
mod sigv4;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bench = harness::Bench::from_arguments();
    gzip::run(&bench)?;
    exposition::run(&bench);
    otlp_requests::run(&bench)?;
    relabel::run(&bench)?;
    remote_write::run(&bench)?;
    sigv4::run(&bench)
}
