//! The agent in a cluster: what it reads from the API server and what it tells it.
//!
//! ```text
//! pods of this node ──> workload::Writer ──> workload::Index (fields)       ConfigMap eyas-ruleset ──> armer
//!              └──────> PodNews ──> report writer <── alerts               ConfigMap eyas-router-ca ──> deliver
//! status::Handle ──> NodeAgent (on change, else every five minutes)
//! ```
//! Invariants: nothing is written before [`Watched::tell`]; nothing here ends the agent. While the API server is away every part waits with back-off and jitter, what
//! was known stays in force, and what could not be told is told afterwards.

mod connect;
mod news;
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
pub struct Watched {
    /// Pods of this node.
    pub pods: workload::Index,
    /// PEM of the router's CA, once known.
    pub router_ca: tokio::sync::watch::Receiver<Option<String>>,
    news: news::Relay,
}

/// Starts what only reads: pods, ruleset, the router's CA. Returns at once, whether the API server can be reached or not.
#[must_use]
pub fn watch(client: &Client, namespace: &str, seams: &Seams) -> Watched {
    let writer = workload::Writer::new();
    let index = writer.index();
    let (news, relay) = news::Relay::start(seams);
    let (ca, router_ca) = tokio::sync::watch::channel(None);
    let spawn = |task: futures::future::BoxFuture<'static, ()>| {
        let stop = seams.shutdown.clone();
        seams.tasks.spawn(async move { stop.run_until_cancelled_owned(task).await });
    };
    spawn(Box::pin(pods::run(client.clone(), Arc::clone(&seams.node), writer, news)));
    spawn(Box::pin(ruleset::run(client.clone(), namespace.to_owned(), seams.rulesets.clone())));
    spawn(Box::pin(router_ca::run(client.clone(), namespace.to_owned(), ca)));
    Watched { pods: index, router_ca, news: relay }
}

impl Watched {
    /// Starts what writes: reports and NodeAgent. Only the one agent of the node that watches may.
    #[must_use]
    pub fn tell(self, client: &Client, seams: &Seams) -> (ReportSink, Arc<Writes>) {
        let told = report::writer::start(client.clone(), seams, Limits::default(), self.news.open());
        seams.tasks.spawn(node_agent::run(client.clone(), seams.clone()));
        told
    }
}
