//! An API object as a book: the reports that an earlier start of this agent wrote.
use super::{
    book::Book,
    finding::Finding,
    render::{EVICTED_MATCHES, EVICTED_RESULTS, JOURNAL, MANAGED_BY, NODE_LABEL, POD_GONE, property},
    scope::Scope,
};
use crds::policy_report::{ClusterPolicyReport, PolicyReport, ReportResult};
use engine::source::ObjectRef;
use k8s_openapi::{api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use std::collections::BTreeMap;

/// A report that is in the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Existing {
    /// What it is about.
    pub scope: Scope,
    /// Its content.
    pub book: Book,
    /// Identity of the journal that `book.seq` is a position of.
    pub journal: Option<uuid::Uuid>,
}

impl Existing {
    /// A report of a pod; `None` when it is not one that the agent of `node` wrote.
    #[must_use]
    pub fn of_pod(report: &PolicyReport, node: &str) -> Option<Self> {
        let about = report.spec.scope.as_ref()?;
        let scope = Scope::Pod {
            namespace: about.namespace.clone()?,
            name: about.name.clone()?,
            uid: about.uid.clone().filter(|uid| !uid.is_empty())?,
        };
        read(scope, about, &report.metadata, &report.spec.results, node)
    }

    /// The report of the node; `None` when it is not the one that the agent of `node` wrote.
    #[must_use]
    pub fn of_node(report: &ClusterPolicyReport, node: &str) -> Option<Self> {
        read(Scope::Node, report.spec.scope.as_ref()?, &report.metadata, &report.spec.results, node)
    }
}

fn read(
    scope: Scope,
    about: &ObjectReference,
    meta: &ObjectMeta,
    results: &[ReportResult],
    node: &str,
) -> Option<Existing> {
    let labels = meta.labels.as_ref()?;
    let labelled = |key: &str, value: &str| labels.get(key).is_some_and(|is| is == value);
    let kind = if scope == Scope::Node { "Node" } else { "Pod" };
    let ours = labelled(NODE_LABEL, node)
        && labelled(MANAGED_BY.0, MANAGED_BY.1)
        && about.kind.as_deref() == Some(kind)
        && meta.name.as_deref() == Some(scope.report_name(node).as_str())
        && meta.namespace.as_deref() == scope.namespace();
    if !ours {
        return None;
    }
    let empty = BTreeMap::new();
    let notes = meta.annotations.as_ref().unwrap_or(&empty);
    let number = |key: &str| notes.get(key).and_then(|text| text.parse().ok()).unwrap_or(0);
    let (journal, seq) = notes
        .get(JOURNAL)
        .and_then(|text| text.split_once('/'))
        .and_then(|(id, seq)| Some((id.parse().ok()?, seq.parse().ok()?)))
        .map_or((None, 0), |(id, seq)| (Some(id), seq));
    let findings =
        results.iter().filter_map(finding).map(|finding| (finding.result_id(&scope, node), finding)).collect();
    let book = Book {
        findings,
        evicted_results: number(EVICTED_RESULTS),
        evicted_matches: number(EVICTED_MATCHES),
        seq,
        gone_at: notes
            .get(POD_GONE)
            .and_then(|text| text.parse::<jiff::Timestamp>().ok())
            .map(jiff::Timestamp::as_millisecond),
    };
    Some(Existing { scope, book, journal })
}

/// `None` for a result that somebody else put there: it goes with our next write.
fn finding(result: &ReportResult) -> Option<Finding> {
    let get = |key: &str| result.properties.get(key);
    let time = |key: &str| {
        let nanoseconds = get(key)?.parse::<jiff::Timestamp>().ok()?.as_nanosecond();
        i64::try_from(nanoseconds).ok()
    };
    Some(Finding {
        policy: ObjectRef { namespace: get(property::NAMESPACE)?.clone(), name: result.policy.clone() },
        rule: result.rule.clone().unwrap_or_default(),
        priority: get(property::PRIORITY)?.parse().ok()?,
        category: result.category.clone().unwrap_or_default(),
        message: result.message.clone().unwrap_or_default(),
        fingerprint: get(property::FINGERPRINT)?.clone(),
        details: result
            .properties
            .iter()
            .filter(|(key, _)| !property::ALL.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        count: get(property::COUNT)?.parse().ok()?,
        first: time(property::FIRST)?,
        last: time(property::LAST)?,
    })
}
