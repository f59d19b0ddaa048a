//! `oxidot doctor`: does to each exporter's destination what the exporter would do, once and with a person watching, and says what to do
//! about what it finds.
//!
//! Nothing in here knows a particular exporter. What is looked at is what all of them have in common: the keys of an HTTP client, an
//! authenticator, and an endpoint ([`destination`]). Each destination gets a block of checks, one a line, in the order in which things have to
//! work: signing, [`credentials`], the [`network`], the [`clock`], and the [`answer`] to one [`write`](mod@write).

mod answer;
mod clock;
mod credentials;
mod destination;
mod examine;
mod network;
mod permission;
mod report;
#[cfg(test)]
mod tests;
mod write;

use crate::service::{Graph, Slot};
use destination::{Destination, Signing};
use report::{Mark, Report};
use std::io::{self, Write};

/// How it is to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DoctorOptions {
    /// Write one sample, [`CANARY`](write::CANARY), instead of a request without any.
    pub canary: bool,
}

/// [`examine`], on standard output.
///
/// # Errors
/// If the operating system gives no runtime.
pub fn run(graph: &Graph, options: DoctorOptions) -> io::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let well = runtime.block_on(examine(graph, options, &mut io::stdout()));
    // A name that is still being looked up must not hold up the end.
    runtime.shutdown_background();
    Ok(well)
}

/// Looks at every exporter that a pipeline uses, and writes to `out` what it finds. Returns whether all is well.
pub async fn examine(graph: &Graph, options: DoctorOptions, out: &mut dyn Write) -> bool {
    let mut report = Report::new(out);
    let (mut exporters, mut ill, mut signed) = (0_usize, 0_usize, 0_usize);
    for (slot, vertex) in &graph.vertices {
        let Slot::Exporter(id) = slot else { continue };
        let destination = match Destination::of(graph, id, vertex) {
            Ok(Some(destination)) => destination,
            Ok(None) => {
                report.block(&format!("exporter \"{id}\""));
                report.line(Mark::Note, "endpoint", "it sends to no other machine; there is nothing to check");
                report.end();
                continue;
            }
            Err(why) => {
                exporters += 1;
                ill += 1;
                report.block(&format!("exporter \"{id}\""));
                report.line(Mark::Fail, "settings", &why);
                report.end();
                continue;
            }
        };
        exporters += 1;
        signed += usize::from(matches!(destination.signing, Signing::Aws { .. }));
        report.block(&format!("exporter \"{id}\" -> {}", destination.shown()));
        examine::destination(&destination, id, graph, options, &mut report).await;
        ill += usize::from(!report.end());
    }
    unused_signers(graph, &mut report);
    let signed = match signed {
        0 => ", none of them signed for AWS".to_owned(),
        number if number == exporters => ", signed for AWS".to_owned(),
        number => format!(", {number} of them signed for AWS"),
    };
    let exporters = match exporters {
        0 => "No exporter sends to another machine".to_owned(),
        1 => format!("1 exporter{signed}"),
        number => format!("{number} exporters{signed}"),
    };
    match ill {
        0 => report.say(&format!("{exporters}: all is well.")),
        1 => report.say(&format!("{exporters}: 1 has something to fix.")),
        number => report.say(&format!("{exporters}: {number} have something to fix.")),
    }
    ill == 0
}

/// An extension that signs and that no exporter uses is mostly a forgotten `auth` block.
fn unused_signers(graph: &Graph, report: &mut Report<'_>) {
    for (slot, vertex) in &graph.vertices {
        let Slot::Extension(id) = slot else { continue };
        let is_used = graph.vertices.iter().any(|(other, vertex)| {
            matches!(other, Slot::Exporter(_) | Slot::Receiver(_)) && crate::service::mentions(&vertex.config, id)
        });
        if vertex.factory.type_name == destination::SIGNER && !is_used {
            report.block(&format!("extension \"{id}\""));
            let text = format!("no exporter uses it; one that should be signed needs auth: {{authenticator: {id}}}");
            report.line(Mark::Note, "signing", &text);
            report.end();
        }
    }
}
