//! Signing for AWS: what it costs for each sample of a request, of that what does not depend on the body, and what it would be if the key
//! of the day were derived for each request.

use crate::harness::Bench;
use aws::{Identity, Scope, SignOptions, Signable, sign};
use prometheus::remote_write::SnappyBlockWriter;
use prometheus::remote_write::wire::v1::{TimestampField, put_float_series};
use std::error::Error;
use std::time::SystemTime;

/// Samples of a full request.
const SAMPLES: usize = 10_000;

pub(crate) fn run(bench: &Bench) -> Result<(), Box<dyn Error>> {
    let identity = || Identity::of_keys("ASIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "bench");
    let scope = Scope { region: "eu-west-1".into(), service: "aps".into() };
    let uri = "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-0000/api/v1/remote_write";
    let signed = |identity: &Identity, body: &[u8]| {
        let headers = [("host", "aps-workspaces.eu-west-1.amazonaws.com"), ("content-type", "application/x-protobuf")];
        let signable = Signable { method: "POST", uri, headers: &headers, body };
        sign(&signable, &scope, identity, SystemTime::now(), SignOptions::default())
    };
    let mut writer = SnappyBlockWriter::new();
    let time = TimestampField::new(1_760_000_000_000);
    for at in 0..SAMPLES {
        writer.write(|out| put_float_series(out, &crate::remote_write::labels(at), at as f64, &time));
    }
    let mut body = Vec::new();
    writer.finish(&mut body)?;
    let known = identity();
    bench.measure("sigv4: sign a full request", SAMPLES, || signed(&known, &body));
    bench.measure("sigv4: sign a full request, but for its body", SAMPLES, || signed(&known, &[]));
    // New credentials have no key of the day yet.
    bench.measure("sigv4: the same, and derive the key", SAMPLES, || signed(&identity(), &[]));
    Ok(())
}
