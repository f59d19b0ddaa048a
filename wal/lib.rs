//! A durable log on disk: what waits for a destination that does not take it at the moment.
//!
//! Records are opaque bytes with a small header. They are appended to *segments*, files of bounded size; each
//! destination has a *cursor*, the position up to which it has everything, and a segment is deleted once all
//! cursors are past it. Every record has checksums that are bound to its place, so that a reader knows a whole
//! record from a torn, flipped or misplaced one and finds the next whole one behind it; and it carries the number
//! of records and samples before it, so that what is missing can be counted exactly.
//!
//! ```text
//! directory/
//!   lock                      held while a process has the log open
//!   0000000000000007.segment  header, then records
//!   0000000000000008.segment
//!   cursor-<name>             two slots, written in turn
//! ```
//!
//! **What survives.** A process that is killed loses nothing that [`Log::append`] has returned for: the kernel has it.
//! A machine that dies loses what was not synced yet: nothing, or as much as [`SyncPolicy`] allows. A torn tail is cut
//! off when the log is opened; damage in the middle costs the records it touches.
//!
//! **Threads.** All calls here that touch files may block, for microseconds as a rule and for seconds on a busy disk.
//! They are to be made from threads that may block; [`Reader::next_ready`] and [`Log::maintain_while_open`] do that by
//! themselves on tokio's blocking pool. There is no thread of the log's own: records are blocks of tens of
//! kilobytes, a few in a second, and a thread that sleeps between them would be memory for nothing.
//!
//! **Order.** One appender at a time; readers see records in the order of appending.

mod cursor;
mod disk;
mod index;
mod lock;
mod log;
pub mod metrics;
mod options;
mod reader;
mod record;
mod recover;
mod scan;
mod segment;
mod storage;
#[cfg(test)]
mod tests;

pub use index::{Backlog, Losses, Position};
pub use log::{AppendError, Log};
pub use options::{Options, SyncPolicy};
pub use reader::{Read, ReadError, Reader};
pub use record::{Header, MAX_PAYLOAD, Record};
pub use recover::{Abandoned, OpenError, create_directory};
pub use storage::Storage;
