//! The keys of one entry of `scrape_configs` as written.

use pipeline::config::Node;
use prometheus::duration::PromDuration;
use prometheus::size::ByteSize;
use std::collections::BTreeMap;

/// Declares the keys of a scrape configuration: typed ones, those of discovery mechanisms, and with them those of the
/// HTTP client.
macro_rules! scrape_keys {
    ($(#[$attribute:meta])* { $($key:ident: $type:ty,)+ } discovery { $($mechanism:ident)+ }) => {
        net::prometheus_http_client_config! {
            $(#[$attribute])*
            pub(super) struct ScrapeKeys {
                $(pub(super) $key: $type,)+
                $($mechanism: Option<Vec<Node>>,)+
            }
        }

        impl ScrapeKeys {
            /// Name and entries of each discovery mechanism that is used.
            pub(super) fn discovery(&self) -> impl Iterator<Item = (&'static str, &[Node])> {
                [$((stringify!($mechanism), self.$mechanism.as_deref().unwrap_or_default()),)+]
                    .into_iter()
                    .filter(|(_, entries)| !entries.is_empty())
            }
        }
    };
}

scrape_keys! {
    /// The keys of a scrape configuration.
    #[derive(Debug, Default, serde::Deserialize)]
    #[serde(rename = "config.ScrapeConfig", default)]
    {
        job_name: String,
        scrape_interval: PromDuration,
        scrape_timeout: PromDuration,
        scrape_protocols: Option<Vec<String>>,
        fallback_scrape_protocol: String,
        metrics_path: Option<String>,
        scheme: Option<String>,
        params: BTreeMap<String, Vec<String>>,
        honor_labels: bool,
        honor_timestamps: Option<bool>,
        track_timestamps_staleness: bool,
        enable_compression: Option<bool>,
        body_size_limit: ByteSize,
        sample_limit: u64,
        target_limit: u64,
        label_limit: u64,
        label_name_length_limit: u64,
        label_value_length_limit: u64,
        keep_dropped_targets: u64,
        native_histogram_bucket_limit: u64,
        native_histogram_min_bucket_factor: f64,
        scrape_native_histograms: Option<bool>,
        always_scrape_classic_histograms: Option<bool>,
        convert_classic_histograms_to_nhcb: Option<bool>,
        extra_scrape_metrics: Option<bool>,
        metric_name_validation_scheme: String,
        metric_name_escaping_scheme: String,
        scrape_failure_log_file: String,
        relabel_configs: Vec<Node>,
        metric_relabel_configs: Vec<Node>,
    }
    discovery {
        static_configs
        file_sd_configs
        http_sd_configs
        aws_sd_configs
        azure_sd_configs
        consul_sd_configs
        digitalocean_sd_configs
        dns_sd_configs
        docker_sd_configs
        dockerswarm_sd_configs
        ec2_sd_configs
        ecs_sd_configs
        elasticache_sd_configs
        eureka_sd_configs
        gce_sd_configs
        hetzner_sd_configs
        ionos_sd_configs
        kubernetes_sd_configs
        kuma_sd_configs
        lightsail_sd_configs
        linode_sd_configs
        marathon_sd_configs
        msk_sd_configs
        nerve_sd_configs
        nomad_sd_configs
        oci_sd_configs
        openstack_sd_configs
        outscale_sd_configs
        ovhcloud_sd_configs
        puppetdb_sd_configs
        rds_sd_configs
        scaleway_sd_configs
        serverset_sd_configs
        stackit_sd_configs
        triton_sd_configs
        uyuni_sd_configs
        vultr_sd_configs
    }
}
