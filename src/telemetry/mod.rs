//! What the program says about itself: its log, and its metrics endpoint.

mod endpoint;
mod log;
mod process;

pub use self::endpoint::{instance_id, own_metrics};
pub use self::log::{Log, LogError};
pub use self::process::register;
