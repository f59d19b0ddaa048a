//! What runs when no configuration is named: the whole main job on one machine, with no other program.
//!
//! The process scrapes its own metrics and takes OTLP, sends metrics by remote write to itself, and shows what arrived on a page.

use crate::config::DefaultConfig;
use crate::service::Slot;
use pipeline::component::ComponentKind;
use pipeline::config::ComponentId;
use pipeline::telemetry::Telemetry;
use std::fmt;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::OnceLock;
use std::time::Duration;

/// The file as it is in the repository.
pub const TEXT: &str = include_str!("../configs/default.yaml");

/// What the default configuration is called where it has errors.
const NAME: &str = "default.yaml";

/// How often the terminal says what was delivered: often enough to see it live, seldom enough to read it.
pub const STATUS_EVERY: Duration = Duration::from_secs(5);

/// What the default configuration listens on, as the file has it.
const PORTS: [(u16, &str); 5] = [
    (8888, "service::telemetry::metrics (own metrics)"),
    (19291, "receivers::prometheusremotewrite (what arrives)"),
    (9464, "exporters::prometheus (what arrived)"),
    (4317, "receivers::otlp (gRPC)"),
    (4318, "receivers::otlp (HTTP)"),
];

/// Whether a component belongs to the pipeline that stands in for a store: it has to outlive what delivers to it.
pub fn is_store(slot: &Slot) -> bool {
    matches!(
        (slot.kind(), slot.id().map(ComponentId::type_name)),
        (ComponentKind::Receiver, Some("prometheusremotewrite")) | (ComponentKind::Exporter, Some("prometheus"))
    )
}

/// The default configuration with the ports of the file, to be looked at and not run.
pub fn as_written() -> DefaultConfig {
    DefaultConfig { name: NAME, text: TEXT }
}

/// The default configuration on ports that were free when it was made.
#[derive(Clone, Debug)]
pub struct DefaultService {
    ports: [u16; 5],
    text: String,
}

impl DefaultService {
    /// Takes the ports of the file, and for those that are in use free ones.
    pub fn on_free_ports() -> Self {
        Self::on_ports(PORTS.map(|(port, _)| if is_free(port) { port } else { any_free().unwrap_or(port) }))
    }

    fn on_ports(ports: [u16; 5]) -> Self {
        // Through marks, lest a chosen port be taken for one of the file.
        let mut text = TEXT.to_owned();
        for (index, (port, _)) in PORTS.iter().enumerate() {
            text = text.replace(&port.to_string(), &format!("<{index}>"));
        }
        for (index, port) in ports.iter().enumerate() {
            text = text.replace(&format!("<{index}>"), &port.to_string());
        }
        Self { ports, text }
    }

    /// As [`crate::config::load`] takes it. The first call in a process decides.
    pub fn config(&self) -> DefaultConfig {
        static CHOSEN: OnceLock<String> = OnceLock::new();
        DefaultConfig { name: NAME, text: CHOSEN.get_or_init(|| self.text.clone()) }
    }

    /// One line about what was delivered so far.
    pub fn status(telemetry: &Telemetry) -> String {
        format!(
            "delivered {} samples of {} series in {} requests; {} waiting, {} given up",
            telemetry.total("otelcol_exporter_prometheusremotewrite_written_samples"),
            telemetry.total("oxidot_active_series"),
            telemetry.total("otelcol_exporter_prometheusremotewrite_sent_batches"),
            telemetry.total("otelcol_exporter_queue_size"),
            telemetry.total("otelcol_exporter_send_failed_metric_points")
                + telemetry.total("otelcol_exporter_enqueue_failed_metric_points"),
        )
    }
}

impl fmt::Display for DefaultService {
    /// What to look at, for somebody who has just started the program.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [own, receiver, exporter, grpc, http] = self.ports;
        writeln!(f, "No --config given: Oxidot runs its built-in example.")?;
        writeln!(f, "It scrapes its own metrics every 2 seconds and sends them to itself by Prometheus remote write:")?;
        writeln!(f, "  what it scrapes    http://127.0.0.1:{own}/metrics")?;
        writeln!(f, "  where it writes    http://127.0.0.1:{receiver}/api/v1/write")?;
        writeln!(f, "  what arrived       http://127.0.0.1:{exporter}/metrics")?;
        writeln!(f, "Applications may send OTLP to 127.0.0.1:{grpc} (gRPC) and http://127.0.0.1:{http}.")?;
        for ((usual, key), port) in PORTS.iter().zip(self.ports) {
            if *usual != port {
                writeln!(f, "Port {usual} is in use, so {port} is taken for {key}.")?;
            }
        }
        writeln!(f, "Print this configuration with `oxidot print-config`, run your own with `oxidot --config FILE`.")?;
        writeln!(f, "Ctrl-C ends it.")
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// A port that nobody listens on at the moment.
fn any_free() -> Option<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
    Some(listener.local_addr().ok()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_ports_take_the_place_of_those_of_the_file() {
        // The second is one that the file has in another place.
        let service = DefaultService::on_ports([1111, 8888, 2222, 3333, 5555]);
        let count = |text: &str| service.text.matches(text).count();
        let before = |text: &str| TEXT.matches(text).count();
        assert_eq!(count("1111"), before("8888"));
        assert_eq!(count("8888"), before("19291"));
        assert_eq!(count("2222"), before("9464"));
        assert_eq!(count("19291"), 0);
        let greeting = service.to_string();
        assert!(greeting.contains("http://127.0.0.1:2222/metrics"), "{greeting}");
        assert!(
            greeting.contains("Port 8888 is in use, so 1111 is taken for service::telemetry::metrics"),
            "{greeting}"
        );
    }

    #[test]
    fn every_port_is_in_the_file() {
        assert!(
            PORTS.iter().all(|(port, _)| TEXT.contains(&format!(":{port}")) || TEXT.contains(&format!(": {port}")))
        );
    }

    #[test]
    fn a_port_in_use_is_not_free() {
        let taken = any_free().and_then(|port| Some((TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?, port)));
        assert!(taken.is_some_and(|(_listener, port)| !is_free(port)));
    }
}
