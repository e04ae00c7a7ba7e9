//! The watch of this node's pods.
use super::{outage::Outage, watch::watch};
use crate::{
    report::PodNews,
    workload::{Change, Writer},
};
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use kube_runtime::watcher::Event;
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// How often pods that are long gone are looked for.
const SWEEP: Duration = Duration::from_secs(15);

/// Feeds the index and tells the report writer of pods' lives. Never ends.
pub(super) async fn run(client: Client, node: Arc<str>, mut writer: Writer, news: mpsc::Sender<PodNews>) {
    let mut events = std::pin::pin!(watch(Api::<Pod>::all(client), &format!("spec.nodeName={node}")));
    let mut outage = Outage::new("watching this node's pods");
    let mut sweep = tokio::time::interval(SWEEP);
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(event)) => {
                    if matches!(event, Event::InitDone) { outage.works() }
                    for item in take(&mut writer, event) {
                        // Only when the report writer has ended, and so the agent.
                        if news.send(item).await.is_err() { return }
                    }
                }
                Some(Err(error)) => drop(outage.failed(&error)),
                None => return,
            },
            _ = sweep.tick() => writer.sweep(Timestamp::now().as_second()),
        }
    }
}

fn take(writer: &mut Writer, event: Event<Pod>) -> Vec<PodNews> {
    let now = Timestamp::now().as_second();
    match event {
        Event::Init => writer.begin_list(),
        Event::InitApply(pod) => drop(apply(writer, &pod)),
        Event::InitDone => {
            let gone = writer.end_list(now);
            let alive = writer.alive();
            tracing::debug!(pods = alive.len(), gone = gone.len(), "pods of this node listed");
            return vec![PodNews::Listed(alive)];
        }
        Event::Apply(pod) => return apply(writer, &pod).into_iter().collect(),
        Event::Delete(pod) => return writer.delete(&pod, now).map(PodNews::Gone).into_iter().collect(),
    }
    Vec::new()
}

/// News when the pod is new or changed.
fn apply(writer: &mut Writer, pod: &Pod) -> Option<PodNews> {
    match writer.apply(pod) {
        Ok(Change::Visible) => pod.metadata.uid.clone().map(PodNews::Seen),
        Ok(Change::None) => None,
        Ok(Change::Refused) => {
            tracing::warn!(refused = writer.refused(), "more pods on this node than are kept");
            None
        }
        Err(error) => {
            tracing::warn!(%error, "pod ignored");
            None
        }
    }
}
