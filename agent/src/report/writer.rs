//! The one writer of this node's reports: takes alerts and news of pods, keeps the journal, writes to the API.
//!
//! Nothing here decides: [`Reports`] says what to write and when. While the API is away alerts are still taken, counted
//! and put into the journal.
use super::{
    book::Book,
    journal::{Journal, Restored},
    limits::Limits,
    readback::Existing,
    render::{MANAGED_BY, NODE_LABEL, Report},
    reports::{Failure, Recorded, Reports, Write, WriteAction},
    scope::Scope,
};
use crate::{
    cluster::outage::{Outage, chain},
    run::seams::{AlertSink, Seams},
    status,
};
use crds::{AGENT_MANAGER, ClusterPolicyReport, PolicyReport};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use parking_lot::Mutex;
use router::{
    alert::Alert,
    deliver::backoff::{self, Backoff},
};
use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::sync::mpsc;

/// Alerts that wait for the writer. It only adds them to books and to the journal, so this much is a burst of a moment.
const QUEUE: usize = 4096;
/// Alerts taken at once before the journal is flushed.
const BATCH: usize = 512;
/// Writes under way at once.
const PARALLEL: usize = 4;
/// First and longest wait between attempts to read the node's reports back.
const READ_BACK: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));
/// Longest wait for one request.
const REQUEST: Duration = Duration::from_secs(5);
/// Time to write what is left when the agent ends.
const FAREWELL: Duration = Duration::from_millis(800);

/// Report writes by outcome, since the start: `eyas_report_writes_total{outcome}`.
#[derive(Debug, Default)]
pub struct Writes {
    /// Applied.
    pub written: AtomicU64,
    /// Deleted, a day after their pod was gone.
    pub deleted: AtomicU64,
    /// Failed; tried again.
    pub failed: AtomicU64,
    /// Given up: the namespace is gone.
    pub dropped: AtomicU64,
}

impl Writes {
    /// Outcome and number, for metrics.
    #[must_use]
    pub fn outcomes(&self) -> [(&'static str, u64); 4] {
        [("written", &self.written), ("deleted", &self.deleted), ("failed", &self.failed), ("dropped", &self.dropped)]
            .map(|(outcome, n)| (outcome, n.load(Relaxed)))
    }
}

/// What the pod watch tells of pods' lives.
#[derive(Clone, Debug)]
pub enum PodNews {
    /// UIDs of all pods, after a list.
    Listed(HashSet<String>),
    /// A pod is there.
    Seen(String),
    /// A pod is gone.
    Gone(String),
}

/// Takes alerts for reports.
pub struct ReportSink {
    alerts: mpsc::Sender<Arc<Alert>>,
    status: status::Handle,
}

impl AlertSink for ReportSink {
    fn name(&self) -> &'static str {
        "reports"
    }

    fn submit(&self, alert: &Arc<Alert>) {
        if self.alerts.try_send(Arc::clone(alert)).is_err() {
            self.status.losses().alerts.fetch_add(alert.count, Relaxed);
        }
    }
}

/// Starts the writer. News of pods come by `pods`.
#[must_use]
pub fn start(
    client: Client,
    seams: &Seams,
    limits: Limits,
    pods: mpsc::Receiver<PodNews>,
) -> (ReportSink, Arc<Writes>) {
    let (sender, alerts) = mpsc::channel(QUEUE);
    let writes = Arc::<Writes>::default();
    let (journal, restored) = open_journal(seams);
    let Restored { id, seq, books, tail, .. } = restored;
    let reports = Arc::new(Mutex::new(Reports::new(limits, &seams.node, id, seq, books, tail)));
    seams.pages.set_reports(super::local::page(Arc::clone(&reports)));
    let counted = Arc::clone(&writes);
    seams.pages.add_metrics(Box::new(move |snapshot| snapshot.report_writes.extend(counted.outcomes())));
    let task = Task {
        api: Requests { client, node: Arc::clone(&seams.node) },
        reports,
        journal,
        writes: Arc::clone(&writes),
        status: seams.status.clone(),
        under_way: FuturesUnordered::new(),
        told_refused: 0,
        outage: Outage::new("reading and writing reports"),
        read_back: Backoff::new(READ_BACK.0, READ_BACK.1),
    };
    let shutdown = seams.shutdown.clone();
    seams.tasks.spawn(task.run(alerts, pods, shutdown));
    (ReportSink { alerts: sender, status: seams.status.clone() }, writes)
}

