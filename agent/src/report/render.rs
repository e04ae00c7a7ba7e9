//! A book as an API object.
use super::{book::Book, finding::Finding, scope::Scope};
use crds::policy_report::{
    ClusterPolicyReport, ClusterPolicyReportFields, PolicyReport, PolicyReportFields, ReportResult, Summary, Timestamp,
};
use engine::priority::Priority;
use k8s_openapi::{
    api::core::v1::ObjectReference,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use std::collections::BTreeMap;

/// Label: the node whose agent writes the report. The admission policy goes by it.
pub(super) const NODE_LABEL: &str = "eyas.dev/node";
/// Label that says whose object it is.
pub(super) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "eyas");
/// Annotation: results taken out for more important ones.
pub(super) const EVICTED_RESULTS: &str = "eyas.dev/evicted-results";
/// Annotation: matches of those.
pub(super) const EVICTED_MATCHES: &str = "eyas.dev/evicted-matches";
/// Annotation `<journal id>/<position>`: matches up to there are in the report.
pub(super) const JOURNAL: &str = "eyas.dev/journal";
/// Annotation: since when the pod is gone (RFC 3339); the report goes a day later.
pub(super) const POD_GONE: &str = "eyas.dev/pod-gone-since";

/// Properties that are not details of a finding.
pub(super) mod property {
    /// Stable identity of the result.
    pub const RESULT_ID: &str = "resultID";
    /// How many matches.
    pub const COUNT: &str = "count";
    /// Time of the first, RFC 3339.
    pub const FIRST: &str = "firstSeen";
    /// Time of the last, RFC 3339.
    pub const LAST: &str = "lastSeen";
    /// The rule's priority: finer than severity.
    pub const PRIORITY: &str = "priority";
    /// Namespace of the DetectionRule.
    pub const NAMESPACE: &str = "namespace";
    /// Fingerprint, as in alerts.
    pub const FINGERPRINT: &str = "fingerprint";
    /// All of them.
    pub const ALL: [&str; 7] = [RESULT_ID, COUNT, FIRST, LAST, PRIORITY, NAMESPACE, FINGERPRINT];
}

/// What all reports of a node share.
pub(super) struct Frame<'a> {
    /// Node name.
    pub node: &'a str,
    /// UID of the Node object, once known: it owns the reports.
    pub node_uid: Option<&'a str>,
    /// Identity of the journal.
    pub journal: uuid::Uuid,
}

/// An object to be applied.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// Of a pod.
    Pod(Box<PolicyReport>),
    /// Of the node.
    Node(Box<ClusterPolicyReport>),
}

/// The object. Evicts from the book until its results fit into `max_bytes`.
pub(super) fn render(frame: &Frame<'_>, scope: &Scope, book: &mut Book, max_bytes: usize) -> Report {
    let results = fitting(frame, scope, book, max_bytes);
    let mut summary = Summary::default();
    for result in &results {
        match result.result.as_deref() {
            Some("fail") => summary.fail += 1,
            Some("warn") => summary.warn += 1,
            _ => summary.skip += 1,
        }
    }
    let metadata = metadata(frame, scope, book);
    let about = Some(reference(frame, scope));
    match scope {
        Scope::Pod { .. } => {
            let spec = PolicyReportFields { scope: about, scope_selector: None, summary: Some(summary), results };
            Report::Pod(Box::new(PolicyReport { metadata, spec }))
        }
        Scope::Node => {
            let spec =
                ClusterPolicyReportFields { scope: about, scope_selector: None, summary: Some(summary), results };
            Report::Node(Box::new(ClusterPolicyReport { metadata, spec }))
        }
    }
}

/// Results, most important first.
fn fitting(frame: &Frame<'_>, scope: &Scope, book: &mut Book, max_bytes: usize) -> Vec<ReportResult> {
    loop {
        let mut findings: Vec<(&String, &Finding)> = book.findings.iter().collect();
        findings.sort_by_key(|(_, finding)| std::cmp::Reverse(finding.importance()));
        let results: Vec<ReportResult> = findings.into_iter().map(|(id, f)| result(id, f)).collect();
        // Serialising plain strings and numbers cannot fail; 0 would only mean that nothing is evicted.
        let size = serde_json::to_vec(&results).map_or(0, |bytes| bytes.len());
        if size <= max_bytes || !book.evict() {
            return results;
        }
        tracing::debug!(node = frame.node, %scope, size, "report too large: took a result out");
    }
}

