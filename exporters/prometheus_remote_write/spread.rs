//! Which shard a series belongs to.
//!
//! Label sets are written as references to those just before them, so series that are alike should be in one shard; and a shard
//! sends one request at a time, so each should have as many series as the others. Both are had by dealing out series by their
//! *kin*: what they share with those that stand beside them on a page. Kin go together, and are few:
//!
//! - the parts of one classic histogram or summary;
//! - series of one family whose labels differ in the last one only;
//! - everything else by itself.
//!
//! Kin are dealt out to *classes*, as many as there are shards, and the table of a page knows the class of each of its series and
//! looks for repetitions within it ([`super::table`]). Which shard a class is differs from origin to origin, so that
//! classes of a page which happen to be large do not meet in one shard.
//!
//! All of it is a function of what a series is called, so that a series stays in its shard whatever its page, its family's type or
//! this process become.

use pipeline::{AttributeValue, Origin, Series};
use xxhash_rust::xxh3::Xxh3Default;

/// The most classes there are; the configuration allows as many shards.
pub(crate) const MOST: usize = 200;

/// What a series has in common with its kin, as a number.
pub(crate) fn kin_of(series: &Series) -> u64 {
    let mut hasher = Xxh3Default::new();
    let is_part = |key: &str| key == "le" || key == "quantile";
    let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| series.name.strip_suffix(suffix));
    let is_classic =
        base.is_some() || series.part.label().is_some() || series.attributes.iter().any(|(key, _)| is_part(key));
    hasher.update(base.unwrap_or(&series.name).as_bytes());
    let own = series.attributes.len();
    let counted = if is_classic || own < 2 { own } else { own - 1 };
    for (key, value) in series.attributes.iter().take(counted).filter(|(key, _)| !(is_classic && is_part(key))) {
        hasher.update(&[0xff]);
        hasher.update(key.as_bytes());
        hasher.update(&[0xff]);
        hash_value(&mut hasher, &value);
    }
    hasher.digest()
}

fn hash_value(hasher: &mut Xxh3Default, value: &AttributeValue<'_>) {
    match value {
        AttributeValue::Str(text) => hasher.update(text.as_bytes()),
        AttributeValue::Bytes(bytes) | AttributeValue::Encoded(bytes) => hasher.update(bytes),
        AttributeValue::Int(number) => hasher.update(&number.to_le_bytes()),
        AttributeValue::Double(number) => hasher.update(&number.to_bits().to_le_bytes()),
        AttributeValue::Bool(flag) => hasher.update(&[u8::from(*flag)]),
        AttributeValue::Empty => {}
    }
}

/// The class of kin, of so many.
#[inline]
pub(crate) fn class_of(kin: u64, classes: usize) -> u8 {
    place_of(kin, classes) as u8
}

/// The shard of a class of an origin, where there are as many shards as classes.
#[inline]
pub(crate) fn shard_of(class: u8, turn: usize, shards: usize) -> usize {
    let at = usize::from(class) + turn;
    if at >= shards { at - shards } else { at }
}

/// By how many shards the classes of an origin are moved on.
#[inline]
pub(crate) fn turn_of(origin: &Origin, shards: usize) -> usize {
    place_of(origin.hash(), shards)
}

fn place_of(hash: u64, places: usize) -> usize {
    ((u128::from(hash.wrapping_mul(0x9e37_79b9_7f4a_7c15)) * places as u128) >> 64) as usize
}
