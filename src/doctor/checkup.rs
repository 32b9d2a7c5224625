//! What was found when the store was last looked at, by a server that serves from it.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::{Finding, Severity};

/// What was last found.
#[derive(Debug, Default)]
pub struct Checkup(ArcSwapOption<Vec<Finding>>);

impl Checkup {
    /// What was last found, the worst first. Nothing before the first look.
    pub fn found(&self) -> Option<Arc<Vec<Finding>>> {
        self.0.load_full()
    }

    /// Keeps what was found. Gives what breaks a promise and was not there before.
    pub fn learn(&self, findings: Vec<Finding>) -> Vec<Finding> {
        let before = self.0.swap(Some(Arc::new(findings.clone()))).unwrap_or_default();
        let is_news = |finding: &Finding| {
            !before.iter().any(|known| (known.finding, &known.at) == (finding.finding, &finding.at))
        };
        findings
            .into_iter()
            .filter(|finding| finding.severity == Severity::Error && is_news(finding))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_a_promise_is_news_once() {
        let finding = |severity, finding, what: &str| Finding {
            severity,
            finding,
            at: Some("here".to_owned()),
            what: what.to_owned(),
            why: "",
            change: String::new(),
        };
        let checkup = Checkup::default();
        assert_eq!(checkup.found(), None);
        let (evicts, slow) =
            (finding(Severity::Error, "eviction", "a"), finding(Severity::Warning, "slow", "b"));
        assert_eq!(checkup.learn(vec![evicts.clone(), slow.clone()]), std::slice::from_ref(&evicts));
        assert_eq!(checkup.found(), Some(Arc::new(vec![evicts.clone(), slow.clone()])));
        assert_eq!(checkup.learn(vec![finding(Severity::Error, "eviction", "in other words")]), []);
        assert_eq!(checkup.learn(Vec::new()), []);
        assert_eq!(checkup.found(), Some(Arc::default()));
        assert_eq!(checkup.learn(vec![evicts.clone()]), [evicts], "it was gone in between");
    }
}
