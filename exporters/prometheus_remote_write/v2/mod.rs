//! Requests of remote write 2.0.
//!
//! A request carries each string once, as a symbol, and everything else refers to it by number. The numbers hold
//! for one request, so what can be remembered are the strings: each is interned once for the exporter
//! ([`SymbolTables`]), and a series is a list of such ids, in the order of its table. Of each series the table knows which of its
//! ids differ from those of the series before it, and a shard keeps, for the request it fills, which id has which number
//! ([`numbers`]) and what the series written last looks like ([`Body`]). A sample is then written as snappy references to that
//! one, with the few numbers that differ, the value and perhaps the time as new bytes: nothing is looked up or encoded for
//! what stays. Where a family begins, its metadata and its name are references to where the same series stands in the request
//! for an origin before, if there is one.

mod body;
mod numbers;
mod pieces;
mod tables;
#[cfg(test)]
mod tests;

pub(super) use body::{Body, Message};
pub(super) use tables::{Group, Start, SymbolTables};
