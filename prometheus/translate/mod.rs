//! Translation between OTLP and Prometheus data.
