//! The OpenTelemetry resource of a target, after the rules of the Collector's receiver.

use pipeline::{AttributeValue, Attributes, AttributesBuilder};
use prometheus::labels::Labels;
use std::net::IpAddr;

/// What labels begin with that Kubernetes discovery sets.
pub const KUBERNETES_PREFIX: &str = "__meta_kubernetes_";

/// Labels of Kubernetes discovery, without their prefix, and the attributes they become. Where several become one,
/// the last that is there wins.
const KUBERNETES: [(&str, &str); 7] = [
    ("pod_name", "k8s.pod.name"),
    ("pod_uid", "k8s.pod.uid"),
    ("pod_container_name", "k8s.container.name"),
    ("namespace", "k8s.namespace.name"),
    ("pod_node_name", "k8s.node.name"),
    ("node_name", "k8s.node.name"),
    ("endpoint_node_name", "k8s.node.name"),
];

/// Kinds of controllers, and the attribute that holds a controller's name.
const CONTROLLERS: [(&str, &str); 5] = [
    ("ReplicaSet", "k8s.replicaset.name"),
    ("DaemonSet", "k8s.daemonset.name"),
    ("StatefulSet", "k8s.statefulset.name"),
    ("Job", "k8s.job.name"),
    ("CronJob", "k8s.cronjob.name"),
];

/// The resource attributes of a target of `job` known as `instance`. `discovered` are its labels before relabelling:
/// the scheme and Kubernetes' names come from there.
pub fn resource_attributes(job: &str, instance: &str, discovered: &Labels) -> Attributes {
    let mut attributes = AttributesBuilder::default();
    let mut put = |key: &str, value: &str| attributes.push(key, AttributeValue::Str(value));
    put("service.name", job);
    put("service.instance.id", instance);
    let (host, port) = split_host_port(instance).unwrap_or((instance, ""));
    if tells_hosts_apart(host) {
        put("server.address", host);
    }
    put("server.port", port);
    put("url.scheme", discovered.get("__scheme__").unwrap_or_default());
    // Most targets have no label of Kubernetes at all.
    if discovered.iter().any(|(name, _)| name.starts_with(KUBERNETES_PREFIX)) {
        let get = |label: &str| discovered.get(&format!("{KUBERNETES_PREFIX}{label}")).unwrap_or_default();
        for (label, attribute) in KUBERNETES {
            let value = get(label);
            if !value.is_empty() {
                put(attribute, value);
            }
        }
        let (kind, name) = (get("pod_controller_kind"), get("pod_controller_name"));
        if let Some((_, attribute)) = CONTROLLERS.iter().find(|(known, _)| *known == kind)
            && !name.is_empty()
        {
            put(attribute, name);
        }
    }
    attributes.build()
}

/// Host and port as Go's `net.SplitHostPort` finds them; nothing if there is no port or the text is ambiguous.
fn split_host_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    let bracket = |part: &str| part.contains(['[', ']']);
    (!bracket(host) && !bracket(port)).then_some((host, port))
}

/// Whether the host means the same machine to everybody.
fn tells_hosts_apart(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => !address.is_loopback() && !address.is_unspecified(),
        Err(_) => host != "localhost",
    }
}
