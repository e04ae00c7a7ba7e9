//! In a cluster: rules from the ConfigMap, pods from the API, PolicyReports to it, alerts to the router.
use super::seams::{AlertSink, Seams};
use crate::{
    cluster::{self, Cluster},
    deliver, workload,
};
use anyhow::Context as _;

/// What only a cluster has.
pub(super) struct InCluster {
    pub pods: workload::Index,
    pub sinks: Vec<Box<dyn AlertSink>>,
}

/// Starts all of it. Whether the API server can be reached makes no difference.
///
/// # Errors
/// No way to the API server is configured, or the spool cannot be opened.
pub(super) async fn start(seams: &Seams) -> anyhow::Result<InCluster> {
    let (client, namespace) = (cluster::connect().await?, cluster::namespace());
    let Cluster { pods, reports, router_ca, .. } = cluster::start(&client, &namespace, seams);
    let delivery = deliver::in_cluster(seams, &namespace, router_ca)
        .context("opening the spool of alerts for the router; give a writable folder with --state")?;
    // Reports are first: they are what people look at.
    Ok(InCluster { pods, sinks: vec![Box::new(reports), Box::new(delivery)] })
}