fn open_journal(seams: &Seams) -> (Option<Journal>, Restored) {
    let fresh = || Restored {
        id: uuid::Uuid::new_v4(),
        seq: 0,
        books: Vec::<(Scope, Book)>::new(),
        tail: Vec::<Recorded>::new(),
        bad_lines: 0,
    };
    let Some(dir) = &seams.state_dir else { return (None, fresh()) };
    match Journal::open(dir) {
        Ok((journal, restored)) => {
            if restored.bad_lines > 0 {
                tracing::warn!(lines = restored.bad_lines, "lines of the report journal could not be read");
            }
            tracing::debug!(books = restored.books.len(), matches = restored.tail.len(), "report journal opened");
            (Some(journal), restored)
        }
        Err(error) => {
            tracing::error!(%error, "no report journal");
            (None, fresh())
        }
    }
}

/// What a request brought.
enum Done {
    Wrote(Box<Write>, Result<(), kube::Error>),
    ReadBack(Result<Box<Back>, kube::Error>),
}

/// What is known of the time before this start.
struct Back {
    node_uid: Option<String>,
    reports: Vec<Existing>,
}

struct Task {
    api: Requests,
    reports: Arc<Mutex<Reports>>,
    journal: Option<Journal>,
    writes: Arc<Writes>,
    status: status::Handle,
    under_way: FuturesUnordered<BoxFuture<'static, Done>>,
    told_refused: u64,
    outage: Outage,
    read_back: Backoff,
}

impl Task {
    async fn run(
        mut self,
        mut alerts: mpsc::Receiver<Arc<Alert>>,
        mut pods: mpsc::Receiver<PodNews>,
        shutdown: tokio_util::sync::CancellationToken,
    ) {
        self.under_way.push(self.api.clone().read_back(Duration::ZERO).boxed());
        let mut batch = Vec::with_capacity(BATCH);
        let mut pods_open = true;
        loop {
            self.begin_writes();
            let wait = self.pause();
            tokio::select! {
                () = shutdown.cancelled() => break,
                n = alerts.recv_many(&mut batch, BATCH) => {
                    if n == 0 { break }
                    self.record(batch.drain(..));
                }
                news = pods.recv(), if pods_open => match news {
                    Some(news) => self.pod_news(news),
                    None => pods_open = false,
                },
                Some(done) = self.under_way.next(), if !self.under_way.is_empty() => self.done(done),
                () = tokio::time::sleep(wait) => {}
            }
        }
        alerts.close();
        while alerts.recv_many(&mut batch, BATCH).await > 0 {
            self.record(batch.drain(..));
        }
        self.farewell().await;
    }

    fn begin_writes(&mut self) {
        let room = PARALLEL.saturating_sub(self.under_way.len());
        if room > 0 {
            let due = self.reports.lock().due(now(), room);
            for write in due {
                self.under_way.push(self.api.clone().write(write).boxed());
            }
        }
    }

    /// Until the next write is due; a request that ends or an alert that comes wakes earlier.
    fn pause(&self) -> Duration {
        let hour = Duration::from_secs(3600);
        if self.under_way.len() >= PARALLEL {
            return hour;
        }
        let Some(at) = self.reports.lock().next_due() else { return hour };
        // At least a millisecond: a timer that is due at once and yields nothing must not spin.
        Duration::from_millis(u64::try_from(at.saturating_sub(now())).unwrap_or(0))
            .clamp(Duration::from_millis(1), hour)
    }

    fn record(&mut self, alerts: impl Iterator<Item = Arc<Alert>>) {
        let now = now();
        let mut reports = self.reports.lock();
        for alert in alerts {
            if let (Some(recorded), Some(journal)) = (reports.record(&alert, now), &mut self.journal) {
                journal.append(&recorded);
            }
        }
        let refused = reports.counts().refused;
        drop(reports);
        if refused > self.told_refused {
            self.status.losses().alerts.fetch_add(refused - self.told_refused, Relaxed);
            self.told_refused = refused;
        }
        self.keep_journal(Journal::flush);
    }

