//! What a reader asks for: which format, and whether compressed.

use http::HeaderMap;
use http::header::{ACCEPT, ACCEPT_ENCODING};

/// The form of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageForm {
    /// OpenMetrics 1.0 instead of the text format 0.0.4.
    pub(super) open_metrics: bool,
    /// Names outside the traditional set are shown in quotes instead of being escaped.
    pub(super) utf8: bool,
    /// Show the time of each point.
    pub(super) timestamps: bool,
}

impl PageForm {
    /// The first form in the reader's order of preference that can be had; the text format for those who
    /// accept none of them.
    pub(super) fn wanted(headers: &HeaderMap, may_be_open_metrics: bool, timestamps: bool) -> Self {
        let mut best: Option<(f64, Self)> = None;
        for range in lists(headers, ACCEPT) {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let (mut quality, mut version, mut utf8) = (1.0, "", false);
            for (key, value) in parts.filter_map(|part| part.split_once('=')) {
                match key.trim() {
                    "q" => quality = value.trim().parse().unwrap_or(0.0),
                    "version" => version = value.trim(),
                    "escaping" => utf8 = value.trim() == "allow-utf-8",
                    _ => {}
                }
            }
            let open_metrics = match media {
                "application/openmetrics-text" if ["", "0.0.1", "1.0.0"].contains(&version) => may_be_open_metrics,
                "text/plain" | "text/*" | "*/*" if ["", "0.0.4", "1.0.0"].contains(&version) => false,
                _ => continue,
            };
            if media.starts_with("application/") && !open_metrics {
                continue;
            }
            if quality > 0.0 && best.is_none_or(|(before, _)| quality > before) {
                best = Some((quality, Self { open_metrics, utf8, timestamps }));
            }
        }
        best.map_or(Self { open_metrics: false, utf8: false, timestamps }, |(_, form)| form)
    }

    pub(super) fn content_type(self) -> &'static str {
        match (self.open_metrics, self.utf8) {
            (false, false) => "text/plain; version=0.0.4; charset=utf-8",
            // Names in quotes came with version 1.0.0 of the format.
            (false, true) => "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            (true, false) => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            (true, true) => "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
        }
    }
}

/// Whether the reader takes gzip.
pub(super) fn wants_gzip(headers: &HeaderMap) -> bool {
    lists(headers, ACCEPT_ENCODING).any(|coding| {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = parameters.trim().strip_prefix("q=").is_some_and(|q| q.trim().parse() == Ok(0.0));
        ["gzip", "*"].contains(&name.trim()) && !refused
    })
}

fn lists(headers: &HeaderMap, name: http::HeaderName) -> impl Iterator<Item = &str> {
    headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','))
}
