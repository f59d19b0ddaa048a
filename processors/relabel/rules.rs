//! The rules, and which of an origin's labels could matter to them.

use prometheus::labels::LabelsBuilder;
use prometheus::names::ValidationScheme;
use prometheus::relabel::{Action, LabelScope, RelabelConfig, RelabelError, RelabelRules};

/// How much a label of an origin matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Touch {
    /// Not at all: whatever its value, it stays as it is.
    Not,
    /// It may be set or removed, whatever its value.
    Written,
    /// Its value may decide about something.
    Read,
}

/// Compiled rules.
#[derive(Debug, Default)]
pub(super) struct Rules {
    all: RelabelRules,
    /// Those that change labels; all but those that keep and drop.
    rewriting: RelabelRules,
    each: Vec<Rule>,
}

/// One rule by itself.
#[derive(Debug)]
struct Rule {
    concerns: Concerns,
    rule: RelabelRules,
}

/// How to find out which labels a rule concerns.
#[derive(Debug)]
enum Concerns {
    /// It names them.
    Names { reads: LabelScope, writes: LabelScope },
    /// It matches names of labels and removes some.
    Removal,
    /// It matches names of labels and copies to a name that depends on them (`None`), or to this one.
    Copy(Option<String>),
}

impl Rules {
    /// Checks and compiles rules.
    ///
    /// # Errors
    /// The first rule that Prometheus would refuse, and why.
    pub(super) fn compile(configs: &[RelabelConfig], scheme: ValidationScheme) -> Result<Self, (usize, RelabelError)> {
        let mut each = Vec::with_capacity(configs.len());
        let mut rewriting = Vec::new();
        for (at, config) in configs.iter().enumerate() {
            let compiled = config.compile(scheme).map_err(|error| (at, error))?;
            let rule = RelabelRules::compile(std::slice::from_ref(config), scheme).map_err(|error| (at, error))?;
            if !matches!(compiled.action(), Action::Keep | Action::Drop | Action::KeepEqual | Action::DropEqual) {
                rewriting.push(config.clone());
            }
            let concerns = match compiled.action() {
                Action::LabelDrop | Action::LabelKeep => Concerns::Removal,
                Action::LabelMap => {
                    // The default refers to what was matched.
                    Concerns::Copy(config.replacement.clone().filter(|replacement| !replacement.contains('$')))
                }
                _ => Concerns::Names { reads: rule.reads(), writes: rule.writes() },
            };
            each.push(Rule { concerns, rule });
        }
        let compile = |configs: &[RelabelConfig]| RelabelRules::compile(configs, scheme).map_err(|error| (0, error));
        Ok(Self { all: compile(configs)?, rewriting: compile(&rewriting)?, each })
    }

    /// Applies the rules. False if the series is dropped, which a series without labels is, too.
    pub(super) fn apply(&self, labels: &mut LabelsBuilder) -> bool {
        self.all.apply(labels) && !labels.is_empty()
    }

    /// Applies those rules that change labels, whatever the others say.
    pub(super) fn rewrite(&self, labels: &mut LabelsBuilder) {
        let kept = self.rewriting.apply(labels);
        debug_assert!(kept, "none of these rules drops");
    }

    /// How much a label of this name matters.
    pub(super) fn touch(&self, name: &str) -> Touch {
        // What is removed or overwritten of labels that are gone in the end is of no interest.
        let written = if name.starts_with("__") { Touch::Not } else { Touch::Written };
        let of = |rule: &Rule| match &rule.concerns {
            Concerns::Names { reads, .. } if reads.contains(name) => Touch::Read,
            Concerns::Names { writes, .. } if writes.contains(name) => written,
            Concerns::Names { .. } => Touch::Not,
            Concerns::Removal if rule.left_of(name).is_empty() => written,
            Concerns::Removal => Touch::Not,
            Concerns::Copy(_) if rule.left_of(name).len() > 1 => Touch::Read,
            Concerns::Copy(Some(target)) if target != name => Touch::Not,
            Concerns::Copy(_) => written,
        };
        self.each.iter().map(of).max().unwrap_or(Touch::Not)
    }
}

impl Rule {
    /// What the rule leaves of a label of this name, or makes of it.
    fn left_of(&self, name: &str) -> LabelsBuilder {
        let mut labels = LabelsBuilder::new();
        labels.set(name, "x");
        // Only asked of rules that do not drop.
        if !self.rule.apply(&mut labels) {
            labels.clear();
        }
        labels
    }
}
