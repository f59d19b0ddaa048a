//! Requests of remote write 2.0.
//!
//! A request carries each string once, as a symbol, and everything else refers to it by number. The numbers hold
//! for one request, so what can be remembered are the strings: each is interned once for the exporter
//! ([`SymbolTables`]), and a series is a list of such ids, in the order of its table. A shard then keeps, for the
//! request it fills, which id has which number ([`numbers`]), and the references of a series, encoded, once it has
//! met it ([`Body`]). From then on a sample of that series, at any target of its job, is written like one of version 1.0:
//! as snappy references to the last one, with the origin's references, the value and perhaps the time as new bytes.

mod body;
mod numbers;
mod pieces;
mod tables;
#[cfg(test)]
mod tests;

pub(super) use body::{Body, Message};
pub(super) use tables::{Group, Start, SymbolTables};
