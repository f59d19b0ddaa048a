//! Connectors: what joins pipelines. Each module is one component and exports its `FACTORY`.

#![forbid(unsafe_code)]

pub mod forward;
