//! In a cluster: rules from the ConfigMap, pods from the API, PolicyReports to it, alerts to the router.
use super::seams::{AlertSink, Seams};
use crate::{
    cluster::{self, Watched},
    deliver, workload,
};
use anyhow::Context as _;

/// What only a cluster has.
pub(super) struct InCluster {
    client: kube::Client,
    namespace: String,
    watched: Watched,
}

/// Starts what reads from the API server. Whether it can be reached makes no difference.
///
/// # Errors
/// No way to the API server is configured.
pub(super) async fn start(seams: &Seams) -> anyhow::Result<InCluster> {
    let (client, namespace) = (cluster::connect().await?, cluster::namespace());
    let watched = cluster::watch(&client, &namespace, seams);
    Ok(InCluster { client, namespace, watched })
}

impl InCluster {
    /// Pods of this node.
    pub(super) fn pods(&self) -> workload::Index {
        self.watched.pods.clone()
    }

    /// Starts what tells: from now on this agent is the one that watches.
    ///
    /// # Errors
    /// The spool cannot be opened.
    pub(super) fn tell(self, seams: &Seams) -> anyhow::Result<Vec<Box<dyn AlertSink>>> {
        let router_ca = self.watched.router_ca.clone();
        let (reports, _) = self.watched.tell(&self.client, seams);
        let delivery = deliver::in_cluster(seams, &self.namespace, router_ca)
            .context("opening the spool of alerts for the router; give a writable folder with --state")?;
        // Reports are first: they are what people look at.
        Ok(vec![Box::new(reports), Box::new(delivery)])
    }
}