    fn keep_journal<E: std::fmt::Display>(&mut self, action: impl FnOnce(&mut Journal) -> Result<(), E>) {
        if let Some(Err(error)) = self.journal.as_mut().map(action) {
            tracing::warn!(%error, "report journal");
        }
    }

    fn pod_news(&mut self, news: PodNews) {
        let mut reports = self.reports.lock();
        match news {
            PodNews::Listed(alive) => reports.pods_listed(alive, now()),
            PodNews::Seen(uid) => reports.pod_seen(&uid, now()),
            PodNews::Gone(uid) => reports.pod_gone(&uid, now()),
        }
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::ReadBack(Ok(back)) => {
                tracing::debug!(reports = back.reports.len(), "reports of this node read back");
                self.outage.works();
                let mut reports = self.reports.lock();
                if let Some(uid) = back.node_uid {
                    reports.set_node_uid(uid);
                }
                reports.read_back(back.reports, now());
            }
            Done::ReadBack(Err(error)) => {
                let no_such_kind = matches!(&error, kube::Error::Api(status) if status.code == 404);
                if self.outage.failed(&error) && no_such_kind {
                    tracing::error!(
                        "the cluster does not know PolicyReports: apply the definitions in manifests/components/policyreport-crds"
                    );
                }
                let wait = self.read_back.next(backoff::random());
                self.under_way.push(self.api.clone().read_back(wait).boxed());
            }
            Done::Wrote(write, Ok(())) => {
                self.reports.lock().written(&write);
                self.outage.works();
                let deleted = write.action == WriteAction::Delete;
                if deleted { &self.writes.deleted } else { &self.writes.written }.fetch_add(1, Relaxed);
                if let (true, Some(journal)) = (deleted, &mut self.journal) {
                    journal.over(&write.scope);
                }
                let Self { journal, reports, .. } = self;
                if let Some(Err(error)) = journal.as_mut().map(|j| j.tidy(&reports.lock())) {
                    tracing::warn!(%error, "report journal");
                }
            }
            Done::Wrote(write, Err(error)) => self.write_failed(&write, &error),
        }
    }

    fn write_failed(&mut self, write: &Write, error: &kube::Error) {
        let failure = classify(error);
        self.reports.lock().failed(write, failure, now());
        if failure == Failure::NamespaceGone {
            self.writes.dropped.fetch_add(1, Relaxed);
            tracing::info!(report = %write.name, scope = %write.scope, "report dropped: its namespace is gone");
            if let Some(journal) = &mut self.journal {
                journal.over(&write.scope);
            }
        } else {
            self.writes.failed.fetch_add(1, Relaxed);
            self.status.losses().report_write_failures.fetch_add(1, Relaxed);
            match failure {
                Failure::Refused => {
                    let error = chain(error);
                    tracing::warn!(report = %write.name, scope = %write.scope, error, "report refused; tried again");
                }
                Failure::Away | Failure::NamespaceGone => drop(self.outage.failed(error)),
            }
        }
    }

    /// Writes what is left, as far as time allows. The journal has it anyway.
    async fn farewell(&mut self) {
        self.keep_journal(Journal::flush);
        let _ = tokio::time::timeout(FAREWELL, async {
            self.reports.lock().hurry();
            loop {
                self.begin_writes();
                match self.under_way.next().await {
                    Some(Done::Wrote(write, Ok(()))) => self.done(Done::Wrote(write, Ok(()))),
                    Some(Done::Wrote(..) | Done::ReadBack(Err(_))) | None => break,
                    Some(done) => self.done(done),
                }
            }
        })
        .await;
    }
}

/// Requests of the writer.
#[derive(Clone)]
struct Requests {
    client: Client,
    node: Arc<str>,
}

impl Requests {
    async fn write(self, write: Write) -> Done {
        let outcome = timed(self.send(&write)).await;
        Done::Wrote(Box::new(write), outcome)
    }

