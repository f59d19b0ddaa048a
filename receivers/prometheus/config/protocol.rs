//! Scrape protocols: their names in configurations, and the `Accept` header that asks for them.

use std::fmt;
use std::str::FromStr;

/// A format in which a target may answer. Names are Prometheus', case included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ScrapeProtocol {
    /// `OpenMetricsText0.0.1`.
    OpenMetricsText0,
    /// `OpenMetricsText1.0.0`.
    OpenMetricsText1,
    /// `PrometheusProto`: delimited protobuf, the only one with native histograms.
    PrometheusProto,
    /// `PrometheusText0.0.4`.
    PrometheusText0,
    /// `PrometheusText1.0.0`.
    PrometheusText1,
}

/// Why protocols cannot be asked for. The wording is Prometheus'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A name that no protocol has.
    #[error("unknown scrape protocol {0}, supported: [{all}]", all = names(&ScrapeProtocol::ALL))]
    Unknown(String),
    /// `scrape_protocols: []`.
    #[error("scrape_protocols cannot be empty")]
    Empty,
    /// One protocol twice; case does not count.
    #[error("duplicated protocol in scrape_protocols, got [{}]", .0.join(" "))]
    Duplicate(Vec<String>),
    /// An unknown name in a list.
    #[error("scrape_protocols: {0}")]
    InList(Box<ProtocolError>),
}

impl ScrapeProtocol {
    /// All of them in the order in which messages list them.
    pub const ALL: [Self; 5] = [
        Self::OpenMetricsText0,
        Self::OpenMetricsText1,
        Self::PrometheusProto,
        Self::PrometheusText0,
        Self::PrometheusText1,
    ];

    /// What is asked for where a configuration does not say.
    pub const DEFAULT: [Self; 4] =
        [Self::OpenMetricsText1, Self::OpenMetricsText0, Self::PrometheusText1, Self::PrometheusText0];

    /// What is asked for where a configuration does not say and wants native histograms.
    pub const DEFAULT_WITH_NATIVE_HISTOGRAMS: [Self; 5] = [
        Self::PrometheusProto,
        Self::OpenMetricsText1,
        Self::OpenMetricsText0,
        Self::PrometheusText1,
        Self::PrometheusText0,
    ];

    /// The name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenMetricsText0 => "OpenMetricsText0.0.1",
            Self::OpenMetricsText1 => "OpenMetricsText1.0.0",
            Self::PrometheusProto => "PrometheusProto",
            Self::PrometheusText0 => "PrometheusText0.0.4",
            Self::PrometheusText1 => "PrometheusText1.0.0",
        }
    }

    /// Whether this version reads the format. What it does not read is never asked for.
    pub fn is_read_here(self) -> bool {
        self != Self::PrometheusProto
    }

    /// The media type to ask for, and whether an escaping scheme may be asked for with it.
    fn media_type(self) -> (&'static str, bool) {
        match self {
            Self::OpenMetricsText0 => ("application/openmetrics-text;version=0.0.1", false),
            Self::OpenMetricsText1 => ("application/openmetrics-text;version=1.0.0", true),
            Self::PrometheusProto => {
                ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited", false)
            }
            Self::PrometheusText0 => ("text/plain;version=0.0.4", false),
            Self::PrometheusText1 => ("text/plain;version=1.0.0", true),
        }
    }

    /// Reads a list as `scrape_protocols` has it.
    ///
    /// # Errors
    /// The first that is wrong: nothing at all, a name twice, an unknown name.
    pub fn list<S: AsRef<str>>(given: &[S]) -> Result<Vec<Self>, ProtocolError> {
        if given.is_empty() {
            return Err(ProtocolError::Empty);
        }
        let mut list: Vec<Self> = Vec::with_capacity(given.len());
        for name in given {
            let name = name.as_ref();
            if list.iter().any(|known| known.name().eq_ignore_ascii_case(name)) {
                return Err(ProtocolError::Duplicate(given.iter().map(|name| name.as_ref().to_owned()).collect()));
            }
            list.push(name.parse().map_err(|error| ProtocolError::InList(Box::new(error)))?);
        }
        Ok(list)
    }
}

impl FromStr for ScrapeProtocol {
    type Err = ProtocolError;

    fn from_str(name: &str) -> Result<Self, ProtocolError> {
        Self::ALL
            .into_iter()
            .find(|protocol| protocol.name() == name)
            .ok_or_else(|| ProtocolError::Unknown(name.to_owned()))
    }
}

impl fmt::Display for ScrapeProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn names(protocols: &[ScrapeProtocol]) -> String {
    protocols.iter().map(|protocol| protocol.name()).collect::<Vec<_>>().join(" ")
}

/// The `Accept` header for `protocols` in order of preference, asking for names in `escaping` (`allow-utf-8`,
/// `underscores`, `dots`, `values`). Weights begin at six tenths, which is one more than there are protocols, and
/// fall by a tenth each, as Prometheus has it; whatever else a target speaks comes last.
pub fn accept_header(protocols: &[ScrapeProtocol], escaping: &str) -> String {
    let mut header = String::new();
    let mut tenths = ScrapeProtocol::ALL.len() + 1;
    for protocol in protocols {
        let (media_type, escapes) = protocol.media_type();
        header.push_str(media_type);
        if escapes {
            header.push_str(";escaping=");
            header.push_str(escaping);
        }
        header.push_str(&format!(";q=0.{tenths},"));
        tenths = tenths.saturating_sub(1);
    }
    header.push_str(&format!("*/*;q=0.{tenths}"));
    header
}
