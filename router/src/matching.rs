//! Which alerts a route takes. Pure.
//!
//! Everything given must hold. A tenant's route (one outside the system namespace) sees only alerts of pods in its own
//! namespace, whatever it asks for; an alert whose pod is unknown is none of its business. Matches of Shadow rules never
//! become alerts at all: the agent only counts them.
use crate::alert::Alert;
use engine::priority::Priority;

/// A route's `match`, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matcher {
    /// Set for a tenant's route: the only namespace that it sees.
    pub tenant: Option<String>,
    /// Least priority.
    pub min_priority: Option<Priority>,
    /// Rules by `spec.name` or `metadata.name`; empty: all.
    pub rules: Vec<String>,
    /// Any of these tags; empty: all.
    pub tags: Vec<String>,
    /// Namespaces of the pod; empty: all, also none.
    pub namespaces: Vec<String>,
}

impl Matcher {
    /// Whether the route takes this alert.
    #[must_use]
    pub fn matches(&self, alert: &Alert) -> bool {
        let namespace = alert.pod.as_ref().map(|p| p.namespace.as_str());
        if self.tenant.is_some() && self.tenant.as_deref() != namespace {
            return false;
        }
        self.min_priority.is_none_or(|least| alert.priority >= least)
            && (self.rules.is_empty() || self.rules.iter().any(|r| *r == alert.rule || *r == alert.policy.name))
            && (self.tags.is_empty() || self.tags.iter().any(|t| alert.tags.contains(t)))
            && (self.namespaces.is_empty() || self.namespaces.iter().any(|n| Some(n.as_str()) == namespace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::alert;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&w| w.to_owned()).collect()
    }

    #[test]
    fn all_that_is_given_must_hold() {
        let a = alert(1);
        let all = Matcher {
            tenant: None,
            min_priority: Some(Priority::Warning),
            rules: words(&["read-sensitive-file"]),
            tags: words(&["other", "filesystem"]),
            namespaces: words(&["shop"]),
        };
        assert!(Matcher::default().matches(&a));
        assert!(all.matches(&a));
        assert!(Matcher { rules: words(&["Read sensitive file"]), ..all.clone() }.matches(&a));
        assert!(!Matcher { min_priority: Some(Priority::Error), ..all.clone() }.matches(&a));
        assert!(!Matcher { rules: words(&["read-sensitive"]), ..all.clone() }.matches(&a));
        assert!(!Matcher { tags: words(&["other"]), ..all.clone() }.matches(&a));
        assert!(!Matcher { namespaces: words(&["shops"]), ..all.clone() }.matches(&a));
        assert!(!all.matches(&Alert { pod: None, ..a }));
    }

    #[test]
    fn a_tenant_sees_only_its_own_pods() {
        let own = Matcher { tenant: Some("shop".to_owned()), ..Matcher::default() };
        let other = Matcher { tenant: Some("bank".to_owned()), namespaces: words(&["shop"]), ..Matcher::default() };
        let a = alert(1);
        assert!(own.matches(&a));
        assert!(!other.matches(&a));
        assert!(!own.matches(&Alert { pod: None, ..a }));
    }
}