    async fn send(&self, write: &Write) -> Result<(), kube::Error> {
        let params = PatchParams::apply(AGENT_MANAGER).force();
        let namespace = write.scope.namespace();
        match (&write.action, namespace) {
            (WriteAction::Apply(Report::Pod(report)), Some(namespace)) => {
                let api = Api::<PolicyReport>::namespaced(self.client.clone(), namespace);
                api.patch(&write.name, &params, &Patch::Apply(report)).await.map(drop)
            }
            (WriteAction::Apply(Report::Node(report)), _) => {
                let api = Api::<ClusterPolicyReport>::all(self.client.clone());
                api.patch(&write.name, &params, &Patch::Apply(report)).await.map(drop)
            }
            (WriteAction::Delete, Some(namespace)) => {
                let api = Api::<PolicyReport>::namespaced(self.client.clone(), namespace);
                match api.delete(&write.name, &DeleteParams::default()).await {
                    Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
                    other => other.map(drop),
                }
            }
            // Reports::due makes neither a pod's report without namespace nor a deletion of the node's report.
            (WriteAction::Apply(Report::Pod(_)) | WriteAction::Delete, None) => Ok(()),
        }
    }

    async fn read_back(self, after: Duration) -> Done {
        tokio::time::sleep(after).await;
        Done::ReadBack(timed(self.fetch()).await.map(Box::new))
    }

    async fn fetch(&self) -> Result<Back, kube::Error> {
        let params = ListParams::default()
            .labels(&format!("{NODE_LABEL}={},{}={}", self.node, MANAGED_BY.0, MANAGED_BY.1))
            .limit(100);
        let mut reports = Vec::new();
        let pods = Api::<PolicyReport>::all(self.client.clone());
        let mut page = params.clone();
        loop {
            let list = pods.list(&page).await?;
            reports.extend(list.items.iter().filter_map(|report| Existing::of_pod(report, &self.node)));
            match list.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page = params.clone().continue_token(&token),
                None => break,
            }
        }
        let name = Scope::Node.report_name(&self.node);
        if let Some(report) = Api::<ClusterPolicyReport>::all(self.client.clone()).get_opt(&name).await? {
            reports.extend(Existing::of_node(&report, &self.node));
        }
        let node_uid = match Api::<Node>::all(self.client.clone()).get_metadata_opt(&self.node).await {
            Ok(node) => node.and_then(|node| node.metadata.uid),
            Err(kube::Error::Api(status)) if status.code == 403 => {
                tracing::warn!(node = %self.node, "may not read its own Node: reports are written without owner");
                None
            }
            Err(error) => return Err(error),
        };
        Ok(Back { node_uid, reports })
    }
}

/// A request that never ends would hold its report back for ever.
async fn timed<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, kube::Error> {
    tokio::time::timeout(REQUEST, request).await.unwrap_or_else(|_| {
        let late = std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer from the API server within 5 s");
        Err(kube::Error::Service(late.into()))
    })
}

/// What an error means for the report.
fn classify(error: &kube::Error) -> Failure {
    let kube::Error::Api(status) = error else { return Failure::Away };
    let details = status.details.as_ref();
    let terminating = details.is_some_and(|d| d.causes.iter().any(|cause| cause.reason == "NamespaceTerminating"));
    let no_namespace = status.code == 404 && details.is_some_and(|d| d.kind == "namespaces");
    match status.code {
        _ if terminating || no_namespace => Failure::NamespaceGone,
        408 | 409 | 429 | 500.. => Failure::Away,
        _ => Failure::Refused,
    }
}

fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case(json!({"code": 404, "details": {"kind": "namespaces", "name": "shop"}}), Failure::NamespaceGone)]
    #[case(json!({"code": 403, "details": {"causes": [{"reason": "NamespaceTerminating"}]}}), Failure::NamespaceGone)]
    #[case(json!({"code": 404}), Failure::Refused)]
    #[case(json!({"code": 403}), Failure::Refused)]
    #[case(json!({"code": 422}), Failure::Refused)]
    #[case(json!({"code": 429}), Failure::Away)]
    #[case(json!({"code": 503}), Failure::Away)]
    fn an_answer_of_the_api_says_what_to_do(#[case] status: serde_json::Value, #[case] expected: Failure) {
        let status: kube::core::Status = serde_json::from_value(status).unwrap();
        assert_eq!(classify(&kube::Error::Api(Box::new(status))), expected);
    }
}
