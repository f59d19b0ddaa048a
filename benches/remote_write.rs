//! Remote write: encoding, compressing, and decompressing what comes.

use crate::harness::Bench;
use crate::page::SAMPLES;
use prometheus::remote_write::SnappyBlockWriter;
use prometheus::remote_write::snappy::decode_block;
use prometheus::remote_write::wire::v1::{TimestampField, put_float_series, put_label};
use std::error::Error;

/// Some time, in milliseconds.
const NOW: i64 = 1_760_000_000_000;
/// More than any request here.
const LIMIT: usize = 64 << 20;

pub(crate) fn run(bench: &Bench) -> Result<(), Box<dyn Error>> {
    let labels: Vec<Vec<u8>> = (0..SAMPLES).map(labels).collect();
    let time = TimestampField::new(NOW);
    let mut raw = Vec::new();
    bench.measure("remote write: encode", SAMPLES, || {
        raw.clear();
        for (at, labels) in labels.iter().enumerate() {
            put_float_series(&mut raw, labels, at as f64, &time);
        }
        raw.len()
    });
    let mut writer = SnappyBlockWriter::new();
    let mut body = Vec::new();
    let mut seal = |writer: &mut SnappyBlockWriter| {
        body.clear();
        writer.finish(&mut body).map(|()| body.len())
    };
    bench.measure("remote write: encode and compress", SAMPLES, || {
        for (at, labels) in labels.iter().enumerate() {
            writer.write(|out| put_float_series(out, labels, at as f64, &time));
        }
        seal(&mut writer)
    });
    raw.clear();
    for (at, labels) in labels.iter().enumerate() {
        put_float_series(&mut raw, labels, at as f64, &time);
    }
    bench.measure("remote write: compress", SAMPLES, || {
        writer.put(&raw);
        seal(&mut writer)
    });
    let mut block = Vec::new();
    writer.put(&raw);
    writer.finish(&mut block)?;
    let mut plain = Vec::new();
    bench
        .measure("remote write: decompress", SAMPLES, || decode_block(&block, LIMIT, &mut plain).map(|()| plain.len()));
    Ok(())
}

/// The labels of one series, encoded.
pub(crate) fn labels(at: usize) -> Vec<u8> {
    let (name, handler) = (format!("app_requests_{}_total", at / 20), format!("/api/v1/items/{}", at % 20));
    let mut out = Vec::new();
    for (name, value) in [
        ("__name__", name.as_str()),
        ("code", "200"),
        ("handler", handler.as_str()),
        ("instance", "10.0.0.1:9100"),
        ("job", "app"),
        ("method", "get"),
    ] {
        put_label(&mut out, name.as_bytes(), value.as_bytes());
    }
    out
}