fn metadata(frame: &Frame<'_>, scope: &Scope, book: &Book) -> ObjectMeta {
    let mut annotations = BTreeMap::from([(JOURNAL.to_owned(), format!("{}/{}", frame.journal, book.seq))]);
    if book.evicted_results > 0 {
        annotations.insert(EVICTED_RESULTS.to_owned(), book.evicted_results.to_string());
        annotations.insert(EVICTED_MATCHES.to_owned(), book.evicted_matches.to_string());
    }
    if let Some(gone) = book.gone_at.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()) {
        annotations.insert(POD_GONE.to_owned(), gone.to_string());
    }
    let labels = [(NODE_LABEL, frame.node), MANAGED_BY].map(|(key, value)| (key.to_owned(), value.to_owned()));
    ObjectMeta {
        name: Some(scope.report_name(frame.node)),
        namespace: scope.namespace().map(str::to_owned),
        labels: Some(labels.into()),
        annotations: Some(annotations),
        owner_references: frame.node_uid.map(|uid| {
            vec![OwnerReference {
                api_version: "v1".to_owned(),
                kind: "Node".to_owned(),
                name: frame.node.to_owned(),
                uid: uid.to_owned(),
                ..OwnerReference::default()
            }]
        }),
        ..ObjectMeta::default()
    }
}

fn reference(frame: &Frame<'_>, scope: &Scope) -> ObjectReference {
    match scope {
        Scope::Node => ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Node".to_owned()),
            name: Some(frame.node.to_owned()),
            uid: frame.node_uid.map(str::to_owned),
            ..ObjectReference::default()
        },
        Scope::Pod { namespace, name, uid } => ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            namespace: Some(namespace.clone()),
            name: Some(name.clone()),
            uid: Some(uid.clone()),
            ..ObjectReference::default()
        },
    }
}

fn result(id: &str, finding: &Finding) -> ReportResult {
    let own = [
        (property::RESULT_ID, id.to_owned()),
        (property::COUNT, finding.count.to_string()),
        (property::FIRST, rfc3339(finding.first)),
        (property::LAST, rfc3339(finding.last)),
        (property::PRIORITY, finding.priority.to_string()),
        (property::NAMESPACE, finding.policy.namespace.clone()),
        (property::FINGERPRINT, finding.fingerprint.clone()),
    ];
    let mut properties = finding.details.clone();
    properties.extend(own.map(|(key, value)| (key.to_owned(), value)));
    let (severity, outcome) = words(finding.priority);
    ReportResult {
        policy: finding.policy.name.clone(),
        rule: Some(finding.rule.clone()),
        message: Some(finding.message.clone()),
        category: (!finding.category.is_empty()).then(|| finding.category.clone()),
        result: Some(outcome.to_owned()),
        severity: Some(severity.to_owned()),
        scored: None,
        source: Some("eyas".to_owned()),
        timestamp: Some(timestamp(finding.last)),
        resources: Vec::new(),
        resource_selector: None,
        properties,
    }
}

/// Severity and result word of a priority.
pub(super) fn words(priority: Priority) -> (&'static str, &'static str) {
    match priority {
        Priority::Emergency | Priority::Alert | Priority::Critical => ("critical", "fail"),
        Priority::Error => ("high", "fail"),
        Priority::Warning => ("medium", "warn"),
        Priority::Notice => ("low", "warn"),
        Priority::Informational | Priority::Debug => ("info", "skip"),
    }
}

fn timestamp(nanoseconds: i64) -> Timestamp {
    Timestamp {
        seconds: nanoseconds.div_euclid(1_000_000_000),
        // The remainder of a division by 10^9 fits.
        nanos: i32::try_from(nanoseconds.rem_euclid(1_000_000_000)).unwrap_or(0),
    }
}

fn rfc3339(nanoseconds: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(nanoseconds)).map(|time| time.to_string()).unwrap_or_default()
}
