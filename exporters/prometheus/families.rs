//! The families that are shown: one type, help and unit for each name.

use std::collections::HashMap;
use std::sync::Arc;

use prometheus::translate::UnitNamer;

use super::rules::{Exposed, Kind, Reason};

/// Families by the name they are shown under.
#[derive(Debug, Default)]
pub(super) struct Families(HashMap<String, Shown>);

/// What is shown above the series of a family.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) kind: Kind,
    pub(super) help: Arc<str>,
    pub(super) unit: Arc<str>,
    users: usize,
}

impl Shown {
    /// The unit as a word at the end of the family's name (without `_total`), as OpenMetrics wants it.
    pub(super) fn unit_word(&self, family: &str) -> Option<String> {
        let word = UnitNamer { utf8: false }.build(&self.unit);
        let base = family.strip_suffix(&word).filter(|base| !word.is_empty() && base.ends_with('_'));
        base.is_some().then_some(word)
    }
}

impl Families {
    /// Notes one more series of a family. Where the type of one of them is not known, the other's counts; the
    /// first help and unit stand.
    pub(super) fn claim(&mut self, exposed: &Exposed, help: &Arc<str>, unit: &Arc<str>) -> Result<(), Reason> {
        let Some(shown) = self.0.get_mut(&exposed.family) else {
            let shown = Shown { kind: exposed.kind, help: Arc::clone(help), unit: Arc::clone(unit), users: 1 };
            self.0.insert(exposed.family.clone(), shown);
            return Ok(());
        };
        if shown.kind == Kind::Untyped {
            *shown = Shown { kind: exposed.kind, help: Arc::clone(help), unit: Arc::clone(unit), ..*shown };
        } else if exposed.kind != Kind::Untyped && exposed.kind != shown.kind {
            return Err("conflicting_type");
        }
        shown.users += 1;
        Ok(())
    }

    /// Notes one series less.
    pub(super) fn release(&mut self, family: &str) {
        if let Some(shown) = self.0.get_mut(family) {
            shown.users -= 1;
            if shown.users == 0 {
                self.0.remove(family);
            }
        }
    }

    pub(super) fn get(&self, family: &str) -> Option<&Shown> {
        self.0.get(family)
    }

    /// All names, sorted.
    pub(super) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.0.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }
}
