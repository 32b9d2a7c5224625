//! Whether a store is fit for what is promised: a pure judgement of facts. Each finding says what is wrong, why that matters, and
//! what to change.

mod checkup;
pub mod clock;
mod group;
mod process;

use serde::Serialize;

use crate::store::redis::inspect::Facts;

pub use checkup::Checkup;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It breaks a promise.
    Error,
    /// It puts one at risk.
    Warning,
    /// Worth knowing.
    Note,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of finding it is: stable, for scripts.
    pub finding: &'static str,
    /// Which process; none where it is about all of them.
    pub at: Option<String>,
    /// What is wrong.
    pub what: String,
    /// Why that matters.
    pub why: &'static str,
    /// What to change.
    pub change: String,
}

/// What is found, and where.
struct Findings {
    found: Vec<Finding>,
    at: Option<String>,
}

impl Findings {
    fn add(
        &mut self,
        severity: Severity,
        finding: &'static str,
        what: impl Into<String>,
        why: &'static str,
        change: impl Into<String>,
    ) {
        let (at, what, change) = (self.at.clone(), what.into(), change.into());
        self.found.push(Finding { severity, finding, at, what, why, change });
    }
}

/// Judges what was found, for a server with `sync_replicas`. The worst comes first.
pub fn judge(facts: &Facts, sync_replicas: u8) -> Vec<Finding> {
    let mut findings = Findings { found: Vec::new(), at: None };
    group::judge(facts, sync_replicas, &mut findings);
    for process in &facts.processes {
        findings.at = Some(process.at.clone());
        process::judge(facts, process, sync_replicas, &mut findings);
    }
    findings.found.sort_by_key(|finding| finding.severity);
    findings.found
}

#[cfg(test)]
mod tests;
