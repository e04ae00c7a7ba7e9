//! The results of one report.
use super::{finding::Finding, limits::Limits, scope::Scope};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Findings by result id, and what had to go. Sum of counts + `evicted_matches` = matches recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    /// By result id.
    pub findings: BTreeMap<String, Finding>,
    /// Results taken out for more important ones.
    pub evicted_results: u64,
    /// Matches of those.
    pub evicted_matches: u64,
    /// Journal position up to which this is whole; 0: none.
    pub seq: u64,
    /// When the pod was gone, milliseconds since 1970.
    pub gone_at: Option<i64>,
}

impl Book {
    /// Adds matches. True when that made a result that was not there, and stayed.
    pub(super) fn record(&mut self, finding: &Finding, scope: &Scope, node: &str, limits: &Limits) -> bool {
        let id = finding.result_id(scope, node);
        if let Some(known) = self.findings.get_mut(&id) {
            known.absorb(finding);
            return false;
        }
        self.findings.insert(id.clone(), finding.clone());
        while self.findings.len() > limits.results {
            self.evict();
        }
        self.findings.contains_key(&id)
    }

    /// Takes the least important finding out. Returns false when there is none.
    pub(super) fn evict(&mut self) -> bool {
        let least = self.findings.iter().min_by_key(|(_, finding)| finding.importance()).map(|(id, _)| id.clone());
        let Some(gone) = least.and_then(|id| self.findings.remove(&id)) else { return false };
        self.evicted_results += 1;
        self.evicted_matches = self.evicted_matches.saturating_add(gone.count);
        true
    }

    /// Adds all of another book of the same scope.
    pub(super) fn merge(&mut self, other: &Self, limits: &Limits) {
        for (id, finding) in &other.findings {
            match self.findings.get_mut(id) {
                Some(known) => known.absorb(finding),
                None => {
                    self.findings.insert(id.clone(), finding.clone());
                }
            }
        }
        self.evicted_results += other.evicted_results;
        self.evicted_matches = self.evicted_matches.saturating_add(other.evicted_matches);
        self.seq = self.seq.max(other.seq);
        self.gone_at = other.gone_at.or(self.gone_at);
        while self.findings.len() > limits.results {
            self.evict();
        }
    }

    /// Matches recorded, those evicted included.
    #[must_use]
    pub fn matches(&self) -> u64 {
        self.findings.values().fold(self.evicted_matches, |sum, finding| sum.saturating_add(finding.count))
    }
}
