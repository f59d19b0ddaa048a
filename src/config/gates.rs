//! `--feature-gates`: the Collector's gates are accepted, so that command lines carry over; three have an effect.

use std::collections::BTreeMap;

use pipeline::config::{Entry, Node, Scalar, Value, suggest};

/// How far a gate has come in the Collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Off unless switched on.
    Alpha,
    /// On unless switched off.
    Beta,
    /// On for good: the behaviour is no longer a choice.
    Stable,
}

/// A gate that may be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownGate {
    /// Its id; `*` stands for any rest of a name.
    pub id: &'static str,
    /// Its stage, which decides what it is when nobody names it.
    pub stage: Stage,
    /// Whether switching it changes anything here.
    pub has_effect: bool,
}

const fn gate(id: &'static str, stage: Stage) -> KnownGate {
    KnownGate { id, stage, has_effect: false }
}

/// A gate that is what a key of exporters is where a file does not have it.
struct GatedKey {
    id: &'static str,
    key: &'static str,
    exporters: &'static [&'static str],
}

const PERMISSIVE_LABELS: GatedKey = GatedKey {
    id: "pkg.translator.prometheus.PermissiveLabelSanitization",
    key: "permissive_label_sanitization",
    exporters: &["prometheusremotewrite", "awsprometheusremotewrite", "prometheus"],
};

/// All gates of the ADOT Collector 0.49 and a few that older command lines name, in order of their ids.
pub const KNOWN_GATES: &[KnownGate] = &[
    gate("adot.exporter.*", Stage::Alpha),
    gate("awsemf.nodimrollupdefault", Stage::Alpha),
    gate("component.UseLocalHostAsDefaultHost", Stage::Stable),
    KnownGate { has_effect: true, ..gate("confmap.enableMergeAppendOption", Stage::Alpha) },
    gate("confmap.strictlyTypedInput", Stage::Stable),
    gate("confmap.unifyEnvVarExpansion", Stage::Stable),
    gate("exporter.file.nativeCompression", Stage::Alpha),
    gate("exporter.prometheusexporter.DisableAddMetricSuffixes", Stage::Beta),
    gate("exporter.prometheusremotewritexporter.EnableMultipleWorkers", Stage::Alpha),
    gate("exporter.prometheusremotewritexporter.RetryOn429", Stage::Alpha),
    gate("exporter.prometheusremotewritexporter.enableSendingRW2", Stage::Alpha),
    gate("exporter.xray.allowDot", Stage::Beta),
    gate("extension.healthcheck.useComponentStatus", Stage::Alpha),
    gate("filelog.*", Stage::Alpha),
    gate("metricsgeneration.MatchAttributes", Stage::Alpha),
    gate("otelcol.printInitialConfig", Stage::Alpha),
    gate("ottl.*", Stage::Alpha),
    gate("pdata.useProtoPooling", Stage::Alpha),
    gate("pkg.translator.prometheus.NormalizeName", Stage::Beta),
    KnownGate { has_effect: true, ..gate(PERMISSIVE_LABELS.id, Stage::Alpha) },
    gate("processor.filter.defaultErrorModeIgnore", Stage::Beta),
    gate("processor.k8sattributes.DontEmitV0K8sConventions", Stage::Alpha),
    gate("processor.k8sattributes.EmitV1K8sConventions", Stage::Alpha),
    gate("processor.k8sattributes.ShareProcessorBetweenPipelines", Stage::Alpha),
    gate("processor.k8sattributes.telemetry.disableOldFormatMetrics", Stage::Alpha),
    gate("processor.k8sattributes.telemetry.enableNewFormatMetrics", Stage::Alpha),
    gate("processor.tailsamplingprocessor.*", Stage::Alpha),
    gate("receiver.awscontainerinsightreceiver.useNewTypeName", Stage::Alpha),
    gate("receiver.prometheusreceiver.EnableCreatedTimestampZeroIngestion", Stage::Alpha),
    gate("receiver.prometheusreceiver.IgnoreScopeInfoMetric", Stage::Beta),
    gate("receiverhelper.newReceiverMetrics", Stage::Alpha),
    KnownGate { has_effect: true, ..gate("service.AllowNoPipelines", Stage::Alpha) },
    gate("service.profilesSupport", Stage::Alpha),
    gate("telemetry.newPipelineTelemetry", Stage::Alpha),
];

