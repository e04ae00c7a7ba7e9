//! The agent in a cluster: what it reads from the API server and what it tells it.
//!
//! ```text
//! pods of this node ──> workload::Writer ──> workload::Index (fields)       ConfigMap eyas-ruleset ──> armer
//!              └──────> PodNews ──> report writer <── alerts               ConfigMap eyas-router-ca ──> deliver
//! status::Handle ──> NodeAgent (on change, else every five minutes)
//! ```
//! Invariants: nothing here ends the agent. While the API server is away every part waits with back-off and jitter, what
//! was known stays in force, and what could not be told is told afterwards.

mod connect;
mod node_agent;
pub(crate) mod outage;
mod pods;
mod router_ca;
mod ruleset;
mod watch;

pub use connect::{ConnectError, connect, namespace};

use crate::{
    report::{self, Limits, ReportSink, Writes},
    run::seams::Seams,
    workload,
};
use kube::Client;
use std::sync::Arc;

/// What the rest of the agent gets from the cluster.
pub struct Cluster {
    /// Pods of this node.
    pub pods: workload::Index,
    /// Takes alerts for PolicyReports.
    pub reports: ReportSink,
    /// Report writes by outcome, for metrics.
    pub writes: Arc<Writes>,
    /// PEM of the router's CA, once known.
    pub router_ca: tokio::sync::watch::Receiver<Option<String>>,
}

/// Starts all of it. Returns at once, whether the API server can be reached or not.
#[must_use]
pub fn start(client: &Client, namespace: &str, seams: &Seams) -> Cluster {
    let writer = workload::Writer::new();
    let index = writer.index();
    let (news, pod_news) = tokio::sync::mpsc::channel(pods::NEWS);
    let (reports, writes) = report::writer::start(client.clone(), seams, Limits::default(), pod_news);
    let (ca, router_ca) = tokio::sync::watch::channel(None);
    let spawn = |task: futures::future::BoxFuture<'static, ()>| {
        let stop = seams.shutdown.clone();
        seams.tasks.spawn(async move { stop.run_until_cancelled_owned(task).await });
    };
    spawn(Box::pin(pods::run(client.clone(), Arc::clone(&seams.node), writer, news)));
    spawn(Box::pin(ruleset::run(client.clone(), namespace.to_owned(), seams.rulesets.clone())));
    spawn(Box::pin(router_ca::run(client.clone(), namespace.to_owned(), ca)));
    seams.tasks.spawn(node_agent::run(client.clone(), seams.clone()));
    Cluster { pods: index, reports, writes, router_ca }
}
