//! Extensions: what serves the other components. Each module is one component and exports its `FACTORY`.

pub mod file_storage;
pub mod health_check;
pub mod sigv4auth;