/// Why a `--feature-gates` argument is refused. The wording is the Collector's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// No gate is called so.
    #[error("no such feature gate {id:?}. valid gates: [{valid}]{hint}")]
    Unknown {
        /// What was asked for.
        id: String,
        /// All known ids.
        valid: String,
        /// The closest ones, as a question, or nothing.
        hint: String,
    },
    /// `-gate` for a stable one.
    #[error("feature gate {0:?} is stable, can not be disabled")]
    Stable(String),
    /// A sign or a comma without a name.
    #[error("a feature gate's name is missing in {0:?}; write --feature-gates=+this,-that")]
    Nameless(String),
}

/// The gates that were switched, and notices about them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeatureGates {
    switched: BTreeMap<String, bool>,
    notices: Vec<String>,
}

impl FeatureGates {
    /// Reads `--feature-gates` arguments: ids with commas between, `-` before those to be switched off and
    /// optionally `+` before the others. Later ones win.
    ///
    /// # Errors
    /// The first unknown gate, or a stable one to be switched off.
    pub fn parse<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Result<Self, GateError> {
        let mut gates = Self::default();
        for argument in arguments {
            for part in argument.split(',').map(str::trim).filter(|_| !argument.trim().is_empty()) {
                let (id, on) = match part.strip_prefix('-') {
                    Some(id) => (id, false),
                    None => (part.strip_prefix('+').unwrap_or(part), true),
                };
                gates.switch(id, on, argument)?;
            }
        }
        Ok(gates)
    }

    fn switch(&mut self, id: &str, on: bool, argument: &str) -> Result<(), GateError> {
        if id.is_empty() {
            return Err(GateError::Nameless(argument.to_owned()));
        }
        let Some(known) = find(id) else { return Err(unknown(id)) };
        match (known.stage, on) {
            (Stage::Stable, false) => return Err(GateError::Stable(id.to_owned())),
            (Stage::Stable, true) => self.notices.push(format!(
                "feature gate {id:?} is stable and already enabled; its name can be dropped from the command line"
            )),
            _ if !known.has_effect && on != (known.stage == Stage::Beta) => {
                self.notices.push(format!("feature gate {id:?} is known but changes nothing here"));
            }
            _ => {}
        }
        self.switched.insert(id.to_owned(), on);
        Ok(())
    }

    /// Whether the gate is on, by choice or by its stage. Unknown gates are off.
    pub fn is_enabled(&self, id: &str) -> bool {
        match self.switched.get(id) {
            Some(on) => *on,
            None => find(id).is_some_and(|known| known.stage != Stage::Alpha),
        }
    }

    /// Writes into the block of an exporter of this type what gates that are on make of keys that it does not have.
    pub fn complete(&self, exporter: &str, block: &mut Node) {
        let GatedKey { id, key, exporters } = PERMISSIVE_LABELS;
        if !self.is_enabled(id) || !exporters.contains(&exporter) || block.get(key).is_some() {
            return;
        }
        let span = block.span.clone();
        if block.is_null() {
            *block = Node::empty_mapping(span.clone());
        }
        if let Value::Mapping(mapping) = &mut block.value {
            let value = Node { value: Value::Scalar(Scalar::plain("true")), ..Node::null(span.clone()) };
            mapping.entries.push(Entry { key: key.to_owned(), key_span: span, value });
        }
    }

    /// What the user should know about the gates named, to be logged.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }
}

fn find(id: &str) -> Option<&'static KnownGate> {
    KNOWN_GATES.iter().find(|known| match known.id.strip_suffix('*') {
        Some(prefix) => id.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()),
        None => known.id == id,
    })
}

/// The error for an id that is not known, naming the three closest ones: by spelling, and by the last part of the
/// name, since people remember `RetryOn429` and forget what stands before it.
fn unknown(id: &str) -> GateError {
    let ids = || KNOWN_GATES.iter().map(|known| known.id);
    let tail = |name: &str| name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase();
    let mut close: Vec<&str> = suggest(id, ids()).into_iter().collect();
    for name in ids().filter(|name| !name.ends_with('*')) {
        let near = tail(name) == tail(id) || suggest(&tail(id), [tail(name).as_str()]).is_some();
        if near && !close.contains(&name) && close.len() < 3 {
            close.push(name);
        }
    }
    let hint = match close.as_slice() {
        [] => String::new(),
        names => {
            let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
            format!("; did you mean {}?", names.join(" or "))
        }
    };
    GateError::Unknown { id: id.to_owned(), valid: ids().collect::<Vec<_>>().join(" "), hint }
}
