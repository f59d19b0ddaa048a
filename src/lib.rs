//! The program: its command line, its configuration, the table of its components, and the service that builds
//! and runs them. `main.rs` only puts these together.

pub mod cli;
pub mod components;
pub mod config;
pub mod default_config;
pub mod doctor;
pub mod run;
pub mod service;
pub mod telemetry;
