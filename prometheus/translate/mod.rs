//! Translation between the names of OTLP and those of Prometheus.

#[cfg(test)]
pub(crate) mod vectors;
