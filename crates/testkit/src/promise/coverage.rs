//! What the cases reached, so that the model cannot become empty without anybody seeing it.

use std::collections::BTreeMap;
use std::fmt;

use super::client::Kind;

/// How often each thing happened, by kind of client.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    pub(super) cases: u64,
    pub(super) operations: u64,
    counts: BTreeMap<(&'static str, &'static str), u64>,
}

impl Coverage {
    pub(super) fn count(&mut self, kind: Kind, what: &'static str) {
        *self.counts.entry((kind.name(), what)).or_default() += 1;
    }

    pub(super) fn of(&self, kind: Kind, what: &'static str) -> u64 {
        self.counts.get(&(kind.name(), what)).copied().unwrap_or_default()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} cases, {} operations", self.cases, self.operations)?;
        for ((kind, what), count) in &self.counts {
            writeln!(f, "{kind:>12}  {what:<40} {count:>12}")?;
        }
        Ok(())
    }
}
