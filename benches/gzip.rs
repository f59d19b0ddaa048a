//! Inflating what targets answer.

use crate::harness::Bench;
use crate::page::{SAMPLES, page};
use net::decode::{gunzip, gzip_compress};
use std::error::Error;

/// More than the page has.
const LIMIT: usize = 1 << 20;

pub(crate) fn run(bench: &Bench) -> Result<(), Box<dyn Error>> {
    let body = gzip_compress(page(1).as_bytes(), 6);
    let mut plain = Vec::new();
    gunzip(&body, &mut plain, LIMIT)?;
    bench.measure("gzip: inflate a page", SAMPLES, || gunzip(&body, &mut plain, LIMIT).map(|()| plain.len()));
    Ok(())
}
